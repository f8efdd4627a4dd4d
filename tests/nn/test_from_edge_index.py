"""Graphs that are known before training: edge lists, matrices of every kind, and pairs that may be no edge."""

import copy
import pickle

import numpy as np
import pytest
import scipy.sparse
import torch
from torch.nn.utils import prune
from torch_geometric import EdgeIndex
from torch_geometric.utils import to_dense_adj, to_undirected

from lgrin import LGrIN
from lgrin.models import fold
from lgrin.nn import LearnableAdjacency
from lgrin.nn.adjacency import priors

EDGES = torch.tensor([[0, 1, 1, 3, 0], [1, 2, 2, 0, 3]])  # 1 -> 2 is there twice
WEIGHT = torch.tensor([1.0, 0.5, 0.25, 2.0, 4.0])
MATRIX = to_dense_adj(EDGES, edge_attr=WEIGHT)[0].T  # target, source
PAIRS = MATRIX > 0


def test_edges_land_at_target_and_source_and_parallel_ones_add_up():
    adjacency = LearnableAdjacency.from_edge_index(EDGES, WEIGHT, new_edges=0.25)
    assert adjacency.num_nodes == 4
    torch.testing.assert_close(adjacency(), MATRIX + 0.25 * ~PAIRS)
    assert adjacency()[2, 1].item() == pytest.approx(0.75)
    assert adjacency.nonnegativity == "softplus"
    assert adjacency.allowed is None
    assert adjacency.state_dict().keys() == {"weight"}
    unweighted = LearnableAdjacency.from_edge_index(EDGES, num_nodes=6)()
    assert unweighted.shape == (6, 6)
    assert unweighted[2, 1].item() == pytest.approx(2)
    assert unweighted[5, 5].item() == pytest.approx(0.01)


def test_every_pair_gets_a_gradient_and_training_adds_and_removes_edges():
    adjacency = LearnableAdjacency.from_edge_index(EDGES, WEIGHT)
    adjacency().sum().backward()
    assert bool((adjacency.weight.grad > 0).all())
    target, optimizer = MATRIX.clone(), torch.optim.Adam(adjacency.parameters(), lr=0.1)
    target[1, 0], target[3, 2] = 0.0, 1.0
    for _ in range(300):
        optimizer.zero_grad()
        (adjacency() - target).square().sum().backward()
        optimizer.step()
    edges = set(map(tuple, adjacency.edges(threshold=0.2)[0].T.tolist()))
    assert edges == {(1, 2), (3, 0), (0, 3), (2, 3)}


@pytest.mark.parametrize("bandwidth", [None, 3])
@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("sign", ["softplus", "relu", None])
def test_forbidden_pairs_are_no_edge_and_get_no_gradient(bandwidth, heads, sign):
    adjacency = LearnableAdjacency.from_edge_index(
        EDGES, WEIGHT, new_edges=None, bandwidth=bandwidth, heads=heads, nonnegativity=sign
    )
    torch.testing.assert_close(adjacency(), MATRIX.expand(heads, 4, 4).squeeze(0))
    assert not bool(adjacency()[..., ~PAIRS].any())
    assert set(map(tuple, adjacency.edges()[0].T.tolist())) == set(map(tuple, EDGES.T.tolist()))
    assert not adjacency.connects_all
    adjacency.graph().aggregate(torch.ones(4, 1)).sum().backward()
    whole = LearnableAdjacency(4, heads=heads, bandwidth=bandwidth, nonnegativity=None).graph()
    grad = adjacency.weight.grad if bandwidth is None else type(whole)(adjacency.weight.grad).matrix()
    assert torch.equal((grad != 0).expand(heads, 4, 4), PAIRS.expand(heads, 4, 4))


def test_a_symmetric_graph_may_forbid_pairs():
    edges, weight = to_undirected(EDGES, WEIGHT)
    adjacency = LearnableAdjacency.from_edge_index(edges, weight, new_edges=None, symmetric=True)
    expected = to_dense_adj(edges, edge_attr=weight)[0]
    torch.testing.assert_close(adjacency(), expected)
    with pytest.raises(ValueError, match=r"edge_index is directed, but symmetric=True; pass .*to_undirected"):
        LearnableAdjacency.from_edge_index(EDGES, WEIGHT, symmetric=True)


