"""Pretraining without labels for scikit-learn."""

from collections.abc import Mapping, Sequence
from copy import copy
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch_geometric.data import Data

from lgrin.arrays import narrow
from lgrin.bounds import check_build
from lgrin.extras import optional
from lgrin.models import LGrIN
from lgrin.options import check_option
from lgrin.sklearn.inputs import Input, draw_seed, encode_labels, read_labels, read_sequences, to_nodes, to_one_length
from lgrin.sklearn.layouts import AUTO
from lgrin.sklearn.saved import build_saved, content_of, plain, read_saved, write_saved
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.experiment import draw
from lgrin.training.generators import own_random_numbers
from lgrin.training.pretrain import pretrain
from lgrin.training.recipes import find_recipe
from lgrin.transforms.resample import RESAMPLINGS

with optional("train"):
    from sklearn.base import BaseEstimator, clone
    from sklearn.utils import Tags, validation

FORMAT = "lgrin.sklearn.LGrINPretrainer, version 1"
FITTED = "n_features_in_", "feature_names_in_", "groups_"
CLASSES = 20  # for which the frames of the graph leave room among the parameters
WAYS_OUT = (
    "pass a pretrainer that is not fitted, which learns from the training sequences alone, give groups to both fits, "
    "or say transductive=True if it may see what is tested on"
)


