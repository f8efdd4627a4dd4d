"""The recommended recipe; ``docs/results.md`` has the figures by which it was chosen."""

from bisect import bisect_left
from collections.abc import Iterable
from math import ceil
from typing import Any

import torch
from torch_geometric.data import Data

from lgrin.models import LGrIN
from lgrin.models.lgrin import RECOMMENDED_ADJACENCY
from lgrin.options import check_whole
from lgrin.training.levels import class_explains_level
from lgrin.training.recipe import BesideBank, Recipe, Survey

MOST_PARAMETERS, MOST_NODES = 108_000, 200  # a bank of filters may have 12,000 numbers beside
ENOUGH_NODES = 32  # frames that the graph may have whatever the parameters
FEWEST_NODES = 2  # a batch norm cannot learn from one frame
ENOUGH_STEPS, FEWEST_EPOCHS = 600, 60
QUARTER, EIGHTH = 0.25, 0.125  # of the epochs, for a network that has a bank beside it
TWICE = 2.0  # the learning rate of such a network
MANY_CHANNELS, NARROWER = 32, (32, 32)  # widths of such a network for more channels
NODES_OF_ONE, WIDTHS_OF_ONE = 64, (16, 16)  # frames and widths of such a network for one channel
MOST_WEIGHT, WEIGHT_OF_CHANNEL, WEIGHT_OF_ONE, ENOUGH_LABELS = 0.3, 0.05, 0.01, 8


def enough_epochs(num_sequences: int, batch_size: int = 32) -> int:
    """Says how long to train where nothing is held out to stop by: 600 steps, and 60 epochs at the least.

    Args:
        num_sequences: Training sequences.
        batch_size: Sequences per step.

    Returns:
        Epochs.

    Raises:
        ValueError: If a number is no whole number, 1 or larger.

    Example:
        >>> enough_epochs(40), enough_epochs(3_000)
        (300, 60)
    """
    num_sequences, batch_size = check_whole("num_sequences", num_sequences), check_whole("batch_size", batch_size)
    return max(FEWEST_EPOCHS, ceil(ENOUGH_STEPS / ceil(num_sequences / batch_size)))


def affordable_nodes(longest: int, in_channels: int, num_classes: int, **options: Any) -> int:
    """Says how many frames the graph of an :class:`lgrin.LGrIN` may have for sequences of at most this length.

    It is their length, 200 at the most, or fewer where the network would have more than 108,000 parameters, though not
    below 32. The parameters are counted on networks that are built without memory for their weights.

    Args:
        longest: Frames of the longest training sequence.
        in_channels: Features per frame, P.
        num_classes: Classes, C.
        **options: Further arguments of :class:`lgrin.LGrIN`.

    Returns:
        Frames, M, 2 at the least.

    Raises:
        ValueError: If a number is no whole number, 1 or larger.

    Example:
        >>> affordable_nodes(29, 12, 9), affordable_nodes(2_300, 6, 7), affordable_nodes(2_300, 400, 6)
        (29, 200, 32)
    """
    most = max(FEWEST_NODES, min(check_whole("longest", longest), MOST_NODES))
    least = min(most, ENOUGH_NODES)

    def is_too_large(num_nodes: int) -> bool:
        with torch.random.fork_rng([]), torch.device("meta"):
            model = LGrIN(in_channels, num_nodes, num_classes, **options)
        return sum(weight.numel() for weight in model.parameters()) > MOST_PARAMETERS

    if least == most or not is_too_large(most):  # few networks are too large
        return most
    return least + bisect_left(range(least + 1, most + 1), True, key=is_too_large)  # larger graphs have more parameters


def network_for(survey: Survey) -> dict[str, Any]:
    """Chooses the input normalisation by the levels of the sequences, and the sum or average over absent frames.

    Args:
        survey: The training sequences.

    Returns:
        Arguments of :class:`lgrin.LGrIN`, see :func:`recommended`.

    Example:
        >>> data = [Data(x=torch.ones(5, 3) * (i % 2), y=torch.tensor([i % 2])) for i in range(20)]
        >>> network_for(Survey.of(data))
        {'input_norm': True}
    """
    chosen: dict[str, Any] = {"input_norm": True if class_explains_level(survey.levels, survey.labels) else "both"}
    if survey.lacks_frames:
        chosen["adjacency"] = {**RECOMMENDED_ADJACENCY, "normalize": "row"}
    return chosen


