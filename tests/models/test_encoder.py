"""An encoder in front of the graph: frames of any shape, trained jointly, absent frames never seen."""

import copy

import pytest
import torch
from torch.nn import (
    AdaptiveAvgPool2d,
    BatchNorm2d,
    Conv2d,
    Embedding,
    Flatten,
    Linear,
    Module,
    ReLU,
    Sequential,
    Unflatten,
)
from torch_geometric.explain import Explainer, GNNExplainer

from lgrin import LGrIN
from lgrin.models import fold


class Spy(Module):
    """Passes frames on and keeps what it saw."""

    def forward(self, x):
        self.seen = x.detach().clone()
        return x


def cnn(channels=4):
    return Sequential(Conv2d(1, channels, 3), BatchNorm2d(channels), ReLU(), AdaptiveAvgPool2d(1), Flatten())


def model_with(encoder, in_channels=4, num_nodes=5, **options):
    return LGrIN(in_channels, num_nodes, 2, branch_channels=(6, 3), dropout=0.0, encoder=encoder, **options)


def frames(*leading, dtype=torch.float32):
    return torch.randn(*leading, 1, 6, 7, dtype=dtype)


def test_an_encoder_before_the_graph_is_the_same_as_encoding_first():
    torch.manual_seed(0)
    encoder, x = cnn(), frames(3, 5)
    model = model_with(encoder).eval()
    without = model_with(None).eval()
    without.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("encoder")})
    assert torch.equal(model(x), without(encoder(x.flatten(0, 1)).view(3, 5, 4)))


@pytest.mark.parametrize("training", [True, False])
def test_every_layout_agrees_in_values_gradients_and_statistics(training):
    torch.manual_seed(0)
    lengths, dtype = (5, 3, 1), torch.float64
    mask = torch.arange(5) < torch.tensor(lengths).unsqueeze(-1)
    mask[0, 2] = False
    x = frames(3, 5, dtype=dtype).masked_fill(~mask.view(3, 5, 1, 1, 1), torch.nan)
    sequence, frame = mask.nonzero(as_tuple=True)
    model = model_with(cnn()).to(dtype).train(training)
    flat = {"frame": frame, "batch": sequence, "batch_size": 3}
    inputs = {
        "masked": (x, {"mask": mask}),
        "graph with mask": (x, {"edge_index": lambda one: one.adjacency.graph(mask=mask)}),
        "flat": (x[mask], flat),
        "flat graph": (x[mask], {"edge_index": lambda one: one.adjacency.graph(frame, sequence)}),
        "edges": (x[mask], {**flat, "edges": True}),
    }
    results = {}
    for name, (given, keywords) in inputs.items():
        twin = copy.deepcopy(model)
        keywords = {key: value(twin) if callable(value) else value for key, value in keywords.items()}
        if keywords.pop("edges", False):
            keywords["edge_index"], keywords["edge_weight"] = twin.adjacency.edges(frame, sequence)
        out = twin(given, **keywords)
        out.square().sum().backward()
        gradients = [p.grad for p in twin.parameters()]
        results[name] = [out, *gradients, *twin.encoder.buffers(), *twin.input_norm.buffers()]
    for name, found in results.items():
        for one, expected in zip(found, results["flat"], strict=True):
            torch.testing.assert_close(one, expected, rtol=1e-10, atol=1e-10, msg=name)


def test_absent_frames_never_reach_the_encoder():
    model, mask = model_with(Spy()), torch.tensor([[True, False, True, True, False], [False] * 4 + [True]])
    x = torch.randn(2, 5, 4).masked_fill(~mask.unsqueeze(-1), torch.nan).requires_grad_()
    out = model(x, mask=mask)
    out.sum().backward()
    assert torch.equal(model.encoder.seen, x[mask])
    assert out.isfinite().all()
    assert (x.grad[~mask] == 0).all()
    assert all(p.grad.isfinite().all() for p in model.parameters())
    flat = {"batch": torch.arange(2).repeat_interleave(5), "mask": mask.flatten()}
    model(x.detach().flatten(0, 1), **flat)
    assert torch.equal(model.encoder.seen, x[mask])


def test_a_batch_without_a_present_frame_gives_finite_logits_and_no_statistics():
    model = model_with(cnn())
    before = {name: value.clone() for name, value in model.encoder[1].named_buffers()}
    assert model(frames(2, 5), mask=torch.zeros(2, 5).bool()).isfinite().all()
    assert torch.equal(model.encoder[1].running_mean, before["running_mean"])
    assert torch.equal(model.encoder[1].running_var, before["running_var"])


def test_gradients_reach_the_encoder_and_training_moves_it():
    torch.manual_seed(0)
    model, x = model_with(cnn()), frames(8, 5)
    before = model.encoder[0].weight.detach().clone()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    torch.nn.functional.cross_entropy(model(x), torch.arange(8) % 2).backward()
    optimizer.step()
    assert all(p.grad.abs().sum() > 0 for p in model.encoder.parameters())
    assert not torch.equal(model.encoder[0].weight, before)


