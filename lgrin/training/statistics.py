"""How sure a score is, and whether one model is better than another.

Recordings of one speaker are not independent, so intervals and tests count groups (speakers, actors, subjects), not
recordings, wherever a protocol has groups.
"""

import warnings
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, stats

from lgrin.options import check_between, check_option, check_whole

SCORES = ("accuracy", "uar", "macro_f1")
EXACT_GROUPS = 20


class Interval(NamedTuple):
    """A score and where it may lie.

    Attributes:
        estimate: The score.
        low: Lower end, not cut off at 0.
        high: Upper end, not cut off at 1.
        method: How the ends were found, in words.
    """

    estimate: float
    low: float
    high: float
    method: str


class Comparison(NamedTuple):
    """The difference between two models, first minus second.

    Attributes:
        difference: Mean difference.
        low: Lower end of its interval.
        high: Upper end of its interval.
        p_value: Two-sided.
        method: How the interval and the p-value were found, in words.
    """

    difference: float
    low: float
    high: float
    p_value: float
    method: str


def confusion_scores(confusion: ArrayLike) -> dict[str, np.ndarray]:
    """Accuracy, unweighted average recall and macro F1 of confusion matrices.

    With ``n[c, d]`` recordings of class c recognised as d, row sums ``t`` and column sums ``p``: accuracy is
    ``sum_c n[c, c] / sum n``; uar is the mean of ``n[c, c] / t[c]`` over classes with ``t[c] > 0``; macro F1 is the
    mean of ``2 n[c, c] / (t[c] + p[c])`` over classes with ``t[c] + p[c] > 0``.

    The scores of a sum of matrices are those of the pooled recordings.

    Args:
        confusion: Counts ``[*, C, C]``, ``confusion[..., true, predicted]``.

    Returns:
        ``accuracy``, ``uar`` and ``macro_f1``, each ``[*]``; 1 is all right.

    Raises:
        ValueError: If the matrices are not square or one of them is empty.

    Source:
        Schuller et al., *The INTERSPEECH 2009 Emotion Challenge*, 2009 (uar); Opitz and Burst, *Macro F1 and Macro
        F1*, arXiv:1911.03347 (the mean of F1 scores, not the F1 of means).

    Example:
        >>> scores = confusion_scores([[3, 1], [0, 4]])
        >>> {name: round(float(score), 3) for name, score in scores.items()}
        {'accuracy': 0.875, 'uar': 0.875, 'macro_f1': 0.873}
    """
    confusion = np.asarray(confusion)
    if confusion.ndim < 2 or confusion.shape[-1] != confusion.shape[-2]:
        raise ValueError(f"confusion has shape {list(confusion.shape)}; it has to be [*, C, C]")
    if (confusion.sum((-2, -1)) == 0).any():
        raise ValueError("confusion counts no recording; leave empty matrices out")
    right, true, predicted = np.diagonal(confusion, axis1=-2, axis2=-1), confusion.sum(-1), confusion.sum(-2)
    return {
        "accuracy": right.sum(-1) / true.sum(-1),
        "uar": _mean_ratio(right, true),
        "macro_f1": _mean_ratio(2 * right, true + predicted),
    }


def scores(target: ArrayLike, predicted: ArrayLike, num_classes: int) -> dict[str, float]:
    """Accuracy, unweighted average recall and macro F1 of all recordings together, see :func:`confusion_scores`.

    Args:
        target: Labels ``[N]``, each one of 0..C-1.
        predicted: What was recognised ``[N]``.
        num_classes: Classes, C.

    Returns:
        ``accuracy``, ``uar`` and ``macro_f1``.

    Raises:
        TypeError: If labels are not whole numbers.
        ValueError: If there is no recording, the two differ in length or a label is no class.

    Example:
        >>> scores([0, 0, 1, 1], [0, 1, 1, 1], num_classes=3)["uar"]
        0.75
    """
    codes = _codes(target, predicted, num_classes)
    return {name: float(score) for name, score in confusion_scores(_confusions(codes, num_classes)).items()}


