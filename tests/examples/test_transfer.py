"""Table VIII: from one corpus to another nothing moves but the head."""

import copy

import numpy as np
import pytest
import torch

from examples.reproduce import transfer
from examples.reproduce.paper import parse_arguments
from examples.reproduce.plan import Plan
from examples.reproduce.single import train
from examples.reproduce.transfer import fine_tune, recall, rows_of, shared_classes, table8, zero_shots
from lgrin import LGrIN
from lgrin.datasets import from_arrays

FIRST, SECOND = ["anger", "happiness"], ["angry", "calm", "joy"]


def arrays(names, count, length, channels=3, groups=True):
    random = np.random.default_rng(len(names))
    labels = [names[index % len(names)] for index in range(count)]
    means = {"anger": -2, "angry": -2, "happiness": 2, "joy": 2, "calm": 0}
    made = [random.normal(means[label], 1, (length, channels)) for label in labels]
    return from_arrays(made, labels, [index // 6 for index in range(count)] if groups else None)


def plan(dataset, out, *more):
    arguments = ["--dataset", "rml", "--target", "ravdess", "--epochs", "3", "--folds", "2"]
    arguments += ["--protocol", "group-kfold", "--no-progress", "--workers", "1", *more]
    return Plan(parse_arguments("table8", arguments), out, dataset)


@pytest.fixture
def source(tmp_path):
    return plan(arrays(FIRST, 24, 6), tmp_path)


@pytest.fixture
def opened(monkeypatch):
    """Lets a dataset in memory be opened as the target."""

    def put(dataset):
        monkeypatch.setattr(transfer, "open_dataset", lambda options, progress: dataset)

    return put


def test_nothing_but_the_head_changes(source, tmp_path):
    setting = source.setting()
    classifier, _ = train(LGrIN, setting.training, setting.sequences[:18], setting.sequences[18:])
    target = plan(arrays(SECOND, 36, 6), tmp_path).setting()
    before = copy.deepcopy(classifier.state_dict())
    classifier.train()  # whatever mode it comes in
    tuned = fine_tune(classifier, target.sequences[:18], target.sequences[18:24], target.training)
    after = tuned.state_dict()
    for state in (classifier.state_dict(), after):
        kept = [name for name in before if state is not after or not name.startswith("model.head.")]
        assert len(kept) >= len(before) - 2
        assert all(torch.equal(state[name], before[name]) for name in kept)
    assert set(after) == set(before)
    assert after["model.head.1.weight"].shape == (3, before["model.head.1.weight"].size(1))
    again = fine_tune(classifier, target.sequences[:18], target.sequences[18:24], target.training, seed=1)
    assert not torch.equal(after["model.head.1.weight"], again.state_dict()["model.head.1.weight"])


def test_a_head_is_kept_as_it_was_when_the_validation_loss_was_lowest(source):
    setting = source.setting()
    classifier, _ = train(LGrIN, setting.training, setting.sequences[:18], setting.sequences[18:])
    training = setting.training._replace(epochs=1)
    short, long = (
        fine_tune(classifier, setting.sequences[:18], wrong(setting.sequences[18:]), training._replace(epochs=epochs))
        for epochs in (1, 30)
    )
    for name, value in short.state_dict().items():
        assert torch.equal(value, long.state_dict()[name])  # every step makes wrong labels less likely


def wrong(sequences):
    """The same with the labels of the other class."""
    return [data.clone().update({"y": 1 - data.y}) for data in sequences]


def test_classes_are_shared_by_any_of_their_names():
    assert shared_classes(FIRST, SECOND) == {0: 0, 2: 1}
    assert shared_classes(["Sad", "neutral"], ["fearful", "sadness", "calm"]) == {1: 0}
    assert shared_classes(["a"], ["b"]) == {}


def test_without_training_a_source_class_that_the_target_lacks_is_never_the_answer(tmp_path):
    class Sure(torch.nn.Module):
        def forward(self, batch):
            return torch.tensor([[5.0, 1.0, 3.0]]).expand(batch.num_graphs, -1)  # sadness, anger, happiness

    setting = plan(arrays(SECOND, 36, 6), tmp_path).setting()
    shared = shared_classes(["sadness", "anger", "happiness"], SECOND)
    (run,) = zero_shots(Sure(), setting, shared, seed=0)
    assert set(run["predicted"]) == {SECOND.index("joy")}
    assert set(run["target"]) == {SECOND.index("angry"), SECOND.index("joy")}
    assert zero_shots(Sure(), setting, {}, seed=0) == []


def test_table_8_has_a_row_a_class_and_the_papers_figures(source, opened):
    opened(arrays(SECOND, 36, 9))
    rows = table8(source)
    column = "class of RAVDESS, * not in RML"
    assert [row[column] for row in rows] == ["angry", "calm*", "joy", "all: accuracy", "all: UAR"]
    assert [row["paper, new head (%)"] for row in rows] == ["-", 73.4, "-", 75.42, "-"]
    unchanged = [row["no training, shared classes"] for row in rows]
    assert unchanged[1] == "-"
    assert float(unchanged[0]) > 0.8  # the classes look alike in both corpora
    assert float(unchanged[2]) > 0.8


def test_corpora_without_a_class_in_common_have_no_answer_without_training(source):
    setting = source.setting()
    run = {"seed": 0, "target": [0, 1, 1], "predicted": [0, 1, 0], "group": [0, 0, 1]}
    rows = rows_of(("a", "b"), setting, {}, [run], [])
    assert [row["no training, shared classes"] for row in rows] == ["-"] * 4
    assert [row["new head"] for row in rows][:2] == ["1.000", "0.500"]
    assert recall([run], 7) == "-"


def test_what_cannot_be_gone_to_is_said_with_the_way_out(source, opened, tmp_path):
    source.options.target = None
    with pytest.raises(ValueError, match="--target NAME --target-root DIR"):
        table8(source)
    other = plan(source.dataset, tmp_path)
    opened(arrays(SECOND, 36, 6, channels=5))
    with pytest.raises(ValueError, match=r"ravdess has 5 features a frame, but .* rml takes 3"):
        table8(other)
