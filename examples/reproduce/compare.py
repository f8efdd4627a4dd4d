"""Trains candidates on the same folds and compares them in a table."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lgrin.text import file_name
from lgrin.training import PROTOCOLS, Candidate, Training, cross_validate, folds, normalize_groups
from lgrin.training.statistics import (
    SCORES,
    compare_over_groups,
    holm,
    interval_over_groups,
    interval_over_recordings,
    scores,
    scores_by_group,
)
from lgrin.transforms.resample import take_frames

BY_GROUP = tuple(protocol for protocol in PROTOCOLS if protocol.startswith("group"))
TITLES = {"accuracy": "accuracy", "uar": "UAR", "macro_f1": "macro F1"}


class Setting(NamedTuple):
    """The data and the training that all candidates of a table share.

    Attributes:
        sequences: The sequences, all of one length.
        training: How candidates are trained.
        protocol: How sequences are split.
        num_folds: The number of folds, for protocols that draw them at random.
        seeds: The seeds; every fold is trained once with each.
        normalize: ``"train"``, or ``"group"``, which reads the features of test sequences.
        out: Folder for the runs.
        workers: Runs at a time.
        progress: Whether to show progress bars.
    """

    sequences: list
    training: Training
    protocol: str
    num_folds: int
    seeds: tuple
    normalize: str
    out: Path
    workers: int | None = None
    progress: bool = True

    @property
    def grouped(self):
        """Whether intervals and tests are over groups."""
        return self.protocol in BY_GROUP

    def folds(self):
        """Splits the sequences."""
        return folds(self.protocol, self.sequences, self.num_folds)

    def data(self):
        """The sequences that candidates get, scaled by group if asked for."""
        return normalize_groups(self.sequences) if self.normalize == "group" else self.sequences

    def shuffled(self):
        """The same setting with the frames of all sequences in one random order, and that order."""
        order = torch.randperm(self.training.num_nodes, generator=torch.Generator().manual_seed(0))
        return self._replace(sequences=[take_frames(data.clone(), order) for data in self.sequences]), order


def run(candidate: Candidate, setting: Setting, made=None, variants=None):
    """Trains and tests a candidate on every fold with every seed; variants are further test sets."""
    return cross_validate(
        candidate,
        setting.data(),
        setting.folds() if made is None else made,
        setting.training,
        setting.out / "runs" / file_name(candidate.name),
        seeds=setting.seeds,
        variants=variants,
        workers=setting.workers,
        progress=setting.progress,
    )


def of_variant(runs, name):
    """The same runs, with the predictions on one of their further test sets."""
    return [{**one, "predicted": one["variants"][name]} for one in runs]


def by_seed(runs):
    """Yields labels, predictions and groups of all folds together, one seed after the other."""
    for seed in dict.fromkeys(one["seed"] for one in runs):
        mine = [one for one in runs if one["seed"] == seed]
        yield tuple(np.concatenate([one[key] for one in mine]) for key in ("target", "predicted", "group"))


def pooled_scores(runs, num_classes):
    """The scores over all sequences, for each seed."""
    return [scores(target, predicted, num_classes) for target, predicted, _ in by_seed(runs)]


def over_groups(runs, num_classes):
    """Each score by name, ``[seeds, groups]``."""
    parts = [scores_by_group(target, predicted, group, num_classes) for target, predicted, group in by_seed(runs)]
    return {name: np.stack([part[name] for part in parts]) for name in SCORES}


def summarize(runs, setting: Setting):
    """Each score with its confidence interval, and the accuracy over all sequences (``pooled``)."""
    num_classes = len(setting.training.classes)
    row = {"pooled": float(np.mean([one["accuracy"] for one in pooled_scores(runs, num_classes)]))}
    for name in SCORES:
        if setting.grouped:
            interval = interval_over_groups(over_groups(runs, num_classes)[name])
        else:
            found = [interval_over_recordings(*one[:2], name, resamples=2_000) for one in by_seed(runs)]
            estimate, low, high = np.mean([one[:3] for one in found], axis=0).tolist()
            interval = found[0]._replace(estimate=estimate, low=low, high=high)
        row[name] = interval
    return row


def table(candidates, setting: Setting, quoted, only_quoted):
    """One row for each candidate, compared with the first one, beside the paper's figures.

    Args:
        candidates: The candidates.
        setting: The data and the training.
        quoted: The paper's figures by name of candidate.
        only_quoted: The paper's figures for competitors that are not run.
    """
    runs = [run(candidate, setting) for candidate in candidates]
    tests = ["-", *against_first(runs, setting)]
    rows = []
    for candidate, one, test in zip(candidates, runs, tests, strict=True):
        summary = summarize(one, setting)
        row = {"model": candidate.name, **{TITLES[name]: show(summary[name]) for name in SCORES}}
        row |= {"pooled": f"{summary['pooled']:.3f}", "against the first": test}
        rows.append({**row, "parameters": f"{one[0]['parameters']:,}", "paper": quoted.get(candidate.name, "-")})
    return rows + [{**dict.fromkeys(rows[0], "-"), "model": name, "paper": text} for name, text in only_quoted.items()]


def against_first(runs, setting: Setting):
    """Tests every candidate against the first one over groups, with Holm's correction."""
    if not setting.grouped:
        return ["-"] * (len(runs) - 1)
    first, *others = (over_groups(one, len(setting.training.classes))["accuracy"] for one in runs)
    found = [compare_over_groups(values, first) for values in others]
    return [versus(one, p) for one, p in zip(found, holm([one.p_value for one in found]), strict=True)]


def show(interval):
    """Formats an estimate and its interval; one without width, where every resample scores the same, says so."""
    if interval.low == interval.high:
        return f"{interval.estimate:.3f} (no spread)"
    return f"{interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f})"


def versus(comparison, p_value):
    """Formats a difference, its interval and a p-value."""
    return f"{comparison.difference:+.3f} ({comparison.low:+.3f} to {comparison.high:+.3f}), p {p_value:.3f}"
