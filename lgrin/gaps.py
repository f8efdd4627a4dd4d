"""Single values that are missing in a sequence: filled in time, from the sequence itself."""

from collections.abc import Sequence

import numpy as np


def fill_gaps(x: np.ndarray) -> np.ndarray:
    """Fills the values that are missing in frames that have others.

    A gap in a channel is bridged by the line between its ends, and one at the start or end of the sequence takes the
    nearest value. Nothing but the sequence itself is looked at, so two things stay: a frame without any value is a
    missing frame, and a channel without any value is a missing channel.
    :class:`lgrin.transforms.Standardize` puts the mean of the training sequences into that one.

    Args:
        x: Floating ``[L, P]``, NaN where a value is missing.

    Returns:
        ``[L, P]``, NaN in missing frames and missing channels alone; ``x`` itself where nothing is to be filled.

    Example:
        >>> fill_gaps(np.array([[1.0, 5.0], [np.nan, 6.0], [np.nan, np.nan], [7.0, np.nan]])).tolist()
        [[1.0, 5.0], [3.0, 6.0], [nan, nan], [7.0, 6.0]]
    """
    gone = np.isnan(x)
    is_present = ~gone.all(1)
    holed = np.flatnonzero(gone[is_present].any(0) & ~gone.all(0))
    if not len(holed):
        return x
    filled, frame = x.copy(), np.arange(len(x))
    for channel in holed:
        gap, known = gone[:, channel] & is_present, ~gone[:, channel]
        filled[gap, channel] = np.interp(frame[gap], frame[known], x[known, channel])
    return filled


def missing_share(sequences: Sequence[np.ndarray]) -> float:
    """The share of values that are missing in frames that have others, in missing channels too.

    Args:
        sequences: ``[L, P]`` each, NaN where a value is missing.

    Returns:
        From 0 to 1.

    Example:
        >>> missing_share([np.array([[1.0, np.nan], [2.0, 3.0], [np.nan, np.nan]])])
        0.25
    """
    gone = [np.isnan(x) for x in sequences]
    frames = [one[~one.all(1)] for one in gone]
    total = sum(one.size for one in frames)
    return sum(int(one.sum()) for one in frames) / total if total else 0.0
