"""What the arguments of a forward pass have to look like: kinds, dtypes and sizes, never values."""

from typing import Any

import torch
from torch import Tensor

WHOLE_NUMBERS = (torch.int64, torch.int32)


def check_features(x: Any) -> None:
    """Raises unless x is a floating tensor of rank 2 or 3.

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
    if x.dim() not in (2, 3):
        raise ValueError(f"x has shape {list(x.shape)}; node features are [N, F], [M, F] or [B, M, F]")


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


def check_nodes(
    x: Any, frame: Tensor | None, batch: Tensor | None, mask: Tensor | None, batch_size: int | None
) -> None:
    """Raises unless frame, batch, mask and batch_size fit x.

    Args:
        x: Node features ``[B, M, F]``, ``[M, F]``, or flat ``[N, F]`` beside ``batch``.
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
    if batch is not None and (x.dim() == 3 or batch.shape != x.shape[:1]):
        raise ValueError(
            f"batch has shape {list(batch.shape)} beside x {list(x.shape)}; batch is [N] for flat x [N, F], and dense "
            f"x [B, M, F] needs none"
        )
    num_sequences = x.size(0) if x.dim() == 3 else 1
    if batch is None and batch_size not in (None, num_sequences):
        raise ValueError(
            f"batch_size is {batch_size}, but x {list(x.shape)} without batch holds {num_sequences}; leave it out, or "
            f"say with batch= which sequence each node belongs to"
        )
