import pytest
import torch
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.training import affordable_nodes, recommended, train_and_test
from lgrin.training.experiment import RECIPE, enough_epochs
from lgrin.training.levels import omega_squared

SIZES = {"RML": (136, 90, 6), "IEMOCAP": (35, 120, 4), "MPI": (72, 120, 11)}


def at_levels(levels, labels):
    """Sequences at the levels that are given, which one frame that is absent does not move."""
    sequences = []
    for number, (level, y) in enumerate(zip(levels, labels, strict=True)):
        x = level + torch.randn(6, 2, generator=torch.Generator().manual_seed(number)) / 10
        x[0] = 1e3 * y
        sequences.append(Data(x=x, y=torch.tensor([y]), mask=torch.arange(6) > 0))
    return sequences


def test_sequences_are_seen_by_themselves_too_unless_levels_tell_the_class():
    labels = [number % 3 for number in range(24)]
    speakers = [float(number // 6) for number in range(24)]
    sums = {"adjacency": {"init": "lazy", "normalize": "row"}}  # since a frame is absent
    assert recommended(at_levels(speakers, labels)) == {"input_norm": "both", **sums}
    assert recommended(at_levels([0.0] * 24, labels)) == {"input_norm": "both", **sums}
    assert recommended(at_levels(labels, labels)) == {"input_norm": True, **sums}


def test_frames_are_averaged_unless_training_lacks_some():
    sequences = at_levels([0.0] * 24, [number % 3 for number in range(24)])
    for number, data in enumerate(sequences):
        data.mask = torch.ones(6, dtype=torch.bool) if number % 2 else None
    chosen = recommended(sequences)
    assert "adjacency" not in chosen
    assert LGrIN(2, 6, 3, **chosen).adjacency.normalize == "present"


def test_omega_squared_is_the_share_of_variance_that_labels_explain():
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(40_000) % 4
    levels = torch.stack([label + torch.randn(40_000, generator=generator) * scale for scale in (1.0, 2.0)], dim=1)
    assert omega_squared(levels.double(), label) == pytest.approx((1.25 / 2.25 + 1.25 / 5.25) / 2, abs=0.01)
    assert omega_squared(torch.randn(40, 500, generator=generator).double(), label[:40]) < 0.05
    assert omega_squared(torch.ones(40, 2).double(), label[:40]) == 0
    assert omega_squared(torch.rand(4, 2).double(), torch.arange(4)) == 1


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
