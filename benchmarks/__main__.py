"""Measures what lgrin costs: ``python -m benchmarks``."""

import argparse
from pathlib import Path

from benchmarks import memory
from benchmarks.table import print_table
from lgrin.training import write_results

BENCHMARKS = {"memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "names", nargs="*", choices=[[], *BENCHMARKS], help=f"some of {', '.join(BENCHMARKS)} (default: all)"
    )
    parser.add_argument("--out", default="runs/benchmarks", metavar="DIR", help="folder for the numbers (%(default)s)")
    options = parser.parse_args()
    tables = {name: BENCHMARKS[name].measure() for name in options.names or BENCHMARKS}
    for name, rows in tables.items():
        write_results(Path(options.out) / f"{name}.json", rows=rows)
        print_table(BENCHMARKS[name].TITLE, rows)


if __name__ == "__main__":
    main()
