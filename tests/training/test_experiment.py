import pytest
import torch
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.training import affordable_nodes, recommended, train_and_test
from lgrin.training.experiment import RECIPE, enough_epochs

SIZES = {"RML": (136, 90, 6), "IEMOCAP": (35, 120, 4), "MPI": (72, 120, 11)}


def told(labels, groups):
    return [
        Data(y=torch.tensor([y]), **({} if group is None else {"group": torch.tensor([group])}))
        for y, group in zip(labels, groups, strict=True)
    ]


@pytest.mark.parametrize(
    ("labels", "groups", "expected"),
    [
        ([0, 1, 0, 1], [None] * 4, True),
        ([0, 1, 0, 1], [0, 0, 1, 1], "both"),
        ([0, 1, 0, 1], [0, 1, 0, 1], True),
        ([0, 1, 1, 1], [0, 0, 1, 2], "both"),
        ([0, 1, 0, 1], [0, 0, 1, None], True),
        ([0, 1], [0, 1], True),
    ],
)
def test_groups_that_do_not_tell_the_class_recommend_to_see_sequences_by_themselves(labels, groups, expected):
    assert recommended(told(labels, groups)) == {"input_norm": expected}


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("input_norm", [True, "both"])
def test_the_recommended_network_has_at_most_120_000_parameters_at_the_papers_sizes(size, input_norm):
    model = LGrIN(*size, input_norm=input_norm)
    assert sum(weight.numel() for weight in model.parameters()) <= 120_000


def test_the_presets_keep_the_papers_widths():
    for preset in (LGrIN.paper, LGrIN.released):
        assert preset(3, 5, 2).config["branch_channels"] == (128, 64)


def test_all_training_sequences_are_trained_on_for_600_steps(tmp_path):
    generator = torch.Generator().manual_seed(0)
    data = [
        Data(x=torch.randn(4, 2, generator=generator) + i % 2, y=torch.tensor([i % 2]), group=torch.tensor([i // 4]))
        for i in range(44)
    ]
    torch.manual_seed(0)
    model = LGrIN(2, 4, 2, branch_channels=(4,), num_layers=1)
    classifier, found = train_and_test(model, data[:40], data[40:], tmp_path, progress=False)
    last = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    assert enough_epochs(40) == 300
    assert (last["epoch"] + 1, last["global_step"]) == (300, 600)
    assert classifier.hparams["augment"] == RECIPE["augment"]
    assert classifier.hparams["num_sequences"] == 40
    assert all(torch.equal(value, last["state_dict"][name]) for name, value in classifier.state_dict().items())
    assert found.confusion.sum() == 4


def test_patience_is_refused_where_nothing_is_held_out(tmp_path):
    with pytest.raises(TypeError, match="patience has nothing to go by"):
        train_and_test(LGrIN(2, 4, 2), [], [], tmp_path, patience=3)


def test_graphs_are_as_long_as_sequences_but_for_the_longest():
    assert affordable_nodes(1, 3, 2) == 2
    assert affordable_nodes(29, 12, 9) == 29
    assert affordable_nodes(2_300, 6, 7, input_norm="both") == 200
    assert affordable_nodes(2_300, 2_000, 7) == 32
    with pytest.raises(ValueError, match="longest"):
        affordable_nodes(2.5, 3, 2)
