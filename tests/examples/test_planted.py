"""Planted graphs: what the teacher's labels depend on, and what the scores say."""

import functools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from examples.reproduce.planted import (
    BASE,
    CHANNELS,
    CLASSES,
    FEATURES,
    GRAPHS,
    HELD_OUT,
    VARIED,
    Combination,
    auroc,
    distances,
    draw,
    examples,
    logits,
    off_diagonal,
    plant,
    recovery,
    row,
    run,
    student,
    teach,
    together,
    train,
    white,
)

graphs, sizes, seeds = st.sampled_from(list(GRAPHS)), st.integers(2, 12).map(lambda half: 2 * half), st.integers(0, 99)


def labels(truth, x, seed=0, **other):
    return teach(truth, x, torch.Generator().manual_seed(seed), **other)


def noise(count=2_000, num_nodes=12, seed=1):
    return torch.randn(count, num_nodes, FEATURES, generator=torch.Generator().manual_seed(seed))


@given(graphs, sizes, seeds)
@settings(deadline=None)
def test_a_planted_graph_has_rows_of_length_one_and_hears_itself(graph, num_nodes, seed):
    truth = plant(graph, num_nodes, seed)
    assert torch.equal(truth, plant(graph, num_nodes, seed))
    assert truth.shape == (num_nodes, num_nodes)
    assert (truth.diag() > 0).all()
    torch.testing.assert_close(truth.norm(dim=1), torch.ones(num_nodes))


def test_the_edges_of_each_graph():
    apart = distances(12)
    assert torch.equal(plant("band", 12, 0) > 0, apart <= 2)
    assert torch.equal(plant("far", 12, 0) > 0, (apart == 6) | (apart == 0))
    assert torch.equal(plant("block", 12, 0) > 0, torch.block_diag(*[torch.ones(3, 3)] * 4) > 0)
    ring = plant("ring", 12, 0) > 0
    assert (ring.sum(0) == 2).all()
    assert (ring.sum(1) == 2).all()
    assert not torch.equal(ring, plant("ring", 12, 1) > 0)
    reached = torch.linalg.matrix_power(ring.double(), 11)
    assert (reached > 0).all()  # one ring, not several


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize(("layers", "readout"), [(1, "mean"), (1, "max"), (2, "mean")])
def test_labels_depend_on_the_graph(graph, layers, readout):
    x = noise()
    y = labels(plant(graph, 12, 0), x, layers=layers, readout=readout)
    for other in {*GRAPHS} - {graph}:
        same = (y == labels(plant(other, 12, 0), x, layers=layers, readout=readout)).double().mean()
        assert same < 0.85
    assert torch.equal(y, labels(plant(graph, 12, 0), x, layers=layers, readout=readout))


@given(graphs, seeds, st.sampled_from([1, 2]), st.sampled_from(["mean", "max"]), st.sampled_from([0.0, 2.0]))
@settings(max_examples=20, deadline=None)
def test_classes_are_about_equally_frequent(graph, seed, layers, readout, scale):
    y = labels(plant(graph, 12, seed), noise(), seed, layers=layers, readout=readout, noise=scale)
    counts = torch.bincount(y, minlength=CLASSES)
    assert len(counts) == CLASSES
    assert counts.min() > 0.12 * len(y)
    assert counts.max() < 0.4 * len(y)


@pytest.mark.parametrize("readout", ["mean", "max"])
def test_labels_of_one_layer_do_not_say_who_listens(readout):
    x, truth, order = noise(), plant("ring", 12, 0), torch.arange(12).roll(5)
    y = labels(truth, x, readout=readout)
    assert (y == labels(truth[order], x, readout=readout)).double().mean() > 0.99  # but for rounding
    torch.testing.assert_close(together(truth), together(truth[order]))
    assert (y == labels(truth[:, order], x, readout=readout)).double().mean() < 0.85


def test_labels_of_two_layers_say_who_listens():
    x, truth, order = noise(), plant("ring", 12, 0), torch.arange(12).roll(5)
    assert (labels(truth, x, layers=2) == labels(truth[order], x, layers=2)).double().mean() < 0.95


def test_noise_changes_labels_more_and_more():
    x, truth = noise(), plant("band", 12, 0)
    same = [(labels(truth, x) == labels(truth, x, noise=scale)).double().mean() for scale in (0.0, 0.5, 2.0)]
    assert same[0] == 1 > same[1] > same[2] > 1 / CLASSES


