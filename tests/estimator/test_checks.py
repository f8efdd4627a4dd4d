"""The checks that scikit-learn and aeon have for estimators; one is expected to fail, and none is left out."""

from aeon.testing.estimator_checking import parametrize_with_checks as parametrize_with_aeons
from sklearn.utils.estimator_checks import parametrize_with_checks as parametrize_with_scikit_learns

from lgrin.aeon import LGrINAeonClassifier
from lgrin.sklearn import LGrINClassifier

EASY = {"branch_channels": (16,), "epochs": 12, "batch_size": 64, "lr": 0.03, "dropout": 0.0}  # some ask for accuracy


WEIGHTS = {
    "check_sample_weight_equivalence_on_dense_data": "batches are drawn from all sequences, so that repeated ones make "
    "other batches than one of the same weight"
}


@parametrize_with_scikit_learns([LGrINClassifier(**EASY)], expected_failed_checks=lambda _: WEIGHTS)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@parametrize_with_aeons([LGrINAeonClassifier])
def test_aeons_checks(check):
    check()
