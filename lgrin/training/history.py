"""What the graph looked like after every epoch."""

from torch import Tensor

from lgrin.extras import optional
from lgrin.nn import Adjacency

with optional("train"):
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Callback


class AdjacencyHistory(Callback):
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

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Collects the start.

        Raises:
            ValueError: If there is no matrix of all sequences to collect.
        """
        adjacency = pl_module.get_submodule("model.adjacency")
        if getattr(adjacency, "reads_features", False):
            raise ValueError(
                f"AdjacencyHistory collects one matrix [M, M], and the graph of {type(adjacency).__name__} differs by "
                f"sequence; leave this callback out, and look at model.graphs(x) of some sequences"
            )
        self._collect(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Collects what an epoch made of it."""
        self._collect(pl_module)

    def _collect(self, pl_module: LightningModule) -> None:
        adjacency = pl_module.get_submodule("model.adjacency")
        matrix = adjacency.shown() if isinstance(adjacency, Adjacency) else adjacency()
        self.history.append(matrix.detach().cpu().clone())
