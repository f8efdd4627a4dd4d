import warnings
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from sklearn import metrics

from examples.reproduce import statistics as simulated
from lgrin.training.statistics import (
    chance_of_guessing,
    compare_over_groups,
    confusion_scores,
    corrected_resampled_test,
    holm,
    interval_at_limits,
    interval_over_groups,
    interval_over_recordings,
    scores,
    scores_by_group,
)

labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)
percent = st.integers(0, 100).map(lambda count: count / 100)
pairs = st.lists(st.tuples(percent, percent), min_size=2, max_size=12)


@given(labels)
def test_scores_are_those_of_scikit_learn(pairs):
    target, predicted = np.array(pairs).T
    ours = scores(target, predicted, num_classes=7)
    assert ours["accuracy"] == pytest.approx(metrics.accuracy_score(target, predicted))
    assert ours["macro_f1"] == pytest.approx(metrics.f1_score(target, predicted, average="macro"))
    recall = metrics.recall_score(target, predicted, labels=np.unique(target), average="macro")
    assert ours["uar"] == pytest.approx(recall)


def test_scores_of_groups_and_the_pooled_ones_beside_them():
    rng = np.random.default_rng(0)
    target, predicted, groups = (
        rng.integers(0, 3, 90),
        rng.integers(0, 3, 90),
        rng.permutation(np.repeat([7, 2, 5], 30)),
    )
    by_group = scores_by_group(target, predicted, groups, 3)
    for place, group in enumerate([2, 5, 7]):
        chosen = groups == group
        for name, score in scores(target[chosen], predicted[chosen], 3).items():
            assert by_group[name][place] == score
    matrices = [metrics.confusion_matrix(target[groups == group], predicted[groups == group]) for group in (2, 5, 7)]
    assert confusion_scores(sum(matrices)) == scores(target, predicted, 3)
    tensors = scores(torch.as_tensor(target), torch.as_tensor(predicted), 3)
    assert tensors == scores(target, predicted, 3)


def test_an_interval_over_groups_is_students():
    values = [0.61, 0.75, 0.7, 0.58, 0.93]
    for level in (0.9, 0.95):
        interval = interval_over_groups(values, level)
        expected = stats.ttest_1samp(values, 0).confidence_interval(level)
        assert interval[:3] == pytest.approx((np.mean(values), *expected))
    # by hand: two groups, t[1, 0.975] = tan(0.475 pi), standard error 0.1
    assert interval_over_groups([0.6, 0.8]).high == pytest.approx(0.7 + 0.1 * np.tan(0.475 * np.pi))
    assert interval_over_groups([0.5, 0.5, 0.5])[:3] == (0.5, 0.5, 0.5)


def test_seeds_are_no_groups():
    seeds = np.random.default_rng(0).random((5, 4))
    assert interval_over_groups(seeds) == interval_over_groups(seeds.mean(0))
    assert "over 4 groups" in interval_over_groups(seeds).method
    repeated = np.repeat([[0.6, 0.7, 0.9]], 8, axis=0)
    assert interval_over_groups(repeated)[:3] == pytest.approx(interval_over_groups(repeated[0])[:3])
    assert compare_over_groups(seeds, seeds[:2, ::-1]) == compare_over_groups(seeds.mean(0), seeds[:2, ::-1].mean(0))


def test_a_bootstrap_over_recordings_is_that_of_scipy():
    rng = np.random.default_rng(1)
    target = rng.integers(0, 3, 80)
    predicted = np.where(rng.random(80) < 0.7, target, rng.integers(0, 3, 80))
    interval = interval_over_recordings(target, predicted, "macro_f1", level=0.9)
    expected = stats.bootstrap(
        (target, predicted),
        lambda one, other: metrics.f1_score(one, other, average="macro"),
        paired=True,
        vectorized=False,
        n_resamples=800,
        confidence_level=0.9,
        random_state=np.random.default_rng(2),
    ).confidence_interval
    assert interval.estimate == pytest.approx(metrics.f1_score(target, predicted, average="macro"))
    assert (interval.low, interval.high) == pytest.approx(tuple(expected), abs=0.02)
    assert interval == interval_over_recordings(target, predicted, "macro_f1", level=0.9)
    assert interval != interval_over_recordings(target, predicted, "macro_f1", level=0.9, seed=1)
    renamed = interval_over_recordings(10**6 * target - 1, 10**6 * predicted - 1, "macro_f1", level=0.9)
    assert renamed == interval


