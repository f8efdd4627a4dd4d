"""L-GrIN as a scikit-learn estimator."""

from lgrin.sklearn.classifier import LGrINClassifier

__all__ = ["LGrINClassifier"]
