"""All experiments by name, each a function from a plan to the rows of a table."""

import functools

from experiments import compare, tables
from experiments.figure4 import fig4
from experiments.figure6 import fig6
from experiments.figure7 import fig7
from experiments.graphs import graphs
from experiments.missing import missing
from experiments.optimism import optimism
from experiments.planted import planted
from experiments.transfer import table8

PIECES = 60  # frames


def compared(experiment, plan):
    """A table of candidates."""
    quoted, only_quoted = tables.quoted(experiment), tables.only_quoted(experiment)
    return compare.table(tables.candidates(experiment), plan.setting(), quoted, only_quoted)


def four_columns(plan):
    """The sizes of four steps of optimism."""
    return optimism(plan.recordings(), plan.setting(), min(PIECES, plan.dataset.num_frames))


TABLES = ("table1", "table2", "table3", "table4", "table5", "table6", "table7")
EXPERIMENTS = {
    **{name: functools.partial(compared, name) for name in TABLES},
    "graphs": graphs,
    "optimism": four_columns,
    "fig4": fig4,
    "fig6": fig6,
    "fig7": fig7,
    "table8": table8,
    "planted": planted,
    "missing": missing,
}
DATA_EXPERIMENTS = EXPERIMENTS.keys() - {"planted"}
