"""Ridge regression onto classes, in closed form."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

PENALTIES = torch.logspace(-5, 1, 13, dtype=torch.double)  # beside the mean squared error of all sequences
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
    share, center, z, unit = _centered(features, weight)
    target = torch.full((len(labels), num_classes), -1.0, dtype=torch.double)
    target[torch.arange(len(labels)), labels] = 1
    mean, root = share @ target, share.sqrt().unsqueeze(1)
    rows, sought, ridges = z.mul_(unit).mul_(root), (target - mean) * root, []
    factors = torch.stack([one.double() for one in scales])
    for factor, (values, vectors) in zip(factors, _spectra(rows, factors), strict=True):
        left_out = target - _without_own(sought, values, vectors, share.sqrt(), groups) / root
        best, temperature, losses = _choose(left_out, labels, share)
        penalty = float(PENALTIES[best])
        dual = vectors @ (vectors.mT @ sought / (values + penalty).unsqueeze(1))
        beta = (rows.mT @ dual) * (factor.square() * unit * temperature).unsqueeze(1)
        bias = mean * temperature - center @ beta
        ridges.append(Ridge(beta.mT, bias, penalty, left_out[best] * temperature, losses))
    return ridges


def fit_pairs(
    features: Tensor, labels: Tensor, num_classes: int, weight: Tensor, scale: Tensor, groups: Tensor | None = None
) -> Ridge:
    r"""Fits one classifier to each pair of classes, and adds their scores up to one score for each class.

    .. math:: f_a(x) = \tfrac{1}{C - 1} \sum_{b \ne a} f_{ab}(x)

    Each :math:`f_{ab}` is the ridge of :func:`fit_ridge` on the sequences of classes a and b alone, all of them with
    one penalty. The sum is linear again, and has as many weights as :func:`fit_ridge`. Arguments are those of
    :func:`fit_ridge`; memory grows with the square of n.

    Example:
        >>> x, y = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]]), torch.tensor([0, 0, 1, 1])
        >>> ridge = fit_pairs(x, y, 2, torch.ones(4), torch.ones(1))
        >>> (x @ ridge.weight.T.float() + ridge.bias.float()).argmax(1).tolist()
        [0, 0, 1, 1]
    """
    share, center, z, unit = _centered(features, weight)
    factor = scale.double() * unit
    rows = z.mul_(factor)
    products, count = rows @ rows.mT, len(PENALTIES)
    left_out = rows.new_zeros(count, len(rows), num_classes)
    duals, biases = rows.new_zeros(count, len(rows), num_classes), rows.new_zeros(count, num_classes)
    for pair in torch.combinations(torch.arange(num_classes)):
        here = torch.isin(labels, pair).nonzero().squeeze(1)
        if len(here) == 0:  # two classes without a training sequence
            continue
        scores, dual, bias = _of_pair(products[:, here], here, labels[here] == pair[0], share[here], groups)
        for index, sign in zip(pair.tolist(), (1 / (num_classes - 1), -1 / (num_classes - 1)), strict=True):
            left_out[:, :, index] += sign * scores
            duals[:, here, index] += sign * dual
            biases[:, index] += sign * bias
    best, temperature, losses = _choose(left_out, labels, share)
    beta = rows.mT @ duals[best] * factor.unsqueeze(1) * temperature
    bias = biases[best] * temperature - center @ beta
    return Ridge(beta.mT, bias, float(PENALTIES[best]), left_out[best] * temperature, losses)


def average(one: Ridge, other: Ridge, labels: Tensor) -> Ridge:
    """Takes the mean of the logits of two classifiers.

    Args:
        one: A classifier, whose penalty the result names.
        other: Another one of the same features and classes.
        labels: Int64 ``[n]``, of the training sequences.

    Returns:
        The classifier of the mean logits.

    Example:
        >>> x, y = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]]), torch.tensor([0, 0, 1, 1])
        >>> ridge = fit_ridge(x, y, 2, torch.ones(4), torch.ones(1))
        >>> torch.equal(average(ridge, ridge, y).weight, ridge.weight)
        True
    """
    weight, bias, left_out = (
        (getattr(one, name) + getattr(other, name)) / 2 for name in ("weight", "bias", "left_out")
    )
    losses = _losses(left_out.unsqueeze(0), torch.ones(1).to(left_out), labels)[0]
    return Ridge(weight, bias, one.penalty, left_out, losses)


def _of_pair(
    products: Tensor, here: Tensor, first: Tensor, share: Tensor, groups: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Fits the ridge of two classes for each penalty, from products of all rows with those of the two, ``[n, m]``.

    Returns:
        The scores of all sequences by a classifier that has not seen them or their group, ``[K, n]`` for K penalties;
        what the rows of the two are multiplied by in the weights, ``[K, m]``; and the biases ``[K]``.
    """
    share = share / share.sum()
    root, target = share.sqrt(), torch.where(first, 1.0, -1.0).double()
    mean = share @ target
    sought = (target - mean) * root
    centered = products - (products @ share).unsqueeze(1)
    centered = centered - share @ centered[here]
    values, vectors = _spectrum(centered[here] * root * root.unsqueeze(1))
    inverse = 1 / (values + PENALTIES.unsqueeze(1))  # [K, r]
    solved, seen = inverse * (vectors.mT @ sought), (centered * root) @ vectors  # [K, r], [n, r]
    scores, dual = mean + solved @ seen.mT, solved @ vectors.mT * root
    own = None if groups is None else groups[here]
    missed = _without_own(sought.unsqueeze(1), values, vectors, root, own).squeeze(2) / root
    scores[:, here] = target - missed
    if groups is not None:
        apart = torch.ones(len(products), dtype=torch.bool).index_fill(0, here, False)
        for group in groups[here].unique():
            mates, rows = own == group, (apart & (groups == group)).nonzero().squeeze(1)
            moved = seen[rows] * inverse.unsqueeze(1) @ vectors[mates].mT * root[mates] + share[mates]
            scores[:, rows] -= (moved @ missed[:, mates].unsqueeze(2)).squeeze(2)
    return scores, dual, mean - dual @ (share @ products[here])