@pytest.mark.parametrize("score", ["accuracy", "uar", "macro_f1"])
@pytest.mark.parametrize("predicted", [[0, 1, 2] * 5, [1, 2, 0] * 5])
def test_a_degenerate_bootstrap_says_so(score, predicted):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        interval = interval_over_recordings([0, 1, 2] * 5, predicted, score, resamples=500)
    assert interval.low == interval.estimate == interval.high
    assert interval.method == "95% bootstrap interval (percentile, every resample scores the same) over 15 recordings"


def test_an_interval_at_a_limit_is_that_of_clopper_and_pearson():
    for right, total in ((24, 24), (0, 7), (1, 1)):
        exact = stats.binomtest(right, total).proportion_ci(0.9, "exact")
        assert interval_at_limits([right], [total], level=0.9)[1:3] == pytest.approx(tuple(exact), abs=1e-12)


@pytest.mark.parametrize("total", [[8, 8, 8], [30, 2, 7], [1, 1], [400, 3]])
def test_an_interval_of_recalls_at_their_limits_holds_every_mean_that_is_not_rejected(total):
    """Against a general optimiser: the least mean of chances under which all are right in 2.5% of cases."""
    total = np.array(total)
    found = optimize.minimize(
        np.mean,
        np.full(len(total), 0.5),
        tol=1e-12,
        bounds=[(1e-9, 1)] * len(total),
        constraints={"type": "ineq", "fun": lambda p: (total * np.log(p)).sum() - np.log(0.025)},
    )
    interval = interval_at_limits(total, total)
    assert interval.low == pytest.approx(found.fun, abs=1e-5)
    assert (interval.estimate, interval.high) == (1, 1)
    mirrored = interval_at_limits(0 * total, total)
    assert mirrored[:3] == pytest.approx((0, 0, 1 - interval.low))
    both = interval_at_limits([*total, *(0 * total)], [*total, *total])
    assert both[:3] == pytest.approx((0.5, interval.low / 2, 1 - interval.low / 2))


def test_guessing_is_the_tail_of_a_binomial():
    target, predicted = [0] * 6 + [1] * 4, [0] * 5 + [1] * 4 + [0]
    expected = stats.binomtest(8, 10, 0.6, alternative="greater").pvalue
    assert chance_of_guessing(target, predicted) == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(labels.filter(lambda pairs: len(pairs) > 1), st.sampled_from(["accuracy", "uar", "macro_f1"]))
def test_a_bootstrap_interval_lies_among_the_scores(pairs, score):
    interval = interval_over_recordings(*np.array(pairs).T, score, resamples=50)
    assert 0 <= interval.low <= interval.high <= 1


def test_p_values_by_hand():
    zeros = np.zeros(10)
    assert compare_over_groups(zeros + 0.1, zeros).p_value == 2 / 1024  # all plus or all minus
    assert compare_over_groups([3, 2, -1], [0, 0, 0]).p_value == 4 / 8  # the sums are ±6, ±4, ±2 and 0 twice
    assert compare_over_groups([3, 2, 1, -1], zeros[:4]).p_value == 6 / 16  # ±7 twice, ±5 four times
    assert compare_over_groups([1, 0], [0, 0]).p_value == 1  # the sums are ±1, twice each
    same = compare_over_groups([0.3, 0.9], [0.3, 0.9])
    assert same[:4] == (0, 0, 0, 1)


@settings(max_examples=100, deadline=None)
@given(pairs)
def test_ties_count_whatever_the_rounding(pairs):
    """Against fractions; 0.8 - 0.7 is not 0.3 - 0.2 in floating point."""
    first, second = np.array(pairs).T
    differences = np.round(100 * first).astype(int) - np.round(100 * second).astype(int)
    sums = np.array(list(product((-1, 1), repeat=len(differences)))) @ differences
    expected = (abs(sums) >= abs(differences.sum())).mean()
    assert compare_over_groups(first, second).p_value == expected
    assert compare_over_groups(first.astype(np.float32), second.astype(np.float32)).p_value == expected
    assert compare_over_groups(100 * first, 100 * second).p_value == expected


def test_unequal_groups_tie_whatever_the_rounding():
    counts, sizes = [(3, 1), (2, 4), (5, 4), (1, 2), (6, 3), (0, 3)], [7, 11, 7, 11, 13, 13]
    exact = [Fraction(one - other, size) for (one, other), size in zip(counts, sizes, strict=True)]
    sums = [
        abs(sum(sign * part for sign, part in zip(signs, exact, strict=True))) for signs in product((1, -1), repeat=6)
    ]
    first, second = (np.array(counts).T / sizes)[[0, 1]]
    assert compare_over_groups(first, second).p_value == sum(one >= sums[0] for one in sums) / 64


