"""What a trained classifier achieves, as numbers on disk."""

import json
import platform
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch_geometric
from torch import Tensor
from torch_geometric.data import Batch, Data

import lgrin
from lgrin import validate
from lgrin.checksum import BLANK, write_with_checksum
from lgrin.extras import optional
from lgrin.files import write_atomically
from lgrin.options import check_whole
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.names import relabel
from lgrin.training.statistics import (
    Interval,
    chance_of_guessing,
    interval_at_limits,
    interval_over_groups,
    interval_over_recordings,
    scores_by_group,
)

with optional("train"):
    from torchmetrics.functional.classification import multiclass_confusion_matrix

FEWEST_GROUPS = 5  # of which an interval is reported; of 2, t is 12.7 standard errors to either side
FEWEST_SEQUENCES = 50  # below, an accuracy of 0.8 may be off by more than 0.11


class Evaluation(NamedTuple):
    """What a classifier did on a set of sequences.

    Attributes:
        accuracy: Part of the sequences that were recognised.
        uar: Unweighted average recall, the mean over classes of the part of each that was recognised.
        confusion: Int64 ``[C, C]``, ``confusion[true, predicted]``, in the order of the classifier's classes.
        probabilities: ``[B, C]``.
    """

    accuracy: float
    uar: float
    confusion: Tensor
    probabilities: Tensor


@torch.no_grad()
def evaluate(classifier: SequenceClassifier, sequences: Sequence[Data], batch_size: int = 128) -> Evaluation:
    """Measures a classifier on sequences that it was not trained on.

    Args:
        classifier: The classifier; left in evaluation mode.
        sequences: Sequences with labels. Those of a data set that names its classes are compared by these names, which
            may be fewer than the classifier's or in another order.
        batch_size: Sequences at a time.

    Returns:
        The evaluation.

    Raises:
        TypeError: If a label is no whole number.
        ValueError: If a sequence cannot be evaluated, with its index and the reason, such as a class that the
            classifier was not trained for.

    Example:
        >>> from lgrin import LGrIN
        >>> data = [Data(x=torch.randn(5, 3), y=torch.tensor([i % 2])) for i in range(4)]
        >>> evaluate(SequenceClassifier(LGrIN(3, 5, 2), num_sequences=4), data).probabilities.shape
        torch.Size([4, 2])
    """
    num_classes, batch_size = classifier.model.num_classes, check_whole("batch_size", batch_size)
    sequences = relabel(sequences, classifier.label_names, "sequences")
    classifier.eval()
    found, labels = [], []
    limits = classifier.model.num_nodes, num_classes, classifier.frame_channels
    reading = validate.checked(sequences, *limits, may_lack=classifier.frame_channels is not None)
    while part := list(islice(reading, batch_size)):
        found.append(classifier(Batch.from_data_list(part).to(classifier.device)).softmax(-1).cpu())
        labels += [data.y for data in part]
    probabilities, target = torch.cat(found), torch.cat(labels)
    confusion = multiclass_confusion_matrix(probabilities, target, num_classes)
    return _evaluation(confusion, probabilities)


def _evaluation(confusion: Tensor, probabilities: Tensor) -> Evaluation:
    per_class = confusion.sum(1).double()
    recall = confusion.diagonal() / per_class
    return Evaluation(
        accuracy=int(confusion.diagonal().sum()) / len(probabilities),
        uar=float(recall[per_class > 0].mean()),
        confusion=confusion,
        probabilities=probabilities,
    )


