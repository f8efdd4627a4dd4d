"""Every submodule is used through its own call wherever somebody would miss the call."""

import subprocess
import sys

import pytest
import torch
from torch.nn import Linear, Module, Parameter
from torch.nn.modules.module import register_module_forward_hook
from torch.nn.utils import parametrizations, prune
from torch_geometric.explain.algorithm.utils import clear_masks, set_masks

from lgrin import LGrIN
from lgrin.graph import DenseGraph, EdgeList
from lgrin.models import MultimodalLGrIN
from lgrin.nn import GraphInception, GraphReadout, GStarConv, LearnableAdjacency, LearnablePool, LGrINLoss
from lgrin.nodes import zero_absent

BANDED = {"adjacency": {"init": "uniform", "bandwidth": 2, "normalize": "present"}}
PARTS = {
    "dense adjacency": ({}, lambda model: model.adjacency),
    "banded adjacency": (BANDED, lambda model: model.adjacency),
    "pool": ({}, lambda model: model.readout.learned),
    "branch": ({}, lambda model: model.layers[0].branches[0]),
    "last branch": ({}, lambda model: model.layers[1].branches[1]),
    "linear": ({}, lambda model: model.layers[0].branches[0].lins[0]),
    "second linear": ({}, lambda model: model.layers[0].branches[0].lins[1]),
    "norm": ({}, lambda model: model.layers[0].branches[0].norms[0]),
    "second norm": ({}, lambda model: model.layers[0].branches[0].norms[1]),
    "readout": ({}, lambda model: model.readout),
    "layer": ({}, lambda model: model.layers[0]),
    "input norm": ({}, lambda model: model.input_norm),
}
HOOKS = [
    "register_forward_hook",
    "register_forward_pre_hook",
    "register_full_backward_hook",
    "register_full_backward_pre_hook",
]
WEIGHTED = ["dense adjacency", "banded adjacency", "pool", "linear", "second linear", "norm"]


def network(name):
    torch.manual_seed(0)
    options, find = PARTS[name]
    model = LGrIN(3, 6, 2, branch_channels=(4, 2), dropout=0.0, **options).double()
    return model, find(model)


