"""The Learnable Graph Inception Network."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, ModuleList
from torch_geometric.nn.inits import reset

from lgrin.arguments import check_edge_weight, check_one_batch, one_place, stand_in
from lgrin.graph import EdgeList, Graph, RaggedGraph, as_graph, to_matrices
from lgrin.models.encode import encode
from lgrin.models.frozen import frozen_layers
from lgrin.models.head import make_head, reset_head
from lgrin.models.registry import ADJACENCY, READOUT, Role, build, plain_settings, settings_of
from lgrin.models.stream import Stream
from lgrin.nn import Adjacency, GraphInception, GraphReadout, MaskedBatchNorm, MaskedInstanceNorm
from lgrin.nn.adjacency import graph_for
from lgrin.nn.fused import is_plain
from lgrin.nn.inception import Neighborhood
from lgrin.nn.norm import check_takes_mask
from lgrin.nodes import Nodes, zero_absent
from lgrin.options import check_option, check_whole

PAPER: dict[str, Any] = {
    "norm": None,
    "branch_channels": (128, 64),
    "input_norm": False,
    "dropout": 0.0,
    "adjacency": {"init": "normal"},
    "readout": {"init": "xavier"},
}
RELEASED: dict[str, Any] = {
    "branch_channels": (128, 64),
    "input_norm": True,
    "hidden_channels": "bottleneck",
    "neighborhood": "line",
    "adjacency": {"init": "uniform"},
    "readout": {"init": "ones"},
    "head_channels": 512,
}
INPUT_NORMS: dict[Any, tuple[bool, bool]] = {False: (False, False), True: (True, False), "both": (True, True)}
RECOMMENDED_ADJACENCY: dict[str, Any] = {"init": "lazy", "normalize": "present"}
OF_FRAMES: dict[str, dict[str, Any]] = {"adjacency": RECOMMENDED_ADJACENCY, "readout": {}}
ANY_LENGTH: dict[str, dict[str, Any]] = {  # the parts of a model for sequences of any length
    "adjacency": {"name": "StationaryAdjacency", "reach": 4, "heads": 4, "start": "random"},
    "readout": {"parts": ("max", "mean")},
}


class LGrIN(Module):
    r"""Classifies sequences of frames on a graph that it learns.

    .. math:: H^{(k+1)} = \mathrm{Inception}_k(H^{(k)}, A), \qquad
              \mathrm{logits} = \mathrm{head}(\mathrm{readout}(H^{(K)}))

    Args:
        in_channels: Features per frame, P; with an encoder, those that it makes.
        num_nodes: Frames per sequence, M; ``None`` takes sequences of any length, which needs an adjacency and a
            readout without weights for places.
        num_classes: Classes, C.
        branch_channels: Output channels of the G* convolutions in each inception layer.
        num_layers: Number of inception layers.
        hidden_channels: Hidden width of the G* convolutions, see :class:`lgrin.nn.GStarConv`.
        norm: Norm of the G* convolutions.
        neighborhood: Neighbours of the maximum, see :class:`lgrin.nn.GraphInception`.
        adjacency: A :class:`lgrin.nn.Adjacency`, or the keywords of one with its class as ``name`` (by default
            :class:`lgrin.nn.LearnableAdjacency`), shared by all inception layers; ``None`` means
            ``{"init": "lazy", "normalize": "present"}``, or without a length four kernels of
            :class:`lgrin.nn.StationaryAdjacency`.
        readout: A :class:`lgrin.nn.GraphReadout`, or keywords likewise; ``None`` means Eq. (6) with p started at 1/M,
            or without a length maximum and mean.
        head_channels: ``None`` makes the head dropout and Linear; h makes it Linear, dropout, PReLU(h), Linear.
        dropout: Probability of dropping a channel in the head.
        input_norm: What the first inception layer sees: ``False`` the features as they are, ``True`` scaled by a
            batch norm without parameters, ``"both"`` these beside the same of each sequence standardised by itself
            (:class:`lgrin.nn.MaskedInstanceNorm`), 2 P channels. A module is called with the features and the mask,
            as :class:`lgrin.nn.MaskedBatchNorm` is, and keeps the number of channels.
        encoder: A module ``[K, ...] -> [K, P]`` that makes the features of each frame and is trained with the rest;
            it sees the frames that are present, all sequences' side by side. ``None`` takes frames as features.
        self_features: Whether G* convolutions get a node's own features beside the sums over its neighbours.
        mix: How the sums of several graphs are joined, see :class:`lgrin.nn.GStarConv`.
        reduced_channels: Width of the features before the graphs, see there.

    Attributes:
        config: The arguments, from which ``LGrIN(**config)`` builds the model again; ``None`` if one was a
            module that :mod:`lgrin.models.registry` cannot name, or another object than numbers, texts and tensors.
        embed_channels: What the head sees of a sequence, F.

    Shapes:
        - **x:** ``[B, M, P]``, ``[M, P]``, or flat ``[N, P]`` beside ``batch``; with an encoder ``[B, M, ...]``, or
          flat ``[N, ...]`` beside ``batch``, of any dtype
        - **edge_index, edge_weight:** ``None`` uses the learned graph; any adjacency of :func:`lgrin.graph.as_graph`
          replaces it for this call
        - **frame:** int64, each node's frame in ``[0, M)``; ``None`` means 0..M-1, or for flat x the position in
          sequences of M nodes each, of any number without a length; **node:** another name of it
        - **batch:** int64 ``[N]``, sorted; **mask:** bool, shaped like the nodes; **batch_size:** B;
          **max_num_nodes:** without a length, the frames of the longest sequence, which flat x needs on a GPU and in
          compiled programs
        - **output:** logits ``[B, C]``

    Raises:
        TypeError: If a dtype or kind of adjacency has no meaning here.
        ValueError: If ranks or sizes do not fit, an option is unknown, or the encoder gives another width than P.
        IndexError: If an edge names a node that x does not have, or the frame of a present node or the sequence of a
            node is out of range.

    Source:
        Fig. 2 of Shirian, Tripathi and Guha, 2021. :meth:`paper` is its text, :meth:`released` the authors' code. To
        learn the features, too, is what their Sec. V leaves to future work.

    Example:
        >>> model = LGrIN(in_channels=12, num_nodes=29, num_classes=9)
        >>> model(torch.rand(2, 29, 12)).shape
        torch.Size([2, 9])
        >>> frame, batch = torch.tensor([0, 1, 2, 0, 1]), torch.tensor([0, 0, 0, 1, 1])
        >>> model(torch.rand(5, 12), frame=frame, batch=batch).shape
        torch.Size([2, 9])
        >>> pixels = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(8 * 8, 12))
        >>> LGrIN(in_channels=12, num_nodes=29, num_classes=9, encoder=pixels)(torch.rand(2, 29, 8, 8)).shape
        torch.Size([2, 9])
    """

    is_folded = False  # whether lgrin.models.fold has made it

    def __init__(
        self,
        in_channels: int,
        num_nodes: int | None,
        num_classes: int,
        branch_channels: Sequence[int] = (64, 32),
        num_layers: int = 2,
        hidden_channels: int | str | None = None,
        norm: str | None = "batch_norm",
        neighborhood: str | Neighborhood = "learned",
        adjacency: Adjacency | Mapping[str, Any] | None = None,
        readout: GraphReadout | Mapping[str, Any] | None = None,
        head_channels: int | None = None,
        dropout: float = 0.5,
        input_norm: bool | str | Module = True,
        encoder: Module | None = None,
        self_features: bool = False,
        mix: str = "concat",
        reduced_channels: int | None = None,
    ) -> None:
        super().__init__()
        in_channels = check_whole("in_channels", in_channels)
        num_nodes = None if num_nodes is None else check_whole("num_nodes", num_nodes)
        num_classes, num_layers = check_whole("num_classes", num_classes), check_whole("num_layers", num_layers)
        head_channels = None if head_channels is None else check_whole("head_channels", head_channels)
        if not isinstance(input_norm, Module):
            check_option("input_norm", input_norm, tuple(INPUT_NORMS))
        if not isinstance(encoder, Module | None):
            raise TypeError(f"encoder is a {type(encoder).__name__}; it may be a module or None")
        arguments = {name: value for name, value in locals().items() if name not in ("self", "__class__", "encoder")}
        self.config = None if isinstance(encoder, Module) else _settings(arguments)
        self.in_channels, self.num_nodes, self.num_classes = in_channels, num_nodes, num_classes
        self.neighborhood, self.encoder = neighborhood, encoder
        norms = _input_norms(input_norm, in_channels)
        channels = in_channels if norms[1] is None else 2 * in_channels
        defaults = ANY_LENGTH if num_nodes is None else OF_FRAMES
        adjacency = defaults["adjacency"] if adjacency is None else adjacency
        self.adjacency = _part(ADJACENCY, adjacency, num_nodes, channels)
        self.readout = _part(READOUT, defaults["readout"] if readout is None else readout, num_nodes)
        self.input_norm, self.instance_norm = norms
        if getattr(self.adjacency, "connects_all", False) and neighborhood == "learned":
            raise ValueError(
                f"neighborhood is 'learned', but a {type(self.adjacency).__name__} that connects all frames makes its "
                f"maximum that of the whole sequence; store a band (adjacency={{'bandwidth': ...}}), keep the "
                f"strongest edges of each frame (adjacency={{'topk': ...}}), or pass neighborhood='line'"
            )
        heads = getattr(self.adjacency, "heads", 1)
        options: dict[str, Any] = {"hidden_channels": hidden_channels, "norm": norm}
        options |= {"heads": heads, "self_features": self_features}
        options |= {"mix": mix, "reduced_channels": reduced_channels}
        self.layers = ModuleList()
        for _ in range(num_layers):
            layer = GraphInception(channels, branch_channels, neighborhood, **options)
            self.layers.append(layer)
            channels = layer.out_channels
        self.embed_channels = _width(self.readout, num_nodes, channels)
        self.head = make_head(self.embed_channels, head_channels, num_classes, dropout)

    @classmethod
    def paper(cls, in_channels: int, num_nodes: int, num_classes: int, **overrides: Any) -> "LGrIN":
        """Builds the network of the paper's text; ``docs/fidelity.md`` says how its silences are read.

        The paper's loss is ``LGrINLoss(N, reduction="sum")``, which no training here takes unless asked to.

        Args:
            in_channels: Features per frame, P.
            num_nodes: Frames per sequence, M.
            num_classes: Classes, C.
            **overrides: Arguments of the class that replace the preset's.

        Returns:
            The model.

        Example:
            >>> sum(p.numel() for p in LGrIN.paper(136, 90, 6).parameters())
            148372
        """
        return cls(in_channels, num_nodes, num_classes, **{**PAPER, **overrides})

    @classmethod
    def released(cls, in_channels: int, num_nodes: int, num_classes: int, **overrides: Any) -> "LGrIN":
        """Builds the network of the authors' released code.

        Args:
            in_channels: Features per frame, P.
            num_nodes: Frames per sequence, M.
            num_classes: Classes, C.
            **overrides: Arguments of the class that replace the preset's.

        Returns:
            The model.

        Example:
            >>> sum(p.numel() for p in LGrIN.released(136, 90, 6).parameters())
            930972
        """
        return cls(in_channels, num_nodes, num_classes, **{**RELEASED, **overrides})

    @property
    def frame_channels(self) -> int | None:
        """Features of a frame of x, P; ``None`` with an encoder, which may take frames of any shape."""
        return self.in_channels if self.encoder is None else None

    def reset_parameters(self) -> None:
        """Draws every weight again."""
        for module in (self.encoder, self.adjacency, self.readout, self.input_norm, *self.layers):
            reset(module)
        reset_head(self.head)

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
        max_num_nodes: int | None = None,
        return_graph: bool = False,
    ) -> Any:
        """Computes logits ``[B, C]``, and with ``return_graph`` the graph that they came from; see the class."""
        frame = frame if node is None else one_place(frame, node)
        place = frame, batch, mask, batch_size, max_num_nodes
        nodes, graph = self._run(*self._read(x, edge_index, edge_weight, *place))
        logits = self.head(self._read_out(nodes))
        return (logits, graph) if return_graph else logits

    def embed(
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
        max_num_nodes: int | None = None,
    ) -> Tensor:
        """Computes what the head sees of each sequence, ``[B, F]``; arguments as for the class."""
        frame = frame if node is None else one_place(frame, node)
        place = frame, batch, mask, batch_size, max_num_nodes
        nodes, _ = self._run(*self._read(x, edge_index, edge_weight, *place))
        return self._read_out(nodes)

    def embed_nodes(
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
        """Computes the features of each node after the last inception layer; arguments as for the class.

        Returns:
            Like x, with other channels; rows of absent nodes are 0.

        Example:
            >>> LGrIN(in_channels=3, num_nodes=8, num_classes=2).embed_nodes(torch.rand(4, 8, 3)).shape
            torch.Size([4, 8, 195])
        """
        frame = frame if node is None else one_place(frame, node)
        nodes, _ = self._run(*self._read(x, None, None, frame, batch, mask, batch_size, max_num_nodes))
        return nodes.x

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
        """Computes the learned graph of each sequence as the layers use it, 0 from and to missing frames.

        Arguments are those of the class.

        Returns:
            ``[B, M, M]``, or ``[B, K, M, M]`` of several heads; flat sequences are padded to the longest.

        Example:
            >>> model = LGrIN(3, 8, 2, adjacency={"name": "AttentionAdjacency", "topk": 2})
            >>> model.graphs(torch.rand(4, 8, 3)).shape
            torch.Size([4, 8, 8])
        """
        frame = frame if node is None else one_place(frame, node)
        nodes, graph, frames = self._read(x, None, None, frame, batch, mask, batch_size, max_num_nodes)
        return to_matrices(self._run(nodes, graph, frames)[1], nodes.batch_size)  # type: ignore[arg-type]

    def stream(self) -> Stream:
        """Begins to classify a sequence that arrives frame by frame; see :class:`lgrin.models.stream.Stream`.

        Returns:
            The stream, with ``push(frame) -> logits``.

        Raises:
            ValueError: If the model is training, or a part of it looks at the whole sequence.

        Example:
            >>> stream = LGrIN(3, None, num_classes=2).eval().stream()
            >>> stream.push(torch.rand(3)).shape
            torch.Size([2])
        """
        return Stream(self)

    @torch.no_grad()
    def salient_frames(
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
        max_num_nodes: int | None = None,
    ) -> Tensor:
        """Finds the frame of each sequence that wins most channels of the maximum readout (Fig. 7).

        Frames that tie for a channel share it: a neighbour maximum is the same in all neighbours of the frame that it
        comes from, and would else count for the first of them. Arguments are those of the class. Computed in evaluation
        mode, whatever mode the model is in.

        Returns:
            Int64 ``[B]``, the lowest frame where several win equally many; -1 for an empty sequence.

        Example:
            >>> model = LGrIN(in_channels=3, num_nodes=8, num_classes=2).eval()
            >>> model.salient_frames(torch.rand(4, 8, 3)).shape
            torch.Size([4])
        """
        frame = frame if node is None else one_place(frame, node)
        with _evaluating(self):
            place = frame, batch, mask, batch_size, max_num_nodes
            nodes, _ = self._run(*self._read(x, edge_index, edge_weight, *place))
        return nodes.stacked().salient()

    def _run(self, nodes: Nodes, graph: Graph | None, frames: Tensor) -> tuple[Nodes, Graph]:
        """Runs encoder and inception layers; returns the nodes that the readout gets, and their graph."""
        if self.encoder is not None:
            leading = nodes.x.dim() - 1
            nodes = nodes._replace(x=encode(self.encoder, frames, nodes.mask, leading, self.in_channels))
        h = self._scale_input(nodes)
        if graph is None and self.is_folded and nodes.is_whole(self.num_nodes):
            frozen = frozen_layers(self, h)
            if frozen is not None:
                return nodes._replace(x=frozen(h)), frozen.graph  # type: ignore[return-value]
        if graph is None:
            graph = graph_for(self.adjacency, nodes._replace(x=h))
        if isinstance(graph, RaggedGraph):
            return nodes._replace(x=graph.through(self._run_layers, h)), graph
        return nodes._replace(x=self._run_layers(h, graph)), graph

    def _run_layers(self, x: Tensor, graph: Graph) -> Tensor:
        for layer in self.layers:
            x = layer(x, graph)
        return x

    def _read(
        self,
        x: Tensor,
        edge_index: "Tensor | Graph | None",
        edge_weight: Tensor | None,
        frame: Tensor | None,
        batch: Tensor | None,
        mask: Tensor | None,
        batch_size: int | None,
        max_num_nodes: int | None = None,
    ) -> tuple[Nodes, Graph | None, Tensor]:
        """Reads and checks the arguments of a call, before anything is computed.

        Returns:
            The nodes; their graph, ``None`` for the learned one; and the frames for an encoder.
        """
        frames = x
        if self.encoder is not None:
            leading = edge_index.frame.dim() if isinstance(edge_index, RaggedGraph) else 2 if batch is None else 1
            dtype = next((one.dtype for one in self.adjacency.parameters()), torch.get_default_dtype())
            x = stand_in(x, leading, self.in_channels, dtype)
        if isinstance(x, Tensor) and x.dim() > 3:
            check_one_batch(x, type(self).__name__)  # raises
        graph: Graph | None = None
        if edge_index is not None:
            graph = as_graph(x, edge_index, edge_weight, mask)
            mask = graph.mask
            if isinstance(graph, RaggedGraph):
                _refuse_place(frame, batch)
                frame, batch_size = graph.frame, graph.present.size(0)
                batch = graph.batch if x.dim() == 2 else None
            nodes = Nodes.read(x, frame, batch, mask, batch_size, self.num_nodes)
            graph = self._check_foreign(graph, nodes)
        elif edge_weight is not None:
            check_edge_weight(edge_weight)
            raise ValueError("edge_weight was given without edge_index; pass both, or neither to use the learned graph")
        else:
            nodes = Nodes.read_whole(x, frame, batch, mask, batch_size, self.num_nodes, max_num_nodes)
        if x.size(-1) != self.in_channels:
            raise ValueError(
                f"x has {x.size(-1)} channels, but this model was built for in_channels={self.in_channels}"
            )
        return nodes, graph, frames

    def _check_foreign(self, graph: Graph, nodes: Nodes) -> Graph:
        """Raises if layers or readout would refuse a graph that is not the learned one.

        An edge list is told which frame each node is.
        """
        if isinstance(graph, EdgeList) and nodes.frame is not None:
            graph = graph._replace(frame=nodes.frame)
        for layer in self.layers:
            if isinstance(layer, GraphInception):
                layer.check_graph(graph)
        if isinstance(self.readout, GraphReadout):
            self.readout.check_nodes(nodes)
        return graph

    def _scale_input(self, nodes: Nodes) -> Tensor:
        """Scales the features as the first inception layer sees them."""
        x, mask = nodes.x, nodes.mask
        if self.input_norm is not None:
            check_takes_mask("input_norm", self.input_norm)
            x = self.input_norm(x, mask)
        if self.instance_norm is None:
            return x
        return torch.cat([zero_absent(x, mask), self.instance_norm(x, nodes.batch, mask, nodes.batch_size)], dim=-1)

    def _read_out(self, nodes: Nodes) -> Tensor:
        """Calls the readout; one that nobody watches takes the nodes as they are."""
        if is_plain([self.readout], GraphReadout):
            return self.readout.read_out(nodes)
        return self.readout(*nodes[:5])


def _settings(arguments: dict[str, Any]) -> dict[str, Any] | None:
    """The arguments as plain values, modules by their own configuration; ``None`` if one cannot be told so."""
    roles = {"adjacency": ADJACENCY, "readout": READOUT}
    settings = dict(arguments)
    for name, value in arguments.items():
        if isinstance(value, Module):
            settings[name] = settings_of(roles[name], value) if name in roles else None
            if settings[name] is None:
                return None
    return plain_settings(settings)


def _part(role: Role, value: Module | Mapping[str, Any], num_nodes: int | None, *sizes: int) -> Any:
    if isinstance(value, Mapping):
        return build(role, value, num_nodes, *sizes)
    if not isinstance(value, Module):
        raise TypeError(
            f"{role.name} is a {type(value).__name__}; it may be a module or the keywords of {role.default}"
        )
    size = getattr(value, "num_nodes", num_nodes)
    if size is not None and size != num_nodes:
        raise ValueError(
            f"{role.name} was built for {size} nodes, but num_nodes={num_nodes}; build both for the same number"
        )
    return value


def _input_norms(input_norm: Any, in_channels: int) -> tuple[Any, Any]:
    """The norm over the batch and the norm of each sequence, ``None`` for one that is not asked for."""
    if isinstance(input_norm, Module):
        return input_norm, None
    of_batch, of_sequence = INPUT_NORMS[input_norm]
    return (
        MaskedBatchNorm(in_channels, affine=False) if of_batch else None,
        MaskedInstanceNorm(in_channels) if of_sequence else None,
    )


@torch.no_grad()
def _width(readout: Any, num_nodes: int | None, channels: int) -> int:
    """What a readout makes of so many channels: as it says itself, or as a call shows."""
    if hasattr(readout, "out_channels"):
        return int(readout.out_channels(channels))
    like = next((one for one in readout.parameters() if one.is_floating_point()), torch.empty(0))
    with _evaluating(readout):
        return int(readout(torch.zeros(1, num_nodes or 1, channels, dtype=like.dtype, device=like.device)).size(-1))


@contextmanager
def _evaluating(model: Module) -> Iterator[None]:
    """Puts a model into evaluation mode, and each of its modules back into its own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, training in modes.items():
            module.training = training


def _refuse_place(frame: Tensor | None, batch: Tensor | None) -> None:
    for name, value in (("frame", frame), ("batch", batch)):
        if value is not None:
            raise ValueError(f"{name} was given beside a ragged graph, which carries its own; leave {name} out")
