"""Attributes of a sequence: which of them have one entry for each frame, and how entries are selected."""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

Entries = TypeVar("Entries", Tensor, np.ndarray, list[object], tuple[object, ...])  # one for each frame
SEQUENCE_ATTRIBUTES = ("y", "group", "num_nodes")
FRAME_ATTRIBUTES = ("x", "mask", "time", "frame", "pos")


def check_sequence(data: Data | HeteroData) -> int:
    """Raises unless data is one sequence whose mask, time and frame fit its x.

    Args:
        data: The sequence, ``x [L, ...]``.

    Returns:
        Its frames, L.

    Raises:
        TypeError: If x is no tensor, or there are several modalities.
        ValueError: If x has one dimension, an attribute of its frames has another length, the mask is not bool, or
            there are several sequences.

    Example:
        >>> check_sequence(Data(x=torch.zeros(3, 2)))
        3
    """
    if isinstance(data, HeteroData):
        raise TypeError("data has several modalities; transform each before lgrin.datasets.join")
    x = data.get("x")
    if not isinstance(x, Tensor):
        raise TypeError(f"data.x is {None if x is None else f'a {type(x).__name__}'}; it has to be a tensor [L, F]")
    if x.dim() < 2:
        raise ValueError(f"data.x has shape {list(x.shape)}; it has to be [L, F]: pass x.unsqueeze(-1) for one feature")
    if data.get("batch") is not None:
        raise ValueError("data is a batch of sequences; transform each before they are batched")
    for name in FRAME_ATTRIBUTES:
        value = data.get(name)
        if value is not None and (np.ndim(value) == 0 or len(value) != len(x)):
            raise ValueError(
                f"data.{name} has shape {list(np.shape(value))}, but data.x has {len(x)} frames; it needs one entry "
                f"for each"
            )
    mask = data.get("mask")
    if mask is not None and (mask.dtype != torch.bool or mask.dim() != 1):
        raise ValueError(f"data.mask is {mask.dtype} {list(mask.shape)}; it has to be torch.bool [{len(x)}]")
    return len(x)


def attributes_of_frames(data: Data) -> list[str]:
    """Names the attributes that have one entry for each frame.

    They are those that PyG takes for node attributes: tensors, arrays, lists and tuples with L entries.

    Args:
        data: One sequence that :func:`check_sequence` has seen.

    Returns:
        Their names, in alphabetical order.

    Raises:
        ValueError: If an attribute names frames by number or belongs to edges, or if a sequence of a single frame has
            an attribute with a single entry that may belong to either.

    Example:
        >>> attributes_of_frames(Data(x=torch.zeros(3, 2), pos=torch.zeros(3, 2), y=torch.tensor([1])))
        ['pos', 'x']
    """
    length, names = len(data.x), []
    for name in sorted(data.keys()):
        value = data[name]
        counted = isinstance(value, list | tuple) or (isinstance(value, Tensor | np.ndarray) and value.ndim > 0)
        if holds_node_numbers(name):
            raise ValueError(
                f"data has an {name}, which this would break; fix the length before a graph is built, or leave it out"
            )
        if not counted or len(value) != length or (name in SEQUENCE_ATTRIBUTES and length != 1 and len(value) == 1):
            continue
        if name in FRAME_ATTRIBUTES or (length > 1 and name not in SEQUENCE_ATTRIBUTES[2:]):
            names.append(name)
        elif name not in SEQUENCE_ATTRIBUTES:
            raise ValueError(
                f"data.{name} has one entry, and so has the sequence, so it may belong to either; leave it out, or "
                f"keep what belongs to the sequence as a number or a string"
            )
    return names


def holds_node_numbers(name: str) -> bool:
    """Tells whether PyG takes an attribute of this name for edges or for numbers of nodes.

    Args:
        name: Name of the attribute.

    Example:
        >>> [name for name in ("edge_attr", "adj_t", "train_index", "face", "x") if holds_node_numbers(name)]
        ['edge_attr', 'adj_t', 'train_index', 'face']
    """
    return "edge" in name or "index" in name or name.startswith("adj") or name in ("face", "ptr")


def select(value: Entries, take: Tensor) -> Entries:
    """Selects entries of an attribute.

    Args:
        value: A tensor, array, list or tuple, one entry for each frame.
        take: Int64, the entries to select.

    Returns:
        The same kind.

    Example:
        >>> select(["a", "b"], torch.tensor([1, 1, 0]))
        ['b', 'b', 'a']
    """
    if isinstance(value, Tensor):
        return value[take.to(value.device)]
    if isinstance(value, np.ndarray):
        return value[take.cpu().numpy()]
    return type(value)(value[index] for index in take.tolist())
