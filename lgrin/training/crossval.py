"""Models that are trained and tested on every fold of a protocol, in parallel, each result a file of its own."""

import hashlib
import itertools
import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import Module
from torch_geometric.data import Data
from tqdm import tqdm

from lgrin.checksum import read_if_whole, read_kept
from lgrin.options import check_path, check_whole
from lgrin.parallel import run_jobs
from lgrin.text import file_name
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.experiment import RECIPE, draw
from lgrin.training.generators import own_random_numbers
from lgrin.training.loop import fit_in_memory
from lgrin.training.names import names_of_labels, relabel
from lgrin.training.protocols import Fold
from lgrin.training.reading import bytes_of, digest
from lgrin.training.recipe import Plan, Recipe
from lgrin.training.recipes import find_recipe
from lgrin.training.results import evaluate, read_checked_results, write_checked_results
from lgrin.training.structure import plain, structure
from lgrin.transforms import Resample


class Candidate(NamedTuple):
    """A model to be tested, and what may be tuned of its training.

    Attributes:
        name: What tables call it.
        build: Called with features P, frames M and classes C after the random numbers were seeded.
        options: Arguments of :class:`SequenceClassifier` that differ from the recipe of the comparison.
        space: For arguments of :class:`SequenceClassifier` the values to choose from.
        choose: Called with the training sequences of each fold; returns keywords for ``build`` there, as
            :func:`lgrin.training.recommended` or ``choose`` of another recipe does.

    Example:
        >>> from lgrin.baselines import BLSTM
        >>> Candidate("BLSTM", BLSTM, options={"weight_decay": 0.0}, space={"lr": [0.01, 0.003]}).name
        'BLSTM'
    """

    name: str
    build: Callable[..., Module]
    options: Mapping[str, Any] = {}
    space: Mapping[str, Sequence[object]] = {}
    choose: Callable[[Sequence[Data]], Mapping[str, Any]] | None = None

    def settings(self, budget: int, seed: int) -> list[dict[str, Any]]:
        """Draws that many different settings; the first is the recommended one.

        Example:
            >>> Candidate("any", Module, space={"lr": [0.01, 0.003]}).settings(budget=3, seed=0)
            [{}, {'lr': 0.003}, {'lr': 0.01}]
        """
        grid = [dict(zip(self.space, values, strict=True)) for values in itertools.product(*self.space.values())]
        drawn = random.Random(seed).sample(grid, len(grid)) if self.space else []
        return [{}, *drawn][:budget]


class Training(NamedTuple):
    """How every candidate of a comparison is trained.

    Attributes:
        num_nodes: Frames per sequence, M, which the sequences have already. ``None`` takes sequences at their own
            lengths and stretches them to as many frames as the recipe decides inside each training fold.
        classes: Names of the classes.
        epochs: Passes over the training sequences at the most; ``None`` as the recipe decides inside each fold.
        patience: Epochs without a lower validation loss after which to stop.
        batch_size: Sequences per step; ``None`` as the recipe has it.
        budget: Settings that are tried of each candidate; the one with the lowest validation loss is tested.
        refit: Whether to train anew on training and validation sequences together, for all epochs, once a setting has
            been chosen; a single setting is trained like this at once.
        recipe: The recipe of all, by name or as such, or arguments of :class:`SequenceClassifier` that replace those
            of the recommended one. The recommended recipe belongs with ``refit=True`` and ``epochs=None``.

    Example:
        >>> training = Training(None, ["calm", "glad"], epochs=None, refit=True, recipe="recommended")
        >>> data = [Data(x=torch.randn(20 + i, 3), y=torch.tensor([i % 2])) for i in range(24)]
        >>> plan = training.plan(data)
        >>> plan.num_nodes, plan.epochs
        (43, 600)
    """

    num_nodes: int | None
    classes: Sequence[str]
    epochs: int | None = 150
    patience: int = 50
    batch_size: int | None = 32
    budget: int = 1
    refit: bool = False
    recipe: Mapping[str, Any] | str | Recipe = RECIPE

    def plan(self, train: Sequence[Data]) -> Plan:
        """Decides by the training sequences of a fold what is left to the recipe."""
        return find_recipe(self.recipe).plan(
            train, len(self.classes), num_nodes=self.num_nodes, epochs=self.epochs, batch_size=self.batch_size
        )

    def of_one_length(self, sequences: list[Data], num_nodes: int | None) -> list[Data]:
        """Stretches sequences to so many frames, unless they have one length already or may have any."""
        if self.num_nodes is not None or num_nodes is None:
            return sequences
        resample = Resample(num_nodes, find_recipe(self.recipe).thin)
        return [resample(data) for data in sequences]