def test_allowed_pairs_that_are_absent_start_and_the_others_never_do():
    allowed = PAIRS.clone()
    allowed[3, 3] = True
    adjacency = LearnableAdjacency.from_edge_index(EDGES, WEIGHT, new_edges=0.1, allowed=allowed)
    expected = MATRIX.clone()
    expected[3, 3] = 0.1
    torch.testing.assert_close(adjacency(), expected)
    none = LearnableAdjacency.from_edge_index(EDGES, WEIGHT, new_edges=None, allowed=allowed)
    assert none()[3, 3].item() == 0
    allowed[0, 0] = True
    assert not bool(adjacency.allowed[0, 0])  # it is a copy


def test_what_is_allowed_lies_where_the_weights_do():
    with torch.device("meta"):
        adjacency = LearnableAdjacency(4, allowed=PAIRS)
    assert adjacency.allowed.device == adjacency.weight.device == torch.device("meta")
    assert not LearnableAdjacency(4, allowed="stored").edges()[1].numel()


def test_whether_all_frames_are_connected_follows_what_is_allowed():
    options = {"nonnegativity": "softplus"}
    assert LearnableAdjacency(3, **options, allowed=torch.ones(3, 3).bool()).connects_all
    assert not LearnableAdjacency(3, **options, allowed=torch.eye(3).bool()).connects_all
    assert not LearnableAdjacency(3, **options, topk=1).connects_all
    assert LearnableAdjacency(3, **options, self_loops=False).connects_all
    x = torch.tensor([[1.0], [3.0], [2.0]])
    line = LearnableAdjacency(3, **options, allowed=torch.tensor([[0, 0, 1], [0, 0, 0], [0, 0, 0]]).bool())
    assert line.graph().neighbor_max(x).flatten().tolist() == [2, 3, 2]


def test_each_head_may_have_weights_of_its_own():
    weight = torch.stack([WEIGHT, 2 * WEIGHT], dim=1)
    adjacency = LearnableAdjacency.from_edge_index(EDGES, weight, new_edges=None)
    assert adjacency.heads == 2
    torch.testing.assert_close(adjacency(), torch.stack([MATRIX, 2 * MATRIX]))
    with pytest.raises(ValueError, match=r"init is .*\[2, 4, 4\]; a start has to be floating \[3, 4, 4\]"):
        LearnableAdjacency.from_edge_index(EDGES, weight, heads=3)


def test_signed_weights_and_dtypes_are_kept():
    signed = LearnableAdjacency.from_edge_index(EDGES, -WEIGHT.double(), nonnegativity=None, new_edges=0.5)
    assert signed().dtype == torch.float64
    assert torch.equal(signed(), -MATRIX.double() + 0.5 * ~PAIRS)
    assert LearnableAdjacency.from_edge_index(EDGES.int(), WEIGHT.bfloat16())().dtype == torch.bfloat16


def test_a_band_starts_new_edges_inside_it_only():
    edges = torch.tensor([[0, 1], [1, 2]])
    adjacency = LearnableAdjacency.from_edge_index(edges, num_nodes=5, new_edges=0.1, bandwidth=1)
    index = torch.arange(5)
    expected = 0.1 * ((index - index[:, None]).abs() <= 1)
    expected[1, 0] = expected[2, 1] = 1
    torch.testing.assert_close(adjacency(), expected)


def test_an_edge_index_of_pyg_knows_its_nodes():
    edges = EdgeIndex(EDGES, sparse_size=(7, 7))
    assert LearnableAdjacency.from_edge_index(edges).num_nodes == 7
    torch.testing.assert_close(LearnableAdjacency.from_edge_index(edges, WEIGHT, 7)()[:4, :4].max(), torch.tensor(4.0))