def summarize(evaluation: Evaluation, sequences: Sequence[Data], dataset: Any) -> dict[str, Any]:
    """Says of an evaluation what a report of it states: how many, of whom, each class, and how sure.

    Args:
        evaluation: The evaluation.
        sequences: The sequences of it, in order; ``group`` tells recordings that belong together.
        dataset: The data set, with ``classes``, and ``groups`` where these have names.

    Returns:
        Plain values by name: ``n``, the number of sequences; ``recall`` and ``support`` of each class by its name, the
        recall of one that does not occur being ``None``; ``test_groups``, the number and accuracy of each group by its
        name, empty without groups; ``intervals`` of accuracy and UAR, see
        :func:`lgrin.training.statistics.interval_over_groups`, and for less than two groups
        :func:`~lgrin.training.statistics.interval_over_recordings`, or
        :func:`~lgrin.training.statistics.interval_at_limits` where nothing varies; ``None`` for a single sequence;
        ``cautions``, sentences on why the score says less than it seems to. Of less than five groups no interval is
        worth reporting, see :func:`interval_to_show`.

    Example:
        >>> from types import SimpleNamespace
        >>> found = Evaluation(0.75, 0.75, torch.tensor([[2, 0], [1, 1]]), torch.eye(2)[[0, 0, 0, 1]])
        >>> rows = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
        >>> data = [Data(y=row[:1], group=row[1:]) for row in rows]
        >>> said = summarize(found, data, SimpleNamespace(classes=["calm", "glad"], groups=["anna", "bert"]))
        >>> said["recall"], said["test_groups"]["bert"]
        ({'calm': 1.0, 'glad': 0.5}, {'n': 2, 'accuracy': 1.0})
        >>> said["intervals"]["accuracy"]["method"]
        '95% t interval over 2 groups'
    """
    classes, names = list(map(str, dataset.classes)), list(getattr(dataset, "groups", ()))
    target = np.array([int(data.y) for data in sequences])
    predicted = evaluation.probabilities.argmax(-1).numpy()
    support = evaluation.confusion.sum(1).tolist()
    right = evaluation.confusion.diagonal().tolist()
    groups = groups_of(sequences, names)
    by_group = {
        name: {"n": int(here.sum()), "accuracy": float((target == predicted)[here].mean())}
        for name in sorted(set(groups))
        for here in [np.array(groups) == name]
    }
    intervals = {name: _interval(name, target, predicted, groups, len(classes)) for name in ("accuracy", "uar")}
    return {
        "n": len(target),
        "recall": {name: hits / n if n else None for name, hits, n in zip(classes, right, support, strict=True)},
        "support": dict(zip(classes, support, strict=True)),
        "test_groups": by_group,
        "intervals": intervals,
        "cautions": _cautions(target, predicted, sorted(set(groups)), names),
    }


def pool(evaluations: Sequence[Evaluation]) -> Evaluation:
    """Joins the evaluations of different sequences, such as those of folds, in one of all sequences.

    Args:
        evaluations: One or more, of the same classes.

    Returns:
        The scores of all sequences together, and their probabilities one after the other.

    Example:
        >>> one = Evaluation(1.0, 1.0, torch.tensor([[1, 0], [0, 0]]), torch.eye(2)[:1])
        >>> other = Evaluation(0.0, 0.0, torch.tensor([[0, 1], [0, 0]]), torch.eye(2)[1:])
        >>> pool([one, other]).accuracy, pool([one, other]).confusion.tolist()
        (0.5, [[1, 1], [0, 0]])
    """
    return _evaluation(
        torch.stack([one.confusion for one in evaluations]).sum(0),
        torch.cat([one.probabilities for one in evaluations]),
    )


def groups_of(sequences: Sequence[Data], names: Sequence[str]) -> list[str]:
    """The name of the group of each sequence, or its number where groups have no names; empty without groups.

    Example:
        >>> groups_of([Data(group=torch.tensor([1]))], ["anna", "bert"]), groups_of([Data()], [])
        (['bert'], [])
    """
    numbers = [data.get("group") for data in sequences]
    if any(number is None for number in numbers):
        return []
    return [str(names[int(number)] if names else int(number)) for number in numbers]