class LGrINPretrainer(BaseEstimator):
    r"""Trains the network of :class:`LGrINClassifier` on sequences without labels.

    Frames are hidden from the network, and predicted from what it makes of them:

    .. math:: \frac{1}{|S| P} \sum_{i \in S} \lVert W h_i + b - n_i \rVert^2, \qquad
              H = \mathrm{Inception}_K(\ldots \mathrm{Inception}_1(\tilde N, A) \ldots, A)

    Here :math:`n_i` are the standardised features of frame i. S are the hidden frames, whose features are 0, the mean
    of all frames, in :math:`\tilde N`. So all that is known of a hidden frame comes from its neighbours on the learned
    graph A: prediction of masked frames and of neighbours are one objective. At each step, a sequence is cut into 16
    pieces, of which a quarter is hidden at random; single frames would be easy to guess from those beside them.

    The network of ``LGrINClassifier(pretrained=pretrainer)`` starts from these weights, graph, normalisation and
    frames. Its readout and head are new.

    Sequences that a classifier is tested on have no place in pretraining, unless ``transductive=True`` says that they
    are meant to be there:

    - A pretrainer that is **not fitted** is fitted by ``LGrINClassifier.fit``, to its training sequences alone. So
      cross-validation and searches never show it what they test on.
    - A **fitted** one is used as it is, also after :func:`sklearn.base.clone`. It needs the groups of its sequences,
      and ``LGrINClassifier.fit`` needs those of its own: either all groups of pretraining are among these, or none
      is, as in recordings of other people. Everything else is refused. :meth:`check_held_out` compares with the groups
      of a test set.

    Args:
        n_channels: Channels of a matrix X, as for :class:`LGrINClassifier`.
        num_nodes, branch_channels, input_norm, thin, recipe: The network and its frames, as for
            :class:`LGrINClassifier`. ``input_norm="auto"`` means ``"both"``, since there are no classes to choose by.
        epochs: Passes over the sequences; ``None`` takes as many as make 600 steps, and 60 at the least.
        transductive: Whether groups of test sequences may be among X.
        device, verbose: As for :class:`LGrINClassifier`.
        random_state: Draws weights, batches and hidden frames. ``None`` draws it from NumPy's generator, or takes that
            of the classifier which fits it.
        layout, id, time: How X is read, as for :class:`LGrINClassifier`.

    Attributes:
        adjacency_: The learned graph, as that of :class:`LGrINClassifier`.
        classifier_: A :class:`lgrin.training.SequenceClassifier` of the network, whose head is not trained.
        groups_: The different groups of the sequences; ``None`` where they are unknown.
        n_features_in_: Channels, or the columns of a matrix.
        feature_names_in_: The names of the channels of tables, or of the columns of a matrix, where there are any.
        loss_curve_: The mean loss of every epoch.
        fit_time_: Seconds that :meth:`fit` took.

    Shapes:
        - **X:** as for :class:`LGrINClassifier`

    Source:
        He et al., "Masked autoencoders are scalable vision learners", 2022; for graphs Hou et al., "GraphMAE", 2022.
        ``docs/guides/unlabelled.md`` says what it is worth.

    Example:
        >>> from lgrin.sklearn import LGrINClassifier
        >>> X, y = np.random.default_rng(0).normal(size=(20, 3, 15)), np.arange(20) % 2
        >>> X[y == 1, 0] += 2
        >>> pretrainer = LGrINPretrainer(epochs=2, random_state=0).fit(X[4:], groups=np.arange(16))
        >>> classifier = LGrINClassifier(pretrained=pretrainer, epochs=5, random_state=0)
        >>> classifier.fit(X[:4], y[:4], groups=[20, 21, 22, 23]).predict(X[:2]).tolist()
        [0, 1]
    """

    def __init__(
        self,
        n_channels: int = 1,
        *,
        num_nodes: int | None = None,
        branch_channels: Sequence[int] | str = AUTO,
        input_norm: bool | str = AUTO,
        thin: str = AUTO,
        recipe: str = "recommended",
        epochs: int | None = None,
        transductive: bool = False,
        device: str = AUTO,
        verbose: bool = False,
        random_state: int | np.random.RandomState | None = None,
        layout: str = AUTO,
        id: str | None = None,
        time: str | None = None,
    ) -> None:
        self.n_channels = n_channels
        self.num_nodes = num_nodes
        self.branch_channels = branch_channels
        self.input_norm = input_norm
        self.thin = thin
        self.recipe = recipe
        self.epochs = epochs
        self.transductive = transductive
        self.device = device
        self.verbose = verbose
        self.random_state = random_state
        self.layout = layout
        self.id = id
        self.time = time

    def fit(self, X: Input, y: object = None, groups: ArrayLike | Tensor | None = None) -> "LGrINPretrainer":
        """Learns the graph and the weights of the inception layers.

        Args:
            X: Sequences; see the class.
            y: Not read.
            groups: ``[n]``, the speaker, subject or recording of each, by which a classifier tells what was seen here;
                ``None`` takes those of a data set that has some.

        Returns:
            Itself.

        Raises:
            FloatingPointError: If training diverges, with the step in which it did.
            TypeError: If X holds no sequences, or groups hold what cannot be sorted.
            ValueError: If X cannot be trained on, with the index of the first offender, or an option is out of range.
        """
        sequences = narrow(read_sequences(self, X), axis=1)
        groups = read_labels(self, X, [], groups)[1]  # no label is read
        self.groups_ = None if groups is None else encode_labels(groups, "groups", len(sequences))[0]
        return self._learn(to_nodes(sequences), draw_seed(self.random_state))

    def fit_nodes(self, nodes: Sequence[Data], seed: int) -> "LGrINPretrainer":
        """Fits a copy to what a classifier trains on.

        Args:
            nodes: Nodes of each sequence at its own length; they stay as they are.
            seed: Stands in for ``random_state=None``.

        Returns:
            The fitted copy.
        """
        seed = seed if self.random_state is None else draw_seed(self.random_state)
        fitted = copy(self)
        fitted.groups_ = None
        return fitted._learn([copy(one) for one in nodes], seed)

    def check_held_out(self, groups: ArrayLike | Tensor) -> None:
        """Raises if a group of a test set was among those of X, unless ``transductive=True``.

        Args:
            groups: ``[n]``, the group of each test sequence.

        Raises:
            NotFittedError: Before :meth:`fit`.
            ValueError: If one was, or the groups of X are not known.

        Example:
            >>> X = np.random.default_rng(0).normal(size=(4, 1, 6))
            >>> pretrainer = LGrINPretrainer(epochs=1).fit(X, groups=["ann", "ann", "bob", "bob"])
            >>> pretrainer.check_held_out(["cid", "dan"])
        """
        validation.check_is_fitted(self)
        if not self.transductive and (seen := self._known_groups() & _different(groups)):
            raise ValueError(f"groups holds {_short(seen)}, which pretraining has seen; {WAYS_OUT}")

    def check_training(self, groups: ArrayLike | Tensor | None) -> None:
        """Raises if pretraining has seen some groups of a training set and others beside, which may be held out.

        Args:
            groups: ``[n]``, the group of each training sequence.

        Raises:
            ValueError: If it has, or groups are not known.
        """
        if self.transductive:
            return
        known = self._known_groups()
        if groups is None:
            raise ValueError(
                f"groups is None, but pretrained was fitted before, perhaps to what is tested on; {WAYS_OUT}"
            )
        shared, others = known & _different(groups), known - _different(groups)
        if shared and others:
            raise ValueError(
                f"pretrained has seen {_short(shared)} of these groups, and {_short(others)} beside, perhaps to be "
                f"tested on; {WAYS_OUT}"
            )

    def changed(self) -> list[str]:
        """Names the parameters that are not those of :meth:`fit` any more; ``transductive`` may change."""
        parameters = self.get_params().items()
        return [name for name, value in parameters if name != "transductive" and value is not self._fitted_with[name]]

    @property
    def adjacency_(self) -> np.ndarray:
        """The learned graph, ``[M, M]``, or of a network for sequences of any length its kernel, ``[K, 2w + 1]``."""
        weights: np.ndarray = self.classifier_.model.adjacency.weights().detach().numpy()
        return weights

    def save(self, path: str | Path) -> None:
        """Writes the fitted pretrainer to one file, whole or not at all.

        The file holds tensors and plain values, and reading it runs no code.

        Args:
            path: The file.

        Raises:
            NotFittedError: Before :meth:`fit`.
            TypeError: If path is no path, or a parameter no plain value.
        """
        validation.check_is_fitted(self)
        write_saved(path, content_of_pretrainer(self))

    @classmethod
    def load(cls, path: str | Path) -> "LGrINPretrainer":
        """Reads a pretrainer that :meth:`save` wrote.

        Args:
            path: The file.

        Returns:
            The fitted pretrainer.

        Raises:
            FileNotFoundError: If it is not there.
            PermissionError: If it may not be read.
            TypeError: If path is no path.
            ValueError: If it is damaged, was written by something else, or has the format of another version.
        """
        pretrainer: LGrINPretrainer = read_saved(path, FORMAT, lambda content: pretrainer_of(content, path))
        return pretrainer

    def _learn(self, nodes: list[Data], seed: int) -> "LGrINPretrainer":
        """Trains on nodes at their own lengths, which are brought to one length in place."""
        start = perf_counter()
        check_option("thin", self.thin, (AUTO, *RESAMPLINGS))
        for one in nodes:
            one.y = torch.zeros(1, dtype=torch.long)
        given = {"branch_channels": self.branch_channels, "input_norm": self.input_norm}
        network = {name: plain(name, value) for name, value in given.items() if value != AUTO}
        with own_random_numbers():
            plan = find_recipe(self.recipe).plan(
                nodes, CLASSES, num_nodes=self.num_nodes, network={"input_norm": "both", **network}, epochs=self.epochs
            )
            plan = plan if self.thin == AUTO else plan._replace(thin=self.thin)
            to_one_length(nodes, plan.transform)
            options = {**plan.options, "transform": None if plan.transform is None else plan.transform.settings}
            model: Any = draw(LGrIN, nodes[0].num_features, plan.num_nodes, 2, seed=seed, **plan.network)
            how = {"seed": seed, "device": self.device, "progress": bool(self.verbose), **plan.lengths}
            self.classifier_, run = pretrain(model, nodes, options, **how)
        self.loss_curve_, self.fit_time_ = run.losses, perf_counter() - start
        self._fitted_with = self.get_params()
        return self

    def _known_groups(self) -> set[Any]:
        """The groups that pretraining has seen."""
        if self.groups_ is None:
            raise ValueError(f"pretrained was fitted without groups, perhaps to what is tested on; {WAYS_OUT}")
        return set(self.groups_.tolist())

    def __sklearn_clone__(self) -> "LGrINPretrainer":
        """A fitted pretrainer stays as it is in copies of the classifiers that it belongs to."""
        if is_fitted(self):
            return copy(self)
        return type(self)(**{name: clone(value, safe=False) for name, value in self.get_params().items()})

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.three_d_array = True
        return tags


