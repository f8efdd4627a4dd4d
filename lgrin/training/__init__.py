"""Training with Lightning: the module, its data, runs that resume exactly, and results."""

from lgrin.training.classifier import SequenceClassifier
from lgrin.training.experiment import train_and_test
from lgrin.training.fit import fit
from lgrin.training.predict import Prediction, predict
from lgrin.training.results import evaluate, write_results
from lgrin.training.splits import group_split, hold_out, stratified_split

__all__ = [
    "Prediction",
    "SequenceClassifier",
    "evaluate",
    "fit",
    "group_split",
    "hold_out",
    "predict",
    "stratified_split",
    "train_and_test",
    "write_results",
]
