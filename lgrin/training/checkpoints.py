"""Checkpoints that are whole, and steps that can be repeated."""

from pathlib import Path
from typing import Any

import torch
from torch.nn import Module
from torch_geometric.data import Data

from lgrin.checksum import load_tensors
from lgrin.extras import optional
from lgrin.files import write_atomically
from lgrin.training.schedule import name_schedule
from lgrin.training.structure import differences

with optional("train"):
    import lightning
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.plugins.io import TorchCheckpointIO

SETTINGS = "hyper_parameters"
FORMER_SETTINGS = ("hparams", "module_arguments")  # where Lightning looks, too
CODE = ("_instantiator", "_class_path")  # what Lightning takes for code to call


class WholeCheckpoints(TorchCheckpointIO):
    """Writes checkpoints whole or not at all, and reads nothing from them but tensors and plain values.

    Example:
        >>> WholeCheckpoints().load_checkpoint("/nowhere/last.ckpt")
        Traceback (most recent call last):
        ...
        FileNotFoundError: there is no checkpoint /nowhere/last.ckpt
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Saves a checkpoint; a run that is killed meanwhile leaves the one before."""
        write_atomically(path, lambda name: torch.save(checkpoint, name))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Loads a checkpoint.

        Raises:
            FileNotFoundError: If it is not there.
            ValueError: If it is damaged, of something else, or names code to call.
        """
        checkpoint: dict[str, Any] = load_tensors(path, "checkpoint", "give another, or train again")
        parts = [checkpoint.get(name) for name in ("state_dict", SETTINGS)] if isinstance(checkpoint, dict) else [None]
        if not all(isinstance(part, dict) for part in parts):
            raise ValueError(f"{path} is no checkpoint of lgrin.training.fit; give its checkpoints/best.ckpt")
        for name in (SETTINGS, *FORMER_SETTINGS):
            if code := [key for key in CODE if key in checkpoint.get(name, {})]:
                raise ValueError(
                    f"{path} names code to call, in its {code[0]!r}; lgrin writes no such entry: delete it"
                )
        return checkpoint


def restore(classifier: Module, path: str | Path) -> dict[str, Any]:
    """Gives a classifier the weights of a checkpoint.

    Args:
        classifier: The classifier that was trained.
        path: The checkpoint.

    Returns:
        What else the checkpoint holds.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is damaged.

    Example:
        >>> restore(None, "/nowhere/best.ckpt")
        Traceback (most recent call last):
        ...
        FileNotFoundError: there is no checkpoint /nowhere/best.ckpt
    """
    checkpoint = WholeCheckpoints().load_checkpoint(str(path))
    classifier.load_state_dict(checkpoint["state_dict"])
    return checkpoint


def write_classifier(classifier: LightningModule, path: str | Path) -> None:
    """Writes a classifier that was put together after training as a checkpoint, whole or not at all.

    Args:
        classifier: The :class:`lgrin.training.SequenceClassifier`.
        path: The file, which ``SequenceClassifier.load_from_checkpoint`` reads.

    Raises:
        OSError: If it cannot be written.

    Example:
        >>> import tempfile
        >>> from lgrin.training import SequenceClassifier
        >>> path = f"{tempfile.mkdtemp()}/model.ckpt"
        >>> network = {"in_channels": 2, "num_nodes": 3, "num_classes": 2}
        >>> write_classifier(SequenceClassifier(network, num_sequences=1), path)
        >>> SequenceClassifier.load_from_checkpoint(path).model.num_nodes
        3
    """
    content = {
        "state_dict": classifier.state_dict(),
        SETTINGS: dict(classifier.hparams),
        "pytorch-lightning_version": lightning.__version__,
    }
    classifier.on_save_checkpoint(content)
    WholeCheckpoints().save_checkpoint(content, path)


class SeedEveryStep(Callback):
    """Makes the random numbers of a step depend on seed, step and process alone, so that a resumed run repeats them.

    Args:
        seed: The seed.

    Example:
        >>> SeedEveryStep(3).seed
        3
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Data, batch_idx: int) -> None:
        """Seeds PyTorch's generators."""
        seed_step(self.seed, trainer.global_step, pl_module.device, trainer.global_rank)


def seed_step(seed: int, step: int, device: torch.device, rank: int = 0) -> None:
    """Seeds PyTorch's generators for a step of training.

    Args:
        seed: The seed of the run.
        step: Steps that were taken before.
        device: Where the step runs.
        rank: The number of the process.

    Example:
        >>> seed_step(3, 7, torch.device("cpu"))
        >>> first = torch.rand(1)
        >>> seed_step(3, 7, torch.device("cpu"))
        >>> bool(torch.rand(1) == first)
        True
    """
    seed = seed * 1_000_003 + step + rank * 2**40
    if device.type == "cpu":
        torch.default_generator.manual_seed(seed)  # torch.manual_seed takes a millisecond for absent devices
    else:
        torch.manual_seed(seed)


class SameRun(Callback):
    """Keeps in the checkpoint what a run was started with, so that it is not resumed as another run.

    Args:
        settings: Plain values by name.

    Example:
        >>> SameRun({"seed": 0}).state_dict()
        {'seed': 0}
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self.settings = settings

    def state_dict(self) -> dict[str, Any]:
        """Returns the settings."""
        return self.settings

    def check(self, checkpoint: dict[str, Any]) -> None:
        """Raises if a checkpoint was written by a run with other settings.

        Raises:
            ValueError: Naming the first that differs.
        """
        before = name_schedule(checkpoint["callbacks"].get(self.state_key, {}))
        if "network" in self.settings and "network" not in before:
            raise ValueError(
                "the run to resume was started by an older lgrin, which did not keep what its network is made of; "
                "resume it with that version, or start a new one in another folder"
            )
        parts = self.settings.get("network", {}), before.get("network", {})
        plain = ({key: value for key, value in one.items() if key != "network"} for one in (self.settings, before))
        for name, now, then in (*differences(*plain), *differences(*parts)):
            raise ValueError(
                f"{name} is {now!r}, but the run to resume was started with {then!r}; resume it with the same, or "
                f"start a new one in another folder"
            )


def has_stopped(checkpoint: dict[str, Any], patience: int) -> bool:
    """Says whether the run that wrote a checkpoint had stopped early.

    Args:
        checkpoint: The loaded checkpoint.
        patience: Epochs without improvement after which it stops.

    Returns:
        Whether it had.

    Example:
        >>> has_stopped({"callbacks": {"EarlyStopping": {"wait_count": 3}}}, patience=3)
        True
    """
    states = [state for key, state in checkpoint["callbacks"].items() if key.startswith("EarlyStopping")]
    return any(state["wait_count"] >= patience for state in states)
