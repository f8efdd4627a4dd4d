"""Present frames one after another, for recurrent layers."""

from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence


def compact(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Moves the present frames of each sequence to its start, in their order.

    Args:
        x: Features ``[B, M, F]``.
        mask: Bool ``[B, M]``, the frames that exist.

    Returns:
        The features ``[B, M, F]`` and the mask ``[B, M]`` in the new order.

    Example:
        >>> import torch
        >>> x, mask = compact(torch.tensor([[[0.0], [5.0]]]), torch.tensor([[False, True]]))
        >>> x.flatten().tolist(), mask.tolist()
        ([5.0, 0.0], [[True, False]])
    """
    order = (~mask).byte().argsort(dim=1, stable=True)
    return x.gather(1, order.unsqueeze(-1).expand_as(x)), mask.gather(1, order)


def pack(x: Tensor, mask: Tensor) -> PackedSequence:
    """Packs the present frames of each sequence; an empty sequence counts as one frame.

    Args:
        x: Features ``[B, M, F]``, zero at missing frames.
        mask: Bool ``[B, M]``, the frames that exist.

    Returns:
        The packed sequences.

    Example:
        >>> import torch
        >>> pack(torch.rand(2, 3, 1), torch.tensor([[True, False, True], [True, False, False]])).batch_sizes.tolist()
        [2, 1]
    """
    lengths = mask.sum(1).clamp(min=1).cpu()
    return pack_padded_sequence(compact(x, mask)[0], lengths, batch_first=True, enforce_sorted=False)
