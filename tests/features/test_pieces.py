import threading

import numpy as np
import opensmile
import pytest
import soundfile

from lgrin.features import Speech
from lgrin.features.pieces import PIECE, join, resample
from lgrin.features.speech import CONFIGURATION, DESCRIBE, LONG_WINDOW, read_audio

pytest.importorskip("audresample")
import audresample

RATE, WINDOW, STEP = 16_000, 400, 160
STOCK = [opensmile.FeatureLevel.LowLevelDescriptors, opensmile.FeatureLevel.LowLevelDescriptors_Deltas]
SHORT = [WINDOW, WINDOW + STEP - 1, WINDOW + STEP, 5 * STEP]
LENGTHS = [*SHORT, PIECE - 1, PIECE, PIECE + 1, PIECE + STEP, PIECE + WINDOW]
LENGTHS += [2 * PIECE - 1, 2 * PIECE, 2 * PIECE + 1, 3 * PIECE + 7 * STEP + 3]


def voice(pitch, seed, seconds=5):
    time = np.arange(seconds * RATE) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(3 * time))) / RATE
    harmonics = sum(np.cos(order * phase) / order for order in range(1, 25))
    return 0.1 * harmonics + np.random.default_rng(seed).normal(0, 0.0003, len(time))


def signal(length, start=0):
    """Int16 with a low voice, then a high one, whose F0 openSMILE corrects by the mean of all before; silent first."""
    parts = [voice(pitch, seed=index) for index, pitch in enumerate((150, 260, 120))]
    steps = np.round(np.concatenate(parts)[:length] * 2**15).astype(np.int16)
    steps[:start] = 0
    return steps


def split(samples, size=PIECE):
    return (samples[start : start + size] for start in range(0, len(samples), size))


def at_once(layout, steps):
    """The descriptors of windows within the whole signal, as openSMILE's own interface computes them."""
    if layout == "is09":
        smiles = [opensmile.Smile(opensmile.FeatureSet.IS09, level) for level in STOCK]
    else:
        smiles = [opensmile.Smile(str(CONFIGURATION), feature_level="features")]
    levels = [smile(steps[None] / np.float32(2**15), RATE)[0].T[: num_windows(len(steps))] for smile in smiles]
    return np.concatenate(levels, axis=1)


def in_pieces(layout, pieces, length):
    return DESCRIBE[layout](pieces, RATE)[: num_windows(length)]


def num_windows(length):
    return 1 + (length - WINDOW) // STEP


@pytest.mark.parametrize("layout", ["paper", "is09"])
@pytest.mark.parametrize("length", LENGTHS)
def test_descriptors_of_pieces_are_those_of_the_whole_to_the_bit(layout, length):
    for start in (0, min(length // 2, PIECE)):
        steps = signal(length, start)
        expected = at_once(layout, steps)
        assert len(expected) == num_windows(length)
        assert np.array_equal(in_pieces(layout, split(steps), length), expected)


def test_pieces_of_other_lengths_change_nothing():
    steps = signal(2 * PIECE + 11)
    expected = at_once("paper", steps)
    for size in (WINDOW - 1, 4_801, len(steps)):
        assert np.array_equal(in_pieces("paper", split(steps, size), len(steps)), expected)


def test_f0_depends_on_all_that_was_said_before():
    """The reason for one openSMILE over all pieces: one that starts in a pause finds another F0 after it."""
    pause = np.zeros(RATE)
    steps = np.round(np.concatenate([voice(150, seed=0), pause, voice(260, seed=1)]) * 2**15).astype(np.int16)
    whole, alone = at_once("paper", steps), at_once("paper", steps[88_000:])
    differ = np.flatnonzero((whole[550:] != alone).any(axis=1))
    assert differ.max() > 45
    assert np.array_equal(in_pieces("paper", split(steps, 88_000), len(steps)), whole)


def test_names_are_those_of_opensmile():
    expected = [name for level in STOCK for name in opensmile.Smile(opensmile.FeatureSet.IS09, level).feature_names]
    assert DESCRIBE["is09"].names == expected
    assert DESCRIBE["paper"].names == opensmile.Smile(str(CONFIGURATION), feature_level="features").feature_names


@pytest.mark.parametrize("length", [LONG_WINDOW, PIECE + 1, 3 * PIECE])
def test_the_set_of_2016_is_opensmiles_to_the_bit(length):
    steps = signal(length)
    smile = opensmile.Smile(opensmile.FeatureSet.ComParE_2016, opensmile.FeatureLevel.LowLevelDescriptors)
    expected = smile(steps[None] / np.float32(2**15), RATE)[0].T
    found = DESCRIBE["compare"](split(steps), RATE)
    count = 1 + (length - LONG_WINDOW) // STEP
    assert np.array_equal(found[:count], expected[:count])
    assert DESCRIBE["compare"].names == smile.feature_names


def test_an_error_in_the_middle_of_a_signal_is_raised_and_ends_the_run():
    def pieces():
        yield from split(signal(2 * PIECE))
        raise OSError("the disk is gone")

    raised = []

    def run():
        with pytest.raises(OSError, match="the disk is gone"):
            DESCRIBE["paper"](pieces(), RATE)
        raised.append(True)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert raised


@pytest.mark.parametrize("rate", [1_000, 8_000, 11_025, 16_000, 44_100, 48_000, 1_000_000])
@pytest.mark.parametrize("length", [1, 399, PIECE, 2 * PIECE + 1])
def test_resampled_pieces_are_those_of_the_whole_to_the_bit(rate, length):
    samples = np.random.default_rng(0).normal(0, 0.1, length).astype(np.float32)
    expected = audresample.resample(samples[None], rate, RATE)[0]
    for size in (1_000, PIECE):
        assert np.array_equal(np.concatenate(list(resample(split(samples, size), rate, RATE))), expected)


def test_pieces_are_joined_to_one_length():
    samples = np.arange(1_000)
    joined = list(join((samples[start:stop] for start, stop in ((0, 1), (1, 1), (1, 700), (700, 1_000))), 256))
    assert [len(piece) for piece in joined] == [256, 256, 256, 232]
    assert np.array_equal(np.concatenate(joined), samples)
    assert list(join([np.empty(0)], 4)) == []


@pytest.mark.parametrize(("rate", "channels"), [(16_000, 1), (16_000, 2), (8_000, 1), (44_100, 2), (48_000, 3)])
@pytest.mark.parametrize("length", [PIECE, 2 * PIECE + 1])
def test_a_file_is_read_in_pieces_to_the_bits_of_the_whole(tmp_path, rate, channels, length):
    path = tmp_path / "noise.wav"
    samples = np.random.default_rng(0).normal(0, 0.4, (length, channels))
    samples[: length // 3] = 0
    soundfile.write(path, samples, rate, subtype="FLOAT")
    whole = soundfile.read(path, dtype="float32", always_2d=True)[0].mean(axis=1)
    whole = audresample.resample(whole[None], rate, RATE)[0]
    expected = np.clip(np.round(whole * 2**15), -(2**15), 2**15 - 1).astype(np.int16)
    assert np.array_equal(read_audio(path), expected / np.float32(2**15))
    x = Speech("released")(path).x.numpy()
    descriptors = at_once("paper", expected)
    assert np.array_equal(x[:, 13], descriptors[:, 13])  # zero crossings
    assert np.array_equal(x[:, 16:], descriptors[:, 34:][:, [12, *range(12), 13, 14, 15, 16]])