def sequences():
    """Five sequences with missing frames, dense and flat."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(5, 6, 3, generator=generator).double()
    mask = torch.rand(5, 6, generator=generator) > 0.3
    frame, batch = torch.arange(6).expand(5, 6)[mask], torch.arange(5).unsqueeze(-1).expand(5, 6)[mask]
    return ((x,), {"mask": mask}), ((x[mask],), {"frame": frame, "batch": batch, "batch_size": 5})


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")
@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("name", PARTS)
def test_a_hook_is_called_once_a_forward_and_changes_nothing(name, hook):
    plain, _ = network(name)
    model, part = network(name)
    called = []
    getattr(part, hook)(lambda *_: called.append(1))
    target = torch.tensor([0, 1, 0, 1, 1])
    for args, place in sequences():
        called.clear()
        found, expected = model(*args, **place), plain(*args, **place)
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        for one, logits in ((model, found), (plain, expected)):
            one.zero_grad()
            torch.nn.functional.cross_entropy(logits, target).backward()
        assert called == ([] if "backward" in hook and name == "input norm" else [1]), "x itself needs no gradient"
    for found, expected in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(found.grad, expected.grad, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("name", ["dense adjacency", "banded adjacency"])
def test_a_hook_that_changes_the_graph_changes_layers_edges_and_losses(name):
    model, adjacency = network(name)
    expected = adjacency().detach() / 2
    adjacency.register_forward_hook(lambda module, inputs, output: output / 2)
    index, weight = adjacency.edges()
    found = torch.zeros(6, 6).double().index_put((index[1], index[0]), weight.detach())
    assert torch.equal(found, expected)
    x = torch.randn(6, 2).double()
    torch.testing.assert_close(adjacency.graph().aggregate(x).detach(), expected @ x)
    loss, given = LGrINLoss(9, lambda_pool=0.0), LearnableAdjacency.from_dense(expected)
    torch.testing.assert_close(loss.penalty(model), loss.structure(given()))


def test_a_hook_that_changes_the_pool_changes_the_readout_and_its_loss():
    readout, x = GraphReadout(6, ("learned", "max")), torch.randn(2, 6, 3)
    expected = readout(x)
    readout.learned.register_forward_hook(lambda module, inputs, output: 3 * output)
    torch.testing.assert_close(readout(x), torch.cat([3 * expected[:, :3], expected[:, 3:]], dim=-1))
    assert torch.allclose(readout.learned.weights(), 3 * readout.learned.weight)


def test_a_matrix_for_a_hook_is_refused_where_it_would_be_too_large():
    adjacency = LearnableAdjacency(9000, bandwidth=1)
    assert adjacency.graph().num_nodes == 9000
    adjacency.register_forward_hook(lambda *_: None)
    with pytest.raises(ValueError, match=r"up to 8192 only: .* remove hooks, pruning and sharding"):
        adjacency.graph()


@pytest.mark.parametrize("name", WEIGHTED)
def test_pruned_parts_train_and_stay_pruned(name):
    model, part = network(name)
    prune.random_unstructured(part, "weight", 0.5)
    loss, optimizer = LGrINLoss(9), torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(3):
        for args, place in sequences():
            optimizer.zero_grad()
            loss(model(*args, **place), torch.tensor([0, 1, 0, 1, 1]), model).backward()
            optimizer.step()
    model(*args, **place)
    assert torch.equal(part.weight, part.weight_orig * part.weight_mask)
    assert part.weight_orig.grad[part.weight_mask == 0].eq(0).all()
    assert part.weight_orig.grad.ne(0).any()


class Halved(Module):
    def forward(self, weight):
        return weight / 2


@pytest.mark.parametrize("name", WEIGHTED)
def test_parametrised_parts_equal_those_that_hold_the_weight(name):
    model, part = network(name)
    plain, same = network(name)
    same.weight.data.div_(2)
    torch.nn.utils.parametrize.register_parametrization(part, "weight", Halved())
    loss = LGrINLoss(9)
    for args, place in sequences():
        found, expected = (loss(one(*args, **place), torch.tensor([0, 1, 0, 1, 1]), one) for one in (model, plain))
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)
        found.backward(), expected.backward()
    torch.testing.assert_close(part.parametrizations.weight.original.grad, same.weight.grad / 2)


def test_hooks_on_all_modules_are_called_for_every_submodule():
    model, _ = network("pool")
    called = []
    handle = register_module_forward_hook(lambda module, *_: called.append(module))
    try:
        model(torch.randn(2, 6, 3).double())
    finally:
        handle.remove()
    parts = {path for path, module in model.named_modules() if any(module is one for one in called)}
    for layer in (0, 1):
        for branch in (0, 1):
            for part in ("", ".lins.0", ".lins.1", ".norms.0", ".norms.1"):
                assert f"layers.{layer}.branches.{branch}{part}" in parts
    assert {"adjacency", "readout", "readout.learned", "input_norm", "head"} <= parts


def test_a_patched_forward_is_used():
    layer, x, adj = GraphInception(3, (4, 2)).eval(), torch.randn(2, 5, 3), torch.rand(5, 5)
    expected = layer(x, adj)
    branch, lin = layer.branches[0], layer.branches[1].lins[0]
    branch.forward = lambda *args: 2 * GStarConv.forward(branch, *args)
    torch.testing.assert_close(layer(x, adj)[..., :4], 2 * expected[..., :4])
    lin.forward = lambda rows: torch.zeros(*rows.shape[:-1], 2)
    assert not torch.allclose(layer(x, adj)[..., 4:6], expected[..., 4:6])


class Packed(torch.Tensor):
    """A weight that knows one use alone, as those of quantised models do."""

    __tensor_flatten__ = None

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function is torch.cat and any(isinstance(one, cls) for one in args[0]):
            raise NotImplementedError("packed weights cannot be put side by side")
        with torch._C.DisableTorchFunctionSubclass():
            result = function(*args, **(kwargs or {}))
        return result.as_subclass(cls) if function is torch.Tensor.detach else result


def test_weights_that_only_their_layer_can_use_stay_in_their_layer():
    layer, x, adj = GraphInception(3, (4, 2)).eval(), torch.randn(2, 5, 3), torch.rand(5, 5)
    expected = layer(x, adj)
    lin = layer.branches[0].lins[0]
    lin.weight = Parameter(lin.weight.detach().as_subclass(Packed), requires_grad=False)
    torch.testing.assert_close(layer(x, adj), expected)


class Wrapped(Module):
    """A branch inside of another module."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, *args):
        return self.inner(*args)


