"""Random sequences in every layout and dtype, held against NumPy in float64; indices out of range are named.

Every block draws its own cases by a fixed seed, so that what failed fails again: ``-k "block3"`` repeats a block.
"""

import numpy as np
import pytest
import reference
import torch
from layouts import KINDS, PaddedBatch, can_hold

from lgrin import LGrIN
from lgrin.nn import GraphInception, GraphReadout, GStarConv, LearnableAdjacency, LearnablePool

BLOCKS, CASES = 6, 50
BLOCK = pytest.mark.parametrize("block", range(BLOCKS), ids=lambda block: f"block{block}")
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 3e-2}  # of the largest
CHANNELS, PARTS = 3, ("max", "learned", "mean", "sum")


class Case:
    """One batch of sequences, one graph, one layout and one dtype."""

    def __init__(self, seed, dtypes=DTYPES):
        self.random = random = np.random.default_rng(seed)
        self.seed, self.dtype = seed, dtypes[random.integers(len(dtypes))]
        self.kind = KINDS[random.integers(len(KINDS))]
        self.normalize = (None, "row", "present")[random.integers(3)]
        if not can_hold(self.kind, self.normalize):
            self.normalize = "row"
        size, nodes = int(random.integers(1, 5)), int(random.integers(1, 10))
        bandwidth, index = int(random.integers(0, nodes + 1)), np.arange(nodes)
        weight = random.normal(size=(nodes, nodes)) - random.choice([0.0, 1.0, 10.0, -3.0])
        weight[random.random((nodes, nodes)) < random.choice([0.0, 0.3])] *= 1e-4  # light edges are edges
        weight[np.abs(index - index[:, None]) > bandwidth] = 0
        weight[random.random(nodes) < random.choice([0.0, 0.3])] = 0  # frames without a neighbour
        x = random.normal(size=(size, nodes, CHANNELS))
        x = np.round(x) if random.random() < 0.5 else x  # ties
        mask = random.random((size, nodes)) < random.choice([0.0, 0.2, 0.6, 1.0])
        mask[random.random(size) < random.choice([0.0, 0.3])] = False
        hidden = torch.tensor(mask)
        x = torch.tensor(x).to(self.dtype).masked_fill(~hidden.unsqueeze(-1), random.choice([np.nan, np.inf, 0.0]))
        self.data = PaddedBatch(x, hidden, torch.tensor(weight).to(self.dtype), bandwidth)

    def __repr__(self):
        return f"Case({self.seed}): {self.kind}, {self.dtype}, normalize={self.normalize}"

    def sequences(self):
        """Present frames, their features and the graph among them, of each sequence, in float64."""
        whole = reference.relu(self.data.weight.double().numpy())
        if self.normalize is not None:
            whole = divided(whole, whole.sum(1))
        for x, mask in zip(self.data.x.double().numpy(), self.data.mask.numpy(), strict=True):
            present = np.flatnonzero(mask)
            A = whole[np.ix_(present, present)]
            if self.normalize == "present" and len(present) < len(mask):
                kept = A.sum(1)
                eps = torch.finfo(torch.promote_types(self.dtype, torch.float32)).eps
                A = divided(A, np.where(kept > eps, kept, 1))
            yield present, x[present], A

    def check(self, actual, expected, exact=False):
        actual = actual.detach().double().numpy()
        assert actual.shape == expected.shape, self
        assert np.isfinite(actual).all(), self
        if exact:
            assert np.array_equal(actual, expected), self
            return
        scale = max(1.0, np.abs(expected).max(initial=0))
        error = np.abs(actual - expected).max(initial=0) / scale
        assert error <= TOLERANCE[self.dtype], f"{self}: {error:.1e}"


def divided(rows, sums):
    return np.divide(rows, sums[:, None], out=np.zeros_like(rows), where=sums[:, None] > 0)


def cases(block, **options):
    for number in range(CASES):
        yield Case([block, number], **options)


def randomize(module, random):
    """Draws every parameter and statistic, and gives the module in evaluation mode."""
    for name, tensor in module.state_dict().items():
        if tensor.is_floating_point():
            drawn = random.uniform(0.5, 2, tensor.shape) if "var" in name else random.normal(0, 0.5, tensor.shape)
            tensor.copy_(torch.tensor(drawn))
    return module.eval()


def stacked(rows, width):
    return np.concatenate([np.zeros((0, width)), *rows])


def affine(norm):
    """A batch norm that keeps its statistics, in float64."""
    mean, var = (part.double().numpy() for part in (norm.running_mean, norm.running_var))
    weight, bias = (1 if part is None else part.detach().double().numpy() for part in (norm.weight, norm.bias))
    return lambda x: (x - mean) / np.sqrt(var + norm.eps) * weight + (0 if norm.bias is None else bias)


def layers(conv):
    """Weights and norms of a G* convolution, as the reference takes them."""
    weights = [(lin.weight.detach().double().numpy(), lin.bias.detach().double().numpy()) for lin in conv.lins]
    norms = None if conv.norms is None else [affine(norm) for norm in conv.norms]
    return weights, None if norms is None else lambda layer, x: norms[layer](x)


@BLOCK
def test_convolutions_and_neighbours_are_those_of_float64(block):
    for case in cases(block):
        norm = ("batch_norm", None)[case.random.integers(2)]
        layer = GraphInception(CHANNELS, (4, 2), norm=norm, num_layers=int(case.random.integers(1, 4)))
        randomize(layer, case.random).to(case.dtype)
        x, graph, _ = case.data.inputs(case.kind, case.data.adjacency(case.kind, normalize=case.normalize))
        nodes = case.data.present(case.kind, layer(x, *graph))
        found = list(case.sequences())
        branches = [layers(conv) for conv in layer.branches]
        convolved = [
            np.concatenate([reference.gstar(H, A, *branch) for branch in branches], axis=1)
            for _, H, A in found
            if len(H)
        ]
        case.check(nodes[:, :6], stacked(convolved, 6))
        loudest = [reference.neighbor_max(H, A) for _, H, A in found if len(H)]
        case.check(nodes[:, 6:], stacked(loudest, CHANNELS), exact=True)


