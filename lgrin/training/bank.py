"""A filter bank fitted in closed form."""

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import ndtr, stdtrit
from torch import Tensor
from torch_geometric.data import Data

from lgrin.models.bank import REACH, READ, FilterBank
from lgrin.models.correlations import EACH
from lgrin.models.functionals import NUMBER
from lgrin.training.generators import own_random_numbers
from lgrin.training.ridge import Ridge, average, fit_pairs, fit_ridge, fit_ridges
from lgrin.training.threads import threads_for

BUDGET = 120_000  # numbers that are fitted: scale, thresholds, and the weights of the ridge
MOST, MANY, FEWER = 10_000, 4_000, 3_000  # summaries at most; those of more than so many sequences
HEADS, THRESHOLDS, SEGMENTS = 8, 3, (1, 4)
TOGETHER = {"correlation": 0.06}  # beside the others, where there are several channels
SHAPES = {"share": 0.66, "magnitude": 0.04, "max": 0.04, "level": 0.09, "rank": 0.17, **TOGETHER}
READINGS = (  # variance of each kind in the ridge, and by how many standard errors the reading has to be better
    (SHAPES, 0.0),
    ({"share": 0.25, "magnitude": 0.04, "max": 0.04, "level": 0.5, "rank": 0.17, **TOGETHER}, 1.25),
    ({"share": 0.3, "magnitude": 0.02, "max": 0.02, "level": 0.01, "rank": 0.65, **TOGETHER}, 1.25),
    ({**{kind: share / 2 for kind, share in SHAPES.items()}, "place": 0.5}, 2.5),
    ({"share": 0.16, "magnitude": 0.03, "max": 0.03, "level": 0.04, "rank": 0.17, **TOGETHER, "functional": 0.57}, 2.5),
)
AT_WILL = ("place", "functional")  # kinds that a bank does not have where the best reading does without
ENOUGH_FOR_PAIRS, MOST_FOR_PAIRS = 15, 2_000  # sequences of a class; sequences, since time grows with their cube
ENOUGH_TO_CHOOSE = 2_000  # sequences, drawn at random of more; likewise
RANKS = 2  # summaries of each response over the whole sequence alone
PART = 0.5  # of the budget, which levels may have, and functionals of what these leave
PART_OF_PAIRS = 0.125  # of what levels and functionals leave
MOST_PLACES = 64  # in the room of functionals, since a bank has one kind or the other
FEWEST_MIXES = 4  # beside several channels; half as many as channels if that is more
ROOM = 2**22  # numbers of responses that are computed at a time
SAMPLES = 20_000  # frames from which thresholds are taken, 8 of a sequence at least
LIMIT = 4.0  # deviations; a value that is further off the mean counts as so far off
LEAST = 0.1  # of the deviation over all frames, which that of half the sequences may be
LENGTHS_APART = 1.1  # upper over lower quartile of lengths, above which sequences are stretched on trial
ERRORS_IN_TIME = 2.5  # standard errors by which they have to be better then
SCALES_APART = 7.0  # upper over lower quartile of deviations, above which sequences are read in their own scale, too
MARGIN = 1e-4  # a response that equals a threshold but for rounding, as on flat stretches, does not count


