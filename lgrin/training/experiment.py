"""From sequences to a score: split, train, take the best epoch, test."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path
from typing import Any

from torch.nn import Module
from torch_geometric.data import Data

from lgrin.training.checkpoints import restore
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.fit import fit
from lgrin.training.results import Evaluation, evaluate
from lgrin.training.splits import hold_out

RECIPE = {"lr": 0.003, "weight_decay": 0.05}
AVERAGING = 0.98
ENOUGH_STEPS, FEWEST_EPOCHS = 600, 30


def enough_epochs(num_sequences: int, batch_size: int = 32) -> int:
    """Says how long to train where nothing is held out to stop by: 600 steps, and 30 epochs at the least.

    Args:
        num_sequences: Training sequences.
        batch_size: Sequences per step.

    Returns:
        Epochs.

    Example:
        >>> enough_epochs(40), enough_epochs(3_000)
        (300, 30)
    """
    return max(FEWEST_EPOCHS, ceil(ENOUGH_STEPS / ceil(num_sequences / batch_size)))


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
    **fit_options: Any,
) -> tuple[SequenceClassifier, Evaluation]:
    """Trains a model by the recommended recipe, stopping by a fifth of the training sequences, and tests it once.

    The defaults were chosen by cross-validation inside training sets; ``docs/results.md`` has the table.

    Args:
        model: The model, its weights drawn already.
        train: Training sequences; a fifth is held out for validation, whole groups where there are groups.
        test: Test sequences, which nothing but the evaluation sees.
        out: Folder of the run.
        seed: Draws the validation split, batches and dropout.
        classes: Names of the classes.
        options: Further arguments of :class:`SequenceClassifier`; by default learning rate 0.003 and weight decay 0.05.
        averaging: As for :func:`fit`; by default 0.98.
        **fit_options: Further arguments of :func:`fit`.

    Returns:
        The classifier at its best epoch, and what it does on the test sequences.

    Raises:
        FileExistsError: If ``out`` holds a run already that is not to be resumed.
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
    learn, held_out = hold_out(train, seed=seed)
    classifier = SequenceClassifier(model, num_sequences=len(learn), classes=classes, **options)
    best = fit(classifier, learn, held_out, out, seed=seed, averaging=averaging, **fit_options)
    restore(classifier, best)
    return classifier, evaluate(classifier, test)
