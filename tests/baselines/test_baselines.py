"""What every competitor promises."""

import copy
import pickle

import pytest
import torch
from competitors import GRAPHS, SMALL, build, ragged
from torch_geometric.data import Batch, Data

from lgrin.baselines import BASELINES, PAPER, Baseline
from lgrin.graph import DenseGraph, RaggedGraph
from lgrin.nn import LearnableAdjacency
from lgrin.training import SequenceClassifier
from lgrin.transforms import LineGraph

SIZES = {"table1": (136, 90, 6), "table2": (35, 120, 4), "table3": (72, 120, 11)}
ROWS = {
    "BLSTM": "BLSTM",
    "GCN": "GCN",
    "PatchySAN": "PATCHY-SAN",
    "PatchyDiff": "PATCHY-Diff",
    "CNN": "CNN",
    "CNNLSTM": "CNN-LSTM",
    "LSTMCTC": "LSTM-CTC",
}
TABLES = [(name, table) for name, row in ROWS.items() for table in SIZES if row in PAPER[table]["rows"]]
every_model = pytest.mark.parametrize("name", SMALL)
every_graph_model = pytest.mark.parametrize("name", GRAPHS)


@pytest.mark.parametrize(("name", "table"), TABLES)
def test_parameters_are_within_15_percent_of_the_tables(name, table):
    printed = PAPER[table]["rows"][ROWS[name]][-1]
    counted = sum(p.numel() for p in BASELINES[name](*SIZES[table]).parameters())
    assert abs(counted - printed) <= 0.15 * printed


def test_every_model_is_checked_against_the_tables():
    assert {name for name, _ in TABLES} == set(BASELINES) - {"SENet"}
    assert set(SMALL) == set(ROWS)


@every_model
def test_logits_have_one_row_a_sequence(name):
    model = build(name)
    assert model(torch.randn(5, 12, 4)).shape == (5, 3)
    assert model(torch.randn(12, 4)).shape == (1, 3)
    assert model(torch.randn(24, 4), batch=torch.arange(2).repeat_interleave(12)).shape == (2, 3)
    assert torch.isfinite(model(torch.randn(2, 12, 4), mask=torch.zeros(2, 12, dtype=torch.bool))).all()


@every_model
@pytest.mark.parametrize("training", [False, True])
def test_dense_and_ragged_agree_with_missing_frames_and_unequal_lengths(name, training):
    model, (x, mask) = build(name).double().train(training), ragged()
    batch, frame = mask.nonzero(as_tuple=True)
    junk = torch.where(mask, torch.arange(12), 99)
    everybody = torch.ones_like(mask).nonzero(as_tuple=True)[0]
    logits = []
    for arguments in (
        (x, {"mask": mask}),
        (x[mask], {"frame": frame, "batch": batch, "batch_size": 3}),
        (x.flatten(0, 1), {"frame": junk.flatten(), "batch": everybody, "mask": mask.flatten()}),
        (x.flip(1), {"frame": torch.arange(11, -1, -1), "mask": mask.flip(1)}),
    ):
        torch.manual_seed(3)  # dropout
        logits.append(model(arguments[0], **arguments[1]))
    for other in logits[1:]:
        assert torch.allclose(other, logits[0], rtol=1e-10, atol=1e-12)


@every_model
def test_masked_content_reaches_no_value_and_no_gradient(name):
    model, (x, mask) = build(name).double().eval(), ragged()
    gradients = []
    for content in (torch.nan, 0.0, 1e6):
        model.zero_grad()
        filled = x.masked_fill(~mask.unsqueeze(-1), content).requires_grad_()
        logits = model(filled, mask=mask)
        logits.square().sum().backward()
        assert not filled.grad[~mask].any()
        assert filled.grad[mask].any()
        gradients.append([logits.detach(), filled.grad, *(p.grad for p in model.parameters())])
    for others in gradients[1:]:
        assert all(torch.equal(one, other) for one, other in zip(gradients[0], others, strict=True))


@every_model
def test_a_sequence_does_not_depend_on_its_batch(name):
    model, (x, mask) = build(name).double().eval(), ragged()
    logits = model(x, mask=mask)
    for index in range(3):
        alone = model(x[index : index + 1], mask=mask[index : index + 1])
        assert torch.allclose(alone, logits[index : index + 1], rtol=1e-10, atol=1e-12)
    assert torch.allclose(model(x.flip(0), mask=mask.flip(0)), logits.flip(0), rtol=1e-10, atol=1e-12)


@every_model
def test_the_config_builds_the_model_again(name):
    model = build(name).eval()
    again = BASELINES[name](**model.config).eval()
    assert again.config == model.config
    again.load_state_dict(model.state_dict())
    x = torch.randn(2, 12, 4)
    assert torch.equal(again(x), model(x))
    assert repr(model).startswith(f"{name}(in_channels=4, num_nodes=12, num_classes=3, ")


