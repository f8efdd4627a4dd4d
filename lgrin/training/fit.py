"""One training run."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import DistributedSampler
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from lgrin import validate
from lgrin.extras import require
from lgrin.options import check_whole
from lgrin.training.averaging import MovingAverage
from lgrin.training.checkpoints import SameRun, SeedEveryStep, WholeCheckpoints, has_stopped
from lgrin.training.classifier import SequenceClassifier

lightning = require("lightning", extra="train")
callbacks_of = require("lightning.pytorch.callbacks", extra="train")
loggers = require("lightning.pytorch.loggers", extra="train")


def fit(
    classifier: SequenceClassifier,
    train: Sequence[Data],
    validation: Sequence[Data],
    out: str | Path,
    *,
    epochs: int = 150,
    batch_size: int = 32,
    patience: int = 50,
    averaging: float = 0.0,
    seed: int = 0,
    device: str = "auto",
    resume: bool = False,
    progress: bool = True,
    callbacks: Sequence[Any] = (),
) -> Path:
    """Trains until the validation loss stops falling, and keeps the best epoch and the last one.

    In ``out/checkpoints`` lie ``best.ckpt`` (lowest validation loss) and ``last.ckpt`` (what ``resume`` goes on
    from), in ``out/logs`` the losses as CSV and for TensorBoard. On a CPU, a run that was killed at any moment and
    resumed ends with the same bits as one that was not.

    Args:
        classifier: The classifier; its normalisation is fitted here, on ``train``.
        train: Training sequences.
        validation: Sequences to stop by; never the test set.
        out: Folder of the run.
        epochs: Passes over the training sequences at the most.
        batch_size: Sequences per step.
        patience: Epochs without a lower validation loss after which to stop.
        averaging: Decay per step of a :class:`MovingAverage` of the weights, which is what is validated and kept in
            ``state_dict``; 0 keeps the weights themselves.
        seed: Draws batches and dropout.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or another accelerator that Lightning knows.
        resume: Whether to go on from ``last.ckpt``; a run that has none starts from the beginning.
        progress: Whether to show a progress bar.
        callbacks: Further Lightning callbacks.

    Returns:
        The path of ``best.ckpt``.

    Raises:
        FileExistsError: If ``out`` holds a run already and ``resume`` is off.
        TypeError: If a label is no whole number.
        ValueError: If a sequence cannot be trained on, with its index and the reason, or the run to resume was started
            with other data or settings (``epochs`` may grow).
    """
    epochs, batch_size = check_whole("epochs", epochs), check_whole("batch_size", batch_size)
    patience = check_whole("patience", patience)
    if not 0 <= averaging < 1:
        raise ValueError(f"averaging is {averaging}; a decay lies between 0 (off) and 1, which it may not reach")
    model = classifier.model
    for sequences in (train, validation):
        validate.dataset(sequences, model.num_nodes, model.num_classes, model.in_channels)
    last = Path(out) / "checkpoints" / "last.ckpt"
    if last.exists() and not resume:
        raise FileExistsError(f"{out} holds a run already; pass resume=True to go on with it, or another folder")
    run = SameRun(
        {
            "seed": seed,
            "batch_size": batch_size,
            "patience": patience,
            "averaging": float(averaging),
            "train": _digest(train),
            "validation": _digest(validation),
            **{name: value for name, value in classifier.hparams.items() if name != "model"},
        }
    )
    if last.exists():
        checkpoint = WholeCheckpoints().load_checkpoint(str(last))
        run.check(checkpoint)
        if has_stopped(checkpoint, patience):
            return last.with_name("best.ckpt")
    classifier.fit_normalization(train)
    average = [MovingAverage(averaging)] if averaging else []
    callbacks = [SeedEveryStep(seed), run, *average, *callbacks]
    trainer = _trainer(Path(out), epochs, patience, device, progress, callbacks)
    order: Any = range(len(train))
    sampler: Any = DistributedSampler(order, num_replicas=1, rank=0, shuffle=True, seed=seed)  # by seed and epoch
    trainer.fit(
        classifier,
        DataLoader(train, batch_size, sampler=sampler),
        DataLoader(validation, batch_size),
        ckpt_path=str(last) if last.exists() else None,
    )
    return last.with_name("best.ckpt")


def _digest(sequences: Sequence[Data]) -> str:
    """A short name for exactly these sequences."""
    content = hashlib.sha256()
    for data in sequences:
        for value in (data.x, data.y, data.get("frame"), data.get("mask")):
            content.update(b"none" if value is None else value.contiguous().numpy().tobytes())
    return content.hexdigest()[:12]


def _trainer(out: Path, epochs: int, patience: int, device: str, progress: bool, callbacks: list[Any]):
    logs = loggers.CSVLogger(str(out), name="logs")
    board = loggers.TensorBoardLogger(str(out), name="logs", version=logs.version)
    keep = {"dirpath": out / "checkpoints", "enable_version_counter": False, "save_on_train_epoch_end": True}
    callbacks = [
        *callbacks,
        callbacks_of.EarlyStopping("val_loss", patience=patience, check_on_train_epoch_end=True),
        callbacks_of.ModelCheckpoint(filename="best", monitor="val_loss", **keep),
        callbacks_of.ModelCheckpoint(filename="last", **keep),
    ]
    return lightning.Trainer(
        accelerator={"cuda": "gpu"}.get(device, device),
        devices=1,
        max_epochs=epochs,
        logger=[logs, board],
        callbacks=callbacks,
        plugins=[WholeCheckpoints()],
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
