import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.training import AdjacencyHistory, SequenceClassifier, fit
from lgrin.visualization import plot_confusion, plot_learning_curves, plot_salient_frames, plot_sweep


def test_the_confusion_matrix_shows_parts_of_the_true_class_and_counts():
    ax = plot_confusion(torch.tensor([[3, 1], [0, 2]]), ["calm", "happy"])
    assert np.allclose(ax.images[0].get_array(), [[0.75, 0.25], [0, 1]])
    assert {(text.get_position(), text.get_text()) for text in ax.texts} == {
        ((0, 0), "3"),
        ((1, 0), "1"),
        ((1, 1), "2"),
    }
    assert [label.get_text() for label in ax.get_yticklabels()] == ["calm", "happy"]


def test_names_of_classes_are_drawn_as_they_stand_and_on_one_line():
    ax = plot_confusion(torch.eye(2), ["$\\frac$", "ca\x1b[2Jlm\n" + "x" * 5000])
    ax.figure.canvas.draw()  # would read mathematics between two dollars, and fail
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names[0] == "$\\frac$"
    assert names[1].startswith("ca\\x1b[2Jlm\\nxxx")
    assert len(names[1]) < 400
    assert [label.get_text() for label in ax.get_xticklabels()] == names


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run that was resumed, and what its graph was like."""
    torch.manual_seed(0)
    data = [Data(x=torch.randn(5, 3) + i % 2, y=torch.tensor([i % 2])) for i in range(12)]
    out, collected = tmp_path_factory.mktemp("run"), []
    for epochs in (2, 5):
        torch.manual_seed(0)
        classifier, history = SequenceClassifier(LGrIN(3, 5, 2, branch_channels=(4,)), 8), AdjacencyHistory()
        options = {"epochs": epochs, "batch_size": 4, "progress": False, "callbacks": [history], "resume": True}
        fit(classifier, data[:8], data[8:], out, **options)
        collected.append(history.history)
    return out, collected


def test_learning_curves_join_the_parts_of_a_resumed_run(run):
    ax = plot_learning_curves(run[0])
    training, validation, kept = ax.lines
    assert training.get_xdata().tolist() == validation.get_xdata().tolist() == [0, 1, 2, 3, 4]
    assert kept.get_ydata()[0] == min(validation.get_ydata())


def test_learning_curves_of_a_folder_without_a_run(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no logs/version_0/metrics\.csv"):
        plot_learning_curves(tmp_path)


def test_the_history_holds_the_start_and_every_epoch(run):
    first, second = run[1]
    assert [len(first), len(second)] == [3, 4]
    assert torch.equal(second[0], first[-1])
    assert not torch.equal(first[0], first[1])


def test_a_sweep_shows_intervals_and_marks_the_choice():
    ax = plot_sweep({0.0: (0.5, 0.4, 0.6), 1e-4: (0.7, 0.65, 0.8), 1.0: (0.6, 0.5, 0.7)}, chosen=1e-4)
    assert [label.get_text() for label in ax.get_xticklabels()] == ["0", "$10^{-4}$", "1"]
    segments = [bar.lines[2][0].get_segments()[0][:, 1].tolist() for bar in ax.containers]
    assert np.allclose(segments, [[0.4, 0.6], [0.65, 0.8], [0.5, 0.7]])
    assert [bar.lines[0].get_marker() for bar in ax.containers] == ["o", "D", "o"]


def test_small_values_are_written_as_powers_of_ten():
    values = (0, 1e-5, 1e-2, 5e-4, 0.1, 1.0, "none")
    ax = plot_sweep(dict.fromkeys(values, (0.5, 0.4, 0.6)))
    shown = [label.get_text() for label in ax.get_xticklabels()]
    assert shown == ["0", "$10^{-5}$", "$10^{-2}$", r"$5 \cdot 10^{-4}$", "0.1", "1", "none"]


def test_features_are_scaled_each_by_itself_and_frames_marked():
    x = torch.tensor([[0.0, 10.0, 1.0], [1.0, 30.0, 1.0], [float("nan"), 20.0, 1.0]])
    ax = plot_salient_frames(x, torch.tensor([1, -1]))
    shown = np.asarray(ax.images[0].get_array().filled(np.nan))
    assert np.array_equal(shown, [[0, 1, np.nan], [0, 1, 0.5], [0, 0, 0]], equal_nan=True)
    assert len(ax.patches) == 1
    assert ax.patches[0].get_x() == 0.5


def test_frames_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match="frame is 3, but x has 3 frames"):
        plot_salient_frames(torch.zeros(3, 2), 3)
    with pytest.raises(ValueError, match="pass the features"):
        plot_salient_frames(torch.zeros(2, 3, 2), 1)


@pytest.mark.parametrize(
    ("confusion", "classes", "message"),
    [
        (torch.ones(2, 3), None, r"confusion is \[2, 3\]; it has to be a square matrix \[C, C\]"),
        (torch.ones(3), None, r"confusion is \[3\]"),
        (torch.zeros(0, 0), None, r"confusion is \[0, 0\]"),
        (torch.tensor([[1.0, np.nan], [0, 1]]), None, r"confusion\[0, 1\] is nan"),
        (torch.tensor([[0.5, 0.5], [0, 1]]), None, "confusion holds numbers that are no counts"),
        (-torch.eye(2), None, "confusion holds numbers that are no counts"),
        (torch.eye(2), ["calm"], r"classes has 1 names, but confusion is \[2, 2\]; name each class"),
        (torch.eye(2), [], "classes has 0 names"),
    ],
)
def test_a_confusion_that_is_none_is_named(confusion, classes, message):
    with pytest.raises(ValueError, match=message):
        plot_confusion(confusion, classes)


def test_counts_may_be_an_array_and_names_numbers():
    ax = plot_confusion(np.array([[3, 1], [0, 2**25 + 1]]), [7, 9])
    assert [label.get_text() for label in ax.get_xticklabels()] == ["7", "9"]
    assert str(2**25 + 1) in {text.get_text() for text in ax.texts}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "holds no losses; wait until an epoch has ended"),
        (b"epoch,train_loss,val_loss\n", "holds no losses"),
        (b"epoch,train_loss,val_loss\n0,much,\n", r"metrics\.csv is no log of .* \(could not convert"),
        (b"train_loss\n1\n", r"metrics\.csv is no log of"),
        (b"\xff\xfe\x00", r"metrics\.csv is no log of"),
    ],
)
def test_logs_that_hold_no_curve_are_named(tmp_path, content, message):
    (tmp_path / "logs" / "version_0").mkdir(parents=True)
    (tmp_path / "logs" / "version_0" / "metrics.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        plot_learning_curves(tmp_path)


def test_an_epoch_without_a_loss_is_not_the_one_that_was_kept(tmp_path):
    for version, rows in (("9", "0,,nan\n1,,0.5\n"), ("10", "2,,0.4\n"), ("mine", "")):
        (tmp_path / "logs" / f"version_{version}").mkdir(parents=True)
        (tmp_path / "logs" / f"version_{version}" / "metrics.csv").write_text("epoch,train_loss,val_loss\n" + rows)
    ax = plot_learning_curves(tmp_path)
    assert [line.get_label() for line in ax.lines] == ["validation", "kept: epoch 2"]
    assert ax.lines[0].get_xdata().tolist() == [0, 1, 2]
    assert ax.lines[1].get_xdata().tolist() == [2]


@pytest.mark.parametrize("interval", [0.5, (0.5, 0.4), (0.5, 0.6, 0.4), (float("nan"),) * 3, "abc", None])
def test_what_is_no_interval_is_named(interval):
    with pytest.raises(ValueError, match=r"results\[0.1\] is .*; an interval is \(estimate, lower end, upper end\)"):
        plot_sweep({0.1: interval})


def test_a_sweep_of_nothing_is_named():
    with pytest.raises(ValueError, match="results is empty; give an interval for each value"):
        plot_sweep({})
    with pytest.raises(TypeError, match="results is a list; it may be a dictionary"):
        plot_sweep([(0.5, 0.4, 0.6)])


def test_frames_that_are_no_numbers_and_features_that_are_no_sequence_are_named():
    for frame in (1.5, None, "a", float("nan")):
        with pytest.raises(TypeError, match=f"frame is {frame!r}; it may be a whole number or several"):
            plot_salient_frames(np.zeros((3, 2)), frame)
    with pytest.raises(TypeError, match=r"x is a NoneType; it may be the features \[M, P\]"):
        plot_salient_frames(None, 0)
    for shape in ((3,), (0, 3), (3, 0)):
        with pytest.raises(ValueError, match="pass the features"):
            plot_salient_frames(np.zeros(shape), 0)


def test_what_is_not_finite_stays_white_and_scales_nothing():
    shown = plot_salient_frames([[0.0, 1.0], [float("inf"), 2.0], [2.0, 3.0]], [[0, 2]]).images[0].get_array()
    assert np.array_equal(shown.filled(np.nan), [[0, np.nan, 1], [0, 0.5, 1]], equal_nan=True)
