import struct
import wave

import numpy as np
import pytest

from lgrin.features.containers import check_not_truncated
from lgrin.features.extractor import SignalError

CUTS = (1, 2, 5, 8, 9, 100, 700)


def chunk(name, content, length=None, pad=True):
    size = len(content) if length is None else length
    return name + struct.pack("<I", size) + content + b"\0" * (len(content) % 2 if pad else 0)


def riff(kind, *chunks, length=None):
    return chunk(b"RIFF", kind + b"".join(chunks), length, pad=False)


def box(name, content, length=None):
    return struct.pack(">I", 8 + len(content) if length is None else length) + name + content


def is_whole(path):
    try:
        check_not_truncated(path)
    except SignalError:
        return False
    return True


@pytest.fixture
def write(tmp_path):
    def write(content, name="file"):
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


FORMAT = chunk(b"fmt ", struct.pack("<HHIIHH", 1, 1, 8000, 8000, 1, 8))
EXTENSIBLE = chunk(b"fmt ", struct.pack("<HHIIHH", 0xFFFE, 1, 8000, 8000, 1, 8) + bytes(24))
FRAMES = chunk(b"LIST", b"movi" + chunk(b"00dc", bytes(800)))
INDEX = chunk(b"idx1", bytes(160))
HEADER = chunk(b"LIST", b"hdrl" + chunk(b"avih", bytes(56)))
LARGE = struct.pack(">I4sQ", 1, b"mdat", 816) + bytes(800)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(riff(b"WAVE", FORMAT, chunk(b"data", bytes(800))), id="wav"),
        pytest.param(riff(b"WAVE", FORMAT, chunk(b"data", bytes(801), pad=False)), id="odd data without padding"),
        pytest.param(riff(b"WAVE", FORMAT, chunk(b"LIST", b"abc"), chunk(b"data", bytes(800))), id="odd chunk before"),
        pytest.param(riff(b"WAVE", FORMAT, chunk(b"LIST", b"abc", pad=False), chunk(b"data", b"12")), id="unpadded"),
        pytest.param(riff(b"WAVE", EXTENSIBLE, chunk(b"data", bytes(800))), id="extensible"),
        pytest.param(riff(b"WAVE", FORMAT, chunk(b"data", bytes(800))) + b"TAG" + b"\xff" * 125, id="something after"),
        pytest.param(riff(b"WAVE", FORMAT, chunk(b"data", bytes(800)), length=5000), id="a wrong size of RIFF"),
        *[
            pytest.param(riff(b"WAVE", FORMAT, chunk(b"data", bytes(800), size), length=size), id=f"stream {size:#x}")
            for size in (0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF)
        ],
        pytest.param(b"RF64" + riff(b"WAVE", chunk(b"data", bytes(8), 80))[4:], id="RF64"),
        pytest.param(b"RIFX" + riff(b"WAVE", chunk(b"data", bytes(8), 80))[4:], id="RIFX"),
        pytest.param(riff(b"WEBP", chunk(b"VP8 ", bytes(8), 80)), id="another RIFF"),
        pytest.param(riff(b"AVI ", HEADER, FRAMES, INDEX), id="avi"),
        pytest.param(riff(b"AVI ", HEADER, FRAMES, INDEX) + riff(b"AVIX", FRAMES), id="avi of two parts"),
        pytest.param(riff(b"AVI ", HEADER, FRAMES, INDEX) + b"\xff" * 100, id="avi, something after"),
        pytest.param(riff(b"AVI ", HEADER, chunk(b"LIST", b"movi", 0), bytes(90), length=0), id="avi stream"),
        pytest.param(
            riff(b"AVI ", HEADER, FRAMES, INDEX, length=len(riff(b"AVI ", HEADER, FRAMES, INDEX))),
            id="avi whose size counts its header",
        ),
        pytest.param(box(b"ftyp", b"isom") + box(b"mdat", bytes(99)) + box(b"moov", bytes(99)), id="mp4"),
        pytest.param(box(b"moov", bytes(99)) + box(b"mdat", bytes(99), 0), id="mp4 to the end of the file"),
        pytest.param(box(b"ftyp", b"isom") + LARGE + box(b"moov", bytes(9)), id="mp4 with a long size"),
        pytest.param(box(b"ftyp", b"isom") + box(b"new!", bytes(9)) + box(b"moov", bytes(9)), id="an unknown box"),
        pytest.param(box(b"ftyp", b"isom") + box(b"moov", bytes(9)) + b"\xff" * 99, id="mp4, something after"),
        pytest.param(box(b"ftyp", b"isom") + box(b"moov", bytes(9)) + bytes(3), id="mp4, zeros after"),
        pytest.param(b"", id="empty"),
        pytest.param(b"RIFF", id="four bytes"),
        pytest.param(b"# a text of some length", id="text"),
    ],
)
def test_a_whole_file_passes(write, content):
    assert is_whole(write(content))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(riff(b"WAVE", FORMAT, chunk(b"data", bytes(800))), id="wav"),
        pytest.param(riff(b"WAVE", FORMAT, chunk(b"LIST", b"abc"), chunk(b"data", bytes(800))), id="wav, odd chunk"),
        pytest.param(riff(b"WAVE", FORMAT, chunk(b"data", bytes(800)), length=0), id="wav, RIFF of unknown size"),
        pytest.param(riff(b"AVI ", HEADER, FRAMES, INDEX), id="avi"),
        pytest.param(riff(b"AVI ", HEADER, FRAMES, length=0), id="avi, RIFF of unknown size"),
        pytest.param(riff(b"AVI ", HEADER, FRAMES, INDEX) + riff(b"AVIX", FRAMES), id="avi of two parts"),
        pytest.param(box(b"ftyp", b"isom") + box(b"moov", bytes(99)) + box(b"mdat", bytes(800)), id="mp4"),
        pytest.param(box(b"wide", b"") + box(b"mdat", bytes(99)) + box(b"moov", bytes(800)), id="mov"),
        pytest.param(box(b"ftyp", b"isom") + box(b"new!", b"") + LARGE, id="mp4 with a long size"),
        pytest.param(box(b"moov", b"") + 3 * (box(b"moof", bytes(99)) + box(b"mdat", bytes(800))), id="fragments"),
    ],
)
@pytest.mark.parametrize("cut", CUTS)
def test_a_file_that_was_cut_does_not(write, content, cut):
    assert not is_whole(write(content[:-cut]))


