"""How far methods are apart on the same test sequences, by set and over sets."""

from typing import NamedTuple

import numpy as np
from scipy.stats import sem

from examples.reproduce.compare import versus
from lgrin.training.statistics import compare_over_groups

RESAMPLES = 10_000


class Scored(NamedTuple):
    """The accuracy of a method on one set.

    Attributes:
        set: The set.
        method: The method.
        accuracy: ``[seeds, units]``, see :func:`units`.
    """

    set: str
    method: str
    accuracy: np.ndarray

    @property
    def of_units(self):
        """The accuracy on each unit, ``[units]``."""
        return self.accuracy.mean(0)


def units(corpus):
    """What counts as independent, for each test sequence of all folds.

    It is the person where sequences belong to people, the fold where there are several draws, or the sequence.
    """
    if corpus.grouped:
        return np.concatenate([[int(corpus.sequences[index].group) for index in fold.test] for fold in corpus.folds])
    if len(corpus.folds) > 1:
        return np.repeat(np.arange(len(corpus.folds)), [len(fold.test) for fold in corpus.folds])
    return np.array(corpus.folds[0].test)


def by_unit(correct, unit):
    """The mean over the sequences of each unit, ``[seeds, units]``, of what is right, ``[seeds, sequences]``."""
    index = np.unique(unit, return_inverse=True)[1]
    return np.stack([np.bincount(index, one) / np.bincount(index) for one in np.asarray(correct, float)])


def outcome(first, second):
    """``"win"`` of the first, or ``"loss"``, by more than a standard error of the mean difference; else ``"tie"``."""
    difference = first.of_units - second.of_units
    mean, error = difference.mean(), sem(difference)
    return "tie" if abs(mean) <= error else "win" if mean > 0 else "loss"


def accuracies(scored, methods):
    """One row for each set: the accuracy of each method."""
    return [
        {"set": name} | {method: found[method].of_units.mean() if method in found else "-" for method in methods}
        for name, found in _sets(scored)
    ]


def by_set(scored, reference, methods):
    """One row for each set and method: the difference from the reference with its paired interval, and who is ahead."""
    rows = []
    for name, found in _sets(scored):
        for method in (one for one in methods if one in found and reference in found):
            one, other = found[method], found[reference]
            test = compare_over_groups(one.accuracy, other.accuracy, resamples=RESAMPLES)
            rows.append(
                {
                    "set": name,
                    "method": method,
                    f"difference from {reference} (95 % CI)": versus(test, test.p_value),
                    reference: {"win": "wins", "tie": "ties", "loss": "loses"}[outcome(other, one)],
                }
            )
    return rows


def outcomes(scored, reference, methods):
    """One row for each set: whether the reference wins, ties or loses against each method, and by how much."""
    rows = []
    for name, found in _sets(scored):
        if reference not in found:
            continue
        cells = {}
        for method in methods:
            if method in found:
                letter = outcome(found[reference], found[method])[0].upper()
                difference = round(found[reference].of_units.mean() - found[method].of_units.mean(), 3)
                cells[method] = f"{letter} {difference + 0.0:+.3f}"  # without a sign of minus before zero
        rows.append({f"{reference} on": name} | {method: cells.get(method, "-") for method in methods})
    return rows


def over_sets(scored, reference, methods):
    """One row for each method: how often the reference wins, and the mean difference over sets with its interval."""
    rows = []
    for method in methods:
        pairs = [(one[method], one[reference]) for _, one in _sets(scored) if method in one and reference in one]
        if not pairs:
            continue
        outcomes = [outcome(second, first) for first, second in pairs]
        means = np.array([[one.of_units.mean() for one in pair] for pair in pairs])
        test = compare_over_groups(*means.T, resamples=RESAMPLES) if len(pairs) > 1 else None
        rows.append(
            {
                "method": method,
                "sets": len(pairs),
                "mean accuracy": means[:, 0].mean(),
                f"of {reference}": means[:, 1].mean(),
                f"{reference} wins": outcomes.count("win"),
                "ties": outcomes.count("tie"),
                "loses": outcomes.count("loss"),
                "difference over sets": "-" if test is None else versus(test, test.p_value),
            }
        )
    return rows


def _sets(scored):
    """The methods of each set by name."""
    names = dict.fromkeys(one.set for one in scored)
    return [(name, {one.method: one for one in scored if one.set == name}) for name in names]
