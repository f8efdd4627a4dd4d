import os
import shutil
from collections import Counter

import pytest
import torch
from torch_geometric.loader import DataLoader

pytest.importorskip("av")
pytest.importorskip("dlib")
pytest.importorskip("opensmile")
pytest.importorskip("pybvh")

from corpora import CORPORA, EMODB, IEMOCAP, RAVDESS_VIDEOS, RML, WAV, evaluation, write

from lgrin.datasets import RAVDESS, EmoDB
from lgrin.features import FaceLandmarks, SignalError, Speech
from lgrin.transforms import CyclicPad, Resample

QUIET = {"workers": 1, "progress": False}


def open_corpus(corpus, root, **options):
    return corpus.dataset(root, **{"features": corpus.features, **QUIET, **options})


def told(dataset):
    """What a dataset says of each of its files."""
    return {
        data.name: (dataset.classes[int(data.y)], dataset.groups[int(data.group)], data.get("text")) for data in dataset
    }


def listing(root):
    return {path: path.stat().st_mtime_ns for path in root.rglob("*")}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module", params=CORPORA)
def corpus(request):
    return CORPORA[request.param]


@pytest.fixture(scope="module")
def root(corpus, tmp_path_factory):
    return corpus.make(tmp_path_factory.mktemp("corpus"))


def test_every_recording_is_there_as_the_corpus_describes_it(corpus, root, cache):
    before = listing(root)
    dataset = open_corpus(corpus, root, cache=cache)
    assert listing(root) == before, "with a cache elsewhere nothing is written into the corpus"
    assert told(dataset) == corpus.recordings
    assert {data.name: data.num_nodes for data in dataset} == corpus.lengths()
    assert dataset.classes == corpus.classes.split()
    assert dataset.num_classes == len(dataset.classes)
    assert dataset.groups == sorted({group for _, group, _ in corpus.recordings.values()})
    assert dataset.num_frames == corpus.num_frames
    assert dataset.num_features == corpus.num_features
    assert dataset.failures == {}
    for data in dataset:
        assert data.x.dtype == torch.float32
        assert data.frame.tolist() == list(range(data.num_nodes))
        assert data.frame_rate.item() == pytest.approx(float(corpus.frame_rate), rel=5e-3)


def test_frames_are_those_of_the_file_and_a_frame_without_a_face_keeps_its_place(corpus, root, cache):
    data = open_corpus(corpus, root, cache=cache)[0]
    x, mask, _ = corpus.features(root / data.name)
    assert torch.allclose(data.x[:, : x.size(1)], x, equal_nan=True)
    assert (data.get("mask") is None) == bool(mask.all())
    if not mask.all():
        assert data.mask.tolist() == mask.tolist()
        assert data.mask.tolist()[:3] == [True, False, True]


def test_pyg_batches_and_transforms_take_it(corpus, root, cache):
    plain = open_corpus(corpus, root, cache=cache)
    batch = next(iter(DataLoader(plain, len(plain))))
    assert torch.bincount(batch.batch).tolist() == [corpus.lengths()[name] for name in batch.name]
    assert batch.y.shape == batch.group.shape == batch.frame_rate.shape == (len(plain),)
    for transform in (Resample(5), CyclicPad(5, longer="crop")):
        for option in ("transform", "pre_transform"):
            dataset = open_corpus(corpus, root, cache=cache, **{option: transform})
            batch = next(iter(DataLoader(dataset, len(dataset))))
            assert torch.bincount(batch.batch).tolist() == [5] * len(plain)
            assert batch.x[batch.mask if "mask" in batch else slice(None)].isfinite().all()


def test_it_prints_as_a_summary(corpus, root, cache, capsys):
    dataset = open_corpus(corpus, root, cache=cache)
    text = str(dataset)
    assert len(text.splitlines()) <= 8
    assert text.startswith(f"{corpus.dataset.__name__}: {len(corpus.recordings)} sequences, {dataset.num_classes} cla")
    for name, count in zip(dataset.classes, torch.bincount(dataset.y, minlength=dataset.num_classes), strict=True):
        assert f"{name} {count}" in text
    dataset.print_summary()
    assert capsys.readouterr().out.strip() == text


