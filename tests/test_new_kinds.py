"""A new adjacency, layout or readout is a file of its own and a line in a table: here each is written and used."""

from typing import NamedTuple

import layouts
import pytest
import test_agreement
import test_graph
import torch
from layouts import PaddedBatch
from torch import Tensor
from torch.nn import Linear, Module
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GraphConv

from lgrin import LGrIN
from lgrin.graph import LAYOUTS, DenseGraph, RaggedGraph
from lgrin.models import fold
from lgrin.nn import Adjacency, GraphReadout, GStarConv, LGrINLoss, structure_loss
from lgrin.nn.adjacency import ADJACENCIES
from lgrin.nn.pool import PARTS
from lgrin.nodes import at_least_float32, zero_absent
from lgrin.training import SequenceClassifier, fit


class SimilarFrames(Adjacency):
    """Connects frames whose features are alike, a graph for each sequence."""

    reads_features = True

    def __init__(self, num_nodes, in_channels, width=4):
        super().__init__(num_nodes)
        self.config = {"in_channels": in_channels, "width": width}
        self.lin = Linear(in_channels, width)
        self.reset_parameters()

    def reset_parameters(self):
        self.lin.reset_parameters()

    def weigh(self, nodes):
        x, present = nodes.lay_out(self.num_nodes)
        h = zero_absent(self.lin(x), present)
        return DenseGraph((h @ h.mT).relu() / self.num_nodes)


@pytest.fixture(autouse=True)
def tables(monkeypatch):
    monkeypatch.setitem(ADJACENCIES, "SimilarFrames", SimilarFrames)
    monkeypatch.setitem(PARTS, "range", spread)
    monkeypatch.setitem(PARTS, "attention", AttentionPool)
    monkeypatch.setitem(LAYOUTS, "listed", ListedGraph)


def model(**options):
    torch.manual_seed(0)
    return LGrIN(
        3, 6, 2, branch_channels=(4, 2), adjacency={"name": "SimilarFrames", "in_channels": 3}, dropout=0.0, **options
    ).double()


def batch():
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(5, 6, 3, generator=generator).double()
    mask = torch.rand(5, 6, generator=generator) > 0.3
    place = {"frame": torch.arange(6).expand(5, 6)[mask], "batch": mask.nonzero()[:, 0], "batch_size": 5}
    return x, mask, place


@pytest.mark.parametrize("training", [True, False])
def test_an_adjacency_that_reads_features_agrees_in_every_layout(training):
    network, (x, mask, place) = model().train(training), batch()
    junk = x.masked_fill(~mask.unsqueeze(-1), torch.nan)
    state = {name: value.clone() for name, value in network.state_dict().items()}
    expected, graph = network(junk, mask=mask, return_graph=True)
    network.load_state_dict(state)
    ragged, placed = network(x[mask], **place, return_graph=True)
    torch.testing.assert_close(ragged, expected, rtol=1e-10, atol=1e-10)
    assert isinstance(graph, DenseGraph)
    assert graph.adj.shape == (5, 6, 6)
    assert isinstance(placed, RaggedGraph)
    network.load_state_dict(state)
    flat = {"frame": torch.arange(6).repeat(5), "batch": torch.arange(5).repeat_interleave(6), "mask": mask.flatten()}
    torch.testing.assert_close(network(junk.flatten(0, 1), **flat), expected, rtol=1e-10, atol=1e-10)


def test_a_graph_for_each_sequence_takes_one_sequence_and_further_leading_axes():
    network, (x, mask, _) = model().eval(), batch()
    torch.testing.assert_close(network(x[0], mask=mask[0]), network(x, mask=mask)[:1])
    torch.testing.assert_close(network(x[0]), network(x)[:1])
    conv, adjacency = GStarConv(3, 4).double().eval(), network.adjacency
    deep, expected = x.expand(2, 5, 6, 3), conv(x, adjacency.graph(x=x, mask=mask))
    for watched in (False, True):
        if watched:
            adjacency.register_forward_hook(lambda *call: None)
        graph = adjacency.graph(x=deep, mask=mask.expand(2, 5, 6))
        torch.testing.assert_close(conv(deep, graph), expected.expand(2, 5, 6, 4))


def test_its_edges_are_the_same_where_hooks_watch_it():
    adjacency, (x, mask, _) = SimilarFrames(6, 3).double(), batch()
    expected = adjacency.edges(x=x, mask=mask)
    adjacency.register_forward_hook(lambda *call: None)
    torch.testing.assert_close(adjacency.edges(x=x, mask=mask), expected)


def test_its_edges_serve_other_layers_and_carry_gradients():
    adjacency, (x, mask, place) = SimilarFrames(6, 3).double(), batch()
    edge_index, edge_weight = adjacency.edges(place["frame"], place["batch"], x=x[mask])
    graph = adjacency.graph(**place, x=x[mask])
    conv = GraphConv(3, 3, bias=False).double()
    torch.nn.init.eye_(conv.lin_rel.weight)
    torch.nn.init.zeros_(conv.lin_root.weight)
    torch.testing.assert_close(conv(x[mask], edge_index, edge_weight), graph.aggregate(x[mask]))
    edge_weight.sum().backward()
    assert float(adjacency.lin.weight.grad.abs().sum()) > 0


