import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lgrin.ops import decompositions, kernels, neighbor_max, neighbor_max_banded, neighbor_max_edges, torch_kernels
from lgrin.ops.neighbor_max import gather_back, neighbor_maxima
from lgrin.ops.window import Window, source_dtype

numba_kernels = pytest.importorskip("lgrin.ops.numba_kernels")
triton_kernels = pytest.importorskip("lgrin.ops.triton_kernels")

DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
TIES = [0.0, -0.0, 1.0, -1.0, 1e-45, -1e-45]
SPECIAL = [*TIES, np.inf, -np.inf, 3e38, -3e38]
NANS = [np.nan, 1.0, -np.inf, np.inf]
DECOMPOSED = {str(operator): function for operator, function in decompositions().items()}
WINDOW_MAX = {
    "race": lambda x, window, mask: torch_kernels._race(x, window, mask),
    "torch": torch_kernels.window_max,
    "numba": numba_kernels.window_max,
    "triton": triton_kernels.window_max,
}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def by_hand(x, neighbors, mask):
    """The definition, one number at a time: the largest value, the lowest node among equals, nobody gives (0, M)."""
    B, M, F = x.shape
    values, source = np.zeros(x.shape), np.full(x.shape, M)
    for b, i, f in np.ndindex(B, M, F):
        for j in range(M):
            if not (neighbors[b, i, j] and mask[b, i] and mask[b, j]):
                continue
            best = values[b, i, f]
            if source[b, i, f] == M or x[b, j, f] > best or (np.isnan(x[b, j, f]) and not np.isnan(best)):
                values[b, i, f], source[b, i, f] = x[b, j, f], j
    return values, source


@st.composite
def problems(draw):
    B, M, F = draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 3))
    random = np.random.default_rng(draw(st.integers(0, 2**31)))
    pool = np.array(draw(st.sampled_from([TIES, SPECIAL, NANS, random.normal(size=50)])))
    x = torch.tensor(random.choice(pool, size=(B, M, F))).to(draw(st.sampled_from(DTYPES)))
    neighbors = torch.tensor(random.random((B, M, M)) < draw(st.sampled_from([0.0, 0.3, 1.0])))
    mask = torch.tensor(random.random((B, M)) < draw(st.sampled_from([0.5, 1.0])))
    return x, neighbors, mask


def check(result, expected, dtype, num_nodes=None):
    values, source = result
    assert values.dtype == dtype
    assert source.dtype == (torch.int32 if num_nodes is None else source_dtype(num_nodes))
    assert np.array_equal(values.double().numpy(), expected[0], equal_nan=True)
    assert np.array_equal(source.numpy(), expected[1])


def run_window(name, x, window, mask):
    """A kernel's answer; Triton's runs where it can."""
    if name == "triton":
        x, mask, window = x.to(DEVICE), mask.to(DEVICE), window._replace(neighbors=window.neighbors.to(DEVICE))
        return tuple(one.cpu() for one in triton_kernels.window_max(x, window, mask))
    return WINDOW_MAX[name](x, window, mask)


@pytest.mark.parametrize("name", WINDOW_MAX)
@settings(deadline=None, max_examples=60)
@given(problem=problems())
def test_every_window_kernel_equals_the_definition(name, problem):
    x, neighbors, mask = problem
    B, M, _ = x.shape
    numbers = x.double().numpy()
    check(run_window(name, x, Window.dense(neighbors), mask), by_hand(numbers, neighbors, mask), x.dtype, M)
    shared = neighbors[0]
    expected = by_hand(numbers, shared.expand(B, M, M), mask)
    check(run_window(name, x, Window.dense(shared), mask), expected, x.dtype, M)
    reach = torch.arange(M)[:, None] + torch.arange(-M, M + 1)
    inside = (reach >= 0) & (reach < M)
    band = shared.gather(1, reach.clamp(0, M - 1)) | ~inside  # what lies outside is ignored
    check(run_window(name, x, Window.banded(band), mask), expected, x.dtype, M)


