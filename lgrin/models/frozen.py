"""The inception layers of a folded network as the few operations that are left of them."""

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import Linear, Module
from torch.nn.modules.module import _has_any_global_hook

from lgrin.graph import DenseGraph
from lgrin.models.watched import Watched
from lgrin.nn import GraphInception, GStarConv, LearnableAdjacency
from lgrin.nn.fused import is_enabled, is_plain, is_relu_alone
from lgrin.nn.inception import NEIGHBORHOODS
from lgrin.ops.kernels import kernels_for
from lgrin.ops.summaries import is_ordinary
from lgrin.ops.window import Window

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class FrozenLayers:
    """The layers of a folded network, for whole sequences on a CPU.

    To call a module and to see whether somebody watches it takes as long as a small product. Here the parts of a
    network are looked at once, and afterwards only whether they are still the same.

    Args:
        network: The folded network, which is not kept.

    Attributes:
        graph: The graph that all layers use; ``None`` if the layers have to be called.

    Example:
        >>> from lgrin import LGrIN
        >>> from lgrin.models import fold
        >>> network, x = fold(LGrIN(3, 5, num_classes=2)), torch.rand(1, 5, 3)
        >>> frozen = FrozenLayers(network)
        >>> torch.allclose(frozen(x), network.layers[1](network.layers[0](x, frozen.graph), frozen.graph))
        True
    """

    def __init__(self, network: Any) -> None:
        self._parts = network.adjacency, network.layers
        self._weights = Watched(*self._parts)
        self._inside = [vars(one) for part in self._parts for one in part.modules()]
        self._hooks = [one[kind] for one in self._inside for kind in HOOKS]
        self._is_called = self._needs_call()
        self.graph = None if self._is_called else _plain_graph(network)
        self._layers = [] if self.graph is None else [_Layer(list(one.branches), self.graph) for one in network.layers]

    def is_current(self, network: Any) -> bool:
        """Says whether no weight and no part of the network has changed, and nobody has begun to watch one."""
        if self._parts != (network.adjacency, network.layers) or not self._weights.is_current():
            return False
        return self._needs_call() == self._is_called

    def _needs_call(self) -> bool:
        """Whether a part trains, is watched, got another forward, or has its edges masked by an explainer."""
        if any(self._hooks) or _has_any_global_hook():
            return True
        return any("forward" in one or one["training"] or one.get("_explain") for one in self._inside)

    def __call__(self, x: Tensor) -> Tensor:
        """Runs all layers on ``[B, M, F]``, where :attr:`graph` is not ``None``."""
        for layer in self._layers:
            x = layer(x)
        return x


class _Layer:
    """An inception layer: linear layers of branches side by side, and the neighbours listed beforehand."""

    def __init__(self, convs: list[Any], graph: DenseGraph) -> None:
        self.adj = graph.adj
        self.window = Window.dense((self.adj != 0) | torch.eye(len(self.adj), dtype=torch.bool))
        first = [conv.lins[0] for conv in convs]
        self.weight, self.bias = torch.cat([lin.weight for lin in first]).T, torch.cat([lin.bias for lin in first])
        self.widths = [lin.out_features for lin in first]
        further = zip(*(conv.lins[1:] for conv in convs), strict=True)
        self.further = [[(lin.bias, lin.weight.T) for lin in lins] for lins in further]

    def __call__(self, x: Tensor) -> Tensor:
        (batch_size, num_nodes, channels), adj = x.shape, self.adj.expand(x.size(0), -1, -1)
        if self.weight.size(1) >= channels:  # neighbours are summed where channels are fewer
            rows = torch.addmm(self.bias, torch.bmm(adj, x).view(-1, channels), self.weight)
        else:
            linear = torch.mm(x.reshape(-1, channels), self.weight).view(batch_size, num_nodes, -1)
            rows = torch.baddbmm(self.bias, adj, linear).view(batch_size * num_nodes, -1)
        parts: Sequence[Tensor] = rows.relu_().split(self.widths, 1)
        for lins in self.further:
            parts = [torch.addmm(bias, part, weight).relu_() for part, (bias, weight) in zip(parts, lins, strict=True)]
        maxima, _ = kernels_for("cpu").window_max(x.contiguous(), self.window, None)
        return torch.cat([*(part.view(batch_size, num_nodes, -1) for part in parts), maxima], dim=2)


_KNOWN: "WeakKeyDictionary[Module, FrozenLayers]" = WeakKeyDictionary()


def frozen_layers(network: Module, x: Tensor) -> FrozenLayers | None:
    """Returns the layers of a folded network, which are looked at again when the network has changed.

    Args:
        network: The network.
        x: What its first layer gets, ``[B, M, F]``, all frames of whole sequences.

    Returns:
        The layers, kept for as long as the network; ``None`` where each layer has to be called: it is watched, derived
        or has other parts than a perceptron with ReLU and the learned neighbourhood, or x needs a gradient or is not
        ordinary (:func:`lgrin.ops.summaries.is_ordinary`).

    Example:
        >>> from lgrin import LGrIN
        >>> from lgrin.models import fold
        >>> frozen_layers(fold(LGrIN(3, 5, 2, norm="layer_norm")), torch.rand(1, 5, 3)) is None
        True
    """
    weights = next(network.parameters())
    if x.device.type != "cpu" or not is_enabled() or not is_ordinary(x, weights) or weights.is_inference():
        return None
    if torch.is_grad_enabled() and (x.requires_grad or any(one.requires_grad for one in network.parameters())):
        return None
    known = _KNOWN.get(network)
    if known is None or not known.is_current(network):
        known = _KNOWN[network] = FrozenLayers(network)
    return None if known.graph is None else known


def _plain_graph(network: Any) -> DenseGraph | None:
    """The graph that plain layers of a network share; ``None`` if they, or the adjacency, are of another kind."""
    adjacency, layers = network.adjacency, list(network.layers)
    if not layers or not is_plain([adjacency], LearnableAdjacency) or not is_plain(layers, GraphInception):
        return None
    convs = [conv for layer in layers for conv in layer.branches]
    learned = all(layer.neighbors == NEIGHBORHOODS["learned"] and len(layer.branches) for layer in layers)
    if not learned or not is_plain(convs, GStarConv) or not all(map(_is_perceptron, convs)):
        return None
    depths = [{len(conv.lins) for conv in layer.branches} for layer in layers]
    graph = adjacency.graph()
    dense = type(graph) is DenseGraph and graph.adj.dim() == 2 and graph.scale is None
    return graph if dense and all(len(one) == 1 for one in depths) else None


def _is_perceptron(conv: Any) -> bool:
    """Whether a convolution passes sums over neighbours through linear layers with bias and ReLU, and nothing else."""
    more = conv.norms, conv.mix, conv.reduce, conv.explain or conv.self_features or None
    if any(one is not None for one in more) or conv.heads != 1 or not is_relu_alone(conv):
        return False
    return is_plain(list(conv.lins), Linear) and all(lin.bias is not None for lin in conv.lins)
