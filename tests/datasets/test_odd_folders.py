"""Folders as people have them: links, odd names, nothing that can be written to, parts that are missing."""

import numpy as np
import pytest
import soundfile
import torch
from audio_files import voice, write_audio

from lgrin.datasets import RAVDESS, AudioFolder, EmoDB, from_arrays
from lgrin.features import Mocap, Speech

QUIET = {"workers": 1, "progress": False}


def noise(path, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.random.default_rng(seed).normal(0, 0.1, 4_000), 16_000)


def test_links_to_folders_are_followed_and_circles_end(tmp_path):
    noise(tmp_path / "mine" / "calm" / "a.wav")
    noise(tmp_path / "elsewhere" / "b.wav", 1)
    (tmp_path / "mine" / "glad").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "mine" / "glad" / "back").symlink_to(tmp_path / "mine")
    assert AudioFolder(tmp_path / "mine", **QUIET).classes == ["calm", "glad"]


def test_a_class_may_be_called_processed(tmp_path):
    noise(tmp_path / "raw" / "a.wav")
    noise(tmp_path / "processed" / "b.wav", 1)
    for _ in range(2):
        assert AudioFolder(tmp_path, **QUIET).classes == ["processed", "raw"]


def test_links_to_nothing_and_files_that_cannot_be_read_are_listed(tmp_path):
    noise(tmp_path / "calm" / "a.wav")
    (tmp_path / "calm" / "gone.wav").symlink_to(tmp_path / "nowhere.wav")
    (tmp_path / "calm" / "folder.wav").mkdir()
    with pytest.warns(UserWarning, match="it is a link to nothing"):
        dataset = AudioFolder(tmp_path, on_error="skip", **QUIET)
    assert dataset.failures == {"calm/gone.wav": "it is a link to nothing"}


def test_a_file_of_the_same_length_and_date_is_noticed(tmp_path):
    path = tmp_path / "calm" / "a.wav"
    noise(path)
    before = AudioFolder(tmp_path, **QUIET)[0].x
    date = path.stat().st_mtime_ns
    noise(path, seed=1)
    import os

    os.utime(path, ns=(date, date))
    assert not torch.equal(AudioFolder(tmp_path, **QUIET)[0].x, before)


def test_features_that_a_corpus_has_not_are_refused_before_anything_is_fetched(tmp_path, monkeypatch):
    monkeypatch.setattr("lgrin.datasets.emodb.zenodo_files", lambda record: pytest.fail("asked the network"))
    noise(tmp_path / "wav" / "03a01Fa.wav")
    with pytest.raises(ValueError, match=r"which reads \.bvh, but EmoDB has \.wav; take an extractor of these"):
        EmoDB(tmp_path, Mocap(), **QUIET)
    assert len(EmoDB(tmp_path / "wav", cache=tmp_path / "cache", **QUIET)) == 1


def test_a_channel_that_is_missing_beside_another_is_named(tmp_path):
    noise(tmp_path / "Actor_01" / "03-01-06-01-02-01-01.wav")
    with pytest.raises(
        FileNotFoundError, match=r"none of song, though channel is 'both'; RAVDESS\(..., channel='song'\)"
    ):
        RAVDESS(tmp_path, Speech(), **QUIET)
    assert len(RAVDESS(tmp_path, Speech(), channel="speech", **QUIET)) == 1


def test_the_length_follows_what_is_left(tmp_path):
    for index, seconds in enumerate((0.1, 0.5)):
        place = tmp_path / "calm" / f"{index}.wav"
        place.parent.mkdir(exist_ok=True)
        soundfile.write(place, np.random.default_rng(0).normal(0, 0.1, round(16_000 * seconds)), 16_000)
    assert AudioFolder(tmp_path, **QUIET).num_frames == 48
    assert AudioFolder(tmp_path, pre_filter=lambda data: len(data.x) < 20, **QUIET).num_frames == 8