def test_its_penalty_is_the_mean_over_sequences_and_asks_for_the_graph():
    network, (x, mask, place) = model(), batch()
    loss, target = LGrINLoss(9, lambda_pool=0.0), torch.tensor([0, 1, 0, 1, 1])
    logits, graph = network(x, return_graph=True)
    each = [structure_loss(one, reduction="mean") for one in graph.adj]
    torch.testing.assert_close(loss.penalty(network, graph), torch.stack(each).mean())
    with pytest.raises(ValueError, match=r"graph is None, but the graph of a SimilarFrames differs by sequence"):
        loss(logits, target, network)
    _, placed = network(x[mask], **place, return_graph=True)
    loss(logits, target, network, placed).backward()
    assert float(network.adjacency.lin.weight.grad.abs().sum()) > 0


class EveryPair(Adjacency):
    """Connects all pairs of frames, absent ones too."""

    reads_features = True

    def weigh(self, nodes):
        x, _ = nodes.lay_out(self.num_nodes)
        return DenseGraph(torch.sigmoid(x @ x.mT))


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_its_penalty_is_that_of_the_present_frames_in_every_layout(reduction):
    adjacency, (x, mask, _) = EveryPair(6), batch()
    mask[:, 4:] = False  # flat nodes are padded to 4 frames, dense ones to 6
    sequence, frame = mask.nonzero(as_tuple=True)
    dense, ragged = adjacency.graph(x=x, mask=mask), adjacency.graph(frame, sequence, x=x[mask], batch_size=5)
    assert (dense.num_nodes, ragged.padded.num_nodes) == (6, 4)
    index = torch.arange(6.0).double()
    each = (0.3 * (index - index[:, None]).square() + 0.2 * dense.adj) * dense.adj * mask[:, None] * mask[..., None]
    expected = each.sum() / 5 / (36 if reduction == "mean" else 1)
    for graph in (dense, ragged):
        torch.testing.assert_close(adjacency.penalty(graph, 0.3, 0.2, reduction), expected)


def test_two_graphs_that_depend_on_features_are_not_priced_by_one():
    pair = torch.nn.ModuleList([EveryPair(6), EveryPair(6)])
    graph = pair[0].graph(x=batch()[0])
    with pytest.raises(
        ValueError, match=r"model holds 2 adjacencies that depend on features, but graph is that of one"
    ):
        LGrINLoss(9).penalty(pair, graph)
    assert float(LGrINLoss(9, lambda_distance=0.0, lambda_frobenius=0.0).penalty(pair)) == 0


def test_hooks_on_it_see_its_nodes_and_its_graph():
    network, (x, mask, _) = model(), batch()
    expected, seen = network(x, mask=mask), []
    network.adjacency.register_forward_hook(lambda module, inputs, output: seen.append((inputs[0], output)))
    torch.testing.assert_close(network(x, mask=mask), expected)
    ((given, graph),) = seen
    assert given.shape == x.shape
    assert graph.aggregate(x).shape == x.shape


def test_it_is_stored_by_name_folds_and_comes_back(tmp_path):
    network, (x, _, _) = model().eval(), batch()
    classifier = SequenceClassifier(network, 9)
    again = SequenceClassifier(**classifier.hparams).double()
    again.load_state_dict(classifier.state_dict())
    assert torch.equal(again.model.eval()(x), network(x))
    torch.testing.assert_close(fold(network)(x), network(x))


def test_a_sequence_classifier_trains_it_with_its_price_and_its_checkpoint_brings_it_back(tmp_path):
    x, mask, _ = batch()
    sequences = [Data(x=x[i].float(), mask=mask[i], y=torch.tensor([i % 2])) for i in range(5)]
    network = model().float()
    classifier = SequenceClassifier(network, 5, loss={"lambda_distance": 3.0})
    one, start = Batch.from_data_list(sequences), network.adjacency.lin.weight.detach().clone()
    inputs = {"x": one.x, "batch": one.batch, "mask": one.mask, "batch_size": 5}
    logits, graph = network(**inputs, return_graph=True)
    expected = LGrINLoss(5, 3.0)(logits, one.y, network, graph)
    torch.testing.assert_close(classifier.loss_of(one.y, {**inputs, "frame": None}), expected)

    best = fit(classifier, sequences, sequences, tmp_path, epochs=2, progress=False, device="cpu")
    assert not torch.equal(network.adjacency.lin.weight, start)
    again = SequenceClassifier.load_from_checkpoint(best)
    assert again.model.adjacency.config == network.adjacency.config
    classifier.load_state_dict(torch.load(best, weights_only=True)["state_dict"])
    assert torch.equal(again.eval()(one), classifier.eval()(one))