def is_fitted(pretrained: LGrINPretrainer | None) -> bool:
    """Whether there is a pretrainer that was fitted.

    Example:
        >>> is_fitted(LGrINPretrainer()), is_fitted(None)
        (False, False)
    """
    return hasattr(pretrained, "classifier_")


def content_of_pretrainer(pretrainer: LGrINPretrainer) -> dict[str, Any]:
    """What a file keeps of a pretrainer: of one that is not fitted, its parameters.

    Example:
        >>> content_of_pretrainer(LGrINPretrainer(num_nodes=20))["parameters"]["num_nodes"]
        20
    """
    network = {}
    if is_fitted(pretrainer):
        classifier = pretrainer.classifier_
        network = {"classifier": dict(classifier.hparams), "weights": classifier.state_dict()}
    return content_of(pretrainer, FORMAT, FITTED, network)


def pretrainer_of(content: Mapping[str, Any], path: str | Path) -> LGrINPretrainer:
    """Builds the pretrainer that a file keeps.

    Args:
        content: What :func:`content_of_pretrainer` has made.
        path: The file.

    Returns:
        The pretrainer, fitted if it was.

    Raises:
        KeyError: If something is missing.
        TypeError: If a parameter is not known.
        ValueError: If the network is larger than its weights.

    Example:
        >>> pretrainer_of(content_of_pretrainer(LGrINPretrainer(num_nodes=20)), "a.pt")
        LGrINPretrainer(num_nodes=20)
    """
    pretrainer: LGrINPretrainer = build_saved(LGrINPretrainer, content, path)
    if "classifier" in content:
        settings = content["classifier"]
        check_build(lambda: SequenceClassifier(**settings), settings["model"], content["weights"])
        pretrainer.groups_ = getattr(pretrainer, "groups_", None)
        pretrainer.classifier_ = SequenceClassifier(**settings).eval()
        pretrainer.classifier_.load_state_dict(content["weights"])
        pretrainer._fitted_with = pretrainer.get_params()
    return pretrainer


def _different(groups: ArrayLike | Tensor) -> set[Any]:
    return set(encode_labels(groups, "groups", len(groups))[0].tolist())  # type: ignore[arg-type]


def _short(different: set[Any]) -> str:
    groups = sorted(different)
    return ", ".join(map(repr, groups[:3])) + (f" and {len(groups) - 3} more" if len(groups) > 3 else "")
