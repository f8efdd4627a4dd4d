"""What the rows of an adjacency are divided by."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lgrin.graph import FrameGraph, averaging
from lgrin.nodes import is_readable


def normalize_rows(weights: Tensor) -> Tensor:
    """Divides every row by the sum of its absolute weights.

    A row whose sum is below the smallest normal number of its type counts as empty and stays as it is, since no
    gradient could hold the quotient. A row whose sum is too large for its type is scaled down first.

    Args:
        weights: ``[*, K]``, of either sign.

    Returns:
        The normalised rows ``[*, K]``.

    Example:
        >>> normalize_rows(torch.tensor([[1.0, 3.0], [0.0, 0.0], [2e38, 2e38]])).tolist()
        [[0.25, 0.75], [0.0, 0.0], [0.5, 0.5]]
        >>> normalize_rows(torch.tensor([[1.0, -3.0]])).tolist()
        [[0.25, -0.75]]
    """
    total = weights.abs().sum(-1, keepdim=True)
    if not (is_readable(total) and bool(total.isfinite().all())):
        smaller = 0.5 ** weights.size(-1).bit_length()  # a power of two, so that nothing is rounded
        weights = torch.where(total.isinf(), weights * smaller, weights)
        total = weights.abs().sum(-1, keepdim=True)
    return weights / total.masked_fill(total < torch.finfo(total.dtype).tiny, 1)


def keep(weights: Tensor) -> Tensor:
    """Leaves weights as they are."""
    return weights


def keep_scale(graph: FrameGraph, num_nodes: int) -> FrameGraph:
    """Leaves a graph as it is."""
    return graph


class Normalization(NamedTuple):
    """How weights become A.

    Attributes:
        rows: What is done to the rows of the weights.
        present: What is done to a graph whose mask says which frames are present.
        frozen: The normalisation that a matrix needs whose rows were normalised already.
    """

    rows: Callable[[Tensor], Tensor]
    present: Callable[[FrameGraph, int], FrameGraph]
    frozen: str | None


NORMALIZATIONS: dict[str | None, Normalization] = {
    None: Normalization(keep, keep_scale, None),
    "row": Normalization(normalize_rows, keep_scale, None),
    "present": Normalization(normalize_rows, averaging, "present"),
}