@settings(deadline=None, max_examples=100)
@given(problem=problems())
def test_operators_and_decompositions_equal_the_definition(problem):
    x, neighbors, mask = problem
    B, M, F = x.shape
    expected = by_hand(x.double().numpy(), neighbors, mask)
    check(neighbor_max(x, neighbors, mask), expected, x.dtype, M)
    check(DECOMPOSED["lgrin.neighbor_max.default"](x, neighbors, mask), expected, x.dtype, M)
    graph, target, node = neighbors.nonzero(as_tuple=True)
    order = torch.randperm(len(graph))
    edge_index = (torch.stack([node, target]) + graph * M)[:, order]
    start = (torch.arange(B) * M).view(-1, 1, 1)
    edge_kernels = (neighbor_max_edges, torch_kernels.edge_max, DECOMPOSED["lgrin.neighbor_max_edges.default"])
    for kernel in edge_kernels:
        values, source = kernel(x.flatten(0, 1), edge_index, mask.flatten())
        nobody = source == B * M
        source = (source.view(B, M, F) - start.int()).masked_fill(nobody.view(B, M, F), M)
        check((values.view(x.shape), source), expected, x.dtype)
    width = min(2, M)
    band = torch.rand(M, 2 * width + 1, generator=torch.Generator().manual_seed(M)) > 0.3
    source = torch.arange(M)[:, None] + torch.arange(-width, width + 1)
    inside = (source >= 0) & (source < M)
    matrix = torch.zeros(M, M, dtype=torch.bool)
    matrix[torch.arange(M)[:, None].expand_as(source)[inside], source[inside]] = band[inside]
    expected = by_hand(x.double().numpy(), matrix.expand(B, M, M), mask)
    check(neighbor_max_banded(x, band, mask), expected, x.dtype, M)
    check(DECOMPOSED["lgrin.neighbor_max_banded.default"](x, band, mask), expected, x.dtype, M)


