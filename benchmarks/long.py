"""Long sequences on a banded graph: time and memory per frame as the length grows."""

import json
import statistics
import sys
import time
from contextlib import nullcontext

from benchmarks.measure import in_process, peak, resident, row

LENGTHS = (8_000, 32_000, 128_000)
KEEP = {"MALLOC_MMAP_THRESHOLD_": "100000000000", "MALLOC_TRIM_THRESHOLD_": "100000000000"}
WAYS = {
    "freed memory kept by the environment": ("plain", KEEP),
    "freed memory kept by lgrin, as in a fit": ("kept", {}),
    "memory as the system has it": ("plain", {}),
}


def measure() -> list[dict]:
    rows = []
    for name, (way, environment) in WAYS.items():
        costs = {length: in_process("benchmarks.long", way, length, **environment) for length in LENGTHS}
        first = costs[LENGTHS[0]]
        for length in LENGTHS[1:]:
            title = f"per frame, band 16, {length:,} frames over 8,000, two threads, {name}"
            seconds, memory = (costs[length][key] / length / (first[key] / LENGTHS[0]) for key in ("seconds", "bytes"))
            us = {"us": 1e6 * costs[length]["seconds"] / length, "us_at_8000": 1e6 * first["seconds"] / LENGTHS[0]}
            rows.append(row(f"time {title}", seconds, "times", 1.5, **us))
            rows.append(row(f"memory {title}", memory, "times", 1.2, kB=costs[length]["bytes"] / length / 1e3))
        whole = in_process("benchmarks.long", way, 100_000, **environment)
        title = f"100,000 frames, P=35, band 16, a step, two threads, {name}"
        rows.append(row(title, whole["bytes"] / 1e9, "GB", 4, seconds=whole["seconds"]))
    return rows


def steps(way: str, length: int, threads: int = 2) -> dict[str, float]:
    """Trains a few steps on one sequence; returns the seconds of a step and the bytes that the process grew by.

    The time of the processor is that of all threads; where others use the machine, that of one thread is comparable.
    """
    import torch

    from benchmarks.composed import wide
    from benchmarks.step import step
    from lgrin.training.memory import kept_memory

    torch.set_num_threads(threads)
    size = (35, length, 4)
    run = step(wide(*size, adjacency={"init": "temporal", "normalize": "row", "bandwidth": 16}), 1, size)
    before, seconds, processor = resident(), [], []
    with kept_memory() if way == "kept" else nullcontext():
        for _ in range(6):
            start, used = time.perf_counter(), time.process_time()
            run()
            seconds.append(time.perf_counter() - start)
            processor.append(time.process_time() - used)
    taken, used = statistics.median(seconds[1:]), statistics.median(processor[1:])
    return {"seconds": taken, "processor_seconds": used, "bytes": peak() - before}


if __name__ == "__main__":
    print(json.dumps(steps(sys.argv[1], *map(int, sys.argv[2:]))))
