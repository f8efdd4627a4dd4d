"""What classifiers look at, measured by taking it away."""

import warnings

import numpy as np
import pytest
from matplotlib.figure import Figure

from lgrin.sklearn import FilterBankClassifier, LGrINClassifier, channel_importance, frame_importance
from lgrin.visualization import plot_channel_importance

KINDS = {
    "bank": FilterBankClassifier(random_state=0),
    "both": LGrINClassifier(epochs=8, branch_channels=(8, 4), random_state=0),
    "network": LGrINClassifier(epochs=30, branch_channels=(8, 4), bank=False, random_state=0),
}


def data(seed=0, count=40):
    """Classes that differ in one channel, in frames 20 to 29."""
    X, y = np.random.default_rng(seed).normal(size=(count, 3, 40)), np.arange(count) % 2
    X[y == 1, 2, 20:30] += 3
    return X, np.array(["calm", "glad"])[y]


@pytest.fixture(params=KINDS)
def fitted(request):
    return KINDS[request.param].fit(*data())


def test_the_channel_that_tells_the_classes_matters_and_others_do_not(fitted):
    X, y = data(1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = channel_importance(fitted, X, y)
    assert found.mean.argmax() == 2
    assert found.mean[2] > 3 * found.error[2] > 0
    assert np.abs(found.mean[:2]).max() < found.mean[2] / 2


def test_it_is_the_difference_of_log_probabilities(fitted):
    X, y = data(1, count=6)
    without = X.copy()
    without[:, 1] = np.nan
    place = np.searchsorted(fitted.classes_, y)
    before, after = (np.log(fitted.predict_proba(some)[np.arange(6), place]) for some in (X, without))
    found = channel_importance(fitted, list(X), y)
    assert found.mean[1] == pytest.approx((before - after).mean())
    assert found.error[1] == pytest.approx((before - after).std(ddof=1) / 6**0.5)


def test_frames_that_tell_the_class_matter(fitted):
    X, y = data(1)
    found = np.mean([frame_importance(fitted, x, "glad", width=10) for x in X[y == "glad"]], axis=0)
    assert found.shape == (40,)
    assert found.argmax() == 20
    assert len(set(found[20:30])) == 1
    short = frame_importance(fitted, X[1][:, :33], width=10)
    assert short.shape == (33,)
    assert len(set(short)) == 4


def test_mistakes_are_named(fitted):
    X, y = data(count=4)
    with pytest.raises(ValueError, match="width is 40, and x has 40 frames"):
        frame_importance(fitted, X[0], width=40)
    with pytest.raises(ValueError, match=r"y holds \['angry'\]; the classes are \['calm', 'glad'\]"):
        frame_importance(fitted, X[0], "angry")
    with pytest.raises(ValueError, match=r"y has the shape \[2\]; X holds 4 sequences"):
        channel_importance(fitted, X, y[:2])
    with pytest.raises(ValueError, match="X has one channel"):
        channel_importance(fitted, X[:, :1], y)
    with pytest.raises(ValueError, match=r"X\[0\] has the shape \[40\]"):
        channel_importance(fitted, X[0], y[:3])


def test_the_picture_has_a_bar_a_channel_with_the_most_important_on_top():
    ax = Figure().subplots()
    assert plot_channel_importance([0.1, 0.7, -0.2], [0.1, 0.1, 0.1], ["x", "y", "z"], ax) is ax
    assert [text.get_text() for text in ax.get_yticklabels()] == ["z", "x", "y"]
    assert [bar.get_width() for bar in ax.patches] == [-0.2, 0.1, 0.7]
    with pytest.raises(ValueError, match="names has 2 entries, but mean 3"):
        plot_channel_importance([1, 2, 3], names=["a", "b"])
    with pytest.raises(ValueError, match=r"have the shapes \[\[2\], \[3\]\]"):
        plot_channel_importance([1, 2], [1, 2, 3])
