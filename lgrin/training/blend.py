"""A bank of filters fitted beside a trained network."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from lgrin.models.bank import FilterBank
from lgrin.models.blend import Blend
from lgrin.training.bank import BUDGET, fit_bank, present_frames
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.plain import warn_of_better
from lgrin.transforms import Resample, from_settings
from lgrin.transforms.resample import NEAREST


def fit_bank_beside(
    classifier: SequenceClassifier,
    sequences: Sequence[Data],
    weight: Tensor | None = None,
    groups: Tensor | None = None,
    seed: int = 0,
    centered: Tensor | None = None,
) -> FilterBank:
    """Fits a bank of filters to the sequences of a network, which need not be trained yet.

    Network and bank have 120,000 fitted numbers together. A warning says where a plain method is clearly better than
    the bank on left-out training sequences (:func:`lgrin.training.plain.find_better`).

    Args:
        classifier: The classifier of the network, whose normalisation is fitted.
        sequences: Training sequences at their own lengths, with ``x [L, P]``, ``y [1]`` and perhaps ``mask [L]``.
        weight: Positive ``[n]``, of each sequence; ``None`` means 1.
        groups: Int64 ``[n]``, what is left out together when the bank's penalty is chosen.
        seed: Draws the filters.
        centered: Groups whose summaries are centred, as for :func:`lgrin.training.fit_bank`.

    Returns:
        The bank, which takes normalised frames.

    Example:
        >>> classifier = SequenceClassifier({"in_channels": 2, "num_nodes": 6, "num_classes": 2}, num_sequences=8)
        >>> data = [Data(x=torch.randn(9, 2) + 2 * (i % 2), y=torch.tensor([i % 2])) for i in range(8)]
        >>> fit_bank_beside(classifier, data).num_classes
        2
    """
    scale = deepcopy(classifier.normalize).cpu()
    with torch.no_grad():
        scaled = [Data(x=scale(one.x), y=one.y, mask=present_frames(one)) for one in sequences]
    spent = sum(one.numel() for one in classifier.model.parameters())
    num_classes = classifier.model.num_classes
    bank, ridge = fit_bank(scaled, num_classes, weight, groups, seed, budget=BUDGET - spent, centered=centered)
    warn_of_better(ridge.left_out, scaled, weight, groups)
    return bank


def join(classifier: SequenceClassifier, bank: FilterBank, network_weight: float) -> SequenceClassifier:
    """Puts a bank of filters beside a trained network.

    Args:
        classifier: The trained classifier; its network becomes part of the result.
        bank: What :func:`fit_bank_beside` has fitted to the same sequences.
        network_weight: What the logits of the network are multiplied by, see :class:`lgrin.models.Blend`.

    Returns:
        The classifier of the :class:`lgrin.models.Blend`, in evaluation mode, which takes sequences of any length.

    Example:
        >>> network = {"in_channels": 2, "num_nodes": 6, "num_classes": 2}
        >>> classifier = SequenceClassifier(network, num_sequences=8, transform=Resample(6).settings)
        >>> type(join(classifier, FilterBank(2, 2), network_weight=0.2).model).__name__
        'Blend'
    """
    blend = Blend(classifier.model, bank.to(classifier.device), network_weight, thin_of(classifier))
    return _with_model(classifier, blend, transform=None)


def add_bank(
    classifier: SequenceClassifier,
    sequences: Sequence[Data],
    network_weight: float,
    weight: Tensor | None = None,
    groups: Tensor | None = None,
    seed: int = 0,
) -> SequenceClassifier:
    """Fits a bank of filters to training sequences, and adds it to a network that was trained on them.

    Args:
        classifier: The trained classifier; its network becomes part of the result.
        sequences: As for :func:`fit_bank_beside`, as are the others.
        network_weight: As for :func:`join`.
        weight: Of each sequence.
        groups: What is left out together.
        seed: Draws the filters.

    Returns:
        The classifier of both, see :func:`join`.

    Example:
        >>> network = {"in_channels": 2, "num_nodes": 6, "num_classes": 2}
        >>> classifier = SequenceClassifier(network, num_sequences=8, transform=Resample(6).settings)
        >>> data = [Data(x=torch.randn(9, 2) + 2 * (i % 2), y=torch.tensor([i % 2])) for i in range(8)]
        >>> type(add_bank(classifier, data, network_weight=0.2).model).__name__
        'Blend'
    """
    return join(classifier, fit_bank_beside(classifier, sequences, weight, groups, seed), network_weight)


def thin_of(classifier: SequenceClassifier) -> str:
    """Says how sequences with more frames than M get to M, ``how`` of :class:`lgrin.transforms.Resample`.

    Example:
        >>> settings = Resample(3, "mean").settings
        >>> network = {"in_channels": 2, "num_nodes": 3, "num_classes": 2}
        >>> thin_of(SequenceClassifier(network, num_sequences=1, transform=settings))
        'mean'
    """
    transform = classifier.hparams["transform"]
    return NEAREST if transform is None else str(from_settings(transform).how)


def without_bank(classifier: SequenceClassifier) -> SequenceClassifier:
    """Takes the network of a :class:`lgrin.models.Blend` out again, with the transform to its frames.

    Args:
        classifier: A classifier; one of another model is returned as it is.

    Returns:
        The classifier of the network, whose weights it shares.

    Example:
        >>> classifier = SequenceClassifier({"in_channels": 2, "num_nodes": 3, "num_classes": 2}, num_sequences=1)
        >>> without_bank(classifier) is classifier
        True
    """
    blend = classifier.model
    if not isinstance(blend, Blend):
        return classifier
    num_nodes = blend.network.num_nodes
    transform = None if num_nodes is None else Resample(num_nodes, blend.thin).settings
    return _with_model(classifier, blend.network, transform=transform)


def _with_model(classifier: SequenceClassifier, model: Any, **changes: Any) -> SequenceClassifier:
    """The classifier of another model, which standardises alike."""
    other = SequenceClassifier(**{**classifier.hparams, "model": model, **changes})
    other.normalize, other.label_names = classifier.normalize, classifier.label_names
    return other.eval()
