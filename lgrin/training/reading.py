"""One pass over sequences, in which they are checked, digested and measured."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch_geometric.data import Data

from lgrin import validate
from lgrin.training.names import names_of_labels, relabel

if TYPE_CHECKING:
    from lgrin.training.classifier import SequenceClassifier


class Reading:
    """Reads sequences once: checks each, yields it, and keeps a digest and the lengths of them all.

    Args:
        sequences: The sequences; they may be read from disk one by one.
        classifier: The classifier that they have to fit.

    Attributes:
        lengths: Nodes of each sequence that was read.
        labels: The class of each.

    Raises:
        TypeError: While reading, if a label is no whole number.
        ValueError: While reading, if a sequence does not fit the classifier, with its index and the reason, or there
            is none.

    Example:
        >>> from lgrin.training import SequenceClassifier
        >>> classifier = SequenceClassifier({"in_channels": 2, "num_nodes": 3, "num_classes": 2}, num_sequences=1)
        >>> reading = Reading([Data(x=torch.zeros(3, 2), y=torch.tensor([1]))], classifier)
        >>> len(list(reading)), reading.lengths, reading.digest
        (1, [3], '...')
    """

    def __init__(self, sequences: Sequence[Data], classifier: "SequenceClassifier") -> None:
        self.sequences, self.classifier = sequences, classifier
        self._start()

    def _start(self) -> None:
        self.lengths: list[int] = []
        self.labels: list[int] = []
        self._content = hashlib.sha256()
        self._has_ended = False

    def __iter__(self) -> Iterator[Data]:
        self._start()
        model = self.classifier.model
        limits = model.num_nodes, model.num_classes, self.classifier.frame_channels
        for data in validate.checked(self.sequences, *limits, may_lack=self.classifier.frame_channels is not None):
            self.lengths.append(data.num_nodes)
            self.labels.append(int(data.y))
            _add(self._content, data)
            yield data
        self._has_ended = True

    def to_the_end(self) -> "Reading":
        """Reads all sequences, unless that has been done, and returns itself."""
        if not self._has_ended:
            for _ in self:
                continue
        return self

    @property
    def digest(self) -> str:
        """The :func:`digest` of the sequences that were read."""
        return _short(self._content)


def read_data(
    classifier: "SequenceClassifier", train: Sequence[Data], validation: Sequence[Data]
) -> tuple[Reading, Reading]:
    """Checks the data of a run, and gives a classifier their normalisation and the names of their classes.

    Args:
        classifier: The classifier before training.
        train: Training sequences, which alone are measured.
        validation: Validation sequences; may be empty.

    Returns:
        The readings of both, whose ``sequences`` have the labels of the classifier.

    Raises:
        TypeError: If a label is no whole number.
        ValueError: If a sequence cannot be trained on, with its index and the reason, or there is none to train on.

    Example:
        >>> from lgrin.training import SequenceClassifier
        >>> classifier = SequenceClassifier({"in_channels": 1, "num_nodes": 3, "num_classes": 2}, num_sequences=1)
        >>> learned, held_out = read_data(classifier, [Data(x=torch.ones(3, 1), y=torch.tensor([1]))], [])
        >>> learned.lengths, held_out.lengths, classifier.normalize.mean.tolist()
        ([3], [], [1.0])
    """
    names = names_of_labels(train, classifier.hparams["classes"])
    learned = Reading(relabel(train, names, "train"), classifier)
    held_out = Reading(relabel(validation, names, "validation"), classifier)
    classifier.fit_normalization(learned)
    learned.to_the_end()  # where a subclass measures nothing, or in its own way
    if len(validation):
        held_out.to_the_end()
    classifier.label_names = names
    return learned, held_out


def digest(sequences: Sequence[Data]) -> str:
    """A short name for exactly these sequences.

    Args:
        sequences: The sequences.

    Returns:
        12 hexadecimal digits.

    Example:
        >>> one, other = (Data(x=torch.tensor([[value]]), y=torch.tensor([0])) for value in (0.0, 1.0))
        >>> digest([one]) == digest([one.clone()]), digest([one]) == digest([other])
        (True, False)
    """
    content = hashlib.sha256()
    for data in sequences:
        _add(content, data)
    return _short(content)


def bytes_of(tensor: Tensor) -> bytes:
    """The content of a tensor, whatever its type."""
    return tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes()


def _add(content: "hashlib._Hash", data: Data) -> None:
    for nodes in data.node_stores:  # one for each modality
        for value in (nodes.x, data.y, nodes.get("frame"), nodes.get("mask")):
            head = None if value is None else (value.dtype, tuple(value.shape))
            content.update(repr((nodes._key, head)).encode())
            content.update(b"" if value is None else bytes_of(value))
    if (weight := data.get("weight")) is not None:
        content.update(bytes_of(weight))


def _short(content: "hashlib._Hash") -> str:
    return content.hexdigest()[:12]