@every_model
def test_a_toy_problem_is_learned(name):
    torch.manual_seed(0)
    model = build(name, num_classes=2)
    label = torch.arange(32) % 2
    x = torch.randn(32, 12, 4) + (2.0 * label - 1)[:, None, None] * torch.tensor([1.0, -1, 0, 0])
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    losses = []
    for _ in range(30):
        loss = torch.nn.functional.cross_entropy(model(x), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    assert losses[-1] < 0.3 < 0.5 < losses[0]


@every_model
def test_the_lightning_module_trains_and_copies_it(name):
    sequences = [Data(x=torch.randn(12, 4), y=torch.tensor([i % 3])) for i in range(4)]
    classifier = SequenceClassifier(build(name), num_sequences=4)
    classifier.fit_normalization(sequences)
    batch = Batch.from_data_list(sequences)
    logits = classifier(batch)
    assert logits.shape == (4, 3)
    classifier.loss(logits, batch.y, classifier.model).backward()
    copied = copy.deepcopy(classifier.model).eval()
    assert torch.equal(copied(sequences[0].x), classifier.model.eval()(sequences[0].x))
    assert pickle.loads(pickle.dumps(classifier.model)).config == classifier.model.config


@every_graph_model
def test_the_line_graph_is_the_default(name):
    model, (x, mask) = build(name).double().eval(), ragged()
    graphs = [LineGraph()(Data(x=one, mask=present)) for one, present in zip(x, mask, strict=True)]
    data = Batch.from_data_list(graphs)
    logits = model(data.x, data.edge_index, batch=data.batch, mask=data.mask)
    assert torch.allclose(logits, model(x, mask=mask), rtol=1e-10, atol=1e-12)


@every_graph_model
def test_a_given_graph_means_the_same_in_every_layout(name):
    model, (x, mask) = build(name).double().eval(), ragged()
    weight = torch.rand(12, 12, dtype=torch.float64) * (torch.rand(12, 12) > 0.7)
    batch, frame = mask.nonzero(as_tuple=True)
    place = {"frame": frame, "batch": batch, "batch_size": 3}
    adjacency = LearnableAdjacency.from_dense(weight)
    dense = model(x, weight, mask=mask)
    assert not torch.allclose(dense, model(x, mask=mask))
    assert torch.allclose(model(x, DenseGraph(weight, mask)), dense, rtol=1e-10)
    assert torch.allclose(model(x[mask], *adjacency.edges(frame, batch), **place), dense, rtol=1e-10)
    shared = RaggedGraph.place(DenseGraph(weight), **place)
    assert torch.allclose(model(x[mask], shared), dense, rtol=1e-10)
    with pytest.raises(ValueError, match="carries its own"):
        model(x[mask], shared, frame=frame, batch=batch)


@pytest.mark.parametrize("name", ["PatchySAN", "PatchyDiff"])
def test_edges_count_in_both_directions_and_weights_alike(name):
    model, x = build(name).eval(), torch.randn(2, 12, 4)
    weight = torch.rand(12, 12).triu(1) * (torch.rand(12, 12) > 0.6)
    logits = model(x, weight)
    assert torch.equal(model(x, weight.T), logits)
    assert torch.equal(model(x, 5 * (weight + weight.T)), logits)


@pytest.mark.parametrize("name", sorted(set(SMALL) - set(GRAPHS)))
def test_models_without_a_graph_refuse_one(name):
    with pytest.raises(ValueError, match=f"edge_index was given, but {name} has no use for it"):
        build(name)(torch.randn(12, 4), torch.tensor([[0], [1]]))


@every_model
def test_errors_name_the_way_out(name):
    model = build(name)
    with pytest.raises(ValueError, match=r"x has 9 frames, .*num_nodes=12; pad with lgrin.transforms.CyclicPad\(12\)"):
        model(torch.randn(2, 9, 4))
    with pytest.raises(ValueError, match=r"x has 5 channels, .*in_channels=4"):
        model(torch.randn(2, 12, 5))
    with pytest.raises(ValueError, match="frame is None"):
        model(torch.randn(9, 4), batch=torch.zeros(9, dtype=torch.long))
    with pytest.raises(ValueError, match="edge_weight was given"):
        model(torch.randn(12, 4), edge_weight=torch.ones(1))
    with pytest.raises(ValueError, match="num_classes is 0"):
        type(model)(4, 12, 0)


def test_a_subclass_writes_classify():
    with pytest.raises(NotImplementedError):
        Baseline(4, 12, 3)(torch.randn(12, 4))
