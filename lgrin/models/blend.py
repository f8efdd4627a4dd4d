"""A network and a bank of filters whose logits are added up."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Data

from lgrin.arguments import one_place
from lgrin.models.registry import MODEL, build, settings_of
from lgrin.nodes import Nodes, is_full
from lgrin.options import check_number, check_option
from lgrin.transforms.resample import NEAREST, RESAMPLINGS, Resample, evenly_spread_each


class Blend(Module):
    r"""Adds the logits of a network to those of a bank of filters.

    .. math:: p = \mathrm{softmax}(g(x) + w f(x)) \propto \mathrm{softmax}(g(x)) \, \mathrm{softmax}(f(x))^w

    The bank g sees a sequence at its own length, in its own time; the network f sees it stretched to M frames.

    Args:
        network: An :class:`lgrin.LGrIN` f, or its keywords.
        bank: A :class:`lgrin.models.FilterBank` g, or its keywords.
        weight: The weight w of the network's logits, above 0.
        thin: How sequences with more than M frames get to M, ``how`` of :class:`lgrin.transforms.Resample`.

    Attributes:
        config: The arguments, from which ``Blend(**config)`` builds the model again; ``None`` if the network has none.
        num_nodes: ``None``, since sequences may have any length.
        adjacency: The learned graph of the network.

    Shapes:
        - **x:** ``[B, L, P]``, ``[L, P]``, or flat ``[N, P]`` beside ``batch``. For the network, missing frames at the
          end belong to a sequence: dense ones have L frames each, so that shorter ones are better passed flat
        - **frame, node, batch, mask, batch_size, max_num_nodes:** as for :class:`lgrin.LGrIN` without a length
        - **output:** logits ``[B, C]``

    Raises:
        TypeError: If a dtype has no meaning.
        ValueError: If ranks or sizes do not fit, network and bank differ in channels or classes, or an option is out of
            range.
        IndexError: If the frame of a present node or the sequence of a node is out of range.

    Source:
        This library's; the two parts name theirs.

    Example:
        >>> sizes = {"in_channels": 6, "num_classes": 3}
        >>> model = Blend({**sizes, "num_nodes": 20}, sizes).eval()
        >>> model(torch.rand(2, 80, 6)).shape
        torch.Size([2, 3])
    """

    num_nodes = None

    def __init__(
        self,
        network: Module | Mapping[str, Any],
        bank: Module | Mapping[str, Any],
        weight: float = 1.0,
        thin: str = NEAREST,
    ) -> None:
        super().__init__()
        self.network: Any = network if isinstance(network, Module) else build(MODEL, network)
        self.bank: Any = bank if isinstance(bank, Module) else build(MODEL, {"name": "FilterBank", **bank})
        for name in ("in_channels", "num_classes"):
            sizes = [getattr(one, name) for one in (self.network, self.bank)]
            if sizes[0] != sizes[1]:
                raise ValueError(f"network has {name}={sizes[0]} and bank {sizes[1]}; build both for the same number")
        check_option("thin", thin, RESAMPLINGS)
        self.in_channels, self.num_classes = self.bank.in_channels, self.bank.num_classes
        self.weight, self.thin = check_number("weight", weight), thin
        settings = {"network": settings_of(MODEL, self.network), "bank": settings_of(MODEL, self.bank)}
        whole = all(one is not None for one in settings.values())
        self.config = {**settings, "weight": self.weight, "thin": thin} if whole else None

    @property
    def adjacency(self) -> Any:
        """The learned graph of the network."""
        return self.network.adjacency

    def forward(
        self,
        x: Tensor,
        *,
        frame: Tensor | None = None,
        node: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
        max_num_nodes: int | None = None,
    ) -> Tensor:
        """Computes logits ``[B, C]``; see the class."""
        padded, present, length = self._lay_out(x, frame, node, batch, mask, batch_size, max_num_nodes)
        frames, there = self._stretched(padded, present, length)
        absent = None if is_full(present) else present
        logits: Tensor = self.bank(padded, mask=absent) + self.weight * self.network(frames, mask=there)
        return logits

    def embed(
        self,
        x: Tensor,
        *,
        frame: Tensor | None = None,
        node: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
        max_num_nodes: int | None = None,
    ) -> Tensor:
        """Computes what the head of the network sees of each sequence, ``[B, F]``; arguments as for the class."""
        frames, there = self._stretched(*self._lay_out(x, frame, node, batch, mask, batch_size, max_num_nodes))
        embedding: Tensor = self.network.embed(frames, mask=there)
        return embedding

    def graphs(
        self,
        x: Tensor,
        *,
        frame: Tensor | None = None,
        node: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
        max_num_nodes: int | None = None,
    ) -> Tensor:
        """Computes the graph of each sequence, as :meth:`lgrin.LGrIN.graphs`; arguments as for the class."""
        frames, there = self._stretched(*self._lay_out(x, frame, node, batch, mask, batch_size, max_num_nodes))
        graphs: Tensor = self.network.graphs(frames, mask=there)
        return graphs

    def salient_frames(
        self,
        x: Tensor,
        *,
        frame: Tensor | None = None,
        node: Tensor | None = None,
        batch: Tensor | None = None,
        mask: Tensor | None = None,
        batch_size: int | None = None,
        max_num_nodes: int | None = None,
    ) -> Tensor:
        """Finds the frame of each sequence that wins most channels of the network's maximum, int64 ``[B]``.

        Of frames that are stretched or thinned, it is the frame of the sequence at the same place. Arguments are those
        of the class.
        """
        padded, present, length = self._lay_out(x, frame, node, batch, mask, batch_size, max_num_nodes)
        frames, there = self._stretched(padded, present, length)
        found: Tensor = self.network.salient_frames(frames, mask=there)
        if self.network.num_nodes is None:
            return found
        take = evenly_spread_each(length, self.network.num_nodes)
        return take.gather(1, found.clamp(min=0).unsqueeze(1)).squeeze(1).masked_fill(found < 0, -1)

    def _lay_out(
        self,
        x: Tensor,
        frame: Tensor | None,
        node: Tensor | None,
        batch: Tensor | None,
        mask: Tensor | None,
        batch_size: int | None,
        max_num_nodes: int | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Lays sequences out, ``[B, L, P]``, and says which frames are present, ``[B, L]``, and how many there are."""
        frame = frame if node is None else one_place(frame, node)
        nodes = Nodes.read_whole(x, frame, batch, mask, batch_size, None, max_num_nodes)
        if nodes.batch is None:
            padded, present = nodes.lay_out(nodes.length())
            return padded, present, torch.ones_like(present, dtype=torch.long).sum(1)
        assert nodes.frame is not None  # of flat nodes, each has one
        ends = nodes.frame.new_zeros(nodes.batch_size)
        length = ends.scatter_reduce(0, nodes.batch, nodes.frame + 1, "amax")
        longest = int(length.max()) if nodes.num_nodes is None else nodes.num_nodes
        return *nodes.lay_out(max(longest, 1)), length

    def _stretched(self, x: Tensor, present: Tensor, length: Tensor) -> tuple[Tensor, Tensor | None]:
        """Brings sequences to the frames of the network; no mask where all frames are known to be present."""
        num_nodes, full = self.network.num_nodes, is_full(present)
        if num_nodes is not None:
            take = Resample(num_nodes, self.thin).picks(x.size(1)) if full else None
            if take is not None:  # all are as long as the longest
                return x.index_select(1, take.to(x.device)), None
            if self.thin == NEAREST:
                take = evenly_spread_each(length, num_nodes)
                x = x.gather(1, take.unsqueeze(-1).expand(-1, -1, x.size(-1)))
                present = present.gather(1, take)
            else:
                x, present = self._thinned(x, present, length)
            full = is_full(present)
        return x, None if full else present

    def _thinned(self, x: Tensor, present: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Stretches or thins sequences one by one."""
        resample = Resample(self.network.num_nodes, self.thin)
        whole = zip(x, present, length.clamp(min=1).tolist(), strict=True)
        each = [resample(Data(x=rows[:count], mask=there[:count])) for rows, there, count in whole]
        return torch.stack([one.x for one in each]), torch.stack([one.mask for one in each])

    def __repr__(self) -> str:
        thin = "" if self.thin == NEAREST else f", thin={self.thin!r}"
        return f"{type(self).__name__}({type(self.network).__name__}, {self.bank}, weight={self.weight:g}{thin})"
