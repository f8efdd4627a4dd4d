"""Labels of one data set in the numbers of another, by the names of the classes."""

from collections.abc import Iterator, Sequence
from copy import copy

import numpy as np
import torch
from torch_geometric.data import Data


def class_names(sequences: object) -> list[str] | None:
    """Says how a data set names its classes, in the order of their labels.

    Args:
        sequences: A data set with ``classes``, a part or a union of such in PyTorch's classes, or any sequence.

    Returns:
        The names; ``None`` where it has none.

    Raises:
        ValueError: If it joins data sets that number their classes differently.

    Example:
        >>> from lgrin.datasets import from_arrays
        >>> dataset = from_arrays([[[1.0]], [[2.0]]], labels=["calm", "glad"])
        >>> class_names(dataset), class_names(torch.utils.data.Subset(dataset, [1])), class_names(list(dataset))
        (['calm', 'glad'], ['calm', 'glad'], None)
    """
    if isinstance(sequences, torch.utils.data.Subset):
        return class_names(sequences.dataset)
    if isinstance(sequences, torch.utils.data.ConcatDataset):
        first, *others = map(class_names, sequences.datasets)
        if unlike := [names for names in others if names != first]:
            raise ValueError(
                f"data sets were joined that have the classes {first} and {unlike[0]}, so that a label means two "
                f"classes; make both with the same list of classes"
            )
        return first
    names = getattr(sequences, "classes", None)
    return [str(name) for name in names] if isinstance(names, list | tuple | np.ndarray) else None


def names_of_labels(train: object, classes: Sequence[str] | None) -> list[str] | None:
    """Says which names the labels of a classifier stand for.

    Args:
        train: What it is trained on.
        classes: The names that it was given. Where none of them is one of the data set's own names, they are taken as
            other words for the same classes in the same order.

    Returns:
        The names in the order of the labels; ``None`` where nobody names them.

    Example:
        >>> from lgrin.datasets import from_arrays
        >>> dataset = from_arrays([[[1.0]], [[2.0]]], labels=["calm", "glad"])
        >>> names_of_labels(dataset, ["Ruhe", "Freude"]), names_of_labels(dataset, ["glad", "calm"])
        (['calm', 'glad'], ['glad', 'calm'])
    """
    own = class_names(train)
    if classes is None or (own is not None and not set(own) & set(classes)):
        return own
    return list(classes)


def relabel(sequences: Sequence[Data], classes: Sequence[str] | None, name: str) -> Sequence[Data]:
    """Gives sequences the labels that their classes have elsewhere.

    Args:
        sequences: The sequences; those of a data set without ``classes`` stay as they are.
        classes: The names of the classes in the order of the labels that are wanted; ``None`` changes nothing.
        name: What errors call the sequences.

    Returns:
        The sequences, relabelled at every access where that is needed.

    Raises:
        ValueError: If two classes have one name; from the access to a sequence, if its class is none of these.

    Example:
        >>> from lgrin.datasets import from_arrays
        >>> dataset = from_arrays([[[1.0]], [[2.0]]], labels=["calm", "sad"])
        >>> [int(data.y) for data in relabel(dataset, ["calm", "glad", "sad"], "test")]
        [0, 2]
    """
    own = class_names(sequences)
    if own is None or classes is None or own == list(classes):
        return sequences
    if len(set(own)) < len(own) or len(set(classes)) < len(classes):
        raise ValueError(f"{name} has the classes {own} beside {list(classes)}; give every class a name of its own")
    return _Relabeled(sequences, own, list(classes), name)


class _Relabeled(Sequence[Data]):
    """Sequences with the labels that the names of their classes have among ``classes``."""

    def __init__(self, sequences: Sequence[Data], own: list[str], classes: list[str], name: str) -> None:
        self.sequences, self.own, self.classes, self.name = sequences, own, classes, name
        self.labels = {label: classes.index(one) for label, one in enumerate(own) if one in classes}

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> Data:  # type: ignore[override]  # no slices
        data = copy(self.sequences[index])
        label = int(data.y)
        if label not in self.labels:
            known = f"of class {self.own[label]!r}" if 0 <= label < len(self.own) else f"labelled {label}"
            raise ValueError(
                f"{self.name}[{index}] is {known}, which is none of the classes {self.classes} of this classifier; "
                f"leave it out, or give the classes the same names (list({self.name}) goes by numbers alone)"
            )
        data.y = torch.full_like(data.y, self.labels[label])
        return data

    def __iter__(self) -> Iterator[Data]:
        return map(self.__getitem__, range(len(self)))
