"""Batch normalisation that counts present nodes only, in one process or in several."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed
from torch import Tensor
from torch.nn import Module, Parameter

from lgrin.graph import hide, is_readable, places, wide
from lgrin.options import check_whole


class MaskedBatchNorm(Module):
    r"""Normalises each channel over the present nodes of a batch.

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \epsilon}} \gamma + \beta

    It is :class:`torch.nn.BatchNorm1d` (same parameters, same buffers, same ``state_dict``) for node features of any
    leading shape, in which absent nodes count in no statistic. A single present node in training has a variance
    of 0; :func:`lgrin.validate.batch` reports it.

    Where several processes train one model, :meth:`synchronize` makes them share count, sum and sum of squares, so
    that their statistics are those of the whole batch, however many nodes each process has.

    Args:
        num_features: Channels F.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics.
        affine: Whether gamma and beta are learned.

    Shapes:
        - **x:** ``[*, F]``; **mask:** bool ``[*]``, the nodes that are present, or ``None``
        - **output:** ``[*, F]``; rows of absent nodes are finite and meaningless

    Raises:
        ValueError: If x does not have F channels.

    Source:
        Ioffe and Szegedy, "Batch Normalization", ICML 2015. The paper's text has no norm; its released code does.

    Example:
        >>> norm = MaskedBatchNorm(1, eps=0.0)
        >>> x = torch.tensor([[1.0], [3.0], [float("nan")]])
        >>> norm(x, torch.tensor([True, True, False]))[:2].flatten().tolist()
        [-1.0, 1.0]
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True) -> None:
        super().__init__()
        check_whole("num_features", num_features)
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.synchronized, self.process_group = False, None
        self.weight = Parameter(torch.ones(num_features)) if affine else None
        self.bias = Parameter(torch.zeros(num_features)) if affine else None
        self.running_mean: Tensor
        self.running_var: Tensor
        self.num_batches_tracked: Tensor
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def reset_parameters(self) -> None:
        """Forgets the statistics and sets gamma to 1 and beta to 0."""
        self.running_mean.zero_()
        self.running_var.fill_(1)
        self.num_batches_tracked.zero_()
        if self.weight is not None and self.bias is not None:
            torch.nn.init.ones_(self.weight)
            torch.nn.init.zeros_(self.bias)

    @staticmethod
    def synchronize(module: Module, process_group: Any = None, enabled: bool = True) -> None:
        """Makes every masked batch norm in a module share its statistics among processes while it trains.

        Every process has to run the module as often as the others, as under DistributedDataParallel.

        Args:
            module: Any module.
            process_group: The processes, ``None`` for all.
            enabled: ``False`` makes them go alone again.

        Example:
            >>> norm = MaskedBatchNorm(2)
            >>> MaskedBatchNorm.synchronize(norm)
            >>> norm.synchronized
            True
        """
        for one in module.modules():
            if isinstance(one, MaskedBatchNorm):
                one.synchronized, one.process_group = enabled, process_group

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalises ``[*, F]``; see the class."""
        if x.size(-1) != self.num_features:
            raise ValueError(
                f"x has {x.size(-1)} channels, but this norm was built for num_features={self.num_features}"
            )
        return normalize([self], x, mask)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_features})"


def normalize(norms: Sequence[MaskedBatchNorm], x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Runs norms side by side on the channels of one tensor, as one where their settings are the same.

    Args:
        norms: The norms, in the order of the channels.
        x: ``[*, F]``, where F is the sum of their channels.
        mask: Bool ``[*]``, the nodes that are present; ``None`` means all.

    Returns:
        ``[*, F]``, as if each norm had run on its own channels.

    Example:
        >>> normalize([MaskedBatchNorm(2), MaskedBatchNorm(1)], torch.rand(5, 3)).shape
        torch.Size([5, 3])
    """
    settings = {(n.eps, n.momentum, n.training, n.weight is None, n.synchronized, n.process_group) for n in norms}
    if len(settings) > 1:  # someone froze one of them, for example
        parts = x.split([norm.num_features for norm in norms], dim=-1)
        return torch.cat([norm(part, mask) for norm, part in zip(norms, parts, strict=True)], dim=-1)
    first = norms[0]
    weight = None if first.weight is None else _side_by_side([norm.weight for norm in norms])
    bias = None if first.bias is None else _side_by_side([norm.bias for norm in norms])
    mean = _side_by_side([norm.running_mean for norm in norms])
    var = _side_by_side([norm.running_var for norm in norms])
    cudnn = torch.backends.cudnn.enabled
    rest = (weight, bias, mean, var, first.training, first.momentum, first.eps, cudnn)
    rows = x.reshape(-1, x.size(-1))
    present = _present_rows(first, rows, mask)
    if present is not None:
        out = torch.zeros_like(rows).index_copy(0, present, torch.batch_norm(rows.index_select(0, present), *rest))
    elif first.training and (mask is not None or first.synchronized or rows.size(0) < 2):
        out = _normalize_present(first, hide(rows, _flat(mask)), _flat(mask), weight, bias, mean, var)
    else:
        out = torch.batch_norm(hide(rows, _flat(mask)), *rest)
    if first.training:
        _store_statistics(norms, mean, var)
    return out.view(x.shape)