def test_a_broken_file_stops_or_is_listed_and_everything_else_is_there(corpus, root, cache, tmp_path):
    name, reason = corpus.spoil(shutil.copytree(root, tmp_path / "corpus"))
    match = f"{name}: .*{reason}"
    with pytest.raises(SignalError, match=f"{tmp_path}/corpus/{match}"):
        open_corpus(corpus, tmp_path / "corpus", cache=cache)
    with pytest.warns(UserWarning, match=f"1 of .* files yield no frames and are left out:\n.*{match}"):
        dataset = open_corpus(corpus, tmp_path / "corpus", cache=cache, on_error="skip")
    with pytest.raises(SignalError, match=match):
        open_corpus(corpus, tmp_path / "corpus", cache=cache)
    assert list(dataset.failures) == [name]
    assert reason in dataset.failures[name]
    assert told(dataset) == corpus.recordings
    assert name in str(dataset)


def test_a_missing_corpus_is_an_error_with_an_example_and_whom_to_ask(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr("lgrin.datasets.download.ZENODO", "http://127.0.0.1:9")
    published = corpus.dataset in (EmoDB, RAVDESS)
    expected = rf"holds no recording of .*{tmp_path}/{corpus.dataset.example}"
    match = "is incomplete in .*fetching it failed" if published else expected
    with pytest.raises(OSError if published else FileNotFoundError, match=f"{match}.*https?://"):
        open_corpus(corpus, tmp_path)
    assert not list(tmp_path.rglob("*"))


def test_a_name_that_says_nothing_is_an_error_or_listed(tmp_path):
    EMODB.make(tmp_path)
    write(tmp_path / "wav" / "noise.wav")
    with pytest.raises(ValueError, match=r"wav/noise\.wav: its name does not say speaker, .* \(on_error='skip' leaves"):
        open_corpus(EMODB, tmp_path)
    with pytest.warns(UserWarning, match=r"1 files are left out for their names:\n.*wav/noise\.wav: its name does not"):
        dataset = open_corpus(EMODB, tmp_path, on_error="skip")
    assert list(dataset.failures) == ["wav/noise.wav"]
    assert told(dataset) == EMODB.recordings


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("s1/xx1.avi", "its name starts with none of an, di, fe, ha, sa, su"),
        ("s1_old/an1.avi", "it lies in no folder of a subject, such as s1"),
    ],
)
def test_rml_says_what_is_odd_about_a_path(tmp_path, cache, name, reason):
    write(RML.make(tmp_path) / name)
    with pytest.raises(ValueError, match=f"{name}: {reason}"):
        open_corpus(RML, tmp_path, cache=cache)


def test_mpi_says_what_is_odd_about_a_name(tmp_path):
    corpus = CORPORA["MPIBodyExpressions"]
    corpus.make(tmp_path)
    odd = {
        "AnBh_angerfear.bvh": "its name holds 0 of the emotions",
        "AnBh_anger_or_Fear.bvh": "its name holds 2 of the emotions",
        "Nobody_0112_Joy.bvh": "its name holds none of the actors",
    }
    for name in odd:
        write(tmp_path / name)
    with pytest.warns(UserWarning, match="3 files are left out for their names"):
        dataset = open_corpus(corpus, tmp_path, on_error="skip")
    assert told(dataset) == corpus.recordings
    assert all(dataset.failures[name].startswith(reason) for name, reason in odd.items())


def test_what_is_made_follows_the_settings_of_the_features(tmp_path):
    EMODB.make(tmp_path)
    by_layout = {layout: EmoDB(tmp_path, Speech(layout), **QUIET) for layout in ("paper", "released", "paper", "is09")}
    assert {layout: dataset.num_features for layout, dataset in by_layout.items()} == {
        "paper": 34,
        "released": 33,
        "is09": 32,
    }
    assert torch.equal(by_layout["paper"][0].x, Speech("paper")(tmp_path / by_layout["paper"][0].name).x)


