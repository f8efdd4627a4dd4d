"""Whole networks."""

from lgrin.models.lgrin import LGrIN

__all__ = ["LGrIN"]
