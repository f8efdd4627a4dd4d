"""Pictures of learned graphs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from lgrin.extras import optional
from lgrin.nn import StationaryAdjacency
from lgrin.options import check_option, check_whole
from lgrin.visualization.figure import BLUE, ORANGE, SIGN_STYLES, axes, check_names, name_ticks
from lgrin.visualization.matrices import AdjacencyLike, strongest, to_matrix, to_values

if TYPE_CHECKING:
    from matplotlib.animation import FuncAnimation
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage
    from matplotlib.lines import Line2D

SCALES = ("linear", "log")
DECADES = 4  # that a logarithmic scale shows
MARKED_NODES, MARKED_PART = 50, 0.1  # minus signs: up to how many nodes, and from which part of the scale


def plot_adjacency(
    adjacency: AdjacencyLike,
    ax: "Axes | None" = None,
    names: Sequence[str] | None = None,
    scale: str = "linear",
) -> "Axes":
    """Draws an adjacency matrix, darker where an edge weighs more (Fig. 4); weights of either sign in two colours.

    Up to 50 nodes, a minus sign marks negative weights beyond a tenth of the scale, so that signs can be read without
    colour.

    Args:
        adjacency: ``[M, M]``, tensor or array, a :class:`lgrin.nn.Adjacency`, or a fitted
            :class:`lgrin.sklearn.LGrINClassifier`.
        ax: Matplotlib axes; ``None`` makes new ones.
        names: Names of the nodes, written on the axes; without them nodes are numbered frames.
        scale: ``"linear"``, or ``"log"`` for the sizes of weights over four decades below the largest.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If the adjacency or names are something else.
        ValueError: If it is no square matrix, or not finite, or names or scale do not fit.

    Example:
        >>> plot_adjacency(torch.eye(3)).get_xlabel()
        'source frame j'
        >>> plot_adjacency(torch.eye(2), names=["left", "right"]).get_ylabel()
        'target node'
    """
    matrix, ax = to_matrix(adjacency), axes(ax)
    names = check_names(names, len(matrix))
    image = _draw(matrix, ax, names, _colors([matrix], scale))
    _mark_negative(matrix, image)
    ax.figure.colorbar(image, ax=ax, label="weight $A_{ij}$")
    return ax


def plot_kernel(adjacency: StationaryAdjacency, ax: "Axes | None" = None) -> "Axes":
    """Draws the weight of every distance in time of a stationary graph, one line for each head.

    Args:
        adjacency: The graph.
        ax: Matplotlib axes; ``None`` makes new ones.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If the adjacency is of another class.

    Example:
        >>> plot_kernel(StationaryAdjacency(reach=3, heads=2)).get_xlabel()
        'distance of the source in frames'
    """
    if not isinstance(adjacency, StationaryAdjacency):
        raise TypeError(
            f"adjacency is a {type(adjacency).__name__}; plot_kernel draws a StationaryAdjacency, others plot_adjacency"
        )
    kernel, ax = to_values(adjacency.kernel()), axes(ax)
    kernels = kernel if kernel.dim() == 2 else kernel.unsqueeze(0)
    reach = kernels.size(1) // 2
    distance = np.arange(-reach, reach + 1)
    markers = "osD^vP*X"
    for head, weights in enumerate(kernels):
        taps = adjacency.distance[head].cpu().numpy() + reach
        label = f"head {head}" if len(kernels) > 1 else None
        ax.plot(distance[taps], weights[taps], marker=markers[head % len(markers)], markersize=4, label=label)
    ax.axhline(0, color="0.7", linewidth=0.8, zorder=0)
    ax.set_xlabel("distance of the source in frames")
    ax.set_ylabel("weight")
    if len(kernels) > 1:
        ax.legend(frameon=False, ncols=2)
    return ax


def plot_heads(adjacency: AdjacencyLike, names: Sequence[str] | None = None, scale: str = "linear") -> "list[Axes]":
    """Draws the matrices of several heads side by side, all on one scale.

    Args:
        adjacency: ``[K, M, M]``, tensor or array, or a :class:`lgrin.nn.Adjacency`; ``[M, M]`` is one head.
        names: Names of the nodes, written on the axes; without them nodes are numbered frames.
        scale: ``"linear"``, or ``"log"`` for the sizes of weights over four decades below the largest.

    Returns:
        The axes of each head, all in one new figure.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If the adjacency or names are something else.
        ValueError: If it is no stack of square matrices, or not finite, or names or scale do not fit.

    Example:
        >>> [ax.get_title() for ax in plot_heads(torch.rand(2, 3, 3))]
        ['head 0', 'head 1']
    """
    stack = to_values(adjacency)
    heads = [to_matrix(one) for one in (stack if stack.dim() == 3 else [stack])]
    names = check_names(names, len(heads[0]))
    with optional("train"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(1 + 3 * len(heads), 3.4), layout="compressed")
    drawn = figure.subplots(1, len(heads), squeeze=False)[0].tolist()
    colors = _colors(heads, scale)
    for head, (matrix, ax) in enumerate(zip(heads, drawn, strict=True)):
        image = _draw(matrix, ax, names, colors)
        _mark_negative(matrix, image)
        ax.set_title(f"head {head}")
    figure.colorbar(image, ax=drawn, label="weight $A_{ij}$")
    return drawn


def plot_change(
    before: AdjacencyLike,
    after: AdjacencyLike,
    ax: "Axes | None" = None,
    names: Sequence[str] | None = None,
) -> "Axes":
    """Draws what training changed: blue and unmarked where a weight grew, red and with a minus sign where it fell.

    .. math:: A^{\\text{after}} - A^{\\text{before}}

    Args:
        before: ``[M, M]``, such as the first entry of :class:`lgrin.training.AdjacencyHistory`, or a copy that was made
            before training, ``adjacency().detach().clone()``.
        after: ``[M, M]``, tensor or array, or a :class:`lgrin.nn.Adjacency`.
        ax: Matplotlib axes; ``None`` makes new ones.
        names: Names of the nodes, written on the axes; without them nodes are numbered frames.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If a matrix or names are something else.
        ValueError: If one is no square matrix, or not finite, or sizes do not fit.

    Example:
        >>> plot_change(torch.zeros(2, 2), torch.eye(2)).images[0].get_array().tolist()
        [[1.0, 0.0], [0.0, 1.0]]
    """
    first, last = to_matrix(before, "before"), to_matrix(after, "after")
    if len(first) != len(last):
        raise ValueError(f"before has {len(first)} nodes, but after has {len(last)}; give matrices of one run")
    change, ax = last - first, axes(ax)
    image = _draw(change, ax, check_names(names, len(last)), _two_colors([change]))
    _mark_negative(change, image)
    ax.figure.colorbar(image, ax=ax, label="change of weight $A_{ij}$")
    return ax


def animate_adjacency(
    history: Sequence[AdjacencyLike],
    ax: "Axes | None" = None,
    interval: int = 100,
    names: Sequence[str] | None = None,
) -> "FuncAnimation":
    """Shows how an adjacency matrix changed in training, all epochs on one scale.

    Args:
        history: Matrices ``[M, M]``, as :class:`lgrin.training.AdjacencyHistory` collects them.
        ax: Matplotlib axes; ``None`` makes new ones.
        interval: Milliseconds that each is shown.
        names: Names of the nodes, written on the axes; without them nodes are numbered frames.

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
    matrices = [to_matrix(one, f"history[{epoch}]") for epoch, one in enumerate(history)]
    if len({len(one) for one in matrices}) > 1:
        raise ValueError(
            f"history has matrices of {sorted({len(one) for one in matrices})} frames; give those of one run"
        )
    if not matrices:
        raise ValueError("history is empty; train with callbacks=[AdjacencyHistory()] and pass its history")
    ax = axes(ax)
    image = _draw(matrices[0], ax, check_names(names, len(matrices[0])), _colors(matrices))
    ax.figure.colorbar(image, ax=ax, label="weight $A_{ij}$")

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
    matrix, ax = to_matrix(adjacency), axes(ax)
    index = torch.arange(len(matrix))
    distance = (index - index.unsqueeze(-1)).abs()
    weights = [matrix[distance == apart].abs() for apart in index]
    low, high = (torch.stack([one.quantile(part) for one in weights]) for part in (0.25, 0.75))
    ax.plot(index.numpy(), torch.stack([one.mean() for one in weights]).numpy(), color=BLUE, label="mean")
    ax.fill_between(index.numpy(), low.numpy(), high.numpy(), color=BLUE, alpha=0.25, linewidth=0, label="middle half")
    ax.set(xlabel="frames apart, $|i - j|$", ylabel="weight $|A_{ij}|$", ylim=(0, None))
    ax.legend(frameon=False)
    return ax


