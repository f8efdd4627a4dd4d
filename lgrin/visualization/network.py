"""A graph as dots and arrows."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from lgrin.extras import optional
from lgrin.options import check_whole
from lgrin.visualization.figure import BLUE, RED, SIGN_STYLES, axes, check_names, to_tensor
from lgrin.visualization.labels import Label, place_labels
from lgrin.visualization.matrices import AdjacencyLike, strongest, to_matrix

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEND = 0.12  # of arrows, as part of their length
ROOMY = 12  # nodes whose names a picture of the usual size has room for
GRAVITY = 0.05  # pull between any two nodes of a spring layout, as part of that of the strongest edge
Positions: TypeAlias = ArrayLike | Mapping[str, Sequence[float]]


def plot_network(
    adjacency: AdjacencyLike,
    ax: "Axes | None" = None,
    names: Sequence[str] | None = None,
    positions: Positions | None = None,
    num_edges: int = 30,
    seed: int = 0,
) -> "Axes":
    """Draws the strongest edges between different nodes as arrows from source to target, wider where they weigh more.

    Positive weights are blue and solid, negative ones red and dashed. A symmetric matrix gets lines without
    arrowheads. The size of a dot is the weight of its node's edge to itself; where that is negative, the dot is hollow.
    Each name stands at the side of its node where it hides least. New axes are larger with more than 12 nodes.

    Args:
        adjacency: ``[M, M]``, tensor or array, or a :class:`lgrin.nn.Adjacency`.
        ax: Matplotlib axes; ``None`` makes new ones.
        names: Names of the nodes; without them nodes are numbered.
        positions: ``[M, 2]``, or a dictionary of a place for each name, such as where sensors sit. ``None`` pulls nodes
            of strong edges together (a spring layout, of networkx).
        num_edges: Edges at the most; the two directions of a symmetric matrix count as one.
        seed: Seed of the spring layout.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If the adjacency, names or positions are something else.
        ValueError: If it is no square matrix, or not finite, ``num_edges`` is not positive, or names or positions do
            not fit.

    Example:
        >>> ax = plot_network(torch.tensor([[0.0, 1.0], [0.0, 0.0]]), names=["left", "right"])
        >>> [text.get_text() for text in ax.texts]
        ['left', 'right']
    """
    num_edges, matrix = check_whole("num_edges", num_edges), to_matrix(adjacency)
    labels = check_names(names, len(matrix)) or [str(node) for node in range(len(matrix))]
    directed = not torch.allclose(matrix, matrix.T)
    target, source = strongest(matrix if directed else matrix.tril(), num_edges)
    given = None if positions is None else _read_positions(positions, labels)
    place = _spring(matrix, target, source, seed) if given is None else given
    ax = axes(ax, scale=max(1, (len(matrix) / ROOMY) ** 0.5))
    _draw_edges(ax, matrix, place, target, source, directed)
    _draw_nodes(ax, matrix, place)
    _draw_legend(ax, matrix[target, source])
    ax.set_axis_off()
    ax.margins(0.15)
    ax.autoscale_view()
    edges = list(zip(source.tolist(), target.tolist(), strict=True))
    _draw_names(ax, place, labels, place_labels(ax, place, labels, edges, BEND if directed else 0))
    return ax


def _read_positions(positions: Positions, labels: list[str]) -> np.ndarray:
    if isinstance(positions, Mapping):
        lacking = [label for label in labels if label not in positions]
        if lacking:
            raise ValueError(f"positions has no place for {', '.join(map(repr, lacking[:3]))}; give one for each node")
        positions = [list(positions[label]) for label in labels]
    values = to_tensor("positions", positions, f"places [{len(labels)}, 2] or a dictionary of a place for each name")
    if values.shape != (len(labels), 2):
        raise ValueError(f"positions is {list(values.shape)}; for {len(labels)} nodes it has to be [{len(labels)}, 2]")
    return values.numpy()


def _spring(matrix: Tensor, target: Tensor, source: Tensor, seed: int) -> np.ndarray:
    """Places ``[M, 2]`` at which nodes of strong edges are near each other."""
    with optional("train"):
        import networkx
    pull = torch.zeros_like(matrix)
    pull[target, source] = matrix[target, source].abs()
    pull = pull + pull.T + GRAVITY * (float(pull.max()) or 1.0)  # or parts that no edge joins would drift apart
    found = networkx.spring_layout(networkx.from_numpy_array(pull.fill_diagonal_(0).numpy()), seed=seed)
    return np.stack([found[node] for node in range(len(matrix))])


def _draw_edges(ax: "Axes", matrix: Tensor, place: np.ndarray, target: Tensor, source: Tensor, directed: bool) -> None:
    with optional("train"):
        from matplotlib.patches import FancyArrowPatch
    weights = matrix[target, source]
    largest = float(weights.abs().max()) if len(weights) else 1.0
    for one, other, weight in zip(target.tolist(), source.tolist(), weights.tolist(), strict=True):
        part = abs(weight) / largest
        arrow = FancyArrowPatch(
            tuple(place[other]),
            tuple(place[one]),
            arrowstyle="-|>" if directed else "-",
            connectionstyle=f"arc3,rad={BEND if directed else 0}",  # two directions lie side by side
            mutation_scale=8 + 6 * part,
            shrinkA=7,
            shrinkB=7,
            linewidth=0.4 + 2.4 * part,
            linestyle=SIGN_STYLES[weight < 0],
            color=RED if weight < 0 else BLUE,
            zorder=1,
        )
        ax.add_patch(arrow)


def _draw_nodes(ax: "Axes", matrix: Tensor, place: np.ndarray) -> None:
    own = matrix.diag()
    sizes = 20 + 80 * own.abs() / (float(own.abs().max()) or 1.0)
    faces = ["white" if weight < 0 else "black" for weight in own.tolist()]
    ax.scatter(place[:, 0], place[:, 1], s=sizes.numpy(), facecolors=faces, edgecolors="black", zorder=2)


def _draw_names(ax: "Axes", place: np.ndarray, names: list[str], labels: list[Label]) -> None:
    """Writes the names; a white halo keeps them legible on lines, and is left out where it would hide an arrowhead."""
    with optional("train"):
        from matplotlib.patheffects import withStroke
    halo: list[Any] = [withStroke(linewidth=3, foreground="white")]
    for name, xy, label in zip(names, place, labels, strict=True):
        options: dict[str, Any] = {"textcoords": "offset points", "parse_math": False, "zorder": 3, **label.align}
        text = ax.annotate(name, xy, label.offset, **options)
        text.set_path_effects([] if label.hides_head else halo)


def _draw_legend(ax: "Axes", weights: Tensor) -> None:
    """Says what the two styles mean, where both signs are drawn."""
    if (weights < 0).any():
        for title, color, negative in (("positive", BLUE, False), ("negative", RED, True)):
            ax.plot([], [], color=color, linestyle=SIGN_STYLES[negative], label=title)
        ax.legend(frameon=False)
