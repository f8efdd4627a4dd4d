"""Figures 4, 6 and 7: what stands in their panels is what it is said to be."""

import functools
from types import SimpleNamespace

import corpora
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from mocap_files import write_bvh
from torch_geometric.data import Data

from examples.reproduce.figure4 import PANELS, STARTS, WithoutData, fig4, graph_of, learned_graphs, mean_distance
from examples.reproduce.figure6 import CHOICE, VALUES, fig6
from examples.reproduce.figure7 import best_recognised, draw_all, fig7, salient_moment
from examples.reproduce.paper import parse_arguments
from examples.reproduce.plan import Plan
from examples.reproduce.salient import Moment, draw_skeleton, video_frame
from examples.reproduce.single import train_on_first_fold
from lgrin import LGrIN
from lgrin.datasets import AudioFolder, MocapFolder, VideoFolder, from_arrays
from lgrin.features import FaceLandmarks, Mocap, OpenFace, Speech
from lgrin.transforms import Resample
from lgrin.visualization import save_figure


@pytest.fixture(scope="module")
def arrays():
    random = np.random.default_rng(0)
    labels = [index % 2 for index in range(24)]
    return from_arrays([random.normal(label, 1, (8, 3)) for label in labels], labels)


def plan(experiment, dataset, out, *more):
    arguments = ["--epochs", "1", "--folds", "2", "--workers", "1", "--no-progress", *more]
    return Plan(parse_arguments(experiment, arguments), out, dataset)


def test_the_graphs_of_figure_4_differ_in_what_they_say(arrays, tmp_path):
    graphs = learned_graphs(plan("fig4", arrays, tmp_path, "--epochs", "3").setting(), "normal")
    assert list(graphs) == list(PANELS)
    matrices = [adjacency for adjacency, _ in graphs.values()]
    for index, one in enumerate(matrices):
        assert one.shape == (8, 8)
        assert not any(torch.equal(one, other) for other in matrices[:index])
    shuffled, in_time = matrices[2], matrices[3]
    assert torch.equal(shuffled.flatten().sort()[0], in_time.flatten().sort()[0])
    assert torch.equal(shuffled.diag().sort()[0], in_time.diag().sort()[0])
    assert graphs[PANELS[-1]][1] is None


def test_eq_8_alone_pulls_edges_together_and_reads_no_data(arrays, tmp_path):
    build = functools.partial(LGrIN, adjacency={"init": "normal", "normalize": "row"})
    setting = plan("fig4", arrays, tmp_path, "--epochs", "2").setting()
    moved = setting._replace(sequences=[data.clone().update({"x": data.x.flip(0) ** 3}) for data in setting.sequences])
    learned = [graph_of(train_on_first_fold(build, one, kind=WithoutData, keep="last")[0]) for one in (setting, moved)]
    assert torch.equal(*learned)
    torch.manual_seed(0)
    start = build(3, 8, 2).adjacency().detach()
    assert mean_distance(learned[0]) < mean_distance(start)


def test_figure_4_has_a_row_and_a_panel_for_each_graph(arrays, tmp_path):
    rows = fig4(plan("fig4", arrays, tmp_path))
    assert [(row["start"], row["graph"]) for row in rows] == [(start, panel) for start in STARTS for panel in PANELS]
    assert all(row["of a random graph"] == "2.6" for row in rows)  # (M^2 - 1) / 3M
    assert (tmp_path / "figure4.png").stat().st_size > 10_000


def test_the_mean_distance_counts_edges_by_their_weight():
    assert mean_distance(torch.eye(5)) == 0
    assert mean_distance(torch.tensor([[0.0, 0, 1], [0, 0, 3], [0, 0, 0]])) == pytest.approx((2 + 3) / 4)
    assert mean_distance(torch.ones(8, 8)) == pytest.approx(63 / 24)


