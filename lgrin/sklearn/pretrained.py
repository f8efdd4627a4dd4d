"""How a classifier starts from pretraining."""

from collections.abc import Sequence
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor
from torch_geometric.data import Data

from lgrin.sklearn.layouts import AUTO
from lgrin.sklearn.pretrainer import LGrINPretrainer, is_fitted
from lgrin.sklearn.saved import plain
from lgrin.training.blend import thin_of
from lgrin.training.classifier import SequenceClassifier

SETTINGS = "recipe", "num_nodes", "branch_channels", "input_norm", "thin"  # in which a classifier may not differ


def check_pretrained(estimator: Any, groups: ArrayLike | Tensor | None) -> None:
    """Raises if a classifier must not start from its ``pretrained``, see :class:`LGrINPretrainer`.

    Args:
        estimator: The classifier.
        groups: The groups of its training sequences.

    Raises:
        TypeError: If ``pretrained`` is something else.
        ValueError: If it may have seen what is held out.

    Example:
        >>> from lgrin.sklearn import LGrINClassifier
        >>> check_pretrained(LGrINClassifier(pretrained=LGrINPretrainer()), None)
    """
    pretrained = estimator.pretrained
    if not isinstance(pretrained, LGrINPretrainer | None):
        raise TypeError(f"pretrained is a {type(pretrained).__name__}; it may be a LGrINPretrainer or None")
    if pretrained is not None and is_fitted(pretrained):
        pretrained.check_training(groups)


def start_of(estimator: Any, nodes: Sequence[Data], seed: int) -> SequenceClassifier | None:
    """Returns what the network of a classifier starts from; ``None`` without pretraining.

    Args:
        estimator: The classifier.
        nodes: What it trains on, at their own lengths.
        seed: Of the classifier.

    Raises:
        ValueError: If the classifier has other channels, or was given another network or other frames.

    Example:
        >>> import torch
        >>> from lgrin.sklearn import LGrINClassifier
        >>> nodes = [Data(x=torch.rand(9, 2)) for _ in range(4)]
        >>> start_of(LGrINClassifier(pretrained=LGrINPretrainer(epochs=1)), nodes, seed=0).model.num_nodes
        9
    """
    pretrained = estimator.pretrained
    if pretrained is None:
        return None
    fitted = pretrained if is_fitted(pretrained) else pretrained.fit_nodes(nodes, seed)
    model, changed = fitted.classifier_.model, fitted.changed()
    if changed:
        raise ValueError(f"{changed[0]} of pretrained was changed after it was fitted; fit it again")
    if nodes[0].num_features != model.in_channels:
        raise ValueError(f"X has {nodes[0].num_features} channels, but pretrained has {model.in_channels}")
    own, other = (getattr(one, "feature_names_in_", None) for one in (estimator, pretrained))
    if own is not None and other is not None and list(own) != list(other):
        raise ValueError(f"X has the channels {list(own)}, but pretrained has {list(other)}, in this order")
    settings = {**model.config, "thin": thin_of(fitted.classifier_), "recipe": fitted.recipe}
    for name in SETTINGS:
        given = plain(name, getattr(estimator, name))
        given = tuple(given) if isinstance(given, list) else given
        if given not in (None, AUTO, settings[name]):
            raise ValueError(
                f"{name} is {given!r}, but pretrained has {settings[name]!r}; leave it out, or give it to the "
                f"pretrainer"
            )
    return fitted.classifier_


def network_of_start(start: SequenceClassifier) -> dict[str, Any]:
    """The arguments of :class:`lgrin.LGrIN` that pretraining decides.

    Example:
        >>> start = SequenceClassifier({"in_channels": 2, "num_nodes": 3, "num_classes": 2}, num_sequences=1)
        >>> network_of_start(start)["branch_channels"]
        (64, 32)
    """
    own = "in_channels", "num_nodes", "num_classes", "dropout"
    return {name: value for name, value in start.model.config.items() if name not in own}
