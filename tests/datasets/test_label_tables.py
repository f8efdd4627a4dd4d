"""Tables of labels as spreadsheets and scripts write them: read, or refused with their line."""

import pytest
import soundfile

pytest.importorskip("opensmile")

import numpy as np

from lgrin.datasets import AudioFolder
from lgrin.delimited import read_rows

QUIET = {"workers": 1, "progress": False}


@pytest.fixture
def root(tmp_path):
    for name in ("a.wav", "b, c.wav"):
        soundfile.write(tmp_path / name, np.random.default_rng(0).normal(0, 0.1, 4_000), 16_000)
    return tmp_path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_tables_are_read_as_spreadsheets_write_them(root, encoding, ending, delimiter):
    lines = [["path", "label"], ["a.wav", "fröhlich"], [], ['"b, c.wav"', "愤怒"]]
    text = ending.join(delimiter.join(line) for line in lines) + ending
    (root / "labels.csv").write_bytes(text.encode(encoding))
    dataset = AudioFolder(root, labels=root / "labels.csv", **QUIET)
    assert {data.name: dataset.classes[int(data.y)] for data in dataset} == {"a.wav": "fröhlich", "b, c.wav": "愤怒"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("path,label\na.wav,fröhlich\n".encode("latin-1"), r"labels\.csv, line 2: byte 0xf6 is no UTF-8; save the"),
        ("path,label\na.wav,calm\n".encode("utf-16-le"), r"labels\.csv, line 1: it holds a zero byte"),
        (b"path,label,label\na.wav,calm,glad\n", r"labels\.csv has two columns 'label'; give each a name"),
        (b'path,label\na.wav,"calm\n', r"labels\.csv, line 2: a quote is left open"),
        (b'path,label\na.wav,"calm\nb.wav,glad"\n', r"labels\.csv, line 2: a cell goes over several lines; a quote"),
        (b'path,label\n"a.wav,calm\n"b.wav",glad\n', r"labels\.csv, line 2: a quote is left open"),
        (b"path,label\na.wav,calm\nb, c.wav,glad\n", r"labels\.csv, line 3: it has 3 cells, and there are 2 columns"),
        (b"path,label\n\n\na.wav,\n", r"labels\.csv, line 4: path or label is empty"),
        (b"", r"lacks the column 'path'; it has \[\]"),
    ],
    ids=["latin", "utf-16 unmarked", "twice", "open", "two lines", "swallowed", "comma", "line", "empty"],
)
def test_what_is_wrong_with_a_table_of_labels_is_said_with_its_line(root, content, message):
    (root / "labels.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        AudioFolder(root, labels=root / "labels.csv", **QUIET)


def test_a_row_may_leave_out_its_last_cells(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("path,label,group,text\na.wav,calm,anna\n")
    assert list(read_rows(path))[1] == (2, {"path": "a.wav", "label": "calm", "group": "anna", "text": ""})
