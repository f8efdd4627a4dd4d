"""A recipe: from training data to frames, network, length of training and changes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from lgrin.options import check_whole
from lgrin.training.levels import mean_level
from lgrin.transforms import Resample
from lgrin.transforms.resample import NEAREST

LENGTHS = ("epochs", "batch_size", "averaging")


class Survey(NamedTuple):
    """What a recipe decides by: a summary of the training sequences.

    Attributes:
        num_sequences: Training sequences.
        longest: Frames of the longest.
        in_channels: Features per frame, P.
        levels: Mean of the present frames of each, float64 ``[n, P]``.
        labels: Their classes ``[n]``.
        lacks_frames: Whether a frame of any is absent.
    """

    num_sequences: int
    longest: int
    in_channels: int
    levels: Tensor
    labels: Tensor
    lacks_frames: bool

    @classmethod
    def of(cls, sequences: Iterable[Data]) -> "Survey":
        """Surveys sequences in one pass.

        Args:
            sequences: Training sequences with ``x``, ``y [1]`` and perhaps ``mask``.

        Returns:
            The survey.

        Raises:
            ValueError: If there is none.

        Example:
            >>> survey = Survey.of(Data(x=torch.ones(9 - i, 2) * i, y=torch.tensor([i])) for i in (0, 1))
            >>> survey.longest, survey.levels.tolist(), survey.lacks_frames
            (9, [[0.0, 0.0], [1.0, 1.0]], False)
        """
        longest, levels, labels, lacks_frames, channels = 0, [], [], False, 0
        for data in sequences:
            longest, channels = max(longest, data.x.size(0)), data.x.size(-1)
            levels.append(mean_level(data))
            labels.append(data.y)
            lacks_frames = lacks_frames or not (data.get("mask") is None or bool(data.mask.all()))
        if not levels:
            raise ValueError("train is empty; a recipe decides by at least one training sequence")
        return cls(len(levels), longest, channels, torch.stack(levels), torch.cat(labels), lacks_frames)


class Plan(NamedTuple):
    """What a recipe has decided for training data.

    Attributes:
        num_nodes: Frames of the graph, M; ``None`` leaves sequences at their own lengths.
        network: Further arguments of :class:`lgrin.LGrIN`.
        options: Arguments of :class:`lgrin.training.SequenceClassifier`: learning rate, schedule, weight decay and
            changes.
        epochs: Passes over the training sequences.
        batch_size: Sequences per step.
        averaging: Decay per step of the average of the weights.
        thin: How longer sequences get to the frames of the graph, ``how`` of :class:`lgrin.transforms.Resample`.
        network_weight: Of the network's logits beside a bank of filters, see :class:`lgrin.models.Blend`; ``None``
            where there is no bank.
    """

    num_nodes: int | None
    network: dict[str, Any]
    options: dict[str, Any]
    epochs: int
    batch_size: int
    averaging: float
    thin: str = NEAREST
    network_weight: float | None = None

    @property
    def transform(self) -> Resample | None:
        """What brings sequences to the frames of the graph; ``None`` where they stay as they are."""
        return None if self.num_nodes is None else Resample(self.num_nodes, self.thin)

    @property
    def lengths(self) -> dict[str, Any]:
        """The arguments of :func:`lgrin.training.fit` that it decides."""
        return {"epochs": self.epochs, "batch_size": self.batch_size, "averaging": self.averaging}


class BesideBank(NamedTuple):
    """What is different about a network that a bank of filters stands beside.

    Attributes:
        part: The part of the epochs that is enough.
        most_nodes: Frames that the graph may have at most; ``None`` leaves them to the recipe.
        network: Arguments of :class:`lgrin.LGrIN`.
        rate: What the learning rate is multiplied by, where the recipe decides the epochs.
    """

    part: float = 1.0
    most_nodes: int | None = None
    network: Mapping[str, Any] = MappingProxyType({})
    rate: float = 1.0


def as_alone(survey: Survey) -> BesideBank:
    """Leaves the network as it is without a bank."""
    return BesideBank()


@dataclass(frozen=True)
class Recipe:
    """How a network is built and trained, decided by the training data alone.

    Estimators, :func:`lgrin.training.train_and_test` and :func:`lgrin.training.cross_validate` take a recipe by its
    name. A new recipe is one value and one line in :data:`lgrin.training.recipes.RECIPES`.

    Attributes:
        network: From a :class:`Survey` to arguments of :class:`lgrin.LGrIN`.
        frames: From the longest sequence, P, C and those arguments to the frames of the graph, M; or to ``None``,
            where the network takes sequences of any length.
        epochs: From the number of sequences and the batch size to passes over the training sequences.
        options: Arguments of :class:`lgrin.training.SequenceClassifier`; the learning rate is that without a bank.
        averaging: Decay per step of the average of the weights; 0 takes the weights themselves.
        batch_size: Sequences per step.
        thin: How sequences that are longer than M get to M frames, ``how`` of :class:`lgrin.transforms.Resample`.
        network_weight: From a :class:`Survey` and C to the weight of the network beside a bank of filters.
        beside_bank: From a :class:`Survey` to what is different about a network that a bank stands beside.

    Example:
        >>> from lgrin.training.recipes import RECIPES
        >>> data = [Data(x=torch.randn(20 + i, 3), y=torch.tensor([i % 2])) for i in range(24)]
        >>> plan = RECIPES["recommended"].plan(data, num_classes=2)
        >>> plan.num_nodes, plan.network, plan.epochs
        (43, {'input_norm': 'both'}, 600)
    """

    network: Callable[[Survey], dict[str, Any]]
    frames: Callable[..., int | None]
    epochs: Callable[[int, int], int]
    options: Mapping[str, Any]
    averaging: float
    batch_size: int
    thin: str = NEAREST
    network_weight: Callable[[Survey, int], float] | None = None
    beside_bank: Callable[[Survey], BesideBank] = as_alone

    def choose(self, train: Iterable[Data]) -> dict[str, Any]:
        """Chooses arguments of :class:`lgrin.LGrIN` by training sequences."""
        return self.network(Survey.of(train))

    def lengths(self, num_sequences: int, **given: Any) -> dict[str, Any]:
        """Decides how long to train.

        Args:
            num_sequences: Training sequences.
            **given: Values of ``epochs``, ``batch_size`` and ``averaging`` that the caller decides; ``None`` leaves
                one to the recipe.

        Returns:
            ``epochs``, ``batch_size`` and ``averaging`` as arguments of :func:`lgrin.training.fit`.

        Raises:
            TypeError: If a value has another name.
            ValueError: If a number is out of range.
        """
        for name in given:
            if name not in LENGTHS:
                raise TypeError(f"{name} was given, which a recipe does not know; it may be {', '.join(LENGTHS)}")
        given = {name: value for name, value in given.items() if value is not None}
        batch_size = check_whole("batch_size", given.get("batch_size", self.batch_size))
        epochs = check_whole("epochs", given["epochs"]) if "epochs" in given else self.epochs(num_sequences, batch_size)
        return {"epochs": epochs, "batch_size": batch_size, "averaging": given.get("averaging", self.averaging)}

    def plan(
        self,
        train: Iterable[Data],
        num_classes: int,
        *,
        num_nodes: int | None = None,
        longest: int | None = None,
        network: Mapping[str, Any] | None = None,
        bank: bool = False,
        **lengths: Any,
    ) -> Plan:
        """Decides everything by training sequences, which are read once.

        Args:
            train: Training sequences at their own lengths, or all of one length.
            num_classes: Classes, C.
            num_nodes: Frames of the graph where the caller has fixed them; ``None`` lets the recipe decide.
            longest: Frames that the graph may have at most; ``None`` means those of the longest training sequence.
            network: Arguments of :class:`lgrin.LGrIN` that the caller decides.
            bank: Whether a bank of filters is going to stand beside the network.
            **lengths: As for :meth:`lengths`.

        Returns:
            The plan.

        Raises:
            TypeError: If there is another argument.
            ValueError: If there is no training sequence, or a number is out of range.
        """
        num_nodes = None if num_nodes is None else check_whole("num_nodes", num_nodes)
        survey = Survey.of(train)
        beside = self.beside_bank(survey) if bank else BesideBank()
        chosen = {**self.network(survey), **beside.network, **(network or {})}
        if num_nodes is None:
            most = survey.longest if longest is None else longest
            most = most if beside.most_nodes is None else min(most, beside.most_nodes)
            num_nodes = self.frames(most, survey.in_channels, num_classes, **chosen)
        decided = self.lengths(survey.num_sequences, **lengths)
        weight = self.network_weight(survey, num_classes) if bank and self.network_weight is not None else None
        options = dict(self.options)
        if lengths.get("epochs") is None:
            decided["epochs"] = ceil(beside.part * decided["epochs"])
            if "lr" in options:
                options["lr"] *= beside.rate
        return Plan(num_nodes, chosen, options, **decided, thin=self.thin, network_weight=weight)
