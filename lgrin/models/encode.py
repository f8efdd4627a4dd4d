"""Frames of any shape, turned into features by a module that is trained with the graph."""

from torch import Tensor
from torch.nn import Module

from lgrin.graph import places


def encode(encoder: Module, x: Tensor, mask: Tensor | None, leading: int, num_channels: int) -> Tensor:
    """Runs an encoder on the frames that are present, and on no others.

    Args:
        encoder: Any module ``[K, ...] -> [K, P]``.
        x: Frames ``[*, ...]``.
        mask: Bool ``[*]``, the frames that are present; ``None`` means all. Finding them waits for a GPU.
        leading: How many dimensions count nodes, the star.
        num_channels: Features that the encoder has to give, P.

    Returns:
        Features ``[*, P]``; rows of absent frames are 0.

    Raises:
        ValueError: If the encoder gives anything but ``[K, P]`` floating numbers.

    Example:
        >>> import torch
        >>> x, mask = torch.tensor([[[1.0], [float("nan")]]]), torch.tensor([[True, False]])
        >>> encode(torch.nn.Identity(), x, mask, leading=2, num_channels=1).flatten().tolist()
        [1.0, 0.0]
    """
    nodes, frames = x.shape[:leading], x.flatten(0, leading - 1)
    present = None if mask is None else places(mask)
    features = _run(encoder, frames if present is None else frames.index_select(0, present), num_channels)
    if present is not None:
        features = features.new_zeros(frames.size(0), num_channels).index_copy(0, present, features)
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