def _flat(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.reshape(-1)


def _present_rows(norm: MaskedBatchNorm, rows: Tensor, mask: Tensor | None) -> Tensor | None:
    """Finds the rows that torch's batch norm may be given alone: where counting them costs nothing, two or more."""
    if mask is None or not norm.training or norm.synchronized or not is_readable(rows):
        return None
    present = places(mask)
    return present if present.numel() > 1 else None


def _side_by_side(vectors: list[Any]) -> Tensor:
    return vectors[0] if len(vectors) == 1 else torch.cat(vectors)


def _normalize_present(
    norm: MaskedBatchNorm,
    rows: Tensor,
    mask: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
) -> Tensor:
    """Normalises ``[N, F]``, whose absent rows are 0, and moves the running statistics in place."""
    dtype, rows = rows.dtype, wide(rows)
    present = rows.new_ones(rows.size(0)) if mask is None else mask.to(rows.dtype)
    sums = _over_processes(norm, torch.cat([present.sum().unsqueeze(0), rows.sum(0)]))
    count, mean = sums[0], sums[1:] / sums[0].clamp(min=1)
    centered = hide(rows - mean, mask)
    squares = _over_processes(norm, centered.square().sum(0))
    with torch.no_grad():
        newest = norm.momentum * (count > 0).to(mean.dtype)
        running_mean.copy_(wide(running_mean).lerp(mean, newest))
        running_var.copy_(wide(running_var).lerp(squares / (count - 1).clamp(min=1), newest))
    scale = torch.rsqrt(squares / count.clamp(min=1) + norm.eps)
    if weight is None or bias is None:
        return (centered * scale).to(dtype)
    return torch.addcmul(wide(bias), centered, scale * wide(weight)).to(dtype)


def _over_processes(norm: MaskedBatchNorm, value: Tensor) -> Tensor:
    """Adds up a value over the processes that share statistics; gradients flow to each of them."""
    if not norm.synchronized or not torch.distributed.is_initialized():
        return value  # a process without a group is alone
    total: Any = _Total
    return total.apply(value, norm.process_group)


class _Total(torch.autograd.Function):
    """The sum over processes, whose gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, group: Any) -> Tensor:
        ctx.group = group
        total = value.clone()
        torch.distributed.all_reduce(total, group=group)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        total: Any = _Total
        return total.apply(grads[0].contiguous(), ctx.group), None


@torch.no_grad()
def _store_statistics(norms: Sequence[MaskedBatchNorm], mean: Tensor, var: Tensor) -> None:
    for norm in norms:
        norm.num_batches_tracked.add_(1)
    if len(norms) == 1:
        return  # they were moved where they are
    sizes = [norm.num_features for norm in norms]
    for norm, new_mean, new_var in zip(norms, mean.split(sizes), var.split(sizes), strict=True):
        norm.running_mean.copy_(new_mean)
        norm.running_var.copy_(new_var)
