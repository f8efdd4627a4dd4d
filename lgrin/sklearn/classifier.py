"""The classifier for scikit-learn."""

from collections.abc import Iterable, Mapping, Sequence
from copy import copy, deepcopy
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
from lgrin.loader import SHUFFLED
from lgrin.models import LGrIN
from lgrin.models.lgrin import INPUT_NORMS
from lgrin.options import check_option, check_whole
from lgrin.sklearn.base import SequenceEstimator
from lgrin.sklearn.grouped import TRAIN, adapted_classifier, floats_of, scale_groups
from lgrin.sklearn.inference import network_of
from lgrin.sklearn.inputs import (
    Input,
    draw_seed,
    encode_labels,
    read_labels,
    read_sequences,
    to_nodes,
    to_one_length,
    warn_of_thinning,
)
from lgrin.sklearn.layouts import AUTO, extractor_of_dataset
from lgrin.sklearn.pretrained import check_pretrained, network_of_start, start_of
from lgrin.sklearn.pretrainer import LGrINPretrainer, content_of_pretrainer, pretrainer_of
from lgrin.sklearn.saved import build_saved, content_of, plain, read_saved, write_saved
from lgrin.sklearn.weights import Chosen, choose
from lgrin.training.bank import left_out_together
from lgrin.training.blend import fit_bank_beside, join, thin_of, without_bank
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.experiment import draw
from lgrin.training.generators import own_random_numbers
from lgrin.training.loop import fit_in_memory
from lgrin.training.pretrain import start_from
from lgrin.training.reading import read_data
from lgrin.training.recipe import Plan
from lgrin.training.recipes import find_recipe
from lgrin.training.schedule import name_schedule
from lgrin.training.splits import hold_out
from lgrin.transforms.resample import RESAMPLINGS

with optional("train"):
    from sklearn.utils import validation

FORMAT = "lgrin.sklearn.LGrINClassifier, version 2"
VALIDATION = 0.2
WARM = 0.1  # of the learning rate, where training goes on


