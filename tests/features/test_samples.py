"""Audio in memory gives the frames of a file with the same samples."""

import io

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("soxr")

from audio_files import write_audio

from lgrin.features import LogMel, SignalError, Speech, Table

RATES = (8_000, 16_000, 44_100, 48_000)


def noise(rate, channels=1, seconds=5, seed=0):
    """Longer than a block of 65,536 samples where the rate is above 13 kHz."""
    return np.random.default_rng(seed).normal(0, 0.1, (rate * seconds, channels)).astype(np.float32)


def same(frames, other):
    assert torch.equal(frames.x, other.x)
    assert torch.equal(frames.mask, other.mask)
    assert frames.frame_rate == other.frame_rate


@pytest.mark.parametrize("rate", RATES)
def test_an_array_is_extracted_as_a_float_file_of_it(tmp_path, rate):
    signal = noise(rate)
    soundfile.write(tmp_path / "a.wav", signal, rate, subtype="FLOAT")
    expected = Speech()(tmp_path / "a.wav")
    for given in (signal[:, 0], signal, signal.T, signal.astype(np.float64)[:, 0], torch.from_numpy(signal[:, 0])):
        same(Speech()(given, rate), expected)
    same(Speech("is09")(signal[:, 0], sampling_rate=rate), Speech("is09")(tmp_path / "a.wav"))


def test_channels_are_averaged_or_the_loudest_is_taken_as_in_a_file(tmp_path):
    plain = noise(44_100, channels=2)
    for name, stereo in {"plain": plain, "cancelled": np.concatenate([plain[:, :1], -0.9 * plain[:, :1]], 1)}.items():
        soundfile.write(tmp_path / f"{name}.wav", stereo, 44_100, subtype="FLOAT")
        expected = Speech()(tmp_path / f"{name}.wav")
        same(Speech()(stereo, 44_100), expected)
        same(Speech()(stereo.T, 44_100), expected)


@pytest.mark.parametrize(("dtype", "subtype"), [(np.int16, "PCM_16"), (np.int32, "PCM_32")])
def test_whole_samples_are_scaled_as_in_a_file(tmp_path, dtype, subtype):
    signal = (noise(22_050) * np.iinfo(dtype).max).astype(dtype)
    soundfile.write(tmp_path / "a.wav", signal, 22_050, subtype=subtype)
    same(Speech()(signal, 22_050), Speech()(tmp_path / "a.wav"))


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.m4a", "a.ogg"])
def test_open_files_are_read_as_files(tmp_path, name):
    pytest.importorskip("av")
    path = write_audio(tmp_path / name)
    expected = Speech()(path)
    same(Speech()(io.BytesIO(path.read_bytes())), expected)
    with open(path, "rb") as file:
        same(Speech()(file), expected)
        with pytest.raises(SignalError, match=r"nothing is left to read in it; go back to its start with seek\(0\)"):
            Speech()(file)


def test_log_mel_reads_the_same(tmp_path):
    pytest.importorskip("librosa")
    signal = noise(16_000)
    soundfile.write(tmp_path / "a.wav", signal, 16_000, subtype="FLOAT")
    expected = LogMel()(tmp_path / "a.wav")
    same(LogMel()(signal, 16_000), expected)
    same(LogMel()(io.BytesIO((tmp_path / "a.wav").read_bytes())), expected)


def test_other_extractors_read_open_files(tmp_path):
    pytest.importorskip("pandas")
    assert Table(time="t")(io.BytesIO(b"t,x\n0,1\n1,2\n")).x.tolist() == [[1.0], [2.0]]
    with pytest.raises(TypeError, match="was opened as text; open it with mode='rb'"):
        Table()(io.StringIO("x\n1\n"))


@pytest.mark.parametrize(
    ("array", "rate", "error", "match"),
    [
        (np.zeros(16_000), None, TypeError, "source is a ndarray, and no sampling_rate was given"),
        ("nowhere.wav", 16_000, ValueError, "sampling_rate was given beside a file"),
        (np.zeros(16_000), 10, ValueError, r"sampling_rate is 10; recordings have 1,000 to 1,000,000"),
        (np.zeros(16_000), 1.5, ValueError, "sampling_rate is 1.5; it has to be a whole number"),
        (np.zeros((2, 2)), 16_000, ValueError, r"array has shape \[2, 2\]; samples are \[T\], \[C, T\] or \[T, C\]"),
        (np.zeros((2, 2, 900)), 16_000, ValueError, r"array has shape \[2, 2, 900\]"),
        (
            np.zeros(900, np.int64),
            16_000,
            TypeError,
            "array is int64; samples are floating from -1 to 1, int16 or int32",
        ),
        (np.zeros(900, bool), 16_000, TypeError, "array is bool"),
        (np.zeros(16_000), 16_000, SignalError, "array: it is silent"),
        (np.zeros(0), 16_000, SignalError, "array: it holds no sample"),
        (np.full(16_000, np.nan), 16_000, SignalError, "array: it holds samples that are not finite"),
        (noise(16_000)[:, 0] * 1e4, 16_000, SignalError, "array: its samples go up to"),
        (noise(16_000)[:200, 0], 16_000, SignalError, "array: it lasts 12 ms, less than a window of 25 ms"),
    ],
)
def test_what_is_wrong_with_samples_is_said(array, rate, error, match):
    with pytest.raises(error, match=match):
        Speech()(array, rate)


def test_a_broken_open_file_is_named():
    with pytest.raises(SignalError, match=r"^file object: it cannot be read as audio"):
        Speech()(io.BytesIO(b"no audio at all"))
