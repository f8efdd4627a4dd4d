"""One training run on sequences that fit into memory, without files: what an estimator and a fold need.

It takes the steps that :func:`lgrin.training.fit` takes on one CPU, to the bit, without what Lightning does around a
step: loggers, callbacks, checkpoints, and devices that work together.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import chain
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Batch, Data
from tqdm import tqdm

from lgrin.loader import SHUFFLED, draw_batches
from lgrin.options import check_seed, check_whole
from lgrin.training.averaging import AveragedTensors, check_decay
from lgrin.training.checkpoints import seed_step
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.divergence import Divergence
from lgrin.training.flat import FlatAdamW
from lgrin.training.hardware import find_device
from lgrin.training.memory import kept_memory
from lgrin.training.reading import Reading, read_data
from lgrin.training.recorded import Recorder, repeats
from lgrin.training.threads import count_weights, threads_for


class Run(NamedTuple):
    """How a run went.

    Attributes:
        epoch: The epoch whose weights were kept, from 0.
        validation_loss: Its validation loss; ``None`` without validation.
        losses: The mean training loss of every epoch.
        seconds: How long it took.
    """

    epoch: int
    validation_loss: float | None
    losses: list[float]
    seconds: float


def fit_in_memory(
    classifier: SequenceClassifier,
    train: Sequence[Data],
    validation: Sequence[Data],
    *,
    epochs: int = 150,
    batch_size: int = 32,
    patience: int = 50,
    averaging: float = 0.0,
    seed: int = 0,
    device: str = "auto",
    progress: bool = False,
    sampling: str = SHUFFLED,
    read: tuple[Reading, Reading] | None = None,
) -> Run:
    """Trains as :func:`lgrin.training.fit` does, in memory, and leaves the weights that were to be kept.

    These are the weights of the epoch with the lowest validation loss, or of the last epoch where nothing is
    validated. The hooks of Lightning are not called. On one CPU all numbers are those of ``fit``, to the bit.

    Args:
        classifier: The classifier; its normalisation is fitted here, on ``train``. It is on the CPU afterwards.
        train: Training sequences.
        validation: Sequences to stop by; never the test set. Without any, training goes through all epochs.
        epochs: Passes over the training sequences at the most.
        batch_size: Sequences per step.
        patience: Epochs without a lower validation loss after which to stop.
        averaging: Decay per step of the average of the weights, see :class:`lgrin.training.MovingAverage`; 0 keeps the
            weights themselves.
        seed: Draws batches, dropout and changes.
        device: ``"auto"``, ``"cpu"``, ``"cuda"`` or another accelerator that PyTorch finds.
        progress: Whether to show one line with the time that is left, where the output is a terminal.
        sampling: How batches are drawn, see :func:`lgrin.training.fit`.
        read: What :func:`lgrin.training.reading.read_data` has returned of the same data; ``None`` reads them here.

    Returns:
        How the run went.

    Raises:
        FloatingPointError: If a loss, weight or statistic is not finite any more, with the step in which that happened.
        TypeError: If a label is no whole number.
        ValueError: If a sequence cannot be trained on, with its index and the reason, or an option is out of range.

    Example:
        >>> from lgrin import LGrIN
        >>> data = [Data(x=torch.randn(5, 3) + i % 2, y=torch.tensor([i % 2])) for i in range(24)]
        >>> run = fit_in_memory(SequenceClassifier(LGrIN(3, 5, 2), num_sequences=24), data, [], epochs=2)
        >>> run.epoch, len(run.losses)
        (1, 2)
    """
    start = time.perf_counter()
    epochs, batch_size = check_whole("epochs", epochs), check_whole("batch_size", batch_size)
    patience, seed = check_whole("patience", patience), check_seed("seed", seed)
    averaging, place = check_decay(averaging), find_device(device)
    learned, held_out = read or read_data(classifier, train, validation)
    loop = Loop(classifier.to(place), Sequences(learned.sequences, place), epochs, batch_size, averaging, seed)
    batches = draw_batches(learned.lengths, batch_size, seed, sampling=sampling, labels=learned.labels)
    validated = Sequences(held_out.sequences, place) if len(validation) else None
    kept, kept_epoch, lowest = loop.average.average, epochs - 1, None
    nodes_of_step = batch_size * sum(learned.lengths) / len(learned.lengths)
    with (
        threads_for(3 * count_weights(classifier.model) * nodes_of_step),
        kept_memory(),
        closing(loop.optimizer),
        tqdm(total=epochs, unit="epoch", disable=None if progress else True) as bar,
    ):
        for epoch in range(epochs):
            bar.set_description(f"Epoch {epoch + 1}", refresh=epoch == 0)
            batches.sampler.set_epoch(epoch)
            loop.run_epoch(batches)
            bar.update()
            if validated is None:
                continue
            loss = loop.validate(validated)
            if lowest is None or loss < lowest:
                kept, kept_epoch, lowest = loop.average.values(), epoch, loss
            elif epoch - kept_epoch >= patience:
                break
        loop.average.exchange(kept)
    loop.divergence.check(classifier.cpu(), loop.step)
    return Run(kept_epoch, lowest, [float(loss) for loss in loop.losses], time.perf_counter() - start)


class Sequences:
    """Sequences in memory, of which batches are taken by index.

    Args:
        sequences: With ``x``, ``y [1]``, and perhaps ``frame``, ``mask`` and ``weight [1]``.
        device: Where they are kept.

    Attributes:
        are_alike: Whether all have one length.

    Example:
        >>> data = [Data(x=torch.full((2, 1), float(i)), y=torch.tensor([i])) for i in range(3)]
        >>> target, inputs = Sequences(data, torch.device("cpu")).batch([2, 0])
        >>> target.tolist(), inputs["x"].flatten().tolist(), inputs["batch"].tolist()
        ([2, 0], [2.0, 2.0, 0.0, 0.0], [0, 0, 1, 1])
    """

    def __init__(self, sequences: Sequence[Data], device: torch.device) -> None:
        self.data = [sequences[index] for index in range(len(sequences))]
        self.device = device
        self.target = torch.cat([data.y for data in self.data]).to(device)
        self.lengths = torch.tensor([data.num_nodes for data in self.data], device=device)
        self.are_alike = bool((self.lengths == self.lengths[0]).all())
        self._batches: dict[int, Tensor] = {}
        names = [name for name in ("x", "frame", "mask") if self.data[0].get(name) is not None]
        self.parts: dict[str, Any] = {name: [data[name].to(device) for data in self.data] for name in names}
        if self.are_alike:
            self.parts = {name: torch.stack(part) for name, part in self.parts.items()}
        weights = [data.get("weight") for data in self.data]
        self.weight = None if weights[0] is None else torch.cat(weights).to(device)

    def __len__(self) -> int:
        return len(self.data)

    def place(self, index: list[int]) -> Tensor:
        """Takes the numbers of a batch's sequences to the device, int64 ``[B]``, without waiting for it."""
        which = torch.tensor(index)
        return which.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else which

    def weights(self, which: Tensor) -> Tensor | None:
        """What the sequences of a batch count, ``[B]``; ``None`` where all count alike."""
        return None if self.weight is None else self.weight[which]

    def batch(self, index: list[int], which: Tensor | None = None) -> tuple[Tensor, dict[str, Any]]:
        """Takes a batch.

        Args:
            index: Which sequences.
            which: The same on the device, from :meth:`place`, if it is there already; sequences of one length are taken
                by it alone.

        Returns:
            Their classes ``[B]``, and the arguments of a model by name, the nodes one sequence after the other.
        """
        which = self.place(index) if which is None else which
        inputs: dict[str, Any] = {"x": None, "frame": None, "batch": None, "mask": None, "batch_size": len(which)}
        for name, part in self.parts.items():
            one_length = isinstance(part, Tensor)
            inputs[name] = part[which].flatten(0, 1) if one_length else torch.cat([part[one] for one in index])
        inputs["batch"] = self._sequence_of_nodes(which, len(inputs["x"]))
        return self.target[which], inputs

    def _sequence_of_nodes(self, which: Tensor, num_nodes: int) -> Tensor:
        """Says which sequence of a batch each node belongs to; made once where all have one length."""
        known = self._batches.get(len(which))
        if known is None:
            order = torch.arange(len(which), device=self.device)
            known = order.repeat_interleave(self.lengths[which], output_size=num_nodes)
            if self.are_alike:
                self._batches[len(which)] = known
        return known