@pytest.mark.parametrize("refinement", [{}, {"topk": 1, "normalize": "row"}, {"normalize": "sym", "self_loops": False}])
@pytest.mark.parametrize("bandwidth", [None, 3])
@pytest.mark.parametrize("new_edges", [0.01, None])
def test_it_is_copied_stored_folded_pruned_and_compiled(refinement, bandwidth, new_edges):
    torch.manual_seed(0)
    adjacency = LearnableAdjacency.from_edge_index(
        EDGES, WEIGHT, new_edges=new_edges, bandwidth=bandwidth, **refinement
    )
    expected, x = adjacency().detach(), torch.randn(2, 4, 3)
    assert torch.equal(copy.deepcopy(adjacency)(), expected)
    assert torch.equal(pickle.loads(pickle.dumps(adjacency))(), expected)
    torch.testing.assert_close(adjacency.frozen()(), expected)
    assert new_edges or adjacency.frozen().allowed is None
    again = LearnableAdjacency(4, **adjacency.config)
    again.load_state_dict(adjacency.state_dict())
    assert torch.equal(again(), expected)
    assert again.connects_all == adjacency.connects_all
    model = LGrIN(3, 4, 2, branch_channels=(4, 2), adjacency=adjacency, neighborhood="line").eval()
    rebuilt = LGrIN(**model.config).eval()
    rebuilt.load_state_dict(model.state_dict())
    assert torch.equal(rebuilt(x), model(x))
    torch.testing.assert_close(fold(model)(x), model(x))
    by_name = torch.func.functional_call(adjacency, dict(adjacency.named_parameters()), ())
    assert torch.equal(by_name, expected)
    stack = torch.stack([adjacency.weight.detach(), adjacency.weight.detach() + 1])
    mapped = torch.func.vmap(lambda weight: torch.func.functional_call(adjacency, {"weight": weight}, ()))(stack)
    torch.testing.assert_close(mapped[0], expected)
    inputs = torch.randn(4, 3)
    torch.compiler.reset()  # each case is a program of its own
    compiled = torch.compile(lambda x: adjacency.graph().aggregate(x), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(inputs), expected @ inputs)
    prune.l1_unstructured(adjacency, "weight", 3)
    with torch.no_grad():
        again.weight.copy_(adjacency.weight)
    assert int((adjacency.weight == 0).sum()) >= 3
    assert torch.equal(adjacency(), again())


def test_modules_that_were_pickled_before_pairs_could_be_forbidden_compute_as_then():
    adjacency = LearnableAdjacency(4, normalize="row")
    state = adjacency.__getstate__()
    old = {name: value for name, value in state.items() if name not in ("self_loops", "topk", "heads")}
    old["_buffers"] = {}
    again = LearnableAdjacency.__new__(LearnableAdjacency)
    again.__setstate__(old)
    assert torch.equal(again(), adjacency())
    assert again.config == adjacency.config


