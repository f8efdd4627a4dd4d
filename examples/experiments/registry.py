"""All experiments by name, each a function from a plan to the rows of a table."""

import functools

from experiments import compare, tables
from experiments.optimism import optimism

PIECES = 60  # frames


def compared(experiment, plan):
    """A table of candidates."""
    quoted, only_quoted = tables.quoted(experiment), tables.only_quoted(experiment)
    return compare.table(tables.candidates(experiment), plan.setting(), quoted, only_quoted)


def four_columns(plan):
    """The sizes of four steps of optimism."""
    return optimism(plan.recordings(), plan.setting(), min(PIECES, plan.dataset.num_frames))


TABLES = ("table1", "table2", "table3", "table4", "table5", "table6", "table7")
EXPERIMENTS = {**{name: functools.partial(compared, name) for name in TABLES}, "optimism": four_columns}
DATA_EXPERIMENTS = {*TABLES, "optimism"}
