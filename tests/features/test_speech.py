import os
from pathlib import Path

import numpy as np
import opensmile
import pytest
import scipy.fft
import scipy.signal
import soundfile
import torch

from lgrin.features import SignalError, Speech, extract
from lgrin.features.speech import append_spontaneity, read_audio

EMODB = Path(os.environ.get("LGRIN_EMODB", Path(__file__).parents[3] / "shared" / "data" / "emodb"))
RATE, WINDOW, STEP = 16_000, 400, 160


def voice(seconds=1.0, rate=RATE, pitch=120.0, seed=0):
    """Something like a vowel: harmonics of a pitch that drifts, and a little noise."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(3 * time))) / rate
    harmonics = sum(np.cos(order * phase) / order for order in range(1, 25))
    return 0.1 * harmonics + np.random.default_rng(seed).normal(0, 0.0003, len(time))


def write(path, signal, rate=RATE, **options):
    soundfile.write(path, signal, rate, **options)
    return path


def clips(tmp_path):
    """Real speech where it is there, and a synthetic vowel everywhere."""
    real = [EMODB / "wav" / name for name in ("03a01Fa.wav", "16b10Wb.wav", "09b03Nb.wav")]
    return [write(tmp_path / "voice.wav", voice()), *(path for path in real if path.exists())]


def by_hand(path):
    """MFCC 0-12, zero-crossing rate and log energy, from the definitions, with SciPy, in float64."""
    signal = read_audio(path).astype(np.float64)
    frames = np.lib.stride_tricks.sliding_window_view(signal, WINDOW)[::STEP]
    emphasised = np.concatenate([0.03 * frames[:, :1], frames[:, 1:] - 0.97 * frames[:, :-1]], axis=1)
    magnitude = np.abs(scipy.fft.rfft(emphasised * scipy.signal.windows.hamming(WINDOW), 512))
    mel = 1127 * np.log(1 + np.arange(257) * RATE / 512 / 700)
    edges = 1127 * np.log(1 + 8000 / 700) * np.arange(28) / 27
    rise, fall = (mel - edges[:-2, None]) / np.diff(edges)[0], (edges[2:, None] - mel) / np.diff(edges)[0]
    bands = np.clip(np.minimum(rise, fall), 0, None)
    logs = np.log(np.maximum(32_768 * magnitude @ bands.T, 1))
    mfcc = scipy.fft.dct(logs, norm="ortho")[:, :13] * (1 + 11 * np.sin(np.pi * np.arange(13) / 22))
    mfcc[:, 0] *= np.sqrt(2)  # HTK scales it like the others
    before, here, after = frames[:, :-2], frames[:, 1:-1], frames[:, 2:]
    crossings = ((before * here < 0) | ((here == 0) & (before * after <= 0))).sum(1)
    energy = np.log(np.maximum((frames**2).mean(1) * (32_768 / 32_767) ** 2, np.exp(-41.588707)))
    return np.column_stack([mfcc, crossings / WINDOW, energy])


def smoothed(contours):
    padded = np.concatenate([contours[:1], contours, contours[-1:]])
    return (padded[:-2] + padded[1:-1] + padded[2:]) / 3


def deltas(contours):
    padded = np.concatenate([contours[:1]] * 2 + [contours] + [contours[-1:]] * 2)
    return (padded[3:-1] - padded[1:-3] + 2 * (padded[4:] - padded[:-4])) / 10


def test_descriptors_are_what_their_definitions_say(tmp_path):
    ours = [*range(14), 16]
    for path in clips(tmp_path):
        expected = by_hand(path)
        statics = Speech("released")(path).x.numpy()
        assert np.abs(statics[:, :14] - expected[:, :14]).max() < 1e-3
        full = Speech("paper")(path).x.numpy()
        assert np.abs(full[:, ours] - smoothed(expected)).max() < 1e-3
        slopes = np.abs(full[:, [17 + column for column in ours]] - deltas(smoothed(expected)))
        assert slopes[2:-2].max() < 1e-3  # at the ends openSMILE continues the contour in its own way


def test_shared_descriptors_are_those_of_the_interspeech_2009_set(tmp_path):
    levels = opensmile.FeatureLevel.LowLevelDescriptors, opensmile.FeatureLevel.LowLevelDescriptors_Deltas
    for path in clips(tmp_path):
        ours = Speech("paper")(path).x.numpy()
        signal = read_audio(path)[None]
        stock = [opensmile.Smile(opensmile.FeatureSet.IS09, level)(signal, RATE)[0].T[: len(ours)] for level in levels]
        for start, theirs in zip((0, 17), stock, strict=True):
            assert (
                np.abs(ours[:, start + 1 : start + 16] - theirs[:, 1:16]).max() < 1e-4
            )  # MFCC 1-12, zero crossings, voicing, F0
        assert np.array_equal(Speech("is09")(path).x.numpy(), np.concatenate(stock, axis=1))


def test_layouts_have_their_features_in_their_order(tmp_path):
    path = write(tmp_path / "voice.wav", voice())
    sizes = {"paper": (98, 34), "released": (98, 33), "is09": (98, 32), "compare": (95, 65)}
    for layout, (length, size) in sizes.items():
        extractor = Speech(layout)
        frames = extractor(path)
        assert frames.x.shape == (length, size)
        assert len(extractor.names) == size == extractor.num_features
        assert frames.x.dtype == torch.float32
        assert frames.mask.all()
        assert frames.frame_rate == pytest.approx(100)
    paper, released = Speech("paper")(path).x, Speech("released")(path).x
    assert torch.equal(paper[:, 17:], released[:, 16:])
    assert torch.allclose(
        paper[1:-1, :16], (released[:-2, :16] + released[1:-1, :16] + released[2:, :16]) / 3, atol=1e-3
    )
    f0 = released[:, Speech("released").names.index("f0")]
    assert 105 < float(f0.median()) < 135


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_any_sampling_rate_gives_about_the_same(tmp_path, rate):
    reference = Speech("released")(write(tmp_path / "a.wav", voice())).x
    other = Speech("released")(write(tmp_path / "b.wav", voice(rate=rate), rate)).x
    f0 = Speech("released").names.index("f0")
    assert other.shape == reference.shape
    assert float((other[:, f0] - reference[:, f0]).abs().median()) < 2.0


@pytest.mark.parametrize(
    ("ending", "options"),
    [(".wav", {}), (".wav", {"subtype": "FLOAT"}), (".wav", {"subtype": "PCM_24"}), (".flac", {}), (".aiff", {})],
)
def test_stereo_is_averaged_and_formats_agree(tmp_path, ending, options):
    signal = voice()
    mono = Speech()(write(tmp_path / "mono.wav", signal)).x
    stereo = np.column_stack([1.2 * signal, 0.8 * signal])
    x = Speech()(write(tmp_path / f"stereo{ending}", stereo, **options)).x
    assert float((x - mono).abs().median()) < 0.05


def test_loud_samples_do_not_wrap_around(tmp_path):
    loud = np.clip(3 * voice(rate=44_100), -1, 1)
    signal = read_audio(write(tmp_path / "loud.wav", loud, 44_100))
    assert signal.max() <= 32_767 / 32_768
    assert np.abs(np.diff(signal)).max() < 1.5


def test_floating_samples_in_the_range_of_whole_ones_are_refused(tmp_path):
    path = write(tmp_path / "a.wav", 20_000 * voice(), subtype="FLOAT")
    with pytest.raises(SignalError, match=r"its samples go up to .*; floating audio lies within -1 and 1"):
        Speech()(path)


def broken_files(folder):
    signal = voice()
    whole = write(folder / "whole.wav", signal).read_bytes()
    (folder / "truncated.wav").write_bytes(whole[: len(whole) // 2])
    flac = write(folder / "whole.flac", signal).read_bytes()
    (folder / "truncated.flac").write_bytes(flac[: len(flac) // 2])
    (folder / "text.wav").write_text("this is no sound\n" * 100)
    (folder / "empty.wav").write_bytes(b"")
    write(folder / "samples.wav", signal[:0])
    write(folder / "silent.wav", np.zeros(RATE))
    write(folder / "offset.wav", np.full(RATE, 0.25))
    write(folder / "short.wav", signal[:300])
    write(folder / "nan.wav", np.full(RATE, np.nan), subtype="FLOAT")
    return {
        "truncated.wav": "cut short",
        "truncated.flac": "cannot be read|cut short",
        "text.wav": "cannot be read as audio",
        "empty.wav": "it is empty",
        "samples.wav": "no sample",
        "silent.wav": "silent",
        "offset.wav": "silent",
        "short.wav": "19 ms, less than a window of 25 ms",
        "nan.wav": "samples that are not finite",
    }


def test_a_broken_file_is_named_with_its_reason(tmp_path):
    reasons = broken_files(tmp_path)
    for name, reason in reasons.items():
        with pytest.raises(SignalError, match=rf"{name}: .*({reason})"):
            Speech()(tmp_path / name)
    with pytest.raises(FileNotFoundError, match=r"gone\.wav"):
        Speech()(tmp_path / "gone.wav")
    with pytest.raises(ValueError, match="layout is 'mfcc'; it may be 'paper', 'released', 'is09', 'compare'"):
        Speech("mfcc")


def test_spontaneity_makes_35_features_of_both_layouts(tmp_path):
    path = write(tmp_path / "voice.wav", voice())
    paper = append_spontaneity(Speech("paper")(path).x, False, "paper")
    released = append_spontaneity(Speech("released")(path).x, False, "released")
    assert paper.shape[1] == released.shape[1] == 35
    assert paper[:, 34].eq(0).all()
    assert released[:, 33:].tolist() == [[1.0, 0.0]] * 98


@pytest.mark.skipif(not EMODB.exists(), reason="needs the 535 clips of EmoDB")
def test_no_clip_of_emodb_fails():
    extraction = extract(Speech(), sorted((EMODB / "wav").glob("*.wav")), workers=1, progress=False)
    assert not extraction.failures
    assert {tuple(frames.x.shape) for frames in extraction.frames} == {(198, 34)}


def test_a_clip_shorter_than_the_windows_of_pitch_is_refused(tmp_path):
    path = write(tmp_path / "short.wav", voice()[:800])
    assert len(Speech()(path).x) == 3
    with pytest.raises(SignalError, match="less than a window of 60 ms"):
        Speech("compare")(path)