class Own(Module):
    """A branch that is no layer of this library."""

    def __init__(self):
        super().__init__()
        self.lin = Linear(3, 4)

    def forward(self, x, graph):
        return self.lin(graph.aggregate(x))


class Doubled(GStarConv):
    def forward(self, *args, **kwargs):
        return 2 * super().forward(*args, **kwargs)


@pytest.mark.parametrize("flat", [True, False])
def test_replaced_and_wrapped_branches_are_called(flat):
    torch.manual_seed(0)
    layer, mask = GraphInception(3, (4, 2)), torch.tensor([True, True, False, True, True])
    x = torch.randn(5, 3).masked_fill(~mask.unsqueeze(-1), torch.nan)
    edge_index, edge_weight = torch.rand(5, 5).relu().nonzero().T, torch.rand(25)
    graph = EdgeList(edge_index, edge_weight, mask) if flat else DenseGraph(torch.rand(5, 5), mask)
    expected = layer(x, graph)
    layer.branches[0] = Wrapped(layer.branches[0])
    torch.testing.assert_close(layer(x, graph), expected)
    twice = Doubled(3, 2)
    twice.load_state_dict(layer.branches[1].state_dict())
    layer.branches[1] = twice
    torch.testing.assert_close(layer(x, graph)[:, 4:6], 2 * expected[:, 4:6])
    layer.branches[0] = Own()
    own = zero_absent(layer.branches[0].lin(graph.aggregate(x)), mask)
    torch.testing.assert_close(layer(x, graph)[:, :4], own)
    assert "Own" in repr(layer)
    layer.reset_parameters()


def explained(change):
    """A layer, and edges with a mask that an explainer would set."""
    torch.manual_seed(0)
    layer = GraphInception(3, (4, 2), norm=None).double()
    change(layer)
    x, edge_index = torch.randn(5, 3).double(), torch.rand(5, 5).gt(0.4).nonzero().T
    edge_weight, edge_mask = torch.rand(edge_index.size(1)).double(), torch.rand(edge_index.size(1)).double()
    edge_mask[::3] = 0.0  # hides edges from the maximum, too
    return layer, x, edge_index, edge_weight, edge_mask


def hooked(layer):
    layer.branches[0].register_forward_hook(lambda *_: None)


def wrapped(layer):
    layer.branches[1] = Wrapped(layer.branches[1])


def replaced(layer):
    layer.branches[0] = Own().double()


def watched(layer):
    layer.branches[0].lins[0].register_forward_hook(lambda *_: None)


@pytest.mark.parametrize("apply_sigmoid", [True, False])
@pytest.mark.parametrize("change", [lambda layer: None, hooked, wrapped, replaced, watched])
def test_an_explanation_s_mask_counts_once(change, apply_sigmoid):
    layer, x, edge_index, edge_weight, edge_mask = explained(change)
    factor = edge_mask.sigmoid() if apply_sigmoid else edge_mask
    expected = layer(x, edge_index, edge_weight * factor)
    assert not torch.allclose(layer(x, edge_index, edge_weight), expected)
    set_masks(layer, edge_mask, edge_index, apply_sigmoid)
    torch.testing.assert_close(layer(x, edge_index, edge_weight), expected)
    torch.testing.assert_close(layer(x, EdgeList(edge_index, edge_weight)), expected)
    clear_masks(layer)
    assert not torch.allclose(layer(x, edge_index, edge_weight), expected)


@pytest.mark.parametrize("change", [lambda layer: None, hooked, wrapped])
def test_a_mask_on_one_branch_counts_in_that_branch(change):
    layer, x, edge_index, edge_weight, edge_mask = explained(change)
    expected = layer(x, edge_index, edge_weight)
    masked = layer(x, edge_index, edge_weight * edge_mask)
    set_masks(layer.branches[1], edge_mask, edge_index, apply_sigmoid=False)
    found = layer(x, edge_index, edge_weight)
    torch.testing.assert_close(found[:, 4:6], masked[:, 4:6])
    torch.testing.assert_close(found[:, :4], expected[:, :4])
    torch.testing.assert_close(found[:, 6:], expected[:, 6:])


