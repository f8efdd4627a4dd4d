"""Sets of other fields, where the packages that ship them are installed."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from examples.reproduce import corpora, fields

needs_music = pytest.mark.skipif(find_spec("music21") is None, reason="music21 is not installed")


def test_each_sequence_is_tested_once_and_classes_are_shared_out():
    corpus = fields.halves("toy", np.zeros((30, 4, 2)), ["a", "b", "b"] * 10)
    first, second = corpus.folds
    assert sorted(first.test + second.test) == list(range(30))
    assert set(first.train) == set(second.test)
    assert sum(int(corpus.sequences[index].y) for index in first.test) == 10
    assert corpus.classes == ("a", "b")


def test_a_melody_is_read_note_by_note():
    assert fields.melody("C2 ^c z/2 _B, c'").flatten().tolist() == [0, 0, 13, 13, -2, 24]
    assert fields.melody("").shape == (0, 1)


def test_what_ships_a_set_is_named_where_it_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("R_LIBS_SITE", str(tmp_path))
    monkeypatch.setattr(corpora, "find_spec", lambda name: None)
    pytest.importorskip("rdata")
    with pytest.raises(FileNotFoundError, match="apt-get install r-cran-kernlab"):
        fields.promoters()
    with pytest.raises(ImportError, match="pip install --no-deps music21"):
        fields.songs()


@needs_music
def test_voices_sound_as_long_as_they_are_written():
    from music21 import note, stream

    parts = [stream.Part(), stream.Part()]
    for part, pitches in zip(parts, ((60, 62), (48, 50)), strict=True):
        for pitch in pitches:
            part.append(note.Note(pitch, quarterLength=4.0))
    x = fields.voices(stream.Score(parts))
    assert x.shape == (16, 4)
    assert x[:8, 0].tolist() == [60] * 8
    assert x[8:, 1].tolist() == [50] * 8
    assert not x[:, 2:].any()
    assert fields.voices(stream.Score(parts[:1])) is None


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("Sonar", (208, 60, 1, 2)),
        ("Ionosphere", (351, 17, 2, 2)),
        ("DNA", (3186, 60, 3, 3)),
        ("Satellite", (6435, 9, 4, 6)),
        ("promoters", (106, 57, 4, 2)),
        ("tecator", (215, 100, 1, 2)),
    ],
)
def test_sets_of_r_have_their_sizes(name, sizes):
    pytest.importorskip("rdata")
    if not Path(fields.R_LIBRARY, "mlbench").exists():
        pytest.skip("r-cran-mlbench is not installed")
    corpus = fields.FIELDS[name]()
    assert (len(corpus.sequences), *corpus.sequences[0].x.shape, len(corpus.classes)) == sizes
