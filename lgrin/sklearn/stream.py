"""Probabilities of a sequence that arrives block by block, by a fitted estimator."""

from abc import ABC, abstractmethod
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike

from lgrin.arrays import real
from lgrin.models import LGrIN
from lgrin.options import check_number, check_whole
from lgrin.sklearn.layouts import TIME_FIRST


class ProbabilityStream(ABC):
    r"""Classifies a sequence while it arrives; ``classifier.stream()`` makes one.

    .. math:: \mathrm{push}(x_t) = \mathrm{predict\_proba}(x_1, \ldots, x_t)

    After each block the probabilities are those of the frames so far, or of the last ``window`` of them. No frame is
    waited for: the latency is 0 frames beyond the length of a block.

    Args:
        in_channels: Channels, P.
        window: Frames that are kept; ``None`` keeps all.

    Attributes:
        window: Frames that are kept; ``None`` if that is every frame, so that memory and time grow with the sequence.
        latency: Frames that come after a frame before it counts: 0.

    Example:
        >>> from lgrin.sklearn import FilterBankClassifier
        >>> X, y = np.random.default_rng(0).normal(size=(20, 3, 15)), np.arange(20) % 2
        >>> X[y == 1, 0] += 2
        >>> classifier = FilterBankClassifier(random_state=0).fit(X, y)
        >>> stream = classifier.stream()
        >>> for block in np.split(X[0], 3, axis=1):
        ...     probabilities = stream.push(block)
        >>> np.allclose(probabilities, classifier.predict_proba(X[:1])[0], atol=1e-6)
        True
    """

    latency = 0

    def __init__(self, in_channels: int, window: int | None) -> None:
        self.in_channels, self.window = in_channels, window

    def push(self, block: ArrayLike) -> np.ndarray:
        """Takes the next frames.

        Args:
            block: ``[channels, time]``, or ``[channels]`` of a single frame.

        Returns:
            The probability of each class, ``[C]``, in the order of ``classes_``.

        Raises:
            ValueError: If the block has other channels, no frame, or values that cannot be used.
        """
        given = real(block)
        given = given[:, None] if given.ndim == 1 else given
        if given.ndim != 2 or len(given) != self.in_channels or given.size == 0:
            raise ValueError(
                f"block has shape {list(given.shape)}; it is [channels, time] with {self.in_channels} channels and a "
                f"frame at least"
            )
        return self._push(given)

    @abstractmethod
    def _push(self, block: np.ndarray) -> np.ndarray:
        """Takes frames that were checked."""

    @abstractmethod
    def reset(self) -> None:
        """Begins a new sequence."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels} channels, window={self.window})"


class KeptFrames(ProbabilityStream):
    """Keeps frames, and predicts them again after each block.

    Args:
        estimator: The fitted estimator.
        window: Frames that are kept; ``None`` keeps all.

    Example:
        >>> KeptFrames.__base__.__name__
        'ProbabilityStream'
    """

    def __init__(self, estimator: Any, window: int | None) -> None:
        network = estimator.model_ if hasattr(estimator, "model_") else estimator.classifier_.model
        super().__init__(network.in_channels, window)
        self.estimator = estimator
        self.reset()

    def reset(self) -> None:
        """Begins a new sequence."""
        self._frames = np.empty((self.in_channels, 0), np.float32)

    def _push(self, block: np.ndarray) -> np.ndarray:
        frames = np.concatenate([self._frames, block], axis=1)
        self._frames = frames if self.window is None else frames[:, -self.window :]
        kept = self._frames.T if self.estimator.layout == TIME_FIRST else self._frames
        probabilities: np.ndarray = self.estimator.predict_proba([kept])[0]
        return probabilities


class RunningNetwork(ProbabilityStream):
    """Runs an :class:`lgrin.LGrIN` without a length over the frames that a new one can change.

    What earlier frames gave to the readout is kept as a summary, so memory and time do not grow with the sequence.

    Args:
        estimator: The fitted estimator.

    Raises:
        ValueError: If its network looks at the whole sequence.

    Example:
        >>> RunningNetwork.__base__.__name__
        'ProbabilityStream'
    """

    def __init__(self, estimator: Any) -> None:
        classifier = getattr(estimator, "classifier_", None)
        network = getattr(classifier, "model", None)
        if classifier is None or not isinstance(network, LGrIN) or classifier.hparams["transform"] is not None:
            raise ValueError(
                f"{type(estimator).__name__} stretches sequences to one length, or looks at them as a whole"
            )
        self._scale = deepcopy(classifier.normalize).double()
        self._stream = deepcopy(network).double().eval().stream()
        super().__init__(network.in_channels, self._stream.window)

    def reset(self) -> None:
        """Begins a new sequence."""
        self._stream.reset()

    def _push(self, block: np.ndarray) -> np.ndarray:
        if not np.isfinite(block).all():
            raise ValueError(
                "block holds a value that is missing or infinite, and this stream fills none, since it keeps no "
                "frames; give stream() a window"
            )
        frames = self._scale(torch.from_numpy(np.ascontiguousarray(block.T)).double()).unsqueeze(0)
        return self._stream.push_block(frames)[0].softmax(-1).numpy()


def open_stream(estimator: Any, window: float | None = None, frame_rate: float | None = None) -> ProbabilityStream:
    """Begins a stream of an estimator.

    Args:
        estimator: The fitted estimator.
        window: Frames, or seconds where ``frame_rate`` is given, of which the probabilities are; ``None`` means all.
        frame_rate: Frames a second.

    Returns:
        A :class:`RunningNetwork` where the network has no length and no window is asked for, else :class:`KeptFrames`.

    Raises:
        ValueError: If the window is no frame long.

    Example:
        >>> from lgrin.sklearn import FilterBankClassifier
        >>> X = np.random.default_rng(0).normal(size=(20, 3, 15))
        >>> open_stream(FilterBankClassifier().fit(X, np.arange(20) % 2), window=2.0, frame_rate=50)
        KeptFrames(3 channels, window=100)
    """
    if window is not None:
        if frame_rate is not None:
            window = round(check_number("window", window) * check_number("frame_rate", frame_rate))
        return KeptFrames(estimator, check_whole("window", window))
    if frame_rate is not None:
        raise ValueError("frame_rate says how long a window is in seconds, and no window was given; give both")
    try:
        return RunningNetwork(estimator)
    except ValueError:  # it looks at whole sequences
        return KeptFrames(estimator, None)
