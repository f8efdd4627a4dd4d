"""Graphs over sensors: the examples of the guide, and the study of hidden pairs."""

import json
from pathlib import Path

import pytest
import torch

from examples.reproduce.__main__ import main
from examples.reproduce.sensors import GUIDE, NODES, STUDIES, Setting, draw, hidden_pairs, run, share
from examples.sensors import house, motions, next_step, prior

DOCS = Path(__file__).parents[2] / "docs"


def test_motions_are_told_apart_by_a_graph_over_channels():
    assert motions.main() >= 0.9


def test_missing_edges_of_a_known_graph_are_found():
    (accuracy, found), (without, nothing) = prior.main(), prior.main(new_edges=None)
    assert found >= 0.8
    assert nothing == 0
    assert accuracy > without + 0.05


def test_sensors_are_predicted_from_those_upstream():
    error, alone, found = next_step.main()
    assert found >= 0.8
    assert 0.9 < error < (1 + alone) / 2  # the noise has a variance of 1


def test_edges_of_the_house_that_relu_cuts_for_good_come_back_with_a_leaky_cut():
    cut, leaky = (house.run(house.SETTINGS[name], seed=3) for name in ("GraphInception", "GraphInception, leaky"))
    assert cut.true <= 5
    assert leaky.true == leaky.true_of_ten_strongest == len(house.FOLLOWS) == int(house.truth().sum())
    assert leaky.error < cut.error - 0.05


def test_the_house_has_a_row_for_each_setting(capsys):
    rows = house.main(seeds=1, steps=1)
    shown = capsys.readouterr().out.splitlines()
    assert [line.split("`")[1] for line in shown[2:]] == list(rows) == list(house.SETTINGS)
    assert rows["GCNConv"][0].true == len(house.FOLLOWS), "one step cuts nothing"


def test_a_share_counts_the_strongest_entries_that_are_true():
    pairs = hidden_pairs(0)
    truth = torch.zeros(NODES, NODES)
    truth[pairs[:, 0], pairs[:, 1]] = 2
    truth[pairs[:, 1], pairs[:, 0]] = -1
    assert share(truth + 5 * torch.eye(NODES), pairs) == 1
    assert share(truth.roll(1, 0), pairs) < 0.2


def test_classes_are_about_equally_frequent():
    _, y = draw(hidden_pairs(0), 2_000, torch.Generator().manual_seed(0))
    assert 0.4 < y.float().mean() < 0.6


def test_the_guides_penalty_names_the_pairs_and_the_distance_term_hides_them():
    assert run(Setting(), seed=0)[0]["AᵀA"] >= 0.95
    assert run(Setting(penalty="1e-3 * StructureLoss()(adjacency())"), seed=0)[0]["AᵀA"] < 0.8
    assert run(Setting("init=torch.eye(M) + 0.1"), seed=0)[0]["A"] >= 0.95


@pytest.mark.parametrize("page", ["layers", "sensors"])
def test_the_penalty_is_that_of_the_guides(page):
    assert GUIDE in (DOCS / "guides" / f"{page}.md").read_text()


def test_the_study_has_a_row_for_each_setting(tmp_path, capsys):
    main(["sensors", "--steps", "1", "--seeds", "1", "--out", str(tmp_path)])
    for name, settings in STUDIES.items():
        rows = json.loads((tmp_path / f"sensors-{name}.json").read_text())["rows"]
        assert [(one["graph"], one["penalty"]) for one in rows] == [setting[:2] for setting in settings]
    assert "Hidden pairs of sensors, by sequences" in capsys.readouterr().out
    assert (tmp_path / "sensors.png").read_bytes().startswith(b"\x89PNG")
