"""The paper's tables and figures, and what it leaves out, one experiment a file."""

from experiments.plan import Plan
from experiments.registry import DATA_EXPERIMENTS, EXPERIMENTS

__all__ = ["DATA_EXPERIMENTS", "EXPERIMENTS", "Plan"]
