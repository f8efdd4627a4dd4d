"""Pictures of training and of results."""

import csv
from collections.abc import Mapping, Sequence
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lgrin.options import check_path
from lgrin.text import one_line
from lgrin.visualization.figure import BLUE, HIGHLIGHT, ORANGE, axes, to_tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_confusion(
    confusion: Tensor | ArrayLike, classes: Sequence[object] | None = None, ax: "Axes | None" = None
) -> "Axes":
    """Draws a confusion matrix, each row relative to its true class, with the counts as text.

    Args:
        confusion: Counts ``[C, C]``, ``confusion[true, predicted]``, tensor or array.
        classes: Names of the classes; ``None`` numbers them.
        ax: Matplotlib axes; ``None`` makes new ones.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If confusion is something else.
        ValueError: If it is no square matrix of counts, or there are more or fewer names than classes.

    Example:
        >>> plot_confusion(torch.eye(2), ["calm", "happy"]).get_ylabel()
        'true class'
    """
    counts = to_tensor("confusion", confusion, "counts [C, C]")
    if counts.dim() != 2 or counts.size(0) != counts.size(1) or not len(counts):
        raise ValueError(f"confusion is {list(counts.shape)}; it has to be a square matrix [C, C]")
    if (counts < 0).any() or (counts != counts.round()).any():
        raise ValueError("confusion holds numbers that are no counts; pass counts, not proportions")
    names = [one_line(name) for name in (range(len(counts)) if classes is None else classes)]
    if len(names) != len(counts):
        raise ValueError(f"classes has {len(names)} names, but confusion is {list(counts.shape)}; name each class")
    ax = axes(ax)
    parts = counts / counts.sum(1, keepdim=True).clamp(min=1)
    ax.figure.colorbar(ax.imshow(parts.numpy(), cmap="Blues", vmin=0, vmax=1), ax=ax, label="part of the true class")
    for true, predicted in torch.cartesian_prod(torch.arange(len(counts)), torch.arange(len(counts))).tolist():
        count = int(counts[true, predicted])
        color = "white" if parts[true, predicted] > 0.5 else "black"
        if count:
            ax.text(predicted, true, str(count), ha="center", va="center", color=color)
    rotation, alignment = (30, "right") if max(map(len, names)) > 3 else (0, "center")
    ax.set_xticks(range(len(names)), names, parse_math=False, rotation=rotation, ha=alignment)
    ax.set_yticks(range(len(names)), names, parse_math=False)
    ax.set(xlabel="predicted class", ylabel="true class")
    return ax


def plot_learning_curves(out: str | Path, ax: "Axes | None" = None) -> "Axes":
    """Draws the training loss of every epoch, and with validation its loss and the epoch that was kept.

    Args:
        out: Folder of a run of :func:`lgrin.training.fit`; one that was resumed is drawn as a whole.
        ax: Matplotlib axes; ``None`` makes new ones.

    Returns:
        The axes.

    Raises:
        FileNotFoundError: If the folder holds no logs.
        ImportError: If matplotlib is not installed (extra ``train``).
        ValueError: If the logs are damaged, or no epoch has ended yet.

    Example:
        >>> import tempfile
        >>> logs = Path(tempfile.mkdtemp()) / "logs" / "version_0"
        >>> logs.mkdir(parents=True)
        >>> _ = (logs / "metrics.csv").write_text("epoch,train_loss,val_loss\\n0,1.5,\\n0,,1.6\\n1,1.2,\\n1,,1.4\\n")
        >>> plot_learning_curves(logs.parents[1]).lines[1].get_ydata().tolist()
        [1.6, 1.4]
    """
    found = check_path("out", out).glob("logs/version_*/metrics.csv")
    files = sorted(found, key=lambda path: (len(path.parent.name), path.parent.name))  # version_10 after version_9
    if not files:
        raise FileNotFoundError(f"{out} holds no logs/version_0/metrics.csv; pass the folder that fit was given as out")
    losses: dict[str, dict[int, float]] = {"train_loss": {}, "val_loss": {}}
    for path in files:
        try:
            for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines()):
                for name, by_epoch in losses.items():
                    if row.get(name):
                        by_epoch[int(row["epoch"])] = float(row[name])
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path} is no log of lgrin.training.fit, or damaged ({error})") from error
    if not any(losses.values()):
        raise ValueError(f"{files[-1]} holds no losses; wait until an epoch has ended")
    ax = axes(ax)
    looks = {"train_loss": ("training", ORANGE, "--"), "val_loss": ("validation", BLUE, "-")}
    for name, (title, color, style) in looks.items():
        if losses[name]:
            ax.plot(list(losses[name]), list(losses[name].values()), label=title, color=color, linestyle=style)
    known = {epoch: loss for epoch, loss in losses["val_loss"].items() if loss == loss}  # NaN is no minimum
    best = min(known, key=known.__getitem__, default=None)
    if best is not None:
        ax.plot(best, losses["val_loss"][best], "o", color=HIGHLIGHT, label=f"kept: epoch {best}")
    ax.set(xlabel="epoch", ylabel="loss")
    ax.locator_params(axis="x", integer=True)
    ax.legend(frameon=False)
    return ax


def plot_sweep(results: Mapping[object, Sequence[float]], chosen: object = None, ax: "Axes | None" = None) -> "Axes":
    """Draws a score and its interval for each value of a setting (Fig. 6).

    Args:
        results: For each value an interval: its estimate, its lower and its upper end first, as in
            :class:`lgrin.training.statistics.Interval`.
        chosen: The value to mark.
        ax: Matplotlib axes; ``None`` makes new ones.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If results are no mapping.
        ValueError: If there are none, or one is no interval.

    Example:
        >>> ax = plot_sweep({0: (0.5, 0.4, 0.6), 0.1: (0.7, 0.6, 0.8)}, chosen=0.1)
        >>> [label.get_text() for label in ax.get_xticklabels()]
        ['0', '0.1']
    """
    if not isinstance(results, Mapping):
        raise TypeError(f"results is a {type(results).__name__}; it may be a dictionary of an interval for each value")
    if not results:
        raise ValueError("results is empty; give an interval for each value")
    for value, interval in results.items():
        if not _is_interval(interval):
            raise ValueError(f"results[{value!r}] is {interval!r}; an interval is (estimate, lower end, upper end)")
    ax = axes(ax)
    ax.plot([interval[0] for interval in results.values()], color=BLUE, zorder=0)
    for place, (value, (estimate, low, high, *_)) in enumerate(results.items()):
        color, marker = (HIGHLIGHT, "D") if value == chosen else (BLUE, "o")
        ax.errorbar(place, estimate, [[estimate - low], [high - estimate]], capsize=3, color=color, fmt=marker)
    ax.set_xticks(range(len(results)), [_format_number(value) for value in results])
    ax.set_ylabel("accuracy")
    return ax


def _is_interval(interval: Sequence[float]) -> bool:
    try:
        estimate, low, high = (float(one) for one in tuple(interval)[:3])
    except (TypeError, ValueError):
        return False
    return -inf < low <= estimate <= high < inf


def _format_number(value: object) -> str:
    """Formats a number, small ones as powers of ten."""
    if not isinstance(value, int | float) or not 0 < value < 0.1:
        return f"{value:g}" if isinstance(value, int | float) else str(value)
    mantissa, exponent = f"{value:e}".split("e")
    factor = "" if float(mantissa) == 1 else rf"{float(mantissa):g} \cdot "
    return f"${factor}10^{{{int(exponent)}}}$"
