"""Frames of any shape, turned into features by a module that is trained with the graph."""

import torch
from torch import Tensor
from torch.nn import Module

from lgrin.nodes import present_indices, zero_absent


def encode(encoder: Module, x: Tensor, mask: Tensor | None, leading: int, num_channels: int) -> Tensor:
    """Runs an encoder on the frames that are present, and on no others.

    Finding them waits for a GPU and cannot be exported. A program that is compiled or exported for evaluation, where a
    frame's features do not depend on others, therefore encodes zeros in place of absent frames.

    Args:
        encoder: Any module ``[K, ...] -> [K, P]``.
        x: Frames ``[*, ...]``.
        mask: Bool ``[*]``, the frames that are present; ``None`` means all.
        leading: How many dimensions count nodes, the star.
        num_channels: Features that the encoder has to give, P.

    Returns:
        Features ``[*, P]``; rows of absent frames are 0.

    Raises:
        ValueError: If the encoder gives anything but ``[K, P]`` floating numbers.

    Example:
        >>> x, mask = torch.tensor([[[1.0], [float("nan")]]]), torch.tensor([[True, False]])
        >>> encode(torch.nn.Identity(), x, mask, leading=2, num_channels=1).flatten().tolist()
        [1.0, 0.0]
    """
    nodes, frames = x.shape[:leading], x.flatten(0, leading - 1)
    if mask is None:
        features = _run(encoder, frames, num_channels)
    elif torch.compiler.is_compiling() and not encoder.training:
        absent = ~mask.reshape(-1, *[1] * (frames.dim() - 1))
        features = zero_absent(_run(encoder, frames.masked_fill(absent, 0), num_channels), mask.reshape(-1))
    else:
        present = present_indices(mask)
        encoded = _run(encoder, frames.index_select(0, present), num_channels)
        features = encoded.new_zeros(frames.size(0), num_channels).index_copy(0, present, encoded)
    return features.view(*nodes, num_channels)


def _run(encoder: Module, frames: Tensor, num_channels: int) -> Tensor:
    features = encoder(frames)
    shape = [frames.size(0), num_channels]
    if not isinstance(features, Tensor) or list(features.shape) != shape or not features.is_floating_point():
        is_tensor = isinstance(features, Tensor)
        given = f"{features.dtype} {list(features.shape)}" if is_tensor else f"a {type(features).__name__}"
        raise ValueError(
            f"encoder makes {given} of frames {list(frames.shape)}; with in_channels={num_channels} it has to make "
            f"floating numbers {shape}"
        )
    return features