def scores_by_group(
    target: ArrayLike, predicted: ArrayLike, groups: ArrayLike, num_classes: int
) -> dict[str, np.ndarray]:
    """The :func:`scores` of every group, for :func:`interval_over_groups` and :func:`compare_over_groups`.

    Report the pooled :func:`scores` beside their mean: groups weigh alike here, recordings weigh alike there.

    Args:
        target: Labels ``[N]``, each one of 0..C-1.
        predicted: What was recognised ``[N]``.
        groups: Group of each recording ``[N]``, numbers or names.
        num_classes: Classes, C.

    Returns:
        ``accuracy``, ``uar`` and ``macro_f1``, each ``[G]``, in the order of ``numpy.unique(groups)``. The last two
        are means over the classes that occur in the group.

    Raises:
        TypeError: If labels are not whole numbers.
        ValueError: As :func:`scores`, or if groups differ in length.

    Example:
        >>> scores_by_group([0, 1, 0, 1], [0, 1, 1, 1], ["ann", "ann", "bob", "bob"], num_classes=2)["accuracy"]
        array([1. , 0.5])
    """
    codes, groups = _codes(target, predicted, num_classes), np.asarray(groups)
    if groups.shape != codes.shape:
        raise ValueError(f"groups has shape {list(groups.shape)}; target {list(codes.shape)} needs one group a label")
    names = np.unique(groups)
    return confusion_scores(np.stack([_confusions(codes[groups == name], num_classes) for name in names]))


def interval_over_groups(values: ArrayLike, level: float = 0.95) -> Interval:
    """Student's t interval for a score that was computed in every group.

    ``mean ± t[G - 1, (1 + level) / 2] s / sqrt(G)``, with the standard deviation s over the G groups. It is about the
    score expected of a new group, for models trained alike; groups that all score the same give no width.

    Args:
        values: ``[G]``, or ``[S, G]`` for S seeds, which are averaged first: seeds are no further groups.
        level: How often such an interval holds the expected score, between 0 and 1.

    Returns:
        The interval.

    Raises:
        ValueError: If there is one group, a value is not finite, or an argument is out of range.

    Source:
        Student, *The Probable Error of a Mean*, Biometrika 6, 1908.

    Example:
        >>> interval = interval_over_groups([0.6, 0.7, 0.8, 0.7])
        >>> f"{interval.estimate:.2f} in {interval.low:.2f}..{interval.high:.2f}, {interval.method}"
        '0.70 in 0.57..0.83, 95% t interval over 4 groups'
    """
    means = _over_groups("values", values)
    check_between("level", level)
    low, high = _t_interval(means.mean(), stats.sem(means), len(means) - 1, level)
    return Interval(float(means.mean()), low, high, f"{_percent(level)} t interval over {len(means)} groups")


