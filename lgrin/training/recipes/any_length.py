"""A recipe for signals in which time itself matters: nothing is stretched, and sequences may have any length."""

from typing import Any

from lgrin.training.levels import class_explains_level
from lgrin.training.recipe import BesideBank, Recipe, Survey
from lgrin.training.recipes.recommended import RECOMMENDED, enough_epochs

HALF = 0.5  # of the epochs, for a network that has a bank beside it
KERNELS: dict[str, Any] = {"name": "StationaryAdjacency", "reach": 12, "heads": 8, "start": "random"}


def network_for(survey: Survey) -> dict[str, Any]:
    """Chooses eight kernels in time, mixed by channel, and the input normalisation by the levels of the sequences.

    Args:
        survey: The training sequences.

    Returns:
        Arguments of :class:`lgrin.LGrIN`.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> data = [Data(x=torch.ones(5, 3) * (i % 2), y=torch.tensor([i % 2])) for i in range(20)]
        >>> network_for(Survey.of(data))["mix"]
        'channel'
    """
    input_norm = True if class_explains_level(survey.levels, survey.labels) else "both"
    readout = {"parts": ("attention", "mean")}  # a maximum grows with the length
    return {"input_norm": input_norm, "adjacency": KERNELS, "self_features": True, "mix": "channel", "readout": readout}


def no_length(longest: int, in_channels: int, num_classes: int, **options: Any) -> None:
    """Leaves sequences at their own lengths."""


def half_as_long(survey: Survey) -> BesideBank:
    """Trains a network for half as long where a bank of filters stands beside it."""
    return BesideBank(HALF)


ANY_LENGTH = Recipe(
    network=network_for,
    frames=no_length,
    epochs=enough_epochs,
    options={**RECOMMENDED.options, "augment": {"crop": 0.0, "shift": 0.3}},  # a crop is stretched
    averaging=RECOMMENDED.averaging,
    batch_size=RECOMMENDED.batch_size,
    network_weight=RECOMMENDED.network_weight,
    beside_bank=half_as_long,
)
