"""Several L-GrINs that look at the same sequences in different ways, and decide together."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.nn import Module, ModuleDict, Sequential

from lgrin.arguments import check_range
from lgrin.graph import Graph
from lgrin.models.head import make_head, reset_head
from lgrin.models.lgrin import LGrIN
from lgrin.options import check_number, check_whole


class MultimodalLGrIN(Module):
    r"""Classifies sequences that come in several modalities, each with a graph, a length and features of its own.

    .. math:: \mathrm{logits} = \mathrm{head}\big( \left[ h_1 \mid \dots \mid h_K \right] \big), \qquad
              h_k = \mathrm{readout}_k(\dots) \text{ of modality k, or 0 where it is missing}

    A modality of a sequence is missing if none of its frames is present. It then adds nothing to the logits of a linear
    head, and counts in no statistic. A network that was never trained without a modality has not learned to do without
    it; ``modality_dropout`` teaches it.

    Args:
        modalities: For each name an :class:`lgrin.LGrIN` or its keywords, but for ``num_classes``. An LGrIN is copied,
            its head left out.
        num_classes: Classes, C.
        head_channels: As for :class:`lgrin.LGrIN`.
        dropout: Probability of dropping a channel in the head.
        modality_dropout: Probability, in training, of taking each modality away from a sequence; one that would be
            left with none keeps all.

    Attributes:
        config: The arguments, from which ``MultimodalLGrIN(**config)`` builds the model again; ``None`` if a modality
            has a module as argument.
        in_channels: Features per frame of each modality, by name; likewise ``num_nodes`` and ``frame_channels``.

    Shapes:
        - **inputs:** for each modality ``x [B, M, P]``, or the keywords of :meth:`LGrIN.forward`: ``x`` and ``mask``,
          or ``x [N, P]`` with ``frame``, ``batch`` and ``batch_size``; a modality that is left out is missing in all
          sequences
        - **present:** for some modalities bool ``[B]``, the sequences that have them
        - **output:** logits ``[B, C]``

    Raises:
        TypeError: If a modality is neither an LGrIN nor keywords, or inputs or present are no dictionaries.
        ValueError: If there is no modality, its name or keywords cannot be used, an input is not known or lacks its x,
            or the modalities hold unequally many sequences.

    Source:
        Named as future work in Sec. V of Shirian, Tripathi and Guha, 2021, which does not say how.

    Example:
        >>> face, voice = {"in_channels": 136, "num_nodes": 90}, {"in_channels": 34, "num_nodes": 120}
        >>> model = MultimodalLGrIN({"face": face, "voice": voice}, num_classes=8)
        >>> x = {"face": torch.rand(2, 90, 136), "voice": torch.rand(2, 120, 34)}
        >>> model(x, present={"voice": torch.tensor([True, False])}).shape
        torch.Size([2, 8])
        >>> model({"face": torch.rand(2, 90, 136)}).shape
        torch.Size([2, 8])
    """

    def __init__(
        self,
        modalities: Mapping[str, LGrIN | Mapping[str, Any]],
        num_classes: int,
        head_channels: int | None = None,
        dropout: float = 0.5,
        modality_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not isinstance(modalities, Mapping):
            raise TypeError(f"modalities is a {type(modalities).__name__}; it may be a dictionary, name to model")
        if not modalities:
            raise ValueError("modalities is empty; give at least one, such as {'face': {'in_channels': 136, ...}}")
        if check_number("modality_dropout", modality_dropout, maximum=1) == 1:
            raise ValueError(f"modality_dropout is {modality_dropout}; it lies between 0 (off) and 1, which is nothing")
        self.num_classes, self.modality_dropout = check_whole("num_classes", num_classes), float(modality_dropout)
        head_channels = None if head_channels is None else check_whole("head_channels", head_channels)
        parts = {name: _network(name, given, self.num_classes) for name, given in modalities.items()}
        self.modalities: Any = ModuleDict(parts)
        self.in_channels = {name: part.in_channels for name, part in parts.items()}
        self.num_nodes = {name: part.num_nodes for name, part in parts.items()}
        self.frame_channels = {name: part.frame_channels for name, part in parts.items()}
        self.widths = {name: part.embed_channels for name, part in parts.items()}
        self.config: dict[str, Any] | None = None
        if all(part.config is not None for part in parts.values()):
            self.config = {
                "modalities": {name: _keywords_of(part) for name, part in parts.items()},
                "num_classes": self.num_classes,
                "head_channels": head_channels,
                "dropout": dropout,
                "modality_dropout": self.modality_dropout,
            }
        for part in parts.values():
            part.head = Sequential()
        self.head = make_head(sum(self.widths.values()), head_channels, num_classes, dropout)

    def reset_parameters(self) -> None:
        """Draws every weight again."""
        for part in self.modalities.values():
            part.reset_parameters()
        reset_head(self.head)

    def forward(
        self,
        inputs: Mapping[str, Tensor | Mapping[str, Any]],
        present: Mapping[str, Tensor] | None = None,
        return_graph: bool = False,
    ) -> Any:
        """Computes logits ``[B, C]``, and with ``return_graph`` the graphs of the modalities by name; see the class."""
        embedding, graphs = self._run(inputs, present)
        logits = self.head(embedding)
        return (logits, graphs) if return_graph else logits

    def embed(
        self, inputs: Mapping[str, Tensor | Mapping[str, Any]], present: Mapping[str, Tensor] | None = None
    ) -> Tensor:
        """Computes what the head sees of each sequence, ``[B, F]``, modality after modality; see the class."""
        return self._run(inputs, present)[0]

    def _run(
        self, inputs: Mapping[str, Tensor | Mapping[str, Any]], present: Mapping[str, Tensor] | None
    ) -> tuple[Tensor, dict[str, Graph]]:
        """Embeds the sequences, and tells the graph of each modality that was given."""
        present = {} if present is None else present
        for kind, given in (("inputs", inputs), ("present", present)):
            if not isinstance(given, Mapping):
                raise TypeError(
                    f"{kind} is a {type(given).__name__}; it may be a dictionary with some of "
                    f"{', '.join(map(repr, self.modalities))}"
                )
        for kind, names in (("inputs", inputs), ("present", present)):
            if unknown := [name for name in names if name not in self.modalities]:
                raise ValueError(f"{kind} has {unknown[0]!r}; this model knows {', '.join(map(repr, self.modalities))}")
        if not inputs:
            raise ValueError(f"inputs is empty; give one of {', '.join(map(repr, self.modalities))} at least")
        results = {
            name: self.modalities[name](**_arguments(name, one, present.get(name)), return_graph=True)
            for name, one in inputs.items()
        }
        embedded = {name: embedding for name, (embedding, _) in results.items()}  # heads of modalities are empty
        counts = {name: embedding.size(0) for name, embedding in embedded.items()}
        if len(set(counts.values())) > 1:
            raise ValueError(
                f"inputs hold unequally many sequences, {counts}; give each modality all of them, masking those that "
                f"lack it, and beside batch the same batch_size"
            )
        some = next(iter(embedded.values()))
        embeddings = [
            embedded[name] if name in embedded else some.new_zeros(some.size(0), width)
            for name, width in self.widths.items()
        ]
        if self.training and self.modality_dropout:
            embeddings = self._withhold(embeddings)
        return torch.cat(embeddings, dim=-1), {name: graph for name, (_, graph) in results.items()}

    def _withhold(self, embeddings: list[Tensor]) -> list[Tensor]:
        """Sets modalities of some sequences to 0, as if they were missing, but never all that a sequence has."""
        there = torch.stack([(embedding != 0).any(-1) for embedding in embeddings], dim=-1)
        kept = there & (torch.rand(there.shape, device=there.device) >= self.modality_dropout)
        lost = ~(kept | ~kept.any(-1, keepdim=True))
        return [embedding.masked_fill(lost[:, [k]], 0) for k, embedding in enumerate(embeddings)]


def _network(name: Any, given: Any, num_classes: int) -> LGrIN:
    if not isinstance(name, str) or not name or "." in name or hasattr(ModuleDict(), name):
        raise ValueError(
            f"modalities has the name {name!r}; a name is text without dots that torch does not use itself"
        )
    if isinstance(given, LGrIN):
        return deepcopy(given)
    if not isinstance(given, Mapping):
        raise TypeError(f"modalities[{name!r}] is a {type(given).__name__}; it may be an LGrIN or its keywords")
    try:
        return LGrIN(**{**given, "num_classes": num_classes})
    except (TypeError, ValueError) as error:
        raise type(error)(f"modalities[{name!r}]: {error}") from error


def _keywords_of(part: Any) -> dict[str, Any]:
    return {name: value for name, value in part.config.items() if name != "num_classes"}


def _arguments(name: str, given: Any, present: Tensor | None) -> dict[str, Any]:
    """The arguments of one modality, the frames of sequences that lack it marked as absent."""
    keywords = dict(given) if isinstance(given, Mapping) else {"x": given}
    if "x" not in keywords:
        raise ValueError(f"inputs[{name!r}] has no x, but {', '.join(map(repr, keywords))}; give its features")
    if present is None:
        return keywords
    if not isinstance(present, Tensor):
        raise TypeError(f"present[{name!r}] is a {type(present).__name__}; it has to be a tensor, torch.bool [B]")
    x, batch, mask = keywords["x"], keywords.get("batch"), keywords.get("mask")
    known = x.size(0) if batch is None else keywords.get("batch_size")
    count = len(present) if known is None else known
    if present.dtype != torch.bool or present.dim() != 1 or len(present) != count or (batch is None and x.dim() < 3):
        raise ValueError(
            f"present[{name!r}] is {present.dtype} {list(present.shape)}; it has to be torch.bool [B], one entry a "
            f"sequence"
        )
    check_range("batch", batch, count)
    here = present.unsqueeze(-1).expand(x.shape[:2]) if batch is None else present[batch]
    keywords["mask"] = here if mask is None else mask & here
    return keywords