@pytest.mark.parametrize(
    "make",
    [
        lambda A: A.numpy(),
        lambda A: A.to_sparse(),
        lambda A: A.to_sparse_csr(),
        lambda A: A.to_sparse_csc(),
        lambda A: A.to_sparse_bsr((2, 2)),
        lambda A: scipy.sparse.csr_array(A.numpy()),
    ],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_start_may_be_sparse_or_an_array(make, dtype):
    A = MATRIX.to(dtype)
    adjacency = LearnableAdjacency.from_dense(make(A))
    assert torch.equal(adjacency(), A)
    assert adjacency().dtype == dtype


def test_entries_that_a_sparse_start_holds_twice_are_summed():
    sparse = torch.sparse_coo_tensor(EDGES.flip(0), WEIGHT, (4, 4))
    assert torch.equal(LearnableAdjacency.from_dense(sparse)(), MATRIX)
    stack = torch.stack([MATRIX, 2 * MATRIX])
    assert torch.equal(LearnableAdjacency.from_dense(stack.to_sparse(), heads=2)(), stack)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_a_start_may_be_a_sparse_tensor_of_pyg(monkeypatch, weight):
    class SparseTensor:  # the methods of torch_sparse's that are used
        def coo(self):
            return EDGES[1], EDGES[0], weight

        def sizes(self):
            return [4, 4]

    monkeypatch.setattr(priors, "SparseTensor", SparseTensor)
    expected = LearnableAdjacency.from_edge_index(EDGES, weight, new_edges=None)()
    torch.testing.assert_close(LearnableAdjacency.from_dense(SparseTensor())(), expected)


@pytest.mark.parametrize("given", [np.eye(3, dtype=int), np.eye(3) > 0, torch.eye(3).long(), torch.eye(3).bool()])
def test_whole_numbers_become_floats(given):
    assert torch.equal(LearnableAdjacency.from_dense(given)(), torch.eye(3))


FORBIDDEN = ~torch.eye(4, dtype=torch.bool)
FORBIDDEN[1, 0] = False
WRONG = {
    "negative": (lambda: LearnableAdjacency.from_edge_index(EDGES, -WEIGHT), ValueError, r"edge_weight\[0\] is -1; .*pass nonnegativity=None"),  # noqa: E501
    "zero of a head": (lambda: LearnableAdjacency.from_edge_index(EDGES, torch.eye(2)[[0, 1, 0, 1, 0]]), ValueError, r"edge_weight\[0, 1\] is 0"),  # noqa: E501
    "NaN": (lambda: LearnableAdjacency.from_edge_index(EDGES, WEIGHT * torch.nan, nonnegativity="relu"), ValueError, r"edge_weight\[0\] is nan"),  # noqa: E501
    "whole weights": (lambda: LearnableAdjacency.from_edge_index(EDGES, WEIGHT.long()), TypeError, r"edge_weight is torch.int64; .*pass edge_weight.float"),  # noqa: E501
    "weights": (lambda: LearnableAdjacency.from_edge_index(EDGES, WEIGHT[:3]), ValueError, r"edge_weight has shape \[3\], and edge_index has 5 edges; it has to be \[5\], or \[5, K\]"),  # noqa: E501
    "floating edges": (lambda: LearnableAdjacency.from_edge_index(EDGES.float()), TypeError, r"edge_index is torch.float32; .*pass edge_index.long"),  # noqa: E501
    "shape": (lambda: LearnableAdjacency.from_edge_index(EDGES.T), ValueError, r"edge_index has shape \[5, 2\]; it has to be \[2, E\]"),  # noqa: E501
    "range": (lambda: LearnableAdjacency.from_edge_index(EDGES, num_nodes=3), IndexError, r"edge_index\[0, 3\] is 3; with num_nodes=3"),  # noqa: E501
    "empty": (lambda: LearnableAdjacency.from_edge_index(EDGES[:, :0]), ValueError, r"num_nodes is 0; it has to be"),
    "new edges": (lambda: LearnableAdjacency.from_edge_index(EDGES, new_edges=0), ValueError, r"new_edges is 0; it has to be a number above 0, or None"),  # noqa: E501
    "edge that is forbidden": (lambda: LearnableAdjacency.from_edge_index(EDGES, allowed=FORBIDDEN), ValueError, r"an edge from node 0 to node 1, which allowed forbids; set allowed\[1, 0\] to True"),  # noqa: E501
    "allowed of floats": (lambda: LearnableAdjacency(4, allowed=torch.ones(4, 4)), ValueError, r"allowed is torch.float32 \[4, 4\]; .*pass allowed.bool"),  # noqa: E501
    "allowed of another size": (lambda: LearnableAdjacency(4, allowed=np.ones((3, 3), bool)), ValueError, r"allowed is torch.bool \[3, 3\]; it has to be torch.bool \[4, 4\]"),  # noqa: E501
    "allowed one way": (lambda: LearnableAdjacency(4, allowed=PAIRS, symmetric=True), ValueError, "allowed is not symmetric"),  # noqa: E501
    "allowed as text": (lambda: LearnableAdjacency(4, allowed="all"), ValueError, "allowed is 'all'; it may be 'stored'"),  # noqa: E501
    "text": (lambda: LearnableAdjacency.from_dense("temporal"), TypeError, "tensor is a str; it may be a tensor"),
    "vector": (lambda: LearnableAdjacency.from_dense(np.ones(3)), ValueError, r"tensor has shape \[3\]; it has to be \[M, M\]"),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_named_with_the_way_out(name):
    make, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        make()