def read_out(H, p, parts):
    if len(H) == 0:
        return np.zeros(len(parts) * CHANNELS)
    kinds = {"max": H.max(0), "learned": H.T @ p, "mean": H.mean(0), "sum": H.sum(0)}
    return np.concatenate([kinds[part] for part in parts])


@BLOCK
def test_readouts_are_those_of_float64(block):
    for case in cases(block):
        parts = tuple(case.random.permutation(PARTS)[: case.random.integers(1, 5)].tolist())
        if case.dtype == torch.float16 and not {"learned", "sum"} & set(parts):
            case.data.x *= 2**13  # so that the sum of a mean is beyond 16 bits
        readout = randomize(GraphReadout(case.data.num_nodes, parts), case.random).to(case.dtype)
        x, _, place = case.data.inputs(case.kind, case.data.adjacency(case.kind))
        p = (
            np.zeros(case.data.num_nodes)
            if readout.learned is None
            else readout.learned.weight.detach().double().numpy()
        )
        expected = [read_out(H, p[present], parts) for present, H, _ in case.sequences()]
        case.check(readout(x, **place), np.stack(expected))


@BLOCK
def test_models_are_those_of_float64(block):
    for case in cases(block, dtypes=DTYPES[:2]):
        options = {"branch_channels": (4, 2), "num_layers": int(case.random.integers(1, 3))}
        options["input_norm"] = bool(case.random.integers(2))
        adjacency = case.data.adjacency(case.kind, normalize=case.normalize)
        model = LGrIN(CHANNELS, case.data.num_nodes, 2, adjacency=adjacency, **options).to(case.dtype)
        weight = adjacency.weight.detach().clone()
        randomize(model, case.random)
        adjacency.weight.data.copy_(weight)
        logits = case.data.run(model, case.kind, adjacency)
        case.check(logits, np.stack([expected_logits(model, *found) for found in case.sequences()]))


def expected_logits(model, present, H, A):
    """The network on one sequence, in float64; what has no frame is read out as zeros."""
    if model.input_norm is not None:
        H = affine(model.input_norm)(H)
    for layer in model.layers if len(H) else ():
        branches = [reference.gstar(H, A, *layers(conv)) for conv in layer.branches]
        H = np.concatenate([*branches, reference.neighbor_max(H, A)], axis=1)
    p = model.readout.learned.weight.detach().double().numpy()[present]
    pooled = reference.readout(H, p) if len(H) else np.zeros(model.embed_channels)
    (head,) = (part for part in model.head if isinstance(part, torch.nn.Linear))
    return head.weight.detach().double().numpy() @ pooled + head.bias.detach().double().numpy()


ADJACENCY = LearnableAdjacency(5, init="uniform")
BANDED = LearnableAdjacency(5, init="uniform", bandwidth=2)
MODEL = LGrIN(CHANNELS, 5, 2, branch_channels=(4,)).eval()
READOUT, POOL = GraphReadout(5), LearnablePool(5)
LAYERS = {"GStarConv": GStarConv(CHANNELS, 4).eval(), "GraphInception": GraphInception(CHANNELS, (4,)).eval()}
USES = {  # what is given, and the argument that is out of range
    "graph": lambda x, place: LAYERS["GStarConv"](x, ADJACENCY.graph(**place)),
    "banded graph": lambda x, place: LAYERS["GraphInception"](x, BANDED.graph(**place)),
    "edges": lambda x, place: ADJACENCY.edges(place["frame"], place["batch"]),
    "banded edges": lambda x, place: BANDED.edges(place["frame"], place["batch"]),
    "model": lambda x, place: MODEL(x, **place),
    "embedding": lambda x, place: MODEL.embed(x, **place),
    "salient frames": lambda x, place: MODEL.salient_frames(x, **place),
    "readout": lambda x, place: READOUT(x, **place),
    "pool": lambda x, place: POOL(x, **place),
}
WRONG = {"frame": (-1, 5, 2**31, -(2**40)), "batch": (-1, 3, 2**31)}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(("name", "value"), [(name, value) for name in WRONG for value in WRONG[name]], ids=str)
@pytest.mark.parametrize("node", [0, 4, 7])
def test_frames_and_sequences_out_of_range_are_named(use, name, value, node):
    if name == "batch" and "edges" in use and value > 0:
        return  # their batch_size follows from batch
    place = {"frame": torch.tensor([0, 1, 4, 2, 3, 0, 1, 2]), "batch": torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])}
    USES[use](torch.rand(8, CHANNELS), {**place, "batch_size": 3})
    place[name][node] = value
    with pytest.raises((ValueError, IndexError), match=name):
        USES[use](torch.rand(8, CHANNELS), {**place, "batch_size": 3})


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("value", [-1, 4, 9, 2**31, -(2**40)])
@pytest.mark.parametrize("place", [(0, 0), (1, 0), (0, 4), (1, 4)])
def test_edges_to_nodes_that_are_not_there_are_named(layer, weighted, value, place):
    edges, weight = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 0, 0]]), torch.rand(5) if weighted else None
    LAYERS[layer](torch.rand(4, CHANNELS), edges, weight)
    edges[place] = value
    with pytest.raises((ValueError, IndexError), match=r"edge_index|source|target"):
        LAYERS[layer](torch.rand(4, CHANNELS), edges, weight)
