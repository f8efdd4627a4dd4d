"""Blocks in, probabilities out: after each block those of the sequence so far."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError

from lgrin.sklearn import FilterBankClassifier, LGrINClassifier
from lgrin.sklearn.stream import KeptFrames, RunningNetwork
from lgrin.training import RECIPES

Y = np.arange(24) % 2


def waves(seed=0, length=60):
    X = np.random.default_rng(seed).normal(size=(24, 3, length))
    X[Y == 1, 0] += np.sin(np.arange(length))
    return X


def blocks(x, seed=0):
    """Blocks of 1 to 29 frames."""
    cuts = np.cumsum(np.random.default_rng(seed).integers(1, 30, size=200))
    return np.split(x, cuts[cuts < x.shape[1]], axis=1)


@pytest.fixture(scope="module")
def bank():
    return FilterBankClassifier(random_state=0).fit(waves(), Y)


@pytest.fixture(scope="module")
def network():
    return LGrINClassifier(bank=False, num_nodes=20, branch_channels=(4, 3), epochs=2, random_state=0).fit(waves(), Y)


@pytest.fixture(scope="module")
def any_length():
    return LGrINClassifier(
        recipe="any_length", bank=False, branch_channels=(4, 3), input_norm=True, epochs=2, random_state=0
    ).fit(waves(), Y)


@pytest.fixture(scope="module")
def both():
    return LGrINClassifier(num_nodes=20, branch_channels=(4, 3), epochs=2, random_state=0).fit(waves(), Y)


@pytest.mark.parametrize("kind", ["bank", "network", "any_length", "both"])
def test_after_each_block_the_probabilities_are_those_of_the_prefix(kind, request):
    classifier = request.getfixturevalue(kind)
    x, stream = waves(1, 150)[3], classifier.stream()
    assert stream.latency == 0
    for _ in range(2):
        count = 0
        for block in blocks(x):
            count += block.shape[1]
            expected = classifier.predict_proba([x[:, :count]])[0]
            np.testing.assert_allclose(stream.push(block), expected, rtol=0, atol=1e-6)
        stream.reset()


def test_a_network_without_a_length_keeps_a_window_alone(any_length, bank, network, both):
    stream = any_length.stream()
    assert isinstance(stream, RunningNetwork)
    for block in blocks(waves(1, 900)[0]):
        stream.push(block)
        assert stream._stream._frames.size(1) <= stream.window < 120
    for other in (bank, network, both):
        assert isinstance(other.stream(), KeptFrames)
        assert other.stream().window is None  # every frame is kept


@pytest.mark.parametrize("kind", ["bank", "network", "any_length"])
def test_a_window_of_frames_or_seconds_keeps_as_many(kind, request):
    classifier = request.getfixturevalue(kind)
    x = waves(1, 300)[3]
    for stream in (classifier.stream(window=50), classifier.stream(window=2.5, frame_rate=20)):
        assert stream.window == 50
        count = 0
        for block in blocks(x):
            count += block.shape[1]
            expected = classifier.predict_proba([x[:, max(0, count - 50) : count]])[0]
            np.testing.assert_allclose(stream.push(block), expected, rtol=0, atol=1e-6)
            assert stream._frames.shape[1] <= 50


def test_a_sequence_that_is_standardised_by_itself_is_kept():
    classifier = LGrINClassifier(
        recipe="any_length", bank=False, branch_channels=(4, 3), input_norm="both", epochs=1, random_state=0
    ).fit(waves(), Y)
    assert isinstance(classifier.stream(), KeptFrames)


def test_single_frames_and_other_layouts_are_taken():
    x = waves()[0]
    first = FilterBankClassifier(random_state=0).fit(waves(), Y)
    last = FilterBankClassifier(random_state=0, layout="time_first").fit(waves().transpose(0, 2, 1), Y)
    one, other = first.stream(), last.stream()
    for frame in x.T[:5]:
        np.testing.assert_allclose(one.push(frame), other.push(frame), atol=1e-12)
    np.testing.assert_allclose(one.push(x[:, 5:]), first.predict_proba([x])[0], atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*are missing in frames that have others")
def test_missing_values_are_filled_where_frames_are_kept(bank, any_length):
    x = waves(1)[3]
    x[1, 20:25], x[2] = np.nan, np.nan
    stream = bank.stream()
    for block in np.split(x, 4, axis=1):
        probabilities = stream.push(block)
    np.testing.assert_allclose(probabilities, bank.predict_proba([x])[0], atol=1e-6)
    with pytest.raises(ValueError, match=r"fills none.*give stream\(\) a window"):
        any_length.stream().push(x)
    assert np.isfinite(any_length.stream(window=60).push(x)).all()


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"window": 0}, "window is 0; it has to be a whole number"),
        ({"window": 1.5}, "window is 1.5; it has to be a whole number"),
        ({"window": -1.0, "frame_rate": 50}, "window is -1.0; it has to be a number of 0 or more"),
        ({"frame_rate": 50}, "no window was given; give both"),
    ],
)
def test_a_window_is_frames_or_seconds_with_a_rate(bank, options, match):
    with pytest.raises(ValueError, match=match):
        bank.stream(**options)


def test_what_is_wrong_with_a_block_is_said(bank):
    for block in (np.zeros((2, 5)), np.zeros((3, 0)), np.zeros((1, 3, 5))):
        with pytest.raises(ValueError, match=r"block has shape .* with 3 channels and a frame at least"):
            bank.stream().push(block)
    for kind in (FilterBankClassifier, LGrINClassifier):
        with pytest.raises(NotFittedError):
            kind().stream()
    assert "any_length" in RECIPES
