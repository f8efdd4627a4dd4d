"""Pictures of sequences."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from torch import Tensor

from lgrin.visualization.figure import HIGHLIGHT, axes, to_tensor

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_salient_frames(x: Tensor | ArrayLike, frame: Tensor | ArrayLike, ax: "Axes | None" = None) -> "Axes":
    """Draws all features over time, each scaled to its range, with frames marked (Fig. 7).

    Args:
        x: Features ``[M, P]`` of one sequence, tensor or array; values that are not finite stay white.
        frame: The frame or frames to mark, as :meth:`lgrin.LGrIN.salient_frames` finds them; those below 0 are left
            out.
        ax: Matplotlib axes; ``None`` makes new ones.

    Returns:
        The axes.

    Raises:
        ImportError: If matplotlib is not installed (extra ``train``).
        TypeError: If x is something else, or frames are no whole numbers.
        ValueError: If x is not one sequence, or a frame lies behind its end.

    Example:
        >>> import torch
        >>> plot_salient_frames(torch.rand(5, 3), 2).get_xlabel()
        'frame'
    """
    x = to_tensor("x", x, "the features [M, P] of one sequence", missing=True)
    if x.dim() != 2 or not x.numel():
        raise ValueError(f"x is {list(x.shape)}; pass the features [M, P] of one sequence")
    marked = np.asarray(frame.cpu() if isinstance(frame, Tensor) else frame).reshape(-1)
    if marked.size and not np.issubdtype(marked.dtype, np.integer):
        raise TypeError(f"frame is {frame!r}; it may be a whole number or several")
    frames = [int(one) for one in marked if one >= 0]
    if frames and max(frames) >= len(x):
        raise ValueError(f"frame is {max(frames)}, but x has {len(x)} frames")
    ax, values = axes(ax), x.masked_fill(~x.isfinite(), float("nan")).numpy()
    low, high = (bound(values, axis=0, initial=start, where=~np.isnan(values)) for bound, start in _BOUNDS)
    scaled = (values - low) / np.where(high > low, high - low, 1)
    ax.imshow(scaled.T, aspect="auto", cmap="viridis", interpolation="nearest", vmin=0, vmax=1)
    for one in frames:
        ax.axvspan(one - 0.5, one + 0.5, facecolor="none", edgecolor=HIGHLIGHT, linewidth=1.5)
    ax.set(xlabel="frame", ylabel="feature")
    ax.locator_params(integer=True)
    return ax


_BOUNDS = ((np.min, np.inf), (np.max, -np.inf))
