"""The checks that scikit-learn and aeon have for estimators; none is expected to fail, and none is left out."""

from aeon.testing.estimator_checking import parametrize_with_checks as parametrize_with_aeons
from sklearn.utils.estimator_checks import parametrize_with_checks as parametrize_with_scikit_learns

from lgrin.aeon import LGrINAeonClassifier
from lgrin.sklearn import LGrINClassifier

EASY = {"branch_channels": (16,), "epochs": 12, "batch_size": 64, "lr": 0.03, "dropout": 0.0}  # some ask for accuracy


@parametrize_with_scikit_learns([LGrINClassifier(**EASY)])
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@parametrize_with_aeons([LGrINAeonClassifier])
def test_aeons_checks(check):
    check()
