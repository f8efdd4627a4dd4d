"""Training with Lightning: the module, its data, runs that resume exactly, and results."""

from lgrin.training.classifier import SequenceClassifier
from lgrin.training.experiment import train_and_test
from lgrin.training.fit import fit
from lgrin.training.results import evaluate, write_results
from lgrin.training.splits import stratified_split

__all__ = ["SequenceClassifier", "evaluate", "fit", "stratified_split", "train_and_test", "write_results"]
