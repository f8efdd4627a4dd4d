"""Batch normalisation that counts present nodes only, in one process or in several."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed
from torch import Tensor
from torch.nn import Module
from torch.nn.modules.batchnorm import _BatchNorm

from lgrin.arguments import check_mask
from lgrin.nodes import at_least_float32, is_readable, present_indices, zero_absent
from lgrin.options import check_number, check_whole


class MaskedBatchNorm(_BatchNorm):
    r"""Normalises each channel over the present nodes of a batch.

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \epsilon}} \gamma + \beta

    It is :class:`torch.nn.BatchNorm1d` (same parameters, same buffers, same ``state_dict``) for node features of any
    leading shape, in which absent nodes count in no statistic. A single present node in training has a variance
    of 0; :func:`lgrin.validate.batch` reports it.

    Tools that look for batch norms find it, such as ``torch.optim.swa_utils.update_bn`` and
    ``torch.func.replace_all_batch_norm_modules_``. ``torch.nn.SyncBatchNorm.convert_sync_batchnorm`` would replace it
    by a norm that takes no mask, which the layers refuse.

    Where several processes train one model, :meth:`synchronize` makes them share count, sum and sum of squares, so
    that their statistics are those of the whole batch, however many nodes each process has.

    Args:
        num_features: Channels F.
        eps: Added to the variance.
        momentum: Weight of the newest batch in the running statistics; ``None`` averages all batches that have a
            present node.
        affine: Whether gamma and beta are learned.

    Shapes:
        - **x:** ``[*, F]``; **mask:** bool ``[*]``, the nodes that are present, or ``None``
        - **output:** ``[*, F]``; rows of absent nodes are finite and meaningless

    Raises:
        ValueError: If x does not have F channels, or the mask is not bool or not shaped like the nodes.

    Source:
        Ioffe and Szegedy, "Batch Normalization", ICML 2015. The paper's text has no norm; its released code does.

    Example:
        >>> norm = MaskedBatchNorm(1, eps=0.0)
        >>> x = torch.tensor([[1.0], [3.0], [float("nan")]])
        >>> norm(x, torch.tensor([True, True, False]))[:2].flatten().tolist()
        [-1.0, 1.0]
    """

    def __init__(self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True) -> None:
        momentum = None if momentum is None else check_number("momentum", momentum, maximum=1)
        super().__init__(check_whole("num_features", num_features), check_number("eps", eps), momentum, affine)
        self.synchronized, self.process_group = False, None

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores a norm; one that was pickled before it was derived from torch's lacks two of its settings."""
        affine = state["_parameters"].get("weight") is not None
        super().__setstate__({"affine": affine, "track_running_stats": True, **state})  # type: ignore[no-untyped-call]

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
        if mask is not None:
            check_mask(x, mask)
        return normalize_side_by_side([self], x, mask)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_features})"


def normalize_side_by_side(norms: Sequence[MaskedBatchNorm], x: Tensor, mask: Tensor | None = None) -> Tensor:
    """Runs norms side by side on the channels of one tensor, as one where their settings are the same.

    Args:
        norms: The norms, in the order of the channels.
        x: ``[*, F]``, where F is the sum of their channels.
        mask: Bool ``[*]``, the nodes that are present; ``None`` means all.

    Returns:
        ``[*, F]``, as if each norm had run on its own channels.

    Example:
        >>> normalize_side_by_side([MaskedBatchNorm(2), MaskedBatchNorm(1)], torch.rand(5, 3)).shape
        torch.Size([5, 3])
    """
    first, settings = norms[0], {_settings(norm) for norm in norms}
    if len(settings) > 1 or (len(norms) > 1 and first.momentum is None):  # someone froze one of them, for example
        parts = x.split([norm.num_features for norm in norms], dim=-1)
        return torch.cat([norm(part, mask) for norm, part in zip(norms, parts, strict=True)], dim=-1)
    weight, bias = (_side_by_side([getattr(norm, name) for norm in norms]) for name in ("weight", "bias"))
    mean, var = (_side_by_side([getattr(norm, name) for norm in norms]) for name in ("running_mean", "running_var"))
    of_batch = first.training or mean is None
    if first.training and not first.track_running_stats:
        mean = var = None
    rest = (weight, bias, mean, var, of_batch, _momentum(first), first.eps, torch.backends.cudnn.enabled)
    rows, mask = x.reshape(-1, x.size(-1)), _flat(mask)
    present = _present_rows(rows, mask) if of_batch and not first.synchronized else None
    any_present: Tensor | int = 1
    if present is not None:
        out = torch.zeros_like(rows).index_copy(0, present, torch.batch_norm(rows.index_select(0, present), *rest))
    elif of_batch and (mask is not None or first.synchronized or rows.size(0) < 2):
        out, any_present = _normalize_present(first, zero_absent(rows, mask), mask, weight, bias, mean, var)
    else:
        out = torch.batch_norm(rows if mask is None else zero_absent(rows, mask), *rest)
    if first.training and mean is not None and var is not None:
        _store_statistics(norms, mean, var, 1 if first.momentum is not None else any_present)
    return out.view(x.shape)