def fit_bank(
    sequences: Sequence[Data],
    num_classes: int,
    weight: Tensor | None = None,
    groups: Tensor | None = None,
    seed: int = 0,
    budget: int = BUDGET,
    centered: Tensor | None = None,
) -> tuple[FilterBank, Ridge]:
    """Fits a :class:`lgrin.models.FilterBank`: scale, thresholds, and a ridge as its head.

    The ridge sees summaries of one kind with more variance than others: shares of frames above thresholds, unless
    left-out sequences are classified better with levels or ranks in front, by 1.25 standard errors of the cross-entropy
    (with few sequences by more, such as Student's t has it), or with places or functionals in front, by 2.5. Where
    channels outnumber the mixes of channels that the filters see, it is enough that functionals are better at all,
    since they read each channel by itself. A bank has no places and functionals that it does not need. Of more than
    2,000 sequences, so many choose. Where each of more than two classes has 15 sequences on average, and there are
    2,000 at the most, the logits are the mean of this ridge, of each class against all others, and of ridges of each
    pair of classes.

    The bank has as many summaries as its budget allows for C classes, 10,000 at most, or 3,000 for more than 4,000
    sequences. Its dilations are powers of 2 up to where a filter spans two sequences of median length. Where
    sequences differ in scale (:func:`differ_in_scale`), it reads each of them in its own scale, too.

    Where they differ in length, a second bank reads them stretched to the median length. It is taken if it classifies
    left-out sequences better by 2.5 standard errors of the cross-entropy, as it does where the classes differ in what
    happens at which part of a sequence, and the pace says nothing.

    Args:
        sequences: Training sequences with ``x [L, P]``, ``y [1]`` and perhaps ``mask [L]``.
        num_classes: Classes, C.
        weight: Positive ``[n]``, of each sequence; ``None`` means 1.
        groups: Int64 ``[n]``, what is left out together when the penalty is chosen.
        seed: Draws the filters.
        budget: Numbers that may be fitted: scale, thresholds, and the weights of the ridge.
        centered: Int64 ``[n]``, groups of sequences that were scaled by group
            (:func:`lgrin.training.normalize_groups`): the ridge sees by how much summaries differ from the mean of
            their group, and the bank takes frames as they are. :func:`lgrin.training.groups.adapt_bank` centres it.

    Returns:
        The bank, and the ridge that is its head.

    Example:
        >>> data = [Data(x=torch.randn(30, 2) + 2 * (i % 2), y=torch.tensor([i % 2])) for i in range(8)]
        >>> bank, ridge = fit_bank(data, 2)
        >>> bank(data[3].x).argmax().item()
        1
    """
    weight = torch.ones(len(sequences), dtype=torch.double) if weight is None else weight.double()
    low, median, high = quartiles(torch.tensor([_length(one) for one in sequences]), weight)
    channels, own_scale = sequences[0].num_features, differ_in_scale(sequences, weight)
    sizes = bank_sizes(median, channels * (1 + own_scale), num_classes, len(sequences), budget)
    how = {**sizes, "limit": LIMIT, "own_scale": own_scale, "seed": seed}
    read = partial(_read, sequences, num_classes, weight, groups, centered)
    first = taken = read(how)
    if high > LENGTHS_APART * low:
        stretched = read({**how, "num_frames": round(median)})
        gain = _gain(first.plain, stretched.best, weight[first.some])
        if gain.is_beyond(ERRORS_IN_TIME) and gain.mean > _gain(first.plain, first.best, weight[first.some]).mean:
            taken = stretched
    return taken.bank.eval(), _complete(taken, sequences, num_classes, weight, groups)


class _Read(NamedTuple):
    """A bank, what it reads of the training sequences ``[n, F]``, and the ridges of all readings on some of them."""

    bank: FilterBank
    features: Tensor
    some: Tensor
    ridges: list[Ridge]
    chosen: int

    @property
    def plain(self) -> Ridge:
        return self.ridges[0]

    @property
    def best(self) -> Ridge:
        return self.ridges[self.chosen]


def _read(
    sequences: Sequence[Data],
    num_classes: int,
    weight: Tensor,
    groups: Tensor | None,
    centered: Tensor | None,
    how: Mapping[str, Any],
) -> _Read:
    """Fits scale, thresholds and ridges of a bank with the given sizes and ways to read sequences."""
    channels = sequences[0].num_features
    with own_random_numbers():
        bank = FilterBank(channels, num_classes, **how)
    bank.scale.to(sequences[0].x.dtype)
    with torch.no_grad(), _threads_for(bank, sequences):
        if centered is None:
            _fit_scale(bank, sequences, weight)
        _fit_thresholds(bank, sequences, weight)
        features = summaries(bank, sequences)
        if centered is not None:
            features = _without_mean(features, centered, weight)
        scales = [scale_of(bank, shares) for shares, _ in READINGS]
        some = _drawn(len(sequences), ENOUGH_TO_CHOOSE, bank.seed)
        together = None if groups is None else groups[some]
        ridges = fit_ridges(features[some], _labels(sequences)[some], num_classes, weight[some], scales, together)
    chosen = _best(ridges, weight[some], few_mixes=len(bank.mix.flatten(0, 1)) < channels)
    return _Read(bank, features, some, ridges, chosen)


def _drawn(count: int, most: int, seed: int) -> Tensor:
    """All indices in their order, or so many at random."""
    if count <= most:
        return torch.arange(count)
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))[:most].sort().values


def _complete(read: _Read, sequences: Sequence[Data], num_classes: int, weight: Tensor, groups: Tensor | None) -> Ridge:
    """Gives a bank the best ridge as its head, with ridges of pairs of classes where there are sequences enough."""
    bank, ridge, shares = read.bank, read.best, READINGS[read.chosen][0]
    labels, scale = _labels(sequences), scale_of(bank, shares)
    with torch.no_grad(), _threads_for(bank, sequences):
        if len(read.some) < len(labels):
            ridge = fit_ridge(read.features, labels, num_classes, weight, scale, groups)
        if num_classes > 2 and ENOUGH_FOR_PAIRS * num_classes <= len(sequences) <= MOST_FOR_PAIRS:
            pairs = fit_pairs(read.features, labels, num_classes, weight, scale, groups)
            ridge = average(ridge, pairs, labels)
        bank.head.weight.copy_(ridge.weight)
        bank.head.bias.copy_(ridge.bias)
    bank.drop(*(kind for kind in AT_WILL if kind not in shares))
    return ridge


