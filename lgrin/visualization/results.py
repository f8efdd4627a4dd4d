"""Pictures of training and of results."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lgrin.visualization.figure import BLUE, MARK, ORANGE, axes


def plot_confusion(confusion: Tensor, classes: Sequence[str] | None = None, ax: Any = None) -> Any:
    """Draws a confusion matrix, each row as parts of its true class, with the counts written in.

    Args:
        confusion: Counts ``[C, C]``, ``confusion[true, predicted]``.
        classes: Names of the classes.
        ax: Matplotlib axes; ``None`` makes new ones.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).

    Example:
        >>> plot_confusion(torch.eye(2), ["calm", "happy"]).get_ylabel()
        'true class'
    """
    ax = axes(ax)
    counts = confusion.cpu()
    parts = counts / counts.sum(1, keepdim=True).clamp(min=1)
    ax.figure.colorbar(ax.imshow(parts.numpy(), cmap="Blues", vmin=0, vmax=1), ax=ax, label="part of the true class")
    names = [str(index) for index in range(len(counts))] if classes is None else list(classes)
    for true, predicted in torch.cartesian_prod(torch.arange(len(counts)), torch.arange(len(counts))).tolist():
        count = int(counts[true, predicted])
        color = "white" if parts[true, predicted] > 0.5 else "black"
        if count:
            ax.text(predicted, true, count, ha="center", va="center", color=color)
    slanted = max(map(len, names)) > 3
    ax.set_xticks(range(len(names)), names, rotation=30 if slanted else 0, ha="right" if slanted else "center")
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="predicted class", ylabel="true class")
    return ax


def plot_learning_curves(out: str | Path, ax: Any = None) -> Any:
    """Draws the training and validation loss of every epoch, and marks the epoch that was kept.

    Args:
        out: Folder of a run of :func:`lgrin.training.fit`; one that was resumed is drawn as a whole.
        ax: Matplotlib axes; ``None`` makes new ones.

    Returns:
        The axes.

    Raises:
        FileNotFoundError: If the folder holds no logs.
        ImportError: If matplotlib is not installed (extra ``train``).

    Example:
        >>> import tempfile
        >>> logs = Path(tempfile.mkdtemp()) / "logs" / "version_0"
        >>> logs.mkdir(parents=True)
        >>> _ = (logs / "metrics.csv").write_text("epoch,train_loss,val_loss\\n0,1.5,\\n0,,1.6\\n1,1.2,\\n1,,1.4\\n")
        >>> plot_learning_curves(logs.parents[1]).lines[1].get_ydata().tolist()
        [1.6, 1.4]
    """
    files = sorted(Path(out).glob("logs/version_*/metrics.csv"), key=lambda path: int(path.parent.name.split("_")[1]))
    if not files:
        raise FileNotFoundError(f"{out} holds no logs/version_0/metrics.csv; pass the folder that fit was given as out")
    losses: dict[str, dict[int, float]] = {"train_loss": {}, "val_loss": {}}
    for path in files:
        for row in csv.DictReader(path.read_text().splitlines()):
            for name, by_epoch in losses.items():
                if row.get(name):
                    by_epoch[int(row["epoch"])] = float(row[name])
    ax = axes(ax)
    looks = {"train_loss": ("training", ORANGE, "--"), "val_loss": ("validation", BLUE, "-")}
    for name, (title, color, style) in looks.items():
        ax.plot(list(losses[name]), list(losses[name].values()), label=title, color=color, linestyle=style)
    best = min(losses["val_loss"], key=losses["val_loss"].__getitem__, default=None)
    if best is not None:
        ax.plot(best, losses["val_loss"][best], "o", color=MARK, label=f"kept: epoch {best}")
    ax.set(xlabel="epoch", ylabel="loss")
    ax.locator_params(axis="x", integer=True)
    ax.legend(frameon=False)
    return ax


def plot_sweep(results: Mapping[Any, Any], chosen: Any = None, ax: Any = None) -> Any:
    """Draws a score and its interval for each value of a setting (Fig. 6).

    Args:
        results: For each value an interval: its estimate, its lower and its upper end first, as in
            :class:`lgrin.training.statistics.Interval`.
        chosen: The value that is marked.
        ax: Matplotlib axes; ``None`` makes new ones.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).

    Example:
        >>> ax = plot_sweep({0: (0.5, 0.4, 0.6), 0.1: (0.7, 0.6, 0.8)}, chosen=0.1)
        >>> [label.get_text() for label in ax.get_xticklabels()]
        ['0', '0.1']
    """
    ax = axes(ax)
    ax.plot([interval[0] for interval in results.values()], color=BLUE, zorder=0)
    for place, (value, (estimate, low, high, *_)) in enumerate(results.items()):
        look = {"color": MARK, "fmt": "D"} if value == chosen else {"color": BLUE, "fmt": "o"}
        ax.errorbar(place, estimate, [[estimate - low], [high - estimate]], capsize=3, **look)
    ax.set_xticks(range(len(results)), [_power(value) for value in results])
    ax.set_ylabel("accuracy")
    return ax


def _power(value: Any) -> str:
    """A number as one writes it, small ones as powers of ten."""
    if not isinstance(value, int | float) or not 0 < value < 0.1:
        return f"{value:g}" if isinstance(value, int | float) else str(value)
    mantissa, exponent = f"{value:e}".split("e")
    factor = "" if float(mantissa) == 1 else rf"{float(mantissa):g} \cdot "
    return f"${factor}10^{{{int(exponent)}}}$"
