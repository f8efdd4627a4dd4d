"""Measures what lgrin costs: ``python -m benchmarks``."""

import argparse
from pathlib import Path

from benchmarks import memory
from benchmarks.table import print_table
from lgrin.training import write_results

BENCHMARKS = {"memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    known = ", ".join(BENCHMARKS)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {known} (default: all)")
    parser.add_argument("--out", default="runs/benchmarks", metavar="DIR", help="folder for the numbers (%(default)s)")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"there is no benchmark {unknown[0]}; there is {known}")
    tables = {name: BENCHMARKS[name].measure() for name in options.names or BENCHMARKS}
    for name, rows in tables.items():
        write_results(Path(options.out) / f"{name}.json", rows=rows)
        print_table(BENCHMARKS[name].TITLE, rows)


if __name__ == "__main__":
    main()
