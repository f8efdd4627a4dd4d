"""Indices out of range: one error in every layout that names the argument, the value, its place and what is allowed."""

import pytest
import torch

from lgrin import LGrIN, MultimodalLGrIN
from lgrin.baselines import GCN
from lgrin.graph import DenseGraph, EdgeList, RaggedGraph
from lgrin.nn import GraphInception, GraphReadout, GStarConv, LearnableAdjacency, LearnablePool, MaskedInstanceNorm
from lgrin.ops import neighbor_max_edges

X = torch.tensor([[9.0, 1.0], [1.0, 2.0], [5.0, 3.0]])
BATCH = torch.zeros(3, dtype=torch.long)
EDGE_LAYERS = {
    "G*": GStarConv(2, 2),
    "inception": GraphInception(2, (2,)),
    "maximum alone": GraphInception(2, ()),
    "model": LGrIN(2, 3, 2, branch_channels=(2,)),
    "competitor": GCN(2, 3, 2),
}
ADJACENCY, BANDED = LearnableAdjacency(4, init="uniform"), LearnableAdjacency(4, init="uniform", bandwidth=1)
MODEL = LGrIN(2, 4, 2, branch_channels=(2,), input_norm="both")
PLACED = {
    "model": lambda **place: MODEL(X, **place),
    "frame that wins": lambda **place: MODEL.salient_frames(X, **place),
    "model on edges": lambda **place: MODEL(X, torch.tensor([[0], [1]]), **place),
    "mean readout on edges": lambda **place: LGrIN(2, 4, 2, readout={"parts": ("mean",)})(
        X, torch.tensor([[0], [1]]), **place
    ),
    "competitor": lambda **place: GCN(2, 4, 2)(X, **place),
    "modalities": lambda **place: MultimodalLGrIN({"one": MODEL}, 2)({"one": {"x": X, **place}}),
    "graph": lambda **place: ADJACENCY.graph(**place),
    "banded graph": lambda **place: BANDED.graph(**place),
    "edges": lambda **place: ADJACENCY.edges(**{k: v for k, v in place.items() if k != "batch_size"}),
    "pool": lambda **place: LearnablePool(4)(X, **place),
    "readout": lambda **place: GraphReadout(4)(X, **place),
    "maximum readout": lambda **place: GraphReadout(4, ("max",))(X, **place),
}


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
@pytest.mark.parametrize("name", EDGE_LAYERS)
@pytest.mark.parametrize(("row", "value"), [(0, -1), (0, 3), (1, -1), (1, 3), (0, -4), (1, 2**31 - 1)])
def test_edges_name_nodes_that_there_are(name, row, value, dtype):
    edge_index = torch.tensor([[0, 1, 2], [1, 2, 0]], dtype=dtype)
    edge_index[row, 1] = value
    layer = EDGE_LAYERS[name]
    before = {key: tensor.clone() for key, tensor in layer.state_dict().items()}
    place = {"batch": BATCH} if name in ("model", "competitor") else {}
    for weight in (None, torch.ones(3)):
        with pytest.raises(IndexError, match=rf"edge_index\[{row}, 1\] is {value}; with num_nodes=3 .* one of 0..2"):
            layer(X, edge_index, weight, **place)
    assert all(torch.equal(before[key], tensor) for key, tensor in layer.state_dict().items())


@pytest.mark.parametrize("value", [-1, 3])
def test_edges_are_checked_however_they_come(value):
    edge_index = torch.tensor([[value], [0]])
    message = rf"edge_index\[0, 0\] is {value}"
    graph = EdgeList(edge_index, torch.ones(1), frame=torch.arange(3))
    indices = torch.tensor([[0, 1], [value, 0]])  # beyond the last column means the next row, if nobody looks
    sparse = torch.sparse_coo_tensor(indices, torch.ones(2), (3, 3), check_invariants=False)
    row = torch.tensor([0, 1, 1, 1])
    compressed = torch.sparse_csr_tensor(row, torch.tensor([value]), torch.ones(1), (3, 3), check_invariants=False)
    calls = [
        lambda: GStarConv(2, 2)(X, graph),
        lambda: graph.aggregate(X),
        lambda: graph.neighbor_max(X),
        lambda: neighbor_max_edges(X, edge_index),
        lambda: GStarConv(2, 2)(X, sparse),
        lambda: GStarConv(2, 2)(X, compressed),
    ]
    for call in calls:
        with pytest.raises(IndexError, match=message):
            call()


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32])
@pytest.mark.parametrize("value", [-1, -4, 4, 9])
@pytest.mark.parametrize("name", PLACED)
def test_frames_are_those_of_the_graph(name, value, dtype):
    frame = torch.tensor([0, value, 2], dtype=dtype)
    with pytest.raises(IndexError, match=rf"frame\[1\] is {value}; with num_nodes=4 it is one of 0..3"):
        PLACED[name](frame=frame, batch=BATCH)


