"""Frames to nodes: fixed length, fixed graphs and normalisation."""

from lgrin.transforms.cyclic_pad import CyclicPad
from lgrin.transforms.fixed_graphs import FeatureDistanceGraph, LineGraph
from lgrin.transforms.resample import Resample
from lgrin.transforms.standardize import Standardize

__all__ = ["CyclicPad", "FeatureDistanceGraph", "LineGraph", "Resample", "Standardize"]
