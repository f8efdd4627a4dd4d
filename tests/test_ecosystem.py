"""The layers in other people's code: PyG containers, datasets and explainers, compilation, export, copies."""

import copy
import io
import pickle
import subprocess
import sys

import numpy as np
import pytest
import reference
import torch
from torch_geometric import EdgeIndex
from torch_geometric.datasets import KarateClub
from torch_geometric.explain import Explainer, GNNExplainer
from torch_geometric.explain.algorithm.graphmask_explainer import GraphMaskExplainer
from torch_geometric.nn import GCNConv, Sequential
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from lgrin import LGrIN
from lgrin.nn import (
    GraphInception,
    GraphReadout,
    GStarConv,
    LearnableAdjacency,
    LearnablePool,
    LGrINLoss,
    MaskedBatchNorm,
    StructureLoss,
)

FRAME, BATCH = torch.tensor([0, 2, 3, 1, 4, 5, 0]), torch.tensor([0, 0, 0, 1, 1, 1, 2])
PLACE = {"frame": FRAME, "batch": BATCH, "batch_size": 3}
LAYOUTS = ("dense", "masked", "banded", "ragged", "ragged banded", "edges")
LAYERS = {
    "adjacency": lambda: LearnableAdjacency(5, bandwidth=1),
    "conv": lambda: GStarConv(3, 4),
    "inception": lambda: GraphInception(3, (4, 2)),
    "pool": lambda: LearnablePool(5),
    "readout": lambda: GraphReadout(5),
    "norm": lambda: MaskedBatchNorm(3),
    "structure loss": lambda: StructureLoss(),
    "loss": lambda: LGrINLoss(10),
    "model": lambda: LGrIN(3, 5, 2, branch_channels=(4, 2)),
}


def arguments(layout):
    """Features and keywords of a layer for one layout, as constants."""
    adjacency = LearnableAdjacency(6, bandwidth=2 if "banded" in layout else None).requires_grad_(False)
    if "ragged" in layout:
        return torch.randn(7, 4), {"edge_index": adjacency.graph(**PLACE)}
    if layout == "edges":
        edge_index, edge_weight = adjacency.edges(FRAME, BATCH)
        return torch.randn(7, 4), {"edge_index": edge_index, "edge_weight": edge_weight}
    x = torch.randn(3, 6, 4)
    if layout == "dense":
        return x, {"edge_index": adjacency()}
    return x, {"edge_index": adjacency.graph(mask=torch.rand(3, 6) > 0.3)}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("make", [lambda: GStarConv(4, 3), lambda: GraphInception(4, (3, 2))])
def test_layers_compile_whole_in_every_layout(layout, make):
    torch.manual_seed(0)
    torch.compiler.reset()
    layer, (x, graph) = make(), arguments(layout)
    expected = copy.deepcopy(layer)(x, **graph)
    out = torch.compile(layer, fullgraph=True, backend="aot_eager")(x, **graph)
    out.sum().backward()
    assert torch.allclose(out, expected, atol=1e-5)


def test_layers_compile_by_default_behind_a_transposed_input():
    torch.manual_seed(0)
    torch.compiler.reset()
    layer, adj = GraphInception(4, (3, 2), norm=None), torch.rand(6, 6)
    x = torch.randn(2, 4, 6)
    expected = layer(x.transpose(1, 2), adj)
    out = torch.compile(lambda z: layer(z.transpose(1, 2), adj), fullgraph=True)(x)
    assert torch.allclose(out, expected, atol=1e-5)


@pytest.mark.parametrize("options", [{}, {"bandwidth": 2}])
def test_the_model_compiles_whole(options):
    torch.manual_seed(0)
    torch.compiler.reset()
    model = LGrIN(4, 6, 3, branch_channels=(4,), dropout=0.0, adjacency=options)
    compiled = torch.compile(copy.deepcopy(model), fullgraph=True)
    x = torch.randn(3, 6, 4)
    for args, place in (((x,), {}), ((torch.randn(7, 4),), PLACE)):
        out, expected = compiled(*args, **place), model(*args, **place)
        out.sum().backward()
        assert torch.allclose(out, expected, atol=1e-4)