def _centered(features: Tensor, weight: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The share of each sequence, the mean features, the centred ones, and what gives these a deviation of 1.

    A feature counts as one with at least a part of the deviation that it has without weights; a constant one gets 0.
    """
    share = weight.double() / weight.double().sum()
    center = share @ features.double()
    z, even = features.double() - center, torch.full_like(share, 1 / len(share))
    weighted, unweighted = torch.stack([share, even]) @ z.square()
    least = LEAST * (unweighted - (even @ z).square()).clamp(min=0).sqrt()
    deviation = weighted.sqrt().maximum(least)
    return share, center, z, torch.where(deviation > 1e-6, 1 / deviation.clamp(min=1e-6), 0)


def _spectra(rows: Tensor, factors: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """For rows times each of ``[S, F]``, the eigenvalues above 0 of their products, and the vectors ``[n, r]``."""
    if len(rows) <= rows.size(1):
        yield from map(_spectrum, _products_of_rows(rows, factors))
        return
    products = rows.mT @ rows
    for factor in factors:
        values, vectors = _spectrum(products * factor * factor.unsqueeze(1))
        yield values, rows @ (factor.unsqueeze(1) * vectors) / values.sqrt()


def _products_of_rows(rows: Tensor, factors: Tensor) -> Tensor:
    """Multiplies rows times each of the factors by their transpose, ``[S, n, n]``.

    Neighbouring features with the same factors go together, so that their products are computed once.
    """
    total = rows.new_zeros(len(factors), len(rows), len(rows))
    borders = (factors.diff(dim=1) != 0).any(0).nonzero().flatten() + 1
    firsts = [0, *borders.tolist()]
    for first, part in zip(firsts, rows.tensor_split(borders, dim=1), strict=True):
        total += factors[:, first].square().view(-1, 1, 1) * (part @ part.mT)
    return total


def _spectrum(products: Tensor) -> tuple[Tensor, Tensor]:
    """The eigenvalues above 0 of a symmetric matrix, and their vectors."""
    values, vectors = torch.linalg.eigh(products)
    kept = values > values[-1].clamp(min=torch.finfo(values.dtype).tiny) * 1e-12
    return values[kept], vectors[:, kept]


def _without_own(sought: Tensor, values: Tensor, vectors: Tensor, constant: Tensor, groups: Tensor | None) -> Tensor:
    """For each penalty, residuals of sequences by the fit without them, or without their group, ``[K, n, C]``."""
    shrunk = values / (values + PENALTIES.unsqueeze(1))
    residual = sought - vectors @ (shrunk.unsqueeze(2) * (vectors.mT @ sought))
    if groups is None:
        own = shrunk @ vectors.square().mT + constant.square()
        return residual / (1 - own).clamp(min=1e-8).unsqueeze(2)
    result = torch.empty_like(residual)
    for group in groups.unique():
        rows = (groups == group).nonzero().squeeze(1)
        kept = torch.eye(len(rows)).to(constant) - torch.outer(constant[rows], constant[rows])
        for index, factor in enumerate(shrunk):
            own = (vectors[rows] * factor) @ vectors[rows].mT
            result[index, rows] = torch.linalg.lstsq(kept - own, residual[index, rows]).solution
    return result


def _choose(left_out: Tensor, labels: Tensor, share: Tensor) -> tuple[int, float, Tensor]:
    """Finds the scores ``[n, C]`` of ``[K, n, C]`` with the lowest cross-entropy, each at its best temperature.

    Returns:
        Which they are, what they are to be multiplied by, and the cross-entropies ``[n]`` then.
    """
    low = torch.zeros(len(left_out), dtype=torch.long)
    high = torch.full_like(low, len(TEMPERATURES) - 1)
    while bool((low < high).any()):  # the cross-entropy is convex in the temperature
        middle = (low + high) // 2
        after = (middle + 1).clamp(max=len(TEMPERATURES) - 1)
        here, there = (_losses(left_out, TEMPERATURES[index], labels) @ share for index in (middle, after))
        low, high = torch.where(there < here, after, low), torch.where(there < here, high, middle)
    losses = _losses(left_out, TEMPERATURES[low], labels)
    means = (losses @ share).tolist()
    best = means.index(min(means))
    return best, float(TEMPERATURES[low[best]]), losses[best]


def _losses(scores: Tensor, temperature: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropies ``[K, n]`` of scores ``[K, n, C]`` times temperatures ``[K]``."""
    num_classes = scores.size(2)
    spread = 1 / (len(labels) + num_classes)
    logits = (scores * temperature.view(-1, 1, 1)).log_softmax(-1)
    right = logits.gather(2, labels.view(1, -1, 1).expand(len(logits), -1, 1)).squeeze(2)
    return -((1 - num_classes * spread) * right + spread * logits.sum(2))
