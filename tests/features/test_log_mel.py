import sys

import numpy as np
import pytest
import soundfile
import torch

pytest.importorskip("librosa")
pytest.importorskip("audresample")

from lgrin.features import LogMel, SignalError, Speech, from_settings

RATE = 16_000


def write(path, signal, rate=RATE):
    soundfile.write(path, signal, rate)
    return path


def noise(seconds, rate=RATE):
    return np.random.default_rng(0).normal(0, 0.1, round(seconds * rate))


def mel(hertz):
    """Slaney's scale: linear below 1 kHz, logarithmic above."""
    return np.where(hertz < 1000, hertz * 3 / 200, 15 + np.log(np.maximum(hertz, 1000) / 1000) / np.log(6.4) * 27)


def test_it_equals_the_definition_in_numpy(tmp_path):
    path = write(tmp_path / "noise.wav", noise(0.5))
    signal = np.round(soundfile.read(path)[0] * 32_768) / 32_768
    windows = np.lib.stride_tricks.sliding_window_view(signal, 400)[::160]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = np.abs(np.fft.rfft(windows * hann)) ** 2
    hertz, grid = np.fft.rfftfreq(400, 1 / RATE), np.linspace(0, 8000, 800_001)
    edges = np.interp(np.linspace(0, mel(np.array(8000.0)), 42), mel(grid), grid)
    rise = (hertz - edges[:-2, None]) / np.diff(edges)[:-1, None]
    fall = (edges[2:, None] - hertz) / np.diff(edges)[1:, None]
    bank = np.clip(np.minimum(rise, fall), 0, None) * (2 / (edges[2:] - edges[:-2]))[:, None]
    expected = np.log(np.maximum(power @ bank.T, 1e-10))
    assert np.abs(LogMel()(path).x.numpy() - expected).max() < 1e-3


@pytest.mark.parametrize("seconds", [0.025, 0.0349, 0.035, 1.0])
def test_it_has_as_many_frames_as_speech(tmp_path, seconds):
    path = write(tmp_path / "noise.wav", noise(seconds))
    frames, other = LogMel(bands=20)(path), Speech()(path)
    assert frames.x.shape == (len(other.x), 20)
    assert frames.frame_rate == other.frame_rate
    assert frames.mask.all()


def test_other_rates_and_channels_become_one_at_16_khz(tmp_path):
    stereo = np.repeat(noise(0.5, 44_100)[:, None], 2, axis=1)
    one = LogMel()(write(tmp_path / "stereo.wav", stereo, 44_100)).x
    assert torch.allclose(one, LogMel()(write(tmp_path / "mono.wav", stereo[:, 0], 44_100)).x, atol=1e-2)


def test_digital_silence_within_a_file_is_finite(tmp_path):
    x = LogMel()(write(tmp_path / "gap.wav", np.concatenate([noise(0.2), np.zeros(8_000)]))).x
    assert x[-1].tolist() == pytest.approx([np.log(1e-10)] * 40)


def test_what_yields_no_frame_is_refused(tmp_path):
    with pytest.raises(SignalError, match="it lasts 20 ms, less than a window of 25 ms"):
        LogMel()(write(tmp_path / "short.wav", noise(0.02)))
    with pytest.raises(SignalError, match="it is silent"):
        LogMel()(write(tmp_path / "silent.wav", np.zeros(RATE)))
    with pytest.raises(ValueError, match="bands is 0"):
        LogMel(bands=0)


def test_settings_build_it_again_and_a_missing_library_is_named(tmp_path, monkeypatch):
    assert from_settings(LogMel(bands=64).settings) == LogMel(bands=64)
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(ImportError, match=r"librosa is not installed; .*lgrin\[end-to-end\]"):
        LogMel()(write(tmp_path / "noise.wav", noise(0.5)))