def test_labels_of_the_control_are_those_of_the_teacher_in_another_order():
    combination = Combination("band", sequences=2_000)
    x, y = examples(combination, seed=0)
    control_x, control_y = examples(combination._replace(permuted=True), seed=0)
    assert torch.equal(x, control_x)
    assert torch.equal(y.sort()[0], control_y.sort()[0])
    assert abs(float((y == control_y).double().mean()) - 1 / CLASSES) < 0.04
    assert len(x) == 2_000 + 2 * HELD_OUT


def test_whitened_columns_have_unit_variance_and_no_correlation():
    draw_normal = functools.partial(torch.randn, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x = white(draw_normal(500, CHANNELS) @ draw_normal(CHANNELS, CHANNELS) + 3)
    torch.testing.assert_close(torch.cov(x.T), torch.eye(CHANNELS, dtype=torch.float64))
    torch.testing.assert_close(x.mean(0), torch.zeros(CHANNELS, dtype=torch.float64))


@given(graphs, sizes.filter(lambda size: size >= 8), seeds)
@settings(deadline=None)
def test_a_perfect_graph_scores_one_and_none_scores_a_half(graph, num_nodes, seed):
    truth = plant(graph, num_nodes, seed)
    found = recovery(truth, torch.ones_like(truth), truth)
    assert [found[name] for name in ("AUROC", "precision", "heard together")] == pytest.approx([1, 1, 1])
    assert found["at the start"] == 0.5
    edges = (truth > 0).sum() - num_nodes
    assert found["by chance"] == pytest.approx(float(edges / (num_nodes * (num_nodes - 1))))
    assert auroc(-truth, truth) == 0
    assert recovery(truth.T, truth, truth)["transposed"] == 1


def test_the_diagonal_does_not_count():
    truth = plant("band", 12, 0)
    score = torch.rand(12, 12, generator=torch.Generator().manual_seed(0))
    assert auroc(score, truth) == auroc(score + 100 * torch.eye(12), truth)
    assert len(off_diagonal(truth)) == 12 * 11


def test_nearness_tells_a_band_and_is_worse_than_chance_far_away():
    found = {graph: recovery(plant(graph, 12, 0), plant(graph, 12, 0), plant(graph, 12, 0)) for graph in GRAPHS}
    assert found["band"]["of nearness"] == 1
    edges, others = 12, sum(2 * (12 - apart) for apart in range(1, 12) if apart != 6)
    nearer = sum(2 * (12 - apart) for apart in range(7, 12))  # pairs that are further apart than an edge
    assert found["far"]["of nearness"] == pytest.approx(edges * nearer / (edges * others))


def test_a_graph_with_other_listeners_is_told_by_what_is_heard_together_alone():
    truth = plant("ring", 12, 0)
    found = recovery(truth.roll(5, dims=0), truth, truth)
    assert found["heard together"] == 1
    assert found["AUROC"] < 0.7


def test_training_returns_to_the_best_step_and_is_repeatable():
    combination = Combination("band", frames=8, sequences=256)
    x, y = examples(combination, seed=0)
    models = [student(combination, seed=0) for _ in range(2)]
    for model in models:
        torch.manual_seed(0)
        train(model, x, y, structure=0.0, epochs=2)
    assert torch.equal(models[0].adjacency(), models[1].adjacency())
    assert logits(models[0], x[:5]).shape == (5, CLASSES)
    assert models[0].training


def test_a_run_gives_scores_and_a_graph():
    scores, learned = run(Combination("far", frames=8, sequences=128), seed=0, epochs=1)
    assert learned.shape == (8, 8)
    assert list(scores)[-2:] == ["heard together", "accuracy"]
    assert all(0 <= value <= 1 for value in scores.values())


def test_settings_are_told_apart_and_the_first_is_the_base():
    told = [Combination("band", **other).setting() for other in VARIED]
    assert told[0] == BASE
    assert len({*told}) == len(VARIED)
    assert Combination("band", sequences=1_000, permuted=True).setting() == "1,000 sequences, control: labels permuted"


def test_a_row_averages_seeds():
    assert row(Combination("far"), [{"AUROC": 0.5}, {"AUROC": 0.7}]) == {
        "graph": "far",
        "setting": BASE,
        "AUROC": "0.60 ± 0.14",
    }
    assert row(Combination("far"), [{"AUROC": 0.5}])["AUROC"] == "0.50"


def test_a_picture_has_a_column_a_graph(tmp_path):
    draw({graph: plant(graph, 8, 0) for graph in GRAPHS}, tmp_path / "planted.png")
    assert (tmp_path / "planted.png").stat().st_size > 5_000