@pytest.mark.parametrize("options", [{}, {"bandwidth": 2}])
@pytest.mark.parametrize("masked", [True, False])
def test_the_model_exports_with_a_dynamic_batch(options, masked):
    model = LGrIN(4, 6, 3, branch_channels=(4,), adjacency=options).eval()

    def inputs(batch_size):
        mask = {"mask": torch.rand(batch_size, 6) > 0.3} if masked else {}
        return (torch.randn(batch_size, 6, 4),), mask

    args, kwargs = inputs(3)
    dynamic = {"x": {0: torch.export.Dim.DYNAMIC}, **({"mask": {0: torch.export.Dim.DYNAMIC}} if masked else {})}
    program = torch.export.export(model, args, kwargs, dynamic_shapes=dynamic)
    for batch_size in (2, 9):
        args, kwargs = inputs(batch_size)
        assert torch.allclose(program.module()(*args, **kwargs), model(*args, **kwargs), atol=1e-6)


@pytest.mark.parametrize("options", [{}, {"bandwidth": 2}])
def test_the_model_exports_ragged_with_a_batch_size(options):
    model = LGrIN(4, 6, 3, branch_channels=(4,), adjacency=options).eval()
    nodes = {0: torch.export.Dim.DYNAMIC}
    program = torch.export.export(
        model,
        (torch.randn(7, 4),),
        PLACE,
        dynamic_shapes={"x": nodes, "frame": nodes, "batch": nodes, "batch_size": None},
    )
    place = {"frame": torch.arange(5), "batch": torch.tensor([0, 0, 1, 1, 2]), "batch_size": 3}
    x = torch.randn(5, 4)
    assert torch.allclose(program.module()(x, **place), model(x, **place), atol=1e-6)


def test_layers_export_with_graph_objects_as_inputs():
    layer = GraphInception(4, (3,)).eval()
    for layout in ("masked", "banded"):
        x, graph = arguments(layout)
        program = torch.export.export(layer, (x, graph["edge_index"]))
        assert torch.allclose(program.module()(x, graph["edge_index"]), layer(x, **graph), atol=1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layers_run_under_autocast_to_bfloat16(layout):
    torch.manual_seed(0)
    layer, (x, graph) = GraphInception(4, (16, 8)), arguments(layout)
    expected = copy.deepcopy(layer)(x, **graph)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x, **graph)
    out.sum().backward()
    assert (out - expected).abs().max() < 0.05 * expected.abs().max()


def test_the_model_moves_to_another_dtype():
    model = LGrIN(3, 5, 2, branch_channels=(4,)).to(torch.bfloat16)
    assert model(torch.randn(2, 5, 3, dtype=torch.bfloat16)).dtype == torch.bfloat16
    meta = LGrIN(3, 5, 2).to("meta")
    assert meta(torch.empty(2, 5, 3, device="meta")).shape == (2, 2)


