"""What is computed together for speed alone.

G* convolutions of the same nodes run side by side: their first linear layers are one matrix product, which is taken
before or after the sum over neighbours, whichever has fewer channels, and their batch norms are one. A training step of
the default takes 0.8 times as long as within :func:`disabled`, and results differ by rounding alone
(``python -m benchmarks step``).

Whatever somebody watches is called as it stands: modules with hooks, quantised, pruned, wrapped or replaced ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Dropout, Linear, Module, Parameter, ReLU
from torch.nn.functional import linear
from torch.nn.modules.module import _has_any_global_hook

from lgrin.graph import Graph
from lgrin.nn.norm import MaskedBatchNorm, normalize_side_by_side
from lgrin.nodes import zero_absent

PLAIN_KINDS = {Parameter, Tensor, type(None)}
_ENABLED = True


@contextmanager
def disabled() -> Iterator[None]:
    """Calls every module by itself while the context lasts, for comparison.

    Example:
        >>> from lgrin.nn import GraphInception
        >>> layer, x, adj = GraphInception(3, (4, 2)).eval(), torch.rand(2, 5, 3), torch.rand(5, 5)
        >>> with disabled():
        ...     alone = layer(x, adj)
        >>> torch.allclose(layer(x, adj), alone, atol=1e-6)
        True
    """
    global _ENABLED
    before, _ENABLED = _ENABLED, False
    try:
        yield
    finally:
        _ENABLED = before


def is_enabled() -> bool:
    """Says whether modules may be computed together.

    Example:
        >>> with disabled():
        ...     print(is_enabled())
        False
    """
    return _ENABLED


def is_plain(modules: Sequence[Module | None], kind: type[Module]) -> bool:
    """Says whether modules may be computed without being called: they are of this very class, and no call is missed.

    Args:
        modules: The modules, or ``None`` for those that are not there.
        kind: The class; one that is derived from it may compute something else.

    Returns:
        Whether their parameters alone say what they compute.

    Example:
        >>> from torch.nn import Linear
        >>> is_plain([Linear(2, 2)], Linear), is_plain([Linear(2, 2)], Module)
        (True, False)
    """
    if not _ENABLED:
        return False
    for module in modules:  # noqa: SIM110 - a generator costs more than the check
        if type(module) is not kind or needs_call(module):
            return False
    return True


def needs_call(module: Module) -> bool:
    """Says whether a module does what its owner expects only while it is called.

    Hooks run then, ``torch.nn.utils.prune`` and the older weight norms compute the weights in one, and ``fully_shard``
    gathers them in one. A forward may be patched, and parameters of other kinds than tensors may know no other use.

    Args:
        module: The module.

    Returns:
        Whether it has to be called.

    Example:
        >>> from torch.nn import Linear
        >>> linear = Linear(2, 2)
        >>> handle = linear.register_forward_hook(lambda *call: None)
        >>> needs_call(linear)
        True
    """
    if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks:
        return True
    if "forward" in module.__dict__ or _has_any_global_hook():
        return True
    for parameter in module._parameters.values():
        if type(parameter) not in PLAIN_KINDS and hasattr(type(parameter), "__tensor_flatten__"):
            return True
    return False


def convolve(convs: Sequence[Any], x: Tensor, graph: Graph) -> list[Tensor]:
    r"""Runs G* convolutions of the same nodes side by side.

    Since :math:`(A H) W = A (H W)`, the neighbours are summed where the channels are fewer.

    Args:
        convs: The convolutions, all of the class :class:`lgrin.nn.GStarConv`, whose own calls nobody watches.
        x: Node features.
        graph: Their graph.

    Returns:
        The output of each convolution.

    Example:
        >>> from lgrin.graph import DenseGraph
        >>> from lgrin.nn import GStarConv
        >>> out = convolve([GStarConv(4, 8), GStarConv(4, 2)], torch.rand(5, 4), DenseGraph(torch.rand(5, 5)))
        >>> [list(one.shape) for one in out]
        [[5, 8], [5, 2]]
    """
    if not convs:
        return []
    mask, norms = graph.mask, [norm for conv in convs for norm in (conv.norms or [None])]
    first: list[Any] = [conv.norms[0] if conv.norms else None for conv in convs]
    plain = is_plain(norms, MaskedBatchNorm)
    rows, widths = _first_layers(convs, x, graph)
    if plain:
        rows = normalize_side_by_side(first, rows, mask)
    parts = list(rows.split(widths, dim=-1))
    for index, conv in enumerate(convs):
        part = parts[index]
        for layer, lin in enumerate(conv.lins):
            if layer:
                part = lin(part)
            if not plain:
                part = conv.apply_norm(layer, part, mask)
            elif layer:
                part = conv.norms[layer](part, mask)
            part = _activate(conv, part)
        parts[index] = part
    return parts if mask is None else [zero_absent(part, mask) for part in parts]


def _activate(conv: Any, x: Tensor) -> Tensor:
    """Applies activation and dropout; usual ones that nobody watches are not called, which takes longer than ReLU."""
    act, dropout = conv.act, conv.dropout
    x = torch.relu(x) if type(act) is ReLU and not act.inplace and not needs_call(act) else act(x)
    return x if _rests(dropout) else dropout(x)


def is_relu_alone(conv: Any) -> bool:
    """Says whether a ReLU that nobody watches follows each linear layer of a convolution, and no dropout.

    Args:
        conv: A :class:`lgrin.nn.GStarConv`.

    Returns:
        Whether that is so.

    Example:
        >>> from lgrin.nn import GStarConv
        >>> is_relu_alone(GStarConv(2, 3)), is_relu_alone(GStarConv(2, 3, act="tanh"))
        (True, False)
    """
    return type(conv.act) is ReLU and not needs_call(conv.act) and _rests(conv.dropout)


def _rests(dropout: Module) -> bool:
    return type(dropout) is Dropout and not (dropout.training and dropout.p) and not needs_call(dropout)


def _first_layers(convs: Sequence[Any], x: Tensor, graph: Graph) -> tuple[Tensor, list[int]]:
    """The first linear layers of the sums over neighbours, side by side, and their widths."""
    lins = [conv.lins[0] for conv in convs]
    heads, self_features = convs[0].heads, convs[0].self_features
    mixes = convs[0].mix is not None or convs[0].reduce is not None
    if mixes or not is_plain(lins, Linear):  # quantised, pruned or watched: each is called as its owner expects
        shared = None if convs[0].reduce is not None else _side_by_side(x, graph, heads, self_features)
        parts = [lin(neighborhood_sums(conv, x, graph, shared)) for conv, lin in zip(convs, lins, strict=True)]
        return torch.cat(parts, dim=-1), [part.size(-1) for part in parts]
    widths, weight = [lin.out_features for lin in lins], torch.cat([lin.weight for lin in lins])
    bias = None if all(lin.bias is None for lin in lins) else torch.cat([_bias(lin) for lin in lins])
    if heads > 1 or self_features:
        total = _weighted_sums(weight, x, graph, heads, self_features)
        return total if bias is None else total + bias, widths
    if weight.size(0) >= weight.size(1):
        return linear(graph.aggregate(x), weight, bias), widths
    total = graph.aggregate(linear(x if graph.mask is None else zero_absent(x, graph.mask), weight))
    return total if bias is None else total + bias, widths


def _weighted_sums(weight: Tensor, x: Tensor, graph: Any, heads: int, self_features: bool) -> Tensor:
    """Computes W [H | A_1 H | ... | A_K H], the sums over neighbours where channels are fewer."""
    channels, rows = x.size(-1), x if graph.mask is None else zero_absent(x, graph.mask)
    own, of_heads = weight.split([channels * self_features, channels * heads], dim=-1)
    by_head = of_heads.unflatten(-1, (heads, channels))
    if heads > 1 and getattr(graph, "heads", 1) == 1:  # one graph serves every head
        by_head, heads = by_head.sum(1, keepdim=True), 1
    if weight.size(0) >= channels:
        total = linear(graph.aggregate(rows), by_head.flatten(1))
    else:
        parts = linear(rows, by_head.transpose(0, 1).flatten(0, 1))
        total = graph.aggregate(parts) if heads == 1 else graph.combine(parts)
    return total + linear(rows, own) if self_features else total


def neighborhood_sums(conv: Any, x: Tensor, graph: Any, shared: Tensor | None = None) -> Tensor:
    """What the first linear layer of a G* convolution gets: the sums over neighbours of every head.

    Args:
        conv: The convolution.
        x: Node features ``[*, F]``.
        graph: A graph with as many heads, or with one that serves all.
        shared: The sums side by side, where they are known already.

    Returns:
        ``[*, K F]``, behind a node's own features ``[*, (K + 1) F]``; mixed by channel ``[*, F]``.

    Example:
        >>> from lgrin.graph import DenseGraph
        >>> from lgrin.nn import GStarConv
        >>> conv = GStarConv(4, 8, self_features=True)
        >>> neighborhood_sums(conv, torch.rand(5, 4), DenseGraph(torch.rand(5, 5))).shape
        torch.Size([5, 8])
    """
    if conv.reduce is not None:
        x = conv.reduce(x)
    total = _side_by_side(x, graph, conv.heads, conv.self_features) if shared is None else shared
    return total if conv.mix is None else (total.unflatten(-1, conv.mix.shape) * conv.mix).sum(-2)


def _side_by_side(x: Tensor, graph: Any, heads: int, self_features: bool) -> Tensor:
    """The sums of every head beside each other, behind the features themselves if wanted."""
    total = graph.aggregate(x)
    parts = [total] * (heads if getattr(graph, "heads", 1) == 1 else 1)
    parts = [zero_absent(x, graph.mask), *parts] if self_features else parts
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=-1)


def _bias(lin: Any) -> Tensor:
    return lin.weight.new_zeros(lin.out_features) if lin.bias is None else lin.bias
