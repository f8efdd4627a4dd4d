"""What a fitted classifier looks at: channels and frames that it misses when they are gone."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from lgrin.options import check_whole

LEAST = 1e-12  # probabilities below count as so much


class ChannelImportance(NamedTuple):
    """How much worse sequences are classified without a channel.

    Attributes:
        mean: The mean rise of the cross-entropy, in nats, ``[P]``; below 0 where the channel misleads.
        error: Its standard error over sequences, ``[P]``.
    """

    mean: np.ndarray
    error: np.ndarray


def channel_importance(estimator: Any, X: Sequence[ArrayLike] | np.ndarray, y: ArrayLike) -> ChannelImportance:
    r"""Measures how much worse sequences are classified if one channel is missing.

    .. math:: I_c = \frac{1}{n} \sum_i \log p(y_i | x_i) - \log p(y_i | x_i \text{ without channel } c)

    A missing channel takes its mean in training. Take sequences that the estimator was not fitted to. Channels that
    say the same stand in for each other, so that none of them may seem to matter.

    Args:
        estimator: A fitted :class:`LGrINClassifier` or :class:`FilterBankClassifier`.
        X: Arrays ``[channels, time]``, or one array ``[n, channels, time]``.
        y: Their classes ``[n]``.

    Returns:
        The mean and its standard error for each channel.

    Raises:
        NotFittedError: If the estimator is not fitted.
        ValueError: If X has one channel, or y does not fit.

    Source:
        Occlusion, as Zeiler and Fergus, "Visualizing and understanding convolutional networks", 2014, of pictures.

    Example:
        >>> from lgrin.sklearn import FilterBankClassifier
        >>> X, y = np.random.default_rng(0).normal(size=(20, 3, 15)), np.arange(20) % 2
        >>> X[y == 1, 1] += 2
        >>> int(channel_importance(FilterBankClassifier(random_state=0).fit(X, y), X, y).mean.argmax())
        1
    """
    sequences = _arrays(X)
    if len(sequences[0]) < 2:
        raise ValueError("X has one channel, and nothing is left of a sequence without it; see frame_importance")
    places = _places(estimator, y, len(sequences))
    before, rises = _log_probability(estimator, sequences, places), []
    for channel in range(len(sequences[0])):
        without = [one.copy() for one in sequences]
        for one in without:
            one[channel] = np.nan
        rises.append(before - _log_probability(estimator, without, places))
    error = (
        np.std(rises, axis=1, ddof=1) / np.sqrt(len(sequences)) if len(sequences) > 1 else np.full(len(rises), np.nan)
    )
    return ChannelImportance(np.mean(rises, axis=1), error)


def frame_importance(estimator: Any, x: ArrayLike, label: Any = None, width: int = 5) -> np.ndarray:
    r"""Measures how much less probable a class is if some frames of a sequence are missing.

    .. math:: I_t = \log p(y | x) - \log p(y | x \text{ without the frames around } t)

    The frames of a sequence are taken out in pieces of equal width, one after the other.

    Args:
        estimator: A fitted :class:`LGrINClassifier` or :class:`FilterBankClassifier`.
        x: A sequence ``[channels, time]``.
        label: The class; ``None`` takes the predicted one.
        width: Frames of a piece.

    Returns:
        For each frame the value of its piece, ``[time]``.

    Raises:
        NotFittedError: If the estimator is not fitted.
        ValueError: If the sequence has no two pieces, or the class is not known.

    Source:
        As :func:`channel_importance`.

    Example:
        >>> from lgrin.sklearn import FilterBankClassifier
        >>> X, y = np.random.default_rng(0).normal(size=(20, 2, 30)), np.arange(20) % 2
        >>> X[y == 1, 0, 20:25] += 9
        >>> found = frame_importance(FilterBankClassifier(random_state=0).fit(X, y), X[1])
        >>> int(found.argmax())
        20
    """
    (sequence,) = _arrays([x])
    width, length = check_whole("width", width), sequence.shape[1]
    starts = range(0, length, width)
    if len(starts) < 2:
        raise ValueError(f"width is {width}, and x has {length} frames; take less, so that frames are left")
    pieces = [sequence]
    for start in starts:
        pieces.append(sequence.copy())
        pieces[-1][:, start : start + width] = np.nan
    probabilities = _probabilities(estimator, pieces)
    place = int(probabilities[0].argmax()) if label is None else int(_places(estimator, [label], 1)[0])
    logs = np.log(probabilities[:, place].clip(LEAST))
    return np.repeat(logs[0] - logs[1:], width)[:length]


def _arrays(X: Sequence[ArrayLike] | np.ndarray) -> list[np.ndarray]:
    sequences = [np.asarray(one, dtype=float) for one in X]
    for index, one in enumerate(sequences):
        if one.ndim != 2 or len(one) != len(sequences[0]):
            raise ValueError(
                f"X[{index}] has the shape {list(one.shape)}; give arrays [channels, time] alike in channels"
            )
    if not sequences:
        raise ValueError("X holds 0 sequences; give it at least one")
    return sequences


def _places(estimator: Any, y: ArrayLike, count: int) -> np.ndarray:
    """The number of each class among those of the estimator."""
    labels, known = np.asarray(y), estimator.classes_
    if labels.shape != (count,):
        raise ValueError(f"y has the shape {list(labels.shape)}; X holds {count} sequences: give a class for each")
    unknown = sorted({str(one) for one in labels[~np.isin(labels, known)]})
    if unknown:
        raise ValueError(f"y holds {unknown}; the classes are {known.tolist()}")
    return np.searchsorted(known, labels)


def _log_probability(estimator: Any, sequences: list[np.ndarray], places: np.ndarray) -> np.ndarray:
    probabilities = _probabilities(estimator, sequences)
    return np.log(probabilities[np.arange(len(places)), places].clip(LEAST))


def _probabilities(estimator: Any, sequences: list[np.ndarray]) -> np.ndarray:
    """Predicts sequences of which something was taken away, which is no news here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".* missing ", category=UserWarning)
        probabilities: np.ndarray = estimator.predict_proba(sequences)
    return probabilities
