"""What all pictures share: axes, colours, checks of what is drawn, and saving to files."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lgrin.extras import optional
from lgrin.files import write_atomically
from lgrin.options import check_path, check_whole
from lgrin.text import one_line

if TYPE_CHECKING:
    from matplotlib.animation import Animation
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"  # told apart by the colour-blind (Okabe and Ito)
HIGHLIGHT = RED
SIGN_STYLES = {False: "solid", True: "dashed"}  # of positive and of negative weights


def axes(ax: "Axes | None", scale: float = 1) -> "Axes":
    """Returns these axes, or new ones for ``None``.

    Args:
        ax: Matplotlib axes or ``None``.
        scale: The size of new ones, as part of the usual 5 by 4 inches.

    Returns:
        Matplotlib axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If it is something else.
        ValueError: If the axes were removed from their figure.

    Example:
        >>> axes(None).get_xlabel()
        ''
    """
    with optional("train"):
        from matplotlib.axes import Axes
        from matplotlib.figure import Figure
    if ax is not None:
        if not isinstance(ax, Axes):
            raise TypeError(f"ax is a {type(ax).__name__}; it may be Matplotlib axes, such as plt.gca(), or None")
        if ax.figure is None:
            raise ValueError("ax was removed from its figure; pass axes of a figure, or None for new ones")
        return ax
    return Figure(figsize=(5 * scale, 4 * scale), layout="compressed").add_subplot()


def to_tensor(name: str, values: Tensor | ArrayLike, kind: str, missing: bool = False) -> Tensor:
    """Converts what is drawn to a tensor, and checks its numbers.

    Args:
        name: Its name in errors.
        values: A tensor of any layout on any device, an array or nested lists.
        kind: A description, for errors, of what it may be.
        missing: Whether numbers may be NaN or infinite.

    Returns:
        Float64 numbers on the CPU.

    Raises:
        TypeError: If it is something else.
        ValueError: If a number is not finite, with its place.

    Example:
        >>> to_tensor("x", [[1, 2]], "a matrix")
        tensor([[1., 2.]], dtype=torch.float64)
    """
    given = getattr(values, "dtype", f"a {type(values).__name__}")
    try:
        array = values.detach().cpu() if isinstance(values, Tensor) else torch.from_numpy(np.asarray(values))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is {given}; it may be {kind}, of real numbers") from error
    if array.is_complex():
        raise TypeError(f"{name} is {given}; it may be {kind}, of real numbers")
    values = array.to_dense().double()
    if not missing and not values.isfinite().all():
        place = (~values.isfinite()).nonzero()[0].tolist()
        raise ValueError(f"{name}{place} is {values[tuple(place)].item()}; every number has to be finite")
    return values


def check_names(names: Sequence[str] | None, num_nodes: int) -> list[str] | None:
    """Checks that every node has a name.

    Args:
        names: A name for each node, or ``None``.
        num_nodes: The number of nodes M.

    Returns:
        The names, or ``None``.

    Raises:
        TypeError: If they are one text or no sequence.
        ValueError: If there are more or fewer than nodes.

    Example:
        >>> check_names(("left", "right"), 2)
        ['left', 'right']
    """
    if names is None:
        return None
    if isinstance(names, str) or not hasattr(names, "__len__"):
        raise TypeError(f"names is a {type(names).__name__}; it may be a list of {num_nodes} names, or None")
    if len(names) != num_nodes:
        raise ValueError(f"names has {len(names)} entries, but the graph has {num_nodes} nodes; give one name a node")
    return [one_line(name) for name in names]


def name_ticks(ax: "Axes", names: list[str], sides: str = "xy") -> None:
    """Writes the names of nodes at their places on the axes, smaller where there are many.

    Args:
        ax: Matplotlib axes on which node i is at i.
        names: A name for each node.
        sides: Which axes: ``"x"``, ``"y"`` or both.

    Example:
        >>> ax = axes(None)
        >>> name_ticks(ax, ["left", "right"], "x")
        >>> [label.get_text() for label in ax.get_xticklabels()]
        ['left', 'right']
    """
    size = min(10.0, 190 / len(names))
    if "x" in sides:
        ax.set_xticks(range(len(names)), names, rotation=90, fontsize=size, parse_math=False)
    if "y" in sides:
        ax.set_yticks(range(len(names)), names, fontsize=size, parse_math=False)


def save_figure(ax: "Artist", path: str | Path, dpi: int = 150) -> None:
    """Writes the figure of some axes to a file, whole or not at all.

    Args:
        ax: Matplotlib axes, or anything else that stands in a figure.
        path: The file; its ending chooses the format.
        dpi: Dots per inch of a raster format.

    Raises:
        TypeError: If ax stands in no figure.
        ValueError: If no format has this ending, or dpi is not a positive whole number.

    Example:
        >>> import tempfile, torch
        >>> from lgrin.visualization import plot_adjacency
        >>> save_figure(plot_adjacency(torch.eye(3)), f"{tempfile.mkdtemp()}/adjacency.png")
    """
    figure, dpi = getattr(ax, "figure", None), check_whole("dpi", dpi)
    if figure is None:
        raise TypeError(f"ax is a {type(ax).__name__} in no figure; pass what a plot function has returned")
    formats = figure.canvas.get_supported_filetypes()
    if check_path("path", path).suffix.lower().removeprefix(".") not in formats:
        raise ValueError(f"path is {str(path)!r}; it may end in {', '.join(f'.{one}' for one in formats)}")
    write_atomically(path, lambda name: figure.savefig(name, dpi=dpi))


def save_animation(animation: "Animation", path: str | Path, dpi: int = 80) -> None:
    """Writes an animation to a GIF file, whole or not at all.

    Args:
        animation: As :func:`lgrin.visualization.animate_adjacency` returns it.
        path: The file, which ends in ``.gif``.
        dpi: Dots per inch.

    Raises:
        TypeError: If animation is something else.
        ValueError: If the file does not end in ``.gif``, or dpi is not a positive whole number.

    Example:
        >>> import tempfile, torch
        >>> from lgrin.visualization import animate_adjacency
        >>> save_animation(animate_adjacency([torch.eye(3), torch.ones(3, 3)]), f"{tempfile.mkdtemp()}/learning.gif")
    """
    if check_path("path", path).suffix.lower() != ".gif":
        raise ValueError(f"path is {str(path)!r}; animations are written as GIF, so let it end in .gif")
    if not hasattr(animation, "save"):
        raise TypeError(f"animation is a {type(animation).__name__}; pass what animate_adjacency has returned")
    dpi = check_whole("dpi", dpi)
    write_atomically(path, lambda name: animation.save(name, writer="pillow", dpi=dpi))
