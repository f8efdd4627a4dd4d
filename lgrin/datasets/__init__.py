"""Thin PyG dataset wrappers, one corpus a file."""

from lgrin.datasets.uea import UEA

__all__ = ["UEA"]
