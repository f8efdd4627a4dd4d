"""Bad input: one clear error that names the argument, its value and the way out, and nothing has changed."""

import re
import sys
from importlib import import_module

import pytest
import torch
from torch_geometric import EdgeIndex
from torch_geometric.data import Data

from lgrin import LGrIN, validate
from lgrin.baselines import BLSTM, GCN
from lgrin.graph import DenseGraph
from lgrin.nn import (
    GraphInception,
    GraphReadout,
    GStarConv,
    LearnableAdjacency,
    LearnablePool,
    LGrINLoss,
    structure_loss,
)
from lgrin.transforms import CyclicPad

X, FLAT, EDGES = torch.randn(2, 5, 3), torch.randn(4, 3), torch.tensor([[0, 1], [1, 2]])
ADJ = torch.rand(5, 5)

LAYER_ERRORS = {
    "integer features": (X.long(), ADJ, {}, TypeError, "x is torch.int64; .* pass x.float()"),
    "rank 1": (X[0, 0], ADJ, {}, ValueError, r"x has shape \[3\]; node features are"),
    "rank 4, edge list": (X[None], EDGES, {}, ValueError, r"x has shape \[1, 2, 5, 3\]; beside an edge list"),
    "rank 4, mask of rank 2": (
        X[None],
        ADJ,
        {"mask": torch.ones(2, 5).bool()},
        ValueError,
        r"mask is torch.bool \[2, 5\]; .*\[1, 2, 5\]",
    ),
    "rank 4, stack of others": (X[None], ADJ.expand(2, 5, 5), {}, ValueError, "edge_index holds 2 matrices"),
    "wrong channels": (X[..., :2], ADJ, {}, ValueError, "x has 2 channels, but this layer was built for in_channels=3"),
    "wrong nodes": (X[:, :4], ADJ, {}, ValueError, r"x has 4 nodes, but the graph has 5; .*CyclicPad\(5\)"),
    "wrong dtype": (X.double(), ADJ, {}, TypeError, "x is torch.float64, but the edge weights are torch.float32"),
    "bool matrix": (X, ADJ > 0.5, {}, TypeError, r"edge_index is torch.bool \[5, 5\]; .*adj.to\(x.dtype\)"),
    "integer matrix": (
        X,
        (ADJ > 0.5).long(),
        {},
        TypeError,
        r"edge_index is torch.int64 \[5, 5\]; .*adj.to\(x.dtype\)",
    ),
    "floating edge list": (
        FLAT,
        EDGES.float().repeat(1, 2),
        {},
        TypeError,
        r"torch.float32 \[2, 4\]; .*edge_index.long",
    ),
    "not square": (X, ADJ[:, :4], {}, ValueError, r"a dense edge_index has shape \[5, 4\]"),
    "stack for one": (X[0], ADJ.expand(2, 5, 5), {}, ValueError, "edge_index holds 2 matrices"),
    "stack of others": (X, ADJ.expand(3, 5, 5), {}, ValueError, "edge_index holds 3 matrices"),
    "weights twice": (X, ADJ, {"edge_weight": ADJ}, ValueError, "edge_weight was given beside a dense matrix"),
    "sparse and weights": (
        FLAT,
        torch.eye(4).to_sparse(),
        {"edge_weight": FLAT[:, 0]},
        ValueError,
        "beside a sparse matrix",
    ),
    "graph and weights": (X, DenseGraph(ADJ), {"edge_weight": ADJ}, ValueError, "beside a graph object"),
    "two masks": (X, DenseGraph(ADJ), {"mask": X[..., 0] > 0}, ValueError, r"mask was given beside a graph object"),
    "mask of wrong shape": (
        X,
        ADJ,
        {"mask": torch.ones(5).bool()},
        ValueError,
        r"mask is torch.bool \[5\]; .*\[2, 5\]",
    ),
    "mask of wrong dtype": (X, ADJ, {"mask": torch.ones(2, 5)}, ValueError, "mask is torch.float32"),
    "dense x, edge list": (X, EDGES, {}, ValueError, r"beside an edge list it has to be flat, \[N, F\]"),
    "too many weights": (
        FLAT,
        EDGES,
        {"edge_weight": torch.ones(3)},
        ValueError,
        r"edge_weight has shape \[3\]; for 2",
    ),
    "batch in place of weights": (
        FLAT,
        EDGES,
        {"edge_weight": torch.tensor([0, 0, 1, 1])},
        TypeError,
        r"edge_weight is torch.int64 \[4\]; .* pass batch= to a model \(a layer needs none\)",
    ),
    "as many sequences as edges": (FLAT, EDGES, {"edge_weight": torch.tensor([0, 1])}, TypeError, "pass batch="),
    "batch beside a matrix": (X, ADJ, {"edge_weight": torch.zeros(2).long()}, TypeError, "pass batch="),
    "weights in a list": (FLAT, EDGES, {"edge_weight": [1.0, 1.0]}, TypeError, "edge_weight is a list; it may be a"),
    "sparse of another size": (FLAT, torch.eye(3).to_sparse(), {}, ValueError, r"x has 4 nodes, but .* is \[3, 3\]"),
    "sparse stack": (FLAT, torch.eye(4).expand(2, 4, 4).to_sparse(), {}, ValueError, r"is \[2, 4, 4\]; it has one row"),
    "EdgeIndex of another size": (FLAT, EdgeIndex(EDGES, sparse_size=(7, 7)), {}, ValueError, r"is \[7, 7\]"),
    "floating edge list of 2 nodes": (FLAT[:2], EDGES.float().repeat(1, 2), {}, TypeError, "pass edge_index.long"),
    "graph that is not square": (FLAT, DenseGraph(torch.rand(5, 4)), {}, ValueError, r"has shape \[5, 4\]"),
    "not a tensor": ([[1.0]], ADJ, {}, TypeError, "x is a list; node features are a floating tensor"),
    "edge list of several steps": (X, EDGES, {}, ValueError, r"leading axes as adjacency.graph\(\)"),
    "module of a graph": (X, LearnableAdjacency(5), {}, TypeError, r"pass its graph, adjacency.graph\(\)"),
    "not an adjacency": (X, "line", {}, TypeError, "edge_index is a str; it may be a tensor, an EdgeIndex"),
}