def test_figure_6_trains_the_papers_choice_once_for_all_sweeps(arrays, tmp_path):
    rows = fig6(plan("fig6", arrays, tmp_path))
    assert [row["weight"] for row in rows] == ["lambda1", "lambda1", "lambda2", "lambda2", "lambda3", "lambda3"]
    chosen = [row for row in rows if row["paper's choice"]]
    assert [row["value"] for row in chosen] == ["0.1", "0.1", "0.0001"]
    assert len({row["accuracy"] for row in chosen}) == 1
    assert len(list((tmp_path / "runs").iterdir())) == 4
    assert (tmp_path / "figure6.png").stat().st_size > 10_000
    assert all(CHOICE[name] in values for name, values in VALUES.items())


def test_the_first_frame_wins_nothing_by_being_the_first():
    torch.manual_seed(0)
    model = LGrIN(4, 40, 2).eval()
    x = torch.randn(40, 4)
    x[25] = 10 * x[25].sign()
    assert model.salient_frames(x).tolist() == [25]


def test_a_recording_that_is_recognised_goes_before_one_that_is_not():
    probabilities = torch.tensor([[0.45, 0.55, 0.0], [0.4, 0.3, 0.3], [0.1, 0.8, 0.1]])
    sequences = [Data(y=torch.tensor([label])) for label in (0, 0, 1)]
    assert [best_recognised(probabilities, sequences, label) for label in range(3)] == [1, 2, None]


def test_a_salient_frame_is_one_of_the_recording_not_of_what_it_was_stretched_to():
    classifier = SimpleNamespace(model=LGrIN(2, 12, 2).eval(), normalize=lambda x: x)
    recording = Data(x=torch.tensor([[0.0, 0], [0, 0], [0, 0], [9, 9]]))
    stretched = Data(x=recording.x.repeat_interleave(3, dim=0))
    assert salient_moment(classifier, stretched, recording, None).frame == 3


def test_figure_7_of_arrays_shows_their_features(arrays, tmp_path):
    rows = fig7(plan("fig7", arrays, tmp_path))
    assert [row["class"] for row in rows] == ["0", "1"]
    assert all(0 <= row["frame"] < 8 and row["seconds"] == "-" for row in rows)
    assert (tmp_path / "figure7.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("kind", "features", "suffix"),
    [
        (AudioFolder, Speech(), ".wav"),
        (VideoFolder, FaceLandmarks("dlib"), ".mp4"),
        (VideoFolder, FaceLandmarks("dlib", normalize=True), ".mp4"),
        (VideoFolder, OpenFace(min_confidence=0.5), ".csv"),  # one frame has no face
        (MocapFolder, Mocap(skip=1, frame_rate=60), ".bvh"),
    ],
)
def test_every_kind_of_recording_has_its_picture(kind, features, suffix, tmp_path):
    for label in ("calm", "glad"):
        corpora.write(tmp_path / label / f"clip{suffix}", length=6)
    dataset = kind(tmp_path, features=features, workers=1, progress=False)
    classifier = SimpleNamespace(model=LGrIN(dataset.num_features, 9, 2).eval(), normalize=lambda x: x)
    moments = {
        data.name: salient_moment(classifier, Resample(9)(data.clone()), data, dataset)
        for data in map(dataset.get, (0, 1))
    }
    assert [moment.path for moment in moments.values()] == [tmp_path / name for name in moments]
    save_figure(draw_all(moments, features), tmp_path / "figure7.png")
    assert (tmp_path / "figure7.png").stat().st_size > 10_000


def test_the_frame_that_is_shown_is_the_one_that_was_asked_for(tmp_path):
    path = corpora.write(tmp_path / "clip.mp4")
    assert [video_frame(path, frame).mean() > 50 for frame in range(3)] == list(corpora.FACES)


def test_a_motion_is_shown_behind_the_frames_that_were_skipped(tmp_path):
    channels = np.zeros((3, 3 + 3 * 2))
    channels[:, 1] = [0, 10, 20]  # height of the root
    path = write_bvh(tmp_path / "walk.bvh", channels)
    figure = Figure()
    moment = Moment(torch.zeros(2, 9), 1, path)
    ax = draw_skeleton(moment, Mocap(skip=1), figure, figure.add_gridspec(1, 1)[0])
    assert min(line.get_ydata().min() for line in ax.lines) == pytest.approx(20)
