"""Runs an experiment of the paper, or one that it lacks, and writes its table.

    python examples/reproduce.py table2 --dataset emodb --root corpora/emodb --protocol group
    python examples/reproduce.py planted

Results land in runs/reproduce/<experiment>-<dataset>/: table.md, pictures, and a JSON file for every fold, from which
a run that was interrupted goes on.
"""

import argparse
import logging
import time
import warnings
from pathlib import Path

from experiments import DATA_EXPERIMENTS, EXPERIMENTS, Plan
from sources import add_arguments, open_dataset

from lgrin.training import PROTOCOLS


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0], epilog="Results land in runs/reproduce/<experiment>-<dataset>/."
    )
    parser.add_argument("experiment", choices=sorted(EXPERIMENTS), metavar="EXPERIMENT", help=", ".join(EXPERIMENTS))
    add_arguments(parser, default="JapaneseVowels")
    parser.add_argument("--target", metavar="NAME", help="table8: the corpus to go to")
    parser.add_argument("--target-root", metavar="DIR", help="table8: its folder")
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        help="how to split (default: group where there are groups, own where there are splits, else paper)",
    )
    parser.add_argument("--folds", type=int, default=5, metavar="N", help="parts, where they are drawn (%(default)s)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings of every fold (%(default)s)")
    parser.add_argument("--budget", type=int, default=1, metavar="N", help="settings tried of each model (%(default)s)")
    parser.add_argument("--epochs", type=int, default=150, metavar="N", help="at the most (default: %(default)s)")
    parser.add_argument("--patience", type=int, default=50, metavar="N", help="epochs without gain (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, metavar="N", help="sequences a step (%(default)s)")
    parser.add_argument(
        "--normalize", choices=("train", "group"), default="train", help="group reads test features (%(default)s)"
    )
    parser.add_argument("--keep-tail", action="store_true", help="do not mask frames that repeat to the end")
    parser.add_argument("--workers", type=int, metavar="N", help="runs at a time (default: one per core)")
    parser.add_argument("--out", metavar="DIR", help="folder of the results")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    return parser.parse_args(arguments)


def plan(options):
    """Opens the data of an experiment and says how its models are trained."""
    if options.experiment not in DATA_EXPERIMENTS:
        return Plan(options, Path(options.out or f"runs/reproduce/{options.experiment}"))
    out = Path(options.out or f"runs/reproduce/{options.experiment}-{options.dataset}")
    return Plan(options, out, open_dataset(options, progress=not options.no_progress))


def main(arguments=None):
    options = parse_arguments(arguments)
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    start = time.perf_counter()
    made = plan(options)
    rows = EXPERIMENTS[options.experiment](made)
    return made.write(rows, seconds=time.perf_counter() - start)


if __name__ == "__main__":
    main()