def test_a_comparison_agrees_with_scipy():
    first, second = np.random.default_rng(3).random((2, 9))
    comparison = compare_over_groups(first, second)
    permuted = stats.permutation_test(
        (first - second,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert comparison.p_value == permuted.pvalue
    paired = stats.ttest_rel(first, second)
    assert comparison[1:3] == pytest.approx(tuple(paired.confidence_interval()))
    assert comparison.difference == pytest.approx((first - second).mean())


def test_above_twenty_groups_patterns_are_drawn():
    first, second = np.random.default_rng(4).normal([[0.1], [0]], 0.4, (2, 20))
    exact = compare_over_groups(first, second)
    # a further group that ties changes nothing but the count of groups
    drawn = compare_over_groups([*first, 0.5], [*second, 0.5])
    assert exact.method.startswith("exact")
    assert drawn.method.startswith("Monte-Carlo (100000 patterns)")
    assert drawn.p_value == pytest.approx(exact.p_value, abs=4 * np.sqrt(0.25 / 100_000))
    assert drawn == compare_over_groups([*first, 0.5], [*second, 0.5])
    assert compare_over_groups(np.ones(40), np.zeros(40), resamples=99).p_value == 1 / 100


@settings(max_examples=100, deadline=None)
@given(pairs, st.randoms(use_true_random=False))
def test_a_comparison_is_symmetric_and_knows_no_order(pairs, random):
    forward = compare_over_groups(*np.array(pairs).T)
    backward = compare_over_groups(*np.array(pairs).T[::-1])
    shuffled = compare_over_groups(*np.array(random.sample(pairs, len(pairs))).T)
    assert backward.p_value == forward.p_value == shuffled.p_value
    assert backward[:3] == pytest.approx((-forward.difference, -forward.high, -forward.low))
    assert shuffled[:3] == pytest.approx(forward[:3], abs=1e-12)
    assert 2 ** (1 - len(pairs)) <= forward.p_value <= 1
    assert forward.low <= forward.difference <= forward.high


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.02, 0.021]) == pytest.approx([0.04, 0.04])  # monotone: 0.021 alone would stay 0.021
    assert holm([0.6, 0.9]).tolist() == [1, 1]
    assert holm([0.02]).tolist() == [0.02]
    assert holm([]).tolist() == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_monotone_and_between_none_and_bonferroni(p_values):
    corrected, p_values = holm(p_values), np.array(p_values)
    assert (corrected >= p_values).all()
    assert (corrected <= np.minimum(1, len(p_values) * p_values)).all()
    assert (np.diff(corrected[p_values.argsort()]) >= 0).all()
    assert (holm(p_values[::-1])[::-1] == corrected).all()
    for level in (0.01, 0.05, 0.5):  # the procedure itself: reject in order until one is not small enough
        rejected = 0
        ordered = np.sort(p_values)
        while rejected < len(ordered) and ordered[rejected] * (len(ordered) - rejected) <= level:
            rejected += 1
        assert (corrected <= level).sum() == rejected


def test_the_corrected_test_by_hand():
    differences = [0.02, 0.05, -0.01, 0.04, 0.03, 0.01, 0.02, 0.06, 0.0, 0.08]
    comparison = corrected_resampled_test(differences, test_fraction=0.2)
    error = np.sqrt((1 / 10 + 0.2 / 0.8) * np.var(differences, ddof=1))
    assert comparison.p_value == pytest.approx(2 * stats.t.sf(0.03 / error, 9))
    assert comparison[:3] == pytest.approx((0.03, *stats.t.interval(0.95, 9, 0.03, error)))
    # folds too small to share anything leave the ordinary test
    ordinary = stats.ttest_1samp(differences, 0)
    assert corrected_resampled_test(differences, 1e-12).p_value == pytest.approx(ordinary.pvalue)
    assert corrected_resampled_test([0, 0, 0], 0.5)[:4] == (0, 0, 0, 1)
    assert corrected_resampled_test([1, 1, 1], 0.5)[:4] == (1, 1, 1, 0)


def test_intervals_over_groups_hold_and_those_over_pooled_recordings_do_not():
    measured = simulated.coverage(repetitions=4000)
    assert 0.93 <= measured["t interval over groups"] <= 0.97
    assert measured["Wilson interval over pooled recordings"] < 0.75