class LGrINClassifier(SequenceEstimator):
    r"""Classifies sequences of any length with an :class:`lgrin.LGrIN`, whose graph is learned, and a bank of filters.

    The network sees every sequence stretched to M frames (:class:`lgrin.transforms.Resample`) and standardised by the
    training sequences. It is trained by the recipe of :func:`lgrin.training.train_and_test`: on all sequences, to the
    last epoch. The bank (:class:`lgrin.models.FilterBank`) is fitted in closed form to sequences at their own lengths,
    and the logits of both are added (:class:`lgrin.models.Blend`). The recipe decides arguments that are ``"auto"``,
    and how much the network counts: the more, the more labels and channels there are.

    With ``patience`` a fifth of the sequences is held out from the network, and the epoch with the lowest loss on it is
    kept; a class with a single sequence stays in training, and where nothing can be held out, the training loss
    decides.

    Args:
        n_channels: Channels of a matrix X ``[n, channels * time]``, one after the other in each row; other kinds of X
            say it themselves.
        num_nodes: Frames of the graph, M. ``None`` takes the length of the longest training sequence, 200 at the most,
            or fewer where the network would have more than 108,000 parameters, though not below 32: with
            ``input_norm=True`` that is 165 frames for 450 channels and 8 classes, 127 for 550 and 6. The
            bank has the rest of 120,000 fitted numbers. Beside a bank, one channel has 64 at the most.
        branch_channels: Widths of the inception layers, see :class:`lgrin.LGrIN`; (64, 32) are recommended, or beside a
            bank (32, 32) for more than 32 channels.
        input_norm: What the network sees, see :class:`lgrin.LGrIN`; ``"auto"`` shows it every sequence standardised by
            itself, too, unless the levels of the training sequences tell their classes
            (:func:`lgrin.training.recommended`).
        thin: How sequences with more frames than M get to M: ``"nearest"``, the recommended way, looks at M of them
            only; ``"mean"``, ``"max"`` and ``"lowpass"`` at all, see :class:`lgrin.transforms.Resample`.
        dropout: Probability of dropping a channel in the head; 0.5 is recommended.
        lr: Learning rate of Adam; 0.003 is recommended, or 0.006 where a bank stands beside and ``epochs`` is ``None``.
        weight_decay: Decoupled weight decay; 0.05 is recommended.
        crop: The largest part of a training sequence that is left out at random, see :class:`lgrin.training.Augment`;
            0.3 is recommended.
        shift: Standard deviation of the random level of each channel of a training sequence, standardised ones having
            1; see there; 0.3 is recommended.
        epochs: Passes over the training sequences; ``None`` leaves them to the recipe. The recommended one takes as
            many as make 150 steps, and 15 at the least, or four times as many without a bank.
        patience: Epochs without a lower validation loss after which to stop; ``None`` holds nothing out and does not
            stop. The learning rate falls to 0 at the last of ``epochs`` either way.
        batch_size: Sequences per step; 32 are recommended.
        device: Where to train: ``"auto"``, ``"cpu"``, ``"cuda"``; predictions are made on the CPU.
        verbose: Whether to show one line with the epoch and the time that is left, where the output is a terminal.
        random_state: Draws weights, batches, dropout, windows and levels, and a validation split if there is one. A
            whole number makes fits repeat on a CPU, in processes and in threads, which take turns; where PyTorch takes
            several threads, another number of them may change the last digits (:mod:`lgrin.training.threads`). ``None``
            draws it from NumPy's generator. PyTorch's generator is left as it was.
        recipe: The recipe, a name in :data:`lgrin.training.recipes.RECIPES`.
        warm_start: Whether a further :meth:`fit` goes on from the weights, the normalisation and the frames of the last
            one, at a tenth of the learning rate; other classes or channels are an error then.
        layout: The axes of an array: ``"channels_first"`` (aeon's), ``"time_first"``, or ``"auto"``, which reads arrays
            channels first and tables with named columns time first.
        id: The column of a long table that says which sequence a row belongs to.
        time: The column of a table that orders its rows, and is no channel.
        bank: Whether the bank is added; ``False`` trains the network alone, as lgrin 0.1 did.

        class_weight: ``None`` weighs sequences alike, ``"balanced"`` classes alike; or the weight of each class by its
            name.
        sampling: How the network's batches are drawn: ``"shuffled"``, every sequence once an epoch, or ``"balanced"``,
            classes in equal shares, those of rare classes repeatedly (:class:`lgrin.loader.BalancedSampler`). The bank
            has no batches: see ``class_weight``.
        pretrained: A :class:`LGrINPretrainer`, whose weights, graph, normalisation and frames the network starts from;
            a classifier has the channels, recipe and network that it has. One that is not fitted learns from the
            training sequences.
        normalize: ``"train"`` scales all sequences by the training sequences. ``"group"`` scales every training
            sequence by its group, such as its speaker (:func:`lgrin.training.normalize_groups`), and the bank sees by
            how much its summaries differ from their mean over the group. :meth:`adapt` then makes the classifier of
            a new group from sequences without labels; before it, predictions take all training sequences for one
            group.

    Attributes:
        classes_: The classes, ``[C]``, in order.
        adjacency_: The learned graph of the network, ``[M, M]``, ``adjacency_[target, source]``.
        n_features_in_: Channels, or the columns of a matrix.
        feature_names_in_: The names of the channels of tables, or of the columns of a matrix, where there are any.
        classifier_: The trained :class:`lgrin.training.SequenceClassifier` of a :class:`lgrin.models.Blend`, or of an
            :class:`lgrin.LGrIN` where there is no bank.
        network_: The trained :class:`lgrin.LGrIN` alone.
        center_: With ``normalize="group"``, the logits ``[C]`` of the mean summaries that the bank is centred on.
        loss_curve_: The mean training loss of every epoch.
        fit_time_: Seconds that :meth:`fit` took.

    Shapes:
        - **X:** array ``[n, channels, time]``, list of arrays ``[channels, time]``, or matrix ``[n, channels * time]``;
          list of tables ``[time, columns]``, whose columns are matched by name; a long table with ``id``; a panel of
          aeon, a table whose index has the levels sequence and time; or a data set of :mod:`lgrin.datasets`.
          Single values that are missing (NaN) are filled from their own sequence (:func:`lgrin.gaps.fill_gaps`), and a
          channel that a sequence lacks takes its mean in training; a warning says how much is missing. A frame without
          any value is missing and reaches nothing.
        - **y:** ``[n]``, numbers or strings; the classes of a data set may be left out. For a long table or a panel, a
          column of pandas is matched by its index where that holds the ids; otherwise classes stand in the order in
          which ids first appear, for a panel in the order of the sorted ids

    Source:
        The estimator follows scikit-learn's conventions; X has the layout of aeon. ``docs/results.md`` says what
        network and bank are worth alone and together.

    Example:
        >>> X, y = np.random.default_rng(0).normal(size=(20, 3, 15)), np.arange(20) % 2
        >>> X[y == 1, 0] += 2
        >>> classifier = LGrINClassifier(epochs=5, random_state=0).fit(X, np.array(["calm", "glad"])[y])
        >>> classifier.predict(X[:2]).tolist(), classifier.adjacency_.shape
        (['calm', 'glad'], (15, 15))
    """

    def __init__(
        self,
        n_channels: int = 1,
        *,
        num_nodes: int | None = None,
        branch_channels: Sequence[int] | str = "auto",
        input_norm: bool | str = "auto",
        dropout: float | str = "auto",
        lr: float | str = "auto",
        weight_decay: float | str = "auto",
        crop: float | str = "auto",
        shift: float | str = "auto",
        epochs: int | None = None,
        patience: int | None = None,
        batch_size: int | str = "auto",
        device: str = "auto",
        verbose: bool = False,
        random_state: int | np.random.RandomState | None = None,
        recipe: str = "recommended",
        warm_start: bool = False,
        layout: str = "auto",
        id: str | None = None,
        time: str | None = None,
        thin: str = "auto",
        bank: bool = True,
        class_weight: str | Mapping[Any, float] | None = None,
        sampling: str = SHUFFLED,
        pretrained: LGrINPretrainer | None = None,
        normalize: str = TRAIN,
    ) -> None:
        self.n_channels = n_channels
        self.num_nodes = num_nodes
        self.branch_channels = branch_channels
        self.input_norm = input_norm
        self.dropout = dropout
        self.lr = lr
        self.weight_decay = weight_decay
        self.crop = crop
        self.shift = shift
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.device = device
        self.verbose = verbose
        self.random_state = random_state
        self.recipe = recipe
        self.warm_start = warm_start
        self.layout = layout
        self.id = id
        self.time = time
        self.thin = thin
        self.bank = bank
        self.class_weight = class_weight
        self.sampling = sampling
        self.pretrained = pretrained
        self.normalize = normalize

    def fit(
        self,
        X: Input,
        y: ArrayLike | Tensor | None = None,
        groups: ArrayLike | Tensor | None = None,
        sample_weight: ArrayLike | Tensor | None = None,
    ) -> "LGrINClassifier":
        """Learns the graph and the classes.

        Args:
            X: Training sequences; see the class.
            y: Their classes ``[n]``; ``None`` takes those of a data set.
            groups: ``[n]``, the speaker, subject or recording of each; with ``patience``, whole groups are held
                out, and the bank leaves out whole groups in turn. ``normalize="group"`` needs them.
            sample_weight: ``[n]``, 0 or more. A sequence of weight 0 is as good as removed, and classes are counted
                without it.

        Returns:
            Itself.

        Raises:
            FloatingPointError: If training diverges, with the step in which it did and what to lower.
            TypeError: If X holds no sequences, or y or groups hold what cannot be sorted.
            ValueError: If X or y cannot be trained on, with the index of the first offender, or an option is out of
                range.
        """
        start = perf_counter()
        before = getattr(self, "classifier_", None) if self.warm_start else None
        before = None if before is None else without_bank(before)
        channels = None if before is None else before.model.in_channels
        sequences = floats_of(self, read_sequences(self, X, channels))
        y, groups = read_labels(self, X, y, groups)
        chosen = choose(self.class_weight, sample_weight, *encode_labels(y, "y", len(sequences)))
        if before is not None and chosen.classes.tolist() != (known := vars(self)["classes_"].tolist()):
            raise ValueError(
                f"y holds the classes {chosen.classes.tolist()}, and warm_start=True goes on with {known}; give "
                f"sequences of each of these and no other, or fit with warm_start=False"
            )
        members = None if groups is None else encode_labels(groups, "groups", len(sequences))[1][chosen.kept]
        if before is None:
            check_pretrained(self, groups)
        nodes = to_nodes([sequences[index] for index in chosen.kept], chosen.labels, members)
        together, features = left_out_together(members, chosen.labels), extractor_of_dataset(X)
        scaled, centered = self._scale_groups(nodes)
        classifier, losses = self._train(scaled, chosen, together, centered, before, features)
        self.classes_, self.classifier_ = chosen.classes, classifier
        self._adapt_to_all(nodes, centered, torch.from_numpy(chosen.weight))
        self.loss_curve_, self.fit_time_ = losses, perf_counter() - start
        return self

    def predict_proba(self, X: Input) -> np.ndarray:
        """Computes the probability of each class, ``[n, C]``, in the order of ``classes_``.

        Raises:
            NotFittedError: Before :meth:`fit`.
            ValueError: If X does not fit the training sequences.
        """
        return self._run("forward", X).softmax(-1).numpy()

    def embed(self, X: Input) -> np.ndarray:
        """Computes what the head of the network sees of each sequence, ``[n, F]``.

        Raises:
            NotFittedError: Before :meth:`fit`.
            ValueError: If X does not fit the training sequences.
        """
        return self._run("embed", X).numpy()

    def graph(self, X: Input) -> np.ndarray:
        """Computes the graph of each sequence, ``[n, M, M]``, 0 from and to missing frames.

        Where all sequences share one graph, it is ``adjacency_``, scaled for the frames that a sequence lacks.

        Raises:
            NotFittedError: Before :meth:`fit`.
            ValueError: If X does not fit the training sequences.
        """
        return self._run("graphs", X).numpy()

    @property
    def adjacency_(self) -> np.ndarray:
        """The learned graph, ``[M, M]``, or of a network for sequences of any length its kernel, ``[K, 2w + 1]``.

        Of a network whose graphs differ by sequence, see :meth:`graph`.
        """
        validation.check_is_fitted(self)
        adjacency = self.classifier_.model.adjacency
        if getattr(adjacency, "reads_features", False):
            raise AttributeError(
                f"adjacency_ does not exist: the graph of {type(adjacency).__name__} differs by sequence; take those "
                f"of sequences from graph(X)"
            )
        return adjacency.weights().detach().numpy()

    @property
    def network_(self) -> LGrIN:
        """The trained network, without the bank, which takes sequences of M standardised frames."""
        validation.check_is_fitted(self)
        network: LGrIN = without_bank(self.classifier_).model
        return network

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
        network = {"classifier": dict(self.classifier_.hparams), "weights": self.classifier_.state_dict()}
        if self.pretrained is not None:
            network["pretrained"] = content_of_pretrainer(self.pretrained)
        alone = copy(self).set_params(pretrained=None)
        write_saved(path, content_of(alone, FORMAT, ("n_features_in_", "feature_names_in_", "center_"), network))

    @classmethod
    def load(cls, path: str | Path) -> "LGrINClassifier":
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

        def make(content: dict[str, Any]) -> LGrINClassifier:
            estimator: LGrINClassifier = build_saved(cls, content, path)
            if "pretrained" in content:
                estimator.pretrained = pretrainer_of(content["pretrained"], path)
            settings = name_schedule(content["classifier"])
            check_build(lambda: SequenceClassifier(**settings), settings["model"], content["weights"])
            estimator.classifier_ = SequenceClassifier(**settings).eval()
            estimator.classifier_.load_state_dict(content["weights"])
            return estimator

        estimator: LGrINClassifier = read_saved(path, FORMAT, make)
        return estimator

    def _train(
        self,
        nodes: list[Data],
        chosen: Chosen,
        groups: Tensor | None,
        centered: Tensor | None,
        before: SequenceClassifier | None,
        features: Mapping[str, Any] | None,
    ) -> tuple[SequenceClassifier, list[float]]:
        """Trains the network on sequences at their own lengths, and fits the bank; also the losses of the epochs."""
        seed, whole = draw_seed(self.random_state), [copy(one) for one in nodes]
        learn, held_out = self._parts(nodes, seed)
        with own_random_numbers():
            start = start_of(self, learn, seed) if before is None else None
            plan = self._plan(learn, len(chosen.classes), before, start)
            if plan.network_weight is None:
                warn_of_thinning(nodes, plan.transform)
            to_one_length(nodes, plan.transform)
            weight = _weigh(nodes, chosen.weight)
            options = {
                **plan.options,
                "classes": chosen.classes.tolist(),
                "features": features,
                "transform": None if plan.transform is None else plan.transform.settings,
            }
            how = {"patience": 1 if self.patience is None else self.patience, "device": self.device, **plan.lengths}
            how["sampling"] = self.sampling
            if before is None:
                sizes = nodes[0].num_features, plan.num_nodes, len(chosen.classes)
                model = draw(LGrIN, *sizes, seed=seed, **plan.network)
                kind = SequenceClassifier if start is None and centered is None else _Continued
                classifier = kind(model, num_sequences=len(learn), **options)
                if start is not None:
                    start_from(classifier, start)
            else:
                classifier = _Continued(deepcopy(before.model), num_sequences=len(learn), **options)
                classifier.load_state_dict(before.state_dict())
            read = read_data(classifier, learn, held_out)
            if plan.network_weight is not None:  # first, so that a warning comes before the network takes its time
                bank = fit_bank_beside(classifier, whole, weight, groups, seed, centered)
            how |= {"seed": seed, "progress": bool(self.verbose), "read": read}
            run = fit_in_memory(classifier, learn, held_out, **how)
            classifier = _plain_classifier(classifier)
            if plan.network_weight is not None:
                classifier = join(classifier, bank, plan.network_weight)
        return classifier, run.losses

    def _scale_groups(self, nodes: list[Data]) -> tuple[list[Data], Tensor | None]:
        """Scales training sequences by group, if they are to be; also the groups then."""
        scaled, centered = scale_groups(self, nodes)
        for name in ("warm_start", "pretrained") if centered is not None else ():
            if getattr(self, name):
                raise ValueError(
                    f"normalize is 'group', and {name} is given; the weights that it goes on from expect "
                    f"sequences scaled otherwise: leave out one of the two"
                )
        return scaled, centered

    @property
    def _in_channels(self) -> int:
        channels: int = self.classifier_.model.in_channels
        return channels

    def _adapt(self, nodes: list[Data], weight: Tensor | None = None) -> None:
        center = np.asarray(self.center_, float)
        self.classifier_, self.center_ = adapted_classifier(self.classifier_, nodes, center, weight)

    def _parts(self, data: list[Data], seed: int) -> tuple[list[Data], list[Data]]:
        """What to train on, and what to stop by."""
        return (data, []) if self.patience is None else _hold_out(data, seed)

    def _plan(
        self,
        learn: list[Data],
        num_classes: int,
        before: SequenceClassifier | None,
        start: SequenceClassifier | None,
    ) -> Plan:
        """What the recipe decides by the training sequences, but for what arguments, last fit or pretraining decide."""
        recipe = find_recipe(self.recipe)
        check_option("thin", self.thin, (AUTO, *RESAMPLINGS))
        names = "input_norm", "branch_channels", "dropout"
        network = {name: plain(name, value) for name, value in self._given(*names).items()}
        if "input_norm" in network:
            network["input_norm"] = _input_norm(network["input_norm"])
        if start is not None:
            network = {**network_of_start(start), **network}
        batch_size = _batch_size(self._given("batch_size").get("batch_size", recipe.batch_size), len(learn))
        lengths = {"epochs": self.epochs, "batch_size": batch_size}
        plan = recipe.plan(learn, num_classes, num_nodes=self.num_nodes, network=network, bank=self.bank, **lengths)
        changes = {**plan.options.get("augment", {}), **self._given("crop", "shift")}
        options = {**plan.options, **self._given("lr", "weight_decay"), "augment": changes}
        known = before or start
        if known is None:
            return plan._replace(options=options, **self._given("thin"))
        if before is not None:
            options["lr"] = WARM * options["lr"]
        return plan._replace(options=options, num_nodes=known.model.num_nodes, thin=thin_of(known))

    def _given(self, *names: str) -> dict[str, Any]:
        """The arguments among these that are not left to the recipe."""
        values = {name: getattr(self, name) for name in names}
        return {name: value for name, value in values.items() if not (isinstance(value, str) and value == AUTO)}

    def _run(self, method: str, X: Input) -> Tensor:
        """Calls a method of the network."""
        validation.check_is_fitted(self)
        wide = self.classifier_.normalize.mean.dtype == torch.float64
        sequences = as_floats(read_sequences(self, X, self._in_channels), wide)
        nodes = to_nodes(sequences)
        return network_of(self.classifier_).run(method, nodes)


