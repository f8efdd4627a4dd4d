"""Pictures of what a classifier looks at."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from lgrin.visualization.figure import axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_channel_importance(
    mean: ArrayLike,
    error: ArrayLike | None = None,
    names: Sequence[str] | None = None,
    ax: "Axes | None" = None,
) -> "Axes":
    """Draws a bar for each channel, the most important one on top, with one standard error.

    Args:
        mean: ``[P]``, as :func:`lgrin.sklearn.channel_importance` finds it.
        error: ``[P]``, its standard error; ``None`` draws none.
        names: Names of the channels; without them channels are numbered.
        ax: Matplotlib axes; ``None`` makes new ones.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        ValueError: If sizes do not fit.

    Example:
        >>> plot_channel_importance([0.2, 1.0], names=["left", "right"]).get_yticklabels()[-1].get_text()
        'right'
    """
    values = np.asarray(mean, dtype=float)
    errors = None if error is None else np.asarray(error, dtype=float)
    if values.ndim != 1 or (errors is not None and errors.shape != values.shape):
        shapes = [list(values.shape), None if errors is None else list(errors.shape)]
        raise ValueError(f"mean and error have the shapes {shapes}; give one number for each channel")
    labels = [str(one) for one in (range(len(values)) if names is None else names)]
    if len(labels) != len(values):
        raise ValueError(f"names has {len(labels)} entries, but mean {len(values)}; give one name for each channel")
    order, ax = np.argsort(values), axes(ax)
    ax.barh(np.arange(len(values)), values[order], xerr=None if errors is None else errors[order], color="0.6")
    ax.set_yticks(np.arange(len(values)), [labels[index] for index in order])
    ax.axvline(0, color="black", linewidth=0.8)
    ax.set(xlabel="rise of the cross-entropy without the channel, nats", ylabel="channel")
    return ax
