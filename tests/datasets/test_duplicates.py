"""One recording that a corpus holds twice is found by its content, named, and taken once."""

import shutil
import warnings

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("opensmile")

from audio_files import voice, write_audio

from lgrin.datasets import RAVDESS, AudioFolder, EmoDB
from lgrin.features import Speech

QUIET = {"workers": 1, "progress": False}


def names(dataset):
    return [data.name for data in dataset]


def fill(root, *files):
    for name in files:
        write_audio(root / name, voice(pitch=100 + sum(map(ord, name))))
    return root


def test_a_nested_copy_of_a_corpus_is_taken_once(tmp_path):
    fill(tmp_path, "calm/a.wav", "glad/a.wav")
    for label in ("calm", "glad"):
        shutil.copytree(tmp_path / label, tmp_path / "backup" / label)
    with pytest.warns(UserWarning, match=r"2 recordings are there twice .*\n  backup/calm/a\.wav is calm/a\.wav"):
        dataset = AudioFolder(tmp_path, **QUIET)
    assert names(dataset) == ["calm/a.wav", "glad/a.wav"]
    assert dataset.classes == ["calm", "glad"]
    assert dataset.failures["backup/glad/a.wav"] == "it is the same recording as glad/a.wav"


def test_a_nested_copy_of_a_known_corpus_is_taken_once(tmp_path):
    fill(tmp_path, "wav/03a01Fa.wav", "wav/08b10Lb.wav")
    shutil.copytree(tmp_path / "wav", tmp_path / "EmoDB" / "wav")
    with pytest.warns(UserWarning, match="2 recordings are there twice"):
        assert names(EmoDB(tmp_path, **QUIET)) == ["wav/03a01Fa.wav", "wav/08b10Lb.wav"]


def test_the_same_content_under_another_name_is_taken_once(tmp_path):
    fill(tmp_path, "calm/anna/a.wav", "glad/bert/c.wav")
    (tmp_path / "calm" / "bert").mkdir()
    shutil.copy(tmp_path / "calm" / "anna" / "a.wav", tmp_path / "calm" / "bert" / "copy of a.wav")
    with pytest.warns(UserWarning, match=r"calm/bert/copy of a\.wav is calm/anna/a\.wav"):
        dataset = AudioFolder(tmp_path, **QUIET)
    assert names(dataset) == ["calm/anna/a.wav", "glad/bert/c.wav"]


@pytest.mark.parametrize("other", ["a.flac", "a.mp3", "a.m4a", "a.ogg", "a.opus", "a.aac", "a.wma"])
def test_another_encoding_of_a_recording_is_taken_once_and_the_lossless_one_kept(tmp_path, other):
    write_audio(tmp_path / "calm" / "a.wav", voice(2.0))
    write_audio(tmp_path / "calm" / other, voice(2.0))
    fill(tmp_path, "glad/a.wav")
    with pytest.warns(UserWarning, match=rf"calm/{other} is calm/a\.wav"):
        assert names(AudioFolder(tmp_path, **QUIET)) == ["calm/a.wav", "glad/a.wav"]


def test_other_recordings_of_the_same_name_and_length_are_kept(tmp_path):
    write_audio(tmp_path / "calm" / "a.wav", np.random.default_rng(0).normal(0, 0.1, 16_000))
    write_audio(tmp_path / "calm" / "a.mp3", voice(1.0))
    write_audio(tmp_path / "calm" / "b.wav", voice(1.0, pitch=200))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert names(AudioFolder(tmp_path, **QUIET)) == ["calm/a.mp3", "calm/a.wav", "calm/b.wav"]


def test_one_content_with_two_classes_is_named_and_kept(tmp_path):
    fill(tmp_path, "calm/a.wav")
    (tmp_path / "glad").mkdir()
    shutil.copy(tmp_path / "calm" / "a.wav", tmp_path / "glad" / "b.wav")
    with pytest.warns(UserWarning, match=r"calm/a\.wav and glad/b\.wav hold the same recording, but their classes are"):
        assert names(AudioFolder(tmp_path, **QUIET)) == ["calm/a.wav", "glad/b.wav"]


def test_a_corpus_that_has_several_files_of_a_recording_keeps_them(tmp_path):
    fill(tmp_path, "Actor_01/03-01-05-02-01-01-01.wav")
    other = tmp_path / "Actor_01" / "03-01-05-01-01-01-01.wav"
    shutil.copy(tmp_path / "Actor_01" / "03-01-05-02-01-01-01.wav", other)
    assert len(RAVDESS(tmp_path, Speech(), channel="speech", **QUIET)) == 2


def test_what_is_taken_once_is_remembered(tmp_path):
    fill(tmp_path, "calm/a.wav")
    shutil.copy(tmp_path / "calm" / "a.wav", tmp_path / "calm" / "b.wav")
    with pytest.warns(UserWarning, match="1 recordings are there twice"):
        first = AudioFolder(tmp_path, **QUIET)
    assert AudioFolder(tmp_path, **QUIET).failures == first.failures == {"calm/b.wav": first.failures["calm/b.wav"]}
