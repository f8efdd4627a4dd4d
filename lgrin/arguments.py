"""What the arguments of a forward pass have to look like: kinds, dtypes, sizes, and the range of indices."""

from math import prod
from typing import Any

import torch
from torch import Tensor

WHOLE_NUMBERS = (torch.int64, torch.int32)
LIMITS = {"frame": "num_nodes", "batch": "batch_size", "edge_index": "num_nodes"}
WAYS_OUT = {
    "frame": "pad or shorten with lgrin.transforms.CyclicPad({stop}, longer='resample'), or mark the node as absent",
    "batch": "number the sequences from 0, and pass batch_size= if the last ones have no node",
    "edge_index": "number the nodes from 0, in the order of the rows of x",
}


def check_features(x: Any) -> None:
    """Raises unless x is a floating tensor of rank 2 or more.

    Args:
        x: What was given as node features.

    Raises:
        TypeError: If it is no floating tensor.
        ValueError: If its rank has no meaning.

    Example:
        >>> check_features(torch.rand(3, 2))
    """
    if not isinstance(x, Tensor) or not x.is_floating_point():
        kind = x.dtype if isinstance(x, Tensor) else f"a {type(x).__name__}"
        raise TypeError(f"x is {kind}; node features are a floating tensor: pass x.float()")
    if x.dim() < 2:
        raise ValueError(f"x has shape {list(x.shape)}; node features are [N, F], [M, F] or [*, M, F]")


def check_one_batch(x: Tensor, model: str) -> None:
    """Raises if node features have more leading axes than a model reads, which is one.

    Args:
        x: Node features.
        model: Name of the model.

    Raises:
        ValueError: If the rank is above 3.

    Example:
        >>> check_one_batch(torch.rand(2, 5, 3), "LGrIN")
    """
    if x.dim() > 3:
        raise ValueError(
            f"x has shape {list(x.shape)}; node features are [N, P], [M, P] or [B, M, P] for {model}: make the leading "
            f"axes one, model(x.flatten(0, {x.dim() - 3})), and take its result apart with "
            f".unflatten(0, {list(x.shape[:-2])})"
        )