def plot_timeline(
    adjacency: AdjacencyLike,
    ax: "Axes | None" = None,
    num_edges: int = 100,
    names: Sequence[str] | None = None,
) -> "Axes":
    """Draws the heaviest edges as arcs over a line of frames, thicker and darker where an edge weighs more in size.

    Arcs above the line go forwards in time (the target is a later frame than the source), those below go back. The
    size of a frame's dot is the weight of its edge to itself. Arcs of negative weight are dashed, and dots hollow.

    Args:
        adjacency: ``[M, M]``, tensor or array, or a :class:`lgrin.nn.Adjacency`.
        ax: Matplotlib axes; ``None`` makes new ones.
        num_edges: Edges at the most.
        names: Names of the nodes, written along the line; without them nodes are numbered frames.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If the adjacency or names are something else.
        ValueError: If it is no square matrix, or not finite, ``num_edges`` is not positive, or names do not fit.

    Example:
        >>> ax = plot_timeline(torch.tensor([[0.0, 1.0], [0.0, 0.0]]))
        >>> [len(arcs.get_segments()) for arcs in ax.collections[:2]]  # forwards, back
        [0, 1]
    """
    num_edges = check_whole("num_edges", num_edges)
    matrix, ax = to_matrix(adjacency), axes(ax)
    names = check_names(names, len(matrix))
    largest = float(matrix.abs().max()) or 1.0
    target, source = (one.flip(0) for one in strongest(matrix, num_edges))  # the heaviest last, on top
    with optional("train"):
        from matplotlib.collections import LineCollection
        from matplotlib.colors import to_rgba
    directions: list[Line2D] = []
    for title, color, chosen in (
        ("forwards in time" if names is None else "to the right", BLUE, target > source),
        ("back in time" if names is None else "to the left", ORANGE, target < source),
    ):
        weights = matrix[target[chosen], source[chosen]]
        parts = weights.abs() / largest
        paths = [_arc(*ends).numpy() for ends in zip(source[chosen].tolist(), target[chosen].tolist(), strict=True)]
        colors = [to_rgba(color, 0.2 + 0.8 * part) for part in parts.tolist()]
        styles = [SIGN_STYLES[weight < 0] for weight in weights.tolist()]
        widths = (0.3 + 2 * parts).tolist()
        ax.add_collection(LineCollection(paths, linewidths=widths, colors=colors, linestyles=styles or "solid"))
        directions += ax.plot([], [], color=color, linewidth=2, label=title)
    if (matrix < 0).any():
        directions += ax.plot([], [], color="black", linestyle=SIGN_STYLES[True], label="negative")
    frames, own = torch.arange(len(matrix)).numpy(), matrix.diag()
    faces = ["white" if weight < 0 else "black" for weight in own.tolist()]
    sizes = (4 + 40 * own.abs() / largest).numpy()
    ax.scatter(frames, 0 * frames, s=sizes, facecolors=faces, edgecolors="black", zorder=3)
    reach = float((target - source).abs().max()) / 2 if len(target) else 1.0
    ax.set(xlabel="frame", xlim=(-1, len(matrix)), ylim=(-1.1 * reach, 1.8 * reach), yticks=[])
    ax.locator_params(axis="x", integer=True)
    if names is not None:
        name_ticks(ax, names, "x")
        ax.set_xlabel("node")
    ax.legend(handles=directions, loc="upper right", frameon=False)
    return ax


