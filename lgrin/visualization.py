"""Pictures of what was learned. Every function draws into ``ax`` and returns it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module

from lgrin.extras import require
from lgrin.files import write_atomically


def plot_adjacency(adjacency: Tensor | Module, ax: Any = None) -> Any:
    """Draws an adjacency matrix, darker where an edge weighs more (Fig. 4).

    Args:
        adjacency: ``[M, M]``, or a :class:`lgrin.nn.LearnableAdjacency`.
        ax: Matplotlib axes; ``None`` makes new ones.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).

    Example:
        >>> plot_adjacency(torch.eye(3)).get_xlabel()
        'speaking frame j'
    """
    ax = _axes(ax)
    matrix = adjacency() if isinstance(adjacency, Module) else adjacency
    image = ax.imshow(matrix.detach().float().cpu().numpy(), cmap="Greys", vmin=0, interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label="weight $A_{ij}$")
    ax.set(xlabel="speaking frame j", ylabel="listening frame i")
    return ax


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
    ax = _axes(ax)
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


def save_figure(ax: Any, path: str | Path, dpi: int = 150) -> None:
    """Writes the figure of some axes to a file, whole or not at all.

    Args:
        ax: Matplotlib axes.
        path: The file; its ending chooses the format.
        dpi: Dots per inch of a raster format.

    Example:
        >>> import tempfile
        >>> save_figure(plot_adjacency(torch.eye(3)), f"{tempfile.mkdtemp()}/adjacency.png")
    """
    write_atomically(path, lambda name: ax.figure.savefig(name, dpi=dpi))


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    figure = require("matplotlib.figure", extra="train").Figure(figsize=(5, 4), layout="constrained")
    return figure.add_subplot()
