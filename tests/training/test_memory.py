import os
import platform
import subprocess
import sys

import pytest

PROGRAM = """
import contextlib, resource, torch
from lgrin.training.memory import kept_memory

torch.set_num_threads(1)

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        step = [torch.ones(2**20) for _ in range(6)]  # 4 MB each
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
def test_freed_memory_is_kept_for_the_next_step_and_given_back_at_the_end():
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}  # every tensor of these is mapped anew
    found = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environment)
    usual, kept, grown = map(int, found.stdout.split())
    pages = 50 * 6 * 2**22 // 4096
    assert usual > pages / 2
    assert kept < usual / 20
    assert grown < 2**22  # no tensor is held


def test_where_the_c_library_is_another_nothing_happens(monkeypatch):
    import lgrin.training.memory as module

    monkeypatch.setattr(module.platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(module.ctypes, "CDLL", lambda name: pytest.fail("no library is asked"))
    with module.kept_memory():
        pass