@pytest.mark.parametrize("ask", ["forward", "graph", "edges"])
def test_without_features_it_says_so(ask):
    frames = {"frame": torch.arange(6), "batch": torch.zeros(6, dtype=torch.long)}
    for place in ({}, frames):
        with pytest.raises(ValueError, match="x is None, but the graph of SimilarFrames depends on the features; pass"):
            getattr(SimilarFrames(6, 3), ask)(**place)


def test_an_adjacency_that_returns_no_graph_or_cannot_weigh_says_so():
    class Matrix(Adjacency):
        def weigh(self, nodes):
            return torch.eye(6)

    with pytest.raises(TypeError, match=r"Matrix\.weigh returned a Tensor; it may return a DenseGraph or"):
        Matrix(6).graph()
    with pytest.raises(NotImplementedError, match=r"Adjacency has no method weigh\(nodes\)"):
        Adjacency(6).graph()


class ListedGraph(NamedTuple):
    """A matrix as its non-zero entries in one row, a layout that the library does not have."""

    index: Tensor
    weight: Tensor
    mask: Tensor | None = None

    @classmethod
    def from_dense(cls, adj, mask=None):
        return cls((adj != 0).nonzero(), adj[adj != 0], mask)

    def aggregate(self, x):
        target, source = self.index.T
        messages = at_least_float32(zero_absent(x, self.mask))[..., source, :] * self.weight.unsqueeze(-1)
        total = torch.zeros_like(x).index_add(-2, target, messages.to(x.dtype))
        return zero_absent(total, self.mask)

    def neighbor_max(self, x):
        return self._dense(x).neighbor_max(x)

    def line_max(self, x):
        return self._dense(x).line_max(x)

    def _dense(self, x):
        adj = x.new_zeros(x.size(-2), x.size(-2)).index_put(tuple(self.index.T), self.weight)
        return DenseGraph(adj, self.mask)


def test_a_new_layout_passes_the_property_tests_that_contributing_names(monkeypatch):
    assert "listed" in layouts.kinds()
    for module in (test_agreement, test_graph):
        monkeypatch.setattr(module, "KINDS", ("dense", "listed"))
    test_graph.test_every_layout_aggregates_and_compares_like_its_definition_and_clears_absent_rows()
    test_agreement.test_node_layers_agree_in_every_layout()
    test_agreement.test_the_model_agrees_in_every_layout()
    test_agreement.test_weights_trained_dense_give_the_same_logits_in_the_other_layouts("listed")


@pytest.mark.parametrize("broken", ["aggregate", "neighbor_max", "line_max"])
def test_the_property_tests_see_a_new_layout_that_is_wrong(monkeypatch, broken):
    wrong = type("Wrong", (ListedGraph,), {broken: lambda graph, x: 2 * getattr(ListedGraph, broken)(graph, x)})
    monkeypatch.setitem(LAYOUTS, "listed", wrong)
    monkeypatch.setattr(test_agreement, "KINDS", ("dense", "listed"))
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(*shape, generator=generator).double() for shape in ((2, 5, 3), (5, 5)))
    data = PaddedBatch(x, torch.ones(2, 5, dtype=torch.bool), weight, 5)
    check = test_agreement.test_node_layers_agree_in_every_layout.hypothesis.inner_test
    monkeypatch.setattr(test_agreement, "note", lambda text: None)  # it belongs to what hypothesis runs
    with pytest.raises(AssertionError):
        check(data=data, training=False, norm="batch_norm", options={})


def test_a_new_layout_is_refused_a_second_mask():
    graph = ListedGraph.from_dense(torch.eye(5))
    with pytest.raises(ValueError, match="mask was given beside a graph object"):
        GStarConv(3, 4)(torch.rand(2, 5, 3), graph, mask=torch.ones(2, 5, dtype=torch.bool))


def spread(nodes):
    """Largest minus smallest, a part of a readout without weights."""
    return nodes.largest() + nodes._replace(x=-nodes.x).largest()


class AttentionPool(Module):
    """A part of a readout with a weight for each channel."""

    def __init__(self, num_nodes):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def reset_parameters(self):
        torch.nn.init.zeros_(self.weight)

    def forward(self, x, frame=None, batch=None, mask=None, batch_size=None):
        from lgrin.nodes import Nodes

        return Nodes.read(x, frame, batch, mask, batch_size).mean() * (1 + self.weight)


def test_new_parts_of_a_readout_agree_in_every_layout_and_are_stored():
    x, mask, place = batch()
    readout = GraphReadout(6, ("range", "attention", "learned")).double()
    junk = x.masked_fill(~mask.unsqueeze(-1), torch.nan)
    dense = readout(junk, mask=mask)
    torch.testing.assert_close(readout(x[mask], **place), dense, rtol=1e-10, atol=1e-10)
    first = x[0][mask[0]]
    torch.testing.assert_close(dense[0, :3], first.max(0)[0] - first.min(0)[0])
    network = LGrIN(3, 6, 2, branch_channels=(4,), readout={"parts": ("range", "attention")}).double().eval()
    again = LGrIN(**network.config).double().eval()
    again.load_state_dict(network.state_dict())
    assert "readout.attention.weight" in network.state_dict()
    assert torch.equal(again(x), network(x))
