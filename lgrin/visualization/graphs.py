"""Pictures of learned graphs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lgrin.extras import optional
from lgrin.nn import Adjacency
from lgrin.options import check_whole
from lgrin.visualization.figure import BLUE, ORANGE, axes, to_tensor

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

AdjacencyLike: TypeAlias = Tensor | ArrayLike | Adjacency  # [M, M]


def plot_adjacency(adjacency: AdjacencyLike, ax: "Axes | None" = None) -> "Axes":
    """Draws an adjacency matrix, darker where an edge weighs more (Fig. 4); weights of either sign in two colours.

    Args:
        adjacency: ``[M, M]``, tensor or array, or a :class:`lgrin.nn.Adjacency`.
        ax: Matplotlib axes; ``None`` makes new ones.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If the adjacency is something else.
        ValueError: If it is no square matrix, or not finite.

    Example:
        >>> plot_adjacency(torch.eye(3)).get_xlabel()
        'speaking frame j'
    """
    matrix, ax = _matrix(adjacency), axes(ax)
    image = ax.imshow(matrix.numpy(), interpolation="nearest", **_colors([matrix]))
    ax.figure.colorbar(image, ax=ax, label="weight $A_{ij}$")
    ax.set(xlabel="speaking frame j", ylabel="listening frame i")
    return ax


def animate_adjacency(
    history: Sequence[AdjacencyLike], ax: "Axes | None" = None, interval: int = 100
) -> "FuncAnimation":
    """Shows how an adjacency matrix changed in training, all epochs on one scale.

    Args:
        history: Matrices ``[M, M]``, as :class:`lgrin.training.AdjacencyHistory` collects them.
        ax: Matplotlib axes; ``None`` makes new ones.
        interval: Milliseconds that each is shown.

    Returns:
        A Matplotlib animation; :func:`lgrin.visualization.save_animation` writes it, a notebook shows
        ``animation.to_jshtml()``.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If history holds something else.
        ValueError: If there is no matrix, they differ in size, or one is not square or not finite.

    Example:
        >>> animation = animate_adjacency([torch.eye(3), torch.ones(3, 3)])
        >>> len(list(animation.new_frame_seq()))
        2
    """
    if not isinstance(history, Sequence | Tensor | np.ndarray):
        raise TypeError(f"history is a {type(history).__name__}; it may be a list of matrices [M, M]")
    interval = check_whole("interval", interval)
    matrices = [_matrix(one, f"history[{epoch}]") for epoch, one in enumerate(history)]
    if len({len(one) for one in matrices}) > 1:
        raise ValueError(
            f"history has matrices of {sorted({len(one) for one in matrices})} frames; give those of one run"
        )
    if not matrices:
        raise ValueError("history is empty; train with callbacks=[AdjacencyHistory()] and pass its history")
    ax = plot_adjacency(matrices[0], ax)
    image = ax.images[-1]
    colors = _colors(matrices)
    image.set_cmap(colors["cmap"])
    image.set_clim(colors["vmin"], colors["vmax"])

    def show(epoch: int) -> list["Artist"]:
        image.set_data(matrices[epoch].numpy())
        return [image, ax.set_title(f"after {epoch} epochs" if epoch else "at the start")]

    with optional("train"):
        from matplotlib.animation import FuncAnimation
    show(0)
    return FuncAnimation(ax.figure.canvas.figure, show, frames=len(matrices), interval=interval)


def plot_edge_distance(adjacency: AdjacencyLike, ax: "Axes | None" = None) -> "Axes":
    r"""Draws the weight of edges against the distance of their frames: the mean and the interquartile range.

    .. math:: d \mapsto \{ |A_{ij}| : |i - j| = d \}

    Args:
        adjacency: ``[M, M]``, tensor or array, or a :class:`lgrin.nn.Adjacency`.
        ax: Matplotlib axes; ``None`` makes new ones.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If the adjacency is something else.
        ValueError: If it is no square matrix, or not finite.

    Example:
        >>> plot_edge_distance(torch.eye(3)).lines[0].get_ydata().tolist()
        [1.0, 0.0, 0.0]
    """
    matrix, ax = _matrix(adjacency), axes(ax)
    index = torch.arange(len(matrix))
    distance = (index - index.unsqueeze(-1)).abs()
    weights = [matrix[distance == apart].abs() for apart in index]
    low, high = (torch.stack([one.quantile(part) for one in weights]) for part in (0.25, 0.75))
    ax.plot(index.numpy(), torch.stack([one.mean() for one in weights]).numpy(), color=BLUE, label="mean")
    ax.fill_between(index.numpy(), low.numpy(), high.numpy(), color=BLUE, alpha=0.25, linewidth=0, label="middle half")
    ax.set(xlabel="frames apart, $|i - j|$", ylabel="weight $|A_{ij}|$", ylim=(0, None))
    ax.legend(frameon=False)
    return ax


def plot_timeline(adjacency: AdjacencyLike, ax: "Axes | None" = None, num_edges: int = 100) -> "Axes":
    """Draws the heaviest edges as arcs over a line of frames, thicker and darker where an edge weighs more in size.

    Arcs above the line go forwards in time (a frame speaks to a later one), those below go back. The size of a
    frame's dot is the weight of its edge to itself.

    Args:
        adjacency: ``[M, M]``, tensor or array, or a :class:`lgrin.nn.Adjacency`.
        ax: Matplotlib axes; ``None`` makes new ones.
        num_edges: Edges at the most.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If the adjacency is something else.
        ValueError: If it is no square matrix, or not finite, or ``num_edges`` is not positive.

    Example:
        >>> ax = plot_timeline(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        >>> [len(arcs.get_segments()) for arcs in ax.collections[:2]]  # forwards, back
        [0, 1]
    """
    num_edges = check_whole("num_edges", num_edges)
    matrix, ax = _matrix(adjacency).abs(), axes(ax)
    largest = float(matrix.max()) or 1.0
    apart = matrix.clone().fill_diagonal_(0)
    weight, place = apart.flatten().sort(descending=True)
    kept = place[: int((weight[:num_edges] > 0).sum())].flip(0)  # the heaviest last, on top
    target, source = kept // len(matrix), kept % len(matrix)
    with optional("train"):
        from matplotlib.collections import LineCollection
        from matplotlib.colors import to_rgba
    directions: list[Line2D] = []
    for title, color, chosen in (
        ("forwards in time", BLUE, target > source),
        ("back in time", ORANGE, target < source),
    ):
        parts = apart[target[chosen], source[chosen]] / largest
        paths = [_arc(*ends).numpy() for ends in zip(source[chosen].tolist(), target[chosen].tolist(), strict=True)]
        colors = [to_rgba(color, 0.2 + 0.8 * part) for part in parts.tolist()]
        ax.add_collection(LineCollection(paths, linewidths=(0.3 + 2 * parts).tolist(), colors=colors))
        directions += ax.plot([], [], color=color, linewidth=2, label=title)
    frames = torch.arange(len(matrix)).numpy()
    ax.scatter(frames, 0 * frames, s=(4 + 40 * matrix.diag() / largest).numpy(), color="black", zorder=3)
    reach = float((target - source).abs().max()) / 2 if len(kept) else 1.0
    ax.set(xlabel="frame", xlim=(-1, len(matrix)), ylim=(-1.1 * reach, 1.8 * reach), yticks=[])
    ax.locator_params(axis="x", integer=True)
    ax.legend(handles=directions, loc="upper right", frameon=False)
    return ax


def _arc(source: int, target: int) -> Tensor:
    """Points ``[32, 2]`` of a half circle from one frame to another, above the line if it goes forwards."""
    angle = torch.linspace(0, torch.pi, 32)
    radius, middle = (target - source) / 2, (target + source) / 2
    return torch.stack([middle - radius * angle.cos(), radius * angle.sin()], dim=-1)


def _colors(matrices: Sequence[Tensor]) -> dict[str, Any]:
    """One scale for matrices: grey from 0, or two colours around 0 where weights are negative."""
    largest = max(float(one.abs().max()) for one in matrices) or 1
    if min(float(one.min()) for one in matrices) < 0:
        return {"cmap": "RdBu", "vmin": -largest, "vmax": largest}
    return {"cmap": "Greys", "vmin": 0, "vmax": largest}


def _matrix(adjacency: AdjacencyLike, name: str = "adjacency") -> Tensor:
    values = adjacency() if isinstance(adjacency, Adjacency) else adjacency
    matrix = to_tensor(name, values, "a matrix [M, M] or a LearnableAdjacency, such as model.adjacency")
    if matrix.dim() != 2 or matrix.size(0) != matrix.size(1) or not len(matrix):
        several = "; of several heads draw one, such as adjacency()[0]" if matrix.dim() == 3 else ""
        raise ValueError(f"{name} is {list(matrix.shape)}; it has to be a square matrix [M, M]{several}")
    return matrix.float()