def _arc(source: int, target: int) -> Tensor:
    """Points ``[32, 2]`` of a half circle from one frame to another, above the line if it goes forwards."""
    angle = torch.linspace(0, torch.pi, 32)
    radius, middle = (target - source) / 2, (target + source) / 2
    return torch.stack([middle - radius * angle.cos(), radius * angle.sin()], dim=-1)


def _draw(matrix: Tensor, ax: "Axes", names: list[str] | None, colors: dict[str, Any]) -> "AxesImage":
    """Draws a matrix and names its axes."""
    image = ax.imshow(matrix.numpy(), interpolation="nearest", **colors)
    if names is None:
        ax.set(xlabel="source frame j", ylabel="target frame i")
    else:
        name_ticks(ax, names)
        ax.set(xlabel="source node", ylabel="target node")
    return image


def _mark_negative(matrix: Tensor, image: "AxesImage") -> None:
    """Puts a minus sign on negative weights that have a colour, where nodes are few enough for it."""
    if len(matrix) > MARKED_NODES or not (matrix < 0).any():
        return
    shade = torch.from_numpy(np.asarray(image.norm(matrix.numpy())))  # from 0, most negative, over 0.5 to 1
    colored, dark = shade < 0.5 - MARKED_PART / 2, shade < 0.25
    for chosen, color in ((colored & dark, "white"), (colored & ~dark, "black")):
        target, source = (one.numpy() for one in chosen.nonzero(as_tuple=True))
        image.axes.scatter(source, target, s=900 / len(matrix), marker="_", color=color)


def _colors(matrices: Sequence[Tensor], scale: str = "linear") -> dict[str, Any]:
    """One scale for matrices: grey from 0, or two colours around 0 where weights are negative."""
    check_option("scale", scale, SCALES)
    if min(float(one.min()) for one in matrices) < 0:
        return _two_colors(matrices, scale)
    largest = max(float(one.max()) for one in matrices) or 1
    if scale == "linear":
        return {"cmap": "Greys", "vmin": 0, "vmax": largest}
    with optional("train"):
        from matplotlib import colormaps
        from matplotlib.colors import LogNorm
    cmap = colormaps["Greys"].with_extremes(bad="white", under="white")  # 0 has no logarithm
    return {"cmap": cmap, "norm": LogNorm(largest / 10**DECADES, largest)}


def _two_colors(matrices: Sequence[Tensor], scale: str = "linear") -> dict[str, Any]:
    """One scale for matrices: two colours around 0."""
    largest = max(float(one.abs().max()) for one in matrices) or 1
    if scale == "linear":
        return {"cmap": "RdBu", "vmin": -largest, "vmax": largest}
    with optional("train"):
        from matplotlib.colors import SymLogNorm
    return {"cmap": "RdBu", "norm": SymLogNorm(largest / 10**DECADES, vmin=-largest, vmax=largest)}
