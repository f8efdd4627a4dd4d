"""Classifiers of sequences as scikit-learn estimators."""

from lgrin.sklearn.bank import FilterBankClassifier
from lgrin.sklearn.classifier import LGrINClassifier
from lgrin.sklearn.occlusion import ChannelImportance, channel_importance, frame_importance

__all__ = [
    "ChannelImportance",
    "FilterBankClassifier",
    "LGrINClassifier",
    "channel_importance",
    "frame_importance",
]
