"""Sequences that are read from a file one by one."""

import pickle
import sqlite3

import numpy as np
import pytest
import torch
from torch_geometric.data import Data, OnDiskDataset
from torch_geometric.loader import DataLoader

from lgrin import LGrIN
from lgrin.datasets import OnDiskSequences
from lgrin.sklearn import FilterBankClassifier, LGrINClassifier
from lgrin.training import SequenceClassifier, evaluate, fit
from lgrin.transforms import Resample


def draw(count=40, gaps=False):
    generator = torch.Generator().manual_seed(0)
    for index in range(count):
        x = torch.randn(20 + index % 7, 3, generator=generator)
        x[:, 0] += (index % 2) * torch.linspace(-2, 2, len(x))
        data = Data(x=x, y=torch.tensor([index % 2]), group=torch.tensor([index % 5]), name=f"clip {index}")
        if gaps and index == 3:
            data.mask = torch.arange(len(x)) != 4
            data.x[4] = torch.nan
        yield data


@pytest.fixture
def corpus(tmp_path):
    return OnDiskSequences.write(tmp_path / "corpus", draw(), ["calm", "glad"], list("abcde"))


def test_sequences_come_back_as_they_were_written(tmp_path):
    corpus = OnDiskSequences.write(tmp_path, draw(gaps=True), ["calm", "glad"], list("abcde"))
    assert (corpus.num_classes, corpus.num_frames, len(corpus)) == (2, 26, 40)
    for found, given in zip(corpus, draw(gaps=True), strict=True):
        torch.testing.assert_close(found.x, given.x, rtol=0, atol=0, equal_nan=True)
        assert (found.y, found.group, found.name) == (given.y, given.group, given.name)
        assert found.mask.all() == (found.name != "clip 3")
        assert found.frame.tolist() == list(range(len(given.x)))
    again = pickle.loads(pickle.dumps(OnDiskSequences(tmp_path)))
    assert torch.equal(again[39].x, corpus[39].x)


def test_parts_hold_what_they_were_cut_from(corpus):
    part = corpus[10:][[3, 1]]
    assert [data.name for data in part] == ["clip 13", "clip 11"]
    assert [batch.name for batch in DataLoader(part, 2)] == [["clip 13", "clip 11"]]


def test_sequences_are_read_only_when_they_are_asked_for(corpus, monkeypatch):
    read = []
    original = OnDiskSequences.get
    monkeypatch.setattr(OnDiskSequences, "get", lambda self, index: read.append(index) or original(self, index))
    assert len(corpus[5:]) == 35
    assert corpus[5:][1].name == "clip 6"
    assert read == [6]


def test_nothing_in_the_file_is_unpickled(corpus, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    corpus.close()
    with sqlite3.connect(tmp_path / "corpus" / "sequences.db") as database:
        for column in ("x", "y", "mask", '"COL_group"', "name"):
            name = column if column.startswith('"') else f"COL_{column}"
            database.execute(f"UPDATE sequences SET {name} = ?", (pickle.dumps(Trap()),))
    (tmp_path / "corpus" / "pre_transform.pt").write_bytes(pickle.dumps(Trap()))
    with pytest.raises((RuntimeError, ValueError)):
        OnDiskSequences(tmp_path / "corpus")[0]
    assert not (tmp_path / "sprung").exists()


def test_a_file_that_was_not_finished_or_is_damaged_is_refused(corpus, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no description of sequences"):
        OnDiskSequences(tmp_path / "nowhere")
    corpus.close()
    with sqlite3.connect(tmp_path / "corpus" / "sequences.db") as database:
        database.execute("DELETE FROM sequences WHERE id > 30")
    with pytest.raises(ValueError, match=r"sequences\.db holds 31 of 40 sequences; write it again"):
        OnDiskSequences(tmp_path / "corpus")

    def broken():
        yield from draw(3)
        yield Data(x=torch.zeros(4, 2), y=torch.tensor([0]))

    with pytest.raises(ValueError, match=r"sequences\[3\] has x \[4, 2\] of .*, but the first has 3 features"):
        OnDiskSequences.write(tmp_path / "other", broken(), ["calm", "glad"])
    assert not list((tmp_path / "other").glob("*"))


def test_the_estimators_learn_the_same_from_a_file_as_from_memory(corpus):
    X, y, groups = [data.x.T.numpy() for data in draw()], ["calm", "glad"] * 20, list(range(5)) * 8
    for estimator in (LGrINClassifier(epochs=2, random_state=0), FilterBankClassifier(random_state=0)):
        expected = estimator.fit(X, y, groups).predict_proba(X)
        np.testing.assert_array_equal(estimator.fit(corpus).predict_proba(corpus), expected)


def test_sequences_are_thinned_while_they_are_read(corpus, tmp_path):
    thinned = OnDiskSequences(tmp_path / "corpus", Resample(8, "mean"))
    classifier = LGrINClassifier(epochs=1, random_state=0).fit(thinned)
    assert classifier.network_.num_nodes <= 8
    assert classifier.predict(thinned[:3]).shape == (3,)


def classifier_for(corpus):
    torch.manual_seed(0)
    return SequenceClassifier(LGrIN(3, corpus.num_frames, 2, branch_channels=(4,)), num_sequences=len(corpus))


def test_a_run_takes_its_own_part_of_the_file(corpus, tmp_path):
    learn, held_out = corpus[20:], corpus[:20]
    weights = []
    for name, parts in (("file", (learn, held_out)), ("memory", (list(learn), list(held_out)))):
        classifier = classifier_for(corpus)
        fit(classifier, *parts, tmp_path / name, epochs=2, batch_size=5, progress=False)
        weights.append([weight.detach().clone() for weight in classifier.parameters()])
        assert 0 <= evaluate(classifier, held_out).accuracy <= 1
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))


class Plain(OnDiskDataset):
    """A data set as PyG's manual has it."""

    processed_file_names = "plain.db"

    def __init__(self, root):
        schema = {"x": {"dtype": torch.float, "size": (-1, 3)}, "y": {"dtype": torch.long, "size": (1,)}}
        super().__init__(str(root), schema=schema, log=False)

    def process(self):
        self.extend(list(draw()))

    def serialize(self, data):
        return {"x": data.x, "y": data.y}

    def deserialize(self, data):
        return Data(**data, frame=torch.arange(len(data["x"])))


def test_a_run_takes_its_own_part_of_any_on_disk_dataset(corpus, tmp_path):
    plain = Plain(tmp_path / "plain")
    weights = []
    for name, parts in (("file", plain[20:]), ("memory", list(plain)[20:])):
        classifier = classifier_for(corpus)
        fit(classifier, parts, [], tmp_path / name, epochs=1, batch_size=5, progress=False)
        weights.append([weight.detach().clone() for weight in classifier.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*weights, strict=True))
