"""Training without labels: frames are hidden, and predicted from their neighbours on the learned graph."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Linear
from torch_geometric.data import Data

from lgrin.models import LGrIN
from lgrin.nodes import frames_from_start, is_readable, present_indices, zero_absent
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.loop import Run, fit_in_memory

PIECES, HIDDEN = 16, 0.25  # a sequence is cut into so many pieces, of which this share is hidden at each step


class MaskedFrames(SequenceClassifier):
    """Trains a network to predict frames that are hidden from it, in place of classes.

    The objective is that of :class:`lgrin.sklearn.LGrINPretrainer`. The price of the graph, Eq. (8), is added as in
    training with labels.

    Args:
        model: The network. Readout and head have no part in the objective, and stay as they are.
        num_sequences: The number of training sequences.
        **options: Further arguments of :class:`SequenceClassifier`.

    Attributes:
        decoder: The linear layer W, b.

    Example:
        >>> masked = MaskedFrames(LGrIN(3, 20, 2), num_sequences=4)
        >>> place = {"batch": torch.arange(4).repeat_interleave(20), "batch_size": 4, "frame": None, "mask": None}
        >>> masked.loss_of(torch.zeros(4), {"x": torch.rand(80, 3), **place}).shape
        torch.Size([])
    """

    def __init__(self, model: LGrIN, num_sequences: int, **options: Any) -> None:
        super().__init__(model, num_sequences, **options)
        last: Any = model.layers[-1]
        self.decoder = Linear(last.out_channels, model.in_channels)
        for part in (model.readout, model.head):
            part.requires_grad_(False)

    def loss_of(self, target: Tensor, inputs: dict[str, Any], weight: Tensor | None = None) -> Tensor:
        """Computes the loss of a training step; the classes and weights of the sequences are not read."""
        prepared = self._prepared(self.normalize, self.model.num_nodes, inputs)
        x, mask = prepared["x"], prepared["mask"]
        hidden = hide(prepared["batch"], prepared["batch_size"])
        hidden = hidden if mask is None else hidden & mask
        nodes = self.model.embed_nodes(**{**prepared, "x": x.masked_fill(hidden.unsqueeze(-1), 0.0)})
        return self._error(nodes, x, hidden) + self.loss.penalty(self.model)

    def _error(self, nodes: Tensor, x: Tensor, hidden: Tensor) -> Tensor:
        """The mean squared error at the hidden frames, which are picked where that costs nothing."""
        if is_readable(hidden):
            index = present_indices(hidden)
            error = self.decoder(nodes[index]) - x[index]
            return error.square().sum() / max(1, error.numel())
        error = zero_absent(self.decoder(nodes) - x, hidden)
        return error.square().sum() / (hidden.sum() * x.size(-1)).clamp(min=1)


def hide(batch: Tensor, batch_size: int) -> Tensor:
    """Chooses which nodes to hide: a quarter of 16 pieces of each sequence, at random.

    Args:
        batch: Int64 ``[N]``, sorted.
        batch_size: Sequences, B.

    Returns:
        Bool ``[N]``.

    Example:
        >>> generator = torch.manual_seed(0)
        >>> hide(torch.zeros(3200, dtype=torch.long), 1).view(16, 200).float().mean(1).unique().tolist()
        [0.0, 1.0]
    """
    place = frames_from_start(batch, batch_size)
    length = batch.new_zeros(batch_size).index_add(0, batch, torch.ones_like(batch))
    piece = place * PIECES // length[batch]
    return torch.rand(batch_size, PIECES, device=batch.device)[batch, piece] < HIDDEN


def pretrain(
    model: LGrIN, sequences: Sequence[Data], options: Mapping[str, Any], **how: Any
) -> tuple[SequenceClassifier, Run]:
    """Trains a network on sequences without labels, in memory; see :class:`MaskedFrames`.

    Args:
        model: The network.
        sequences: Sequences with ``x [M, P]`` and perhaps ``mask [M]``.
        options: Arguments of :class:`SequenceClassifier`.
        **how: Further arguments of :func:`lgrin.training.loop.fit_in_memory`.

    Returns:
        The classifier of the network, whose readout and head are not trained yet, and how the run went.

    Example:
        >>> data = [Data(x=torch.randn(8, 2)) for _ in range(4)]
        >>> classifier, run = pretrain(LGrIN(2, 8, 2), data, {}, epochs=2)
        >>> len(run.losses)
        2
    """
    unlabelled = [Data(x=one.x, mask=one.get("mask"), y=torch.zeros(1, dtype=torch.long)) for one in sequences]
    masked = MaskedFrames(model, num_sequences=len(unlabelled), **options)
    run = fit_in_memory(masked, unlabelled, [], **how)
    model.requires_grad_(True)
    classifier = SequenceClassifier(**{**masked.hparams, "model": model})
    classifier.normalize = masked.normalize
    return classifier.eval(), run


def start_from(classifier: SequenceClassifier, pretrained: SequenceClassifier) -> None:
    """Gives a classifier the weights and the normalisation of another, but for readout and head.

    Args:
        classifier: The classifier, whose network has the same sizes but for the classes.
        pretrained: The other.

    Example:
        >>> first, second = (SequenceClassifier(LGrIN(2, 3, classes), num_sequences=1) for classes in (2, 5))
        >>> start_from(second, first)
        >>> torch.equal(second.model.adjacency.weights(), first.model.adjacency.weights())
        True
    """
    fresh = "model.head.", "model.readout."
    state = {name: value for name, value in pretrained.state_dict().items() if not name.startswith(fresh)}
    classifier.load_state_dict(state, strict=False)
