"""Several graphs over the same nodes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import sequences
from torch_geometric.explain.algorithm.utils import set_masks

from lgrin import LGrIN
from lgrin.graph import BandedGraph, DenseGraph, EdgeList
from lgrin.models import fold
from lgrin.nn import GraphInception, GStarConv, LearnableAdjacency, LGrINLoss, fused, structure_loss
from lgrin.training import SequenceClassifier

K = 3
KINDS = ("dense", "banded", "ragged", "ragged banded", "edges")
STORAGE = [{}, {"bandwidth": 2}, {"symmetric": True}, {"bandwidth": 2, "symmetric": True}]


def matrices(num_nodes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(K, num_nodes, num_nodes, generator=generator, dtype=torch.float64)
    index = torch.arange(num_nodes)
    return weight * ((index - index[:, None]).abs() <= 2) * (torch.rand(weight.shape, generator=generator) > 0.3)


def of_sequences(A, data, normalize):
    """The K matrices of each sequence in NumPy, absent frames left out, averages as in the class's docstring."""
    present = data.mask.numpy()
    A = A.numpy()[None] * present[:, None, None, :] * present[:, None, :, None]
    if normalize is None:
        return A
    total = np.abs(A).sum(-1, keepdims=True)
    return A / np.where(total <= np.finfo(float).eps, 1, total)


def graph_of(kind, adjacency, data):
    if kind in ("dense", "banded"):
        return data.x, adjacency.graph(mask=data.mask)
    batch, frame = data.mask.nonzero(as_tuple=True)
    x = data.x[data.mask]
    if kind == "edges":
        return x, EdgeList(*adjacency.edges(frame, batch))
    return x, adjacency.graph(frame, batch, batch_size=data.x.size(0))