@pytest.mark.parametrize("banded", [False, True])
@pytest.mark.parametrize("shape", [(6, 20, 7), (7, 9, 150), (12, 33, 192), (4, 5, 200)])
def test_sequences_without_a_mask_have_the_maxima_that_each_has_alone(shape, banded):
    B, M, _ = shape
    torch.manual_seed(0)
    x = torch.randn(shape).round()  # many ties
    neighbors = torch.rand(M, 7 if banded else M) > 0.5
    operator = neighbor_max_banded if banded else neighbor_max
    for special in (0.0, torch.nan, -torch.inf):
        x[B // 2, M // 2] = special
        values, source = operator(x, neighbors)
        alone = [operator(one[None], neighbors) for one in x]
        assert values.is_contiguous()
        assert source.is_contiguous()
        assert torch.equal(values.view(torch.int32), torch.cat([one[0] for one in alone]).view(torch.int32))
        assert torch.equal(source, torch.cat([one[1] for one in alone]))


def test_values_alone_have_the_gradient_of_the_operator():
    torch.manual_seed(0)
    x, neighbors, weight = torch.randn(6, 9, 5, requires_grad=True), torch.rand(9, 9) > 0.5, torch.randn(6, 9, 5)
    for mask in (None, torch.rand(6, 9) > 0.3):
        both = neighbor_maxima(x, neighbors, mask), neighbor_max(x, neighbors, mask)[0]
        assert torch.equal(*both)
        assert torch.equal(*(torch.autograd.grad(values, x, weight)[0] for values in both))


@pytest.mark.parametrize("shape", [(2, 37, 70, 3), (1, 80, 65, 16), (3, 17, 65, 20), (1, 1, 1, 0), (2, 16, 64, 15)])
@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("masked", [False, True])
def test_kernels_agree_at_sizes_that_fit_no_block(shape, special, masked):
    B, M, F, width = shape
    torch.manual_seed(0)
    x = torch.randn(B, M, F).round()
    if special:
        x[x > 1] = torch.nan
        x[x < -1] = -torch.inf
    mask = torch.rand(B, M) > 0.4 if masked else torch.ones(B, M, dtype=torch.bool)
    grad = torch.randn(B, M, F, dtype=torch.float64)
    bands = (torch.rand(M, 2 * width + 1) > 0.4, torch.ones(M, 2 * width + 1, dtype=torch.bool))
    several = Window.banded(torch.rand(B, M, 2 * width + 1) > 0.4)
    windows = [Window.dense(torch.rand(M, M) > 0.5), *map(Window.banded, bands), several]
    for window in windows:
        expected = torch_kernels._race(x, window, mask)
        back = torch_kernels.gather_back(grad, expected[1], window.reach)
        for name in WINDOW_MAX:
            check(run_window(name, x, window, mask), [one.double().numpy() for one in expected], x.dtype, M)
        assert torch.equal(numba_kernels.gather_back(grad, expected[1], window.reach), back)
        gathered = triton_kernels.gather_back(grad.to(DEVICE), expected[1].to(DEVICE), window.reach).cpu()
        assert torch.allclose(gathered, back, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tile", [1, 7, 64])
def test_tiles_of_any_size_give_the_same(monkeypatch, tile):
    torch.manual_seed(0)
    x, mask = torch.randn(3, 23, 4), torch.rand(3, 23) > 0.2
    windows = [Window.dense(torch.rand(3, 23, 23) > 0.5), Window.banded(torch.ones(23, 7, dtype=torch.bool))]
    for window in windows:
        expected = torch_kernels._race(x, window, mask)
        monkeypatch.setattr(torch_kernels, "TILE", tile)
        values, source = torch_kernels.window_max(x, window, mask)
        assert torch.equal(values, expected[0])
        assert torch.equal(source, expected[1])


@pytest.mark.parametrize("num_nodes", [255, 256, 32767, 32768])
def test_the_source_type_holds_every_node_and_nobody(num_nodes):
    x = torch.arange(float(num_nodes)).view(1, -1, 1)
    band = torch.zeros(num_nodes, 3, dtype=torch.bool)
    band[:, 1] = True
    band[0] = False
    for kernel in (torch_kernels, numba_kernels):
        _, source = kernel.window_max(x, Window.banded(band), None)
        assert source[0, 0].item() == num_nodes
        assert source[0, -1].item() == num_nodes - 1
        assert source.element_size() == {255: 1, 256: 2, 32767: 2, 32768: 4}[num_nodes]


def test_empty_inputs_give_empty_results():
    for shape in ((0, 3, 2), (2, 3, 0), (1, 0, 2)):
        x = torch.rand(shape, requires_grad=True)
        for out in (
            neighbor_max(x, torch.ones(shape[1], shape[1], dtype=torch.bool))[0],
            neighbor_max_banded(x, torch.ones(shape[1], 3, dtype=torch.bool))[0],
        ):
            assert out.shape == shape
            assert torch.autograd.grad(out.sum(), x)[0].shape == shape
    assert neighbor_max_edges(torch.rand(0, 2), torch.empty(2, 0, dtype=torch.long))[0].shape == (0, 2)


@pytest.mark.parametrize("masked", [True, False])
def test_operators_are_registered_whole(masked):
    torch.manual_seed(0)
    x = torch.randn(2, 4, 3, requires_grad=True)
    mask = torch.rand(2, 4) > 0.3 if masked else None
    dense, band = torch.rand(4, 4) > 0.5, torch.rand(4, 3) > 0.3
    torch.library.opcheck(neighbor_max, (x, dense, mask))
    torch.library.opcheck(neighbor_max, (x, torch.rand(2, 4, 4) > 0.5, mask))
    torch.library.opcheck(neighbor_max_banded, (x, band, mask))
    across = torch.randn(2, 3, 4, requires_grad=True).transpose(1, 2)
    torch.library.opcheck(neighbor_max, (across, dense, mask))
    torch.library.opcheck(neighbor_max, (across, torch.zeros(4, 4, dtype=torch.bool), mask))
    torch.library.opcheck(neighbor_max_banded, (across, band, mask))
    torch.library.opcheck(neighbor_max_edges, (torch.randn(3, 5, requires_grad=True).T, torch.tensor([[0], [1]])))
    flat = torch.randn(5, 3, requires_grad=True)
    edge_index = torch.tensor([[0, 1, 4], [1, 1, 0]])
    torch.library.opcheck(neighbor_max_edges, (flat, edge_index, torch.rand(5) > 0.3 if masked else None))
    torch.library.opcheck(neighbor_max_edges, (flat, edge_index[:, :0]))
    torch.library.opcheck(gather_back, (across, torch.randint(5, (2, 4, 3)), 4))


def test_gradient_goes_to_the_source_alone_and_can_be_differentiated_again():
    x = torch.tensor([[[1.0], [3.0], [2.0]]], requires_grad=True)
    neighbors = torch.tensor([[True, True, True], [False, False, False], [True, False, True]])
    values, source = neighbor_max(x, neighbors)
    assert source.flatten().tolist() == [1, 3, 2]
    weight = torch.tensor([[[10.0], [100.0], [1000.0]]], requires_grad=True)
    (grad,) = torch.autograd.grad((values * weight).sum(), x, create_graph=True)
    assert grad.flatten().tolist() == [0, 10, 1000]
    (again,) = torch.autograd.grad((grad * torch.tensor([[[1.0], [2.0], [3.0]]])).sum(), weight)
    assert again.flatten().tolist() == [2, 0, 3]


def test_the_fastest_kernel_installed_is_chosen():
    assert kernels.kernels_for("cpu") is numba_kernels
    assert kernels.kernels_for("cuda") is triton_kernels
    assert kernels.kernels_for("mps") is torch_kernels


def test_without_the_extra_pytorch_does_the_work(monkeypatch):
    monkeypatch.setattr(kernels, "find_spec", lambda name: None)
    kernels.kernels_for.cache_clear()
    try:
        assert kernels.kernels_for("cpu") is torch_kernels
        assert kernels.kernels_for("cuda") is torch_kernels
        x = torch.randn(2, 5, 3)
        assert torch.equal(neighbor_max(x, torch.ones(5, 5, dtype=torch.bool))[0], x.amax(1, True).expand_as(x))
    finally:
        kernels.kernels_for.cache_clear()


AHEAD_OF_TIME = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from lgrin.ops import triton_kernels as kernels

blocks = {
    name: {"ROWS": block.rows, "CHANNELS": block.channels}
    for name, block in (("maximum", kernels.MAXIMUM), ("gradient", kernels.GRADIENT))
}
sizes = ("num_nodes", "channels", "sequence_stride", "stride", "offset", "reach")
for ones in ((), ("num_nodes", "channels", "reach")):
    for number, index in (("fp32", "u8"), ("fp64", "i32"), ("bf16", "i16"), ("fp16", "u8")):
        for masked in (True, False):
            kinds = {"x": "*" + number, "neighbors": "*u8", "mask": "*u8", "values": "*" + number}
            kinds |= {"sources": "*" + index} | {size: "i32" for size in sizes}
            fixed = {**blocks["maximum"], "NODES": kernels.NODES, "UNROLL": kernels.UNROLL, "MASKED": masked}
            fixed |= {one: 1 for one in ones}
            source = ASTSource(kernels._window_max, kinds | {name: "constexpr" for name in fixed}, fixed)
            assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]
        kinds = {"grad": "*" + number, "sources": "*" + index, "total": "*" + number}
        kinds |= {size: "i32" for size in ("num_nodes", "channels", "reach")}
        fixed = {**blocks["gradient"], **{one: 1 for one in ones}}
        source = ASTSource(kernels._gather_back, kinds | {name: "constexpr" for name in fixed}, fixed)
        assert triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]
