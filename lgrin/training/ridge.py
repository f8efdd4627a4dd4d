"""Ridge regression onto classes, in closed form."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

PENALTIES = torch.logspace(-5, 3, 17, dtype=torch.double)  # beside the mean squared error of all sequences
LEAST = 0.1  # of its deviation without weights: a feature has no lower deviation, lest rare ones be blown up
TEMPERATURES = torch.logspace(-1, 2, 40, dtype=torch.double)  # what scores are multiplied by


class Ridge(NamedTuple):
    """A linear classifier whose penalty and temperature come from scores of left-out sequences.

    Attributes:
        weight: ``[C, F]``; a softmax of ``features @ weight.T + bias`` gives probabilities.
        bias: ``[C]``.
        penalty: The penalty that was chosen.
        left_out: The logits of each training sequence by the classifier of the others, ``[n, C]``.
        losses: Their cross-entropy, against labels smoothed by one sequence in all, ``[n]``.
    """

    weight: Tensor
    bias: Tensor
    penalty: float
    left_out: Tensor
    losses: Tensor


def fit_ridge(
    features: Tensor, labels: Tensor, num_classes: int, weight: Tensor, scale: Tensor, groups: Tensor | None = None
) -> Ridge:
    r"""Fits one class against all others, and chooses the penalty by sequences or groups that are left out.

    .. math:: \min_{\beta, b} \sum_i \frac{w_i}{\sum_j w_j} \lVert y_i - b - \beta^\top z_i \rVert^2
              + \lambda \lVert \beta \rVert^2, \qquad y_i \in \{-1, 1\}^C

    With H the matrix from targets to fitted values, the residuals of left-out sequences g are
    :math:`(I - H_{gg})^{-1} r_g`, so that nothing is fitted twice. The penalty is that of the lowest cross-entropy of
    the left-out scores, each penalty with its best temperature. The cost is that of the eigenvalues of a square matrix
    of n or F rows, whichever is smaller.

    Args:
        features: ``[n, F]``.
        labels: Int64 ``[n]``, in ``[0, C)``.
        num_classes: C.
        weight: Positive ``[n]``, of each sequence.
        scale: ``[F]``, the standard deviation that each feature has in the ridge.
        groups: Int64 ``[n]``, what is left out together; ``None`` leaves out one sequence at a time.

    Returns:
        The classifier.

    Example:
        >>> x, y = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]]), torch.tensor([0, 0, 1, 1])
        >>> ridge = fit_ridge(x, y, 2, torch.ones(4), torch.ones(1))
        >>> (x @ ridge.weight.T.float() + ridge.bias.float()).argmax(1).tolist()
        [0, 0, 1, 1]
    """
    return fit_ridges(features, labels, num_classes, weight, [scale], groups)[0]


def fit_ridges(
    features: Tensor,
    labels: Tensor,
    num_classes: int,
    weight: Tensor,
    scales: Sequence[Tensor],
    groups: Tensor | None = None,
) -> list[Ridge]:
    """Fits several classifiers that differ in the scale of the features alone.

    Args:
        features: ``[n, F]``.
        labels: Int64 ``[n]``, in ``[0, C)``.
        num_classes: C.
        weight: Positive ``[n]``, of each sequence.
        scales: ``[F]`` each, as for :func:`fit_ridge`.
        groups: As for :func:`fit_ridge`.

    Returns:
        A classifier for each scale.

    Example:
        >>> x, y = torch.tensor([[-2.0, 9.0], [2.0, 9.0]]), torch.tensor([0, 1])
        >>> len(fit_ridges(x, y, 2, torch.ones(2), [torch.ones(2), torch.tensor([1.0, 0.0])]))
        2
    """
    share = weight.double() / weight.double().sum()
    target = torch.full((len(labels), num_classes), -1.0, dtype=torch.double)
    target[torch.arange(len(labels)), labels] = 1
    wide = features.double()
    center, mean = share @ wide, share @ target
    z = wide - center
    deviation = (share @ z.square()).sqrt().maximum(LEAST * z.std(0, correction=0))
    factors = [torch.where(deviation > 1e-6, one.double() / deviation.clamp(min=1e-6), 0) for one in scales]
    return [_fit(z, target, mean, center, factor, labels, share, groups) for factor in factors]


def _fit(
    z: Tensor,
    target: Tensor,
    mean: Tensor,
    center: Tensor,
    factor: Tensor,
    labels: Tensor,
    share: Tensor,
    groups: Tensor | None,
) -> Ridge:
    """Fits one classifier to centred features, each multiplied by its factor."""
    root = share.sqrt().unsqueeze(1)
    rows, sought = z * factor * root, (target - mean) * root
    values, vectors = _spectrum(rows)
    found, constant, best = vectors.mT @ sought, share.sqrt(), None
    for penalty in PENALTIES.tolist():
        shrunk = values / (values + penalty)
        residual = sought - vectors @ (shrunk.unsqueeze(1) * found)
        left_out = target - _without_own(residual, vectors, shrunk, constant, groups) / root
        temperature, losses = _temperature(left_out, labels, share)
        if best is None or losses @ share < best[0] @ share:
            best = losses, penalty, temperature, left_out
    assert best is not None
    losses, penalty, temperature, left_out = best
    dual = vectors @ (found / (values + penalty).unsqueeze(1))
    beta = (rows.mT @ dual) * factor.unsqueeze(1) * temperature
    return Ridge(beta.mT, mean * temperature - center @ beta, penalty, left_out * temperature, losses)


def _spectrum(rows: Tensor) -> tuple[Tensor, Tensor]:
    """The non-zero eigenvalues of ``rows @ rows.T``, and their vectors ``[n, r]``."""
    n, width = rows.shape
    values, vectors = torch.linalg.eigh(rows @ rows.mT if n <= width else rows.mT @ rows)
    kept = values > values[-1].clamp(min=torch.finfo(values.dtype).tiny) * 1e-12
    values, vectors = values[kept], vectors[:, kept]
    return values, vectors if n <= width else rows @ vectors / values.sqrt()


def _without_own(residual: Tensor, vectors: Tensor, shrunk: Tensor, constant: Tensor, groups: Tensor | None) -> Tensor:
    """Residuals of sequences by the fit without them, or without their group."""
    if groups is None:
        own = vectors.square() @ shrunk + constant.square()
        return residual / (1 - own).clamp(min=1e-8).unsqueeze(1)
    result = torch.empty_like(residual)
    for group in groups.unique():
        rows = (groups == group).nonzero().squeeze(1)
        own = (vectors[rows] * shrunk) @ vectors[rows].mT + torch.outer(constant[rows], constant[rows])
        result[rows] = torch.linalg.lstsq(torch.eye(len(rows)).to(own) - own, residual[rows]).solution
    return result


def _temperature(scores: Tensor, labels: Tensor, share: Tensor) -> tuple[float, Tensor]:
    """What scores are to be multiplied by, and the cross-entropies ``[n]`` then."""
    count, num_classes = scores.shape
    spread = 1 / (count + num_classes)
    logits = (scores * TEMPERATURES.view(-1, 1, 1)).log_softmax(-1)
    right = logits.gather(-1, labels.view(1, -1, 1).expand(len(logits), -1, 1)).squeeze(-1)
    losses = -((1 - num_classes * spread) * right + spread * logits.sum(-1))
    best = int((losses @ share).argmin())
    return float(TEMPERATURES[best]), losses[best]