@pytest.mark.parametrize("name", PLACED)
def test_sequences_are_those_of_the_batch(name):
    frame = torch.arange(3)
    with pytest.raises(IndexError, match=r"batch\[0\] is -1; with batch_size=1 it is one of 0..0"):
        PLACED[name](frame=frame, batch=torch.tensor([-1, 0, 0]))
    if name != "edges":  # which takes no batch_size
        with pytest.raises(IndexError, match=r"batch\[2\] is 2; with batch_size=2 it is one of 0..1"):
            PLACED[name](frame=frame, batch=torch.tensor([0, 0, 2]), batch_size=2)


def test_a_norm_of_sequences_refuses_one_that_is_not_there():
    norm = MaskedInstanceNorm(2)
    with pytest.raises(IndexError, match=r"batch\[1\] is -1; with batch_size=2"):
        norm(X, torch.tensor([0, -1, 1]))
    with pytest.raises(IndexError, match=r"batch\[2\] is 3; with batch_size=2"):
        norm(X, torch.tensor([0, 1, 3]), batch_size=2)


def test_all_sequences_below_0_are_refused():
    with pytest.raises(IndexError, match=r"batch\[0\] is -2; with batch_size=-1 it is none"):
        GraphReadout(4)(X, frame=torch.arange(3), batch=BATCH - 2)


@pytest.mark.parametrize("shape", [(3,), (1, 3), (2, 1, 3)])
def test_frames_beside_dense_features_name_their_place(shape):
    frame = torch.arange(3).expand(shape).clone()
    frame[(-1,) * len(shape)] = 4
    x = X.expand(*shape, 2)
    place = ", ".join(str(size - 1) for size in shape)
    for pool in (LearnablePool(4), GraphReadout(4)):
        with pytest.raises(IndexError, match=rf"frame\[{place}\] is 4"):
            pool(x, frame=frame)
    with pytest.raises(IndexError, match=rf"frame\[{place}\] is 4"):
        ADJACENCY.graph(frame)


@pytest.mark.parametrize("name", PLACED)
def test_absent_nodes_have_any_frame(name):
    MODEL.eval()
    mask = torch.tensor([True, False, True])
    results = []
    for junk in (1, -1, 4, 2**40):
        frame = torch.tensor([0, junk, 2])
        torch.manual_seed(0)
        results.append(PLACED[name](frame=frame, batch=BATCH, mask=mask))
        with pytest.raises(IndexError, match=r"frame\[0\] is -1"):
            PLACED[name](frame=frame - 1 - frame[0], batch=BATCH, mask=mask)
    MODEL.train()
    if isinstance(results[0], torch.Tensor):
        assert all(torch.equal(result, results[0]) for result in results)


def test_sequences_without_frames_have_all_of_them_next_to_each_other():
    for batch in ([0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 2, 2], [-1, -1, 0, 0]):
        for call in (LearnableAdjacency(2).graph, LearnableAdjacency(2).edges):
            with pytest.raises(IndexError, match=r"frame is None and batch\[\d\] is .*num_nodes=2 nodes in a row"):
                call(batch=torch.tensor(batch))
        with pytest.raises(IndexError, match=r"batch\[\d\] is "):
            LearnablePool(2)(torch.rand(4, 2), batch=torch.tensor(batch), batch_size=2)


