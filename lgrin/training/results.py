"""What a trained classifier achieves, as numbers on disk."""

import json
import platform
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

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

with optional("train"):
    from torchmetrics.functional.classification import multiclass_confusion_matrix


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
    per_class = confusion.sum(1).double()
    recall = confusion.diagonal() / per_class
    return Evaluation(
        accuracy=int(confusion.diagonal().sum()) / len(target),
        uar=float(recall[per_class > 0].mean()),
        confusion=confusion,
        probabilities=probabilities,
    )


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
    write_atomically(path, lambda name: Path(name).write_text(json.dumps(content, indent=2) + "\n"))
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
    write_with_checksum(path, lambda name: Path(name).write_text(text))
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