def cross_validate(
    candidate: Candidate,
    sequences: Sequence[Data],
    folds: Sequence[Fold],
    training: Training,
    out: str | Path,
    *,
    seeds: Sequence[int] = (0,),
    variants: Mapping[str, Callable[[Data], Data]] | None = None,
    workers: int | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Trains a candidate on every fold with every seed and tests it.

    Every run leaves ``<fold>-seed<seed>-<digest>.json`` in ``out``; the digest stands for the data, the fold and all
    settings, so runs that are done are not repeated and never mistaken for others. A result that was damaged since is
    made again, with a warning.

    Args:
        candidate: What to train.
        sequences: The sequences, their lengths fixed, or at their own lengths under ``Training(num_nodes=None, ...)``.
        folds: Which are trained on, stopped by and tested; see :func:`lgrin.training.folds`.
        training: How.
        out: Folder for the results.
        seeds: Each draws weights, batches and settings anew.
        variants: Further test sets, each a name that says all about it and what it does to a copy of a test sequence.
        workers: Runs at a time. 1 takes none beside this process. ``None`` takes one per core, or leaves the number to
            ``joblib.parallel_config``, whose backend may be other machines that see the folder ``out``.
        progress: Whether to show a progress bar.

    Returns:
        What the files hold, fold by fold for the first seed, then for the next: ``fold``, ``seed``, ``target``,
        ``predicted``, ``cross_entropy``, ``variants`` (what was predicted of each), ``group``, ``epoch``, ``setting``,
        ``validation_loss`` (``None`` without validation), ``parameters`` (those that are trained), ``weights`` (a
        digest), ``seconds`` (of its training), ``versions``.

    Raises:
        FloatingPointError: If a run diverges, with its fold and seed and the step, see :func:`fit`.
        ValueError: If a sequence cannot be trained on, with its index and the reason.

    Example:
        >>> from lgrin import LGrIN
        >>> from lgrin.training import folds
        >>> data = [Data(x=torch.randn(4, 2) + i % 2, y=torch.tensor([i % 2])) for i in range(20)]
        >>> training = Training(num_nodes=4, classes=["a", "b"], epochs=1)
        >>> import tempfile
        >>> out = tempfile.mkdtemp()
        >>> runs = cross_validate(Candidate("L-GrIN", LGrIN), data, folds("paper", data), training, out, progress=False)
        >>> len(runs), sorted(runs[0])[:4]
        (5, ['cross_entropy', 'epoch', 'fold', 'group'])
    """
    if workers is not None:
        check_whole("workers", workers)
    out = check_path("out", out).absolute()
    sequences = relabel(sequences, names_of_labels(sequences, training.classes), "sequences")
    data = [sequences[index] for index in range(len(sequences))]
    more = dict(variants or {})
    groups = [None if one.get("group") is None else int(one.group) for one in data]
    content = [digest(data), groups]
    jobs = [_Job(candidate, data, fold, training, seed, more).named(out, content) for seed in seeds for fold in folds]
    done = read_kept([job.path for job in jobs], read_checked_results, "results of folds")
    results = {index: done[job.path] for index, job in enumerate(jobs) if job.path in done}
    todo = [(index, job) for index, job in enumerate(jobs) if index not in results]
    with tqdm(total=len(jobs), initial=len(results), desc=candidate.name, unit="run", disable=not progress) as bar:
        alone = workers == 1 or len(todo) < 2
        for index, result in run_jobs(_run if alone else _run_in_parallel, todo, workers, extra="train"):
            results[index] = result
            bar.update()
    return [results[index] for index in range(len(jobs))]


class _Job(NamedTuple):
    candidate: Candidate
    sequences: list[Data]
    fold: Fold
    training: Training
    seed: int
    variants: dict[str, Callable[[Data], Data]]
    path: Path = Path()

    def named(self, out: Path, content: Sequence[object]) -> "_Job":
        """The same with the file of its result, named after the sequences' content and all else that it depends on."""
        train = [self.sequences[index] for index in (*self.fold.train, *self.fold.validation)]
        plan = self.training.plan(train)
        model = self.build(train, plan.num_nodes)
        options = {**plan.options, **self.candidate.options}
        start = [bytes_of(tensor) for tensor in model.state_dict().values()]  # tells starts and given graphs apart
        network = [structure(model), hashlib.sha256(b"".join(start)).hexdigest(), plan.averaging]
        candidate = [self.candidate.name, options, dict(self.candidate.space), plain(self.candidate.choose), network]
        data = [self.fold, *content, list(self.variants)]
        training = {**self.training._asdict(), "recipe": plain(vars(find_recipe(self.training.recipe)))}
        text = json.dumps([candidate, data, training, self.seed], default=str)
        short = hashlib.sha256(text.encode()).hexdigest()[:12]
        return self._replace(path=out / f"{file_name(self.fold.name)}-seed{self.seed}-{short}.json")

    def build(self, train: Sequence[Data], num_nodes: int | None) -> Module:
        """Draws the candidate's weights, its keywords chosen by what it is trained on."""
        choose = self.candidate.choose
        keywords = {} if choose is None else choose(train)
        size = self.sequences[0].x.size(1), num_nodes, len(self.training.classes)
        return draw(self.candidate.build, *size, seed=self.seed, **keywords)


def _run_in_parallel(index: int, job: _Job) -> tuple[int, dict[str, Any]]:
    """Runs a job on one thread, in its turn if others run in threads of this process."""
    threads = torch.get_num_threads()
    with own_random_numbers():
        torch.set_num_threads(1)
        try:
            return _run(index, job)
        finally:
            torch.set_num_threads(threads)


def _run(index: int, job: _Job) -> tuple[int, dict[str, Any]]:
    """Tries the settings on the validation sequences and tests the best of them."""
    if (kept := read_if_whole(job.path, read_checked_results)) is not None:
        return index, kept  # a worker that was lost, or another comparison, has left it
    train, validation, test = ([job.sequences[i] for i in part] for part in job.fold[1:])
    settings = job.candidate.settings(job.training.budget, job.seed)
    if job.training.refit and len(settings) == 1:
        best = _train(job, settings[0], train + validation, [])
    else:
        trials = [_train(job, setting, train, validation) for setting in settings]
        best = min(trials, key=lambda trial: trial["validation_loss"])
        if job.training.refit:
            best = {**_train(job, best["setting"], train + validation, []), "validation_loss": best["validation_loss"]}
    classifier = best.pop("classifier")
    test = job.training.of_one_length(test, classifier.model.num_nodes)
    found = evaluate(classifier, test)
    result = {
        "fold": job.fold.name,
        "seed": job.seed,
        "test": list(job.fold.test),
        "target": [int(data.y) for data in test],
        "predicted": found.probabilities.argmax(1).tolist(),
        "cross_entropy": mean_cross_entropy(found.probabilities, test),
        "variants": {
            name: evaluate(classifier, [change(data.clone()) for data in test]).probabilities.argmax(1).tolist()
            for name, change in job.variants.items()
        },
        "group": [None if data.get("group") is None else int(data.group) for data in test],
        "parameters": sum(weight.numel() for weight in classifier.model.parameters() if weight.requires_grad),
        "weights": _digest_weights(classifier),
        **best,
    }
    return index, write_checked_results(job.path, **result)


def mean_cross_entropy(probabilities: Tensor, sequences: Sequence[Data]) -> float:
    """Averages the cross-entropy of the true classes.

    Args:
        probabilities: ``[n, C]``; those below 1e-12 count as 1e-12.
        sequences: The sequences, n of them, with ``y [1]``.

    Returns:
        The mean, in nats.

    Example:
        >>> round(mean_cross_entropy(torch.tensor([[0.5, 0.5]]), [Data(y=torch.tensor([0]))]), 3)
        0.693
    """
    target = torch.cat([data.y for data in sequences])
    return float(torch.nn.functional.nll_loss(probabilities.double().clamp(min=1e-12).log(), target))


def _train(job: _Job, setting: dict[str, Any], train: list[Data], validation: list[Data]) -> dict[str, Any]:
    training, start = job.training, time.perf_counter()
    plan = training.plan(train)
    learned, held_out = (training.of_one_length(part, plan.num_nodes) for part in (train, validation))
    options = {**plan.options, **job.candidate.options, **setting, "classes": training.classes}
    classifier = SequenceClassifier(job.build(train, plan.num_nodes), num_sequences=len(learned), **options)
    how = {**plan.lengths, "patience": training.patience, "seed": job.seed}
    try:
        run = fit_in_memory(classifier, learned, held_out, **how)
    except FloatingPointError as error:
        raise FloatingPointError(f"{job.candidate.name}, {job.fold.name}, seed {job.seed}: {error}") from error
    return {
        "classifier": classifier,
        "setting": setting,
        "seconds": time.perf_counter() - start,
        "epoch": run.epoch,
        "validation_loss": run.validation_loss,
    }


def _digest_weights(classifier: SequenceClassifier) -> str:
    return hashlib.sha256(b"".join(map(bytes_of, classifier.state_dict().values()))).hexdigest()[:16]