def check_takes_mask(name: str, norm: Module) -> None:
    """Raises if a norm is, or holds, a batch norm that takes no mask: it would count absent nodes.

    Args:
        name: What the error calls the norm.
        norm: The norm of a layer.

    Raises:
        TypeError: If it is one.

    Example:
        >>> check_takes_mask("input_norm", MaskedBatchNorm(2))
    """
    for one in norm.modules():
        if isinstance(one, _BatchNorm) and not isinstance(one, MaskedBatchNorm):
            raise TypeError(
                f"{name} is a {type(one).__name__}, a batch norm that takes no mask and would count absent nodes; it "
                f"may be a MaskedBatchNorm. In place of SyncBatchNorm.convert_sync_batchnorm(model), call "
                f"MaskedBatchNorm.synchronize(model)"
            )


def _settings(norm: MaskedBatchNorm) -> tuple[Any, ...]:
    """What norms that run as one have in common."""
    tracks = (norm.training, norm.track_running_stats, norm.running_mean is None)
    return norm.eps, norm.momentum, *tracks, norm.weight is None, norm.synchronized, norm.process_group


def _momentum(norm: MaskedBatchNorm) -> float:
    """The weight of this batch in the running statistics."""
    if norm.momentum is not None:
        return norm.momentum
    tracked = norm.num_batches_tracked if norm.training else None
    return 0.0 if tracked is None else 1 / (float(tracked) + 1)


def _flat(mask: Tensor | None) -> Tensor | None:
    return None if mask is None else mask.reshape(-1)


def _present_rows(rows: Tensor, mask: Tensor | None) -> Tensor | None:
    """Finds the rows that torch's batch norm may be given alone: where counting them costs nothing, two or more."""
    if mask is None or not is_readable(rows):
        return None
    present = present_indices(mask)
    return present if present.numel() > 1 else None


def _side_by_side(vectors: list[Any]) -> Tensor | None:
    return vectors[0] if len(vectors) == 1 or vectors[0] is None else torch.cat(vectors)


def _normalize_present(
    norm: MaskedBatchNorm,
    rows: Tensor,
    mask: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Normalises ``[N, F]``, whose absent rows are 0, and moves the running statistics in place.

    The second result says whether any row is present, in all processes together.
    """
    dtype, rows = rows.dtype, at_least_float32(rows)
    present = rows.new_ones(rows.size(0)) if mask is None else mask.to(rows.dtype)
    sums = _over_processes(norm, torch.cat([present.sum().unsqueeze(0), rows.sum(0)]))
    count, mean = sums[0], sums[1:] / sums[0].clamp(min=1)
    centered = zero_absent(rows - mean, mask)
    squares = _over_processes(norm, centered.square().sum(0))
    any_present = count > 0
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            newest = _momentum(norm) * any_present.to(mean.dtype)
            running_mean.copy_(at_least_float32(running_mean).lerp(mean, newest))
            running_var.copy_(at_least_float32(running_var).lerp(squares / (count - 1).clamp(min=1), newest))
    scale = torch.rsqrt(squares / count.clamp(min=1) + norm.eps)
    if weight is None or bias is None:
        return (centered * scale).to(dtype), any_present
    return torch.addcmul(at_least_float32(bias), centered, scale * at_least_float32(weight)).to(dtype), any_present


def _over_processes(norm: MaskedBatchNorm, value: Tensor) -> Tensor:
    """Adds up a value over the processes that share statistics; gradients flow to each of them."""
    if not norm.synchronized or not norm.training or not torch.distributed.is_initialized():
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
def _store_statistics(norms: Sequence[MaskedBatchNorm], mean: Tensor, var: Tensor, batches: Tensor | int) -> None:
    norm: Any
    for norm in norms:
        norm.num_batches_tracked.add_(batches)
    if len(norms) == 1:
        return  # they were moved where they are
    sizes = [norm.num_features for norm in norms]
    for norm, new_mean, new_var in zip(norms, mean.split(sizes), var.split(sizes), strict=True):
        norm.running_mean.copy_(new_mean)
        norm.running_var.copy_(new_var)
