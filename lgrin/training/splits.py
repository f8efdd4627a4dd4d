"""Splits of a training set."""

from collections.abc import Sequence

import numpy as np
from torch_geometric.data import Data

from lgrin.extras import require


def stratified_split(sequences: Sequence[Data], fraction: float = 0.2, seed: int = 0) -> tuple[list[Data], list[Data]]:
    """Sets a part of the training sequences aside for validation, every class in proportion.

    Args:
        sequences: Training sequences with ``y [1]``.
        fraction: Part to set aside, between 0 and 1; at least as many sequences as there are classes.
        seed: Draws the split.

    Returns:
        The sequences to train on and those to validate on.

    Raises:
        ImportError: If scikit-learn is not installed (extra ``train``).
        ValueError: If the fraction is out of range or a class has a single sequence.

    Example:
        >>> import torch
        >>> data = [Data(x=torch.zeros(1, 1), y=torch.tensor([i % 2])) for i in range(10)]
        >>> [len(part) for part in stratified_split(data)]
        [8, 2]
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction is {fraction}; it has to lie between 0 and 1")
    if len(sequences) == 0:
        raise ValueError("sequences is empty; there is nothing to split")
    labels = np.array([int(data.y) for data in sequences])
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise ValueError(
            f"class {classes[counts.argmin()]} has a single sequence, which cannot stand on both sides of a validation "
            f"split; add one, leave the class out, or validate on sequences of your own"
        )
    model_selection = require("sklearn.model_selection", extra="train")
    size = max(round(fraction * len(labels)), len(classes))
    train, held_out = model_selection.train_test_split(
        np.arange(len(labels)), test_size=size, stratify=labels, random_state=seed
    )
    return [sequences[int(i)] for i in sorted(train)], [sequences[int(i)] for i in sorted(held_out)]
