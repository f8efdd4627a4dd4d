"""The network of a fitted estimator as it predicts: folded, in float64, made once."""

from copy import deepcopy
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import pad
from torch_geometric.data import Data

from lgrin.models import fold
from lgrin.models.watched import Watched
from lgrin.sklearn.inputs import to_one_length
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.threads import count_weights, threads_for
from lgrin.transforms import Resample, from_settings

BATCH = 128
Model = TypeVar("Model", bound=Module)


class FoldedNetwork:
    """A copy of a trained network for inference, in float64, so that a result depends on no other sequence.

    Args:
        classifier: The trained classifier; not kept.

    Example:
        >>> from lgrin.transforms import Resample
        >>> network = {"in_channels": 2, "num_nodes": 3, "num_classes": 2}
        >>> classifier = SequenceClassifier(network, num_sequences=1, transform=Resample(3).settings)
        >>> FoldedNetwork(classifier.eval()).run("forward", [Data(x=torch.rand(7, 2))]).shape
        torch.Size([1, 2])
    """

    def __init__(self, classifier: SequenceClassifier) -> None:
        transform = classifier.hparams["transform"]
        self.resample = None if transform is None else from_settings(transform)
        self.scale = deepcopy(classifier.normalize).double()
        self.model = _folded(classifier.model)
        self.weights = count_weights(self.model)
        self.source = Watched(classifier.model, classifier.normalize)

    @torch.inference_mode()
    def run(self, method: str, nodes: list[Data]) -> Tensor:
        """Calls a method of the network on nodes at their own lengths, which are brought to one length in place.

        Args:
            method: Its name.
            nodes: The nodes of each sequence, see :func:`lgrin.sklearn.inputs.to_nodes`.

        Returns:
            Its results for all sequences, one after the other.

        Raises:
            ValueError: If none of the frames that are taken of a sequence is present, with its index.
        """
        self._to_one_length(nodes)
        results = []
        for start in range(0, len(nodes), BATCH):
            batch = nodes[start : start + BATCH]
            lengths = [len(one.x) for one in batch]
            join = torch.stack if min(lengths) == max(lengths) else torch.cat
            x = self.scale(join([one.x for one in batch]).double())
            place: dict[str, Any] = {"mask": join([one.mask for one in batch]) if "mask" in batch[0] else None}
            if join is torch.cat:
                sequence = torch.arange(len(batch)).repeat_interleave(torch.tensor(lengths))
                place |= {"batch": sequence, "batch_size": len(batch)}
            with threads_for(self.weights * sum(lengths)):
                results.append(getattr(self.model, method)(x, **place))
        return torch.cat(results) if self.resample is not None else _join(results)

    def _to_one_length(self, nodes: list[Data]) -> None:
        """Brings sequences to one length; where their frames came from need not be known here."""
        if not isinstance(self.resample, Resample) or "mask" in nodes[0]:
            return to_one_length(nodes, self.resample)
        for data in nodes:
            take = self.resample.picks(len(data.x))
            if take is None:
                self.resample.forward(data)
            else:
                data.x = data.x.index_select(0, take)
        return None


def _join(results: list[Tensor]) -> Tensor:
    """Joins the results of batches; graphs over more frames in one batch than in another get zeros."""
    sizes = [max(one.size(axis) for one in results) for axis in range(1, results[0].dim())]
    padded = []
    for one in results:
        missing = [size - have for size, have in zip(sizes, one.shape[1:], strict=True)]
        padded.append(pad(one, [side for lacking in reversed(missing) for side in (0, lacking)]))
    return torch.cat(padded)


_KEPT: "WeakKeyDictionary[SequenceClassifier, FoldedNetwork]" = WeakKeyDictionary()


def network_of(classifier: SequenceClassifier) -> FoldedNetwork:
    """Returns the folded copy of a classifier's network, which is made again when the classifier has changed.

    Args:
        classifier: The trained classifier.

    Returns:
        The copy, kept for as long as the classifier.

    Example:
        >>> from lgrin.transforms import Resample
        >>> network = {"in_channels": 2, "num_nodes": 3, "num_classes": 2}
        >>> classifier = SequenceClassifier(network, num_sequences=1, transform=Resample(3).settings).eval()
        >>> network_of(classifier) is network_of(classifier)
        True
    """
    kept = _KEPT.get(classifier)
    if kept is None or not kept.source.is_current():
        kept = _KEPT[classifier] = FoldedNetwork(classifier)
    return kept


_DOUBLE: "WeakKeyDictionary[Module, tuple[Watched, Module]]" = WeakKeyDictionary()


def double_of(model: Model) -> Model:
    """Returns the copy of a model in float64, which is made again when the model has changed.

    Args:
        model: The model.

    Returns:
        The copy, kept for as long as the model.

    Example:
        >>> linear = torch.nn.Linear(2, 1)
        >>> double_of(linear) is double_of(linear), double_of(linear).weight.dtype
        (True, torch.float64)
    """
    known = _DOUBLE.get(model)
    if known is None or not known[0].is_current():
        known = _DOUBLE[model] = Watched(model), deepcopy(model).double()
    copy: Any = known[1]
    return copy


def _folded(model: Module) -> Module:
    """Folds a network in float64; one that cannot be folded, since somebody changed it, is copied as it is."""
    copy = deepcopy(model).double().eval()
    try:
        return fold(copy)
    except TypeError:
        return copy
