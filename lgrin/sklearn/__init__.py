"""Classifiers of sequences as scikit-learn estimators."""

from lgrin.sklearn.bank import FilterBankClassifier
from lgrin.sklearn.classifier import LGrINClassifier
from lgrin.sklearn.occlusion import ChannelImportance, channel_importance, frame_importance
from lgrin.sklearn.pretrainer import LGrINPretrainer

__all__ = [
    "ChannelImportance",
    "FilterBankClassifier",
    "LGrINClassifier",
    "LGrINPretrainer",
    "channel_importance",
    "frame_importance",
]