def test_a_summary_of_nothing_is_one():
    assert "frames   none" in str(from_arrays([np.zeros((2, 3))], ["a"])[:0])


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0)[::-1].reshape(3, 2)[::-1],
        np.arange(6).reshape(3, 2).astype(">f4"),
        torch.ones(3, 2, requires_grad=True),
        torch.ones(3, 2, dtype=torch.bfloat16),
        [[1, 2], [3, 4], [5, 6]],
    ],
    ids=["reversed", "big-endian", "with gradient", "bfloat16", "list"],
)
def test_all_kinds_of_arrays_are_taken(array):
    data = from_arrays([array], ["a"])[0]
    expected = torch.as_tensor(np.array(array.detach().float() if isinstance(array, torch.Tensor) else array, float))
    assert torch.equal(data.x.double(), expected)


def test_what_is_masked_in_an_array_is_missing():
    array = np.ma.array([[1.0, 2], [3, 4]], mask=[[False, False], [True, False]])
    assert from_arrays([array], ["a"])[0].x.tolist() == [[1, 2], [1, 4]]
    array = np.ma.array([[1.0, 2], [3, 4]], mask=[[False, False], [True, True]])
    assert from_arrays([array], ["a"])[0].mask.tolist() == [True, False]


@pytest.mark.parametrize(
    ("labels", "groups", "message"),
    [
        ([None], None, r"labels\[0\] is None; every sequence needs a name or a number"),
        ([float("nan")], None, r"labels\[0\] is nan"),
        (["a"], [None], r"groups\[0\] is None"),
    ],
)
def test_sequences_without_a_name_for_their_class_or_group_are_refused(labels, groups, message):
    with pytest.raises(ValueError, match=message):
        from_arrays([np.zeros((2, 1))], labels, groups)


def test_arrays_that_are_none_are_named():
    with pytest.raises(ValueError, match=r"arrays\[1\] is no \[T, P\] array of real numbers"):
        from_arrays([np.zeros((2, 2)), [[1, 2], [3]]], ["a", "b"])


def test_every_file_that_is_not_read_is_named_and_a_class_without_a_recording_too(tmp_path):
    noise(tmp_path / "calm" / "a.wav")
    for name in ("calm/notes.txt", "angry/a.xyz", "angry/b", "sad/deep/.hidden"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("no sound")
    for _ in range(2):
        with pytest.warns(
            UserWarning, match=r"not read: angry/a\.xyz, angry/b, calm/notes\.txt .* no class: angry, sad"
        ):
            dataset = AudioFolder(tmp_path, **QUIET)
    assert list(dataset.passed_over) == ["angry/a.xyz", "angry/b", "calm/notes.txt"]
    assert dataset.passed_over["angry/a.xyz"].startswith("its name ends in .xyz; Speech reads .wav, .flac")
    assert dataset.passed_over["angry/b"].startswith("its name has no ending")
    assert "not read angry/a.xyz; angry/b" in str(dataset)
    assert dataset.failures == {}


def test_what_lgrin_wrote_and_what_a_table_leaves_out_is_not_named(tmp_path, recwarn):
    noise(tmp_path / "calm" / "a.wav")
    (tmp_path / "labels.csv").write_text("path,label\ncalm/a.wav,calm\n")
    AudioFolder(tmp_path, labels=tmp_path / "labels.csv", **QUIET)
    assert AudioFolder(tmp_path, labels=tmp_path / "labels.csv", **QUIET).passed_over == {}
    (tmp_path / "labels.csv").unlink()
    assert [AudioFolder(tmp_path, **QUIET).passed_over for _ in range(2)] == [{}, {}]
    assert not [warning for warning in recwarn if "not read" in str(warning.message)]


def test_sound_of_every_kind_is_read_from_a_folder(tmp_path):
    for index, name in enumerate(("a.m4a", "a.opus", "a.aac", "a.wma", "a.aif", "a.mp4", "a.webm")):
        write_audio(tmp_path / f"class{index}" / name, voice(pitch=100 + 20 * index))
    dataset = AudioFolder(tmp_path, **QUIET)
    assert dataset.classes == [f"class{index}" for index in range(7)]
    assert (dataset.passed_over, dataset.failures) == ({}, {})
