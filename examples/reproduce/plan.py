"""The plan of an experiment: its data, how its models are trained, and where its results are written."""

from pathlib import Path

from benchmarks.table import markdown
from examples.reproduce.compare import Setting
from examples.reproduce.corpora import recordings
from examples.reproduce.recipe import RECIPE
from examples.sources import BothSplits
from lgrin.files import write_atomically
from lgrin.training import Training, write_results
from lgrin.transforms import Resample


class Plan:
    """The options of a run and, for experiments on data, the dataset.

    Args:
        options: The arguments of the command.
        out: Folder of the results.
        dataset: A dataset with ``classes``, ``groups`` and ``num_frames``.
    """

    def __init__(self, options, out: Path, dataset=None):
        self.options, self.out, self.dataset = options, out, dataset

    @property
    def progress(self):
        """Whether to show progress bars."""
        return not self.options.no_progress

    @property
    def protocol(self):
        """How sequences are split."""
        if self.options.protocol:
            return self.options.protocol
        return "group" if self.dataset.groups else "own" if isinstance(self.dataset, BothSplits) else "paper"

    def recordings(self):
        """The sequences at their own lengths; frames that repeat to the end are masked unless ``--keep-tail``."""
        return recordings(self.dataset, self.options.keep_tail)

    def sequences(self, num_nodes=None):
        """The same sequences, resampled to one length."""
        resample = Resample(num_nodes or self.dataset.num_frames)
        return [resample(data) for data in self.recordings()]

    def training(self):
        """How every model is trained."""
        chosen = {name: getattr(self.options, name) for name in ("epochs", "patience", "batch_size", "budget")}
        sizes = {} if self.dataset is None else {"num_nodes": self.dataset.num_frames, "classes": self.dataset.classes}
        return Training(recipe=RECIPE, **sizes, **chosen)

    def setting(self, sequences=None):
        """The data and the training that all candidates of a table share."""
        options = self.options
        return Setting(
            sequences=self.sequences() if sequences is None else sequences,
            training=self.training(),
            protocol=self.protocol,
            num_folds=options.folds,
            seeds=tuple(range(options.seeds)),
            normalize=options.normalize,
            out=self.out,
            workers=options.workers,
            progress=self.progress,
        )

    def write(self, rows, seconds):
        """Prints and writes the table, with the options that made it below."""
        text = markdown(rows) + "\n" + self.caption(seconds)
        print(text)
        write_atomically(self.out / "table.md", lambda name: Path(name).write_text(text, encoding="utf-8"))
        return write_results(self.out / "table.json", rows=rows, options=vars(self.options), seconds=seconds)

    def caption(self, seconds):
        """The options that made a table, in words."""
        options = self.options
        parts = [f"`{options.experiment}`"]
        if self.dataset is not None:
            parts += [f"{options.dataset}, {len(self.dataset)} sequences", f"protocol `{self.protocol}`"]
            parts += ["repeated tail kept" if options.keep_tail else "repeated tail masked"]
            if options.normalize == "group":
                parts.append("**transductive: features scaled by group, test groups included**")
            parts += [f"patience {options.patience}", f"{options.budget} setting{'s' * (options.budget > 1)} a model"]
        parts += [f"{options.seeds} seed{'s' * (options.seeds > 1)}", f"at most {options.epochs} epochs"]
        return "; ".join([*parts, f"{seconds / 60:.1f} min"]) + ".\n"
