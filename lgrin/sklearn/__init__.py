"""Classifiers of sequences as scikit-learn estimators."""

from lgrin.sklearn.bank import FilterBankClassifier
from lgrin.sklearn.classifier import LGrINClassifier

__all__ = ["FilterBankClassifier", "LGrINClassifier"]
