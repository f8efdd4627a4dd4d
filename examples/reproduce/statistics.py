"""Measures by simulation how often confidence intervals cover the true value and tests give false alarms.

The simulation draws ten speakers, each with an accuracy whose logit is normal and with 35 to 71 recordings. For tests
over folds, it cross-validates two classifiers that are equally good by symmetry.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import optimize, stats
from scipy.special import expit

from benchmarks.table import print_table
from lgrin.training import write_results
from lgrin.training.statistics import (
    compare_over_groups,
    corrected_resampled_test,
    interval_over_groups,
    interval_over_recordings,
)

SIZES = np.array([49, 58, 43, 38, 55, 35, 61, 69, 56, 71])
CENTRE, SPREAD, CORRELATION = 1.0, 0.6, 0.7
LEVEL, ALPHA = 0.95, 0.05


def main(study: str, arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    parser.add_argument("--repetitions", type=int, default=20_000, metavar="N", help="(%(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(%(default)s)")
    parser.add_argument("--out", default="runs/reproduce", metavar="DIR", help="folder for the numbers (%(default)s)")
    options = parser.parse_args(arguments)
    few = max(1, options.repetitions // 20)  # each repetition of the bootstrap draws a thousand samples
    rows = []
    for what, wanted, measure, repetitions in (
        ("coverage", LEVEL, coverage, options.repetitions),
        ("coverage", LEVEL, coverage_of_bootstrap, few),
        ("false alarms", ALPHA, false_alarms, options.repetitions),
        ("false alarms", ALPHA, false_alarms_over_folds, options.repetitions),
    ):
        for method, measured in measure(repetitions, options.seed).items():
            row = {"what": what, "method": method, "measured": measured, "wanted": wanted, "repetitions": repetitions}
            rows.append(row)
    write_results(Path(options.out) / "statistics.json", rows=rows, seed=options.seed)
    print_table("How often intervals hold and tests reject", rows)


def coverage(repetitions: int, seed: int = 0) -> dict[str, float]:
    """How often 95% intervals cover the expected accuracy of a new speaker."""
    rng = np.random.default_rng(seed)
    right = rng.binomial(SIZES, expit(CENTRE + SPREAD * rng.standard_normal((repetitions, len(SIZES)))))
    over_groups = [interval_over_groups(accuracies, LEVEL)[1:3] for accuracies in right / SIZES]
    pooled = [stats.binomtest(count, SIZES.sum()).proportion_ci(LEVEL, "wilson") for count in right.sum(1)]
    truth = expected(CENTRE, SPREAD)
    return {
        "t interval over groups": covering(over_groups, truth),
        "Wilson interval over pooled recordings": covering(pooled, truth),
    }


def coverage_of_bootstrap(repetitions: int, seed: int = 0, resamples: int = 1000) -> dict[str, float]:
    """How often the bootstrap over recordings covers it, for speakers that are alike and speakers that differ."""
    rng = np.random.default_rng(seed)
    accuracies = expit(CENTRE + SPREAD * rng.standard_normal((repetitions, len(SIZES))))
    truth = expected(CENTRE, SPREAD)
    return {
        "bootstrap over recordings, speakers alike": covering(
            [bootstrap(rng, np.full(len(SIZES), truth), resamples) for _ in range(repetitions)], truth
        ),
        "bootstrap over recordings, speakers differ": covering(
            [bootstrap(rng, drawn, resamples) for drawn in accuracies], truth
        ),
    }


def false_alarms(repetitions: int, seed: int = 0) -> dict[str, float]:
    """How often tests at 5% reject equal expected accuracies of two models, whose accuracies by speaker correlate."""
    rng = np.random.default_rng(seed)
    alike = both_right(rng, repetitions, CENTRE, SPREAD)
    wider = optimize.brentq(lambda centre: expected(centre, 2 * SPREAD) - expected(CENTRE, SPREAD), 0, 3)
    unlike = both_right(rng, repetitions, wider, 2 * SPREAD)
    return {
        "sign-flip test over groups": rejecting(sign_flip(alike)),
        "sign-flip test over groups, one model's speakers differ twice as much": rejecting(sign_flip(unlike)),
        "McNemar's test over pooled recordings": rejecting(mcnemar(alike)),
    }


def false_alarms_over_folds(repetitions: int, seed: int = 0) -> dict[str, float]:
    """How often t tests over five folds, repeated ten times, reject two classifiers that are equally good."""
    differences = fold_differences(np.random.default_rng(seed), repetitions)
    corrected = [corrected_resampled_test(one, test_fraction=1 / 5).p_value for one in differences]
    return {
        "corrected resampled t test, 10 x 5 folds": rejecting(corrected),
        "uncorrected t test, 10 x 5 folds": rejecting(stats.ttest_1samp(differences, 0, axis=1).pvalue),
    }


def expected(centre: float, spread: float) -> float:
    """The mean accuracy over all speakers, by quadrature."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    return float(expit(centre + spread * nodes) @ weights / weights.sum())