class Loop:
    """The steps of a run, and what they leave: the average of the weights, and losses.

    Args:
        classifier: The classifier, on the device where it is trained.
        sequences: The training sequences.
        epochs: Passes over them.
        batch_size: Sequences per step.
        averaging: Decay per step of the average of the weights.
        seed: Draws dropout and changes.

    Attributes:
        average: The average of the weights and statistics.
        step: Steps that were taken.
        losses: The mean loss of each epoch.

    Example:
        >>> from lgrin import LGrIN
        >>> data = [Data(x=torch.randn(5, 3) + i % 2, y=torch.tensor([i % 2])) for i in range(4)]
        >>> classifier = SequenceClassifier(LGrIN(3, 5, 2), num_sequences=4)
        >>> loop = Loop(classifier, Sequences(data, torch.device("cpu")), epochs=1, batch_size=2, averaging=0.0, seed=0)
        >>> loop.run_epoch([[0, 3], [1, 2]])
        >>> loop.step, len(loop.losses)
        (2, 1)
    """

    def __init__(
        self,
        classifier: SequenceClassifier,
        sequences: Sequences,
        epochs: int,
        batch_size: int,
        averaging: float,
        seed: int,
    ) -> None:
        self.classifier, self.sequences, self.batch_size, self.seed = classifier, sequences, batch_size, seed
        steps = epochs * -(-len(sequences) // batch_size)
        self.optimizer: Any
        self.optimizer, rates = classifier.make_optimizer(lambda: steps, FlatAdamW)
        scheduler: Any = rates["scheduler"] if isinstance(rates, dict) else rates
        by_step = isinstance(rates, dict) and rates.get("interval") == "step"
        self.after_step: Any = scheduler if by_step else None
        self.after_epoch: Any = None if by_step else scheduler
        self.average = AveragedTensors(chain(classifier.parameters(), classifier.buffers()), averaging)
        self.divergence = Divergence(classifier)
        self.divergence.look_up(classifier)
        self.recorder = Recorder(self._compute, self._may_record)
        self.step = 0
        self.losses: list[Tensor] = []

    def run_epoch(self, batches: Iterable[list[int]]) -> None:
        """Takes the steps of one epoch.

        Args:
            batches: The sequences of each batch by index.

        Raises:
            FloatingPointError: If a loss, weight or statistic is not finite any more, with the step.
        """
        total: Any = 0.0
        for index in batches:
            total = total + self.take_step(index) * len(index)
        self.divergence.read(self.classifier, self.step, len(self.losses))
        self.losses.append(total / len(self.sequences))
        if self.after_epoch is not None:
            self.after_epoch.step()

    @torch.enable_grad()
    def take_step(self, index: list[int]) -> Tensor:
        """Takes the step of one batch, and returns its loss."""
        seed_step(self.seed, self.step, self.sequences.device)
        if len(index) == 1:
            self.classifier.check_lone(Batch.from_data_list([self.sequences.data[index[0]]]))
        self.optimizer.set_rate()
        self.average.set_decay()
        loss, *both = self.recorder(self.sequences.place(index), index)
        if self.after_step is not None:
            self.after_step.step()
        self.step += 1
        self.divergence.note(self.classifier, (both[0], both[1]), self.step, len(self.losses))
        return loss

    def _may_record(self) -> bool:
        """Whether steps of one size differ by the sequences alone, and by numbers that lie on the device."""
        return self.sequences.are_alike and self.optimizer.moves_together and repeats(self.classifier.model)

    def _compute(self, which: Tensor, index: list[int]) -> tuple[Tensor, ...]:
        """What the device computes in a step: the loss, and what tells whether all is finite."""
        loss = self.classifier.loss_of(*self.sequences.batch(index, which), self.sequences.weights(which))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.average.move()
        return loss.detach(), *self.divergence.measure(loss)

    @torch.no_grad()
    def validate(self, sequences: Sequences) -> float:
        """Measures the mean cross-entropy of the averaged weights on other sequences."""
        trained = self.average.exchange(self.average.average) if self.average.decay else None
        total: Any = 0.0
        with _evaluating(self.classifier):
            for start in range(0, len(sequences), self.batch_size):
                index = list(range(start, min(start + self.batch_size, len(sequences))))
                target, inputs = sequences.batch(index)
                logits = self.classifier.logits_of(inputs)
                total = total + torch.nn.functional.cross_entropy(logits, target) * len(index)
        loss = total / len(sequences)
        self.divergence.check_validation(self.classifier, loss, self.step)
        if trained is not None:
            self.average.exchange(trained)
        return float(loss)


@contextmanager
def _evaluating(module: Module) -> Iterator[None]:
    """Puts a module into evaluation mode, and each of its parts back into its own mode afterwards."""
    modes = [(one, one.training) for one in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for one, mode in modes:
            one.training = mode
