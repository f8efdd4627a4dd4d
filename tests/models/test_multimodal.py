import copy

import pytest
import torch
from torch.nn import Linear

from lgrin import LGrIN, MultimodalLGrIN
from lgrin.models import fold, from_config
from lgrin.nn import LGrINLoss, structure_loss
from lgrin.training import SequenceClassifier

FACE = {"in_channels": 3, "num_nodes": 5, "branch_channels": (4, 2)}
VOICE = {"in_channels": 2, "num_nodes": 7, "branch_channels": (4,), "num_layers": 1}


def network(**options):
    torch.manual_seed(0)
    return MultimodalLGrIN({"face": FACE, "voice": VOICE}, 2, **{"dropout": 0.0, **options})


def inputs(batch_size=4, dtype=torch.float32):
    return {"face": torch.randn(batch_size, 5, 3, dtype=dtype), "voice": torch.randn(batch_size, 7, 2, dtype=dtype)}


def test_logits_are_the_head_of_both_embeddings_side_by_side():
    model, x = network().eval(), inputs()
    face, voice = (model.modalities[name].embed(x[name]) for name in ("face", "voice"))
    assert torch.equal(model.embed(x), torch.cat([face, voice], dim=1))
    weight, bias = model.head[-1].weight, model.head[-1].bias
    assert torch.allclose(model(x), torch.cat([face, voice], dim=1) @ weight.T + bias, atol=1e-6)


def test_each_part_is_the_lgrin_that_it_was_made_of():
    torch.manual_seed(0)
    face = LGrIN(**FACE, num_classes=9).eval()
    weights = copy.deepcopy(face.state_dict())
    model = MultimodalLGrIN({"face": face, "voice": VOICE}, 2).eval()
    x = torch.randn(4, 5, 3)
    assert torch.equal(model.modalities["face"].embed(x), face.embed(x))
    assert face(x).shape == (4, 9), "the one that was given keeps its head"
    torch.nn.functional.cross_entropy(model({"face": x}), torch.zeros(4).long()).backward()
    assert all(torch.equal(weights[name], value) for name, value in face.state_dict().items())
    assert all(p.grad is None for p in face.parameters())


def test_no_parameter_is_there_that_no_logit_depends_on():
    model = network()
    model(inputs()).sum().backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize("training", [True, False])
def test_ways_to_lack_a_modality_agree_in_values_gradients_and_statistics(training):
    model, x = network().double().train(training), inputs(dtype=torch.float64)
    there = torch.tensor([True, False, True, False])
    gone = x["voice"].clone()
    gone[~there] = torch.nan
    sequence = torch.arange(4).repeat_interleave(7)
    frame = torch.arange(7).repeat(4)
    rows = there[sequence]
    ways = {
        "present": ({**x, "voice": gone}, {"voice": there}),
        "mask": ({**x, "voice": {"x": gone, "mask": there.unsqueeze(-1).expand(4, 7)}}, None),
        "flat": (
            {
                **x,
                "voice": {
                    "x": x["voice"].flatten(0, 1)[rows],
                    "frame": frame[rows],
                    "batch": sequence[rows],
                    "batch_size": 4,
                },
            },
            None,
        ),
        "flat present": (
            {**x, "voice": {"x": gone.flatten(0, 1), "frame": frame, "batch": sequence, "batch_size": 4}},
            {"voice": there},
        ),
    }
    results = {}
    for name, (given, present) in ways.items():
        twin = copy.deepcopy(model)
        out = twin(given, present)
        out.square().sum().backward()
        results[name] = [out, *(p.grad for p in twin.parameters()), *twin.buffers()]
    for name, found in results.items():
        for one, expected in zip(found, results["flat"], strict=True):
            torch.testing.assert_close(one, expected, rtol=1e-9, atol=1e-9, msg=name)


def test_a_missing_modality_is_zeros_in_the_embedding():
    model, x = network().eval(), inputs()
    width = model.modalities["face"].embed_channels
    whole, some = model.embed(x), model.embed(x, {"voice": torch.tensor([True, False, True, True])})
    assert (some[1, width:] == 0).all()
    assert torch.equal(some[[0, 2, 3]], whole[[0, 2, 3]])
    assert torch.equal(some[1, :width], whole[1, :width])
    alone = model.embed({"face": x["face"]})
    assert torch.equal(alone[:, :width], whole[:, :width])
    assert (alone[:, width:] == 0).all()


