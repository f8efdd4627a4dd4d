"""Batch normalisation that counts present nodes only."""

import torch
from torch import Tensor
from torch.nn import Module, Parameter

from lgrin.graph import hide, wide
from lgrin.options import check_whole


class MaskedBatchNorm(Module):
    r"""Normalises each channel over the present nodes of a batch.

    .. math:: y = \frac{x - \mathrm{E}[x]}{\sqrt{\mathrm{Var}[x] + \epsilon}} \gamma + \beta

    It is :class:`torch.nn.BatchNorm1d` (same parameters, same buffers, same ``state_dict``) for node features of any
    leading shape, in which absent nodes count in no statistic. A single present node in training has a variance
    of 0; :func:`lgrin.validate.batch` reports it.

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

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Normalises ``[*, F]``; see the class."""
        if x.size(-1) != self.num_features:
            raise ValueError(
                f"x has {x.size(-1)} channels, but this norm was built for num_features={self.num_features}"
            )
        rows = hide(x, mask).reshape(-1, self.num_features)
        if self.training:
            self.num_batches_tracked.add_(1)
            if mask is not None or rows.size(0) < 2:
                return self._normalize_present(rows, mask).view(x.shape)
        out = torch.batch_norm(
            rows,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            self.training,
            self.momentum,
            self.eps,
            torch.backends.cudnn.enabled,
        )
        return out.view(x.shape)

    def _normalize_present(self, rows: Tensor, mask: Tensor | None) -> Tensor:
        dtype, rows = rows.dtype, wide(rows)
        present = rows.new_ones(rows.size(0)) if mask is None else mask.reshape(-1).to(rows.dtype)
        count = present.sum()
        mean = rows.sum(0) / count.clamp(min=1)
        centered = (rows - mean) * present.unsqueeze(-1)
        squares = centered.square().sum(0)
        self._track(mean.detach(), squares.detach() / (count - 1).clamp(min=1), count)
        out = centered * torch.rsqrt(squares / count.clamp(min=1) + self.eps)
        out = out if self.weight is None or self.bias is None else out * self.weight + self.bias
        return out.to(dtype)

    def _track(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        weight = self.momentum * (count > 0).to(mean.dtype)
        for running, new in ((self.running_mean, mean), (self.running_var, var)):
            running.copy_(wide(running).lerp(new, weight))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_features})"
