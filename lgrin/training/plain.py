"""Plain methods that may classify left-out training sequences better than a bank of filters does."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch_geometric.data import Data

from lgrin.training.ridge import fit_ridge
from lgrin.transforms.resample import evenly_spread
from lgrin.warn import warn_user

MOST = 1_000  # sequences that are looked at
LONGEST = 200  # frames of a sequence that the nearest neighbour looks at
ROOM = 2**23  # numbers that it compares
ERRORS = 2  # standard errors by which a plain method has to be better
LEAST = 0.02  # of accuracy, below which nothing is said
ROUNDING = 1e-9  # four groups that agree are at two errors, and not above


class Sample(NamedTuple):
    """Training sequences, each of which is classified by the others.

    Attributes:
        frames: Float64 ``[L, P]`` of each sequence, NaN where values are missing.
        labels: Int64 ``[n]``, in ``[0, C)``.
        num_classes: C.
        weight: Float64 ``[n]``, positive.
        groups: Int64 ``[n]``, what is left out together; ``None`` means one sequence at a time.
    """

    frames: list[Tensor]
    labels: Tensor
    num_classes: int
    weight: Tensor
    groups: Tensor | None = None

    @property
    def together(self) -> Tensor:
        """What is left out with each sequence, int64 ``[n]``, numbered from 0."""
        return torch.arange(len(self.labels)) if self.groups is None else self.groups.unique(return_inverse=True)[1]


class Plain(NamedTuple):
    """A plain method.

    Attributes:
        name: What it is called in a sentence.
        predict: From a :class:`Sample` to the class of each sequence by the others, int64 ``[n]``.
        advice: How to get it.
    """

    name: str
    predict: Callable[[Sample], Tensor]
    advice: str


class Better(NamedTuple):
    """A plain method that is clearly better than the bank.

    Attributes:
        plain: The method.
        accuracy: Its accuracy on left-out sequences.
        of_bank: That of the bank on the same.
        num_sequences: How many these are.
    """

    plain: Plain
    accuracy: float
    of_bank: float
    num_sequences: int


def nearest_neighbor(sample: Sample) -> Tensor:
    """Gives each sequence the class of its nearest neighbour outside its group.

    The distance is Euclidean, between standardised sequences that are stretched to one length.

    Example:
        >>> frames = [torch.full((4, 1), float(i)) for i in (0, 1, 5, 6)]
        >>> nearest_neighbor(Sample(frames, torch.tensor([0, 0, 1, 1]), 2, torch.ones(4))).tolist()
        [0, 0, 1, 1]
    """
    count, channels = len(sample.frames), sample.frames[0].size(1)
    longest = max(len(x) for x in sample.frames)
    length = max(1, min(longest, LONGEST, ROOM // (count * channels)))
    x = torch.stack([x[evenly_spread(len(x), length)] for x in sample.frames])
    center = x.nanmean((0, 1))
    deviation = (x - center).square().nanmean((0, 1)).sqrt()
    x = ((x - center) / deviation.masked_fill(deviation == 0, 1)).nan_to_num(nan=0.0).float().flatten(1)
    together = sample.together
    distance = torch.cdist(x, x).masked_fill(together.unsqueeze(1) == together, torch.inf)
    return sample.labels[distance.argmin(1)]


def ridge_on_levels(sample: Sample) -> Tensor:
    """Classifies each sequence by means and deviations of its channels, by a ridge fitted without its group.

    Example:
        >>> frames = [torch.full((4, 1), float(i)) for i in (0, 1, 5, 6)]
        >>> ridge_on_levels(Sample(frames, torch.tensor([0, 0, 1, 1]), 2, torch.ones(4))).tolist()
        [0, 0, 1, 1]
    """
    means = torch.stack([x.nanmean(0) for x in sample.frames])
    spreads = [(x - mean).square().nanmean(0).sqrt() for x, mean in zip(sample.frames, means, strict=True)]
    features = torch.cat([means, torch.stack(spreads)], 1)
    features = torch.where(features.isnan(), features.nanmean(0), features)
    scale = torch.full((features.size(1),), features.size(1) ** -0.5)
    ridge = fit_ridge(features, sample.labels, sample.num_classes, sample.weight, scale, sample.groups)
    return ridge.left_out.argmax(1)


def largest_class(sample: Sample) -> Tensor:
    """Gives each sequence the class that counts most outside its group.

    Example:
        >>> largest_class(Sample([], torch.tensor([0, 1, 1, 1]), 2, torch.ones(4))).tolist()
        [1, 1, 1, 1]
    """
    each = torch.nn.functional.one_hot(sample.labels, sample.num_classes) * sample.weight.unsqueeze(1)
    together = sample.together
    own = torch.zeros(int(together.max()) + 1, sample.num_classes, dtype=each.dtype).index_add(0, together, each)
    return (each.sum(0) - own).argmax(1)[together]


PLAIN = (
    Plain(
        "the nearest neighbour of stretched sequences",
        nearest_neighbor,
        "sklearn.neighbors.KNeighborsClassifier(1) on standardised sequences that are stretched to one length",
    ),
    Plain(
        "a ridge on means and deviations of the channels",
        ridge_on_levels,
        "sklearn.linear_model.RidgeClassifierCV on the standardised means and deviations of the channels",
    ),
)
CONSTANT = Plain(
    "the largest class alone", largest_class, "sklearn.dummy.DummyClassifier, and see whether X tells the classes"
)


def find_better(
    left_out: Tensor, sequences: Sequence[Data], weight: Tensor | None = None, groups: Tensor | None = None
) -> Better | None:
    r"""Compares a bank with plain methods on training sequences that are left out.

    With :math:`d_g` the sum, over the sequences of a group, of the weight of each that the plain method alone has right
    minus that of each that the bank alone has right, the plain method is better if

    .. math:: \sum_g d_g > 2 \sqrt{\sum_g d_g^2},

    that is by two standard errors of a difference that is 0, and by two points of accuracy. Without groups this is
    McNemar's test. A method also has to be better than the largest class by as much. Of more than 1,000 sequences,
    1,000 are looked at.

    Args:
        left_out: Scores of each sequence by a bank that was fitted without it, ``[n, C]``, ``left_out`` of
            :class:`lgrin.training.ridge.Ridge`.
        sequences: Training sequences with ``x [L, P]``, ``y [1]`` and perhaps ``mask [L]``.
        weight: Positive ``[n]``, of each sequence; ``None`` means 1.
        groups: Int64 ``[n]``, what was left out together; ``None`` means one sequence at a time.

    Returns:
        The best of the plain methods that are better; ``None`` where none is.

    Source:
        McNemar, *Note on the sampling error of the difference between correlated proportions or percentages*,
        Psychometrika 12, 1947.

    Example:
        >>> data = [Data(x=torch.full((4, 1), i + 8.0 * (i // 8)), y=torch.tensor([i // 8])) for i in range(16)]
        >>> wrong = torch.eye(2)[[1 - int(one.y) for one in data]]
        >>> better = find_better(wrong, data)
        >>> better.plain.name, better.accuracy, better.of_bank
        ('the nearest neighbour of stretched sequences', 1.0, 0.0)
    """
    count = len(sequences)
    chosen = torch.arange(count)
    if count > MOST:
        chosen = torch.randperm(count, generator=torch.Generator().manual_seed(0))[:MOST].sort().values
    weight = torch.ones(count, dtype=torch.double) if weight is None else weight.double()
    labels = torch.cat([sequences[index].y for index in chosen.tolist()])
    frames = [_frames(sequences[index]) for index in chosen.tolist()]
    sample = Sample(frames, labels, left_out.size(1), weight[chosen], None if groups is None else groups[chosen])
    bank, constant = left_out[chosen].argmax(1) == labels, labels == labels.bincount(sample.weight).argmax()
    found = []
    for plain, rivals in [*((one, (bank, constant)) for one in PLAIN), (CONSTANT, (bank,))]:
        correct = plain.predict(sample) == labels
        if all(_is_better(correct, rival, sample) for rival in rivals):
            found.append(Better(plain, _accuracy(correct, sample), _accuracy(bank, sample), len(chosen)))
    return max(found, key=lambda better: better.accuracy, default=None)


def _accuracy(correct: Tensor, sample: Sample) -> float:
    return float(correct.double() @ sample.weight / sample.weight.sum())


def _is_better(correct: Tensor, other: Tensor, sample: Sample) -> bool:
    """Whether one method is better than another by more than chance."""
    each = (correct.double() - other.double()) * sample.weight / sample.weight.sum()
    return float(each.sum()) > (1 + ROUNDING) * max(LEAST, ERRORS * float(sample.together.bincount(each).norm()))


def warn_of_better(
    left_out: Tensor, sequences: Sequence[Data], weight: Tensor | None = None, groups: Tensor | None = None
) -> None:
    """Warns where :func:`find_better` finds a plain method that is better than a bank.

    Args:
        left_out: As for :func:`find_better`, as are the others.
        sequences: Training sequences.
        weight: Of each sequence.
        groups: What was left out together.

    Example:
        >>> data = [Data(x=torch.full((4, 1), float(i)), y=torch.tensor([i // 8])) for i in range(16)]
        >>> warn_of_better(torch.eye(2)[[int(one.y) for one in data]], data)
    """
    better = find_better(left_out, sequences, weight, groups)
    if better is None:
        return
    part = better.num_sequences
    of = "" if part == len(sequences) else f", {part:,} of {len(sequences):,},"
    warn_user(
        f"this may be the wrong tool for these data: of training sequences that are left out{of} {better.plain.name} "
        f"classifies {better.accuracy:.3f} correctly and the bank of filters {better.of_bank:.3f}, a difference of "
        f"more than {ERRORS} standard errors. Compare the classifier, on sequences that it was not trained on, with "
        f"{better.plain.advice}, and take what is better"
    )


def _frames(data: Data) -> Tensor:
    """The frames of a sequence, NaN where they are absent."""
    x, mask = data.x.double(), data.get("mask")
    return x if mask is None else x.masked_fill(~mask.unsqueeze(1), torch.nan)
