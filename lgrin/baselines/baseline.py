"""What all competitors share: the constructor, the call and the padding."""

from typing import Any

from torch import Tensor
from torch.nn import Module

from lgrin.arguments import check_edge_weight, check_one_batch, one_place
from lgrin.graph import Graph
from lgrin.nodes import Nodes
from lgrin.options import check_number, check_whole


class Baseline(Module):
    r"""A classifier of sequences that is called like :class:`lgrin.LGrIN`; subclasses write :meth:`classify`.

    .. math:: \mathrm{logits} = \mathrm{classify}(x, \mathrm{mask})

    Args:
        in_channels: Features per frame, P.
        num_nodes: Frames per sequence, M.
        num_classes: Classes, C.
        **keywords: The subclass's own arguments, kept in ``config``.

    Attributes:
        config: The arguments, from which the same class builds the model again.

    Shapes:
        - **x:** ``[B, M, P]``, ``[M, P]``, or flat ``[N, P]`` beside ``batch``
        - **edge_index, edge_weight:** a graph for this call, in the models that have one
        - **frame:** int64, each node's frame in ``[0, M)``; ``None`` means 0..M-1, or for flat x the position in
          sequences of M nodes each; **node:** another name of it
        - **batch:** int64 ``[N]``, sorted; **mask:** bool, shaped like the nodes; **batch_size:** B
        - **output:** logits ``[B, C]``

    Raises:
        TypeError: If a dtype has no meaning here.
        ValueError: If ranks or sizes do not fit, or a graph is given to a model that has none.
        IndexError: If the frame of a present node or the sequence of a node is out of range.

    Source:
        The competitors of Tables I-III of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> import torch
        >>> class Mean(Baseline):
        ...     def classify(self, x, mask):
        ...         return x.sum(1) / mask.sum(1, keepdim=True)
        >>> Mean(2, 3, 2)(torch.ones(4, 3, 2)).shape
        torch.Size([4, 2])
    """

    def __init__(self, in_channels: int, num_nodes: int, num_classes: int, **keywords: Any) -> None:
        super().__init__()
        self.in_channels = check_whole("in_channels", in_channels)
        self.num_nodes = check_whole("num_nodes", num_nodes)
        self.num_classes = check_whole("num_classes", num_classes)
        if "dropout" in keywords:
            check_number("dropout", keywords["dropout"], maximum=1)
        sizes = {"in_channels": self.in_channels, "num_nodes": self.num_nodes, "num_classes": self.num_classes}
        self.config: dict[str, Any] = {**sizes, **keywords}

    def forward(
        self,
        x: Tensor,
        edge_index: "Tensor | Graph | None" = None,
        edge_weight: Tensor | None = None,
        *,
        frame: Tensor | None = None,
        node: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
    ) -> Tensor:
        """Computes logits ``[B, C]``; see the class."""
        frame = frame if node is None else one_place(frame, node)
        if edge_weight is not None:
            check_edge_weight(edge_weight)
        for name, value in (("edge_index", edge_index), ("edge_weight", edge_weight)):
            if value is not None:
                raise ValueError(f"{name} was given, but {type(self).__name__} has no use for it here; leave it out")
        return self.classify(*self.read(x, frame, batch, mask, batch_size).lay_out(self.num_nodes))

    def classify(self, x: Tensor, mask: Tensor) -> Tensor:
        """Computes logits ``[B, C]`` of padded sequences ``[B, M, P]``, whose missing frames are 0."""
        raise NotImplementedError

    def read(
        self, x: Tensor, frame: Tensor | None, batch: Tensor | None, mask: Tensor | None, batch_size: int | None
    ) -> Nodes:
        """Reads and checks the nodes of a call."""
        nodes = Nodes.read_whole(x, frame, batch, mask, batch_size, self.num_nodes)
        check_one_batch(x, type(self).__name__)
        if x.size(-1) != self.in_channels:
            raise ValueError(
                f"x has {x.size(-1)} channels, but this model was built for in_channels={self.in_channels}"
            )
        return nodes

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.config.items())})"