def test_a_sequence_without_any_modality_gets_the_bias_alone():
    model, x = network().eval(), inputs()
    nobody = torch.zeros(4, dtype=torch.bool)
    assert torch.equal(model(x, {"face": nobody, "voice": nobody}), model.head[-1].bias.expand(4, 2))


def test_present_and_mask_are_both_heeded():
    model, x = network().eval(), inputs()
    mask, there = torch.rand(4, 7) > 0.4, torch.tensor([True, True, False, True])
    out = model({**x, "voice": {"x": x["voice"], "mask": mask}}, {"voice": there})
    assert torch.equal(out, model({**x, "voice": {"x": x["voice"], "mask": mask & there.unsqueeze(-1)}}))


def test_withholding_takes_modalities_away_in_training_but_never_all():
    model, x = network(modality_dropout=0.5).train(), inputs(256)
    width = model.modalities["face"].embed_channels
    lacking = {"voice": torch.arange(256) < 128}
    embedding = model.embed(x, lacking)
    face, voice = (embedding[:, :width] != 0).any(1), (embedding[:, width:] != 0).any(1)
    assert (face | voice).all()
    assert 15 < int((~face).sum()) < 50, "a quarter of the 128 that have both; another quarter would lose both"
    assert face[128:].all(), "who has one modality keeps it"
    assert not voice[128:].any()
    model.eval()
    assert (model.embed(x)[:, :width] != 0).any(1).all()


def test_config_builds_it_again():
    model = network(head_channels=6, modality_dropout=0.25)
    again = from_config(model.config)
    assert repr(again) == repr(model)
    assert again.modality_dropout == 0.25
    again.load_state_dict(model.state_dict())
    x = inputs()
    assert torch.equal(again.eval()(x), model.eval()(x))
    given = MultimodalLGrIN({"face": LGrIN(**FACE, num_classes=9), "voice": VOICE}, 2)
    assert from_config(given.config).modalities["face"].num_classes == 2
    assert MultimodalLGrIN({"face": {**FACE, "encoder": Linear(1, 3)}}, 2).config is None


def test_resetting_draws_every_weight_again():
    model = network()
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            tensor.fill_(7)
    model.reset_parameters()
    assert not any((tensor == 7).any() for tensor in (*model.parameters(), *model.buffers()))


def test_it_folds_compiles_and_takes_encoders():
    model, x = network(), inputs()
    model(x)
    assert torch.allclose(fold(model)(x), model.eval()(x), atol=1e-5)
    assert torch.allclose(torch.compile(model, fullgraph=True, backend="aot_eager")(x), model(x), atol=1e-5)
    pixels = MultimodalLGrIN({"face": {**FACE, "encoder": Linear(9, 3)}, "voice": VOICE}, 2)
    assert pixels({**x, "face": torch.randn(4, 5, 9)}, {"face": torch.arange(4) > 1}).shape == (4, 2)
    assert pixels.frame_channels == {"face": None, "voice": 2}


