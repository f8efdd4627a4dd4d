"""From sequences to a score: train, test."""

from collections.abc import Mapping, Sequence
from math import ceil, isqrt
from pathlib import Path
from typing import Any

import torch
from torch.nn import Module
from torch_geometric.data import Data

from lgrin.models import LGrIN
from lgrin.models.lgrin import RECOMMENDED_ADJACENCY
from lgrin.options import check_whole
from lgrin.training.checkpoints import restore
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.fit import fit
from lgrin.training.levels import levels_tell
from lgrin.training.results import Evaluation, evaluate

RECIPE: dict[str, Any] = {
    "lr": 0.003,
    "weight_decay": 0.05,
    "halve_every": None,
    "augment": {"crop": 0.3, "shift": 0.3},
}
AVERAGING = 0.98
MOST_PARAMETERS, MOST_NODES = 120_000, 200
ENOUGH_NODES = 32  # frames that are kept whatever the parameters
FEWEST_NODES = 2  # a batch norm cannot learn from one frame
ENOUGH_STEPS, FEWEST_EPOCHS = 600, 60


def enough_epochs(num_sequences: int, batch_size: int = 32) -> int:
    """Says how long to train where nothing is held out to stop by: 600 steps, and 60 epochs at the least.

    Args:
        num_sequences: Training sequences.
        batch_size: Sequences per step.

    Returns:
        Epochs.

    Raises:
        ValueError: If a number is no whole number, 1 or larger.

    Example:
        >>> enough_epochs(40), enough_epochs(3_000)
        (300, 60)
    """
    num_sequences, batch_size = check_whole("num_sequences", num_sequences), check_whole("batch_size", batch_size)
    return max(FEWEST_EPOCHS, ceil(ENOUGH_STEPS / ceil(num_sequences / batch_size)))


def affordable_nodes(longest: int, in_channels: int, num_classes: int, **options: Any) -> int:
    """Says how many frames the graph of an :class:`lgrin.LGrIN` may have for sequences of at most this length.

    It is their length, 200 at the most, or fewer where the network would have more than 120,000 parameters, though not
    below 32.

    Args:
        longest: Frames of the longest training sequence.
        in_channels: Features per frame, P.
        num_classes: Classes, C.
        **options: Further arguments of :class:`lgrin.LGrIN` that leave A and p as they are.

    Returns:
        Frames, M, 2 at the least.

    Example:
        >>> affordable_nodes(29, 12, 9), affordable_nodes(2_300, 6, 7), affordable_nodes(2_300, 400, 6)
        (29, 200, 108)
    """
    longest = check_whole("longest", longest)
    with torch.device("meta"):
        smallest = LGrIN(in_channels, 1, num_classes, **options)
    spare = MOST_PARAMETERS - sum(weight.numel() for weight in smallest.parameters()) + 2  # for M * M + M
    affordable = (isqrt(1 + 4 * spare) - 1) // 2 if spare > 0 else 0
    return max(FEWEST_NODES, min(longest, max(affordable, ENOUGH_NODES), MOST_NODES))


def recommended(train: Sequence[Data]) -> dict[str, Any]:
    """Reads off training sequences which network is recommended for them.

    Where the levels of sequences tell their classes (:func:`lgrin.training.levels.levels_tell`), the network sees them
    as they are; otherwise it sees every sequence standardised by itself, too (``input_norm="both"`` of
    :class:`lgrin.LGrIN`). Where training sequences lack frames, the network learns what their absence says, and A sums
    over the frames that are there (``normalize="row"``) instead of averaging them.

    Args:
        train: Training sequences with ``x``, ``y [1]`` and perhaps ``mask``.

    Returns:
        Arguments of :class:`lgrin.LGrIN`.

    Example:
        >>> import torch
        >>> labels = [0, 1] * 10
        >>> apart = [Data(x=torch.rand(5, 3) + y, y=torch.tensor([y])) for y in labels]
        >>> alike = [Data(x=torch.rand(5, 3) * (1 + y), y=torch.tensor([y])) for y in labels]
        >>> recommended(apart), recommended([Data(x=x.x - x.x.mean(0), y=x.y) for x in alike])
        ({'input_norm': True}, {'input_norm': 'both'})
    """
    chosen: dict[str, Any] = {"input_norm": True if levels_tell(train) else "both"}
    if not all(data.get("mask") is None or bool(data.mask.all()) for data in train):
        chosen["adjacency"] = {**RECOMMENDED_ADJACENCY, "normalize": "row"}
    return chosen


def train_and_test(
    model: Module,
    train: Sequence[Data],
    test: Sequence[Data],
    out: str | Path,
    *,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    options: Mapping[str, Any] = RECIPE,
    averaging: float = AVERAGING,
    epochs: int | None = None,
    batch_size: int = 32,
    **fit_options: Any,
) -> tuple[SequenceClassifier, Evaluation]:
    """Trains a model by the recommended recipe on all training sequences, to the last epoch, and tests it once.

    Nothing is held out and nothing is chosen on the way. The recipe was chosen inside training sets;
    ``docs/results.md`` has the table. Which network belongs to it, :func:`recommended` says.

    Args:
        model: The model, its weights drawn already.
        train: Training sequences.
        test: Test sequences, which nothing but the evaluation sees; their classes are compared by name where the data
            sets name them.
        out: Folder of the run.
        seed: Draws batches, dropout and changes.
        classes: Names of the classes.
        options: Further arguments of :class:`SequenceClassifier`; by default learning rate 0.003, falling along a
            cosine, weight decay 0.05, and windows and levels that change (:class:`Augment`).
        averaging: As for :func:`fit`; by default 0.98.
        epochs: Passes over the training sequences; ``None`` takes :func:`enough_epochs`.
        batch_size: Sequences per step.
        **fit_options: Further arguments of :func:`fit`.

    Returns:
        The classifier after its last epoch, and what it does on the test sequences.

    Raises:
        FileExistsError: If ``out`` holds a run already that is not to be resumed, or another run is going on in it.
        FloatingPointError: If training diverges, see :func:`fit`.
        TypeError: If ``patience`` is given.
        ValueError: If a sequence cannot be trained on, with its index and the reason.

    Example:
        >>> import tempfile, torch
        >>> from lgrin import LGrIN
        >>> data = [Data(x=torch.randn(5, 3) + i % 2, y=torch.tensor([i % 2])) for i in range(24)]
        >>> out = tempfile.mkdtemp()
        >>> _, found = train_and_test(LGrIN(3, 5, 2), data[:20], data[20:], out, epochs=1, progress=False)
        >>> found.confusion.shape
        torch.Size([2, 2])
    """
    if "patience" in fit_options:
        raise TypeError(
            "patience has nothing to go by, since train_and_test holds nothing out; split by hold_out and call fit"
        )
    classifier = SequenceClassifier(model, num_sequences=len(train), classes=classes, **options)
    epochs = enough_epochs(len(train), batch_size) if epochs is None else epochs
    last = fit(
        classifier, train, [], out, seed=seed, averaging=averaging, epochs=epochs, batch_size=batch_size, **fit_options
    )
    restore(classifier, last)
    return classifier, evaluate(classifier, test)
