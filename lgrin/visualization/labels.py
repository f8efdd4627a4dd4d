"""Where the names of nodes stand in a picture, so that they hide neither arrowheads nor each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDES = ((0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))  # of a node; at a tie the first
DISTANCE, EM, HEIGHT = 8.0, 6.2, 12.0  # points: from the node's centre, and of letters at Matplotlib's usual size
HEAD = (4.0, 22.0)  # points before the centre of the target that an arrowhead takes
LINE, SOLID, NAME = 1, 20, 300  # prices of hiding a point of a line, one of an arrowhead or a node, and another name
HORIZONTAL = {-1: "right", 0: "center", 1: "left"}
VERTICAL = {-1: "top", 0: "center", 1: "bottom"}


class Label(NamedTuple):
    """Where a name stands.

    Attributes:
        offset: Points from the node's centre.
        align: ``ha`` and ``va`` of the text.
        hides_head: Whether there is an arrowhead behind it.
    """

    offset: tuple[float, float]
    align: dict[str, str]
    hides_head: bool


def place_labels(
    ax: "Axes", place: np.ndarray, labels: Sequence[str], edges: Sequence[tuple[int, int]], bend: float
) -> list[Label]:
    """Chooses for each node the side at which its name hides least.

    Args:
        ax: Axes with their limits.
        place: Nodes ``[M, 2]``.
        labels: Their names.
        edges: Source and target of each arrow.
        bend: The part of its length by which an arrow bends.

    Returns:
        A label for each node.

    Example:
        >>> from lgrin.visualization.figure import axes
        >>> first, second = place_labels(axes(None), np.array([[0, 1], [0, 0]]), ["a", "b"], [(0, 1)], bend=0)
        >>> first.align["va"], second.align["va"]  # the arrow comes from above
        ('bottom', 'top')
    """
    nodes = ax.transData.transform(place) * 72 / ax.figure.dpi
    curves = [_curve(nodes[source], nodes[target], bend) for source, target in edges]
    away = [np.linalg.norm(curve - curve[-1], axis=-1) for curve in curves]
    is_head = [(HEAD[0] < one) & (one < HEAD[1]) for one in away]
    nowhere = np.empty((0, 2))
    heads = np.concatenate([nowhere, *(curve[ends] for curve, ends in zip(curves, is_head, strict=True))])
    line = np.concatenate([nowhere, *(curve[~ends] for curve, ends in zip(curves, is_head, strict=True))])
    solid, placed = np.concatenate([heads, nodes]), []
    boxes = np.empty((0, 2, 2))  # middle and half size of the names that stand already
    for node, label in zip(nodes, labels, strict=True):
        half = np.array([EM * max(map(len, label.split("\n"))), HEIGHT * (1 + label.count("\n"))]) / 2
        middles = [node + (DISTANCE + half) * side for side in SIDES]
        prices = [
            LINE * _inside(line, one, half)
            + SOLID * _inside(solid, one, half)
            + NAME * _inside(boxes[:, 0], one, half + boxes[:, 1])
            for one in middles
        ]
        best = int(np.argmin(prices))
        (right, up), middle = SIDES[best], middles[best]
        align = {"ha": HORIZONTAL[right], "va": VERTICAL[up]}
        placed.append(Label((DISTANCE * right, DISTANCE * up), align, _inside(heads, middle, half) > 0))
        boxes = np.concatenate([boxes, [[middle, half]]])
    return placed


def _curve(start: np.ndarray, end: np.ndarray, bend: float) -> np.ndarray:
    """Samples what Matplotlib draws as ``connectionstyle="arc3,rad=bend"``: points ``[64, 2]``, the end last."""
    across = np.array([end[1] - start[1], start[0] - end[0]])
    middle, part = (start + end) / 2 + bend * across, np.linspace(0, 1, 64)[:, None]
    curve: np.ndarray = (1 - part) ** 2 * start + 2 * part * (1 - part) * middle + part**2 * end
    return curve


def _inside(points: np.ndarray, middle: np.ndarray, half: np.ndarray) -> int:
    """Counts the points within a box."""
    return int((np.abs(points - middle) <= half).all(-1).sum())
