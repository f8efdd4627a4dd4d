"""The corpora that the studies run on, by name."""

from lgrin.command.data import is_corpus, open_archive, open_corpus
from lgrin.command.options import add_data_arguments as add_arguments

__all__ = ["BothSplits", "add_arguments", "open_dataset"]


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
