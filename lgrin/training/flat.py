"""AdamW on weights that lie one after the other."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import AdamW

ALIGNED = 64  # bytes, where PyTorch begins its tensors: matrix products round by where their operands begin


class FlatAdamW(AdamW):
    """AdamW that moves all weights by the same ten calls, in place of ten for each of them.

    The weights are moved into one tensor, and become views of it. On a CPU they get the numbers that ``foreach=True``
    gives them, to the bit; on an NVIDIA GPU one fused kernel moves them, whose learning rate is a number in its memory,
    so that a step can be recorded. From the first step in which a weight has no gradient, which AdamW leaves as it is,
    and where weights do not fit into one tensor, they are moved one by one.

    Args:
        weights: The weights; those that need no gradient stay where they are.
        lr: Learning rate.
        weight_decay: Decoupled weight decay.
        foreach: Whether weights that do not fit into one tensor are moved by calls for all of them.

    Source:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.

    Example:
        >>> linear = torch.nn.Linear(2, 1)
        >>> optimizer = FlatAdamW(linear.parameters(), lr=0.1, weight_decay=0.0)
        >>> linear(torch.ones(1, 2)).sum().backward()
        >>> before = linear.bias.item()
        >>> optimizer.step()
        >>> round(before - linear.bias.item(), 4)
        0.1
    """

    def __init__(self, weights: Iterable[Parameter], lr: float, weight_decay: float, foreach: bool = True) -> None:
        super().__init__(weights, lr, weight_decay=weight_decay, foreach=foreach)
        self.weights = [one for one in self.param_groups[0]["params"] if one.requires_grad]
        self._whole: AdamW | None = None
        if self.weights and _fit_together(self.weights):
            flat = Parameter(_lay_out(self.weights))
            flat.grad = torch.zeros_like(flat)
            self._whole = _adamw(flat, lr, weight_decay)
            self._gradients = _views(flat.grad, self.weights)

    @property
    def moves_together(self) -> bool:
        """Whether all weights are still moved as one."""
        return self._whole is not None

    def set_rate(self) -> None:
        """Tells the kernel of a GPU the learning rate of the next step, which a schedule has changed."""
        if self._whole is not None and isinstance(rate := self._whole.param_groups[0]["lr"], Tensor):
            rate.fill_(self.param_groups[0]["lr"])

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Takes a step; see :class:`torch.optim.AdamW`."""
        if self._whole is None or closure is not None:
            self._move_one_by_one()
            return super().step(closure)
        gradients = [one.grad for one in self.weights]
        if any(one is None for one in gradients):
            self._move_one_by_one()
            return super().step()
        torch._foreach_copy_(self._gradients, gradients)
        group, whole = self.param_groups[0], self._whole.param_groups[0]
        own = ("params", "lr", "foreach", "fused", "capturable") if isinstance(whole["lr"], Tensor) else ("params",)
        whole.update({name: group[name] for name in group if name not in own})
        return self._whole.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients."""
        if not set_to_none:
            return super().zero_grad(set_to_none)
        for one in self.weights:
            one.grad = None
        return None

    def close(self) -> None:
        """Gives every weight memory of its own again, as those who store or share a single one expect; ends the run."""
        self._move_one_by_one()
        for one in self.weights:
            one.data = one.data.clone()

    def _move_one_by_one(self) -> None:
        """Hands every weight its own moments."""
        whole, self._whole = self._whole, None
        if whole is None or not whole.state:
            return
        (state,) = whole.state.values()
        moments = (_views(state[name], self.weights) for name in ("exp_avg", "exp_avg_sq"))
        for one, average, squares in zip(self.weights, *moments, strict=True):
            self.state[one] = {"step": state["step"].clone(), "exp_avg": average, "exp_avg_sq": squares}


def _adamw(flat: Parameter, lr: float, weight_decay: float) -> AdamW:
    """The optimiser of all weights as one."""
    if not flat.is_cuda:
        return AdamW([flat], lr, weight_decay=weight_decay, foreach=True)
    rate: Any = torch.tensor(lr, device=flat.device)
    return AdamW([flat], rate, weight_decay=weight_decay, fused=True, capturable=True)


def _fit_together(weights: list[Parameter]) -> bool:
    """Whether weights are of one type on one device, and plain tensors in the order of their axes."""
    kinds = {(one.dtype, one.device, one.layout) for one in weights}
    plain = all(type(one) is Parameter and one.is_contiguous() for one in weights)
    return plain and len(kinds) == 1 and weights[0].layout is torch.strided and weights[0].is_floating_point()


@torch.no_grad()
def _lay_out(weights: list[Parameter]) -> Tensor:
    """Moves weights into one tensor, and makes them views of it."""
    flat = weights[0].new_zeros(sum(_sizes(weights)))
    for one, place in zip(weights, _views(flat, weights), strict=True):
        one.data = place.copy_(one)
    return flat


def _views(flat: Tensor, weights: list[Parameter]) -> list[Tensor]:
    """Cuts a tensor into views that are shaped like the weights."""
    parts = zip(flat.split(_sizes(weights)), weights, strict=True)
    return [part[: one.numel()].view(one.shape) for part, one in parts]


def _sizes(weights: list[Parameter]) -> list[int]:
    """How many numbers of the tensor each weight takes."""
    whole = ALIGNED // weights[0].element_size()
    return [-(-one.numel() // whole) * whole for one in weights]