def interval_over_recordings(
    target: ArrayLike, predicted: ArrayLike, score: str, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> Interval:
    """Bootstrap interval for a protocol without groups; recordings count as independent.

    Pairs of label and prediction are drawn with replacement, and the quantiles of the resampled scores are corrected
    for bias and skew (BCa), which matters where scores are close to 1 or classes small. Where the correction is
    undefined, plain percentiles stand in; if every resample scores the same, as with nothing wrong, they have no
    width, and ``method`` says so. A width of 0 is no certainty: report :func:`interval_at_limits` there.

    Draws are not stratified: the numbers of recordings per class vary as they would in another sample. Where a
    protocol fixes them, uar and accuracy vary less, and the interval is on the safe side. It does not cover another
    training of the model.

    Args:
        target: Labels ``[N]``, whole numbers.
        predicted: What was recognised ``[N]``.
        score: ``"accuracy"``, ``"uar"`` or ``"macro_f1"``.
        level: How often such an interval holds the expected score, between 0 and 1.
        resamples: Samples to draw.
        seed: Draws them.

    Returns:
        The interval.

    Raises:
        TypeError: If labels are not whole numbers.
        ValueError: If there is a single recording, the two differ in length or an argument is out of range.

    Source:
        Efron, *Better Bootstrap Confidence Intervals*, JASA 82, 1987.

    Example:
        >>> interval = interval_over_recordings([0, 1] * 20, [0, 1] * 15 + [1, 1] * 5, "accuracy", resamples=2000)
        >>> interval.low < interval.estimate < interval.high
        True
        >>> interval.estimate, interval.method
        (0.875, '95% bootstrap interval (BCa) over 40 recordings')
    """
    check_option("score", score, SCORES)
    check_between("level", level)
    check_whole("resamples", resamples)
    check_whole("seed", seed, minimum=0)
    names, labels = np.unique(_labels(target, predicted), return_inverse=True)  # scores count classes that occur
    target, predicted = labels.reshape(2, -1)
    num_classes = len(names)
    codes = target * num_classes + predicted
    if len(codes) < 2:
        raise ValueError("target has 1 recording, which says nothing of others; an interval takes two or more")
    low, high, method = _bootstrap(codes, num_classes, score, level, resamples, seed)
    estimate = float(confusion_scores(_confusions(codes, num_classes))[score])
    return Interval(estimate, low, high, f"{_percent(level)} {method} over {len(codes)} recordings")


def interval_at_limits(right: ArrayLike, total: ArrayLike, level: float = 0.95) -> Interval:
    r"""Exact interval for a mean of shares of which each is 0 or 1, where resampling shows no spread.

    Of ``total[c]`` independent trials of part c all were right, or none. The interval holds every mean
    :math:`\frac{1}{C} \sum_c p_c` of chances that are not rejected:

    .. math::
        \prod_{c\ \text{all right}} p_c^{n_c} \ge \frac{1 - level}{2} \quad\text{and}\quad
        \prod_{c\ \text{none right}} (1 - p_c)^{n_c} \ge \frac{1 - level}{2}

    For one part it is the interval of Clopper and Pearson: 24 of 24 are 0.858 to 1.

    Args:
        right: Trials that were right ``[C]``: of all recordings together for an accuracy, of each class for an average
            recall.
        total: Trials ``[C]``, 1 or more each.
        level: How often such an interval holds the mean chance at the least, between 0 and 1.

    Returns:
        The interval.

    Raises:
        ValueError: If a part is neither wholly right nor wholly wrong, or an argument is out of range.

    Source:
        Clopper and Pearson, *The Use of Confidence or Fiducial Limits Illustrated in the Case of the Binomial*,
        Biometrika 26, 1934.

    Example:
        >>> interval = interval_at_limits([24], [24])
        >>> f"{interval.low:.3f} to {interval.high:.3f}, {interval.method}"
        '0.858 to 1.000, 95% exact interval over 24 recordings'
    """
    check_between("level", level)
    right, total = np.asarray(right), np.asarray(total)
    if right.ndim != 1 or right.shape != total.shape or len(right) == 0 or (total < 1).any():
        raise ValueError(f"right is {right.tolist()} of total {total.tolist()}; both have to be [C], total 1 or more")
    if not ((right == 0) | (right == total)).all():
        raise ValueError(
            f"right is {right.tolist()} of total {total.tolist()}; each has to be none or all of its part, and "
            f"interval_over_recordings takes other counts"
        )
    all_right, count = right == total, len(right)
    low = _least_sum(total[all_right], (1 - level) / 2) / count
    high = 1 - _least_sum(total[~all_right], (1 - level) / 2) / count
    return Interval(
        float(all_right.mean()), low, high, f"{_percent(level)} exact interval over {total.sum()} recordings"
    )


def chance_of_guessing(target: ArrayLike, predicted: ArrayLike) -> float:
    """How often naming the most frequent class each time would recognise as many recordings, or more.

    The tail ``P[X >= k]`` of a binomial with N trials, each right with the share of the most frequent class. Recordings
    count as independent, so it is too small where they come in groups.

    Args:
        target: Labels ``[N]``, whole numbers.
        predicted: What was recognised ``[N]``.

    Returns:
        The one-sided p-value.

    Raises:
        TypeError: If labels are not whole numbers.
        ValueError: If there is no recording, or the two differ in length.

    Example:
        >>> chance_of_guessing([0, 1, 0, 1], [0, 1, 0, 1])
        0.0625
    """
    true, named = _labels(target, predicted)
    most = np.unique(true, return_counts=True)[1].max() / len(true)
    return float(stats.binom.sf((true == named).sum() - 1, len(true), most))


def compare_over_groups(
    first: ArrayLike, second: ArrayLike, level: float = 0.95, resamples: int = 100_000, seed: int = 0
) -> Comparison:
    """Sign-flip test of two models on the same groups, with a t interval of their mean difference.

    With differences ``d[g]``, the p-value is the part of all ``2^G`` sign patterns s with
    ``|sum_g s[g] d[g]| >= |sum_g d[g]|``; differences by no more than rounding count as equal. Above 20 groups it is
    ``(1 + hits) / (1 + resamples)`` over random patterns.

    The test holds its level whatever the distribution, if swapping the models in a group changes nothing but the
    sign. No p-value is below ``2^(1 - G)``: with fewer than six groups none is below 0.05.

    Args:
        first: Scores of one model, ``[G]``, or ``[S, G]`` for S seeds, which are averaged first.
        second: Scores of the other on the same groups in the same order; seeds may be more or fewer.
        level: Level of the interval, between 0 and 1.
        resamples: Random sign patterns, above 20 groups.
        seed: Draws them.

    Returns:
        The comparison, first minus second.

    Raises:
        ValueError: If there is one group, the groups differ in number, a score is not finite or an argument is out of
            range.

    Source:
        Fisher, *The Design of Experiments*, 1935, section 21; Phipson and Smyth, *Permutation P-values Should Never
        Be Zero*, 2010 (above 20 groups).

    Example:
        >>> comparison = compare_over_groups([0.7, 0.8, 0.6, 0.9], [0.6, 0.6, 0.5, 0.7])
        >>> f"{comparison.difference:.2f}, p = {comparison.p_value}, {comparison.method}"
        '0.15, p = 0.125, exact sign-flip test and 95% t interval over 4 groups'
    """
    one, other = _over_groups("first", first), _over_groups("second", second)
    if len(one) != len(other):
        raise ValueError(f"first has {len(one)} groups and second has {len(other)}; compare them on the same groups")
    check_whole("resamples", resamples)
    check_whole("seed", seed, minimum=0)
    differences = one - other
    interval = interval_over_groups(differences, level)
    sums, exact = _flipped_sums(differences, resamples, seed)
    hits = np.abs(sums) >= abs(differences.sum()) - _rounding(first, second, len(one))
    p_value = float(hits.mean()) if exact else (1 + int(hits.sum())) / (1 + resamples)
    kind = "exact" if exact else f"Monte-Carlo ({resamples} patterns)"
    return Comparison(*interval[:3], p_value, f"{kind} sign-flip test and {interval.method}")


def holm(p_values: ArrayLike) -> np.ndarray:
    """Corrects p-values for their number.

    With ``p[1] <= ... <= p[m]``: ``max over j <= i of min(1, (m - j + 1) p[j])``. Compared with a level, they bound
    the chance of any false discovery among the m by it, however the tests depend on each other.

    Args:
        p_values: ``[m]``.

    Returns:
        Corrected p-values ``[m]``, in the order given.

    Raises:
        ValueError: If one is NaN or not in 0..1.

    Source:
        Holm, *A Simple Sequentially Rejective Multiple Test Procedure*, Scand. J. Statist. 6, 1979.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        array([0.03, 0.06, 0.06])
    """
    p_values = np.asarray(p_values, dtype=float)
    if p_values.ndim != 1:
        raise ValueError(f"p_values has shape {list(p_values.shape)}; it has to be [m]")
    bad = np.flatnonzero(~((p_values >= 0) & (p_values <= 1)))
    if len(bad):
        raise ValueError(
            f"p_values[{bad[0]}] is {p_values[bad[0]]}; it has to lie in 0..1: leave out tests that were not made"
        )
    order = p_values.argsort()
    steps = p_values[order] * np.arange(len(order), 0, -1)
    corrected = np.empty_like(p_values)
    corrected[order] = np.maximum.accumulate(np.minimum(steps, 1))
    return corrected


def corrected_resampled_test(differences: ArrayLike, test_fraction: float, level: float = 0.95) -> Comparison:
    """The corrected resampled t test of two models, for random splits and repeated random k-fold only.

    ``t = mean / sqrt((1/k + n_test / n_train) s²)`` with k - 1 degrees of freedom. The training sets of such splits
    overlap, so that an ordinary t test takes the k differences for more than they are. Where folds are groups, use
    :func:`compare_over_groups`.

    Args:
        differences: Score of one model minus that of the other on every test fold ``[k]``; repetitions follow each
            other.
        test_fraction: Part of the recordings that a fold tests on: 1/5 for five folds, however often repeated.
        level: Level of the interval, between 0 and 1.

    Returns:
        The comparison.

    Raises:
        ValueError: If there is one difference, one is not finite, or an argument is out of range.

    Source:
        Nadeau and Bengio, *Inference for the Generalization Error*, Machine Learning 52, 2003.

    Example:
        >>> comparison = corrected_resampled_test([0.1, 0.0, 0.2, 0.1, 0.1], test_fraction=1 / 5)
        >>> round(comparison.difference, 3), round(comparison.p_value, 3)
        (0.1, 0.103)
    """
    check_between("test_fraction", test_fraction)
    check_between("level", level)
    values = np.asarray(differences, dtype=float)
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(f"differences has shape {list(values.shape)}; it has to be [k] with two folds or more")
    _check_finite("differences", values)
    mean, count = float(values.mean()), len(values)
    error = np.sqrt((1 / count + test_fraction / (1 - test_fraction)) * values.var(ddof=1))
    with np.errstate(divide="ignore"):
        p_value = 2 * stats.t.sf(abs(np.divide(mean, error)), count - 1) if mean else 1.0
    low, high = _t_interval(mean, error, count - 1, level)
    method = f"corrected resampled t test and {_percent(level)} interval over {count} folds"
    return Comparison(mean, low, high, float(p_value), method)


def _mean_ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """The mean over classes of a ratio, where there is something below the line."""
    ratio = np.divide(above, below, out=np.zeros(above.shape), where=below > 0)
    return ratio.sum(-1) / (below > 0).sum(-1)


def _labels(target: ArrayLike, predicted: ArrayLike) -> np.ndarray:
    """Both as int64 ``[2, N]``."""
    target, predicted = np.asarray(target), np.asarray(predicted)
    if target.ndim != 1 or len(target) == 0:
        raise ValueError(f"target has shape {list(target.shape)}; it has to be [N] with one recording or more")
    if predicted.shape != target.shape:
        raise ValueError(
            f"predicted has shape {list(predicted.shape)}; target {list(target.shape)} needs one prediction a label"
        )
    for name, labels in (("target", target), ("predicted", predicted)):
        if labels.dtype.kind not in "iu":
            raise TypeError(f"{name} is {labels.dtype}; labels are whole numbers: pass integers")
    return np.stack([target, predicted]).astype(np.int64)


def _codes(target: ArrayLike, predicted: ArrayLike, num_classes: int) -> np.ndarray:
    """One number for every pair of label and prediction: the cell of a flat confusion matrix."""
    check_whole("num_classes", num_classes)
    labels = _labels(target, predicted)
    for name, row in zip(("target", "predicted"), labels, strict=True):
        bad = np.flatnonzero((row < 0) | (row >= num_classes))
        if len(bad):
            known = f"with num_classes={num_classes} a label is one of 0..{num_classes - 1}"
            raise ValueError(f"{name}[{bad[0]}] is {row[bad[0]]}; {known}")
    return labels[0] * num_classes + labels[1]


def _confusions(codes: np.ndarray, num_classes: int) -> np.ndarray:
    """Confusion matrices ``[*, C, C]`` of codes ``[*, N]``."""
    rows, cells = codes.reshape(-1, codes.shape[-1]), num_classes**2
    numbered = rows + cells * np.arange(len(rows))[:, None]
    counts = np.bincount(numbered.ravel(), minlength=cells * len(rows))
    return counts.reshape(*codes.shape[:-1], num_classes, num_classes)


def _bootstrap(
    codes: np.ndarray, num_classes: int, score: str, level: float, resamples: int, seed: int
) -> tuple[float, float, str]:
    def statistic(codes: np.ndarray, axis: int = -1) -> np.ndarray:
        return confusion_scores(_confusions(codes, num_classes))[score]

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", stats.DegenerateDataWarning)  # handled below
        result = stats.bootstrap(
            (codes,),
            statistic,
            n_resamples=resamples,
            batch=max(1, 2**22 // max(len(codes), num_classes**2)),
            vectorized=True,
            confidence_level=level,
            method="BCa",
            random_state=np.random.default_rng(seed),
        )
    low, high = result.confidence_interval
    if np.isfinite([low, high]).all():
        return float(low), float(high), "bootstrap interval (BCa)"
    low, high = np.quantile(result.bootstrap_distribution, [(1 - level) / 2, (1 + level) / 2])
    same = ", every resample scores the same" if np.ptp(result.bootstrap_distribution) == 0 else ""
    return float(low), float(high), f"bootstrap interval (percentile{same})"


def _least_sum(total: np.ndarray, chance: float) -> float:
    """The least sum of p with ``prod(p ** total) >= chance``, each at most 1: there p is proportional to total."""
    if len(total) == 0:
        return 0.0

    def excess(log_scale: float) -> float:
        return float((total * np.minimum(0, log_scale + np.log(total))).sum() - np.log(chance))

    lowest = np.log(chance) / total.sum() - np.log(total.max()) - 1  # below the root for any rounding
    log_scale = optimize.brentq(excess, lowest, -np.log(total.min()), xtol=1e-13)
    return float(np.minimum(1, np.exp(log_scale) * total).sum())


def _over_groups(name: str, values: ArrayLike) -> np.ndarray:
    """Scores ``[G]``, seeds averaged."""
    values = np.asarray(values, dtype=float)
    if values.ndim not in (1, 2) or values.size == 0:
        raise ValueError(f"{name} has shape {list(values.shape)}; it has to be [groups] or [seeds, groups]")
    if values.shape[-1] == 1:
        raise ValueError(
            f"{name} has 1 group, which says nothing of others; score two groups or more, or use "
            f"interval_over_recordings if the protocol has no groups"
        )
    _check_finite(name, values)
    return values if values.ndim == 1 else values.mean(0)


def _flipped_sums(differences: np.ndarray, resamples: int, seed: int) -> tuple[np.ndarray, bool]:
    """The sum of the differences under sign patterns, and whether that is all of them.

    The first sign stays, since every pattern has a mirror image of the same absolute sum. scipy's permutation_test
    takes 200 times as long for 20 groups and, as its tolerance shrinks with the observed mean, misses ties near 0.
    """
    sums = differences[:1]
    if len(differences) <= EXACT_GROUPS:
        for difference in differences[1:]:
            sums = np.concatenate([sums + difference, sums - difference])
        return sums, True
    generator = np.random.default_rng(seed)
    for difference in differences[1:]:
        sums = sums + difference * generator.choice((-1, 1), resamples)
    return sums, False


def _rounding(first: ArrayLike, second: ArrayLike, num_groups: int) -> float:
    """What rounding may do to a sum over groups, in the precision in which the scores were given."""
    arrays = [np.asarray(scores) for scores in (first, second)]
    epsilon = max(np.finfo(one.dtype if one.dtype.kind == "f" else float).eps for one in arrays)
    return float(16 * epsilon * num_groups * max(np.abs(one).max() for one in arrays))


def _t_interval(mean: float, error: float, freedom: int, level: float) -> tuple[float, float]:
    """Unlike scipy's, defined for an error of 0."""
    margin = stats.t.ppf((1 + level) / 2, freedom) * error
    return float(mean - margin), float(mean + margin)


def _check_finite(name: str, values: np.ndarray) -> None:
    bad = np.argwhere(~np.isfinite(values))
    if len(bad):
        first = bad[0].tolist()
        raise ValueError(f"{name}{first} is {values[tuple(first)]}; leave out what could not be scored")


def _percent(level: float) -> str:
    return f"{100 * level:g}%"
