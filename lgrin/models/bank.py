"""A bank of fixed filters in time, whose summaries one linear layer classifies."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear, Module, ModuleList, Parameter

from lgrin.arguments import one_place
from lgrin.models.correlations import EACH, correlations, pairs_of
from lgrin.models.functionals import NUMBER, functionals
from lgrin.models.places import places
from lgrin.nn.adjacency import StationaryAdjacency
from lgrin.nodes import Nodes, is_full, zero_absent
from lgrin.ops.filters import filter_frames, rank_filters, summarize_parts
from lgrin.options import check_number, check_option, check_seed, check_whole
from lgrin.transforms import Standardize
from lgrin.transforms.resample import evenly_spread_each

REACH = 4  # filters have 9 taps
READ = 128  # channels up to which each is read by itself; of more, so many random mixes
LEAST_VARIANCE = 1e-10  # of a channel within a sequence, beside that over all: less is flat but for rounding
APART = 1e-4  # responses that differ by less are equal but for rounding, as on flat stretches


class FilterBank(Module):
    r"""Classifies sequences of any length by what random filters in time respond to.

    .. math:: r_{ik} = \sum_j A_{ij}^{(k)} \langle m_k, z_j \rangle, \qquad
              h_G = \left[ \, \tfrac{1}{|V|} |\{i : r_{ik} > t_{kl}\}| \;\middle|\; \tfrac{1}{|V|} \sum_i |r_{ik}|
              \;\middle|\; \max_i r_{ik} \;\middle|\; \text{levels} \;\middle|\; \text{ranks}
              \;\middle|\; \text{correlations} \;\middle|\; \text{places} \;\middle|\; \text{functionals} \, \right]

    Each filter is a fixed graph: a head of a :class:`lgrin.nn.StationaryAdjacency` with 9 edges a node, the same
    for all nodes, with random weights that add up to 0. Its input is a random mix of standardised channels, or of
    their first differences. The summaries go over the whole sequence and over its quarters. Levels are the mean and
    root mean square of the channels. Places (:func:`lgrin.models.places.places`) are the means of the channels over
    many equal parts, so that a sequence is also seen as a whole, thinned or stretched. Three kinds go over the
    whole sequence alone. Ranks are the shares of frames at which a filter responds the most, and the least, of the
    K filters of its group to the same mix. Correlations (:func:`lgrin.models.correlations.correlations`) are those
    of two channels, at once and up to 16 frames apart. Functionals (:func:`lgrin.models.functionals.functionals`)
    are quantiles, moments and autocorrelations of the channels. With ``own_scale=True``, all this is read of two
    copies of each channel, the second one with mean 0 and variance 1 within each sequence.

    Everything but thresholds, scale and head is drawn from a seed; :func:`lgrin.training.fit_bank` computes these from
    training sequences.

    Args:
        in_channels: Features per frame, P.
        num_classes: Classes, C.
        dilations: Frames between two taps, one number for each group of filters.
        heads: Filters of a group, K.
        mixes: Mixes of channels to which all filters of a group are applied, Q; every second is of first differences.
        thresholds: Thresholds of each response above which frames are counted, T.
        segments: Over how many equal parts of a sequence the summaries go, see :class:`lgrin.nn.GraphReadout`.
        levels: Channels whose levels and places are read; of more channels, those of so many random mixes.
        functionals: Channels and, beyond their number, random mixes of them whose functionals are read; 0 reads none.
        pairs: Pairs of channels whose correlations are read, as many as there are at the most; 0 reads none.
        places: Equal parts of a sequence over which the means of channels are read; 0 reads none.
        num_frames: Frames to which every sequence is stretched or thinned, nearest ones; ``None`` reads sequences at
            their own lengths, in their own time. Missing frames at the end do not belong to a sequence.
        limit: The largest magnitude of a standardised value; a larger one counts as this. ``None`` is no limit.
        own_scale: Whether each channel is also read standardised within each sequence, beside the channel as it is.
        seed: Draws filters and mixes.

    Attributes:
        config: The arguments, from which ``FilterBank(**config)`` builds the model again.
        embed_channels: The number of summaries, F.
        num_nodes: ``None``, since sequences may have any length.

    Shapes:
        - **x:** ``[B, M, P]``, ``[M, P]``, or flat ``[N, P]`` beside ``batch``
        - **frame, node, batch, mask, batch_size, max_num_nodes:** as for :class:`lgrin.LGrIN` without a length
        - **output:** logits ``[B, C]``

    Raises:
        TypeError: If a dtype has no meaning.
        ValueError: If ranks or sizes do not fit, or an argument is out of range.
        IndexError: If the frame of a present node or the sequence of a node is out of range.

    Source:
        Random dilated kernels of 9 taps and the share of positive responses: Dempster, Schmidt and Webb, "MiniRocket",
        2021. Ranks: the counts of the same authors' "Hydra: competing convolutional kernels for fast and accurate time
        series classification", 2023. The filters as graphs, the mixes, the quarters and the other summaries are this
        library's.

    Example:
        >>> model = FilterBank(in_channels=6, num_classes=3)
        >>> model(torch.rand(2, 80, 6)).shape
        torch.Size([2, 3])
        >>> model.embed(torch.rand(5, 6), batch=torch.tensor([0, 0, 0, 1, 1])).shape == (2, model.embed_channels)
        True
    """

    num_nodes = None

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        dilations: Sequence[int] = (1, 2, 4),
        heads: int = 8,
        mixes: int = 8,
        thresholds: int = 3,
        segments: Sequence[int] = (1, 4),
        levels: int = READ,
        functionals: int = 8,
        pairs: int = 0,
        places: int = 0,
        num_frames: int | None = None,
        limit: float | None = None,
        own_scale: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.in_channels, self.num_classes = (
            check_whole("in_channels", in_channels),
            check_whole("num_classes", num_classes),
        )
        self.dilations = tuple(check_whole("dilations", one) for one in dilations)
        self.heads, self.mixes = check_whole("heads", heads), check_whole("mixes", mixes)
        self.segments = tuple(check_whole("segments", one) for one in segments)
        if not self.dilations or not self.segments:
            raise ValueError(f"dilations is {dilations!r} and segments {segments!r}; each holds a whole number or more")
        self.seed = check_seed("seed", seed)
        self.scale = Standardize(in_channels)
        self.num_frames = None if num_frames is None else check_whole("num_frames", num_frames)
        self.limit = None if limit is None else check_number("limit", limit)
        check_option("own_scale", own_scale, (False, True))
        self.own_scale = bool(own_scale)
        read = in_channels * (1 + own_scale)
        with torch.random.fork_rng([]):
            torch.manual_seed(self.seed)
            options: dict[str, Any] = {"heads": heads, "start": "random", "normalize": None}
            kinds = [StationaryAdjacency(REACH, dilation=one, **options) for one in self.dilations]
            self.filters = ModuleList(kinds).requires_grad_(False)
            self.mix: Tensor
            self.register_buffer("mix", torch.stack([_mixes(mixes, read) for _ in self.dilations]))
            self.level: Tensor
            self.register_buffer("level", _each(min(check_whole("levels", levels), read), read))
            self.contour: Tensor
            self.register_buffer("contour", _each(check_whole("functionals", functionals, 0), read))
        self.pair: Tensor
        self.register_buffer("pair", pairs_of(read, check_whole("pairs", pairs, 0)), persistent=False)
        self.places = check_whole("places", places, 0)
        responses = len(self.dilations) * self.heads * self.mixes
        self.threshold: Tensor
        self.register_buffer("threshold", torch.zeros(check_whole("thresholds", thresholds), responses))
        self.head = Linear(self.embed_channels, num_classes)

    @property
    def config(self) -> dict[str, Any]:
        """The arguments."""
        sizes = {"in_channels": self.in_channels, "num_classes": self.num_classes, "dilations": self.dilations}
        sizes |= {"heads": self.heads, "mixes": self.mixes, "thresholds": self.threshold.size(0)}
        read = {"levels": self.level.size(0), "functionals": self.contour.size(0), "pairs": self.pair.size(0)}
        how = {"num_frames": self.num_frames, "limit": self.limit, "own_scale": self.own_scale, "seed": self.seed}
        return {**sizes, "segments": self.segments, **read, "places": self.places, **how}

    @property
    def blocks(self) -> dict[str, int]:
        """The number of summaries of each kind, in the order of :meth:`embed`."""
        parts, (thresholds, responses) = sum(self.segments), self.threshold.shape
        counted = {"share": parts * thresholds * responses, "magnitude": parts * responses, "max": parts * responses}
        counted |= {"level": 2 * parts * self.level.size(0), "rank": 2 * responses}
        counted |= {"correlation": EACH * self.pair.size(0), "place": self.places * self.level.size(0)}
        return {**counted, "functional": NUMBER * self.contour.size(0)}

    @property
    def embed_channels(self) -> int:
        """The number of summaries, F."""
        return sum(self.blocks.values())

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
        place = {"frame": frame, "node": node, "batch": batch, "mask": mask}
        return self.head(self.embed(x, **place, batch_size=batch_size, max_num_nodes=max_num_nodes))

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
        """Computes the summaries of each sequence, ``[B, F]``; arguments as for the class."""
        frame = frame if node is None else one_place(frame, node)
        nodes = Nodes.read_whole(x, frame, batch, mask, batch_size, None, max_num_nodes)
        padded, present = self.in_time(*nodes.lay_out(nodes.length()))
        absent = None if is_full(present) else present
        z = self.standardized(padded, absent)
        return self._summarize(z, self.responses(z, absent), present)

    def in_time(self, x: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Stretches or thins sequences to ``num_frames``, if it has any.

        Args:
            x: Features ``[B, L, P]``.
            present: Bool ``[B, L]``.

        Returns:
            ``[B, M, P]`` and ``[B, M]``.

        Example:
            >>> x, present = torch.tensor([[[1.0], [2.0], [0.0]]]), torch.tensor([[True, True, False]])
            >>> FilterBank(1, 2, num_frames=4).in_time(x, present)[0].flatten().tolist()
            [1.0, 1.0, 2.0, 2.0]
        """
        if self.num_frames is None:
            return x, present
        place = torch.arange(1, x.size(1) + 1, device=x.device)
        take = evenly_spread_each((present * place).amax(1), self.num_frames)
        return x.gather(1, take.unsqueeze(-1).expand(-1, -1, x.size(-1))), present.gather(1, take)

    def standardized(self, x: Tensor, present: Tensor | None) -> Tensor:
        """Scales ``[B, M, P]``, 0 at absent frames; a scale in float64 keeps small signals on large offsets.

        With ``own_scale=True``, ``[B, M, 2 P]``: each channel of each sequence follows in its own scale.

        Example:
            >>> FilterBank(2, 2).standardized(torch.ones(1, 1, 2), torch.tensor([[False]])).tolist()
            [[[0.0, 0.0]]]
        """
        z = self._limited(zero_absent(self.scale(x).to(self.mix.dtype), present))
        if not self.own_scale:
            return z
        own = in_own_scale(x, present, LEAST_VARIANCE * self.scale.std.square())
        return torch.cat([z, self._limited(own.to(z.dtype))], dim=-1)

    def _limited(self, z: Tensor) -> Tensor:
        return z if self.limit is None else z.clamp(-self.limit, self.limit)

    def responses(self, z: Tensor, present: Tensor | None) -> Tensor:
        """Computes what the filters respond at each frame.

        Args:
            z: Standardised features as from :meth:`standardized`, 0 at absent frames.
            present: Bool ``[B, M]``; ``None`` means all.

        Returns:
            ``[B, M, R]``, R the product of the numbers of dilations, heads and mixes; 0 at absent frames.

        Example:
            >>> FilterBank(2, 2, mixes=3).responses(torch.rand(1, 7, 2), torch.ones(1, 7, dtype=torch.bool)).shape
            torch.Size([1, 7, 72])
        """
        change = z.diff(dim=1, prepend=z[:, :1])
        if present is not None:
            change = zero_absent(change, present & torch.cat([present[:, :1], present], dim=1)[:, :-1])
        mixed = torch.cat([z, change], dim=-1) @ self.mix.flatten(0, 1).mT
        filters: Any = self.filters
        taps = torch.stack([one.weight.view(self.heads, -1) for one in filters])  # all of a kernel but for zeros
        return zero_absent(filter_frames(mixed, taps, self.dilations), present)

    def _summarize(self, z: Tensor, responses: Tensor, present: Tensor) -> Tensor:
        """Reads out the whole sequences and their parts, ``[B, F]``."""
        level = z @ self.level.mT
        parts = summarize_parts(responses, level, present, self.threshold, self.segments)
        kinds = [parts, rank_filters(responses, present, self.heads, APART)]
        if len(self.pair):
            kinds.append(correlations(z, present, self.pair).flatten(1))
        if self.places:
            kinds.append(places(level, present, self.places).flatten(1))
        if len(self.contour):
            kinds.append(functionals(z @ self.contour.mT, present).flatten(1))
        return torch.cat(kinds, dim=-1)

    def drop(self, *kinds: str) -> None:
        """Takes away summaries that a head with no weight on them does not need.

        Args:
            *kinds: ``"place"`` or ``"functional"``, or both.

        Raises:
            ValueError: If a kind cannot be taken away.

        Example:
            >>> model = FilterBank(2, 3, places=16)
            >>> model.drop("place", "functional")
            >>> model.blocks["functional"], model(torch.rand(9, 2)).shape
            (0, torch.Size([1, 3]))
        """
        for kind in kinds:
            check_option("kinds", kind, ("place", "functional"))
        kept = torch.cat([torch.full((count,), kind not in kinds) for kind, count in self.blocks.items()])
        if "place" in kinds:
            self.places = 0
        if "functional" in kinds:
            self.contour = self.contour[:0]
        self.head.in_features, self.head.weight = self.embed_channels, Parameter(self.head.weight.detach()[:, kept])

    def __repr__(self) -> str:
        sizes = f"{self.in_channels}, {self.num_classes}, dilations={self.dilations}, heads={self.heads}"
        return f"{type(self).__name__}({sizes}, mixes={self.mixes}, seed={self.seed})"


