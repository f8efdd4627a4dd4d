"""The end of a run whose numbers are none any more."""

from collections.abc import Mapping
from math import isfinite
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch_geometric.data import Data

from lgrin.extras import optional
from lgrin.training.recipes.recommended import RECOMMENDED

with optional("train"):
    from lightning.pytorch import LightningModule, Trainer
    from lightning.pytorch.callbacks import Callback
    from lightning.pytorch.utilities.types import STEP_OUTPUT

BETWEEN_READS = 16  # steps on an accelerator, which waits for every number that is read from it


class Divergence:
    """Notes after every step whether its loss, and the weights and statistics after it, are finite.

    A step costs one sum over all weights. Accelerators are read every 16 steps and when :meth:`read` is called; the
    error names the step in which it happened either way.

    Args:
        classifier: The classifier before training; what is not finite in it by intention, such as a mask of minus
            infinity, is not watched.

    Attributes:
        names: The weights and statistics that are watched.

    Example:
        >>> Divergence(torch.nn.Linear(2, 1)).names
        ('weight', 'bias')
    """

    def __init__(self, classifier: torch.nn.Module) -> None:
        self.names = tuple(name for name, tensor in _floating(classifier).items() if bool(tensor.isfinite().all()))
        self._watched: list[Tensor] = []
        self._finite: list[Tensor] = []

    def look_up(self, classifier: torch.nn.Module) -> None:
        """Looks up the tensors to watch."""
        tensors = _floating(classifier)
        self._watched = [tensors[name].view(-1) for name in self.names if name in tensors]

    @torch.no_grad()
    def measure(self, loss: Tensor | None) -> tuple[Tensor, Tensor]:
        """Adds up what is watched after a step.

        Args:
            loss: The loss of the step; ``None`` where it is unknown.

        Returns:
            The sum, and the loss: finite where everything is.
        """
        total = torch.cat(self._watched).sum()
        return total, total if loss is None else loss.detach().to(total.dtype)

    def note(self, classifier: LightningModule, both: tuple[Tensor, Tensor], step: int, epoch: int) -> None:
        """Notes whether a step left everything finite.

        Args:
            classifier: The classifier.
            both: What :meth:`measure` gave after the step.
            step: Steps that were taken so far.
            epoch: The epoch, from 0.

        Raises:
            FloatingPointError: If it did not, with the step, what is not finite, and what to lower.
        """
        if both[0].device.type == "cpu":
            self._look(classifier, isfinite(both[0].item()), isfinite(both[1].item()), step, epoch)
            return
        self._finite.append(torch.stack(both).isfinite())
        if len(self._finite) >= BETWEEN_READS:
            self.read(classifier, step, epoch)

    def read(self, classifier: LightningModule, step: int, epoch: int) -> None:
        """Raises if a step that was noted did not leave everything finite; see :meth:`note`."""
        steps = torch.stack(self._finite).tolist() if self._finite else []
        self._finite = []
        for index, (weights, loss) in enumerate(steps):
            self._look(classifier, weights, loss, step - len(steps) + index + 1, epoch)

    def check_validation(self, classifier: LightningModule, loss: Tensor, step: int) -> None:
        """Raises unless a validation loss is finite, which the averaged weights have."""
        if not bool(loss.isfinite()):
            _stop(classifier, f"the validation loss is {float(loss)} after step {step}")

    def check(self, classifier: LightningModule, step: int) -> None:
        """Raises unless the weights that a run keeps are finite, the averaged ones where it averages."""
        if name := self._not_finite(classifier):
            _stop(classifier, f"{name} is not finite in what is kept after step {step}")

    def _look(self, classifier: LightningModule, weights: bool, loss: bool, step: int, epoch: int) -> None:
        """Raises if a step did not leave the sum of the weights and the loss finite."""
        if not loss:
            _stop(classifier, f"the loss of step {step} (epoch {epoch}) is not finite")
        if not weights and (name := self._not_finite(classifier)):  # a sum of finite numbers may overflow, too
            _stop(classifier, f"{name} is not finite after step {step} (epoch {epoch})")

    def _not_finite(self, module: LightningModule) -> str | None:
        tensors = _floating(module)
        return next((one for one in self.names if one in tensors and not bool(tensors[one].isfinite().all())), None)


class StopAtDivergence(Callback):
    """Stops training at the first step whose loss, or a weight or statistic after it, is not finite.

    Args:
        classifier: The classifier before training, see :class:`Divergence`.

    Raises:
        FloatingPointError: From the hooks, with the step, what is not finite, and what to lower.

    Example:
        >>> StopAtDivergence(torch.nn.Linear(2, 1)).divergence.names
        ('weight', 'bias')
    """

    def __init__(self, classifier: torch.nn.Module) -> None:
        self.divergence = Divergence(classifier)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks up the tensors to watch."""
        self.divergence.look_up(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: STEP_OUTPUT, batch: Data, batch_idx: int
    ) -> None:
        """Notes whether a step left everything finite."""
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        both = self.divergence.measure(loss)
        self.divergence.note(pl_module, both, trainer.global_step, trainer.current_epoch)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reads what was noted, before a checkpoint is written."""
        self.divergence.read(pl_module, trainer.global_step, trainer.current_epoch)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the validation loss, which the averaged weights have."""
        if (loss := trainer.callback_metrics.get("val_loss")) is not None:
            self.divergence.check_validation(pl_module, loss, trainer.global_step)

    def check(self, classifier: LightningModule, step: int) -> None:
        """Raises unless the weights that a run keeps are finite, the averaged ones where it averages."""
        self.divergence.check(classifier, step)


def _floating(module: torch.nn.Module) -> dict[str, Tensor]:
    """The weights and statistics of a module by name."""
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {
        name: tensor.detach()
        for name, tensor in tensors.items()
        if tensor.is_floating_point() and not torch.nn.parameter.is_lazy(tensor)
    }


def _stop(classifier: LightningModule, what: str) -> NoReturn:
    given, usual = _flat(classifier.hparams), _flat(RECOMMENDED.options)
    first, *others = sorted(usual, key=lambda name: -given[name] / usual[name])
    raise FloatingPointError(
        f"training diverged: {what}; lower {first}, which is {given[first]:g} ({usual[first]:g} is recommended). If "
        f"that does not help, lower {', '.join(f'{name}={given[name]:g}' for name in others)} or the weights in "
        f"loss={classifier.hparams['loss']}, and look for features that are far from all others"
    )


def _flat(settings: Mapping[str, Any]) -> dict[str, float]:
    """What is lowered against divergence, by name."""
    return {
        "lr": settings["lr"],
        "weight_decay": settings["weight_decay"],
        "shift": settings["augment"].get("shift", 0),
    }
