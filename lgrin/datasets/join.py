"""Several modalities of the same sequences in one object of PyG."""

from collections.abc import Hashable, Mapping

import torch
from torch import Tensor
from torch_geometric.data import Data, HeteroData

from lgrin.datasets.sequences import Sequences

NODE_ATTRIBUTES = ("x", "frame", "mask", "time")


def join(modalities: Mapping[str, Sequences], by: str = "recording") -> list[HeteroData]:
    """Joins the modalities of each sequence in one ``HeteroData``, with one node type for each modality.

    A modality that a sequence lacks has an ``x`` without rows, so PyG's ``DataLoader`` batches the result as it is.
    Transforms of the datasets are applied first, each to its own modality.

    Args:
        modalities: A dataset for each name, of the same classes.
        by: The attribute of ``Data`` that is the same in all modalities of a sequence and differs in others, such as
            ``"recording"`` (RAVDESS), or ``"name"``.

    Returns:
        In the order in which they first stand in a dataset, ``HeteroData`` with ``x [L, P]``, ``frame [L]`` and perhaps
        ``mask [L]`` of each modality, ``y [1]``, the attribute ``by`` and, where the datasets have groups,
        ``group [1]``, its place in the sorted names of all groups.

    Raises:
        ValueError: If there is no modality, classes differ, or a sequence has no such attribute, has it twice in a
            modality, or another class or group in another one.

    Example:
        >>> from lgrin.datasets import from_arrays
        >>> face = from_arrays([torch.zeros(3, 2), torch.ones(2, 2)], labels=["calm", "glad"])
        >>> voice = from_arrays([torch.zeros(9, 4), torch.ones(8, 4)], labels=["calm", "glad"])
        >>> both = join({"face": face, "voice": voice[:1]}, by="name")
        >>> [(data["face"].num_nodes, data["voice"].num_nodes) for data in both]
        [(3, 9), (2, 0)]
    """
    if not modalities:
        raise ValueError("modalities is empty; give a dataset for each name")
    first, *others = modalities.values()
    for dataset in others:
        if dataset.classes != first.classes:
            raise ValueError(f"modalities have the classes {first.classes} and {dataset.classes}; they need the same")
    groups = sorted({group for dataset in modalities.values() for group in dataset.groups})
    parts = {name: _index_by(name, dataset, by, groups) for name, dataset in modalities.items()}
    keys = dict.fromkeys(key for part in parts.values() for key in part)
    empty = {name: _empty_nodes(next(iter(part.values()))) for name, part in parts.items()}
    return [_to_hetero(key, by, {name: part.get(key) for name, part in parts.items()}, empty) for key in keys]


def _index_by(name: str, dataset: Sequences, by: str, groups: list[str]) -> dict[Hashable, Data]:
    """The sequences of a modality by their value of ``by``, with groups numbered as in the other modalities."""
    found: dict[Hashable, Data] = {}
    for data in dataset:
        key = data.get(by)
        if key is None or isinstance(key, Tensor):
            raise ValueError(f"{name} has a sequence whose {by} is {key!r}; name another attribute that all have")
        if key in found:
            raise ValueError(f"{name} holds {by} {key!r} twice; leave one out, or name another attribute")
        if data.get("group") is not None:
            data.group = torch.tensor([groups.index(dataset.groups[int(data.group)])])
        found[key] = data
    if not found:
        raise ValueError(f"{name} is empty; leave it out")
    return found


def _empty_nodes(data: Data) -> dict[str, Tensor]:
    return {field: data[field][:0] for field in NODE_ATTRIBUTES if data.get(field) is not None}


def _to_hetero(
    key: Hashable, by: str, parts: dict[str, Data | None], empty: dict[str, dict[str, Tensor]]
) -> HeteroData:
    joined, there = HeteroData(), {name: data for name, data in parts.items() if data is not None}
    setattr(joined, by, key)
    for field in ("y", "group"):
        values = {name: data[field] for name, data in there.items() if data.get(field) is not None}
        if len({int(value) for value in values.values()}) > 1:
            raise ValueError(f"{by} {key!r} has unlike {field} in its modalities: {values}; name another attribute")
        if values:
            setattr(joined, field, next(iter(values.values())))
    for name, data in parts.items():
        rows = empty[name] if data is None else {field: data[field] for field in empty[name]}
        for field, value in rows.items():
            joined[name][field] = value
    return joined
