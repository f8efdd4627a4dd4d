import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import contextlib, resource, sys, torch
from lgrin.training.memory import kept_memory

torch.set_num_threads(1)
numbers, steps = int(sys.argv[1]), int(sys.argv[2])

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        step = [torch.ones(numbers) for _ in range(6)]
        del step
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

faults()
usual, before = faults(), resident()
with kept_memory():
    faults()
    kept = faults()
print(usual, kept, resident() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
@pytest.mark.parametrize(("megabytes", "steps"), [(4, 50), (40, 5)])  # glibc maps every block above 32 MB by default
def test_freed_memory_is_kept_for_the_next_step_and_given_back_at_the_end(megabytes, steps):
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}  # every tensor of these is mapped anew
    command = [sys.executable, "-c", PROGRAM, str(megabytes * 2**18), str(steps)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    usual, kept, grown = map(int, found.stdout.split())
    pages = steps * 6 * megabytes * 2**20 // 4096
    assert usual > pages / 2
    assert kept < usual / 20
    assert grown < 2**22  # no tensor is held


def test_where_the_c_library_is_another_nothing_happens(monkeypatch):
    import lgrin.training.memory as module

    monkeypatch.setattr(module.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(module.ctypes, "CDLL", lambda name: pytest.fail("no library is asked"))
    with module.kept_memory():
        pass
