"""Estimators that scale by group: what training sees, and how a classifier is adapted to one person."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from lgrin.arrays import as_floats, narrow
from lgrin.models import Blend, FilterBank
from lgrin.options import check_option
from lgrin.training.bank import present_frames
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.groups import adapt_bank, normalize_groups, scale_of

TRAIN, GROUP = "train", "group"
NORMALIZATIONS = TRAIN, GROUP


def floats_of(estimator: Any, sequences: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Converts training sequences to float32, if that holds their signal.

    With ``normalize="group"`` sequences in float64 stay as they are, since a group may differ from others by more than
    float32 resolves within it.

    Args:
        estimator: The estimator.
        sequences: Arrays ``[channels, time]``.

    Returns:
        The arrays, all of one dtype.

    Example:
        >>> from lgrin.sklearn import FilterBankClassifier
        >>> floats_of(FilterBankClassifier(normalize="group"), [np.zeros((2, 3))])[0].dtype
        dtype('float64')
    """
    if estimator.normalize == TRAIN:
        return narrow(sequences, axis=1)
    return as_floats(sequences, wide=any(one.dtype.itemsize > 4 for one in sequences))


def scale_groups(estimator: Any, nodes: list[Data]) -> tuple[list[Data], Tensor | None]:
    """Scales training sequences by group where an estimator is to.

    Args:
        estimator: The estimator, with ``normalize``.
        nodes: Training sequences; scaled ones are copies.

    Returns:
        The sequences, and the groups that were scaled, ``[n]``, or ``None``.

    Raises:
        ValueError: If they have no groups, or each group has a single class.

    Example:
        >>> from lgrin.sklearn import FilterBankClassifier
        >>> nodes = [Data(x=torch.rand(3, 1), y=torch.tensor([i]), group=torch.tensor([0])) for i in range(2)]
        >>> scale_groups(FilterBankClassifier(normalize="group"), nodes)[1].tolist()
        [0, 0]
    """
    check_option("normalize", estimator.normalize, NORMALIZATIONS)
    if estimator.normalize == TRAIN:
        return nodes, None
    if any(data.get("group") is None for data in nodes):
        raise ValueError("normalize is 'group', and groups is None; say who each sequence is of: fit(X, y, groups)")
    return normalize_groups(nodes), torch.cat([data.group for data in nodes])


def check_adaptable(estimator: Any) -> None:
    """Raises if a fitted estimator does not scale by group.

    Example:
        >>> from lgrin.sklearn import FilterBankClassifier
        >>> check_adaptable(FilterBankClassifier(normalize="group"))
    """
    if estimator.normalize != GROUP:
        raise ValueError(
            f"normalize is {estimator.normalize!r}; only a classifier that was fitted with normalize='group' and the "
            f"groups of its training sequences can be adapted to one group"
        )


def adapted_bank(bank: FilterBank, nodes: Sequence[Data], center: np.ndarray, weight: Tensor | None = None) -> Any:
    """Copies a bank, and scales and centres the copy on sequences of one group.

    Args:
        bank: The bank.
        nodes: The sequences, at their own lengths.
        center: As for :func:`lgrin.training.groups.adapt_bank`.
        weight: Of each sequence.

    Returns:
        The copy, and its centre ``[C]``.

    Example:
        >>> adapted_bank(FilterBank(2, 3), [Data(x=torch.rand(9, 2))], np.zeros(3))[1].shape
        (3,)
    """
    bank = deepcopy(bank)
    bank.scale = scale_of(nodes)
    return bank, adapt_bank(bank, nodes, torch.from_numpy(center), weight).numpy()


def adapted_classifier(
    classifier: SequenceClassifier, nodes: Sequence[Data], center: np.ndarray, weight: Tensor | None = None
) -> tuple[SequenceClassifier, np.ndarray]:
    """Does the same with the classifier of a network, or of a network and a bank.

    Args:
        classifier: The classifier.
        nodes: The sequences, as for :func:`adapted_bank`, like the others.
        center: Of the bank, if there is one.
        weight: Of each sequence.

    Returns:
        The copy, and the centre of its bank.

    Example:
        >>> network = {"in_channels": 2, "num_nodes": 3, "num_classes": 2}
        >>> nodes = [Data(x=torch.full((3, 2), value)) for value in (1.0, 3.0)]
        >>> adapted_classifier(SequenceClassifier(network, num_sequences=2), nodes, np.zeros(2))[0].normalize.mean
        tensor([2., 2.])
    """
    classifier = deepcopy(classifier)
    scale = classifier.normalize = scale_of(nodes)
    if isinstance(classifier.model, Blend):
        frames = [Data(x=scale(one.x), mask=present_frames(one)) for one in nodes]
        center = adapt_bank(classifier.model.bank, frames, torch.from_numpy(center), weight).numpy()
    return classifier, center
