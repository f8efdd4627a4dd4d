"""What the graph looked like after every epoch."""

from typing import Any

from torch import Tensor

from lgrin.extras import require

callbacks_of = require("lightning.pytorch.callbacks", extra="train")


class AdjacencyHistory(callbacks_of.Callback):  # type: ignore[name-defined]
    """Collects the adjacency at the start and after every epoch, for :func:`lgrin.visualization.animate_adjacency`.

    Attributes:
        history: Matrices ``[M, M]`` on the CPU, the one before training first. With weight averaging these are the
            weights that are trained, not their average.

    Example:
        >>> AdjacencyHistory().history
        []
    """

    def __init__(self) -> None:
        self.history: list[Tensor] = []

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Collects the start."""
        self._collect(pl_module)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Collects what an epoch made of it."""
        self._collect(pl_module)

    def _collect(self, pl_module: Any) -> None:
        self.history.append(pl_module.model.adjacency().detach().cpu().clone())
