"""Training reads a sequence as seldom as it can."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset
from torch_geometric.data import Data, HeteroData

from lgrin import LGrIN, MultimodalLGrIN
from lgrin.datasets import UEA
from lgrin.sklearn import LGrINClassifier
from lgrin.training import (
    Candidate,
    Fold,
    SequenceClassifier,
    Training,
    cross_validate,
    evaluate,
    fit,
    hold_out,
    recommended,
    train_and_test,
)
from lgrin.training.reading import Reading, digest
from lgrin.transforms import Resample

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = {"branch_channels": (4,), "num_layers": 1}


class Counted(Dataset):
    """Sequences that are drawn at every access, as from a disk, and count how often each is."""

    def __init__(self, count, seed=0):
        self.seed, self.count, self.reads = seed, count, Counter()

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if not 0 <= index < self.count:
            raise IndexError(index)
        self.reads[index] += 1
        generator = torch.Generator().manual_seed(100 * self.seed + index)
        return Data(x=torch.randn(6, 2, generator=generator) + index % 2, y=torch.tensor([index % 2]))


def classifier():
    return SequenceClassifier(LGrIN(2, 6, 2, **SMALL), num_sequences=20)


@pytest.mark.parametrize("buckets", [False, True])
def test_a_run_reads_each_sequence_once_and_once_more_an_epoch(tmp_path, buckets):
    train, validation = Counted(20), Counted(8, seed=1)
    fit(classifier(), train, validation, tmp_path, epochs=3, buckets=buckets, progress=False)
    assert set(train.reads.values()) == set(validation.reads.values()) == {1 + 3}


def test_a_recipe_and_a_test_read_each_sequence_once(tmp_path):
    train, test = Counted(20), Counted(8, seed=1)
    chosen = recommended(train)
    assert set(train.reads.values()) == {1}
    train_and_test(LGrIN(2, 6, 2, **SMALL, **chosen), train, test, tmp_path, epochs=1, progress=False)
    assert set(train.reads.values()) == {1 + 1 + 1}
    assert set(test.reads.values()) == {1}


def test_a_split_reads_each_sequence_once():
    sequences = Counted(20)
    hold_out(sequences)
    assert set(sequences.reads.values()) == {1}


def test_what_is_read_once_is_checked_digested_and_measured():
    sequences = list(Counted(20))
    one = classifier()
    reading = Reading(sequences, one)
    one.fit_normalization(reading)
    frames = torch.cat([data.x for data in sequences]).double()
    assert torch.allclose(one.normalize.mean.double(), frames.mean(0), atol=1e-6)
    assert torch.allclose(one.normalize.std.double(), frames.std(0, correction=0), atol=1e-6)
    assert (reading.digest, reading.lengths) == (digest(sequences), [6] * 20)
    sequences[7].x = torch.full((6, 2), torch.nan)
    with pytest.raises(ValueError, match=r"dataset\[7\]: x\[0, 0\] is nan"):
        Reading(sequences, one).to_the_end()
    with pytest.raises(ValueError, match=r"dataset\[7\]: x\[0, 0\] is nan"):
        evaluate(one, sequences)


def test_an_encoder_needs_no_statistics_but_its_frames_are_read():
    one = SequenceClassifier(LGrIN(2, 6, 2, **SMALL, encoder=torch.nn.Linear(2, 2)), num_sequences=20)
    reading = Reading(list(Counted(20)), one)
    one.fit_normalization(reading)
    assert len(reading.lengths) == 20


@pytest.mark.parametrize("passes", [0, 2])
def test_a_classifier_may_measure_in_its_own_way(tmp_path, passes):
    class Own(SequenceClassifier):
        def fit_normalization(self, sequences):
            for _ in range(passes):
                list(sequences)

    data = list(Counted(20))
    best = fit(Own(LGrIN(2, 6, 2, **SMALL), num_sequences=20), data, [], tmp_path, epochs=1, progress=False)
    checkpoint = torch.load(best, weights_only=True)
    assert checkpoint["callbacks"]["SameRun"]["train"] == digest(data)
    assert checkpoint["global_step"] == 1


def test_all_modalities_are_measured_in_one_pass():
    model = MultimodalLGrIN({"a": {"in_channels": 2, "num_nodes": 6}, "b": {"in_channels": 1, "num_nodes": 3}}, 2)
    generator = torch.Generator().manual_seed(0)
    parts = {"a": torch.randn(9, 6, 2, generator=generator), "b": 3 + torch.randn(9, 3, 1, generator=generator)}
    data = [
        HeteroData({"a": {"x": parts["a"][i]}, "b": {"x": parts["b"][i]}, "y": torch.tensor([i % 2])}) for i in range(9)
    ]
    one = SequenceClassifier(model, num_sequences=9)
    one.fit_normalization(iter(data))
    for name, x in parts.items():
        assert torch.allclose(one.normalize[name].mean, x.flatten(0, 1).mean(0), atol=1e-6)


@pytest.fixture
def counts(monkeypatch):
    """How often sequences were resampled, and read from sets of the archive."""
    found, forward, get = Counter(), Resample.forward, UEA.get

    def resample(self, data):
        found["resampled"] += 1
        return forward(self, data)

    def read(self, index):
        found[f"read {len(self)}"] += 1
        return get(self, index)

    monkeypatch.setattr(Resample, "forward", resample)
    monkeypatch.setattr(UEA, "get", read)
    return found


def test_the_example_resamples_each_sequence_once_and_reads_it_twice(tmp_path, monkeypatch, counts):
    monkeypatch.syspath_prepend(EXAMPLES)
    import train

    options = ["--root", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--epochs", "2", "--no-progress"]
    UEA(str(tmp_path / "data"), "JapaneseVowels")
    counts.clear()
    train.main(options)
    assert counts["resampled"] == 270 + 370
    assert counts["read 270"] <= 2 * 270 + 1
    assert counts["read 370"] == 370


def test_the_estimator_resamples_each_sequence_once(counts):
    X, y = np.random.default_rng(0).normal(size=(14, 2, 9)), np.arange(14) % 2
    for patience in (None, 2):
        counts.clear()
        fitted = LGrINClassifier(branch_channels=(4,), epochs=3, patience=patience, bank=False, random_state=0)
        fitted.fit(X, y)
        assert counts["resampled"] == 14
    fitted.predict(X[:5])
    assert counts["resampled"] == 14  # predictions pick their frames, and leave the others alone


def test_folds_resample_each_sequence_once_for_a_run(tmp_path, counts):
    data = [Data(x=torch.randn(5 + i % 3, 2) + i % 2, y=torch.tensor([i % 2])) for i in range(20)]
    training = Training(None, ["a", "b"], epochs=2, refit=True)
    fold = Fold("one", list(range(16)), [], list(range(16, 20)))
    cross_validate(Candidate("L-GrIN", LGrIN), data, [fold], training, tmp_path, progress=False)
    assert counts["resampled"] == 20
