"""Batches of sequences that are about equally long, or whose classes are about equally frequent."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch.utils.data import BatchSampler, DistributedSampler, Sampler

from lgrin.labels import entries
from lgrin.options import check_option, check_whole


class BucketSampler(Sampler[list[int]]):
    r"""Puts sequences of similar length into one batch, so that little of it is padding.

    .. math:: \mathrm{padding} = 1 - \frac{\sum_b \mathrm{length}_b}{B \max_b \mathrm{length}_b}

    It draws sequences in the order of another sampler, sorts each pool of them by length, cuts the pool into batches
    and gives the batches in the order in which their first sequences were drawn. So it is as random as the other
    sampler, repeats with it, and shares sequences among processes as it does.

    Args:
        sampler: Indices of sequences, for example a ``RandomSampler`` or a ``DistributedSampler``.
        lengths: The length of every sequence of the dataset.
        batch_size: Sequences in a batch.
        pool: Batches in a pool. More of them leave less padding and mix lengths less.

    Raises:
        TypeError: If the sampler has no length, or lengths are no list or array.
        ValueError: If a size is no positive whole number, a length is none either, or, while batches are drawn, the
            sampler gives an index that has no length.

    Source:
        Bucketing by length is common practice; the order of batches is this library's.

    Example:
        >>> lengths = [5, 1, 4, 2]
        >>> list(BucketSampler(range(4), lengths, batch_size=2))
        [[2, 0], [1, 3]]
        >>> BucketSampler(range(4), lengths, batch_size=2).padding()
        0.175
    """

    def __init__(
        self,
        sampler: Sampler[int] | Sequence[int],
        lengths: Sequence[int] | torch.Tensor,
        batch_size: int,
        pool: int = 16,
    ) -> None:
        if not hasattr(sampler, "__len__"):
            raise TypeError(f"sampler is a {type(sampler).__name__}, which has no length; pass a sampler or a list")
        self.sampler = sampler
        self.lengths = [
            check_whole(f"lengths[{index}]", length, minimum=0)
            for index, length in enumerate(entries("lengths", lengths))
        ]
        self.batch_size, self.pool = check_whole("batch_size", batch_size), check_whole("pool", pool)

    def __iter__(self) -> Iterator[list[int]]:
        drawn = iter(self.sampler)
        while pool := list(islice(drawn, self.batch_size * self.pool)):
            for index in pool:
                if not 0 <= index < len(self.lengths):
                    raise ValueError(
                        f"sampler gives index {index}, but lengths has {len(self.lengths)} entries; give it the length "
                        f"of every sequence of the dataset"
                    )
            place = {index: position for position, index in enumerate(pool)}
            pool.sort(key=lambda index: self.lengths[index])
            batches = [pool[start : start + self.batch_size] for start in range(0, len(pool), self.batch_size)]
            yield from sorted(batches, key=lambda batch: min(place[index] for index in batch))

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.batch_size)

    def padding(self) -> float:
        """Measures which share of the batches' frames is padding, as the mean over the batches of one pass."""
        shares = []
        for batch in self:
            lengths = [self.lengths[index] for index in batch]
            shares.append(1 - sum(lengths) / (len(lengths) * max(lengths)) if any(lengths) else 0.0)
        return sum(shares) / max(1, len(shares))


class BalancedSampler(DistributedSampler[int]):
    r"""Draws sequences so that any consecutive ones hold the classes in equal shares, up to one or two sequences.

    An epoch has as many sequences as there are. It goes through rounds of one sequence of each class, in random order:
    those of rare classes are repeated, each as often as any other of its class but for one time, and of frequent
    classes others come in each epoch.

    Args:
        labels: Int64 ``[n]``, the class of each sequence.
        processes: Processes that share the sequences.
        rank: The number of this process.
        seed: Seeds the draws together with the epoch, see :meth:`set_epoch`.

    Raises:
        ValueError: If there is no label.

    Source:
        Oversampling of rare classes is common practice; see Buda, Maki and Mazurowski, "A systematic study of the class
        imbalance problem in convolutional neural networks", Neural Networks 106, 2018.

    Example:
        >>> labels = [0, 0, 0, 0, 0, 1]
        >>> [labels[index] for index in BalancedSampler(labels)].count(1)
        3
    """

    def __init__(self, labels: Sequence[int] | torch.Tensor, processes: int = 1, rank: int = 0, seed: int = 0) -> None:
        if len(labels) == 0:
            raise ValueError("labels is empty; give the class of each sequence")
        order: Any = range(len(labels))
        super().__init__(order, processes, rank, shuffle=True, seed=seed)
        self.labels = torch.as_tensor(labels)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        classes = self.labels.unique()
        rounds = math.ceil(self.total_size / len(classes))
        drawn = torch.stack([self._draw(one, rounds, generator) for one in classes], 1)
        order = torch.rand(drawn.shape, generator=generator).argsort(1)
        mixed = drawn.gather(1, order).flatten()[: self.total_size]
        return iter(mixed[self.rank :: self.num_replicas].tolist())

    def _draw(self, label: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        """So many sequences of a class, all of them before any comes again."""
        members = (self.labels == label).nonzero().squeeze(1)
        passes = math.ceil(count / len(members))
        order = torch.cat([torch.randperm(len(members), generator=generator) for _ in range(passes)])
        return members[order[:count]]


def _shuffled(labels: Sequence[int], processes: int, rank: int, seed: int) -> DistributedSampler[int]:
    order: Any = range(len(labels))
    return DistributedSampler(order, processes, rank, shuffle=True, seed=seed)


SHUFFLED = "shuffled"
SAMPLINGS: Mapping[str, Callable[[Sequence[int], int, int, int], DistributedSampler[int]]] = {
    SHUFFLED: _shuffled,  # every sequence once an epoch
    "balanced": BalancedSampler,
}


def draw_batches(
    lengths: Sequence[int],
    batch_size: int,
    seed: int,
    *,
    buckets: bool = False,
    processes: int = 1,
    rank: int = 0,
    sampling: str = SHUFFLED,
    labels: Sequence[int] | None = None,
) -> Any:
    """Draws batches by seed and epoch, and for each process its own part of them.

    Args:
        lengths: The length of every sequence.
        batch_size: Sequences in a batch of one process.
        seed: The seed.
        buckets: Whether sequences of similar length share a batch, see :class:`BucketSampler`; then pools of batches
            are balanced, not batches.
        processes: Processes that share the sequences.
        rank: The number of this process.
        sampling: ``"shuffled"``, every sequence once an epoch, or ``"balanced"``, see :class:`BalancedSampler`.
        labels: The class of every sequence, for ``"balanced"``.

    Returns:
        A sampler of batches; ``.sampler.set_epoch(epoch)`` draws them anew.

    Raises:
        ValueError: If there is no such sampling, or it needs classes and there are none.

    Example:
        >>> batches = draw_batches([4, 4, 4], batch_size=2, seed=0)
        >>> sorted(index for batch in batches for index in batch), len(batches)
        ([0, 1, 2], 2)
    """
    check_option("sampling", sampling, SAMPLINGS)
    if labels is None and sampling != SHUFFLED:
        raise ValueError(f"labels is None; sampling={sampling!r} needs the class of every sequence")
    sampler = SAMPLINGS[sampling](lengths if labels is None else labels, processes, rank, seed)
    if buckets:
        return BucketSampler(sampler, lengths, batch_size)
    return BatchSampler(sampler, batch_size, drop_last=False)
