"""What the estimators have in common."""

from abc import ABC, abstractmethod
from copy import copy
from typing import Self

import numpy as np
from torch import Tensor
from torch_geometric.data import Data

from lgrin.arrays import narrow
from lgrin.extras import optional
from lgrin.sklearn.grouped import check_adaptable
from lgrin.sklearn.inputs import Input, read_sequences, to_nodes
from lgrin.sklearn.stream import ProbabilityStream, open_stream
from lgrin.warn import warn_user

with optional("train"):
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import Tags, validation


FEW = 10  # sequences of a group: fewer do more harm than good


class SequenceEstimator(ClassifierMixin, BaseEstimator, ABC):
    """A classifier of sequences that computes the probability of each class.

    Attributes:
        classes_: The classes, ``[C]``, in order.

    Example:
        >>> from lgrin.sklearn import FilterBankClassifier, LGrINClassifier
        >>> issubclass(LGrINClassifier, SequenceEstimator), issubclass(FilterBankClassifier, SequenceEstimator)
        (True, True)
    """

    classes_: np.ndarray

    @abstractmethod
    def predict_proba(self, X: Input) -> np.ndarray:
        """Computes the probability of each class, ``[n, C]``, in the order of ``classes_``.

        Raises:
            NotFittedError: Before ``fit``.
            ValueError: If X does not fit the training sequences.
        """

    def predict(self, X: Input) -> np.ndarray:
        """Names the most probable class of each sequence, ``[n]``.

        Raises:
            NotFittedError: Before ``fit``.
            ValueError: If X does not fit the training sequences.
        """
        probabilities = self.predict_proba(X)
        return self.classes_[probabilities.argmax(1)]

    def adapt(self, X: Input) -> Self:
        r"""Adapts a classifier that scales by group to a new group: a person, or a device.

        .. math:: z = \frac{x - \mu_g}{\sigma_g}, \qquad g(z) = b + W (h(z) - \bar h_g)

        The group's own mean and deviation scale its frames, and the bank sees by how much the summaries h of a sequence
        differ from their mean over the group. No labels are needed. Sequences should show the group as it will be:
        where all of them are of one class, the difference between classes is subtracted, too.

        Args:
            X: Sequences of one group, as for ``fit``. A warning says where they are fewer than ten.

        Returns:
            The classifier of this group, fitted, and otherwise the same; this one stays as it is.

        Raises:
            NotFittedError: Before ``fit``.
            ValueError: If it was not fitted with ``normalize="group"``, or X does not fit the training sequences.

        Source:
            Normalisation by speaker is common for speech, e.g. Busso, Metallinou and Narayanan, "Iterative feature
            normalization for emotional speech detection", ICASSP 2011.

        Example:
            >>> from lgrin.sklearn import FilterBankClassifier
            >>> y, people = np.arange(60) % 2, np.arange(60) // 20
            >>> X = np.random.default_rng(0).normal(size=(60, 2, 30)) + (y + 10 * people)[:, None, None]
            >>> classifier = FilterBankClassifier(normalize="group").fit(X[:40], y[:40], groups=people[:40])
            >>> classifier.adapt(X[40:]).score(X[40:], y[40:])
            1.0
        """
        validation.check_is_fitted(self)
        check_adaptable(self)
        adapted, nodes = copy(self), to_nodes(narrow(read_sequences(self, X, self._in_channels), axis=1))
        if len(nodes) < FEW:
            warn_user(
                f"X holds {len(nodes)} sequences; means over so few may make a classifier worse than one that scales "
                f"all people alike: give {FEW} or more",
                about="sequences to adapt to",
            )
        adapted._adapt(nodes)
        return adapted

    def _adapt_to_all(self, nodes: list[Data], groups: Tensor | None, weight: Tensor) -> None:
        """Takes all training sequences for one group, if they were scaled by group."""
        self.__dict__.pop("center_", None)
        if groups is not None:
            self.center_ = np.zeros(len(self.classes_))
            self._adapt(nodes, weight)

    @abstractmethod
    def _adapt(self, nodes: list[Data], weight: Tensor | None = None) -> None:
        """Adapts to training sequences, or sequences of one group, which may have weights."""

    @property
    @abstractmethod
    def _in_channels(self) -> int:
        """Channels of the training sequences."""

    def stream(self, window: float | None = None, frame_rate: float | None = None) -> ProbabilityStream:
        """Begins to classify a sequence that arrives block by block; see :func:`lgrin.sklearn.stream.open_stream`.

        Raises:
            NotFittedError: Before ``fit``.
            ValueError: If the window is no frame long.
        """
        validation.check_is_fitted(self)
        return open_stream(self, window, frame_rate)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags
