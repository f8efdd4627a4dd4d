"""From sequences to a score: train, test."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import Module
from torch_geometric.data import Data

from lgrin.training.checkpoints import restore
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.fit import fit
from lgrin.training.recipe import Recipe
from lgrin.training.recipes import find_recipe
from lgrin.training.recipes.recommended import RECOMMENDED, affordable_nodes, enough_epochs, recommended
from lgrin.training.results import Evaluation, evaluate

__all__ = [
    "AVERAGING",
    "RECIPE",
    "affordable_nodes",
    "draw",
    "enough_epochs",
    "recommended",
    "train_and_test",
    "train_network",
]

RECIPE: dict[str, Any] = dict(RECOMMENDED.options)
AVERAGING = RECOMMENDED.averaging


def draw(build: Callable[..., Module], *arguments: object, seed: int, **keywords: object) -> Module:
    """Builds a network whose weights depend on a seed alone.

    Args:
        build: The network's class, or a function that builds it.
        *arguments: Arguments of it.
        seed: Seeds PyTorch's generator.
        **keywords: Further arguments of it.

    Returns:
        The network.

    Example:
        >>> one, other = (draw(torch.nn.Linear, 2, 3, seed=0) for _ in range(2))
        >>> torch.equal(one.weight, other.weight)
        True
    """
    torch.manual_seed(seed)
    return build(*arguments, **keywords)


def train_network(
    model: Module,
    train: Sequence[Data],
    validation: Sequence[Data],
    out: str | Path,
    *,
    options: Mapping[str, Any],
    kind: type[SequenceClassifier] = SequenceClassifier,
    **fit_options: Any,
) -> tuple[SequenceClassifier, dict[str, Any]]:
    """Trains a network and gives it the weights of its best epoch, or of its last one where nothing is validated.

    Args:
        model: The network.
        train: Training sequences.
        validation: Sequences to stop by; may be empty.
        out: Folder of the run.
        options: Arguments of :class:`SequenceClassifier`.
        kind: The class of the classifier.
        **fit_options: Arguments of :func:`fit`.

    Returns:
        The classifier, and what else its checkpoint holds.

    Raises:
        FileExistsError: As :func:`fit`.
        FloatingPointError: As :func:`fit`.
        ValueError: As :func:`fit`.

    Example:
        >>> import tempfile
        >>> from lgrin import LGrIN
        >>> data = [Data(x=torch.randn(5, 3) + i % 2, y=torch.tensor([i % 2])) for i in range(24)]
        >>> out = tempfile.mkdtemp()
        >>> _, rest = train_network(LGrIN(3, 5, 2), data, [], out, options=RECIPE, epochs=1, progress=False)
        >>> rest["epoch"]
        0
    """
    classifier = kind(model, num_sequences=len(train), **options)
    best = fit(classifier, train, validation, out, **fit_options)
    return classifier, restore(classifier, best)


def train_and_test(
    model: Module,
    train: Sequence[Data],
    test: Sequence[Data],
    out: str | Path,
    *,
    seed: int = 0,
    classes: Sequence[str] | None = None,
    recipe: str | Recipe = "recommended",
    options: Mapping[str, Any] | None = None,
    averaging: float | None = None,
    epochs: int | None = None,
    batch_size: int | None = None,
    **fit_options: Any,
) -> tuple[SequenceClassifier, Evaluation]:
    """Trains a model by a recipe on all training sequences, to the last epoch, and tests it once.

    Nothing is held out and nothing is chosen on the way. The recommended recipe was chosen inside training sets;
    ``docs/results.md`` has the table. :func:`recommended` chooses the network that belongs to it.

    Args:
        model: The model, its weights drawn already.
        train: Training sequences.
        test: Test sequences, which nothing but the evaluation sees; their classes are compared by name where the data
            sets name them.
        out: Folder of the run.
        seed: Draws batches, dropout and changes.
        classes: Names of the classes.
        recipe: A name in :data:`lgrin.training.recipes.RECIPES`, or a recipe. It decides what is ``None`` below.
        options: Further arguments of :class:`SequenceClassifier`, instead of all those of the recipe. Those of the
            recommended recipe are ``RECIPE``: learning rate 0.003 with the schedule ``"cosine"``, weight decay 0.05,
            and windows and levels that change (:class:`Augment`).
        averaging: As for :func:`fit`; 0.98 is recommended.
        epochs: Passes over the training sequences; :func:`enough_epochs` is recommended.
        batch_size: Sequences per step; 32 is recommended.
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
    chosen = find_recipe(recipe)
    lengths = chosen.lengths(len(train), epochs=epochs, batch_size=batch_size, averaging=averaging)
    options = {**(chosen.options if options is None else options), "classes": classes}
    classifier, _ = train_network(model, train, [], out, options=options, seed=seed, **lengths, **fit_options)
    return classifier, evaluate(classifier, test)
