"""The end of a run whose numbers are none any more."""

from collections.abc import Mapping
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


class StopAtDivergence(Callback):
    """Stops training at the first step whose loss, or a weight or statistic after it, is not finite.

    A step costs one sum over all weights. Accelerators are read every 16 steps and at the end of an epoch; the error
    names the step in which it happened either way.

    Args:
        classifier: The classifier before training; what is not finite in it by intention, such as a mask of minus
            infinity, is not watched.

    Raises:
        FloatingPointError: From the hooks, with the step, what is not finite, and what to lower.

    Example:
        >>> StopAtDivergence(torch.nn.Linear(2, 1)).names
        ('weight', 'bias')
    """

    def __init__(self, classifier: torch.nn.Module) -> None:
        self.names = tuple(name for name, tensor in _floating(classifier).items() if bool(tensor.isfinite().all()))
        self.watched: list[Tensor] = []
        self.finite: list[Tensor] = []

    @torch.no_grad()
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks up the tensors to watch."""
        tensors = _floating(pl_module)
        self.watched = [tensors[name].view(-1) for name in self.names if name in tensors]

    @torch.no_grad()
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: STEP_OUTPUT, batch: Data, batch_idx: int
    ) -> None:
        """Notes whether a step left everything finite."""
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        total = torch.cat(self.watched).sum()
        loss = total if loss is None else loss.detach()
        self.finite.append(torch.stack((total.isfinite(), loss.isfinite())))
        if pl_module.device.type == "cpu" or len(self.finite) >= BETWEEN_READS:
            self._read(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reads what was noted, before a checkpoint is written."""
        self._read(trainer, pl_module)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Looks at the validation loss, which the averaged weights have."""
        loss = trainer.callback_metrics.get("val_loss")
        if loss is not None and not bool(loss.isfinite()):
            _stop(pl_module, f"the validation loss is {float(loss)} after step {trainer.global_step}")

    def check(self, classifier: LightningModule, step: int) -> None:
        """Raises unless the weights that a run keeps are finite, the averaged ones where it averages."""
        if name := self._not_finite(classifier):
            _stop(classifier, f"{name} is not finite in what is kept after step {step}")

    def _read(self, trainer: Trainer, pl_module: LightningModule) -> None:
        steps = torch.stack(self.finite).tolist() if self.finite else []
        self.finite = []
        for index, (weights, loss) in enumerate(steps):
            step = f"step {trainer.global_step - len(steps) + index + 1} (epoch {trainer.current_epoch})"
            if not loss:
                _stop(pl_module, f"the loss of {step} is not finite")
            if not weights and (name := self._not_finite(pl_module)):  # a sum of finite numbers may overflow, too
                _stop(pl_module, f"{name} is not finite after {step}")

    def _not_finite(self, module: LightningModule) -> str | None:
        tensors = _floating(module)
        return next((one for one in self.names if one in tensors and not bool(tensors[one].isfinite().all())), None)


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
