"""What a run says of its score, in the terminal and in its page."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lgrin.command.options import CORPORA
from lgrin.text import one_line
from lgrin.training.results import FEWEST_GROUPS, interval_to_show

MOST_NAMES = 8  # of groups in a sentence
MANY_GROUPS = 10  # above, a model for each group takes long


def names(groups: Sequence[str]) -> str:
    """Lists groups by name, the first few where there are many.

    Example:
        >>> names(["anna", "bert"])
        'anna, bert'
    """
    more = f" and {len(groups) - MOST_NAMES} more" if len(groups) > MOST_NAMES else ""
    return ", ".join(map(one_line, groups[:MOST_NAMES])) + more


def kind(metrics: Mapping[str, Any]) -> str | None:
    """The value of ``--dataset``, which older versions wrote as the name of the data.

    Example:
        >>> kind({"dataset": "birds", "kind": "audio"}), kind({"dataset": "audio"})
        ('audio', 'audio')
    """
    return metrics.get("kind", metrics.get("dataset"))


def tested_on(metrics: Mapping[str, Any]) -> str:
    """Says what was tested.

    Args:
        metrics: What ``metrics.json`` says.

    Returns:
        A sentence without its full stop.

    Example:
        >>> tested_on({"n": 24, "accuracy": 1.0, "test_groups": {"voice3": {}}, "data": {"groups": 4}})
        'Tested on voice3, 1 of 4 groups (24 sequences)'
    """
    count, groups, of = metrics.get("n"), list(metrics.get("test_groups") or ()), metrics.get("data", {}).get("groups")
    if metrics.get("accuracy") is None:
        return "Nothing was tested, so this run has no score"
    if count is None:
        return "Tested on sequences that it was not trained on"
    folds = len(metrics.get("folds") or ())
    each = f", in {folds} folds, each by a model that was trained without it" if folds else ""
    if not groups:
        return f"Tested on {count} sequences{each}"
    who = f"all {of} groups" if len(groups) == of and folds else f"{names(groups)}, {len(groups)} of {of} groups"
    return f"Tested on {who} ({count} sequences){each}"


def by_group(metrics: Mapping[str, Any]) -> list[tuple[str, float, int]]:
    """The name, accuracy and number of sequences of each test group, the lowest accuracy first.

    Example:
        >>> by_group({"test_groups": {"anna": {"n": 2, "accuracy": 1.0}, "bert": {"n": 4, "accuracy": 0.5}}})
        [('bert', 0.5, 4), ('anna', 1.0, 2)]
    """
    found = [(name, one["accuracy"], one["n"]) for name, one in (metrics.get("test_groups") or {}).items()]
    return sorted(found, key=lambda one: one[1])


def advice(metrics: Mapping[str, Any]) -> str | None:
    """Says what would tell more than a score with cautions; ``None`` where there is nothing to gain.

    Example:
        >>> advice({"kind": "audio", "cautions": ["one group was tested"], "data": {"groups": 4}, "folds": []})
        '--folds groups tests each of the 4 groups once'
    """
    if not metrics.get("cautions") or metrics.get("folds") or kind(metrics) not in CORPORA:
        return None
    groups = metrics.get("data", {}).get("groups", 0)
    if groups < 2:
        return "--folds 5 tests every sequence once"
    return f"--folds {'groups' if groups <= MANY_GROUPS else 5} tests each of the {groups} groups once"


def lines(metrics: Mapping[str, Any], out: Path) -> list[str]:
    """The last lines that ``lgrin train`` prints.

    Args:
        metrics: What ``metrics.json`` says.
        out: The folder of the run.

    Returns:
        The score, whom it is of, what there is to say against it, and the model.
    """
    found, said = interval_to_show(metrics), []
    if metrics["accuracy"] is not None:
        interval = "" if found is None else f" ({found['low']:.3f} to {found['high']:.3f}, {found['method']})"
        said.append(f"accuracy {metrics['accuracy']:.3f}{interval}, UAR {metrics['uar']:.3f}")
    said.append(tested_on(metrics))
    if 1 < len(each := by_group(metrics)) < FEWEST_GROUPS:
        said.append("By group: " + ", ".join(f"{one_line(name)} {value:.3f} of {n}" for name, value, n in each))
    said += [f"Caution: {one}" for one in metrics.get("cautions", ())]
    if (better := advice(metrics)) is not None:
        said.append(f"Better: {better}")
    size = f"{metrics['parameters']:,} parameters"
    size += (
        f", a graph of {metrics['num_nodes']} frames, to which each sequence is resampled"
        if metrics["num_nodes"] is not None
        else ""
    )
    said.append(f"{size}; {metrics['seconds']:.0f} s for reading, training and testing; see {out}")
    return [f"{one_line(metrics['dataset'])}: {said[0]}", *(f"  {one}" for one in said[1:])]