def test_frames_may_be_whole_numbers():
    model = model_with(Embedding(10, 4)).double()
    tokens = torch.randint(10, (3, 5))
    assert model(tokens, mask=tokens > 2).shape == (3, 2)
    assert model(tokens.flatten(), batch=torch.arange(3).repeat_interleave(5)).shape == (3, 2)


def test_salient_frames_and_folding_know_the_encoder():
    model, x = model_with(cnn()), frames(3, 5)
    model(x)
    statistics = model.encoder[1].running_mean.clone()
    assert model.salient_frames(x).shape == (3,)
    assert model.encoder.training
    assert torch.equal(model.encoder[1].running_mean, statistics)
    assert torch.allclose(fold(model)(x), model.eval()(x), atol=1e-5)


def test_a_model_with_an_encoder_has_no_config_and_one_without_is_as_before():
    assert model_with(cnn()).config is None
    assert "encoder" not in "".join(model_with(None).state_dict())
    assert model_with(None).frame_channels == 4
    assert model_with(cnn()).frame_channels is None


def test_resetting_draws_the_encoder_again():
    model = model_with(cnn())
    before = model.encoder[0].weight.clone()
    model.reset_parameters()
    assert not torch.equal(model.encoder[0].weight, before)


def test_it_runs_under_autocast_and_exports():
    torch.manual_seed(0)
    model, x = model_with(cnn()).eval(), frames(3, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert (model(x) - model(x).float()).abs().max() < 0.1
        assert model(x, mask=torch.rand(3, 5) > 0.3).isfinite().all()
    batch = {0: torch.export.Dim.DYNAMIC}
    mask = torch.ones(3, 5, dtype=torch.bool)
    program = torch.export.export(model, (x,), {"mask": mask}, dynamic_shapes={"x": batch, "mask": batch})
    for batch_size in (2, 9):
        x, mask = frames(batch_size, 5), torch.rand(batch_size, 5) > 0.3
        x[~mask] = torch.nan
        assert torch.allclose(program.module()(x, mask=mask), model(x, mask=mask), atol=1e-6)


def test_an_explainer_finds_edges_behind_an_encoder():
    model = model_with(Sequential(Unflatten(1, (1, 6, 7)), *cnn())).eval()  # GNNExplainer takes x [N, F] alone
    x = frames(5).flatten(1)
    explainer = Explainer(
        model,
        algorithm=GNNExplainer(epochs=3),
        explanation_type="model",
        edge_mask_type="object",
        model_config={"mode": "multiclass_classification", "task_level": "graph", "return_type": "raw"},
    )
    edge_index, edge_weight = model.adjacency.edges()
    explanation = explainer(x, edge_index, edge_weight=edge_weight.detach(), batch=torch.zeros(5, dtype=torch.long))
    assert explanation.edge_mask.shape == edge_weight.shape


ERRORS = {
    "kind": (lambda: model_with("cnn"), TypeError, "encoder is a str; it may be a module or None"),
    "no tensor": (lambda: model_with(cnn())([1.0]), TypeError, "x is a list; frames for an encoder are a tensor"),
    "rank": (lambda: model_with(cnn())(torch.randn(5)), ValueError, r"x has shape \[5\]; frames for an encoder are"),
    "frames": (lambda: model_with(cnn())(frames(2, 4)), ValueError, "x has 4 frames, but .* num_nodes=5"),
    "mask": (lambda: model_with(cnn())(frames(2, 5), mask=torch.ones(5).bool()), ValueError, r"mask is torch.bool \[5"),
    "edges": (
        lambda: model_with(cnn())(frames(5, 5), torch.tensor([[0], [1]])),
        ValueError,
        "beside an edge list it has to be flat",
    ),
    "place twice": (
        lambda: model_with(cnn())(frames(4), MODEL.adjacency.graph(torch.arange(4)), batch=torch.zeros(4).long()),
        ValueError,
        "batch was given beside a ragged graph",
    ),
}
MODEL = model_with(None)


@pytest.mark.parametrize("name", ERRORS)
def test_what_has_no_meaning_is_refused_before_the_encoder_runs(name, monkeypatch):
    call, kind, message = ERRORS[name]
    monkeypatch.setattr(Conv2d, "forward", lambda *_: pytest.fail("the encoder ran"))
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (cnn(3), r"encoder makes torch.float32 \[10, 3\] of frames \[10, 1, 6, 7\]; with in_channels=4 .* \[10, 4\]"),
        (Sequential(Flatten(0), Linear(10 * 42, 4)), r"encoder makes torch.float32 \[4\]"),
        (Sequential(Flatten(2), torch.nn.LSTM(42, 4)), "encoder makes a tuple"),
    ],
)
def test_an_encoder_of_another_width_is_named(encoder, message):
    with pytest.raises(ValueError, match=message):
        model_with(encoder)(frames(2, 5))


def test_frames_without_an_encoder_are_refused_as_before():
    with pytest.raises(ValueError, match=r"x has shape \[2, 5, 1, 6, 7\]; node features are"):
        MODEL(frames(2, 5))
