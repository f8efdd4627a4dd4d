"""Axes to draw into, and files to write them to."""

from pathlib import Path
from typing import Any

from lgrin.extras import require
from lgrin.files import write_atomically

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"  # apart for the colour-blind (Okabe and Ito)
MARK = RED


def axes(ax: Any) -> Any:
    """Returns these axes, or new ones for ``None``.

    Args:
        ax: Matplotlib axes or ``None``.

    Returns:
        Matplotlib axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).

    Example:
        >>> axes(None).get_xlabel()
        ''
    """
    if ax is not None:
        return ax
    figure = require("matplotlib.figure", extra="train").Figure(figsize=(5, 4), layout="constrained")
    return figure.add_subplot()


def save_figure(ax: Any, path: str | Path, dpi: int = 150) -> None:
    """Writes the figure of some axes to a file, whole or not at all.

    Args:
        ax: Matplotlib axes.
        path: The file; its ending chooses the format.
        dpi: Dots per inch of a raster format.

    Example:
        >>> import tempfile, torch
        >>> from lgrin.visualization import plot_adjacency
        >>> save_figure(plot_adjacency(torch.eye(3)), f"{tempfile.mkdtemp()}/adjacency.png")
    """
    write_atomically(path, lambda name: ax.figure.savefig(name, dpi=dpi))


def save_animation(animation: Any, path: str | Path, dpi: int = 80) -> None:
    """Writes an animation to a GIF file, whole or not at all.

    Args:
        animation: As :func:`lgrin.visualization.animate_adjacency` returns it.
        path: The file, which ends in ``.gif``.
        dpi: Dots per inch.

    Raises:
        ValueError: If the file does not end in ``.gif``.

    Example:
        >>> import tempfile, torch
        >>> from lgrin.visualization import animate_adjacency
        >>> save_animation(animate_adjacency([torch.eye(3), torch.ones(3, 3)]), f"{tempfile.mkdtemp()}/learning.gif")
    """
    if Path(path).suffix.lower() != ".gif":
        raise ValueError(f"path is {str(path)!r}; animations are written as GIF, so let it end in .gif")
    write_atomically(path, lambda name: animation.save(name, writer="pillow", dpi=dpi))
