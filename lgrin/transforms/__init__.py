"""Frames to nodes: fixed length, fixed graphs and normalisation."""

from collections.abc import Mapping

from lgrin.options import check_option
from lgrin.transforms.cyclic_pad import CyclicPad
from lgrin.transforms.fixed_graphs import FeatureDistanceGraph, LineGraph
from lgrin.transforms.mask_tail import MaskTail
from lgrin.transforms.patches import Patches
from lgrin.transforms.resample import Resample
from lgrin.transforms.standardize import Standardize
from lgrin.transforms.thin import Thin

__all__ = [
    "CyclicPad",
    "FeatureDistanceGraph",
    "LineGraph",
    "MaskTail",
    "Patches",
    "Resample",
    "Standardize",
    "Thin",
    "from_settings",
]


def from_settings(settings: Mapping[str, object]) -> CyclicPad | Patches | Resample:
    """Builds the transform to a fixed length whose ``settings`` these are.

    Args:
        settings: Name and arguments.

    Returns:
        The transform.

    Raises:
        ValueError: If there is no such transform.

    Example:
        >>> from_settings(Resample(90).settings)
        Resample(90)
    """
    arguments = dict(settings)
    known: dict[str, type] = {kind.__name__: kind for kind in (CyclicPad, Patches, Resample)}
    name = arguments.pop("name", None)
    check_option("name", name, known)
    return known[str(name)](**arguments)
