"""The maximum over the nodes of a sequence, and the node that it comes from."""

import torch
from torch import Tensor

from lgrin.ops import torch_kernels
from lgrin.ops.kernels import kernels_for


def sequence_max(x: Tensor, batch: Tensor, batch_size: int) -> tuple[Tensor, Tensor]:
    r"""Takes the maximum over the nodes of each sequence; at a tie the first node, and NaN is larger than any number.

    .. math:: y_{bf} = \max \{ x_{if} : \mathrm{batch}_i = b \}

    Args:
        x: Node features ``[N, F]``.
        batch: Int64 ``[N]``, each node's sequence, sorted.
        batch_size: The number of sequences B.

    Returns:
        The maxima ``[B, F]``, and the nodes that they come from, int64 ``[B, F]``; the last node for a sequence without
        one.

    Example:
        >>> values, source = sequence_max(torch.tensor([[1.0], [3.0], [3.0], [2.0]]), torch.tensor([0, 0, 0, 1]), 2)
        >>> values.flatten().tolist(), source.flatten().tolist()
        ([3.0, 2.0], [1, 3])
    """
    if x.size(0) == 0:
        return x.new_zeros(batch_size, x.size(1)), batch.new_zeros(batch_size, x.size(1))
    kernels = kernels_for(x.device.type) if _is_plain(x) and _is_plain(batch) else torch_kernels
    source = kernels.first_of_maxima(x.detach(), batch, batch_size)
    return x.gather(0, source), source


def _is_plain(x: Tensor) -> bool:
    """Whether a kernel may read a tensor: outside compiled programs, transforms, and classes derived from tensors."""
    if torch.compiler.is_compiling() or torch._C._functorch.is_functorch_wrapped_tensor(x):
        return False
    return type(x.detach()) is Tensor
