import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DistributedSampler, RandomSampler

from lgrin.loader import BalancedSampler, BucketSampler, draw_batches


@given(
    lengths=st.lists(st.integers(1, 50), min_size=1, max_size=80), batch_size=st.integers(1, 9), pool=st.integers(1, 4)
)
def test_every_sequence_comes_once_in_batches_of_the_asked_size(lengths, batch_size, pool):
    order = torch.randperm(len(lengths)).tolist()
    batches = list(BucketSampler(order, lengths, batch_size, pool))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert len(batches) == len(BucketSampler(order, lengths, batch_size, pool))
    assert sum(len(batch) < batch_size for batch in batches) <= 1


@pytest.mark.parametrize("count", [270, 720, 5000])
def test_padding_of_uniform_lengths_stays_under_a_tenth(count):
    lengths = torch.randint(30, 121, (count,), generator=torch.Generator().manual_seed(count))
    sampler = RandomSampler(lengths, generator=torch.Generator().manual_seed(0))
    assert BucketSampler(sampler, lengths, 32).padding() < 0.1
    assert BucketSampler(sampler, lengths, 32, pool=1).padding() > 0.3  # what batches drawn at random have


def test_processes_share_and_epochs_differ():
    lengths = torch.randint(1, 30, (40,)).tolist()
    samplers = [DistributedSampler(range(40), 2, rank, shuffle=True, seed=3) for rank in (0, 1)]
    buckets = [BucketSampler(sampler, lengths, 4, pool=2) for sampler in samplers]
    first = [list(bucket) for bucket in buckets]
    assert sorted(index for batches in first for batch in batches for index in batch) == list(range(40))
    assert first == [list(bucket) for bucket in buckets]
    buckets[0].sampler.set_epoch(1)
    assert list(buckets[0]) != first[0]


def test_wrong_sizes_are_refused():
    with pytest.raises(ValueError, match="batch_size is 0"):
        BucketSampler(range(3), [1, 2, 3], 0)
    with pytest.raises(ValueError, match="pool is -1"):
        BucketSampler(range(3), [1, 2, 3], 1, pool=-1)


@pytest.mark.parametrize("lengths", [[1, 2], torch.tensor([1, 2])], ids=["list", "tensor"])
@pytest.mark.parametrize("drawn", [[0, 1, 2], [0, -1]])
def test_an_index_without_a_length_is_named(lengths, drawn):
    with pytest.raises(ValueError, match=rf"sampler gives index {drawn[-1]}, but lengths has 2 entries; give it"):
        list(BucketSampler(drawn, lengths, 2))


@pytest.mark.parametrize("length", [-1, 2.5, float("nan"), "2", None, True])
def test_lengths_are_whole_numbers(length):
    with pytest.raises(ValueError, match=r"lengths\[1\] is .*; it has to be a whole number, 0 or larger"):
        BucketSampler(range(2), [1, length], 2)


def test_what_has_no_length_is_named():
    with pytest.raises(TypeError, match="sampler is a generator, which has no length"):
        BucketSampler((index for index in range(3)), [1, 2, 3], 2)
    for lengths in (None, (length for length in (1, 2)), 3):
        with pytest.raises(TypeError, match=r"lengths is .*; it may be a list"):
            BucketSampler(range(2), lengths, 2)


def test_sequences_without_a_frame_need_no_padding():
    assert BucketSampler(range(4), [0, 0, 3, 3], 2).padding() == 0


@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=6),
    batch_size=st.integers(1, 12),
    processes=st.integers(1, 3),
    epoch=st.integers(0, 3),
)
def test_batches_of_all_processes_together_hold_classes_in_equal_shares(sizes, batch_size, processes, epoch):
    labels = [label for label, size in enumerate(sizes) for _ in range(size)]
    parts = []
    for rank in range(processes):
        drawn = draw_batches(
            labels, batch_size, 5, processes=processes, rank=rank, sampling="balanced", labels=torch.tensor(labels)
        )
        drawn.sampler.set_epoch(epoch)
        parts.append(list(drawn))
    for batches in zip(*parts, strict=True):
        together = [labels[index] for batch in batches for index in batch]
        counts = [together.count(label) for label in range(len(sizes))]
        assert max(counts) - min(counts) <= 2
    drawn = [index for batches in parts for batch in batches for index in batch]
    assert len(drawn) == -(-len(labels) // processes) * processes
    for label in range(len(sizes)):
        counts = [drawn.count(index) for index, own in enumerate(labels) if own == label]
        assert max(counts) - min(counts) <= 1, "no sequence comes again before all of its class have come"


def test_balanced_batches_repeat_by_seed_and_epoch_and_reach_every_sequence():
    labels = [0] * 30 + [1] * 3
    batches = draw_batches([4] * 33, 8, seed=0, sampling="balanced", labels=labels)
    epochs = []
    for epoch in range(20):
        batches.sampler.set_epoch(epoch)
        epochs.append(list(batches))
        assert list(batches) == epochs[-1]
    assert len({str(one) for one in epochs}) == 20
    assert {index for one in epochs for batch in one for index in batch} == set(range(33))
    other = draw_batches([4] * 33, 8, seed=1, sampling="balanced", labels=labels)
    assert list(other) != epochs[0]


def test_with_buckets_pools_are_balanced():
    labels, lengths = [0] * 40 + [1] * 4, list(range(1, 45))
    batches = list(draw_batches(lengths, 4, seed=0, buckets=True, sampling="balanced", labels=labels))
    assert sum(labels[index] for batch in batches for index in batch) == 22


def test_an_unknown_sampling_and_no_label_are_refused():
    with pytest.raises(ValueError, match="sampling is 'even'; it may be 'shuffled', 'balanced'"):
        draw_batches([1, 2], 1, seed=0, sampling="even")
    with pytest.raises(ValueError, match="labels is empty"):
        BalancedSampler([])


def test_balanced_batches_need_classes():
    with pytest.raises(ValueError, match="labels is None; sampling='balanced' needs the class of every sequence"):
        draw_batches([4, 4, 4], batch_size=2, seed=0, sampling="balanced")
