"""One training run."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from lgrin.extras import optional
from lgrin.files import write_atomically
from lgrin.loader import SAMPLINGS, SHUFFLED, draw_batches
from lgrin.options import check_option, check_path, check_seed, check_whole
from lgrin.training.averaging import MovingAverage, check_decay
from lgrin.training.checkpoints import SameRun, SeedEveryStep, WholeCheckpoints, has_stopped
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.divergence import StopAtDivergence
from lgrin.training.hardware import check_device, split_device
from lgrin.training.memory import kept_memory
from lgrin.training.owner import sole_owner
from lgrin.training.quiet import quiet_lightning
from lgrin.training.reading import read_data
from lgrin.training.structure import make_up
from lgrin.training.threads import count_weights, threads_for

with optional("train"):
    from lightning import Trainer
    from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
    from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
    from lightning.pytorch.utilities import rank_zero_only


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
    devices: int = 1,
    hosts: int = 1,
    precision: str = "32-true",
    compile: bool | str = False,
    buckets: bool = False,
    sampling: str = SHUFFLED,
    resume: bool = False,
    resumable: bool = True,
    progress: bool = True,
    callbacks: Sequence[Callback] = (),
) -> Path:
    """Trains until the validation loss stops falling, or for all epochs, and keeps the best epoch and the last one.

    In ``out/checkpoints`` lie ``best.ckpt`` (the lowest validation loss; without validation the last epoch, once it has
    ended) and ``last.ckpt`` (what ``resume`` goes on from), in ``out/logs`` the losses as CSV and for
    TensorBoard. On a CPU, a run that was killed at any moment and resumed ends with the same bits as one that was not.

    With several devices or hosts each has a process of its own (DistributedDataParallel), which takes its part of
    every batch; batch norms share their statistics, so the processes together take the step that one would.
    ``docs/scaling.md`` has the commands.

    Sequences of data sets that name their classes are labelled by these names: as ``classes`` of the classifier numbers
    them, or ``train`` where it has none of its names.

    Args:
        classifier: The classifier; its normalisation is fitted here, on ``train``.
        train: Training sequences.
        validation: Sequences to stop by; never the test set. Without any, training goes through all epochs.
        out: Folder of the run.
        epochs: Passes over the training sequences at the most.
        batch_size: Sequences per step, of all processes together.
        patience: Epochs without a lower validation loss after which to stop.
        averaging: Decay per step of a :class:`MovingAverage` of the weights, which is what is validated and kept in
            ``state_dict``; 0 keeps the weights themselves.
        seed: Draws batches and dropout.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or another accelerator that Lightning knows, or one of several, such
            as ``"cuda:1"``.
        devices: Devices on each host, or processes where the device is the CPU.
        hosts: Machines; above 1 each has to be started by ``torchrun``.
        precision: As Lightning's trainer has it, for example ``"bf16-mixed"``; not ``"bf16-true"`` or ``"16-true"``.
        compile: Whether ``torch.compile`` makes one program of normalisation, model, loss and their gradient; a name
            is the mode, of which ``"reduce-overhead"`` uses CUDA graphs where batches have one shape.
        buckets: Whether sequences of similar length share a batch, see :class:`lgrin.loader.BucketSampler`.
        sampling: How batches are drawn: ``"shuffled"``, every sequence once an epoch, or ``"balanced"``, classes in
            equal shares, those of rare classes repeatedly, see :class:`lgrin.loader.BalancedSampler`.
        resume: Whether to go on from ``last.ckpt``; a run that has none starts from the beginning.
        resumable: Whether to write ``last.ckpt`` after every epoch; if not, short runs take a tenth less time, and
            those that are killed start again.
        progress: Whether to show a progress bar.
        callbacks: Further Lightning callbacks.

    Returns:
        The path of ``best.ckpt``.

    Raises:
        FileExistsError: If ``out`` holds a run already and ``resume`` is off, or another run is going on in it.
        FloatingPointError: If a loss, weight or statistic is not finite any more, with the step in which that happened.
        TypeError: If a label is no whole number.
        ValueError: If a sequence cannot be trained on, with its index and the reason, the batch cannot be shared
            evenly, there is no such device, or the run to resume was started with another network, other data or other
            settings (``epochs`` may grow, unless the schedule of the learning rate depends on them).

    Example:
        >>> import tempfile
        >>> from lgrin import LGrIN
        >>> data = [Data(x=torch.randn(5, 3) + i % 2, y=torch.tensor([i % 2])) for i in range(24)]
        >>> classifier = SequenceClassifier(LGrIN(3, 5, 2), num_sequences=20)
        >>> fit(classifier, data[:20], data[20:], tempfile.mkdtemp(), epochs=1, progress=False).name
        'best.ckpt'
    """
    epochs, batch_size = check_whole("epochs", epochs), check_whole("batch_size", batch_size)
    patience = check_whole("patience", patience)
    processes = check_whole("devices", devices) * check_whole("hosts", hosts)
    seed = check_seed("seed", seed)
    averaging = check_decay(averaging)
    check_option("sampling", sampling, SAMPLINGS)
    _check_hardware(device, processes, precision, batch_size)
    learned, held_out = read_data(classifier, train, validation)
    out = check_path("out", out)
    leads = processes == 1 or rank_zero_only.rank == 0  # type: ignore[attr-defined]
    with sole_owner(out) if leads else nullcontext(), quiet_lightning():
        last = out / "checkpoints" / "last.ckpt"
        best = last.with_name("best.ckpt")
        given: dict[str, Any] = {
            "seed": seed,
            "batch_size": batch_size,
            "patience": patience,
            "averaging": averaging,
        }
        given |= {"precision": precision, "buckets": buckets, "train": learned.digest, "validation": held_out.digest}
        given |= {} if sampling == SHUFFLED else {"sampling": sampling}
        run = SameRun({**given, **_settings(classifier, epochs)})
        if _is_done(last, run, resume, patience):
            return best
        stop = StopAtDivergence(classifier)
        average = [MovingAverage(averaging)] if averaging else []
        callbacks = [SeedEveryStep(seed), run, stop, *average, *callbacks]
        name, number = split_device(device)
        hardware = {"accelerator": name, "devices": devices, "num_nodes": hosts, "precision": precision}
        if number is not None and name != "cpu":
            hardware["devices"] = [number]
        callbacks += checkpoint_callbacks(out, patience if len(validation) else None, every=1 if resumable else epochs)
        trainer = _trainer(out, epochs, progress, callbacks, hardware, several=processes > 1)
        part = {"processes": trainer.world_size, "rank": trainer.global_rank}
        drawing: dict[str, Any] = {"buckets": buckets, "sampling": sampling, "labels": learned.labels, **part}
        batches = draw_batches(learned.lengths, batch_size // processes, seed, **drawing)
        nodes_of_step = batch_size // processes * sum(learned.lengths) / len(learned.lengths)
        work = 3 * count_weights(classifier.model) * nodes_of_step
        with _compiled(classifier, compile), threads_for(work), kept_memory():
            trainer.fit(
                classifier,
                DataLoader(_ByIndex(learned.sequences), batch_sampler=batches),
                DataLoader(_ByIndex(held_out.sequences), batch_size) if len(validation) else None,
                ckpt_path=str(last) if last.exists() else None,
            )
        stop.check(classifier, trainer.global_step)
        if not len(validation):
            if trainer.is_global_zero:
                write_atomically(best, lambda name: shutil.copyfile(last, name))
            trainer.strategy.barrier()  # no process reads it before it is there
        return best


class _ByIndex(Dataset[Data]):
    """Sequences that are asked for one by one.

    PyTorch would ask an ``OnDiskDataset`` of PyG for a whole batch, which it reads from the start of the file, whatever
    part of the data set was given.
    """

    def __init__(self, sequences: Sequence[Data]) -> None:
        self.sequences = sequences

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> Data:
        return self.sequences[index]


def _settings(classifier: SequenceClassifier, epochs: int) -> dict[str, Any]:
    """What a run depends on that the classifier says."""
    return {
        "epochs": epochs if classifier.schedule.depends_on_epochs else None,
        **{name: value for name, value in classifier.hparams.items() if name != "model"},
        "network": make_up(classifier),
    }


def _is_done(last: Path, run: SameRun, resume: bool, patience: int) -> bool:
    """Whether the run that a folder holds has stopped early; raises if it may not be gone on with.

    A run that was not to be resumed may have left ``best.ckpt`` alone, which another one would write over.
    """
    found = next((path for path in (last, last.with_name("best.ckpt")) if path.exists()), None)
    if found is None:
        return False
    if not resume:
        raise FileExistsError(
            f"{last.parent.parent} holds a run already; pass resume=True to go on with it, or another folder"
        )
    checkpoint = WholeCheckpoints().load_checkpoint(str(found))
    run.check(checkpoint)
    return found == last and has_stopped(checkpoint, patience)


def _check_hardware(device: str, processes: int, precision: str, batch_size: int) -> None:
    if batch_size % processes:
        raise ValueError(f"batch_size is {batch_size}, which {processes} processes cannot share; take a multiple of it")
    if precision.endswith("16-true"):
        raise ValueError(f"precision is {precision!r}, but the features stay float32; take bf16-mixed or 16-mixed")
    check_device(device)
    if processes > 1 and split_device(device)[1] is not None:
        raise ValueError(f"device is {device!r}, one device, but devices and hosts ask for {processes} processes")


@contextmanager
def _compiled(classifier: SequenceClassifier, mode: bool | str) -> Iterator[None]:
    """Compiles the training step of a classifier for a while."""
    if not mode:
        yield
        return
    step: Any = torch.compile(classifier.loss_of, mode=None if mode is True else mode)
    classifier.__dict__["loss_of"] = step
    try:
        yield
    finally:
        del classifier.__dict__["loss_of"]


def checkpoint_callbacks(out: Path, patience: int | None, every: int) -> list[Callback]:
    """Makes the callbacks that write checkpoints and, where there is validation, stop early.

    Args:
        out: Folder of the run.
        patience: Epochs without a lower validation loss after which to stop; ``None`` where nothing is validated.
        every: Epochs between two versions of ``last.ckpt``.

    Returns:
        Lightning's callbacks.

    Example:
        >>> [type(one).__name__ for one in checkpoint_callbacks(Path("runs"), patience=5, every=1)]
        ['EarlyStopping', 'ModelCheckpoint', 'ModelCheckpoint']
    """
    keeper = partial(ModelCheckpoint, out / "checkpoints", enable_version_counter=False, save_on_train_epoch_end=True)
    last = keeper(filename="last", every_n_epochs=every)
    if patience is None:
        return [last]
    stop = EarlyStopping("val_loss", patience=patience, check_on_train_epoch_end=True)
    return [stop, keeper(filename="best", monitor="val_loss"), last]


def _trainer(
    out: Path, epochs: int, progress: bool, callbacks: list[Callback], hardware: dict[str, Any], several: bool
) -> Trainer:
    logs = CSVLogger(str(out), name="logs")
    board = TensorBoardLogger(str(out), name="logs", version=logs.version)
    return Trainer(
        **hardware,
        strategy="ddp" if several else "auto",
        use_distributed_sampler=False,
        max_epochs=epochs,
        logger=[logs, board],
        callbacks=callbacks,
        plugins=[WholeCheckpoints()],
        enable_progress_bar=progress,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
    )