def test_the_bootstrap_holds_where_recordings_are_independent_and_only_there():
    measured = simulated.coverage_of_bootstrap(repetitions=200, resamples=300)
    assert 0.89 <= measured["bootstrap over recordings, speakers alike"] <= 0.99
    assert measured["bootstrap over recordings, speakers differ"] < 0.8


def test_the_sign_flip_test_keeps_its_level_and_a_test_over_pooled_recordings_does_not():
    measured = simulated.false_alarms(repetitions=4000)
    assert 0.03 <= measured["sign-flip test over groups"] <= 0.07
    assert 0.03 <= measured["sign-flip test over groups, one model's speakers differ twice as much"] <= 0.07
    assert measured["McNemar's test over pooled recordings"] > 0.12


def test_the_corrected_test_keeps_its_level_over_repeated_folds_and_the_ordinary_one_does_not():
    measured = simulated.false_alarms_over_folds(repetitions=4000)
    assert 0.02 <= measured["corrected resampled t test, 10 x 5 folds"] <= 0.06
    assert measured["uncorrected t test, 10 x 5 folds"] > 0.3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: interval_over_groups([0.5]),
            r"values has 1 group, .*; score two groups or more, or use interval_over_re",
        ),
        (lambda: interval_over_groups([[0.5], [0.6]]), "values has 1 group"),
        (lambda: interval_over_groups([]), r"values has shape \[0\]; it has to be \[groups\] or \[seeds, groups\]"),
        (lambda: interval_over_groups([0.5, np.nan]), r"values\[1\] is nan; leave out what could not be scored"),
        (lambda: interval_over_groups([0.5, 0.6], 95), "level is 95; it has to lie between 0 and 1"),
        (lambda: compare_over_groups([0.5], [0.6]), "first has 1 group"),
        (lambda: compare_over_groups([0.5, 0.6], [[0.6, np.inf]]), r"second\[0, 1\] is inf"),
        (
            lambda: compare_over_groups([1, 2], [1, 2, 3]),
            "first has 2 groups and second has 3; compare them on the same",
        ),
        (
            lambda: holm([0.1, np.nan]),
            r"p_values\[1\] is nan; it has to lie in 0..1: leave out tests that were not made",
        ),
        (lambda: holm([1.5]), r"p_values\[0\] is 1.5"),
        (lambda: holm(0.5), r"p_values has shape \[\]; it has to be \[m\]"),
        (
            lambda: corrected_resampled_test([0.1], 0.2),
            r"differences has shape \[1\]; it has to be \[k\] with two folds",
        ),
        (lambda: corrected_resampled_test([0.1, 0.2], 1), "test_fraction is 1; it has to lie between 0 and 1"),
        (lambda: corrected_resampled_test([0.1, np.nan], 0.2), r"differences\[1\] is nan"),
        (lambda: scores([0, 3], [0, 1], 3), r"target\[1\] is 3; with num_classes=3 a label is one of 0..2"),
        (lambda: scores([0, 1], [0, -1], 3), r"predicted\[1\] is -1"),
        (lambda: scores([0, 1], [0], 3), r"predicted has shape \[1\]; target \[2\] needs one prediction a label"),
        (lambda: scores([], [], 3), r"target has shape \[0\]; it has to be \[N\] with one recording or more"),
        (
            lambda: scores_by_group([0, 1], [0, 1], [0], 2),
            r"groups has shape \[1\]; target \[2\] needs one group a label",
        ),
        (lambda: confusion_scores([1, 2]), r"confusion has shape \[2\]; it has to be \[\*, C, C\]"),
        (lambda: confusion_scores([[0]]), "confusion counts no recording; leave empty matrices out"),
        (
            lambda: interval_at_limits([1], [2]),
            r"right is \[1\] of total \[2\]; each has to be none or all of its part",
        ),
        (lambda: interval_at_limits([], []), r"right is \[\] of total \[\]; both have to be \[C\], total 1 or more"),
        (lambda: interval_over_recordings([0], [0], "uar"), "target has 1 recording, which says nothing of others"),
        (
            lambda: interval_over_recordings([0, 1], [0, 1], "f1"),
            "score is 'f1'; it may be 'accuracy', 'uar', 'macro_f1'",
        ),
        (lambda: interval_over_recordings([0, 1], [0, 1], "uar", resamples=0), "resamples is 0; it has to be a whole"),
    ],
)
def test_what_makes_no_sense_says_why(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_labels_are_whole_numbers():
    with pytest.raises(TypeError, match="predicted is float64; labels are whole numbers: pass integers"):
        scores([0, 1], [0.2, 0.8], 2)
