"""Learnable graphs for sequences: L-GrIN as reusable PyTorch Geometric layers."""

from lgrin import graph, models, nn, transforms, validate
from lgrin.models import LGrIN, MultimodalLGrIN

__version__ = "0.1.0"

__all__ = ["LGrIN", "MultimodalLGrIN", "graph", "models", "nn", "transforms", "validate"]
