"""The graphs that are not learned, Table V."""

import torch
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from lgrin import validate
from lgrin.arguments import check_features
from lgrin.transforms.nodes import check_sequence, holds_node_numbers

EDGE_ATTRIBUTES = ("edge_index", "edge_weight")


def _remove_edges(data: Data) -> int:
    """Removes the edges of a sequence, and returns its number of frames."""
    for name in EDGE_ATTRIBUTES:
        if name in data:
            del data[name]
    for name in data.keys():  # noqa: SIM118 (a Data is no dictionary)
        if holds_node_numbers(name):
            raise ValueError(f"data has an {name}, which would not fit the new edges; leave it out")
    return check_sequence(data)


class LineGraph(BaseTransform):
    r"""Connects each frame with the frames before and after it.

    .. math:: (A_b)_{ij} = 1 \text{ if } |i - j| = 1, \text{ else } 0

    Shapes:
        - **data.x:** ``[L, F]``, and **data.frame** ``[L]`` if frames are left out; frames outside **data.mask**, if
          there is one, get no edge
        - **data.edge_index:** ``[2, E]``, both directions, the weight of each edge being 1; edges and weights that the
          sequence has are replaced

    Raises:
        ValueError: If the sequence has other attributes of edges, or its mask or frame does not fit x.

    Source:
        "Binary adjacency" in Sec. IV-D and Table V of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> from torch_geometric.data import Data
        >>> LineGraph()(Data(x=torch.rand(3, 4))).edge_index.tolist()
        [[1, 0, 2, 1], [0, 1, 1, 2]]
    """

    def forward(self, data: Data) -> Data:
        """Adds the edges to one sequence."""
        _remove_edges(data)
        frame = data.get("frame")
        frame = torch.arange(data.x.size(0), device=data.x.device) if frame is None else frame
        connected = (frame.unsqueeze(-1) - frame).abs() == 1
        if data.get("mask") is not None:
            connected &= data.mask & data.mask.unsqueeze(-1)
        target, source = connected.nonzero(as_tuple=True)
        data.edge_index = torch.stack([source, target])
        return data


class FeatureDistanceGraph(BaseTransform):
    r"""Connects all frames of a sequence by weights that grow with the distance of their features.

    .. math:: (A_w)_{ij} = \lVert n_i - n_j \rVert_2^2

    Shapes:
        - **data.x:** ``[L, F]``; frames outside **data.mask**, if there is one, get no edge
        - **data.edge_index:** ``[2, E]``, every pair of two frames; **data.edge_weight:** ``[E]``

    Raises:
        TypeError: If x is not floating.
        ValueError: If a present frame is not finite, the sequence has other attributes of edges, or its mask does not
            fit x.

    Source:
        "Weighted adjacency" in Sec. IV-D and Table V of Shirian, Tripathi and Guha, 2021, whose weights grow with
        distance, as here.

    Example:
        >>> from torch_geometric.data import Data
        >>> FeatureDistanceGraph()(Data(x=torch.tensor([[0.0], [3.0]]))).edge_weight.tolist()
        [9.0, 9.0]
    """

    def forward(self, data: Data) -> Data:
        """Adds the edges to one sequence."""
        length = _remove_edges(data)
        check_features(data.x)
        if data.x.dim() != 2:
            raise ValueError(f"data.x has shape {list(data.x.shape)}; distances need [L, F]")
        validate.features(data.x, data.get("mask"), "data.x")
        connected = ~torch.eye(length, dtype=torch.bool, device=data.x.device)
        if data.get("mask") is not None:
            connected &= data.mask & data.mask.unsqueeze(-1)
        target, source = connected.nonzero(as_tuple=True)
        data.edge_index = torch.stack([source, target])
        rows = [(row - data.x).square().sum(-1) for row in data.x]
        data.edge_weight = (torch.stack(rows) if rows else data.x.new_zeros(0, 0))[target, source]
        return data