def in_own_scale(x: Tensor, present: Tensor | None, least: Tensor) -> Tensor:
    """Scales each channel of each sequence to mean 0 and variance 1 over its present frames.

    A scale common to all sequences would leave a few digits of those whose values are small beside the common mean.

    Args:
        x: Features ``[B, M, P]``.
        present: Bool ``[B, M]``; ``None`` means all.
        least: Variance ``[P]`` below which a channel counts as flat.

    Returns:
        ``[B, M, P]``, 0 at absent frames and close to 0 where a channel is flat.

    Example:
        >>> x = torch.tensor([[[1e6], [1e6 + 1]], [[0.0], [1e-3]]], dtype=torch.float64)
        >>> in_own_scale(x, None, torch.tensor([1e-10])).squeeze(-1).tolist()
        [[-1.0, 1.0], [-1.0, 1.0]]
    """
    count = x.size(1) if present is None else present.sum(1).clamp(min=1).view(-1, 1, 1)
    centered = zero_absent(x.nan_to_num(nan=0.0), present)  # a channel that is missing counts as flat
    for _ in range(2):  # the first mean is rounded beside a large offset
        centered = zero_absent(centered - centered.sum(1, keepdim=True) / count, present)
    variance = centered.square().sum(1, keepdim=True) / count
    return centered * variance.clamp(min=least.to(x.dtype)).rsqrt()


def _each(count: int, channels: int) -> Tensor:
    """What takes each channel by itself, and then random mixes, ``[count, P]``; mixes alone where channels are more."""
    if channels > count:
        return _directions(count, channels)
    return torch.cat([torch.eye(channels), _directions(count - channels, channels)])


def _directions(count: int, channels: int) -> Tensor:
    """Draws mixes of channels with norm 1, ``[count, P]``; how many channels a mix has is uniform in its logarithm."""
    width = ((channels + 1) ** torch.rand(count)).long().clamp(1, channels)
    rank = torch.rand(count, channels).argsort(1).argsort(1)
    mixes = torch.randn(count, channels).masked_fill(rank >= width.unsqueeze(1), 0)
    return mixes / mixes.norm(dim=1, keepdim=True).clamp(min=torch.finfo(mixes.dtype).tiny)


def _mixes(count: int, channels: int) -> Tensor:
    """Draws mixes of channels and, every second one, of their first differences, ``[count, 2 P]``."""
    mixes, odd = _directions(count, channels), torch.arange(count).unsqueeze(1) % 2 == 1
    return torch.cat([mixes.masked_fill(odd, 0), mixes.masked_fill(~odd, 0)], dim=1)
