"""Learnable graphs for sequences: L-GrIN as reusable PyTorch Geometric layers."""

from lgrin import graph, models, nn, transforms, validate
from lgrin.models import LGrIN

__version__ = "0.1.0"

__all__ = ["LGrIN", "graph", "models", "nn", "transforms", "validate"]
