"""The experiments by name, each a function from a plan to the rows of a table, and their options."""

import argparse
import functools
import time
from pathlib import Path

from examples.reproduce import compare, tables
from examples.reproduce.figure4 import fig4
from examples.reproduce.figure6 import fig6
from examples.reproduce.figure7 import fig7
from examples.reproduce.graphs import graphs
from examples.reproduce.missing import missing
from examples.reproduce.optimism import optimism
from examples.reproduce.plan import Plan
from examples.reproduce.planted import planted
from examples.reproduce.studies import STUDIES
from examples.reproduce.transfer import table8
from examples.sources import add_arguments, open_dataset
from lgrin.training import PROTOCOLS

PIECES = 60  # frames


def compare_candidates(experiment, plan):
    """Compares the candidates of a table."""
    quoted, only_quoted = tables.quoted(experiment), tables.only_quoted(experiment)
    return compare.table(tables.candidates(experiment), plan.setting(), quoted, only_quoted)


def optimism_in_pieces(plan):
    """Compares four ways of splitting pieces of the recordings."""
    return optimism(plan.recordings(), plan.setting(), min(PIECES, plan.dataset.num_frames))


TABLES = ("table1", "table2", "table3", "table4", "table5", "table6", "table7")
EXPERIMENTS = {
    **{name: functools.partial(compare_candidates, name) for name in TABLES},
    "graphs": graphs,
    "optimism": optimism_in_pieces,
    "fig4": fig4,
    "fig6": fig6,
    "fig7": fig7,
    "table8": table8,
    "planted": planted,
    "missing": missing,
}
DATA_EXPERIMENTS = EXPERIMENTS.keys() - {"planted"}
NUMBERS = {  # options that are numbers: default and meaning
    "folds": (5, "number of folds, if the protocol draws them"),
    "seeds": (1, "trainings of every fold"),
    "budget": (1, "settings tried for each model"),
    "epochs": (150, "most epochs of a training"),
    "patience": (50, "epochs without improvement after which to stop"),
    "batch-size": (32, "sequences per step"),
}


def parse_arguments(experiment, arguments=None):
    parser = argparse.ArgumentParser(
        prog=f"python -m examples.reproduce {experiment}",
        description=STUDIES[experiment].summary,
        epilog="Results are written to runs/reproduce/<experiment>-<dataset>/: table.md, pictures, and a JSON file for "
        "every fold, from which an interrupted run resumes.",
    )
    parser.set_defaults(experiment=experiment)
    add_arguments(parser, default="JapaneseVowels")
    parser.add_argument("--target", metavar="NAME", help="table8: the target corpus")
    parser.add_argument("--target-root", metavar="DIR", help="table8: folder of the target corpus")
    parser.add_argument(
        "--protocol",
        choices=PROTOCOLS,
        help="how to split (default: group where there are groups, own where there are splits, else paper)",
    )
    for name, (default, what) in NUMBERS.items():
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{what} (default: %(default)s)")
    parser.add_argument(
        "--normalize",
        choices=("train", "group"),
        default="train",
        help="scale features by training sequences, or each group by its own, test groups too (default: %(default)s)",
    )
    parser.add_argument("--keep-tail", action="store_true", help="do not mask frames that repeat to the end")
    parser.add_argument("--workers", type=int, metavar="N", help="runs in parallel (default: one per core)")
    parser.add_argument("--out", metavar="DIR", help="folder of the results")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    return parser.parse_args(arguments)


def plan(options):
    """Opens the data of an experiment and makes its plan."""
    if options.experiment not in DATA_EXPERIMENTS:
        return Plan(options, Path(options.out or f"runs/reproduce/{options.experiment}"))
    out = Path(options.out or f"runs/reproduce/{options.experiment}-{options.dataset}")
    return Plan(options, out, open_dataset(options, progress=not options.no_progress))


def main(experiment, arguments=None):
    """Runs an experiment and writes its table."""
    options = parse_arguments(experiment, arguments)
    start = time.perf_counter()
    made = plan(options)
    rows = EXPERIMENTS[options.experiment](made)
    return made.write(rows, seconds=time.perf_counter() - start)
