"""Audio as people have it: every format is read to its end, whatever its header says of its length."""

import struct

import numpy as np
import pytest
import soundfile

pytest.importorskip("av")
pytest.importorskip("soxr")

from audio_files import FORMATS, RATE, encoded, voice, write_audio

from lgrin.features import SignalError, Speech
from lgrin.features.audio import read_blocks
from lgrin.features.speech import read_audio

PADDING = 0.1  # seconds that encoders put before and behind a signal
DELAY = round(PADDING * RATE)


def seconds(path):
    return sum(len(block.samples) / block.rate for block in read_blocks(path))


def resemblance(signal, other):
    """The largest correlation of the loudness every 10 ms, at any delay that encoders have."""

    def loudness(samples):
        usable = samples[: len(samples) // 160 * 160]
        return np.sqrt((usable.reshape(-1, 160) ** 2).mean(1))

    one, two = loudness(signal), loudness(other)
    most = DELAY // 160
    length = min(len(one), len(two)) - 2 * most
    return max(np.corrcoef(one[most : most + length], two[start : start + length])[0, 1] for start in range(2 * most))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read_to_its_end(tmp_path, name):
    path = write_audio(tmp_path / name)
    assert path.suffix in Speech.suffixes
    signal = read_audio(path)
    assert len(signal) / RATE == pytest.approx(1, abs=PADDING)
    assert resemblance(voice().astype(np.float32), signal) > 0.95


@pytest.mark.parametrize("name", ["32bit.wav", "a.flac", "alac.m4a", "a.wv", "a.tta", "a.voc"])
def test_what_is_lossless_is_equal_to_the_bit(tmp_path, name):
    signal = np.round(voice() * 2**15) / 2**15
    found = read_audio(write_audio(tmp_path / name, signal))
    assert np.array_equal(found[:16_000], signal.astype(np.float32))  # a voc file ends in a few samples of its own


@pytest.mark.parametrize(
    ("codec", "container"),
    [
        ("libmp3lame", "mp3"),
        ("flac", "flac"),
        ("libopus", "ogg"),
        ("pcm_s16le", "wav"),
        ("pcm_s16be", "au"),
        ("pcm_s16be", "aiff"),
        ("pcm_s16be", "caf"),
        ("pcm_s16le", "w64"),
    ],
)
def test_what_a_program_wrote_into_a_pipe_is_whole(tmp_path, codec, container):
    path = tmp_path / f"a.{container}"
    path.write_bytes(encoded(voice(4.0), RATE, codec, container, seekable=False))
    assert seconds(path) == pytest.approx(4, abs=2 * PADDING)


def test_files_that_were_joined_are_read_to_the_end_of_the_last(tmp_path):
    for codec, container in (("libmp3lame", "mp3"), ("libopus", "ogg"), ("aac", "adts"), ("flac", "flac")):
        parts = [encoded(voice(length), RATE, codec, container) for length in (2.0, 1.0, 1.5)]
        path = tmp_path / f"joined.{container}"
        path.write_bytes(b"".join(parts))
        assert seconds(path) == pytest.approx(4.5, abs=4 * PADDING), container


def test_tags_between_joined_mp3_files_are_no_audio(tmp_path):
    part, path = encoded(voice(2.0), RATE, "libmp3lame", "mp3"), tmp_path / "a.mp3"
    path.write_bytes(part + b"TAG" + bytes(125) + part)
    assert seconds(path) == pytest.approx(4, abs=3 * PADDING)


def test_joined_files_may_differ_in_rate_and_channels(tmp_path):
    stereo = np.column_stack([voice(1.0, 44_100)] * 2)
    path = tmp_path / "a.mp3"
    path.write_bytes(encoded(voice(2.0), RATE, "libmp3lame", "mp3") + encoded(stereo, 44_100, "libmp3lame", "mp3"))
    assert {(block.rate, block.samples.shape[1]) for block in read_blocks(path)} >= {(RATE, 1), (44_100, 2)}
    assert len(read_audio(path)) / RATE == pytest.approx(3, abs=3 * PADDING)


def test_joined_files_of_which_decoders_read_one_are_refused(tmp_path):
    for name in ("a.wav", "a.m4a"):
        path = write_audio(tmp_path / name)
        path.write_bytes(2 * path.read_bytes())
        with pytest.raises(SignalError, match=r"recording.* join their samples"):
            read_audio(path)


def without_sizes(content, name):
    """A file as a writer leaves it that never went back to its header."""
    content = bytearray(content)
    match name:
        case "a.wav":
            data = content.index(b"data")
            content[4:8] = content[data + 4 : data + 8] = bytes(4)
        case "a.rf64":
            content[20:44] = bytes(24)
        case "a.au":
            content[8:12] = bytes(4)
        case "a.caf":
            data = content.index(b"data")
            content[data + 4 : data + 12] = bytes(8)
        case "a.aiff":
            samples, common = content.index(b"SSND"), content.index(b"COMM")
            content[4:8] = content[samples + 4 : samples + 8] = content[common + 10 : common + 14] = bytes(4)
        case "a.flac":
            content[22:26] = bytes(4)  # the lower 32 of the 36 bits of its length
    return bytes(content)


@pytest.mark.parametrize("name", ["a.wav", "a.rf64", "a.au", "a.caf", "a.aiff", "a.flac"])
def test_sizes_that_were_left_at_0_are_those_of_the_file(tmp_path, name):
    path = write_audio(tmp_path / name)
    whole = read_audio(path)
    path.write_bytes(without_sizes(path.read_bytes(), name))
    assert np.array_equal(read_audio(path), whole)


def test_a_recording_of_no_sample_is_none_even_with_a_chunk_behind(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(0), RATE)
    with pytest.raises(SignalError, match="it holds no sample"):
        read_audio(path)
    path.write_bytes(path.read_bytes() + b"LIST" + struct.pack("<I", 1_000) + bytes(1_000))
    with pytest.raises(SignalError, match="it holds no sample"):
        read_audio(path)


def test_an_mp3_file_that_was_cut_is_refused_where_it_states_its_size(tmp_path):
    path = write_audio(tmp_path / "a.mp3", voice(4.0))
    path.write_bytes(path.read_bytes()[:-8_000])
    with pytest.raises(SignalError, match=r"it is cut short: its '(Xing|Info)' should end at byte"):
        read_audio(path)


@pytest.mark.parametrize("weights", [(1, -1), (1, -0.9), (-1, 1, 1, -1)])
def test_channels_that_cancel_are_not_averaged(tmp_path, weights):
    signal = voice()
    soundfile.write(tmp_path / "a.wav", np.outer(signal, weights), RATE)
    soundfile.write(tmp_path / "mono.wav", signal, RATE)
    assert np.abs(np.abs(read_audio(tmp_path / "a.wav")) - np.abs(read_audio(tmp_path / "mono.wav"))).max() < 1e-4


@pytest.mark.parametrize("weights", [(1, 1), (1, 0), (1, 0.3), (1, -0.2), (0, 0, 0, 1)])
def test_other_channels_are_averaged(tmp_path, weights):
    signal = voice()
    soundfile.write(tmp_path / "a.wav", np.outer(signal, weights), RATE, subtype="FLOAT")
    assert np.abs(read_audio(tmp_path / "a.wav") - signal * np.mean(weights)).max() < 1e-4


def test_unrelated_channels_are_averaged(tmp_path):
    channels = np.random.default_rng(0).normal(0, 0.1, (RATE, 6))
    soundfile.write(tmp_path / "a.wav", channels, RATE, subtype="FLOAT")
    assert np.abs(read_audio(tmp_path / "a.wav") - channels.mean(1)).max() < 1e-4


def test_a_playlist_is_no_recording_and_nothing_is_fetched(tmp_path):
    path = tmp_path / "a.wav"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(SignalError, match="it cannot be read as audio"):
        read_audio(path)


def test_a_video_without_sound_says_so(tmp_path):
    from corpora import video

    path = tmp_path / "a.mp4"
    path.write_bytes(video("mp4", 25))
    with pytest.raises(SignalError, match="it holds no sound"):
        read_audio(path)


def test_damage_within_a_compressed_file_is_not_passed_over(tmp_path):
    path = write_audio(tmp_path / "a.m4a", voice(4.0))
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 2_000
    content[start : start + 4_000] = np.random.default_rng(0).bytes(4_000)
    path.write_bytes(content)
    with pytest.raises(SignalError, match=r"it cannot be read as audio \(Invalid data"):
        read_audio(path)
