"""Splits of a set of sequences in two."""

import warnings
from collections.abc import Sequence

import numpy as np
from torch_geometric.data import Data

from lgrin.extras import optional
from lgrin.options import check_between, check_seed
from lgrin.warn import warn_user


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
    fraction, seed = check_between("fraction", fraction), check_seed("seed", seed)
    sequences = list(sequences)  # which may be read from disk
    if len(sequences) == 0:
        raise ValueError("sequences is empty; there is nothing to split")
    labels = np.array([int(data.y) for data in sequences])
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        raise ValueError(
            f"class {classes[counts.argmin()]} has a single sequence, which cannot stand on both sides of a validation "
            f"split; add one, leave the class out, or validate on sequences of your own"
        )
    with optional("train"):
        from sklearn.model_selection import train_test_split
    size = max(round(fraction * len(labels)), len(classes))
    train, held_out = train_test_split(np.arange(len(labels)), test_size=size, stratify=labels, random_state=seed)
    return [sequences[int(i)] for i in sorted(train)], [sequences[int(i)] for i in sorted(held_out)]


def group_split(sequences: Sequence[Data], fraction: float = 0.2, seed: int = 0) -> tuple[list[Data], list[Data]]:
    """Sets whole groups (speakers, actors, subjects) aside, classes in proportion as far as groups allow.

    Args:
        sequences: Sequences with ``y [1]`` and ``group [1]``.
        fraction: About the part to set aside, between 0 and 1.
        seed: Draws the split.

    Returns:
        The sequences to train on and those to set aside; no group is in both.

    Raises:
        ImportError: If scikit-learn is not installed (extra ``train``).
        ValueError: If the fraction is out of range, there is a single group, or some class would be left without a
            training sequence.

    Example:
        >>> import torch
        >>> x, y, speaker = torch.zeros(1, 1), torch.arange(20) % 2, torch.arange(20) // 4
        >>> data = [Data(x=x, y=y[i : i + 1], group=speaker[i : i + 1]) for i in range(20)]
        >>> train, held_out = group_split(data)
        >>> len(train), {int(data.group) for data in held_out} & {int(data.group) for data in train}
        (16, set())
    """
    fraction, seed = check_between("fraction", fraction), check_seed("seed", seed)
    sequences = list(sequences)  # which may be read from disk
    labels = np.array([int(data.y) for data in sequences])
    groups = np.array([int(data.group) for data in sequences])
    count = len(np.unique(groups))
    if count < 2:
        raise ValueError(f"sequences have {count} group; whole groups can be set aside only if there are two or more")
    folds = min(range(2, min(count, 20) + 1), key=lambda folds: abs(_whole(fraction, folds) / folds - fraction))
    with optional("train"):
        from sklearn.model_selection import StratifiedGroupKFold
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer sequences than folds: checked below
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
        parts = [part for _, part in splitter.split(labels, labels, groups)]
    held_out = np.sort(np.concatenate(parts[: _whole(fraction, folds)]))
    train = np.setdiff1d(np.arange(len(labels)), held_out)
    lost = sorted(set(labels.tolist()) - set(labels[train].tolist()))
    if lost:
        raise ValueError(
            f"class {lost[0]} stands in the groups {sorted(set(groups[held_out].tolist()))} alone, which are set "
            f"aside; try another seed, or a smaller fraction"
        )
    return [sequences[int(i)] for i in train], [sequences[int(i)] for i in held_out]


def groups_share_classes(sequences: Sequence[Data]) -> bool:
    """Says whether sequences are those of groups (speakers, subjects) of which some show several classes.

    Then who it is does not tell the class, and scaling by group does not, either.

    Args:
        sequences: Sequences with ``y [1]`` and perhaps ``group [1]``.

    Returns:
        ``False`` where some sequence has no group, or each group has a class of its own.

    Example:
        >>> import torch
        >>> data = [Data(y=torch.tensor([i % 2]), group=torch.tensor([i // 2])) for i in range(6)]
        >>> groups_share_classes(data), groups_share_classes(data[::2])
        (True, False)
    """
    classes: dict[int, set[int]] = {}
    for data in sequences:
        if data.get("group") is None:
            return False
        classes.setdefault(int(data.group), set()).add(int(data.y))
    return any(len(seen) > 1 for seen in classes.values())


def _whole(fraction: float, folds: int) -> int:
    """How many of so many folds come nearest to a fraction, leaving one at least on either side."""
    return min(max(1, round(fraction * folds)), folds - 1)


def hold_out(sequences: Sequence[Data], fraction: float = 0.2, seed: int = 0) -> tuple[list[Data], list[Data]]:
    """Splits by :func:`group_split` where every sequence has a group, by :func:`stratified_split` where none has.

    Sequences of one single group are split by :func:`stratified_split`, with a warning.

    Args:
        sequences: The sequences.
        fraction: Part to set aside.
        seed: Draws the split.

    Returns:
        The sequences to train on and those to set aside.

    Raises:
        ValueError: If only some have a group, or as the split that is used.

    Example:
        >>> import torch
        >>> data = [Data(x=torch.zeros(1, 1), y=torch.tensor([i % 2])) for i in range(10)]
        >>> [len(part) for part in hold_out(data)]
        [8, 2]
    """
    sequences = list(sequences)  # which may be read from disk
    grouped = sum(data.get("group") is not None for data in sequences)
    if grouped not in (0, len(sequences)):
        raise ValueError(f"{grouped} of {len(sequences)} sequences have a group; give one to all or to none")
    if grouped and len({int(data.group) for data in sequences}) == 1:
        warn_user("all sequences are of one group, so the split is by sequence, within the group")
        grouped = 0
    return (group_split if grouped else stratified_split)(sequences, fraction, seed)
