"""What an estimator says about values that are missing in its sequences."""

from collections.abc import Sequence

import numpy as np

from lgrin.gaps import missing_share
from lgrin.warn import warn_user

MOST_NAMES = 4  # of missing channels in a warning


def check_channels(sequences: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """Raises if a channel is missing in every sequence.

    Args:
        sequences: ``[channels, time]`` each, NaN where a value is missing.
        names: The names of the channels.

    Raises:
        ValueError: If one is, with its name.

    Example:
        >>> check_channels([np.array([[1.0, 2.0], [np.nan, np.nan]])], ["x", "y"])
        Traceback (most recent call last):
        ...
        ValueError: channel 'y' is missing in every sequence of X, so nothing can be learned from it; leave it out
    """
    known = np.any([(~np.isnan(sequence)).any(1) for sequence in sequences], axis=0)
    if known.any() and not known.all():
        raise ValueError(
            f"channel {names[int(np.flatnonzero(~known)[0])]!r} is missing in every sequence of X, so nothing can be "
            f"learned from it; leave it out"
        )


def warn_of_missing_values(sequences: Sequence[np.ndarray], names: Sequence[str]) -> None:
    """Says what share of values is missing in frames that have others, and which sequences lack a channel.

    It says so once for each line of the user.

    Args:
        sequences: ``[channels, time]`` each, NaN where a value is missing.
        names: The names of the channels.

    Example:
        >>> import pytest
        >>> with pytest.warns(UserWarning, match=r"50.0% of the values .* channel 'y' is missing in X\\[0\\]"):
        ...     warn_of_missing_values([np.array([[1.0, 2.0], [np.nan, np.nan]])], ["x", "y"])
    """
    share = missing_share([sequence.T for sequence in sequences])
    if not share:
        return
    lacking = [
        f"channel {names[channel]!r} is missing in X[{index}]"
        for index, sequence in enumerate(sequences)
        for channel in np.flatnonzero(np.isnan(sequence).all(1) & ~np.isnan(sequence).all())
    ]
    more = f" and {len(lacking) - MOST_NAMES} more such" if len(lacking) > MOST_NAMES else ""
    listed = (
        f"; {', '.join(lacking[:MOST_NAMES])}{more}, and takes the mean of the training sequences" if lacking else ""
    )
    warn_user(
        f"{share:.1%} of the values of X are missing, and are filled from the values before and after them in the same "
        f"channel{listed}. Frames without any value are left out and not counted",
        about="missing values of X",
    )