ERRORS = {
    "none": (lambda: MultimodalLGrIN({}, 2), ValueError, "modalities is empty"),
    "kind": (lambda: MultimodalLGrIN({"face": 3}, 2), TypeError, r"modalities\['face'\] is a int; it may be an LGrIN"),
    "dropout": (lambda: network(modality_dropout=1.0), ValueError, "modality_dropout is 1.0; it lies between 0"),
    "unknown": (lambda: MODEL({"hand": X}), ValueError, "inputs has 'hand'; this model knows 'face', 'voice'"),
    "present": (lambda: MODEL(inputs(), {"hand": X}), ValueError, "present has 'hand'; this model knows"),
    "nothing": (lambda: MODEL({}), ValueError, "inputs is empty; give one of 'face', 'voice'"),
    "counts": (
        lambda: MODEL({**inputs(4), "voice": inputs(3)["voice"]}),
        ValueError,
        "unequally many sequences, {'face': 4, 'voice': 3}",
    ),
    "presence shape": (
        lambda: MODEL(inputs(), {"voice": torch.ones(3).bool()}),
        ValueError,
        r"present\['voice'\] is torch.bool \[3\]; it has to be torch.bool \[B\]",
    ),
    "presence dtype": (lambda: MODEL(inputs(), {"voice": torch.ones(4)}), ValueError, "is torch.float32"),
    "no dictionary": (lambda: MultimodalLGrIN([FACE], 2), TypeError, "modalities is a list; it may be a dictionary"),
    "dots": (lambda: MultimodalLGrIN({"a.b": FACE}, 2), ValueError, "modalities has the name 'a.b'; a name is text"),
    "no text": (lambda: MultimodalLGrIN({1: FACE}, 2), ValueError, "modalities has the name 1"),
    "taken": (lambda: MultimodalLGrIN({"keys": FACE}, 2), ValueError, "modalities has the name 'keys'"),
    "keyword": (
        lambda: MultimodalLGrIN({"face": {**FACE, "nodes": 3}}, 2),
        TypeError,
        r"modalities\['face'\]: .*unexpected keyword argument 'nodes'",
    ),
    "keyword value": (
        lambda: MultimodalLGrIN({"face": {**FACE, "num_nodes": 0}}, 2),
        ValueError,
        r"modalities\['face'\]: num_nodes is 0",
    ),
    "dropout kind": (lambda: network(modality_dropout="a"), ValueError, "modality_dropout is 'a'; it has to be a num"),
    "head dropout": (lambda: network(dropout=2), ValueError, "dropout is 2; it has to be a number from 0 to 1"),
    "tensor": (lambda: MODEL(X), TypeError, "inputs is a Tensor; it may be a dictionary with some of 'face', 'voice'"),
    "present tensor": (lambda: MODEL(inputs(), torch.ones(4).bool()), TypeError, "present is a Tensor; it may be"),
    "present list": (
        lambda: MODEL(inputs(), {"face": [True] * 4}),
        TypeError,
        r"present\['face'\] is a list; it has to be a tensor, torch.bool \[B\]",
    ),
    "no x": (lambda: MODEL({"face": {"mask": X[..., 0] > 0}}), ValueError, r"inputs\['face'\] has no x, but 'mask'"),
    "presence beside batch": (
        lambda: MODEL(
            {"face": {"x": torch.ones(5, 3), "batch": torch.tensor([0, 0, 1, 1, 1]), "batch_size": 2}},
            {"face": torch.ones(1).bool()},
        ),
        ValueError,
        r"present\['face'\] is torch.bool \[1\]; it has to be torch.bool \[B\]",
    ),
    "channels": (lambda: MODEL({"face": X}), ValueError, "x has 2 channels, but this model .* in_channels=3"),
}
MODEL, X = network().eval(), torch.randn(4, 5, 2)


@pytest.mark.parametrize("name", ERRORS)
def test_what_does_not_fit_is_named(name):
    call, kind, message = ERRORS[name]
    with pytest.raises(kind, match=message):
        call()


def test_graphs_that_differ_by_sequence_are_priced_by_modality():
    torch.manual_seed(0)
    attention = {"adjacency": {"name": "AttentionAdjacency", "topk": 2}, "branch_channels": (4,)}
    parts = {"face": {"in_channels": 3, "num_nodes": 5, **attention}, "voice": {"in_channels": 2, "num_nodes": 7}}
    parts["hand"] = {"in_channels": 2, "num_nodes": 4, **attention}
    model, loss = MultimodalLGrIN(parts, num_classes=2).eval(), LGrINLoss(9, lambda_pool=0.0)
    x = {"face": torch.randn(4, 5, 3), "voice": torch.randn(4, 7, 2), "hand": torch.randn(4, 4, 2)}
    logits, graphs = model(x, return_graph=True)
    assert torch.equal(logits, model(x))
    shared = model.modalities["voice"].adjacency
    expected = {name: torch.stack([structure_loss(A, reduction="mean") for A in graphs[name].adj]).mean() for name in
                ("face", "hand")}  # fmt: skip
    torch.testing.assert_close(loss.penalty(model, graphs), shared.penalty() + expected["face"] + expected["hand"])
    del x["hand"]
    _, graphs = model(x, return_graph=True)
    torch.testing.assert_close(loss.penalty(model, graphs), shared.penalty() + expected["face"])
    classifier = SequenceClassifier(model, 9, loss={"lambda_pool": 0.0})
    mask = {name: torch.ones(one.shape[:2], dtype=torch.bool) for name, one in x.items()}
    inputs = {
        name: {"x": one.flatten(0, 1), "batch": torch.arange(4).repeat_interleave(one.size(1)), "batch_size": 4,
               "mask": mask[name].flatten(), "frame": None} for name, one in x.items()
    }  # fmt: skip
    target = torch.tensor([0, 1, 0, 1])
    torch.testing.assert_close(classifier.loss_of(target, inputs), loss(model(x), target, model, graphs))
