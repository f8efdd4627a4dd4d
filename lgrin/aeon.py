"""L-GrIN as an aeon estimator."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lgrin.extras import optional
from lgrin.sklearn import LGrINClassifier

with optional("train"):
    from aeon.classification import BaseClassifier


class LGrINAeonClassifier(BaseClassifier):
    """The :class:`lgrin.sklearn.LGrINClassifier` for aeon's pipelines, benchmarks and ensembles.

    Series may have any number of channels, unequal lengths and missing values.

    Args:
        num_nodes: Frames of the graph, M; ``None`` as for :class:`lgrin.sklearn.LGrINClassifier`, like all that follow.
        branch_channels: Widths of the inception layers; ``"auto"`` leaves this to the recipe, like all that follow.
        input_norm: What the network sees, see :class:`lgrin.sklearn.LGrINClassifier`.
        dropout: Probability of dropping a channel in the head.
        lr: Learning rate of Adam.
        weight_decay: Decoupled weight decay.
        crop: The largest part of a training series that is left out at random.
        shift: Standard deviation of the random level of each channel of a training series.
        epochs: Passes over the training series; ``None`` leaves them to the recipe. The recommended one takes as many
            as make 150 steps, and 15 at the least, or four times as many without a bank.
        patience: Epochs without a lower validation loss after which to stop; ``None`` holds nothing out.
        batch_size: Series per step.
        device: Where to train: ``"auto"``, ``"cpu"``, ``"cuda"``.
        verbose: Whether to show a progress bar.
        random_state: Draws weights, batches, dropout, windows and levels, and a validation split if there is one.
        recipe: The recipe, a name in :data:`lgrin.training.recipes.RECIPES`.
        thin: How series with more than M frames get to M: ``"nearest"``, ``"mean"``, ``"max"`` or ``"lowpass"``.
        bank: Whether a bank of filters helps the network.
        class_weight: ``None``, ``"balanced"``, or the weight of each class by its name.
        sampling: How sequences of an epoch are drawn, see :class:`lgrin.sklearn.LGrINClassifier`.
        pretrained: A :class:`lgrin.sklearn.LGrINPretrainer`, or ``None``.

    Attributes:
        estimator_: The fitted :class:`lgrin.sklearn.LGrINClassifier`, which has the graph and saves itself.

    Shapes:
        - **X:** array ``[n, channels, time]``, list of arrays ``[channels, time]``, or whatever else aeon reads
        - **y:** ``[n]``, numbers or strings

    Example:
        >>> from aeon.datasets import load_basic_motions
        >>> X, y = load_basic_motions(split="train")
        >>> classifier = LGrINAeonClassifier(epochs=1, random_state=0).fit(X, y)
        >>> classifier.predict_proba(X).shape, classifier.estimator_.adjacency_.shape
        ((40, 4), (100, 100))
    """

    _tags = {  # noqa: RUF012
        "X_inner_type": ["np-list", "numpy3D"],
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:missing_values": True,
        "algorithm_type": "deeplearning",
        "python_dependencies": "lightning",
    }

    def __init__(
        self,
        *,
        num_nodes: int | None = None,
        branch_channels: Sequence[int] | str = "auto",
        input_norm: bool | str = "auto",
        dropout: float | str = "auto",
        lr: float | str = "auto",
        weight_decay: float | str = "auto",
        crop: float | str = "auto",
        shift: float | str = "auto",
        epochs: int | None = None,
        patience: int | None = None,
        batch_size: int | str = "auto",
        device: str = "auto",
        verbose: bool = False,
        random_state: int | np.random.RandomState | None = None,
        recipe: str = "recommended",
        thin: str = "auto",
        bank: bool = True,
        class_weight: str | Mapping[Any, float] | None = None,
        sampling: str = "shuffled",
        pretrained: Any = None,
    ) -> None:
        self.num_nodes = num_nodes
        self.branch_channels = branch_channels
        self.input_norm = input_norm
        self.dropout = dropout
        self.lr = lr
        self.weight_decay = weight_decay
        self.crop = crop
        self.shift = shift
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.device = device
        self.verbose = verbose
        self.random_state = random_state
        self.recipe = recipe
        self.thin = thin
        self.bank = bank
        self.class_weight = class_weight
        self.sampling = sampling
        self.pretrained = pretrained
        super().__init__()

    def _fit(self, X: np.ndarray | list[np.ndarray], y: np.ndarray) -> "LGrINAeonClassifier":
        self.estimator_ = LGrINClassifier(**self.get_params(), layout="channels_first").fit(X, y)
        return self

    def _predict(self, X: np.ndarray | list[np.ndarray]) -> np.ndarray:
        return self.estimator_.predict(X)

    def _predict_proba(self, X: np.ndarray | list[np.ndarray]) -> np.ndarray:
        return self.estimator_.predict_proba(X)

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, object]:
        """What aeon's own checks try it with: little work."""
        return {"epochs": 2, "branch_channels": (8, 4), "random_state": 0}