@pytest.mark.parametrize("name", LAYER_ERRORS)
@pytest.mark.parametrize("make", [lambda: GStarConv(3, 4), lambda: GraphInception(3, (4,))])
def test_layers_refuse_what_has_no_meaning_and_stay_as_they_were(name, make):
    x, edge_index, others, kind, message = LAYER_ERRORS[name]
    layer = make()
    before = {key: tensor.clone() for key, tensor in layer.state_dict().items()}
    with pytest.raises(kind, match=message):
        layer(x, edge_index, **others)
    assert all(torch.equal(before[key], tensor) for key, tensor in layer.state_dict().items())


MODEL = LGrIN(3, 5, 2, branch_channels=(4,))
MODEL_ERRORS = {
    "frames": (lambda: MODEL(X[:, :4]), r"x has 4 frames, but this model was built for num_nodes=5; pad with .*CyclicPad\(5\)"),  # noqa: E501
    "channels": (lambda: MODEL(torch.randn(2, 5, 4)), "x has 4 channels, but this model was built for in_channels=3"),
    "weights alone": (lambda: MODEL(X, edge_weight=ADJ), "edge_weight was given without edge_index"),
    "flat lengths": (lambda: MODEL(FLAT, batch=torch.tensor([0, 0, 0, 1])), "frame is None, but batch has 4 nodes"),
    "batch size": (lambda: MODEL(torch.randn(10, 3), batch=torch.arange(10) // 5, batch_size=3), "10 nodes of 3 sequences"),  # noqa: E501
    "frame shape": (lambda: MODEL(FLAT, frame=torch.arange(3), batch=torch.zeros(4).long()), r"frame has shape \[3\]; for x \[4, 3\] it is \[4\]"),  # noqa: E501
    "line on edges": (lambda: LGrIN.released(3, 5, 2)(FLAT, EDGES, frame=torch.arange(4)), "an edge list does not say it"),  # noqa: E501
    "pool frames": (lambda: LearnablePool(5)(X[:, :4]), "x has 4 frames, but this pool was built for num_nodes=5"),
    "pool rank": (lambda: LearnablePool(5)(X[0, 0]), r"x has shape \[3\]"),
    "pool mask": (lambda: GraphReadout(5)(X, mask=torch.ones(5).bool()), r"mask is torch.bool \[5\]"),
    "pool batch": (lambda: GraphReadout(5)(X, batch=torch.zeros(2).long()), r"batch has shape \[2\] beside x \[2, 5, 3\]"),  # noqa: E501
    "pool frame": (lambda: GraphReadout(5)(X, frame=torch.arange(4)), r"frame has shape \[4\]"),
    "pool size": (lambda: GraphReadout(5)(X, batch_size=3), "batch_size is 3, but x .* without batch holds 2"),
    "dense batch": (lambda: MODEL(X, batch=torch.zeros(2).long()), "dense x .* needs none"),
    "flat batch size": (lambda: MODEL(FLAT, frame=torch.arange(4), batch_size=2), "batch_size is 2, but x .* holds 1"),
    "rank": (lambda: MODEL(X[0, 0]), r"x has shape \[3\]"),
    "leading axes": (
        lambda: MODEL(X[None]),
        r"x has shape \[1, 2, 5, 3\]; node features are .* \[B, M, P\] for LGrIN: .*model\(x.flatten\(0, 1\)\).*unflatten\(0, \[1, 2\]\)",  # noqa: E501
    ),
    "dense frame": (lambda: MODEL(X, frame=torch.arange(4)), r"frame has shape \[4\]; for x \[2, 5, 3\] it is \[2, 5\]"),  # noqa: E501
    "ragged mask": (lambda: MODEL(FLAT, frame=torch.arange(4), mask=torch.ones(3).bool()), r"mask is torch.bool \[3\]"),
    "graph mask": (
        lambda: MODEL.adjacency.graph(torch.arange(4), mask=torch.ones(3).bool()),
        r"frame, batch and mask have shapes \[\[4\], None, \[3\]\]",
    ),
    "place twice": (
        lambda: MODEL(FLAT, MODEL.adjacency.graph(torch.arange(4)), batch=torch.zeros(4).long()),
        "batch was given beside a ragged graph, which carries its own",
    ),
    "edges and frames": (lambda: MODEL(FLAT, EDGES), "x has 4 frames, but this pool was built for num_nodes=5"),
    "threshold": (lambda: MODEL.adjacency.edges(threshold=-1.0), "threshold is -1.0; it has to be a number of 0"),
    "mask of no nodes": (lambda: MODEL.adjacency.edges(mask=torch.ones(5).bool()), "mask was given without frame"),
    "head": (lambda: LGrIN(3, 5, 2, head_channels=0), "head_channels is 0"),
    "loss matrix": (lambda: structure_loss(ADJ[:4]), r"adj has shape \[4, 5\]"),
    "huge band": (lambda: LearnableAdjacency(8193, bandwidth=0)(), "num_nodes is 8193; .* pass adjacency.graph()"),
    "not symmetric": (lambda: LearnableAdjacency(5, init=ADJ, symmetric=True), "init is not symmetric"),
    "outside band": (lambda: LearnableAdjacency.from_dense(ADJ, bandwidth=2), "frames 4 apart, but bandwidth=2; widen the band to 4"),  # noqa: E501
    "init shape": (lambda: LearnableAdjacency(4, init=ADJ), r"init is torch.float32 \[5, 5\]; a start has to be floating \[4, 4\]"),  # noqa: E501
    "bandwidth": (lambda: LearnableAdjacency(4, bandwidth=-1), "bandwidth is -1"),
    "hidden": (lambda: GStarConv(3, 4, hidden_channels="wide"), "hidden_channels is 'wide'; it may be a positive int, 'bottleneck'"),  # noqa: E501
    "bottleneck": (lambda: GStarConv(1, 2, hidden_channels="bottleneck"), "hidden_channels is 0; it has to be a whole"),
    "sequences": (lambda: LGrINLoss(0), "num_sequences is 0"),
    "no parts": (lambda: GraphReadout(5, ()), "parts is empty"),
    "too long": (lambda: CyclicPad(2)(Data(x=FLAT)), "data.x has 4 frames, more than num_nodes=2; pass longer='crop'"),
    "empty": (lambda: CyclicPad(2)(Data(x=FLAT[:0])), "data.x has no frame"),
    "graph first": (lambda: CyclicPad(5)(Data(x=FLAT, edge_index=EDGES)), "data has an edge_index"),
    "gaps": (lambda: CyclicPad(5)(Data(x=FLAT, frame=torch.tensor([0, 1, 2, 4]))), "data.frame leaves frames out"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODEL_ERRORS)
def test_models_and_parts_refuse_what_does_not_fit(name):
    call, message = MODEL_ERRORS[name]
    assert MODEL.training, "a norm would change its statistics"
    before = {key: tensor.clone() for key, tensor in MODEL.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        call()
    assert all(torch.equal(before[key], tensor) for key, tensor in MODEL.state_dict().items())


@pytest.mark.parametrize("name", ["frame", "batch"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.uint8])
def test_frames_and_sequences_are_whole_numbers(name, dtype):
    place = {"frame": torch.arange(4), "batch": torch.zeros(4).long()}
    place[name] = place[name].to(dtype)
    for call in (MODEL, GraphReadout(5)):
        with pytest.raises(TypeError, match=rf"{name} is {dtype}; .* pass {name}.long\(\)"):
            call(FLAT, **place)


@pytest.mark.parametrize("edge_index", [None, EDGES, ADJ], ids=["none", "edges", "matrix"])
@pytest.mark.parametrize(
    "make", [lambda: MODEL, lambda: GCN(3, 5, 2), lambda: BLSTM(3, 5, 2)], ids=["L-GrIN", "GCN", "BLSTM"]
)
def test_a_batch_vector_in_third_place_is_told_its_name(make, edge_index):
    with pytest.raises(TypeError, match=r"edge_weight is torch.int64 \[4\]; .* for a batch vector pass batch="):
        make()(FLAT, edge_index, torch.tensor([0, 0, 1, 1]))


def test_int32_numbers_do_as_well():
    model = LGrIN(3, 5, 2, branch_channels=(4,)).eval()
    place = {"frame": torch.arange(4), "batch": torch.tensor([0, 0, 1, 1])}
    expected = model(FLAT, **place)
    assert torch.equal(model(FLAT, **{name: value.int() for name, value in place.items()}), expected)


def test_a_line_model_refuses_an_edge_list_before_anything_changes():
    model = LGrIN.released(3, 5, 2)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(ValueError, match="an edge list does not say it"):
        model(FLAT, EDGES, frame=torch.arange(4))
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())


def test_kinds_of_arguments_are_named():
    with pytest.raises(TypeError, match="branch_channels is 4; it is one width a branch"):
        LGrIN(3, 5, 2, branch_channels=4)
    with pytest.raises(TypeError, match="init is a list; it may be normal, uniform, temporal, lazy or a tensor"):
        LearnableAdjacency(2, init=[[1.0, 0.0], [0.0, 1.0]])
    with pytest.raises(TypeError, match="adj is a RaggedGraph; it may be a tensor"):
        structure_loss(MODEL.adjacency.graph(torch.arange(4)))


OPTIONS = {
    "init": lambda value: LearnableAdjacency(4, init=value),
    "nonnegativity": lambda value: LearnableAdjacency(4, nonnegativity=value),
    "normalize": lambda value: LearnableAdjacency(4, normalize=value),
    "norm": lambda value: GStarConv(3, 4, norm=value),
    "neighborhood": lambda value: GraphInception(3, neighborhood=value),
    "parts": lambda value: GraphReadout(4, parts=(value,)),
    "reduction": lambda value: LGrINLoss(3, reduction=value),
    "longer": lambda value: CyclicPad(4, longer=value),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_unknown_options_are_answered_with_the_known_ones(name):
    with pytest.raises(ValueError, match=rf"{name} is 'colour'; it may be .*'?\w+"):
        OPTIONS[name]("colour")


def plot():
    import_module("lgrin.visualization").plot_adjacency(ADJ)


@pytest.mark.parametrize(
    ("library", "use"),
    [
        ("lightning", lambda: import_module("lgrin.training")),
        ("aeon", lambda: import_module("lgrin.datasets").UEA("nowhere", "JapaneseVowels")),
        ("matplotlib", plot),
    ],
)
def test_a_missing_extra_is_one_error_that_names_it(library, use, monkeypatch):
    for module in list(sys.modules):
        if module.split(".")[0] == library or module.startswith("lgrin.training"):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, library, None)
    message = f'{library} is not installed; it comes with an extra of lgrin: pip install "lgrin[train]"'
    with pytest.raises(ImportError, match=re.escape(message)):
        use()


BATCH = {"frame": torch.tensor([0, 1, 0]), "batch": torch.tensor([0, 0, 1])}


def data(**changes):
    fields = {"x": torch.randn(3, 2), "y": torch.tensor([0, 1]), "num_graphs": 2, **BATCH, **changes}
    return type("Batch", (Data,), {"num_graphs": fields.pop("num_graphs")})(**fields)


def features(index, value):
    x = torch.randn(3, 2)
    x[index] = value
    return x


VALIDATION_ERRORS = {
    "nan": ({"x": features((1, 0), torch.nan)}, r"x\[1, 0\] is nan; mark such frames as absent"),
    "infinite": ({"x": features((2, 1), -torch.inf)}, r"x\[2, 1\] is -inf"),
    "label too large": ({"y": torch.tensor([0, 5])}, r"y\[1\] is 5; with num_classes=2 a label is one of 0..1"),
    "negative label": ({"y": torch.tensor([-1, 0])}, r"y\[0\] is -1"),
    "frame too large": ({"frame": torch.tensor([0, 4, 0])}, r"frame\[1\] is 4; with num_nodes=4 .*CyclicPad\(4"),
    "negative frame": ({"frame": torch.tensor([0, 1, -1])}, r"frame\[2\] is -1"),
    "frame twice": ({"frame": torch.tensor([2, 2, 0])}, "frame 2 stands twice in sequence 0, again at node 1"),
    "empty sequence": ({"num_graphs": 3}, "sequence 2 has no present frame; leave it out"),
    "masked sequence": ({"mask": torch.tensor([True, True, False])}, "sequence 1 has no present frame"),
    "unsorted": ({"batch": torch.tensor([0, 1, 0])}, "batch is not sorted"),
    "no labels": ({"y": None}, "y has shape None; 2 sequences need one label each"),
    "labels of another number": ({"y": torch.tensor([0])}, r"y has shape \[1\]; 2 sequences"),
    "frames of another number": ({"frame": torch.tensor([0])}, r"frame has shape \[1\]; for x \[3, 2\]"),
    "batch range": ({"batch": torch.tensor([0, 0, 2])}, r"batch\[2\] is 2; with batch_size=2"),
}


@pytest.mark.parametrize("name", VALIDATION_ERRORS)
def test_validation_names_the_first_offender(name):
    changes, message = VALIDATION_ERRORS[name]
    with pytest.raises(ValueError, match=message):
        validate.batch(data(**changes), num_nodes=4, num_classes=2)


def test_validation_accepts_what_is_fine():
    validate.batch(data(), num_nodes=4, num_classes=2, training=True)
    validate.batch(data(x=features((1, 0), torch.nan), mask=torch.tensor([True, False, True])), 4, 2)
    validate.frames(torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
    validate.frames(torch.tensor([0, -1, 0]), num_nodes=2, mask=torch.tensor([True, False, False]))


def test_validation_refuses_labels_that_are_no_whole_numbers():
    with pytest.raises(TypeError, match=r"y is torch\.float32; labels are whole numbers"):
        validate.labels(torch.tensor([0.0]), 2)


def test_validation_refuses_features_of_another_number():
    with pytest.raises(ValueError, match="x has 2 features a frame, but in_channels=3"):
        validate.batch(data(), 4, 2, in_channels=3)


def test_validation_refuses_a_single_frame_under_batch_norm():
    one = Data(x=torch.randn(1, 2), y=torch.tensor([0]))
    validate.batch(one, 4, 2)
    with pytest.raises(ValueError, match="single present frame, and batch norm cannot learn from one"):
        validate.batch(one, 4, 2, training=True)


def test_validation_of_a_dataset_says_which_sequence():
    good, bad = Data(x=torch.randn(2, 2), y=torch.tensor([0])), Data(x=torch.randn(2, 2), y=torch.tensor([9]))
    with pytest.raises(ValueError, match=r"dataset\[1\]: y\[0\] is 9"):
        validate.dataset([good, bad], 4, 2)
    with pytest.raises(ValueError, match="dataset is empty"):
        validate.dataset([], 4, 2)
    with pytest.raises(ValueError, match=r"dataset\[0\]: sequence 0 has no present frame"):
        validate.dataset([Data(x=torch.zeros(0, 2), y=torch.tensor([0]))], 4, 2)