def test_each_modality_is_called():
    model = MultimodalLGrIN({"face": {"in_channels": 3, "num_nodes": 6}}, num_classes=2).eval()
    inputs = {"face": torch.randn(2, 6, 3)}
    expected, called = model(inputs), []
    model.modalities["face"].register_forward_hook(lambda *_: called.append(1))
    assert torch.equal(model(inputs), expected)
    assert called == [1]


def test_spectral_norm_of_a_banded_adjacency_and_a_pool_trains():
    model, _ = network("banded adjacency")
    parametrizations.spectral_norm(model.adjacency)
    parametrizations.weight_norm(model.readout.learned, dim=None)
    for _ in range(2):
        args, place = sequences()[0]
        LGrINLoss(9)(model(*args, **place), torch.tensor([0, 1, 0, 1, 1]), model).backward()
    assert model.adjacency.parametrizations.weight.original.grad.isfinite().all()


@pytest.mark.parametrize("bandwidth", [None, 2])
def test_a_forward_of_a_class_of_one_s_own_is_used_by_the_graph(bandwidth):
    class Doubling(LearnableAdjacency):
        def forward(self):
            return 2 * super().forward()

    adjacency, x = Doubling(6, init="uniform", bandwidth=bandwidth), torch.randn(6, 2)
    torch.testing.assert_close(adjacency.graph().aggregate(x), adjacency() @ x)


def test_a_pool_of_one_s_own_class_is_used_by_the_readout():
    class Doubling(LearnablePool):
        def forward(self, *args, **kwargs):
            return 2 * super().forward(*args, **kwargs)

    readout, x = GraphReadout(6, ("learned",)), torch.randn(2, 6, 3)
    expected = readout(x)
    readout.learned = Doubling(6)
    torch.testing.assert_close(readout(x), 2 * expected)


SHARDED = """
import sys, torch, torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from lgrin import LGrIN
from lgrin.nn import LGrINLoss

PARTS = {
    "adjacency": lambda m: [m.adjacency],
    "pool": lambda m: [m.readout.learned],
    "branch": lambda m: [m.layers[0].branches[0]],
    "linear": lambda m: [m.layers[0].branches[0].lins[0]],
    "norm": lambda m: [m.layers[0].branches[0].norms[0]],
    "all": lambda m: [*m.layers[0].branches, m.adjacency, m.readout.learned, m.input_norm, m.head, m],
}


def network(bandwidth):
    torch.manual_seed(0)
    adjacency = {"init": "uniform", "bandwidth": bandwidth}
    return LGrIN(3, 6, 2, branch_channels=(4, 2), dropout=0.0, adjacency=adjacency)


dist.init_process_group("gloo")
mesh = init_device_mesh("cpu", (dist.get_world_size(),))
x, y, loss = torch.randn(4, 6, 3), torch.tensor([0, 1, 1, 0]), LGrINLoss(10)
for bandwidth in (None, 2):
    for name in sys.argv[1:]:
        models = network(bandwidth), network(bandwidth)
        for part in PARTS[name](models[0]):
            fully_shard(part, mesh=mesh)
        torch.manual_seed(1)
        x = torch.randn(4, 6, 3)
        for model in models:
            optimizer = torch.optim.SGD(model.parameters(), 0.1)
            for _ in range(2):
                optimizer.zero_grad()
                loss(model(x), y, model).backward()
                optimizer.step()
        for (path, found), expected in zip(models[0].named_parameters(), models[1].parameters(), strict=True):
            found = found.full_tensor() if hasattr(found, "full_tensor") else found
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5, msg=f"{name} {bandwidth} {path}")
dist.destroy_process_group()
print("trained alike")
"""


@pytest.mark.parametrize(("processes", "parts"), [(1, ["adjacency", "pool", "branch", "linear", "norm"]), (2, ["all"])])
def test_sharded_models_train_like_whole_ones(tmp_path, processes, parts):
    (tmp_path / "program.py").write_text(SHARDED)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    result = subprocess.run(
        [*command, str(tmp_path / "program.py"), *parts], capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("trained alike") == processes
