"""Training on hidden frames."""

import pytest
import torch
from torch_geometric.data import Data

from lgrin.models import LGrIN
from lgrin.training import SequenceClassifier
from lgrin.training.pretrain import HIDDEN, PIECES, MaskedFrames, hide, pretrain, start_from


def waves(count=24, length=32, seed=0):
    """Two channels, of which the second is the first one four frames later."""
    generator = torch.Generator().manual_seed(seed)
    phase = 6.3 * torch.rand(count, 1, generator=generator)
    x = (phase + 0.4 * torch.arange(length + 4)).sin()
    return [Data(x=torch.stack([row[4:], row[:-4]], 1)) for row in x]


def inputs_of(data, mask=None):
    x = torch.cat([one.x for one in data])
    batch = torch.arange(len(data)).repeat_interleave(len(data[0].x))
    return {"x": x, "batch": batch, "batch_size": len(data), "frame": None, "mask": mask}


def test_whole_pieces_are_hidden_in_the_stated_share():
    torch.manual_seed(0)
    hidden = hide(torch.arange(200).repeat_interleave(5 * PIECES), 200).view(200, PIECES, 5)
    assert torch.equal(hidden.all(-1), hidden.any(-1))
    assert hidden.float().mean().item() == pytest.approx(HIDDEN, abs=0.02)


def test_hidden_frames_reach_nothing():
    data, masked = waves(3), MaskedFrames(LGrIN(2, 32, 2), num_sequences=3)
    masked.augment.eval()
    inputs = inputs_of(data)
    torch.manual_seed(1)
    hidden = hide(inputs["batch"], 3)
    nodes = []
    for change in (0.0, 5.0):
        x = torch.where(hidden.unsqueeze(-1), inputs["x"] + change, inputs["x"])
        kept = []
        hook = masked.decoder.register_forward_hook(lambda module, given, result, kept=kept: kept.append(given[0]))
        torch.manual_seed(1)
        masked.loss_of(torch.zeros(3), {**inputs, "x": x})
        hook.remove()
        nodes.append(kept[0])
    assert len(nodes[0]) == int(hidden.sum())
    assert torch.equal(*nodes)


def test_the_loss_is_the_mean_squared_error_of_hidden_present_frames_beside_the_price_of_the_graph():
    data, masked = waves(3), MaskedFrames(LGrIN(2, 32, 2), num_sequences=3)
    mask = torch.rand(96) < 0.7
    inputs = inputs_of(data, mask)
    inputs["x"] = inputs["x"].masked_fill(~mask.unsqueeze(-1), torch.nan)
    torch.manual_seed(2)
    hidden = hide(inputs["batch"], 3) & mask
    torch.manual_seed(2)
    loss = masked.loss_of(torch.zeros(3), inputs)
    x = inputs["x"].masked_fill(hidden.unsqueeze(-1), 0)
    masked.model.train()
    nodes = masked.model.embed_nodes(x, batch=inputs["batch"], mask=mask)
    error = masked.decoder(nodes)[hidden] - inputs["x"][hidden]
    assert torch.isclose(loss, error.square().mean() + masked.loss.penalty(masked.model))


def test_it_learns_to_predict_and_leaves_readout_and_head():
    torch.manual_seed(0)
    model = LGrIN(2, 32, 2, branch_channels=(8, 4))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    classifier, run = pretrain(model, waves(), {"lr": 0.01}, epochs=150, seed=0)
    assert run.losses[-1] < 0.3 * run.losses[0]
    assert not torch.equal(model.adjacency.weights(), before["adjacency.weight"])
    for name, value in model.state_dict().items():
        if name.startswith(("head.", "readout.")):
            assert torch.equal(value, before[name]), name
    assert all(one.requires_grad for one in classifier.parameters())


def test_frames_of_any_length_are_hidden_as_well():
    model = LGrIN(2, None, 2, branch_channels=(8, 4), readout={"parts": ("attention", "mean")})
    data = [Data(x=one.x[: 20 + index]) for index, one in enumerate(waves(8))]
    _, run = pretrain(model, data, {}, epochs=3, seed=0)
    assert len(run.losses) == 3
    assert run.losses[-1] < run.losses[0]


def test_a_classifier_starts_from_everything_but_readout_and_head():
    first, second = (SequenceClassifier(LGrIN(2, 3, classes), num_sequences=1) for classes in (2, 5))
    first.fit_normalization([Data(x=torch.randn(3, 2) * 3 + 1)])
    fresh = {name: value.clone() for name, value in second.state_dict().items()}
    start_from(second, first)
    for name, value in second.state_dict().items():
        source = fresh if name.startswith(("model.head.", "model.readout.")) else first.state_dict()
        assert torch.equal(value, source[name]), name
