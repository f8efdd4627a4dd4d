"""Whole networks."""

from lgrin.models.fold import fold
from lgrin.models.lgrin import LGrIN

__all__ = ["LGrIN", "fold"]