class _Continued(SequenceClassifier):
    """A classifier that trains on, and keeps the normalisation that its weights expect."""

    def fit_normalization(self, sequences: Iterable[Data]) -> None:
        """Keeps the statistics of the first fit."""


def _plain_classifier(classifier: SequenceClassifier) -> SequenceClassifier:
    """The classifier in evaluation mode, which measures its data again if it is trained by somebody else."""
    if isinstance(classifier, _Continued):
        copy = SequenceClassifier(**{**classifier.hparams, "model": classifier.model})
        copy.load_state_dict(classifier.state_dict())
        classifier = copy
    return classifier.eval()


def _weigh(nodes: list[Data], weight: np.ndarray) -> Tensor:
    """Tells sequences what they count, 1 on average, where they do not all count alike."""
    scaled = torch.from_numpy(weight / weight.mean())
    if (scaled != 1).any():
        for one, own in zip(nodes, scaled.float().split(1), strict=True):
            one.weight = own
    return scaled


def _hold_out(data: list[Data], seed: int) -> tuple[list[Data], list[Data]]:
    """Holds out what :func:`hold_out` does, or else as much as leaves every class a group or sequence to train on."""
    try:
        return hold_out(data, seed=seed)
    except ValueError:  # a class would be left without a training sequence
        labels = np.array([int(one.y) for one in data])
        units = np.array([int(one.get("group", index)) for index, one in enumerate(data)])
        units = np.arange(len(data)) if len(np.unique(units)) == 1 else units
    held = np.zeros(len(data), dtype=bool)
    for unit in np.random.default_rng(seed).permutation(np.unique(units)):
        more = held | (units == unit)
        if held.mean() < VALIDATION and set(labels[~more]) == set(labels):
            held = more
    learn, held_out = ([data[index] for index in np.flatnonzero(part)] for part in (~held, held))
    return learn, held_out or learn


def _batch_size(wanted: int, count: int) -> int:
    """The largest size up to the wanted one that leaves no batch of a single sequence, which may be a single frame."""
    wanted = check_whole("batch_size", wanted)
    return next((size for size in range(wanted, 1, -1) if count % size != 1), wanted)


def _input_norm(wanted: Any) -> bool | str:
    """What may have been a number of NumPy as :class:`LGrIN` takes it."""
    check_option("input_norm", wanted, (AUTO, *INPUT_NORMS))
    return bool(wanted) if wanted in (0, 1) else str(wanted)