def test_normalisation_of_faces_is_never_served_from_the_other_cache(tmp_path):
    RAVDESS_VIDEOS.make(tmp_path)
    raw, normal, again = (
        RAVDESS(tmp_path, FaceLandmarks("dlib", normalize=normalize), **QUIET) for normalize in (False, True, False)
    )
    assert raw[0].x[0].max() > 100, "pixels"
    assert normal[0].x[0].abs().max() < 5, "distances between the eyes"
    assert torch.equal(raw[0].x[0], again[0].x[0])


def test_files_that_come_or_change_or_go_are_noticed(tmp_path, monkeypatch):
    EMODB.make(tmp_path)
    names = list(EMODB.recordings)
    assert len(open_corpus(EMODB, tmp_path)) == 7
    new = write(tmp_path / "wav" / "16b10Wb.wav", length=30)
    longer = open_corpus(EMODB, tmp_path)
    assert told(longer) == {**EMODB.recordings, "wav/16b10Wb.wav": ("anger", "16", "b10")}
    stamp = (tmp_path / names[0]).stat().st_mtime
    os.utime(write(tmp_path / names[0], length=20), (stamp + 1, stamp + 1))
    assert {data.name: data.num_nodes for data in open_corpus(EMODB, tmp_path)} == {
        **EMODB.lengths(),
        names[0]: 20,
        "wav/16b10Wb.wav": 30,
    }
    new.unlink()
    assert len(open_corpus(EMODB, tmp_path)) == 7
    monkeypatch.setattr(Speech, "read", lambda self, path: pytest.fail("nothing is read twice"))
    monkeypatch.setattr(EmoDB, "process", lambda self: pytest.fail("nothing is put together twice"))
    assert len(open_corpus(EMODB, tmp_path)) == 7


def test_ravdess_pairs_the_copies_of_a_recording(tmp_path, cache):
    RAVDESS_VIDEOS.make(tmp_path)

    def names(**options):
        return {data.name for data in open_corpus(RAVDESS_VIDEOS, tmp_path, cache=cache, **options)}

    once, twin = set(RAVDESS_VIDEOS.recordings), set(RAVDESS_VIDEOS.unwanted[:2])
    assert names(modality="audio-video") == once
    assert names(modality="video-only") == twin
    assert names(modality="both") == once | twin
    assert names(channel="speech") == {name for name in once if "/01-01-" in name}
    assert names(channel="song") == {"Actor_01/01-02-02-01-01-02-01.mp4"}
    copies, labels = Counter(), set()
    for data in open_corpus(RAVDESS_VIDEOS, tmp_path, cache=cache, modality="both"):
        copies[data.recording] += 1
        labels.add((data.recording, int(data.y), int(data.group), data.text))
    assert copies == {
        "01-01-01-01-01-01": 1,
        "01-06-02-02-01-01": 2,
        "01-08-01-02-01-18": 1,
        "01-07-01-01-01-24": 1,
        "02-02-01-01-02-01": 2,
    }
    assert len(labels) == len(copies), "copies are labelled alike"


@pytest.mark.parametrize("features", [Speech(), CORPORA["RAVDESS landmarks"].features])
def test_ravdess_has_two_copies_of_videos_only(tmp_path, features):
    with pytest.raises(ValueError, match=r"modality is 'both', but (Speech|OpenFace)\(.*\) does not read videos"):
        RAVDESS(tmp_path, features, modality="both")
    with pytest.raises(ValueError, match="channel is 'whisper'; it may be 'speech', 'song', 'both'"):
        RAVDESS(tmp_path, features, channel="whisper")
    with pytest.raises(ValueError, match=r"features is Mocap\(.*\), which reads none of .csv, .wav, .mp4"):
        RAVDESS(tmp_path, CORPORA["MPIBodyExpressions"].features)


