import numpy as np
from aeon.datasets import load_japanese_vowels

from lgrin.aeon import LGrINAeonClassifier
from lgrin.sklearn import LGrINClassifier


def test_it_is_the_scikit_learn_estimator_in_aeons_clothes():
    X, y = load_japanese_vowels(split="train")
    small = {"branch_channels": (8, 4), "epochs": 2, "random_state": 0}
    ours, aeons = LGrINClassifier(**small).fit(X, y), LGrINAeonClassifier(**small).fit(X, y)
    test, target = load_japanese_vowels(split="test")
    assert np.array_equal(ours.predict_proba(test), aeons.predict_proba(test))
    assert ours.score(test, target) == aeons.score(test, target)
    parameters = LGrINClassifier().get_params()
    # aeon's series say it, it fits anew, and it passes no groups to fit
    for name in ("n_channels", "layout", "id", "time", "warm_start", "normalize"):
        del parameters[name]
    assert LGrINAeonClassifier().get_params() == parameters