@settings(deadline=None, max_examples=50)
@given(data=sequences(), normalize=st.sampled_from([None, "present"]), wide=st.booleans(), own=st.booleans())
def test_layers_agree_with_their_definition_in_every_layout(data, normalize, wide, own):
    weight = matrices(data.num_nodes)
    torch.manual_seed(0)
    conv = GStarConv(3, 8 if wide else 2, norm=None, act="tanh", heads=K, self_features=own).double()
    lins = [(lin.weight.detach().numpy(), lin.bias.detach().numpy()) for lin in conv.lins]
    for kind in KINDS:
        bandwidth = 2 if "banded" in kind else None
        options = {"nonnegativity": None, "normalize": normalize, "heads": K, "bandwidth": bandwidth}
        adjacency = LearnableAdjacency.from_dense(weight, **options)
        A = of_sequences(adjacency().detach(), data, normalize)
        x, graph = graph_of(kind, adjacency, data)
        found = conv(x, graph).detach()
        found = found[data.mask] if found.dim() == 3 else found
        H = data.x.nan_to_num(0).numpy()
        sums = [A[:, k] @ H for k in range(K)]
        expected = np.concatenate([H, *sums] if own else sums, axis=-1)
        for W, b in lins:
            expected = np.tanh(expected @ W.T + b)
        np.testing.assert_allclose(found.numpy(), expected[data.mask.numpy()], rtol=0, atol=1e-9)
        with fused.disabled():
            alone = conv(x, graph).detach()
        alone = alone[data.mask] if alone.dim() == 3 else alone
        torch.testing.assert_close(alone, found, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("options", STORAGE)
def test_heads_are_matrices_of_their_own(options):
    torch.manual_seed(0)
    adjacency = LearnableAdjacency(6, heads=K, nonnegativity=None, normalize="row", **options).double()
    A, x = adjacency(), torch.randn(2, 6, 4, dtype=torch.float64)
    assert A.shape == (K, 6, 6)
    graph = adjacency.graph()
    assert graph.heads == K
    torch.testing.assert_close(graph.aggregate(x), torch.cat([A[k] @ x for k in range(K)], dim=-1))
    parts = torch.randn(2, 6, 4 * K, dtype=torch.float64)
    expected = sum(A[k] @ part for k, part in enumerate(parts.chunk(K, dim=-1)))
    torch.testing.assert_close(graph.combine(parts), expected)
    union = DenseGraph((A != 0).any(0).double())
    assert torch.equal(graph.neighbor_max(x), union.neighbor_max(x))
    torch.testing.assert_close(structure_loss(graph), sum(structure_loss(one) for one in A))
    torch.testing.assert_close(adjacency.penalty(), sum(structure_loss(one, reduction="mean") for one in A) / K)
    frozen = adjacency.frozen()
    torch.testing.assert_close(frozen(), A)


def test_one_head_is_stored_and_computed_as_before():
    one, plain = LearnableAdjacency(5, heads=1, init="lazy"), LearnableAdjacency(5, init="lazy")
    assert one.weight.shape == (5, 5)
    assert one.config == plain.config
    assert torch.equal(one(), plain())
    assert one.graph().heads == 1


def test_edges_are_those_of_all_heads_or_of_one():
    weight = torch.tensor([[[0.0, 2], [0, 0]], [[0, -1], [3, 0]]])
    adjacency = LearnableAdjacency(2, heads=2, init=weight, nonnegativity=None)
    edge_index, edge_weight = adjacency.edges()
    assert edge_index.tolist() == [[1, 0], [0, 1]]
    assert edge_weight.tolist() == [[2.0, -1.0], [0.0, 3.0]]
    edge_index, edge_weight = adjacency.edges(head=0)
    assert (edge_index.tolist(), edge_weight.tolist()) == ([[1], [0]], [2.0])
    for graph, heads in ((adjacency, 2), (LearnableAdjacency(2), 1)):
        with pytest.raises(ValueError, match=rf"head is {heads}; with heads={heads} it is one of 0..{heads - 1}"):
            graph.edges(head=heads)


def test_one_graph_serves_every_head_and_another_number_is_refused():
    conv, x = GStarConv(3, 4, heads=K).eval(), torch.randn(2, 5, 3)
    A = torch.rand(5, 5)
    same = DenseGraph(A.expand(1, K, 5, 5))
    torch.testing.assert_close(conv(x, A), conv(x, same))
    for layer in (conv, GraphInception(3, (4,), heads=K).eval(), GStarConv(3, 4).eval()):
        with pytest.raises(ValueError, match=r"the graph has 2 heads, but this layer was built for heads=\d"):
            layer(x, DenseGraph(torch.rand(1, 2, 5, 5)))
    with pytest.raises(ValueError, match=r"shape \[2, 3, 5, 5\].*For several heads pass a graph"):
        conv(x, torch.rand(2, 3, 5, 5))


def test_an_edge_mask_multiplies_all_heads():
    conv, x = GStarConv(3, 4, norm=None, heads=2).double(), torch.randn(5, 3).double()
    edge_index, edge_weight = torch.rand(5, 5).gt(0.4).nonzero().T, torch.rand(25, 2).double()
    edge_weight, factor = edge_weight[: edge_index.size(1)], torch.rand(edge_index.size(1)).double()
    expected = conv(x, edge_index, edge_weight * factor[:, None])
    set_masks(conv, factor, edge_index, apply_sigmoid=False)
    torch.testing.assert_close(conv(x, edge_index, edge_weight), expected)


@pytest.mark.parametrize("bandwidth", [None, 2])
@pytest.mark.parametrize("own", [True, False])
def test_a_network_of_several_heads_trains_folds_compiles_and_is_stored(bandwidth, own):
    torch.manual_seed(0)
    options = {"heads": K, "nonnegativity": None, "bandwidth": 2} if bandwidth else {"heads": K, "init": "uniform"}
    model = LGrIN(3, 6, 2, branch_channels=(4, 2), adjacency=options, self_features=own, dropout=0.0).double()
    x, y, loss = torch.randn(4, 6, 3).double(), torch.tensor([0, 1, 0, 1]), LGrINLoss(9)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    before = float(loss(model(x), y, model))
    for _ in range(30):
        optimizer.zero_grad()
        loss(model(x), y, model).backward()
        optimizer.step()
    assert float(loss(model(x), y, model)) < before
    model.eval()
    mask = torch.rand(4, 6) > 0.3
    mask[:, 0] = True
    batch, frame = mask.nonzero(as_tuple=True)
    torch.testing.assert_close(model(x[mask], frame=frame, batch=batch), model(x, mask=mask), rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(fold(model)(x), model(x))
    again = SequenceClassifier(**SequenceClassifier(model, 9).hparams).model.double()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval()(x), model(x))
    exported = torch.export.export(model, (x,)).module()
    torch.testing.assert_close(exported(x), model(x))


@pytest.mark.parametrize("layout", ["dense", "banded", "edges"])
def test_gradients_reach_every_head(layout):
    A = matrices(4).requires_grad_()
    x = torch.randn(4, 2, dtype=torch.float64, requires_grad=True)
    index = torch.arange(4)

    def run(A, x):
        if layout == "dense":
            graph = DenseGraph(A.unsqueeze(0))
        elif layout == "banded":
            source = (index[:, None] + torch.arange(-2, 3)).clamp(0, 3)
            inside = (index[:, None] + torch.arange(-2, 3)).clamp(0, 3) == index[:, None] + torch.arange(-2, 3)
            graph = BandedGraph(A[:, index[:, None], source] * inside)
        else:
            target, source = torch.ones(4, 4).nonzero(as_tuple=True)
            graph = EdgeList(torch.stack([source, target]), A[:, target, source].T)
        return graph.aggregate(x), graph.combine(torch.cat([x, 2 * x, x.square()], dim=-1))

    assert torch.autograd.gradcheck(run, (A, x))
