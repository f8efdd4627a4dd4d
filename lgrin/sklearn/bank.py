"""The filter bank for scikit-learn: a classifier in closed form."""

from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch_geometric.data import Data

from lgrin.arrays import as_floats
from lgrin.bounds import check_build
from lgrin.extras import optional
from lgrin.models.bank import FilterBank
from lgrin.sklearn.base import SequenceEstimator
from lgrin.sklearn.grouped import TRAIN, adapted_bank, floats_of, scale_groups
from lgrin.sklearn.inference import double_of
from lgrin.sklearn.inputs import Input, draw_seed, encode_labels, read_labels, read_sequences, to_nodes
from lgrin.sklearn.layouts import extractor_of_dataset
from lgrin.sklearn.saved import build_saved, content_of, read_saved, write_saved
from lgrin.sklearn.weights import choose
from lgrin.training.bank import fit_bank, left_out_together, summaries
from lgrin.training.plain import warn_of_better
from lgrin.training.threads import count_weights, threads_for

with optional("train"):
    from sklearn.utils import validation

FORMAT = "lgrin.sklearn.FilterBankClassifier, version 1"


class FilterBankClassifier(SequenceEstimator):
    r"""Classifies sequences of any length with a :class:`lgrin.models.FilterBank`, fitted in closed form in seconds.

    Random filters in time, fixed graphs over the frames, are summarised over each sequence and its quarters, and a
    ridge tells the classes by these summaries (:func:`lgrin.training.fit_bank`). Nothing is trained step by step, and
    there is nothing to set. Sequences keep their own lengths. The penalty of the ridge, and the temperature that turns
    its scores into probabilities, come from sequences that are left out in turn.

    Args:
        n_channels: Channels of a matrix X ``[n, channels * time]``, one after the other in each row; other kinds of X
            say it themselves.
        class_weight: ``None`` weighs sequences alike, ``"balanced"`` classes alike; or the weight of each class by its
            name.
        random_state: Draws filters and thresholds, as for :class:`LGrINClassifier`.
        layout, id, time: How X is read, as for :class:`LGrINClassifier`.
        normalize: ``"train"``, or ``"group"`` to scale by person, as for :class:`LGrINClassifier`.

    Attributes:
        classes_: The classes, ``[C]``, in order.
        n_features_in_: Channels, or the columns of a matrix.
        model_: The fitted :class:`lgrin.models.FilterBank`. :func:`lgrin.export.to_onnx` takes the estimator, which
            knows the names of the classes.
        penalty_: The penalty of the ridge.
        features_: The settings of the extractor of the data set that it was fitted to; ``None`` without one.
        left_out_proba_: The probabilities of each training sequence by the ridge of the others, or of the other
            groups, ``[n, C]``, with NaN for sequences of weight 0. Penalty and temperature were chosen by them.
        center_: With ``normalize="group"``, the logits ``[C]`` of the mean summaries that predictions are centred on.
        fit_time_: Seconds that :meth:`fit` took.

    Shapes:
        - **X, y:** as for :class:`LGrINClassifier`: arrays ``[n, channels, time]``, lists, tables or data sets, with
          missing values or without.

    Source:
        See :class:`lgrin.models.FilterBank`; ridge classifiers with left-out residuals in closed form as
        :class:`sklearn.linear_model.RidgeClassifierCV`.

    Example:
        >>> X, y = np.random.default_rng(0).normal(size=(20, 3, 15)), np.arange(20) % 2
        >>> X[y == 1, 0] += 2
        >>> classifier = FilterBankClassifier(random_state=0).fit(X, np.array(["calm", "glad"])[y])
        >>> classifier.predict(X[:2]).tolist()
        ['calm', 'glad']
    """

    def __init__(
        self,
        n_channels: int = 1,
        *,
        class_weight: str | Mapping[Any, float] | None = None,
        random_state: int | np.random.RandomState | None = None,
        layout: str = "auto",
        id: str | None = None,
        time: str | None = None,
        normalize: str = TRAIN,
    ) -> None:
        self.n_channels = n_channels
        self.class_weight = class_weight
        self.random_state = random_state
        self.layout = layout
        self.id = id
        self.time = time
        self.normalize = normalize

    def fit(
        self,
        X: Input,
        y: ArrayLike | Tensor | None = None,
        groups: ArrayLike | Tensor | None = None,
        sample_weight: ArrayLike | Tensor | None = None,
    ) -> "FilterBankClassifier":
        """Fits scale, thresholds and ridge.

        Args:
            X: Training sequences; see the class.
            y: Their classes ``[n]``; ``None`` takes those of a data set.
            groups: ``[n]``, the speaker, subject or recording of each; whole groups are left out in turn, and
                sequences are scaled by group with ``normalize="group"``.
            sample_weight: ``[n]``, 0 or more. A sequence of weight 0 is as good as removed, and classes are counted
                without it.

        Returns:
            Itself.

        Raises:
            TypeError: If X holds no sequences, or y or groups hold what cannot be sorted.
            ValueError: If X, y or weights cannot be fitted, with the index of the first offender, or an option is out
                of range.
        """
        start = perf_counter()
        sequences, seed = floats_of(self, read_sequences(self, X)), draw_seed(self.random_state)
        y, groups = read_labels(self, X, y, groups)
        chosen = choose(self.class_weight, sample_weight, *encode_labels(y, "y", len(sequences)))
        self.classes_, kept, labels = chosen.classes, chosen.kept, chosen.labels
        members = None if groups is None else encode_labels(groups, "groups", len(sequences))[1][kept]
        nodes = to_nodes([sequences[index] for index in kept], labels, members)
        weight, together = torch.from_numpy(chosen.weight), left_out_together(members, labels)
        scaled, centered = scale_groups(self, nodes)
        self.model_, ridge = fit_bank(scaled, len(self.classes_), weight, together, seed, centered=centered)
        warn_of_better(ridge.left_out, scaled, weight, together)
        self._adapt_to_all(nodes, centered, weight)
        self.left_out_proba_ = np.full((len(sequences), len(self.classes_)), np.nan)
        self.left_out_proba_[kept] = ridge.left_out.softmax(-1).numpy()
        self.features_ = extractor_of_dataset(X)
        self.penalty_, self.fit_time_ = ridge.penalty, perf_counter() - start
        return self

    def predict_proba(self, X: Input) -> np.ndarray:
        """Computes the probability of each class, ``[n, C]``, in the order of ``classes_``.

        Raises:
            NotFittedError: Before :meth:`fit`.
            ValueError: If X does not fit the training sequences.
        """
        model, features = self._summarize(X)
        with torch.inference_mode():
            return model.head(features).softmax(-1).numpy()

    def embed(self, X: Input) -> np.ndarray:
        """Computes what the ridge sees of each sequence, ``[n, F]``.

        Raises:
            NotFittedError: Before :meth:`fit`.
            ValueError: If X does not fit the training sequences.
        """
        return self._summarize(X)[1].numpy()

    def save(self, path: str | Path) -> None:
        """Writes the fitted estimator to one file, whole or not at all.

        The file holds tensors and plain values, and reading it runs no code.

        Args:
            path: The file.

        Raises:
            NotFittedError: Before :meth:`fit`.
            TypeError: If path is no path, or a parameter or class no plain value.
        """
        validation.check_is_fitted(self)
        network = {"model": {"name": "FilterBank", **self.model_.config}, "weights": self.model_.state_dict()}
        fitted = "n_features_in_", "feature_names_in_", "penalty_", "features_", "center_"
        write_saved(path, content_of(self, FORMAT, fitted, network))

    @classmethod
    def load(cls, path: str | Path) -> "FilterBankClassifier":
        """Reads an estimator that :meth:`save` wrote.

        Args:
            path: The file.

        Returns:
            The fitted estimator.

        Raises:
            FileNotFoundError: If it is not there.
            PermissionError: If it may not be read.
            TypeError: If path is no path.
            ValueError: If it is damaged, was written by something else, or has the format of another version.
        """

        def make(content: dict[str, Any]) -> FilterBankClassifier:
            estimator: FilterBankClassifier = build_saved(cls, content, path)
            settings = {name: value for name, value in content["model"].items() if name != "name"}
            check_build(lambda: FilterBank(**settings), content["model"], content["weights"])
            estimator.model_ = FilterBank(**settings).eval()
            estimator.model_.scale.to(content["weights"]["scale.mean"].dtype)
            estimator.model_.load_state_dict(content["weights"])
            return estimator

        estimator: FilterBankClassifier = read_saved(path, FORMAT, make)
        return estimator

    @property
    def _in_channels(self) -> int:
        return self.model_.in_channels

    def _adapt(self, nodes: list[Data], weight: Tensor | None = None) -> None:
        self.model_, self.center_ = adapted_bank(self.model_, nodes, np.asarray(self.center_, float), weight)

    def _summarize(self, X: Input) -> tuple[FilterBank, Tensor]:
        """The network in float64, in which a result depends on no other sequence, and what it reads out."""
        validation.check_is_fitted(self)
        wide = self.model_.scale.mean.dtype == torch.float64
        nodes = to_nodes(as_floats(read_sequences(self, X, self._in_channels), wide))
        model = double_of(self.model_)
        with torch.inference_mode(), threads_for(count_weights(model) * sum(len(one.x) for one in nodes)):
            return model, summaries(model, nodes)