"""


def test_triton_kernels_compile_for_a_gpu_that_is_not_there():
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-W", "ignore", "-c", AHEAD_OF_TIME]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_any_number_of_threads_gives_the_same_bits(threads):
    torch.manual_seed(0)
    x, neighbors = torch.randn(9, 70, 300), torch.rand(70, 70) > 0.7
    grad, before = torch.randn(9, 300, 70).transpose(1, 2), torch.get_num_threads()
    expected = torch_kernels.window_max(x, Window.dense(neighbors), None)
    back = torch_kernels.gather_back(grad, expected[1], 70)
    pairs = neighbors.nonzero().T.flip(0)
    edges = torch_kernels.edge_max(x[0], pairs, None)
    try:
        torch.set_num_threads(threads)
        values, source = numba_kernels.window_max(x, Window.dense(neighbors), None)
        assert torch.equal(values, expected[0])
        assert torch.equal(source, expected[1])
        assert torch.equal(numba_kernels.gather_back(grad, source, 70), back)
        assert all(map(torch.equal, numba_kernels.edge_max(x[0], pairs, None), edges))
        assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)


def test_a_forked_process_works_with_one_thread_as_loaders_do():
    program = """
import os, signal, torch
from lgrin.ops import neighbor_max
torch.set_num_threads(2)
x, neighbors = torch.randn(9, 70, 300), torch.rand(70, 70) > 0.7
expected = neighbor_max(x, neighbors)[0]
child = os.fork()
if not child:
    signal.alarm(20)
    torch.set_num_threads(1)  # with more, PyTorch's own operations hang in a forked process
    os._exit(0 if torch.equal(neighbor_max(x, neighbors)[0], expected) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("dense", [True, False])
def test_exported_programs_can_leave_the_operators_behind(dense):
    from lgrin.graph import BandedGraph
    from lgrin.nn import GraphInception

    torch.manual_seed(0)
    graph = torch.rand(6, 6) - 0.5 if dense else BandedGraph(torch.rand(6, 3) - 0.5)
    layer, x = GraphInception(3, (4,)).eval(), torch.randn(2, 6, 3)
    program = torch.export.export(layer, (x, graph))
    program = program.run_decompositions({**torch.export.default_decompositions(), **decompositions()})
    assert not any("lgrin" in str(node.target) for node in program.graph.nodes)
    assert torch.allclose(program.module()(x, graph), layer(x, graph), atol=1e-6)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_whole_numbers_are_sorted_as_stably_without_a_stable_sort(dtype, descending):
    torch.manual_seed(0)
    x = torch.randint(-3 if dtype == torch.int64 else 0, 3, (4, 50, 2)).to(dtype)
    for dim in (0, 1, -1):
        expected = x.sort(dim=dim, stable=True, descending=descending)
        actual = DECOMPOSED["aten.sort.stable"](x, stable=True, dim=dim, descending=descending)
        assert all(map(torch.equal, actual, expected))