def bootstrap(rng: np.random.Generator, accuracies: np.ndarray, resamples: int) -> tuple[float, float]:
    """The bootstrap interval over the recordings of speakers with these accuracies."""
    right = (rng.random(SIZES.sum()) < np.repeat(accuracies, SIZES)).astype(int)
    return interval_over_recordings(np.ones_like(right), right, "accuracy", LEVEL, resamples)[1:3]


def both_right(rng: np.random.Generator, repetitions: int, centre: float, spread: float) -> np.ndarray:
    """Counts ``[repetitions, groups, 4]`` of recordings: both models right, only the first, only the second, none."""
    effects = rng.multivariate_normal([0, 0], [[1, CORRELATION], [CORRELATION, 1]], (repetitions, len(SIZES)))
    first, second = expit(CENTRE + SPREAD * effects[..., 0]), expit(centre + spread * effects[..., 1])
    parts = [first * second, first * (1 - second), (1 - first) * second, (1 - first) * (1 - second)]
    return rng.multinomial(SIZES, np.stack(parts, -1))


def sign_flip(counts: np.ndarray) -> list[float]:
    """The p-values of the exact test over groups."""
    first, second = (counts[..., 0] + counts[..., 1]) / SIZES, (counts[..., 0] + counts[..., 2]) / SIZES
    return [compare_over_groups(*pair).p_value for pair in zip(first, second, strict=True)]


def mcnemar(counts: np.ndarray) -> list[float]:
    """The p-values of McNemar's test over all recordings."""
    return [stats.binomtest(one, one + other).pvalue for _, one, other, _ in counts.sum(1)]


def fold_differences(rng: np.random.Generator, repetitions: int, folds: int = 5, repeats: int = 10) -> np.ndarray:
    """Accuracy differences ``[repetitions, folds * repeats]`` of two nearest-centroid classifiers.

    There are 100 recordings of two classes. The classifiers get different features, two each, of one distribution.
    """
    sign = np.repeat([-1.0, 1.0], 50)
    x = 0.4 * sign[:, None, None] + rng.standard_normal((repetitions, len(sign), 2, 2))
    differences = []
    for _ in range(repeats):
        fold = rng.permutation(len(sign)) % folds
        differences += [_centroid_difference(x, sign, fold == number) for number in range(folds)]
    return np.stack(differences, 1)


def _centroid_difference(x: np.ndarray, sign: np.ndarray, test: np.ndarray) -> np.ndarray:
    upper, lower = x[:, ~test & (sign > 0)].mean(1), x[:, ~test & (sign < 0)].mean(1)
    side = np.einsum("rnmf,rmf->rnm", x[:, test] - ((upper + lower) / 2)[:, None], upper - lower)
    accuracy = (side * sign[test, None] > 0).mean(1)
    return accuracy[:, 0] - accuracy[:, 1]


def covering(intervals: list, truth: float) -> float:
    """The part of the intervals that cover the truth."""
    low, high = np.array(intervals).T
    return float(((low <= truth) & (truth <= high)).mean())


def rejecting(p_values) -> float:
    """The part of the p-values at which a test rejects."""
    return float((np.asarray(p_values) <= ALPHA).mean())
