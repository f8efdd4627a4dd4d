"""Training with Lightning: the module, its data, runs that resume exactly, and results."""

from lgrin.training.augment import Augment
from lgrin.training.bank import fit_bank
from lgrin.training.classifier import SequenceClassifier
from lgrin.training.crossval import Candidate, Training, cross_validate
from lgrin.training.experiment import affordable_nodes, enough_epochs, recommended, train_and_test
from lgrin.training.fit import fit
from lgrin.training.groups import normalize_groups
from lgrin.training.history import AdjacencyHistory
from lgrin.training.predict import Prediction, predict
from lgrin.training.protocols import PROTOCOLS, Fold, folds, outer_folds
from lgrin.training.recipe import Recipe
from lgrin.training.recipes import RECIPES
from lgrin.training.results import evaluate, write_results
from lgrin.training.splits import group_split, hold_out, stratified_split

__all__ = [
    "PROTOCOLS",
    "RECIPES",
    "AdjacencyHistory",
    "Augment",
    "Candidate",
    "Fold",
    "Prediction",
    "Recipe",
    "SequenceClassifier",
    "Training",
    "affordable_nodes",
    "cross_validate",
    "enough_epochs",
    "evaluate",
    "fit",
    "fit_bank",
    "folds",
    "group_split",
    "hold_out",
    "normalize_groups",
    "outer_folds",
    "predict",
    "recommended",
    "stratified_split",
    "train_and_test",
    "write_results",
]