def network_weight(survey: Survey, num_classes: int) -> float:
    r"""Weighs the network beside a bank of filters, see :class:`lgrin.models.Blend`.

    .. math:: w = \min(0.3, \, 0.05 P) \, \min(1, \, n / 8 C)

    The network counts more where there are more labels and channels. On series of one channel the bank alone is better:
    there 0.01 stands in place of 0.05 P.

    Args:
        survey: The training sequences, n of them with P channels.
        num_classes: Classes, C.

    Returns:
        What the logits of the network are multiplied by.

    Source:
        ``python -m examples.reproduce suite``, see ``docs/results.md``.

    Example:
        >>> data = [Data(x=torch.ones(5, 4) * (i % 2), y=torch.tensor([i % 2])) for i in range(20)]
        >>> network_weight(Survey.of(data), 2)
        0.2
    """
    labels = survey.num_sequences / num_classes
    most = WEIGHT_OF_ONE if survey.in_channels == 1 else min(MOST_WEIGHT, WEIGHT_OF_CHANNEL * survey.in_channels)
    return most * min(1.0, labels / ENOUGH_LABELS)


def beside_bank(survey: Survey) -> BesideBank:
    """Makes a network smaller where a bank of filters stands beside it, and trains it for a shorter time.

    A quarter of the steps is enough, at twice the learning rate. For more than 32 channels, the first layer has 32
    channels in place of 64, since most weights of such a network lie there. For one channel the logits of the network
    hardly count (see :func:`network_weight`): it has 16 channels and at most 64 frames, an eighth of the steps is
    enough, and the bank has the numbers that are left.

    Args:
        survey: The training sequences.

    Returns:
        What is different about the network.

    Source:
        ``docs/decisions.md``, "A network beside a bank is trained for a quarter of the steps" and "The network is
        smaller beside a bank".

    Example:
        >>> wide = Survey.of([Data(x=torch.ones(5, 65), y=torch.tensor([0]))])
        >>> dict(beside_bank(wide).network), beside_bank(wide._replace(in_channels=1)).most_nodes
        ({'branch_channels': (32, 32)}, 64)
    """
    if survey.in_channels == 1:
        return BesideBank(EIGHTH, most_nodes=NODES_OF_ONE, network={"branch_channels": WIDTHS_OF_ONE})
    network = {"branch_channels": NARROWER} if survey.in_channels > MANY_CHANNELS else {}
    return BesideBank(QUARTER, rate=TWICE, network=network)


RECOMMENDED = Recipe(
    network=network_for,
    frames=affordable_nodes,
    epochs=enough_epochs,
    options={
        "lr": 0.003,
        "weight_decay": 0.05,
        "schedule": "cosine",
        "augment": {"crop": 0.3, "shift": 0.3},
    },
    averaging=0.98,
    batch_size=32,
    network_weight=network_weight,
    beside_bank=beside_bank,
)


def recommended(train: Iterable[Data]) -> dict[str, Any]:
    """Chooses the recommended network by training sequences.

    Where the class explains the level of a sequence (:func:`lgrin.training.levels.class_explains_level`), the network
    sees sequences as they are; otherwise it also sees each sequence standardised by itself (``input_norm="both"`` of
    :class:`lgrin.LGrIN`). Where training sequences lack frames, the network learns what their absence says, and A sums
    over the frames that are present (``normalize="row"``) instead of averaging them.

    Args:
        train: Training sequences with ``x``, ``y [1]`` and perhaps ``mask``.

    Returns:
        Arguments of :class:`lgrin.LGrIN`.

    Example:
        >>> labels = [0, 1] * 10
        >>> apart = [Data(x=torch.rand(5, 3) + y, y=torch.tensor([y])) for y in labels]
        >>> alike = [Data(x=torch.rand(5, 3) * (1 + y), y=torch.tensor([y])) for y in labels]
        >>> recommended(apart), recommended([Data(x=x.x - x.x.mean(0), y=x.y) for x in alike])
        ({'input_norm': True}, {'input_norm': 'both'})
    """
    return RECOMMENDED.choose(train)