@pytest.mark.parametrize("name", LAYERS)
def test_layers_copy_pickle_save_and_print(name):
    torch.manual_seed(0)
    layer = LAYERS[name]()
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        for one, other in zip(twin.state_dict().values(), layer.state_dict().values(), strict=True):
            assert torch.equal(one, other)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    fresh = LAYERS[name]()
    fresh.load_state_dict(torch.load(file, weights_only=True))
    for one, other in zip(fresh.state_dict().values(), layer.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    if name != "model":
        assert "\n" not in repr(layer)
        assert repr(layer).startswith(type(layer).__name__ + "(")


@pytest.mark.parametrize("name", ["adjacency", "conv", "inception", "pool", "readout", "norm"])
def test_reset_parameters_forgets_everything(name):
    layer = LAYERS[name]()
    with torch.no_grad():
        for tensor in layer.state_dict().values():
            tensor.fill_(7)
    layer.reset_parameters()
    assert not any((tensor == 7).any() for tensor in layer.state_dict().values())


def test_layers_stand_in_a_pyg_sequential():
    data = KarateClub()[0]
    model = Sequential(
        "x, edge_index",
        [
            (GStarConv(34, 8), "x, edge_index -> x"),
            (GraphInception(8, (8, 4)), "x, edge_index -> x"),
            torch.nn.Linear(20, 4),
        ],
    )
    assert model(data.x, data.edge_index).shape == (34, 4)


def test_a_node_classifier_learns_the_karate_club():
    torch.manual_seed(0)
    data = KarateClub()[0]
    edge_index, edge_weight = gcn_norm(data.edge_index, num_nodes=34)
    model = Sequential(
        "x, edge_index, edge_weight",
        [
            (GraphInception(34, (16,), norm=None), "x, edge_index, edge_weight -> x"),
            (GStarConv(50, 16, norm=None), "x, edge_index, edge_weight -> x"),
            torch.nn.Linear(16, 4),
        ],
    )
    optimizer = torch.optim.Adam(model.parameters(), 0.01, weight_decay=5e-3)
    for _ in range(100):
        optimizer.zero_grad()
        out = model(data.x, edge_index, edge_weight)
        torch.nn.functional.cross_entropy(out[data.train_mask], data.y[data.train_mask]).backward()
        optimizer.step()
    hidden = ~data.train_mask
    accuracy = (out.argmax(1) == data.y)[hidden].float().mean()
    assert accuracy > 0.6  # from 4 labelled nodes; guessing the largest class gives 0.4


def test_learned_edges_in_a_gcn_equal_equation_3():
    torch.manual_seed(0)
    adjacency, conv = LearnableAdjacency(6, init="uniform").double(), GCNConv(3, 2, bias=False).double()
    with torch.no_grad():
        adjacency.weight.fill_diagonal_(0)
        adjacency.weight.copy_((adjacency.weight + adjacency.weight.T) / 2)  # Eq. (3) is written for undirected graphs
    x = torch.randn(6, 3).double()
    edge_index, edge_weight = adjacency.edges()
    out = conv(x, edge_index, edge_weight)
    expected = reference.gcn(x.numpy(), adjacency().detach().numpy(), conv.lin.weight.detach().numpy().T)
    assert np.abs(out.detach().numpy() - expected).max() < 1e-10
    out.sum().backward()
    assert adjacency.weight.grad.abs().sum() > 0


def test_every_kind_of_adjacency_means_the_same():
    torch.manual_seed(0)
    layer, x = GraphInception(3, (4,), norm=None).double(), torch.randn(4, 3).double()
    adj = torch.tensor([[0.0, 2, 0, 0], [0, 0, 1, 0], [0, -1, 0, 3], [0, 0, 0, 0]]).double()
    target, source = adj.nonzero(as_tuple=True)
    edge_index, weight = torch.stack([source, target]), adj[target, source]
    expected = layer(x, adj)
    assert torch.allclose(layer(x, edge_index, weight), expected, atol=1e-12)
    assert torch.allclose(layer(x, edge_index.int(), weight), expected, atol=1e-12)
    assert torch.allclose(layer(x, EdgeIndex(edge_index, sparse_size=(4, 4)), weight), expected, atol=1e-12)
    halves = torch.cat([edge_index, edge_index], 1), torch.cat([3 * weight, -2 * weight])
    assert torch.allclose(layer(x, *halves), expected, atol=1e-12), "parallel edges are summed"
    blocks = {torch.sparse_bsr: (2, 2), torch.sparse_bsc: (2, 2)}
    for kind in (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc, torch.sparse_bsr, torch.sparse_bsc):
        matrix = adj.to_sparse(layout=kind, blocksize=blocks.get(kind))
        assert torch.allclose(layer(x, matrix), expected, atol=1e-12), kind
    leaf = adj.to_sparse().requires_grad_()
    layer(x, leaf).sum().backward()
    assert leaf.grad.to_dense().abs().sum() > 0


def test_an_edge_list_without_edges_leaves_every_node_to_itself():
    x = torch.randn(3, 2)
    layer = GraphInception(2, (4,), norm=None)
    nothing = torch.empty(2, 0, dtype=torch.long)
    for graph in ((nothing,), (nothing, torch.empty(0)), (torch.zeros(3, 3),), (torch.full((3, 3), -1.0).tril(-9),)):
        assert torch.equal(layer(x, *graph)[:, 4:], x)


def test_an_explainer_finds_the_edge_that_matters():
    torch.manual_seed(0)
    model = LGrIN(1, 4, 2, branch_channels=(8,), num_layers=1, norm=None, dropout=0.0, input_norm=False,
                  readout={"parts": ("sum",)}, adjacency={"init": torch.ones(4, 4)})  # fmt: skip
    x = torch.randn(64, 4, 1)
    x[:, 3] = x[:, 3] * 4  # frame 3 alone decides
    y = (x[:, 3, 0] > 0).long()
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(150):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    explainer = Explainer(
        model.eval(),
        algorithm=GNNExplainer(epochs=100),
        explanation_type="model",
        edge_mask_type="object",
        model_config={"mode": "multiclass_classification", "task_level": "graph", "return_type": "raw"},
    )
    edge_index, edge_weight = model.adjacency.edges()
    sample = torch.tensor([[0.1], [-0.1], [0.1], [4.0]])
    explanation = explainer(
        sample, edge_index, edge_weight=edge_weight.detach(), batch=torch.zeros(4, dtype=torch.long)
    )
    assert explanation.validate()
    from_three = edge_index[0] == 3
    assert explanation.edge_mask[from_three].mean() > explanation.edge_mask[~from_three].mean()


def test_an_explanation_of_a_matrix_is_refused():
    layer = GStarConv(3, 4)
    layer.explain = True
    with pytest.raises(ValueError, match=r"pass edge_index, edge_weight = adjacency.edges"):
        layer(torch.randn(4, 3), torch.rand(4, 4))


@pytest.mark.parametrize("layer", [GStarConv(3, 3), GraphInception(3, (3,))])
def test_an_explainer_of_messages_is_refused_by_name(layer):
    explainer = Explainer(
        layer,
        algorithm=GraphMaskExplainer(1, epochs=1, log=False),
        explanation_type="model",
        node_mask_type="attributes",
        edge_mask_type="object",
        model_config={"mode": "regression", "task_level": "node", "return_type": "raw"},
    )
    with pytest.raises(NotImplementedError, match=r"has no messages .* GraphMaskExplainer .* such as GNNExplainer"):
        explainer(torch.randn(3, 3), torch.tensor([[0, 1], [1, 2]]))


@pytest.mark.parametrize("present", [True, False])
def test_torch_scatter_makes_no_difference(present):
    if present:
        pytest.importorskip("torch_scatter")
    block = "" if present else "sys.modules['torch_scatter'] = None; "
    program = (
        f"import sys; {block}import torch, lgrin; from torch_geometric import typing; torch.manual_seed(0); "
        "x, e = torch.randn(5, 3), torch.tensor([[0, 1, 4], [1, 2, 2]]); "
        "out = lgrin.nn.GraphInception(3, (4,))(x, e); out.sum().backward(); "
        "print(typing.WITH_TORCH_SCATTER, repr(out.double().sum().item()))"
    )
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True)
    torch.manual_seed(0)
    x, edge_index = torch.randn(5, 3), torch.tensor([[0, 1, 4], [1, 2, 2]])
    expected = GraphInception(3, (4,))(x, edge_index).double().sum().item()
    assert result.stdout.split() == [str(present), repr(expected)]