def stand_in(x: Any, leading: int, num_channels: int | None = None, dtype: torch.dtype = torch.float32) -> Tensor:
    """Makes what has the shape of the features that frames will be encoded to, and no content.

    With it everything can be checked before an encoder runs and takes statistics.

    Args:
        x: Frames ``[*, ...]``.
        leading: How many dimensions count nodes, the star.
        num_channels: Features of an encoded frame, P; ``None`` takes the last dimension of a frame, 1 if it has none.
        dtype: Of the features, where frames are no floating numbers.

    Returns:
        ``[*, P]``, without memory of its own.

    Raises:
        TypeError: If x is no tensor.
        ValueError: If it has too few dimensions.

    Example:
        >>> stand_in(torch.rand(2, 5, 40, 16), leading=2, num_channels=64).shape
        torch.Size([2, 5, 64])
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"x is a {type(x).__name__}; frames for an encoder are a tensor")
    if x.dim() < leading:
        raise ValueError(
            f"x has shape {list(x.shape)}; frames for an encoder are [B, M, ...], or flat [N, ...] beside batch"
        )
    kind = x.dtype if x.is_floating_point() else dtype
    width = [1, *x.shape[leading:]][-1] if num_channels is None else num_channels
    return x.new_zeros((), dtype=kind).expand(*x.shape[:leading], width)


def check_mask(x: Tensor, mask: Tensor | None) -> None:
    """Raises unless a mask is bool and has the leading shape of x.

    Args:
        x: Node features.
        mask: The mask, or ``None``.

    Raises:
        ValueError: If it is not.

    Example:
        >>> check_mask(torch.rand(3, 2), torch.tensor([True, False, True]))
    """
    if mask is not None and (mask.dtype != torch.bool or mask.shape != x.shape[:-1]):
        raise ValueError(
            f"mask is {mask.dtype} {list(mask.shape)}; for x {list(x.shape)} it has to be torch.bool "
            f"{list(x.shape[:-1])}"
        )


def over_steps(x: Any, mask: Tensor) -> Tensor:
    """Repeats a mask ``[B, M]`` over the axes of ``x`` between its sequences and its nodes, such as time.

    Args:
        x: Node features ``[B, *, M, F]``.
        mask: A mask ``[B, M]``, or any other.

    Returns:
        ``[B, *, M]``; any other mask, and one beside other features, as it is.

    Example:
        >>> over_steps(torch.rand(2, 7, 5, 3), torch.ones(2, 5)).shape
        torch.Size([2, 7, 5])
    """
    if not isinstance(x, Tensor) or x.dim() <= 3 or mask.dim() != 2 or mask.shape != (x.size(0), x.size(-2)):
        return mask
    return mask.view(x.size(0), *[1] * (x.dim() - 3), x.size(-2)).expand(x.shape[:-1])


def check_index(name: str, index: Any) -> None:
    """Raises unless frames or sequences are numbered by int64 or int32.

    Args:
        name: Name of the argument.
        index: The argument, or ``None``.

    Raises:
        TypeError: If it is not.

    Example:
        >>> check_index("frame", torch.arange(3))
    """
    if index is not None and (not isinstance(index, Tensor) or index.dtype not in WHOLE_NUMBERS):
        kind = index.dtype if isinstance(index, Tensor) else f"a {type(index).__name__}"
        raise TypeError(f"{name} is {kind}; it has to be a tensor of whole numbers: pass {name}.long()")


def one_place(frame: Tensor | None, node: Tensor) -> Tensor:
    """Reads ``node``, the second name of ``frame`` in calls whose nodes are sensors and no frames.

    Args:
        frame: What was given as ``frame``.
        node: What was given as ``node``.

    Returns:
        ``node``.

    Raises:
        ValueError: If both were given.

    Example:
        >>> one_place(None, torch.tensor([0, 2])).tolist()
        [0, 2]
    """
    if frame is not None:
        raise ValueError("frame and node were both given; they are two names of one argument: pass one of them")
    return node


def check_edge_weight(edge_weight: Any) -> None:
    """Raises unless weights of edges are floating, as a batch vector in their place is not.

    Args:
        edge_weight: The weights.

    Raises:
        TypeError: If they are whole numbers or no tensor.

    Example:
        >>> check_edge_weight(torch.ones(3))
    """
    if not isinstance(edge_weight, Tensor):
        raise TypeError(f"edge_weight is a {type(edge_weight).__name__}; it may be a floating tensor [E] or None")
    if not edge_weight.is_floating_point():
        raise TypeError(
            f"edge_weight is {edge_weight.dtype} {list(edge_weight.shape)}; weights of edges are floating: for a batch "
            f"vector pass batch= to a model (a layer needs none), for weights edge_weight.to(x.dtype)"
        )


def check_range(name: str, index: Tensor | None, stop: int | None, mask: Tensor | None = None) -> None:
    """Raises unless every index lies in 0 .. stop - 1.

    Eager programs on a CPU read the values. Compiled programs, and those on an NVIDIA GPU, assert on the device, which
    waits for nothing: the error is torch's and names the argument alone. Exported programs leave the check out.

    Args:
        name: Name of the argument: ``"frame"``, ``"batch"`` or ``"edge_index"``.
        index: The argument, any shape, or ``None``.
        stop: The number of frames, sequences or nodes; ``None`` where only negative ones are out of range.
        mask: Bool, shaped like the index; where it is false the index does not matter. ``None`` means that all do.

    Raises:
        IndexError: With the place and value of the first index that is out of range.

    Example:
        >>> check_range("frame", torch.tensor([0, -1]), stop=5)
        Traceback (most recent call last):
        ...
        IndexError: frame[1] is -1; with num_nodes=5 it is one of 0..4: pad or shorten with ...
    """
    if index is None or torch.compiler.is_exporting():
        return
    if torch.compiler.is_compiling() or index.device.type == "cuda":
        torch._assert_async(~_outside(index, stop, mask).any(), f"{name} holds an index that is out of range")
    elif index.device.type == "cpu" and index.numel():
        lowest, highest = torch.aminmax(_unwrapped(index))
        if int(lowest) < 0 or (stop is not None and int(highest) >= stop):
            _refuse_first(name, index, stop, _outside(index, stop, mask))


def _outside(index: Tensor, stop: int | None, mask: Tensor | None) -> Tensor:
    outside = index < 0 if stop is None else (index < 0) | (index >= stop)
    return outside if mask is None else outside & mask


def _unwrapped(tensor: Tensor) -> Tensor:
    """The tensor inside those of ``torch.func``, with the axes that ``vmap`` hides."""
    while torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        tensor = torch._C._functorch.get_unwrapped(tensor)
    return tensor


def _refuse_first(name: str, index: Tensor, stop: int | None, outside: Tensor) -> None:
    index = _unwrapped(torch.where(outside, index, index))  # has the axes of outside, which may have more
    first = _unwrapped(outside).nonzero()[:1].tolist()
    if first and stop is None:
        raise IndexError(f"{name}{first[0]} is {int(index[tuple(first[0])])}; it is 0 or more: count from 0")
    if first and stop is not None:
        allowed = f"one of 0..{stop - 1}" if stop > 0 else "none"
        raise IndexError(
            f"{name}{first[0]} is {int(index[tuple(first[0])])}; with {LIMITS[name]}={stop} it is {allowed}: "
            f"{WAYS_OUT[name].format(stop=stop)}"
        )


def check_nodes(
    x: Any, frame: Tensor | None, batch: Tensor | None, mask: Tensor | None, batch_size: int | None
) -> None:
    """Raises unless frame, batch, mask and batch_size fit x.

    Args:
        x: Node features ``[*, M, F]``, or flat ``[N, F]`` beside ``batch``.
        frame: Each node's frame, shaped like the nodes, or ``[M]`` for all sequences of dense x.
        batch: Each node's sequence, ``[N]``.
        mask: The nodes that are present.
        batch_size: The number of sequences.

    Raises:
        TypeError: If a dtype has no meaning.
        ValueError: If a size does not fit.

    Example:
        >>> check_nodes(torch.rand(3, 2), torch.arange(3), torch.tensor([0, 0, 0]), None, 1)
    """
    check_features(x)
    check_mask(x, mask)
    check_index("frame", frame)
    check_index("batch", batch)
    if frame is not None and frame.shape != x.shape[:-1] and frame.shape != x.shape[-2:-1]:
        raise ValueError(f"frame has shape {list(frame.shape)}; for x {list(x.shape)} it is {list(x.shape[:-1])}")
    if batch is not None and (x.dim() > 2 or batch.shape != x.shape[:1]):
        raise ValueError(
            f"batch has shape {list(batch.shape)} beside x {list(x.shape)}; batch is [N] for flat x [N, F], and dense "
            f"x [B, M, F] needs none"
        )
    num_sequences = prod(x.shape[:-2])
    if batch is None and batch_size not in (None, num_sequences):
        raise ValueError(
            f"batch_size is {batch_size}, but x {list(x.shape)} without batch holds {num_sequences}; leave it out, or "
            f"say with batch= which sequence each node belongs to"
        )
