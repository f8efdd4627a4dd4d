"""The corpora that the examples train on, by name."""

from pathlib import Path

from lgrin.datasets import (
    ENTERFACE05,
    IEMOCAP,
    RAVDESS,
    RML,
    UEA,
    AudioFolder,
    EmoDB,
    MocapFolder,
    MPIBodyExpressions,
    TableFolder,
    VideoFolder,
)
from lgrin.features import FaceLandmarks, Mocap, OpenFace, Speech, Table

CORPORA = {
    "emodb": EmoDB,
    "enterface05": ENTERFACE05,
    "iemocap": IEMOCAP,
    "mpi": MPIBodyExpressions,
    "ravdess": RAVDESS,
    "rml": RML,
    "audio": AudioFolder,
    "video": VideoFolder,
    "mocap": MocapFolder,
    "table": TableFolder,
}
FEATURES = {
    "paper": Speech("paper"),
    "released": Speech("released"),
    "is09": Speech("is09"),
    "face-alignment": FaceLandmarks(),
    "dlib": FaceLandmarks("dlib"),
    "openface": OpenFace(),
    "mocap": Mocap(),
}


def add_arguments(parser, default):
    """Adds the arguments that choose a corpus."""
    parser.add_argument(
        "--dataset",
        default=default,
        metavar="NAME",
        help=f"{', '.join(CORPORA)} (the last four: your own folders), or a set of the UEA or UCR archive "
        "(default: %(default)s)",
    )
    parser.add_argument(
        "--root", default="data", metavar="DIR", help="folder of the corpus or the archive (default: %(default)s)"
    )
    parser.add_argument(
        "--cache", default="data/processed", metavar="DIR", help="folder of cached features (default: %(default)s)"
    )
    parser.add_argument(
        "--features", choices=FEATURES, metavar="NAME", help=f"{', '.join(FEATURES)} (default: those of the corpus)"
    )
    parser.add_argument("--time", metavar="COLUMN", help="column of times of your own tables, which is no channel")
    parser.add_argument("--skip-broken", action="store_true", help="skip broken files of a corpus and list them")


def is_corpus(name):
    """Whether a name is a corpus of recordings, and not a set of the archive."""
    return name in CORPORA


def open_corpus(options, progress=True):
    """Opens a corpus of recordings, at their own lengths."""
    return CORPORA[options.dataset](
        options.root,
        Table(time=options.time) if options.dataset == "table" else FEATURES.get(options.features),
        cache=Path(options.cache) / options.dataset,
        on_error="skip" if options.skip_broken else "raise",
        progress=progress,
    )


def open_archive(options):
    """Opens both splits of a set of the archive, at their own lengths."""
    return UEA(options.root, options.dataset, "train"), UEA(options.root, options.dataset, "test")


def most_frames(dataset):
    """The number of frames that a corpus has in the paper; ``None`` where its recordings decide."""
    return getattr(dataset, "default_num_frames", None)


def open_dataset(options, progress=True):
    """Opens a corpus, or a set of the archive with both its splits."""
    return open_corpus(options, progress) if is_corpus(options.dataset) else BothSplits(*open_archive(options))


class BothSplits:
    """The two splits of a set of the archive as one data set; ``data.split`` tells them apart."""

    groups = ()

    def __init__(self, train, test):
        self.train, self.test = train, test
        self.classes, self.num_features, self.num_frames = train.classes, train.num_features, train.num_frames

    def __len__(self):
        return len(self.train) + len(self.test)

    def indices(self):
        """Numbers of the sequences, those of the training split first."""
        return range(len(self))

    def get(self, index):
        """One sequence at its own length."""
        split, number = ("train", index) if index < len(self.train) else ("test", index - len(self.train))
        data = getattr(self, split).get(number).clone()
        data.split = split
        return data
