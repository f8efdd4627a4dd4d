"""Planted graphs of every kind: what is planted, what the scores say, and that a student finds it."""

import json

import pytest
import torch

from examples.reproduce import kinds
from examples.reproduce.kinds import CLASSES, HELD_OUT, ITSELF, KINDS, NODES, WORLDS, World, recovery, run, sequences


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("world", WORLDS, ids=lambda world: "-".join(map(str, world)))
def test_a_planted_graph_has_the_directions_and_signs_of_its_world(kind, world):
    x, y, truth = sequences(kind, world, 100, seed=0)
    again = sequences(kind, world, 100, seed=0)
    assert all(torch.equal(one, other) for one, other in zip((x, y, truth), again, strict=True))
    assert truth.shape == (100 + HELD_OUT, NODES, NODES)
    torch.testing.assert_close(truth.norm(dim=-1), torch.ones(truth.shape[:2]))
    edges = (truth != 0) & (ITSELF == 0)
    assert torch.equal(edges, edges.mT) != bool(world.directed) or (kind == "attention" and world.signed)
    assert bool((truth[edges] < 0).any()) == bool(world.signed)
    assert bool((truth[edges] > 0).any())
    assert y.shape[0] == len(x)
    assert (int(y.max()) == CLASSES - 1) if world.nodes == "frames" else y.shape[1] == NODES


def test_classes_do_not_tell_at_which_frame_others_are_heard():
    world, order = World("frames", 1, 0), torch.randperm(NODES, generator=torch.Generator().manual_seed(0))
    x, _, truth = sequences("learnable", world, 200, seed=0)
    heard = truth[0] @ x
    labels = [kinds.teach(world, one, torch.Generator().manual_seed(1)) for one in (heard, heard[:, order])]
    assert torch.equal(*labels)


def test_scores_of_the_truth_are_whole_and_those_of_its_transpose_are_told():
    _, _, truth = sequences("learnable", World("sensors", 1, 1), 10, seed=0)
    found = recovery(-3 * truth, truth)
    assert (found["A"], found["heard together"], found["signs"]) == (1.0, 1.0, 1.0)
    assert recovery(truth.mT, truth)["transposed"] == 1.0
    assert recovery(truth.mT, truth)["A"] < 0.8
    assert recovery(truth[:, torch.randperm(NODES)], truth)["heard together"] == pytest.approx(1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_student_finds_the_graph_of_sensors(kind):
    scores, truth, learned = run(kind, World("sensors", 1, 0), 1_000, seed=0, steps=300)
    assert scores["A"] > 0.95
    assert truth.shape == learned.shape == (NODES, NODES)


def test_the_study_writes_a_table_and_a_picture_of_each_kind(tmp_path, capsys):
    options = ["--kinds", "low rank", "attention", "--sequences", "50", "--seeds", "1", "--steps", "2"]
    kinds.main("kinds", [*options, "--out", str(tmp_path)])
    assert len(json.loads((tmp_path / "table.json").read_text())["rows"]) == 2 * len(WORLDS)
    assert capsys.readouterr().out.count("\n| attention") == len(WORLDS)
    for name in ("graph-low-rank.png", "graph-attention.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
