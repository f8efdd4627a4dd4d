"""Every kind of graph in every layout: values, derivatives, and every tool that a network meets.

A kind is one entry of :data:`KINDS`, with its definition in float64 NumPy. What a kind cannot do is listed in
:data:`REFUSED` and :data:`NO_DERIVATIVE`; docs/guides/graphs.md has both as tables.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.func import functional_call, grad, vmap
from torch.nn.utils import prune
from torch_geometric.explain import Explainer, GNNExplainer

from lgrin import LGrIN
from lgrin.models import fold, from_config
from lgrin.nn import GStarConv, LGrINLoss, structure_loss
from lgrin.nn.adjacency import ADJACENCIES

M, F, C = 6, 3, 2  # frames, features and classes
MASK = torch.tensor([[True, True, False, True, True, False], [True, False, True, True, True, True]])
ALLOWED = torch.ones(M, M).tril(1).triu(-3) > 0
LAYOUTS = ("dense", "masked", "ragged")


class Kind(NamedTuple):
    """A kind of graph.

    Attributes:
        settings: What builds it, as ``LGrIN(adjacency=settings)``.
        weigh: Its definition: from parameters by name, features ``[M, F]`` of a sequence and what frames are present,
            to ``[K, M, M]`` before self-loops, top-k and normalisation.
        pruned: The module of a parameter to prune, and its name.
    """

    settings: dict[str, Any]
    weigh: Callable[..., np.ndarray]
    pruned: tuple[str, str]


def stored(sign):
    return lambda weights, x, present: sign(weights["weight"].reshape(-1, M, M))


def banded(weights, x, present):
    target, place = np.indices((M, 5))
    matrix = np.zeros((1, M, M))
    inside = (target + place - 2 >= 0) & (target + place - 2 < M)
    matrix[0, target[inside], (target + place - 2)[inside]] = relu(weights["weight"])[inside]
    return matrix


def low_rank(weights, x, present):
    target = weights["target_embedding"]
    source = weights.get("source_embedding", target)
    return relu(target @ source.swapaxes(-1, -2)).reshape(-1, M, M)


def stationary(weights, x, present):
    target, source = np.indices((M, M))
    taps = weights["weight"].reshape(-1, 5)
    return np.where(abs(source - target) <= 2, taps[:, (source - target + 2).clip(0, 4)], 0)


def attention(heads):
    def weigh(weights, x, present):
        query = x @ weights["query.weight"].T + weights["query.bias"]
        key = x @ weights["key.weight"].T
        graphs = []
        for q, k in zip(np.split(query, heads, axis=1), np.split(key, heads, axis=1), strict=True):
            scores = np.exp(q @ k.T / np.sqrt(q.shape[1])) * present
            graphs.append(scores / scores.sum(1, keepdims=True))
        return np.array(graphs)

    return weigh


def taps_at(*distances):
    """A kernel over these distances in frames, those of each head in a row."""

    def weigh(weights, x, present):
        target, source = np.indices((M, M))
        matrices = np.zeros((len(distances), M, M))
        for matrix, taps, row in zip(matrices, weights["weight"].reshape(len(distances), -1), distances, strict=True):
            for tap, distance in zip(taps, row, strict=True):
                matrix[source - target == distance] = tap
        return matrices

    return weigh


def relu(x):
    return np.maximum(x, 0)


def leaky(x):
    """Before its negative part is left out, as what top-k leaves out is."""
    return np.where(x > 0, x, 0.1 * x)


def signed(x):
    return x


LEARNABLE, LOW_RANK, ATTENTION = "LearnableAdjacency", "LowRankAdjacency", "AttentionAdjacency"
STATIONARY, PLAIN = "StationaryAdjacency", {"heads": 2, "normalize": None}
KERNEL = {"name": STATIONARY, "start": "random"}
FULL, SPARSE = {"nonnegativity": None, "heads": 2}, {"topk": 2, "self_loops": False}
KINDS = {
    "learnable": Kind({"name": LEARNABLE, "normalize": "present"}, stored(relu), ("", "weight")),
    "learnable, heads": Kind({"name": LEARNABLE, "heads": 2}, stored(relu), ("", "weight")),
    "learnable, signed": Kind({"name": LEARNABLE, **FULL, "normalize": "row"}, stored(signed), ("", "weight")),
    "learnable, leaky": Kind(
        {"name": LEARNABLE, "nonnegativity": "leaky", "normalize": "present"}, stored(leaky), ("", "weight")
    ),
    "learnable, band": Kind({"name": LEARNABLE, "bandwidth": 2}, banded, ("", "weight")),
    "learnable, topk": Kind(
        {"name": LEARNABLE, **FULL, "topk": 2, "self_loops": False}, stored(signed), ("", "weight")
    ),
    "learnable, symmetrically normalised": Kind(
        {"name": LEARNABLE, "normalize": "sym", "self_loops": False}, stored(relu), ("", "weight")
    ),
    "learnable, some pairs allowed": Kind(
        {"name": LEARNABLE, "nonnegativity": "softplus", "allowed": ALLOWED, "normalize": "present"},
        stored(lambda x: np.logaddexp(0, x) * ALLOWED.numpy()),
        ("", "weight"),
    ),
    "low rank": Kind({"name": LOW_RANK, "rank": 2, "normalize": "present"}, low_rank, ("", "target_embedding")),
    "low rank, symmetric": Kind({"name": LOW_RANK, "rank": 2, "symmetric": True}, low_rank, ("", "target_embedding")),
    "low rank, topk": Kind({"name": LOW_RANK, "rank": 2, "topk": 2, "heads": 2}, low_rank, ("", "source_embedding")),
    "stationary": Kind({"name": STATIONARY, "reach": 2, "normalize": "present"}, stationary, ("", "weight")),
    "stationary, heads": Kind({"name": STATIONARY, "reach": 2, **PLAIN}, stationary, ("", "weight")),
    "attention": Kind({"name": ATTENTION, "channels": 4}, attention(1), ("query", "weight")),
    "attention, topk": Kind({"name": ATTENTION, "channels": 4, "heads": 2, "topk": 2}, attention(2), ("key", "weight")),
    "stationary, to both sides unlike": Kind(
        {**KERNEL, "reach": (2, 1), "normalize": "present"}, taps_at([-2, -1, 0, 1]), ("", "weight")
    ),
    "stationary, heads of other dilations": Kind(
        {**KERNEL, "reach": 1, "heads": 2, "dilation": (1, 2), "self_loops": False, "normalize": "present"},
        taps_at([-1, 0, 1], [-2, 0, 2]),
        ("", "weight"),
    ),
    "stationary, as it is": Kind(
        {**KERNEL, "reach": (3, 0), "normalize": None}, taps_at([-3, -2, -1, 0]), ("", "weight")
    ),
    "stationary, symmetrically normalised": Kind(
        {**KERNEL, "reach": 2, "normalize": "sym"}, taps_at([-2, -1, 0, 1, 2]), ("", "weight")
    ),
}
NO_DERIVATIVE = ("topk", "leaky")  # kinds whose gradient is that of weights that are left out, too


class Refusal(NamedTuple):
    """What some kinds cannot do.

    Attributes:
        kinds: Parts of the names of these kinds.
        ask: What asks for it.
        error: What it raises.
        message: What the error says.
    """

    kinds: tuple[str, ...]
    ask: Callable[[str], Any]
    error: type[Exception]
    message: str


DIFFER = ("attention",)
HEADS = ("heads", "learnable, signed", "topk")
REFUSED = {
    "a matrix of all sequences": Refusal(
        DIFFER, lambda kind: network(kind).adjacency(), ValueError, "x is None, but the graph of"
    ),
    "a matrix of any length": Refusal(
        ("stationary",), lambda kind: network(kind).adjacency(), ValueError, "max_num_nodes is None"
    ),
    "edges without features": Refusal(
        DIFFER, lambda kind: network(kind).adjacency.edges(), ValueError, "x is None, but the graph of"
    ),
    "a price without a graph": Refusal(
        DIFFER, lambda kind: network(kind).adjacency.penalty(), ValueError, "differs by sequence; take it from"
    ),
    "a picture of all sequences": Refusal(
        DIFFER, lambda kind: picture(kind), ValueError, "graph differs by sequence; pass that of one"
    ),
    "one picture of several heads": Refusal(
        HEADS, lambda kind: picture(kind, x=batch("dense")[0]), ValueError, "of several heads draw one"
    ),
    "neighbours of full support": Refusal(
        ("attention", "learnable, signed"), lambda kind: learned_neighbors(kind), ValueError, "connects all frames"
    ),
}


def picture(kind, x=None):
    from lgrin.visualization import plot_adjacency

    model = network(kind)
    plot_adjacency(model.adjacency if x is None else model.graphs(x)[0].detach())


def learned_neighbors(kind):
    settings = {name: value for name, value in KINDS[kind].settings.items() if name != "topk"}
    LGrIN(F, M, C, adjacency=settings, neighborhood="learned")


@pytest.mark.parametrize(
    ("what", "kind"),
    [(what, kind) for what, one in REFUSED.items() for kind in KINDS if any(part in kind for part in one.kinds)],
)
def test_what_a_kind_cannot_do_is_refused_with_a_way_out(what, kind):
    refusal = REFUSED[what]
    with pytest.raises(refusal.error, match=refusal.message):
        refusal.ask(kind)


def cases(kinds=tuple(KINDS)):
    return pytest.mark.parametrize(("kind", "layout"), [(kind, layout) for kind in kinds for layout in LAYOUTS])


def network(kind, **options):
    """A small network with this kind of graph, in float64 and evaluation mode."""
    torch.manual_seed(0)
    settings = KINDS[kind].settings
    full = settings["name"] == ATTENTION or settings.get("nonnegativity", "relu") is None
    line = {"neighborhood": "line"} if full and "topk" not in settings and "bandwidth" not in settings else {}
    model = LGrIN(F, M, C, branch_channels=(4, 2), adjacency=settings, dropout=0.0, **line, **options).double().eval()
    for parameter in model.adjacency.parameters():
        torch.nn.init.normal_(parameter, 0.2)
    return model


def batch(layout, seed=1):
    """Features, the arguments that place them, and which frames are present, ``[2, M]``."""
    x = torch.randn(2, M, F, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    if layout == "dense":
        return x, {}, torch.ones_like(MASK)
    if layout == "masked":
        return x.masked_fill(~MASK.unsqueeze(-1), torch.nan), {"mask": MASK}, MASK
    sequence, frame = MASK.nonzero(as_tuple=True)
    return x[MASK], {"frame": frame, "batch": sequence, "batch_size": 2}, MASK


def padded(x, present):
    """Features ``[2, M, F]`` in NumPy, zeros at missing frames."""
    if x.dim() == 3:
        return x.detach().masked_fill(~present.unsqueeze(-1), 0).numpy()
    full = np.zeros((*present.shape, x.size(-1)))
    full[present.numpy()] = x.detach().numpy()
    return full


def flat(x, present):
    """The rows of present frames, in the same order for every layout."""
    return x[present] if x.dim() == 3 else x


def definition(kind, weights, x, present, dropped=None):
    """The graphs ``[K, M, M]`` of one sequence in NumPy; without ``dropped``, also what is left out of the values."""
    settings = KINDS[kind].settings
    A = KINDS[kind].weigh(weights, x, present)
    A = A * present * present[:, None] if settings["name"] == ATTENTION else A
    A = A * (1 - np.eye(M)) if not settings.get("self_loops", True) else A
    if dropped is None:
        dropped = np.minimum(A, 0) if settings.get("nonnegativity") == "leaky" else np.zeros_like(A)
        if "topk" in settings:
            order = np.argsort(-np.abs(A), axis=-1, kind="stable")[..., settings["topk"] :]
            np.put_along_axis(dropped, order, np.take_along_axis(A, order, -1), -1)
    A = A - dropped
    if settings.get("normalize") == "row":
        A = A / np.abs(A).sum(-1, keepdims=True)
    if settings.get("normalize") == "sym":
        root = np.sqrt(np.abs(A).sum(-1))
        A = A / np.where(root == 0, 1, root)[..., None] / np.where(root == 0, np.inf, root)[..., None, :]
    A = A * present * present[:, None]
    if settings.get("normalize") == "present":
        total = np.abs(A).sum(-1, keepdims=True)
        A = A / np.where(total == 0, 1, total)
    return A, dropped


def weights_of(adjacency):
    return {name: weight.detach().numpy().copy() for name, weight in adjacency.named_parameters()}


def graph_of(adjacency, x, place):
    needs_features = adjacency.reads_features or adjacency.num_nodes is None
    return adjacency.graph(**place, x=x) if needs_features else adjacency.graph(**place)


@cases()
def test_values_and_gradients_are_those_of_the_definition(kind, layout):
    adjacency, (x, place, present) = network(kind).adjacency, batch(layout)
    H, weights = padded(x, present), weights_of(adjacency)
    generator = torch.Generator().manual_seed(2)
    heads = KINDS[kind].settings.get("heads", 1)
    factor = torch.randn(int(present.sum()), heads * F, generator=generator, dtype=torch.float64)
    held = [definition(kind, weights, *one) for one in zip(H, present.numpy(), strict=True)]

    def of_definition(weights, H):
        graphs = [
            definition(kind, weights, rows, there, dropped)[0]
            for rows, there, (_, dropped) in zip(H, present.numpy(), held, strict=True)
        ]
        sums = [np.concatenate(list(A @ rows), axis=-1) for A, rows in zip(graphs, H, strict=True)]
        return np.concatenate([one[there] for one, there in zip(sums, present.numpy(), strict=True)])

    x = x.requires_grad_()
    sums = flat(graph_of(adjacency, x, place).aggregate(x), present)
    np.testing.assert_allclose(sums.detach().numpy(), of_definition(weights, H), rtol=0, atol=1e-10)
    (sums * factor).sum().backward()

    def slope(change):
        values = [(of_definition(*change(step)) * factor.numpy()).sum() for step in (1e-6, -1e-6)]
        return (values[0] - values[1]) / 2e-6

    def of_weight(name, index):
        def change(step):
            moved = {**weights, name: weights[name].copy()}
            moved[name][index] += step
            return moved, H

        return slope(change)

    def of_feature(index):
        def change(step):
            moved = H.copy()
            moved[index] += step
            return weights, moved

        return slope(change)

    for name, parameter in adjacency.named_parameters():
        expected = np.array([of_weight(name, index) for index in np.ndindex(parameter.shape)])
        np.testing.assert_allclose(parameter.grad.flatten().numpy(), expected, rtol=0, atol=1e-6)
    expected = np.array([of_feature(index) for index in np.ndindex(H.shape)]).reshape(H.shape)
    found = flat(x.grad, present).numpy()
    np.testing.assert_allclose(found, expected[present.numpy()], rtol=0, atol=1e-6)
    if layout == "masked":
        assert not x.grad[~present].any()


@cases()
def test_the_graphs_of_sequences_are_those_of_the_definition(kind, layout):
    model, (x, place, present) = network(kind, input_norm=False), batch(layout)
    weights, found = weights_of(model.adjacency), model.graphs(x, **place).detach().numpy()
    found = found.reshape(2, -1, M, M)
    for matrices, H, there in zip(found, padded(x, present), present.numpy(), strict=True):
        np.testing.assert_allclose(matrices, definition(kind, weights, H, there)[0], rtol=0, atol=1e-10)


@cases([kind for kind in KINDS if not any(part in kind for part in NO_DERIVATIVE)])
def test_derivatives_are_those_of_finite_differences(kind, layout):
    adjacency, (x, place, _) = network(kind).adjacency, batch(layout)
    names = [name for name, _ in adjacency.named_parameters()]
    x = x.nan_to_num(0)

    def run(x, *values):
        kwargs = {**place, "x": x} if adjacency.reads_features or not place else place
        return functional_call(adjacency, dict(zip(names, values, strict=True)), (), kwargs).aggregate(x)

    inputs = [x.requires_grad_(), *(one.detach().requires_grad_() for one in adjacency.parameters())]
    assert torch.autograd.gradcheck(run, inputs, fast_mode=True, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(run, inputs, fast_mode=True)


@cases()
def test_compiled_networks_give_the_same(kind, layout):
    model, (x, place, _) = network(kind), batch(layout)
    torch.compiler.reset()
    compiled = torch.compile(copy.deepcopy(model), fullgraph=True, backend="aot_eager")
    out, expected = compiled(x, **place), model(x, **place)
    torch.testing.assert_close(out, expected, rtol=1e-9, atol=1e-9)
    found = torch.autograd.grad(out.sum(), list(compiled.parameters()), allow_unused=True)
    wanted = torch.autograd.grad(expected.sum(), list(model.parameters()), allow_unused=True)
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


@cases()
def test_exported_programs_give_the_same(kind, layout):
    model, (x, place, _) = network(kind), batch(layout)
    program = torch.export.export(model, (x,), place).module()
    other, _, _ = batch(layout, seed=3)
    torch.testing.assert_close(program(other, **place), model(other, **place), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_for_the_device_gives_the_same_for_whole_and_masked_sequences(kind, tmp_path):
    pytest.importorskip("onnxruntime")
    from lgrin.export import load, to_onnx

    model = network(kind).float()
    to_onnx(model, tmp_path / "model.onnx")
    run = load(tmp_path / "model.onnx")
    for layout in ("dense", "masked"):
        x, place, present = batch(layout)
        x = x.nan_to_num(0).float()
        expected = model(x, **place).softmax(-1).detach().numpy()
        found = run(x.numpy(), present.numpy()).probabilities
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


@cases()
def test_edges_serve_other_layers_and_explainers(kind, layout):
    model, (x, place, present) = network(kind), batch(layout)
    adjacency, rows = model.adjacency, flat(x, present)
    sequence, frame = present.nonzero(as_tuple=True)
    given = {"x": rows} if adjacency.reads_features else {}
    edge_index, edge_weight = (one.detach() for one in adjacency.edges(frame, sequence, **given))
    heads = KINDS[kind].settings.get("heads", 1)
    assert edge_weight.shape == ((edge_index.size(1), heads) if heads > 1 else (edge_index.size(1),))
    conv = GStarConv(F, 4, heads=heads).double().eval()
    graph = graph_of(adjacency, x, place)
    expected = flat(conv(x, graph), present)
    torch.testing.assert_close(conv(rows, edge_index, edge_weight), expected, rtol=1e-9, atol=1e-9)
    explainer = Explainer(
        conv,
        algorithm=GNNExplainer(epochs=2),
        explanation_type="model",
        edge_mask_type="object",
        model_config={"mode": "regression", "task_level": "node", "return_type": "raw"},
    )
    explanation = explainer(rows, edge_index, edge_weight=edge_weight)
    assert explanation.edge_mask.shape == edge_index.shape[1:]
    assert bool((explanation.edge_mask > 0).any())


@cases()
def test_stored_networks_give_the_same(kind, layout):
    model, (x, place, _) = network(kind), batch(layout)
    again = from_config(model.config).double().eval()
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(x, **place), model(x, **place))
    assert type(again.adjacency) is ADJACENCIES[KINDS[kind].settings["name"]]
    assert again.adjacency.config == model.adjacency.config
    other = type(again.adjacency).for_frames(M, F, **model.adjacency.config).double()
    other.load_state_dict(model.adjacency.state_dict())
    torch.testing.assert_close(fold(model)(x, **place), model(x, **place), rtol=1e-9, atol=1e-9)


@cases()
def test_pruned_weights_are_those_that_count(kind, layout):
    model, (x, place, _) = network(kind), batch(layout)
    path, name = KINDS[kind].pruned
    expected = copy.deepcopy(model)
    prune.l1_unstructured(model.adjacency.get_submodule(path), name, amount=0.75)
    module = expected.adjacency.get_submodule(path)
    weight = getattr(module, name)
    least = weight.detach().abs().flatten().sort().values[round(0.75 * weight.numel()) - 1]
    with torch.no_grad():
        weight[weight.abs() <= least] = 0
    torch.testing.assert_close(model(x, **place), expected(x, **place), rtol=1e-10, atol=1e-10)
    assert not torch.allclose(model(x, **place), network(kind)(x, **place), rtol=1e-6, atol=1e-6)


@cases()
def test_gradients_of_single_samples_are_those_of_plain_backward_passes(kind, layout):
    model, (_, place, _) = network(kind), batch(layout)
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    samples = torch.stack([batch(layout, seed)[0].nan_to_num(0) for seed in range(3)])

    def loss(weights, x):
        return functional_call(model, weights, (x,), place).square().sum()

    found = vmap(grad(loss), in_dims=(None, 0))(weights, samples)
    for index, x in enumerate(samples):
        plain = torch.autograd.grad(model(x, **place).square().sum(), list(model.parameters()), allow_unused=True)
        for name, one in zip(weights, plain, strict=True):
            one = torch.zeros_like(weights[name]) if one is None else one
            torch.testing.assert_close(found[name][index], one, rtol=1e-9, atol=1e-9)


@cases()
def test_a_network_learns_with_its_price(kind, layout):
    model, (x, place, present) = network(kind).train(), batch(layout)
    loss, target = LGrINLoss(9, lambda_pool=0.0), torch.tensor([0, 1])
    before = {name: weight.detach().clone() for name, weight in model.adjacency.named_parameters()}
    logits, graph = model(x, **place, return_graph=True)
    if model.adjacency.reads_features:
        weights, heads = weights_of(model.adjacency), model.adjacency.heads
        seen = padded(model._scale_input(model._read(x, None, None, *order(place))[0]), present)
        both = (definition(kind, weights, *one)[0] for one in zip(seen, present.numpy(), strict=True))
        expected = np.mean([sum(float(structure_loss(torch.from_numpy(A))) for A in one) for one in both])
        expected /= heads * M**2
        assert loss.penalty(model, graph).item() == pytest.approx(expected, rel=1e-3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    loss(logits, target, model, graph).backward()
    optimizer.step()
    assert all(not torch.equal(before[name], weight) for name, weight in model.adjacency.named_parameters())


def order(place):
    return tuple(place.get(name) for name in ("frame", "batch", "mask", "batch_size"))