def test_ragged_graphs_are_checked_where_they_are_made_and_where_a_layer_takes_them():
    dense, x = DenseGraph(torch.ones(4, 4)), X
    wrong = {r"frame\[1\] is 4": ([0, 4, 1], [0, 0, 0]), r"batch\[2\] is -1": ([0, 1, 2], [0, 0, -1])}
    for message, place in wrong.items():
        frame, batch = (torch.tensor(one) for one in place)
        with pytest.raises(IndexError, match=message):
            RaggedGraph.place(dense, frame, batch, batch_size=1)
        by_hand = RaggedGraph(dense._replace(mask=torch.ones(1, 4).bool()), frame, batch)
        with pytest.raises(IndexError, match=message):
            GStarConv(2, 2)(x, by_hand)
    for dtype in (torch.uint8, torch.bool, torch.float32):  # torch reads the first two as masks
        with pytest.raises(TypeError, match=rf"frame is {dtype}"):
            RaggedGraph.place(dense, torch.ones(3, dtype=dtype), BATCH, batch_size=1)


def test_a_list_of_edges_that_was_made_by_hand_holds_whole_numbers():
    with pytest.raises(TypeError, match=r"edge_index is torch.float32; .* pass edge_index.long"):
        GStarConv(2, 2)(X, EdgeList(torch.zeros(2, 1)))


def test_a_modality_names_its_sequences_where_some_are_missing():
    model = MultimodalLGrIN({"one": MODEL}, 2)
    inputs = {"one": {"x": X, "frame": torch.arange(3), "batch": torch.tensor([0, 0, 5]), "batch_size": 2}}
    with pytest.raises(IndexError, match=r"batch\[2\] is 5; with batch_size=2"):
        model(inputs, present={"one": torch.tensor([True, True])})


def test_under_vmap_every_index_is_looked_at():
    pool = LearnablePool(4, "xavier")
    frames = torch.tensor([[0, 1, 2], [3, 2, 1]])
    expected = torch.stack([pool(X, frame=frame)[0] for frame in frames])
    found = torch.func.vmap(lambda frame: pool(X, frame=frame)[0])(frames)
    assert torch.allclose(found, expected)
    frames[1, 0] = -1
    with pytest.raises(IndexError, match=r"frame\[1, 0.*\] is -1; with num_nodes=4"):
        torch.func.vmap(lambda frame: pool(X, frame=frame)[0])(frames)


class Convolve(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = GStarConv(2, 2, norm=None)

    def forward(self, x, edge_index):
        return self.conv(x, edge_index)


@pytest.mark.parametrize("dynamic", [None, True])
def test_compiled_programs_assert_on_the_device(dynamic):
    model = Convolve()
    compiled = torch.compile(model, fullgraph=True, dynamic=dynamic)
    good = torch.tensor([[0, 1], [1, 2]])
    assert torch.allclose(compiled(X, good), model(X, good), atol=1e-6)
    for value in (-1, 3):
        with pytest.raises(RuntimeError, match="edge_index holds an index that is out of range"):
            compiled(X, torch.tensor([[0, 1], [1, value]]))
    torch.compiler.reset()


def test_compiled_models_assert_that_frames_exist():
    model = LGrIN(2, 4, 2, branch_channels=(2,)).eval()

    def run(frame, mask):
        return model(X, frame=frame, batch=BATCH, batch_size=1, mask=mask)

    compiled = torch.compile(run, fullgraph=True)
    mask, frame = torch.tensor([True, False, True]), torch.tensor([0, -1, 2])
    assert torch.allclose(compiled(frame, mask), run(frame, mask), atol=1e-6)
    with pytest.raises(RuntimeError, match="frame holds an index that is out of range"):
        compiled(frame - 1, mask)
    torch.compiler.reset()


@pytest.mark.parametrize("strict", [False, True])
def test_exported_programs_leave_the_check_out(strict):
    model, good = Convolve(), torch.tensor([[0, 1], [1, 2]])
    program = torch.export.export(model, (X, good), strict=strict)
    assert not [node for node in program.graph.nodes if "assert_async" in str(node.target)]
    assert torch.allclose(program.module()(X, good), model(X, good), atol=1e-6)
