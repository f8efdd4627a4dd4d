"""The study of graphs that are partly wrong: what is planted, what the scores say, and a run of it."""

import json

import pytest
import torch

from examples.reproduce.__main__ import main
from examples.reproduce.refine import EDGES, LABELS, NODES, STARTS, draw, first, repaired, run, teach, weights


@pytest.mark.parametrize("seed", range(3))
def test_a_third_of_the_true_edges_is_missing_and_as_many_are_false(seed):
    prior = draw(seed)
    assert prior.true.sum(1).tolist() == [EDGES] * NODES
    assert int(prior.missing.sum()) == int(prior.false.sum()) == NODES * EDGES // 3
    assert not bool((prior.missing & ~prior.true).any())
    assert not bool((prior.false & prior.true).any())
    assert not bool((prior.given | prior.true).diagonal().any())
    assert int((prior.given & prior.true).sum()) == NODES * EDGES * 2 // 3


def test_the_largest_entries_are_marked():
    assert first(torch.tensor([[0.3, 0.1], [0.2, 0.9]]), 2).tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("label", LABELS)
def test_labels_depend_on_the_neighbours_alone(label):
    prior, x = draw(0), torch.randn(200, NODES, 4, generator=torch.Generator().manual_seed(1))
    edges = prior.true.clone()
    edges[:, 7] = False  # nobody reads node 7 but itself
    pool, others = LABELS[label], torch.arange(NODES) != 7
    changed = x.clone()
    changed[:, 7] += 5
    before, after = (teach(edges, one, lambda h: pool(h[:, others]), generator(2)) for one in (x, changed))
    assert torch.equal(before, after)
    told = teach(prior.true, changed, lambda h: pool(h[:, others]), generator(2))
    assert not torch.equal(told, teach(prior.true, x, lambda h: pool(h[:, others]), generator(2)))


def generator(seed):
    return torch.Generator().manual_seed(seed)


def test_the_scores_of_a_graph_that_is_right_wrong_or_as_given():
    prior = draw(0)
    right = repaired(weights(prior.true), prior)
    assert right == {"new edges that are true": 1.0, "weakest that are false": 1.0}
    assert repaired(weights(prior.given), prior)["new edges that are true"] == 0
    wrong = weights(prior.given) + 0.01 * (~prior.true & ~prior.given)
    assert repaired(wrong, prior)["new edges that are true"] == 0
    half = weights(prior.true & ~first(prior.missing.float(), 10))
    assert repaired(half, prior)["new edges that are true"] == 0.5


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("start", STARTS)
def test_no_start_knows_the_missing_edges(start, seed):
    prior = draw(seed)
    torch.manual_seed(seed)
    assert repaired(STARTS[start](prior)(), prior)["new edges that are true"] < 0.3


def test_only_a_start_that_gives_every_pair_a_gradient_finds_missing_edges():
    edges, matrix = (
        run(start, "each node", seed=0, sequences=500, steps=400)
        for start in ("`from_edge_index(prior)`", "`from_dense(prior)`")
    )
    assert edges["new edges that are true"] >= 0.8
    assert matrix["new edges that are true"] == 0
    assert edges["accuracy"] > matrix["accuracy"] + 0.1


def test_the_study_prints_and_stores_its_table(tmp_path, capsys):
    main(["refine", "--seeds", "2", "--sequences", "40", "--steps", "2", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "refine.json").read_text())["rows"]
    assert len(rows) == len(STARTS) * len(LABELS)
    printed = capsys.readouterr().out
    assert all(row["graph"] in printed for row in rows)
