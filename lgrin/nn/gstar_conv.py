"""G* convolution, Eq. (4)."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn import LayerNorm, Linear, Module, ModuleList, Parameter
from torch_geometric.nn.inits import reset
from torch_geometric.nn.resolver import activation_resolver

from lgrin.graph import Graph
from lgrin.nn import fused
from lgrin.nn.layer import GraphLayer
from lgrin.nn.norm import MaskedBatchNorm, check_takes_mask
from lgrin.nodes import zero_absent
from lgrin.options import check_number, check_option, check_whole

MIXES = ("concat", "channel")
NORMS = {"batch_norm": MaskedBatchNorm, "layer_norm": LayerNorm}


class GStarConv(GraphLayer):
    r"""Sums each node's neighbours and passes the sum through a small perceptron.

    .. math:: G^*(H) = \sigma \left( \mathrm{MLP} ( \mathrm{A} H ) \right), \qquad
              (\mathrm{A} H)_i = \sum_j A_{ij} H_j

    Args:
        in_channels: Channels of an input node.
        out_channels: Channels of an output node.
        hidden_channels: Width of the hidden layers; ``None`` means ``out_channels`` (the paper's eta),
            ``"bottleneck"`` means ``(in_channels + out_channels) // 4`` (the released code).
        num_layers: Number of linear layers, each followed by norm, activation and dropout.
        act: Activation after each linear layer, by PyG's name or as a module. It follows the last layer, too, so that
            with ReLU no output is negative; ``None`` has none.
        norm: ``"batch_norm"`` over the present nodes of the batch, ``"layer_norm"`` per node, or ``None``.
        dropout: Probability of dropping a channel of a node after each layer.
        heads: Graphs over the same nodes, K: the first linear layer gets :math:`[A_1 H | \ldots | A_K H]`. A graph with
            one head serves all.
        self_features: Whether the first linear layer gets H itself before them.
        mix: ``"concat"`` gives the first linear layer all of them side by side. ``"channel"`` adds them up, each
            channel with weights of its own, :math:`\sum_k w_k \odot A_k H`, so that K graphs cost K P weights in place
            of K P times the width.
        reduced_channels: Width to which a linear layer without bias reduces H before the graphs, so that K multiplies
            that; ``None`` takes H as it is.

    Shapes:
        - **x:** ``[*, M, F]`` beside a matrix, ``[N, F]`` beside an edge list or a ragged graph
        - **edge_index, edge_weight:** any adjacency, see :func:`lgrin.graph.as_graph`
        - **mask:** bool, the leading shape of x
        - **output:** like x with ``out_channels``; rows of absent nodes are 0

    Raises:
        TypeError: If a dtype or kind of adjacency has no meaning here.
        IndexError: If an edge names a node that x does not have.
        ValueError: If sizes do not fit or an option is unknown.

    Source:
        Eq. (4) of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> conv = GStarConv(4, 8)
        >>> conv(torch.rand(2, 5, 4), torch.rand(5, 5)).shape
        torch.Size([2, 5, 8])
        >>> conv(torch.rand(3, 4), torch.tensor([[0, 1], [1, 2]])).shape
        torch.Size([3, 8])
    """

    self_features = False  # also of layers that were pickled without the attribute
    mix: Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        hidden_channels: int | str | None = None,
        num_layers: int = 2,
        act: str | Module | None = "relu",
        norm: str | None = "batch_norm",
        dropout: float = 0.0,
        heads: int = 1,
        self_features: bool = False,
        mix: str = "concat",
        reduced_channels: int | None = None,
    ) -> None:
        super().__init__(in_channels)
        in_channels, out_channels = self.in_channels, check_whole("out_channels", out_channels)
        check_option("mix", mix, MIXES)
        num_layers = check_whole("num_layers", num_layers)
        check_option("norm", norm, (*NORMS, None))
        self.out_channels = out_channels
        hidden = check_whole("hidden_channels", _hidden_width(in_channels, out_channels, hidden_channels))
        self.heads, self.self_features = check_whole("heads", heads), self_features
        self.reduce: Linear | None = None
        if reduced_channels is not None:
            in_channels = check_whole("reduced_channels", reduced_channels)
            self.reduce = Linear(self.in_channels, in_channels, bias=False)
        count = self.heads + self_features
        self.register_parameter("mix", Parameter(torch.empty(count, in_channels)) if mix == "channel" else None)
        count = count if self.mix is None else 1
        widths = [count * in_channels, *[hidden] * (num_layers - 1), out_channels]
        self.lins = ModuleList(Linear(before, after) for before, after in pairwise(widths))
        self.norms = ModuleList(NORMS[norm](width) for width in widths[1:]) if norm else None
        self.act = torch.nn.Identity() if act is None else activation_resolver(act)
        self.dropout = torch.nn.Dropout(check_number("dropout", dropout, maximum=1))
        self.reset_parameters()

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Reads a pickled layer; older ones know neither mix nor reduce."""
        super().__setstate__(state)
        self._parameters.setdefault("mix", None)
        self._modules.setdefault("reduce", None)

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuses methods that nothing calls any more, in place of ignoring them."""
        super().__init_subclass__(**options)
        for name, now in (("normalize", "is apply_norm"), ("finish", "is part of forward")):
            if callable(vars(cls).get(name)):
                raise TypeError(f"{cls.__name__} defines {name}, which {now} since lgrin 0.2.0; rename or move it")

    def reset_parameters(self) -> None:
        """Draws Xavier-uniform weights (the paper's initialisation) and resets biases and norms."""
        lin: Any
        for lin in self.lins:
            torch.nn.init.xavier_uniform_(lin.weight)
            if lin.bias is not None:
                torch.nn.init.zeros_(lin.bias)
        if self.reduce is not None:
            torch.nn.init.xavier_uniform_(self.reduce.weight)
        if self.mix is not None:
            torch.nn.init.normal_(self.mix, std=self.mix.size(0) ** -0.5)
        reset(self.norms)
        reset(self.act)

    def forward(
        self,
        x: Tensor,
        edge_index: "Tensor | Graph",
        edge_weight: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Convolves node features; see the class."""
        graph = self.read_graph(x, edge_index, edge_weight, mask)
        if type(self) is GStarConv and fused.is_enabled():
            return fused.convolve([self], x, graph)[0]
        x = fused.neighborhood_sums(self, x, graph)
        for layer, lin in enumerate(self.lins):
            x = self.dropout(self.act(self.apply_norm(layer, lin(x), graph.mask)))
        return zero_absent(x, graph.mask)

    def apply_norm(self, layer: int, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Applies the norm of a layer, if there is one.

        Args:
            layer: The layer, from 0.
            x: Node features ``[*, F]``.
            mask: Bool ``[*]``, the nodes that are present; ``None`` means all.

        Returns:
            Node features ``[*, F]``.

        Raises:
            TypeError: If the norm was replaced by a batch norm that takes no mask.
        """
        if self.norms is None:
            return x
        norm = self.norms[layer]
        if isinstance(norm, MaskedBatchNorm):
            return norm(x, mask)
        check_takes_mask(f"norms[{layer}] of a GStarConv", norm)
        wrapped = any(isinstance(one, MaskedBatchNorm) for one in norm.modules())
        return norm(x, mask) if wrapped else norm(x)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.in_channels}, {self.out_channels}, num_layers={len(self.lins)})"


def _hidden_width(in_channels: int, out_channels: int, hidden_channels: int | str | None) -> int:
    if hidden_channels is None:
        return out_channels
    if hidden_channels == "bottleneck":
        return (in_channels + out_channels) // 4
    if isinstance(hidden_channels, str):
        raise ValueError(f"hidden_channels is {hidden_channels!r}; it may be a positive int, 'bottleneck' or None")
    return hidden_channels
