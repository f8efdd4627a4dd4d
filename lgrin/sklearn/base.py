"""What the estimators have in common."""

from abc import ABC, abstractmethod

import numpy as np

from lgrin.extras import optional
from lgrin.sklearn.inputs import Input
from lgrin.sklearn.stream import ProbabilityStream, open_stream

with optional("train"):
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.utils import Tags, validation


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
