"""Which sequences a model is trained on, stopped by and tested on."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from torch_geometric.data import Data

from lgrin.extras import optional
from lgrin.options import check_option, check_seed, check_whole

PROTOCOLS = ("paper", "recording", "group", "group-kfold", "sentence", "group-sentence", "own")
VALIDATION = 5  # a fifth of what is not tested


class Fold(NamedTuple):
    """One split of a set of sequences in three.

    Attributes:
        name: What is tested.
        train: Indices of the sequences to train on.
        validation: Indices of those to stop by and to select settings by.
        test: Indices of those to look at once.
    """

    name: str
    train: list[int]
    validation: list[int]
    test: list[int]


def folds(protocol: str, sequences: Sequence[Data], num_folds: int = 5, seed: int = 0) -> list[Fold]:
    """Splits sequences as a protocol demands; test and validation are disjoint from training by the same unit.

    ==================  ==========================================  ==================================
    protocol            a fold tests                                never on both sides
    ==================  ==========================================  ==================================
    ``paper``           a random part, stratified                   a sequence
    ``recording``       a random part, stratified                   a recording (``data.recording``)
    ``group``           one group                                   a group (speaker, actor, subject)
    ``group-kfold``     a part of the groups, stratified            a group
    ``sentence``        one sentence                                a sentence (``data.text``)
    ``group-sentence``  a part of the groups saying one sentence    a group, a sentence
    ``own``             ``data.split == "test"``, once              what the data set's makers kept apart
    ==================  ==========================================  ==================================

    ``paper`` alone can put parts or copies of one recording on both sides.

    Args:
        protocol: One of these names.
        sequences: Sequences with ``y [1]`` and what the protocol splits by; where a sequence has no ``recording``, it
            is one.
        num_folds: Folds of the protocols that draw parts at random.
        seed: Draws them, and every validation split.

    Returns:
        The folds. Under all but ``group-sentence``, which leaves sequences out, and ``own``, every sequence is tested
        once.

    Raises:
        ImportError: If scikit-learn is not installed (extra ``train``).
        ValueError: If the protocol is unknown, a sequence lacks what it splits by, there are too few units, or a class
            would be without a training sequence.

    Source:
        ``paper``: Sec. IV of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> import torch
        >>> y, speaker = torch.arange(40) % 2, torch.arange(40) // 8
        >>> data = [Data(x=torch.zeros(1, 1), y=y[i : i + 1], group=speaker[i : i + 1]) for i in range(40)]
        >>> [(fold.name, len(fold.train), len(fold.validation), len(fold.test)) for fold in folds("group", data)][:2]
        [('group 0', 24, 8, 8), ('group 1', 24, 8, 8)]
    """
    labels = np.array([int(data.y) for data in sequences])
    made = [
        _with_validation(protocol, fold.name, np.array(fold.train), np.array(fold.test), sequences, labels, seed)
        for fold in outer_folds(protocol, sequences, num_folds, seed)
    ]
    for fold in made:
        _check(protocol, fold, labels, ("train", "validation"))
    return made


def outer_folds(protocol: str, sequences: Sequence[Data], num_folds: int = 5, seed: int = 0) -> list[Fold]:
    """Splits sequences in two as :func:`folds` does, without validation sequences.

    Args:
        protocol: As for :func:`folds`.
        sequences: As for :func:`folds`.
        num_folds: As for :func:`folds`.
        seed: Draws the parts.

    Returns:
        The folds, whose ``train`` are all sequences that may be trained on, and whose ``validation`` is empty.

    Raises:
        ImportError: If scikit-learn is not installed (extra ``train``).
        ValueError: As :func:`folds`.

    Example:
        >>> import torch
        >>> y, speaker = torch.arange(8) % 2, torch.arange(8) // 4
        >>> data = [Data(x=torch.zeros(1, 1), y=y[i : i + 1], group=speaker[i : i + 1]) for i in range(8)]
        >>> [fold.test for fold in outer_folds("group", data)]
        [[0, 1, 2, 3], [4, 5, 6, 7]]
    """
    check_option("protocol", protocol, PROTOCOLS)
    check_whole("num_folds", num_folds, minimum=2)
    seed = check_seed("seed", seed)
    labels = np.array([int(data.y) for data in sequences])
    made = [
        Fold(name, rest.tolist(), [], test.tolist())
        for name, rest, test in _tests(protocol, sequences, labels, num_folds, seed)
    ]
    for fold in made:
        _check(protocol, fold, labels, ("train", "test"))
    return made


def _check(protocol: str, fold: Fold, labels: np.ndarray, parts: Sequence[str]) -> None:
    """Raises if a part has no sequence, or a class of the test set is not trained on."""
    empty = next((part for part in parts if not getattr(fold, part)), None)
    if empty:
        raise ValueError(
            f"protocol {protocol!r} leaves {fold.name} without {empty} sequences; take another seed or fewer folds"
        )
    lost = sorted(set(labels[fold.test]) - set(labels[fold.train]))
    if lost:
        raise ValueError(
            f"protocol {protocol!r} leaves class {lost[0]} of {fold.name} without a training sequence; take "
            f"another seed, fewer folds, or leave the class out"
        )


def _tests(
    protocol: str, sequences: Sequence[Data], labels: np.ndarray, num_folds: int, seed: int
) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Gives each fold's name, what may be trained on, and what is tested."""
    if protocol in ("group", "sentence"):
        units = _units(protocol, sequences)
        for unit in dict.fromkeys(units):
            yield f"{protocol} {unit}", np.flatnonzero(units != unit), np.flatnonzero(units == unit)
    elif protocol == "group-sentence":
        groups, texts = _units("group", sequences), _units("sentence", sequences)
        for number, (_, held) in enumerate(_parts(labels, groups, num_folds, seed)):
            chosen = np.isin(groups, groups[held])
            for text in dict.fromkeys(texts[chosen]):
                test = np.flatnonzero(chosen & (texts == text))
                yield f"part {number} sentence {text}", np.flatnonzero(~chosen & (texts != text)), test
    elif protocol == "own":
        splits = _units(protocol, sequences)
        yield "own split", np.flatnonzero(splits == "train"), np.flatnonzero(splits == "test")
    else:
        for number, (rest, test) in enumerate(_parts(labels, _units(protocol, sequences), num_folds, seed)):
            yield f"part {number}", rest, test


def _with_validation(
    protocol: str,
    name: str,
    rest: np.ndarray,
    test: np.ndarray,
    sequences: Sequence[Data],
    labels: np.ndarray,
    seed: int,
) -> Fold:
    """Takes validation sequences from what may be trained on, by the unit of the protocol."""
    if protocol == "group-sentence":
        groups, texts = (_units(unit, sequences)[rest] for unit in ("group", "sentence"))
        (_, by_group), (_, by_text) = (_first(labels[rest], units, seed) for units in (groups, texts))
        held = np.isin(groups, groups[by_group]), np.isin(texts, texts[by_text])
        train, validation = rest[~held[0] & ~held[1]], rest[held[0] & held[1]]
    else:
        units = _units("recording" if protocol == "own" else protocol, sequences)
        train, validation = (rest[part] for part in _first(labels[rest], units[rest], seed))
    return Fold(name, train.tolist(), validation.tolist(), test.tolist())


def _units(protocol: str, sequences: Sequence[Data]) -> np.ndarray:
    """What must not stand on both sides, by name, for each sequence."""
    if protocol == "paper":
        return np.arange(len(sequences))
    field = {"recording": "recording", "sentence": "text", "own": "split"}.get(protocol, "group")
    found = [data.get(field) for data in sequences]
    lacking = [index for index, value in enumerate(found) if value is None]
    if lacking and protocol == "recording":
        return np.array([f"alone {index}" if value is None else str(value) for index, value in enumerate(found)])
    if lacking:
        raise ValueError(
            f"sequence {lacking[0]} has no {field}, by which protocol {protocol!r} splits; take another protocol, or "
            f"give it one"
        )
    if field == "split" and set(found) != {"train", "test"}:
        raise ValueError(
            f"protocol 'own' needs data.split to be 'train' or 'test', and some sequences of each; it is {set(found)}"
        )
    return np.array([str(int(value)) if field == "group" else str(value) for value in found])


def _parts(labels: np.ndarray, units: np.ndarray, count: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Splits into parts that share no unit, classes in proportion as far as units allow."""
    different = len(np.unique(units))
    if different < count:
        raise ValueError(f"there are {different} units to make {count} folds of; take num_folds={different} or less")
    with optional("train"):
        from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
    if different == len(units):
        yield from StratifiedKFold(count, shuffle=True, random_state=seed).split(labels, labels)
    else:
        splitter = StratifiedGroupKFold(count, shuffle=True, random_state=seed)
        yield from splitter.split(labels, labels, units)


def _first(labels: np.ndarray, units: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Sets about a fifth aside."""
    count = min(VALIDATION, len(np.unique(units)))
    if count < 2:
        raise ValueError(f"what is left for training is a single unit, {units[0]}, which cannot also validate")
    return next(_parts(labels, units, count, seed))