def _threads_for(bank: FilterBank, sequences: Sequence[Data]) -> AbstractContextManager[None]:
    few, many = sorted((len(sequences), bank.embed_channels))
    return threads_for(float(few * few * many))


def _labels(sequences: Sequence[Data]) -> Tensor:
    return torch.cat([one.y for one in sequences])


def bank_sizes(length: float, in_channels: int, num_classes: int, count: int, budget: int = BUDGET) -> dict[str, Any]:
    """Chooses the sizes of a bank.

    Args:
        length: The median length of the training sequences.
        in_channels: Features per frame, P.
        num_classes: Classes, C.
        count: Training sequences, n.
        budget: As for :func:`fit_bank`.

    Returns:
        Keywords of :class:`lgrin.models.FilterBank`.

    Example:
        >>> bank_sizes(65, 4, 6, 30)["dilations"]
        (1, 2, 4, 8, 16)
    """
    dilations = tuple(2**power for power in range(int(math.log2(max(1.0, (length - 1) / REACH))) + 1))
    parts = sum(SEGMENTS)
    most = min(budget // num_classes, FEWER if count > MANY else MOST)
    levels = max(1, min(in_channels, READ, int(PART * most / (2 * parts))))
    wanted = in_channels + max(FEWEST_MIXES, in_channels // 2) if in_channels > 1 else 0  # one channel gains nothing
    contours = min(wanted, READ, int(PART * (most - 2 * parts * levels) / NUMBER))
    room = NUMBER * max(0, contours) if in_channels > 1 else MOST_PLACES
    places = min(MOST_PLACES, int(length), room // levels)
    spent = 2 * parts * levels + room
    pairs = min(in_channels * (in_channels - 1) // 2, READ, int(PART_OF_PAIRS * max(0, most - spent) / EACH))
    spent += EACH * pairs
    each_response = parts * (THRESHOLDS + 2) + RANKS
    free = (budget - num_classes - 2 * in_channels - spent * num_classes) / (each_response * num_classes + THRESHOLDS)
    responses = min(free, (most - spent) / each_response)
    if responses < len(dilations):  # those that there is room for, in equal steps
        kept = torch.linspace(0, len(dilations) - 1, max(1, int(responses))).round().long().tolist()
        dilations = tuple(dilations[index] for index in kept)
    each = max(1, int(responses / len(dilations)))
    heads = min(HEADS, each)
    mixes = max(1, each // heads)
    if in_channels == 1 and mixes > 2:  # the channel and its differences are all that there is; more filters instead
        dilations, mixes = dilations * (mixes // 2), 2
    read = {"levels": levels, "functionals": max(0, contours), "pairs": pairs, "places": places}
    return {"dilations": dilations, "heads": heads, "mixes": mixes, **read}


def quartiles(x: Tensor, weight: Tensor) -> list[float]:
    """Finds the weighted quartiles of numbers, ``[n]``; the second one is the median.

    Example:
        >>> quartiles(torch.tensor([4, 1, 2, 3]), torch.ones(4))
        [1.0, 2.0, 3.0]
    """
    parts = torch.tensor([[0.25], [0.5], [0.75]])
    found: list[float] = _quantiles(x.double().unsqueeze(1), weight, parts).flatten().tolist()
    return found


def _length(data: Data) -> int:
    """The frames of a sequence up to the last one that is present."""
    present = present_frames(data)
    return int((present * torch.arange(1, len(present) + 1)).amax())


def differ_in_scale(sequences: Sequence[Data], weight: Tensor) -> bool:
    """Says whether the upper quartile of the sequences' deviations is more than 7 times the lower one.

    Where a quarter of the sequences is flat, it is not, since these have no scale. The deviation of a sequence is the
    root mean square over channels, each beside its deviation over all sequences.

    Args:
        sequences: Training sequences with ``x [L, P]`` and perhaps ``mask [L]``; a channel may be NaN in a whole one.
        weight: Positive ``[n]``, of each sequence.

    Source:
        ``docs/decisions.md``, "The bank reads sequences in their own scale where scales differ".

    Example:
        >>> waves = [Data(x=0.1 ** (i % 4) * torch.randn(50, 1)) for i in range(20)]
        >>> differ_in_scale(waves, torch.ones(20)), differ_in_scale(waves[::4], torch.ones(5))
        (True, False)
    """
    frames = [one.x[present_frames(one)].double() for one in sequences]
    variance = torch.stack([x.var(0, correction=0) for x in frames])  # [n, P]
    known = weight.unsqueeze(1) * ~variance.isnan()
    total = (known * variance.nan_to_num()).sum(0) / known.sum(0)
    low, _, high = quartiles((variance / total.masked_fill(total == 0, 1)).nanmean(1).sqrt(), weight)
    return bool(0 < SCALES_APART * low < high)


def scale_of(bank: FilterBank, shares: Mapping[str, float]) -> Tensor:
    """Computes the standard deviation ``[F]`` of each summary in the ridge, from the variance of each kind.

    Example:
        >>> bank = FilterBank(2, 3)
        >>> scale_of(bank, {"level": 0.5, "rank": 0.5}).square().sum().round(decimals=4).item()
        1.0
    """
    each = {name: math.sqrt(shares.get(name, 0.0) / max(n, 1)) for name, n in bank.blocks.items()}
    return torch.cat([torch.full((n,), each[name]) for name, n in bank.blocks.items()])


def _best(ridges: Sequence[Ridge], weight: Tensor, few_mixes: bool) -> int:
    """The first, or the one that is best by more than chance on left-out sequences; its index.

    Functionals need not be better by more than chance where there are fewer mixes than channels.
    """
    best, most = 0, 0.0
    for index, (other, (shares, errors)) in enumerate(zip(ridges, READINGS, strict=True)):
        gain = _gain(ridges[0], other, weight)
        enough = few_mixes and "functional" in shares
        if gain.mean > most and (enough or gain.is_beyond(errors)):
            best, most = index, gain.mean
    return best


class _Gain(NamedTuple):
    """A mean over sequences, its standard error, and the number of sequences that would give it at equal weights."""

    mean: float
    error: float
    effective: float

    def is_beyond(self, errors: float) -> bool:
        """Whether it is as unlikely by chance as a normal number beyond so many standard errors."""
        if self.effective <= 1:
            return False
        return self.mean > self.error * float(stdtrit(self.effective - 1, ndtr(errors)))


def _gain(one: Ridge, other: Ridge, weight: Tensor) -> _Gain:
    """By how much the left-out sequences of another ridge have a lower cross-entropy."""
    share = weight / weight.sum()
    better = one.losses - other.losses
    mean, squares = float(better @ share), share.square()
    return _Gain(mean, math.sqrt(float(squares @ (better - mean).square())), 1 / float(squares.sum()))


def _without_mean(features: Tensor, groups: Tensor, weight: Tensor) -> Tensor:
    """Subtracts from each row the mean of its group, ``[n, F]``."""
    names, place = groups.unique(return_inverse=True)
    member = (place == torch.arange(len(names)).unsqueeze(1)) * weight  # [G, n]
    mean = member / member.sum(1, keepdim=True) @ features.double()
    return features - mean[place]


def summaries(bank: FilterBank, sequences: Sequence[Data]) -> Tensor:
    """Computes the summaries of sequences of any length, ``[n, F]``; those of like length go together.

    Example:
        >>> bank = FilterBank(2, 3)
        >>> summaries(bank, [Data(x=torch.rand(9, 2)), Data(x=torch.rand(4, 2))]).shape == (2, bank.embed_channels)
        True
    """
    features: list[Tensor] = [torch.empty(0)] * len(sequences)
    for indices in _batches(bank, sequences):
        x, present = _padded([sequences[index] for index in indices])
        for index, row in zip(indices, bank.embed(x, mask=present), strict=True):
            features[index] = row
    return torch.stack(features)


def _batches(bank: FilterBank, sequences: Sequence[Data]) -> list[list[int]]:
    """Indices of sequences in the order of length, as many together as there is room for."""
    batches: list[list[int]] = []
    for index in sorted(range(len(sequences)), key=lambda index: len(sequences[index].x)):
        room = ROOM // (len(sequences[index].x) * bank.threshold.size(1))
        if not batches or len(batches[-1]) >= room:
            batches.append([])
        batches[-1].append(index)
    return batches


def _padded(sequences: Sequence[Data]) -> tuple[Tensor, Tensor]:
    x = torch.nn.utils.rnn.pad_sequence([one.x for one in sequences], batch_first=True)
    masks = [present_frames(one) for one in sequences]
    return x, torch.nn.utils.rnn.pad_sequence(masks, batch_first=True)


def present_frames(data: Data) -> Tensor:
    """Says which frames of a sequence are present, bool ``[L]``.

    Example:
        >>> present_frames(Data(x=torch.ones(2, 1))).tolist()
        [True, True]
    """
    mask = data.get("mask")
    return torch.ones(len(data.x), dtype=torch.bool) if mask is None else mask


def left_out_together(groups: np.ndarray | None, labels: np.ndarray) -> Tensor | None:
    """Which sequences are left out together; ``None`` where a class would go with a group, or there is one group.

    Example:
        >>> left_out_together(np.array([1, 1, 2, 2]), np.array([0, 1, 0, 1]))
        tensor([1, 1, 2, 2])
        >>> left_out_together(np.array([1, 1, 2, 2]), np.array([0, 0, 1, 1])) is None
        True
    """
    if groups is None or any(len(np.unique(groups[labels == one])) < 2 for one in np.unique(labels)):
        return None
    return torch.from_numpy(np.ascontiguousarray(groups))


def _fit_scale(bank: FilterBank, sequences: Sequence[Data], weight: Tensor) -> None:
    """Measures the mean of each channel over all present frames, and by how much half of the sequences deviate.

    A few sequences or frames with extreme values raise the deviation over all frames by any factor, and hardly move the
    weighted median of the deviations of the sequences from the common mean. It is taken if it is smaller, down to a
    tenth: a channel that moves in less than half of the sequences has a median of 0.
    """
    frames = [one.x[present_frames(one)].double() for one in sequences]
    each = torch.cat([w.expand(len(x)) for w, x in zip(weight, frames, strict=True)])
    x, each = torch.cat(frames), each / each.sum()
    known = ~x.isnan()  # of a sequence that lacks a channel, this one does not count
    share = (each @ known.double()).masked_fill(known.all(0), 1)
    if not bool(share.all()):
        channel = int((share == 0).nonzero()[0])
        raise ValueError(f"channel {channel} is missing in every sequence that has a weight; leave it out")
    mean = each @ x.nan_to_num(nan=0.0) / share
    deviation = (each @ (x - mean).nan_to_num(nan=0.0).square() / share).sqrt()
    of_each = torch.stack([(x - mean).square().mean(0).sqrt() for x in frames])
    median = _quantiles(of_each.where(~of_each.isnan(), deviation), weight, torch.full((1, len(mean)), 0.5))[0]
    deviation = deviation.minimum(median.maximum(LEAST * deviation))
    bank.scale.mean.copy_(mean)
    bank.scale.std.copy_(deviation.masked_fill(deviation <= 1e-6 * mean.abs(), 1).masked_fill(deviation == 0, 1))


def _fit_thresholds(bank: FilterBank, sequences: Sequence[Data], weight: Tensor) -> None:
    """Takes each threshold at a random quantile of the responses, one in each of T equal ranges."""
    each = max(8, int(SAMPLES / float(weight.sum())))
    responses, counted = [], []
    for indices in _batches(bank, sequences):
        x, present = bank.in_time(*_padded([sequences[index] for index in indices]))
        found = bank.responses(bank.standardized(x, present), present)
        for index, values, mask in zip(indices, found, present, strict=True):
            frames = mask.nonzero().squeeze(1)
            chosen = frames[torch.linspace(0, len(frames) - 1, min(each, len(frames))).round().long()]
            responses.append(values[chosen])
            counted.append(weight[index].expand(len(chosen)))
    thresholds, width = bank.threshold.shape
    draw = torch.rand(thresholds, width, generator=torch.Generator().manual_seed(bank.seed))
    quantiles = (torch.arange(thresholds).unsqueeze(1) + draw) / thresholds
    bank.threshold.copy_(_quantiles(torch.cat(responses), torch.cat(counted), quantiles) + MARGIN)


def _quantiles(x: Tensor, weight: Tensor, quantiles: Tensor) -> Tensor:
    """Finds weighted quantiles of each column: of ``[N, R]`` those of ``[T, R]``."""
    columns, wanted = x.mT.contiguous(), quantiles.mT.to(weight).contiguous()
    if bool((weight == weight[0]).all()):  # NumPy sorts several times as fast as what returns the order, too
        values, share = torch.from_numpy(np.sort(columns.numpy())), weight.cumsum(0)
    else:
        values, order = columns.sort(dim=1)
        share = weight[order].cumsum(1)
    places = torch.searchsorted(share / share[..., -1:], wanted).clamp(max=len(x) - 1)
    return values.gather(1, places).mT