def interval_to_show(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """The interval of the accuracy, where it says something.

    It does for recordings without groups, and for five groups or more: recordings of one group are not independent,
    and the spread of so few groups is not known.

    Args:
        metrics: With ``test_groups`` and ``intervals``, see :func:`summarize`.

    Returns:
        ``low``, ``high`` and ``method``, the ends cut off at 0 and 1; or ``None``.

    Example:
        >>> found = {"low": 0.8, "high": 1.02, "method": "95% t interval over 6 groups"}
        >>> metrics = {"intervals": {"accuracy": found}, "test_groups": dict.fromkeys("abcdef")}
        >>> interval_to_show(metrics)["high"], interval_to_show({**metrics, "test_groups": {"a": {}}})
        (1.0, None)
    """
    found, groups = (metrics.get("intervals") or {}).get("accuracy"), metrics.get("test_groups") or {}
    if not found or 0 < len(groups) < FEWEST_GROUPS or found["low"] == found["high"]:
        return None
    return {"low": max(found["low"], 0.0), "high": min(found["high"], 1.0), "method": found["method"]}


def _interval(
    score: str, target: np.ndarray, predicted: np.ndarray, groups: Sequence[str], num_classes: int
) -> dict[str, Any] | None:
    if len(target) < 2:
        return None
    if len(set(groups)) > 1:
        found = _over_groups(scores_by_group(target, predicted, groups, num_classes)[score])
    else:
        found = _over_recordings(target, predicted, score)
        alike = " of one group, which says nothing of other groups" if len(set(groups)) == 1 else ""
        found = found._replace(method=found.method + alike)
    return None if found is None else found._asdict()


def _over_groups(values: np.ndarray) -> Interval | None:
    """The interval over groups; those that all score 0 or all 1 are counted, and others that are alike tell nothing."""
    if np.ptp(values) > 0:
        return interval_over_groups(values)
    if values[0] not in (0, 1):
        return None
    count = len(values)
    found = interval_at_limits([count * int(values[0])], [count])
    return found._replace(method=found.method.replace("recordings", "groups, which all score the same"))


def _over_recordings(target: np.ndarray, predicted: np.ndarray, score: str) -> Interval:
    found = interval_over_recordings(target, predicted, score)
    if found.low < found.high:
        return found
    parts = [target == label for label in np.unique(target)] if score == "uar" else [np.full(len(target), True)]
    return interval_at_limits([(target == predicted)[part].sum() for part in parts], [part.sum() for part in parts])


def _cautions(target: np.ndarray, predicted: np.ndarray, tested: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Says why a score may say less than it seems to."""
    said, count = [], len(target)
    if len(groups) == 1:
        said.append("all sequences are of one group, which was trained on as well; a new one may score lower")
    elif len(tested) == 1:
        of = f" of {len(groups)}" if groups else ""
        said.append(f"one group{of} was tested, and another may score otherwise")
    elif 1 < len(tested) < FEWEST_GROUPS:
        said.append(f"{len(tested)} groups are too few for an interval; look at the score of each")
    if count < FEWEST_SEQUENCES:
        said.append(f"{count} test sequences are few")
    guessed, chance = np.bincount(target).max() / count, chance_of_guessing(target, predicted)
    if chance > 0.025:
        said.append(
            f"always naming the most frequent class has an accuracy of {guessed:.3f}, which is level with this one"
        )
    return said


def write_results(path: str | Path, **results: object) -> dict[str, Any]:
    """Writes results as JSON, beside them the versions of what computed them.

    Args:
        path: The file.
        **results: Plain values by name.

    Returns:
        What was written.

    Example:
        >>> import tempfile
        >>> sorted(write_results(f"{tempfile.mkdtemp()}/metrics.json", accuracy=1.0))
        ['accuracy', 'versions']
    """
    content = _with_versions(results)
    write_atomically(path, lambda name: Path(name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8"))
    return content


def write_checked_results(path: str | Path, **results: object) -> dict[str, Any]:
    """Writes results as :func:`write_results` does, with a checksum, for :func:`read_checked_results` to read.

    Args:
        path: The file.
        **results: Plain values by name.

    Returns:
        What was written, without the checksum.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "fold.json"
        >>> write_checked_results(path, accuracy=1.0) == read_checked_results(path)
        True
    """
    content = _with_versions(results)
    text = json.dumps({**content, "checksum": BLANK}, indent=2) + "\n"
    write_with_checksum(path, lambda name: Path(name).write_text(text, encoding="utf-8"))
    return content


def read_checked_results(path: Path) -> dict[str, Any]:
    """Reads what :func:`write_checked_results` has written.

    Args:
        path: The file.

    Returns:
        The results and versions.

    Raises:
        ValueError: If it is no such file.

    Example:
        >>> read_checked_results(Path(__file__))
        Traceback (most recent call last):
        ...
        ValueError: it holds no results (...)
    """
    try:
        content = json.loads(path.read_bytes())
        if not isinstance(content, dict) or "versions" not in content:
            raise ValueError("its JSON is something else")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it holds no results ({error})") from error
    return {name: value for name, value in content.items() if name != "checksum"}


def _with_versions(results: Mapping[str, object]) -> dict[str, Any]:
    versions = {
        "lgrin": lgrin.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torch_geometric": torch_geometric.__version__,
    }
    return {**results, "versions": versions}
