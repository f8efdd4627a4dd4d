"""What the machine code for CPUs lives beside: forked processes, and its files on disk."""

import os
import subprocess
import sys

import pytest

numba = pytest.importorskip("numba")
from lgrin.ops.numba_cache import CheckedFile, compiled  # noqa: E402

START = """
import os, resource, signal, threading
import torch
torch.get_num_threads = lambda: 2  # the kernels' own threads; PyTorch's do not outlive a fork
from lgrin.ops import neighbor_max, neighbor_max_edges, numba_kernels
x, neighbors = torch.randn(9, 70, 300), torch.rand(70, 70) > 0.7
expected = neighbor_max(x, neighbors)[0]

def wait(child):
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
HELD = """
held, forked = threading.Event(), threading.Event()

def hold():
    with numba_kernels._threads()._shutdown_lock:
        held.set()
        forked.wait()

holder = threading.Thread(target=hold)
holder.start()
held.wait()
child = os.fork()
if not child:
    signal.alarm(60)
    os._exit(0 if torch.equal(neighbor_max(x, neighbors)[0], expected) else 1)
forked.set()
wait(child)
"""
COMPILING = """
from numba.core.compiler_lock import global_compiler_lock
held = threading.Event()

def compile_something():
    with global_compiler_lock:
        held.set()
        threading.Event().wait(0.5)

threading.Thread(target=compile_something).start()
held.wait()
child = os.fork()
if not child:
    signal.alarm(60)
    with global_compiler_lock:
        os._exit(0)
wait(child)
with global_compiler_lock:
    pass
"""
MEMORY = """
everybody = threading.Barrier(os.cpu_count())  # has all threads started, so that a copy of their list is full
list(numba_kernels._threads().map(lambda _: everybody.wait(), range(os.cpu_count())))
child = os.fork()
if not child:
    signal.alarm(300)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(200):
        neighbor_max(x, neighbors)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    os._exit(0 if grown < 50_000 else 1)  # kB; what 200 calls leave in a queue takes 180,000
wait(child)
"""


def run(program, **environment):
    command = [sys.executable, "-W", "ignore", "-c", program]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("program", [HELD, COMPILING, MEMORY], ids=["threads", "compiler", "memory"])
def test_a_forked_process_inherits_no_lock_and_no_queue(program):
    result = run(START + program, OMP_NUM_THREADS="1")
    assert result.returncode == 0, result.stderr


CALL = """
import torch
from lgrin.ops import neighbor_max_edges
values, source = neighbor_max_edges(torch.tensor([[1.0], [3.0]]), torch.tensor([[0, 1], [1, 1]]))
assert (values.flatten().tolist(), source.flatten().tolist()) == ([0.0, 3.0], [2, 1])
"""


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.suffix in (".nbi", ".nbc"))


def test_kernels_run_beside_files_that_were_cut_short(tmp_path):
    environment = {"NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    assert run(CALL, **environment).returncode == 0
    assert {path.suffix for path in files_in(tmp_path)} == {".nbi", ".nbc"}
    for path in files_in(tmp_path):
        path.write_bytes(path.read_bytes()[:100])
    result = run(CALL, **environment)
    assert result.returncode == 0, result.stderr
    assert min(path.stat().st_size for path in files_in(tmp_path)) > 100


def double(x):
    return 2 * x


@pytest.fixture
def hits(tmp_path, monkeypatch):
    """Calls a function that is compiled as if for the first time; whether its machine code was on disk."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def call():
        dispatcher = compiled(double)
        assert dispatcher(3) == 6
        return sum(dispatcher.stats.cache_hits.values())

    return call


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_damaged_machine_code_is_compiled_again(hits, tmp_path, suffix):
    assert (hits(), hits()) == (0, 1)
    (path,) = (path for path in files_in(tmp_path) if path.suffix == suffix)
    whole = path.read_bytes()
    flips = [whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :] for at in range(0, len(whole), len(whole) // 20)]
    for damaged in (b"", whole[:1], whole[: len(whole) // 2], whole[:-1], whole + b"0", *flips):
        path.write_bytes(damaged)
        assert (hits(), hits()) == (0, 1)
    path.unlink()
    assert (hits(), hits()) == (0, 1)


def test_machine_code_of_another_version_is_compiled_again(hits, monkeypatch):
    assert (hits(), hits()) == (0, 1)
    monkeypatch.setattr(numba, "__version__", "0.0")
    assert (hits(), hits()) == (0, 1)


def test_machine_code_runs_where_it_cannot_be_kept(hits, monkeypatch):
    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(CheckedFile, "_open_for_write", full)
    assert (hits(), hits()) == (0, 0)
