"""Pictures that only the page of a run has."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lgrin.text import one_line
from lgrin.visualization.figure import BLUE, axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEWEST_DISTANCES = 4  # to either side of a curve
SMALL = 0.01  # of the largest mean weight, which a curve leaves out


def mean_by_distance(matrix: np.ndarray) -> np.ndarray:
    """The mean weight of the edges of each distance in time.

    Args:
        matrix: A ``[M, M]``, ``A[target, source]``.

    Returns:
        ``[2 M - 1]``: the mean for sources that are M - 1 frames earlier than the target, to those M - 1 later.

    Example:
        >>> mean_by_distance(np.array([[5.0, 2.0], [1.0, 7.0]])).tolist()
        [1.0, 6.0, 2.0]
    """
    frames = len(matrix)
    return np.array([np.diagonal(matrix, apart).mean() for apart in range(1 - frames, frames)])


def near(start: np.ndarray, learned: np.ndarray) -> int:
    """The distance beyond which no mean weight is more than a hundredth of the largest.

    Args:
        start: The mean weights by distance before training, see :func:`mean_by_distance`.
        learned: Those after it.

    Returns:
        The distance, 4 at the least where there are as many frames.

    Example:
        >>> near(np.eye(1, 201, 100)[0], np.eye(1, 201, 93)[0])
        7
    """
    middle = len(start) // 2
    size = np.maximum(np.abs(start), np.abs(learned))
    apart = np.abs(np.arange(len(size)) - middle)
    found = int(apart[size > SMALL * size.max()].max(initial=0))
    return min(max(found, FEWEST_DISTANCES), middle)


def plot_by_distance(start: np.ndarray, learned: np.ndarray) -> "Axes":
    """Draws the mean weight by distance in time, learned against the start.

    Args:
        start: A ``[M, M]`` before training.
        learned: A after it.

    Returns:
        The axes.

    Example:
        >>> [line.get_label() for line in plot_by_distance(np.eye(9), 2 * np.eye(9)).lines]
        ['start', 'learned']
    """
    ax, before, after = axes(None, 0.8), mean_by_distance(start), mean_by_distance(learned)
    middle, reach = len(before) // 2, near(before, after)
    apart, shown = np.arange(-reach, reach + 1), slice(middle - reach, middle + reach + 1)
    looks: dict[str, Any] = {"linewidth": 1.5, "markersize": 4 if reach < 30 else 0}
    ax.plot(apart, before[shown], "--s", color="black", markerfacecolor="white", label="start", **looks)
    ax.plot(apart, after[shown], "-o", color=BLUE, label="learned", **looks)
    ax.set(xlabel="frames from target to source (left: earlier)", ylabel="mean weight")
    ax.locator_params(axis="x", integer=True)
    ax.legend(frameon=False)
    return ax


def plot_places(places: Mapping[str, Sequence[float]]) -> "Axes":
    """Draws where the salient frames of each class lie.

    Args:
        places: For each class the place of the salient frame of each test sequence, from 0 to 1.

    Returns:
        The axes.

    Example:
        >>> [label.get_text() for label in plot_places({"calm": [0.1, 0.4], "glad": [0.9]}).get_yticklabels()]
        ['calm', 'glad']
    """
    ax = axes(None)
    for level, found in enumerate(places.values()):
        spread = (np.arange(len(found)) % 9 - 4) / 14  # dots of one place lie beside each other
        ax.scatter(found, level + spread, s=25, color=BLUE, alpha=0.6, linewidths=0)
        ax.plot([np.median(found)] * 2, [level - 0.4, level + 0.4], color="black", linewidth=2)
    ax.set_yticks(range(len(places)), list(map(one_line, places)), parse_math=False)
    ax.set(xlabel="place in the sequence, 0 is its first frame, 1 its last", xlim=(-0.03, 1.03))
    ax.invert_yaxis()
    return ax