def test_the_reason_says_where(write):
    path = write(riff(b"WAVE", FORMAT, chunk(b"data", bytes(800)))[:-100])
    with pytest.raises(SignalError, match=r"its 'data' should end at byte 844, and it ends at byte 744"):
        check_not_truncated(path)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_what_the_standard_library_writes(tmp_path, width):
    path = tmp_path / "a.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, width, 8000, 0, "NONE", "not compressed"))
        file.writeframes(bytes(1001 * width))
    assert is_whole(path)


@pytest.mark.parametrize("format", ["WAV", "WAVEX", "RF64", "W64", "AIFF", "FLAC", "OGG"])
def test_what_soundfile_writes(tmp_path, format):
    soundfile = pytest.importorskip("soundfile")
    path = tmp_path / "a.wav"
    for subtype in ("PCM_16", "PCM_U8", "PCM_24", "FLOAT", "ULAW", "IMA_ADPCM", "VORBIS"):
        if soundfile.check_format(format, subtype):
            soundfile.write(path, np.zeros(8001), 16_000, format=format, subtype=subtype)
            assert is_whole(path), subtype


@pytest.mark.parametrize(
    ("suffix", "codec", "told"),
    [
        ("avi", "mpeg4", True),
        ("avi", "mjpeg", True),
        ("mp4", "mpeg4", True),
        ("mov", "mpeg4", True),
        ("mkv", "mpeg4", False),
        ("webm", "libvpx", False),
        ("mpg", "mpeg2video", False),
        ("wmv", "wmv2", False),
        ("flv", "flv", False),
    ],
)
def test_what_pyav_writes(tmp_path, suffix, codec, told):
    av = pytest.importorskip("av")
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for shade in range(0, 250, 10):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), shade, np.uint8))))
        container.mux(stream.encode())
    assert is_whole(path)
    content = path.read_bytes()
    for cut in (*CUTS, len(content) // 2, len(content) - 60):
        path.write_bytes(content[:-cut])
        assert is_whole(path) != told, cut