@pytest.mark.parametrize(("layout", "told"), [("paper", [[0.0], [1.0]]), ("released", [[1.0, 0.0], [0.0, 1.0]])])
def test_iemocap_tells_acted_from_spontaneous_in_35_features(tmp_path, layout, told):
    dataset = open_corpus(IEMOCAP, IEMOCAP.make(tmp_path), features=Speech(layout))
    assert dataset.num_features == 35
    for data in dataset:
        spontaneous = "impro" in data.name
        assert torch.equal(data.x[:, : -len(told[0])], Speech(layout)(tmp_path / data.name).x)
        assert data.x[:, -len(told[0]) :].tolist() == [told[spontaneous]] * data.num_nodes
    fixed = open_corpus(IEMOCAP, tmp_path, features=Speech(layout, spontaneous=True))
    assert fixed.num_features == 35
    assert fixed[0].x[0, -1] == 1


def test_iemocap_groups_by_session_or_speaker(tmp_path):
    IEMOCAP.make(tmp_path)
    assert open_corpus(IEMOCAP, tmp_path).groups == ["1", "5"]
    by_speaker = open_corpus(IEMOCAP, tmp_path, group_by="speaker")
    assert by_speaker.groups == ["1F", "1M", "5F", "5M"]
    assert {data.name[-8:-4]: by_speaker.groups[int(data.group)] for data in by_speaker} == {
        "F000": "1F",
        "M000": "1M",
        "F002": "1F",
        "MXX0": "5M",
        "F011": "5F",
    }
    with pytest.raises(ValueError, match="group_by is 'dialogue'; it may be 'session', 'speaker'"):
        open_corpus(IEMOCAP, tmp_path, group_by="dialogue")


def test_iemocap_follows_its_reports(tmp_path):
    IEMOCAP.make(tmp_path)
    assert len(open_corpus(IEMOCAP, tmp_path)) == 5
    report = tmp_path / "Session5" / "dialog" / "EmoEvaluation" / "Ses05M_impro04.txt"
    report.write_text(evaluation(Ses05M_impro04_F011="ang"))
    name = f"Session5/{WAV}/Ses05M_impro04/Ses05M_impro04_F011.wav"
    assert told(open_corpus(IEMOCAP, tmp_path)) == {**IEMOCAP.recordings, name: ("angry", "5", None)}
    report.write_text("")
    with pytest.raises(ValueError, match=rf"{name}: its name is no turn of its session's EmoEvaluation files"):
        open_corpus(IEMOCAP, tmp_path)
    for path in report.parent.glob("Ses*.txt"):
        path.rename(path.with_name(f"._{path.name}"))
    with pytest.raises(FileNotFoundError, match=r"Session5 has no dialog/EmoEvaluation/\*\.txt"):
        open_corpus(IEMOCAP, tmp_path)


def test_a_root_in_the_home_folder_may_be_abbreviated(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    EMODB.make(tmp_path / "emodb")
    assert len(EmoDB("~/emodb", cache="~/cache", **QUIET)) == 7
    assert (tmp_path / "cache" / "processed").is_dir()


def test_datasets_that_share_a_cache_do_not_mix(tmp_path):
    class Sixty(EmoDB):
        default_num_frames = 60

    EMODB.make(tmp_path / "emodb")
    assert EmoDB(tmp_path / "emodb", cache=tmp_path / "cache", **QUIET).num_frames == 120
    assert Sixty(tmp_path / "emodb", cache=tmp_path / "cache", **QUIET).num_frames == 60


def test_processes_side_by_side_make_the_same(tmp_path):
    EMODB.make(tmp_path)
    one = open_corpus(EMODB, tmp_path, cache=tmp_path / "one")
    two = open_corpus(EMODB, tmp_path, cache=tmp_path / "two", workers=2)
    assert told(one) == told(two)
    assert all(torch.equal(a.x, b.x) for a, b in zip(one, two, strict=True))
