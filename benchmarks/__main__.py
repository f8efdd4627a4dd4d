"""Measures time and memory of lgrin, compared with what one would use without it: ``python -m benchmarks``.

Both sides of a ratio are measured in one run, by calling the functions in turn. Times are medians. Memory and training
in several processes are measured in separate processes.
"""

import argparse
import importlib
import os
import platform
from pathlib import Path

import torch

from benchmarks.table import print_table
from lgrin.ops.kernels import kernels_for
from lgrin.training import write_results

TRAINING = ("step", "fit", "predict", "threads")
LAYERS = ("neighbor_max", "inference", "long", "ragged", "graphs", "heads")
BENCHMARKS = (*TRAINING, *LAYERS, "processes", "memory", "recording", "gpu")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.split("\n\n")[0])
    known = ", ".join(BENCHMARKS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {known} (default: all)")
    parser.add_argument("--out", default="runs/benchmarks", metavar="DIR", help="folder for the numbers (%(default)s)")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there is {known}")
    rows = []
    for name in options.names or BENCHMARKS:
        print(f"measuring {name}", flush=True)
        part = importlib.import_module(f"benchmarks.{name}").measure()
        write_results(Path(options.out) / f"{name}.json", rows=part, machine=machine())
        rows += part
    print_table(machine(), rows)


def machine() -> str:
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    kernels = kernels_for("cpu").__name__.removeprefix("lgrin.ops.")
    return f"{platform.machine()}, {os.cpu_count()} CPU cores, {gpu}, torch {torch.__version__}, {kernels}"


if __name__ == "__main__":
    main()
