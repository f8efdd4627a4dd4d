"""Checkpoints that are whole, and steps that can be repeated."""

from pathlib import Path
from typing import Any

import torch

from lgrin.extras import require
from lgrin.files import write_atomically

plugins = require("lightning.pytorch.plugins.io", extra="train")
callbacks = require("lightning.pytorch.callbacks", extra="train")


class WholeCheckpoints(plugins.TorchCheckpointIO):  # type: ignore[name-defined]
    """Writes checkpoints whole or not at all, and reads nothing from them but tensors and plain values.

    Example:
        >>> WholeCheckpoints().load_checkpoint("/nowhere/last.ckpt")
        Traceback (most recent call last):
        ...
        FileNotFoundError: there is no checkpoint /nowhere/last.ckpt
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str, storage_options: Any = None) -> None:
        """Saves a checkpoint; a run that is killed meanwhile leaves the one before."""
        write_atomically(path, lambda name: torch.save(checkpoint, name))

    def load_checkpoint(self, path: str, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Loads a checkpoint.

        Raises:
            FileNotFoundError: If it is not there.
            ValueError: If it is damaged.
        """
        if not Path(path).exists():
            raise FileNotFoundError(f"there is no checkpoint {path}")
        try:
            return torch.load(path, map_location=map_location or "cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError) as error:
            raise ValueError(f"checkpoint {path} is damaged ({error}); delete it and train again") from error


class SeedEveryStep(callbacks.Callback):  # type: ignore[name-defined]
    """Makes the random numbers of a step depend on the seed and the step alone, so that a resumed run repeats them.

    Args:
        seed: The seed.

    Example:
        >>> SeedEveryStep(3).seed
        3
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int) -> None:
        """Seeds every generator."""
        torch.manual_seed(self.seed * 1_000_003 + trainer.global_step)
