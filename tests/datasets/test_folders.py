import warnings

import numpy as np
import pytest
import torch
from torch_geometric.loader import DataLoader

pytest.importorskip("av")
pytest.importorskip("dlib")
pytest.importorskip("opensmile")
pytest.importorskip("pybvh")

from corpora import LANDMARKS, write
from mocap_files import write_bvh, write_skeleton

from lgrin import LGrIN
from lgrin.datasets import AudioFolder, MocapFolder, VideoFolder, from_arrays
from lgrin.features import SignalError
from lgrin.transforms import Resample

QUIET = {"workers": 1, "progress": False}
KINDS = {".wav": (AudioFolder, None, 34), ".bvh": (MocapFolder, None, 72), ".mp4": (VideoFolder, LANDMARKS, 136)}


def fill(root, *names):
    for number, name in enumerate(names):
        write(root / name, length=3 + number)
    return root


def table(root, *lines):
    path = root / "labels.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("ending", KINDS)
def test_classes_and_groups_are_read_from_folders(tmp_path, ending):
    kind, features, num_features = KINDS[ending]
    names = [f"calm/a{ending}", f"calm/b{ending}", f"glad/a{ending}"]
    dataset = kind(fill(tmp_path / "classes", *names), features, **QUIET)
    assert {data.name: dataset.classes[int(data.y)] for data in dataset} == dict(
        zip(names, ("calm", "calm", "glad"), strict=True)
    )
    assert dataset.groups == []
    assert "group" not in dataset[0]
    assert dataset.num_features == num_features
    names = [f"calm/anna/a{ending}", f"glad/bert/b{ending}", f"glad/processed/c{ending}"]
    grouped = kind(fill(tmp_path / "groups", *names), features, num_frames=40, **QUIET)
    assert {data.name: grouped.groups[int(data.group)] for data in grouped} == dict(
        zip(names, ("anna", "bert", "processed"), strict=True)
    )
    lengths = [data.num_nodes for data in dataset]
    assert (dataset.num_frames, grouped.num_frames) == (max(lengths), 40)


def test_hidden_files_and_other_files_are_passed_over_and_files_without_a_class_are_not(tmp_path):
    fill(tmp_path, "calm/a.wav", "glad/b.WAV", "calm/._a.wav", ".trash/c.wav")
    (tmp_path / "calm" / "notes.txt").write_text("none")
    (tmp_path / "processed").mkdir()
    dataset = AudioFolder(tmp_path, **QUIET)
    assert [data.name for data in dataset] == ["calm/a.wav", "glad/b.WAV"]
    assert len(AudioFolder(tmp_path, **QUIET)) == 2
    write(tmp_path / "stray.wav")
    with pytest.raises(ValueError, match=r"stray\.wav: it lies neither in a folder of its class nor in"):
        AudioFolder(tmp_path, **QUIET)
    with pytest.warns(UserWarning, match=r"stray\.wav: it lies neither"):
        assert list(AudioFolder(tmp_path, on_error="skip", **QUIET).failures) == ["stray.wav"]


def test_an_empty_folder_is_an_error_with_an_example(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=rf"holds no recording of AudioFolder \(\.wav, .*{tmp_path}/angry/clip.wav"
    ):
        AudioFolder(tmp_path, **QUIET)
    with pytest.raises(ValueError, match="num_frames is 0; it has to be a whole number, 1 or larger"):
        AudioFolder(tmp_path, num_frames=0, **QUIET)


def test_a_long_list_of_endings_does_not_hide_the_example(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        VideoFolder(tmp_path / "nowhere", LANDMARKS, **QUIET)
    said, where = str(caught.value), str(tmp_path / "nowhere")
    assert said.index("expected, for example") < len(where) + 90
    assert said.endswith(f"There is no folder {where}.")


@pytest.mark.parametrize("caches", [(None, "elsewhere"), (None, "root/data"), ("root/data/processed/audio", None)])
def test_what_lgrin_wrote_into_the_recordings_is_no_file_that_is_passed_over(tmp_path, caches):
    root = fill(tmp_path / "root", "calm/a.wav", "glad/b.wav")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for cache in (*caches, *caches):
            dataset = AudioFolder(root, cache=None if cache is None else tmp_path / cache, **QUIET)
            assert (dataset.classes, dataset.passed_over) == (["calm", "glad"], {})
    assert any((root / "processed").rglob("sequences-*.pt")), "it wrote there"
    (root / "processed" / "own.txt").write_text("not lgrin's")
    (root / "empty").mkdir()
    with pytest.warns(UserWarning, match=r"not read: processed/own\.txt \(.*no class: empty, processed"):
        assert list(AudioFolder(root, **QUIET).passed_over) == ["processed/own.txt"]


def test_a_table_says_class_group_and_text(tmp_path):
    fill(tmp_path, "one.wav", "sub folder/two.wav", "three.wav", "not listed.wav")
    lines = ["text,path, label,group", "hello,one.wav,glad,7", "bye,sub folder\\two.wav, calm,8", ",./three.wav,calm,7"]
    dataset = AudioFolder(tmp_path, labels=table(tmp_path, *lines), **QUIET)
    told = {
        data.name: (dataset.classes[int(data.y)], dataset.groups[int(data.group)], data.text, data.num_nodes)
        for data in dataset
    }
    assert told == {
        "one.wav": ("glad", "7", "hello", 3),
        "sub folder/two.wav": ("calm", "8", "bye", 4),
        "three.wav": ("calm", "7", "", 5),
    }
    assert next(iter(DataLoader(dataset, 3))).text == [data.text for data in dataset]
    changed = AudioFolder(tmp_path, labels=table(tmp_path, "path,label", "one.wav,sad"), **QUIET)
    assert (changed.classes, changed.groups, len(changed)) == (["sad"], [], 1)
    assert "text" not in changed[0]


@pytest.mark.parametrize(
    ("lines", "error", "match"),
    [
        (["path,class", "a.wav,calm"], ValueError, r"lacks the column 'label'; it has \['path', 'class'\]"),
        (["path;label", "a.wav;calm"], ValueError, r"lacks the column 'path'; it has \['path;label'\]"),
        (["path,label", "a.wav,calm", "./a.wav,glad"], ValueError, r"line 3: a\.wav is listed twice"),
        (
            ["path,label", "gone.wav,calm"],
            FileNotFoundError,
            r"line 2: there is no file .*gone\.wav; paths are relative",
        ),
        (["path,label", "a.wav,"], ValueError, "line 2: path or label is empty"),
        (["path,label", ",calm"], ValueError, "line 2: path or label is empty"),
        (["path,label", "../outside.wav,calm"], ValueError, r"line 2: \.\./outside\.wav is not below"),
        (["path,label", "/outside.wav,calm"], ValueError, r"line 2: /outside\.wav is not below"),
        (
            ["path,label", "a.wav,calm", "b.txt,calm"],
            ValueError,
            r"labels lists b\.txt, which is hidden or does not end in \.wav",
        ),
        (
            ["path,label", "a.wav,calm", ".c.wav,calm"],
            ValueError,
            r"labels lists \.c\.wav, which is hidden or does not",
        ),
        (["path,label,group", "a.wav,calm,1", "d.wav,calm,"], ValueError, "1 of 2 recordings in .* have a group; give"),
        (["path,label"], FileNotFoundError, "holds no recording"),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_line(tmp_path, lines, error, match):
    root = fill(tmp_path / "root", "a.wav", ".c.wav", "d.wav", "../outside.wav")
    (root / "b.txt").write_text("no sound")
    with pytest.raises(error, match=match):
        AudioFolder(root, labels=table(root, *lines), **QUIET)


def test_a_table_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"labels is .*labels\.csv, which is not there; it is a CSV file with"):
        AudioFolder(tmp_path, labels=tmp_path / "labels.csv", **QUIET)


def test_groups_are_of_all_or_of_none(tmp_path):
    fill(tmp_path, "calm/a.wav", "calm/anna/b.wav")
    with pytest.raises(ValueError, match=r"1 of 2 recordings in .* have a group; give one to all or to none"):
        AudioFolder(tmp_path, **QUIET)


def test_skeletons_of_one_dataset_are_alike(tmp_path):
    (fill(tmp_path, "calm/a.bvh") / "glad").mkdir()
    write_bvh(tmp_path / "glad" / "b.bvh", np.zeros((4, 12)))
    with pytest.raises(
        ValueError, match=r"glad/b\.bvh has 12 features a frame, but calm/a\.bvh has 72; sequences of one"
    ):
        MocapFolder(tmp_path, **QUIET)


ARMS = {"Hips": "Yposition Zrotation", "Left": "Xrotation", "Right": "Xrotation"}


def test_joints_in_another_order_are_put_into_that_of_the_first_file(tmp_path):
    values = np.random.default_rng(0).normal(size=(20, 4))
    write_skeleton(tmp_path / "calm" / "a.bvh", ARMS, values)
    swapped = {name: ARMS[name] for name in ("Hips", "Right", "Left")}
    write_skeleton(tmp_path / "glad" / "b.bvh", swapped, values[::-1, [0, 1, 3, 2]])
    with pytest.warns(
        UserWarning, match=r"the joints or axes of glad/b\.bvh are ordered otherwise than in calm/a\.bvh"
    ):
        dataset = MocapFolder(tmp_path, **QUIET)
    assert torch.equal(dataset[0].x, dataset[1].x.flip(0))
    for opened in (dataset, MocapFolder(tmp_path, **QUIET)):  # the second time from its file
        assert torch.equal(opened.features(tmp_path / "glad" / "b.bvh").x, dataset[1].x)


def test_joints_of_other_names_are_refused_or_left_out_by_name(tmp_path):
    values = np.random.default_rng(0).normal(size=(20, 4))
    write_skeleton(tmp_path / "calm" / "a.bvh", ARMS, values)
    other = {"Hips": ARMS["Hips"], "Left": "Xrotation", "Tail": "Xrotation"}
    write_skeleton(tmp_path / "glad" / "b.bvh", other, values)
    write_skeleton(tmp_path / "glad" / "c.bvh", ARMS, values + 1)
    with pytest.raises(
        SignalError, match=r"glad/b\.bvh: it lacks Right\.Xrotation .* has Tail\.Xrotation that they lack"
    ):
        MocapFolder(tmp_path, **QUIET)
    dataset = MocapFolder(tmp_path, on_error="skip", **QUIET)
    assert [data.name for data in dataset] == ["calm/a.bvh", "glad/c.bvh"]
    assert "Tail.Xrotation" in dataset.failures["glad/b.bvh"]


def test_a_folder_where_nothing_can_be_used_is_an_error(tmp_path):
    (tmp_path / "calm").mkdir()
    (tmp_path / "calm" / "a.wav").write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="1 of 1 files"),
        pytest.raises(ValueError, match=r"none of the 1 files .* could be used: .*it is empty"),
    ):
        AudioFolder(tmp_path, on_error="skip", **QUIET)


ARRAYS = [np.arange(10.0).reshape(5, 2), np.ones((3, 2)), np.zeros((4, 2))]


@pytest.mark.parametrize("convert", [list, np.array, torch.tensor])
def test_arrays_become_sequences(convert):
    arrays = [convert(array.tolist()) for array in ARRAYS]
    dataset = from_arrays(arrays, labels=convert([10, 9, 10]), groups=convert([2, 11, 2]))
    for index, (data, array) in enumerate(zip(dataset, ARRAYS, strict=True)):
        assert np.array_equal(data.x.numpy(), array.astype(np.float32))
        assert (data.name, data.frame.tolist()) == (str(index), list(range(len(array))))
    assert (dataset.classes, dataset.y.tolist()) == (["9", "10"], [1, 0, 1])
    assert (dataset.groups, dataset.group.tolist()) == (["2", "11"], [0, 1, 0])
    assert dataset.num_frames == dataset.max_num_frames == 5
    assert "mask" not in dataset[0]
    assert str(dataset).startswith("Sequences: 3 sequences, 2 classes, 2 features a frame")


def test_names_of_classes_and_groups_are_sorted_and_frames_can_be_promised():
    dataset = from_arrays(ARRAYS, labels=["walk", "run", "walk"], groups=["b", "a", "b"], num_frames=90)
    assert (dataset.classes, dataset.y.tolist()) == (["run", "walk"], [1, 0, 1])
    assert (dataset.groups, dataset.group.tolist()) == (["a", "b"], [1, 0, 1])
    assert dataset.num_frames == 90
    assert "group" not in from_arrays(ARRAYS, labels=[0, 1, 2])[0]


def test_a_frame_without_a_value_is_missing_and_one_with_some_is_filled():
    holed = ARRAYS[0].copy()
    holed[1], holed[3, 0] = np.nan, np.nan
    dataset = from_arrays([holed, ARRAYS[1]], labels=[0, 1])
    assert dataset[0].mask.tolist() == [True, False, True, True, True]
    assert dataset[1].mask.all()
    assert dataset[0].x[3, 0] == np.float32((ARRAYS[0][2, 0] + ARRAYS[0][4, 0]) / 2)
    assert dataset.missing_values == 1 / ((4 + len(ARRAYS[1])) * ARRAYS[0].shape[1])
    assert "missing in these frames, filled" in str(dataset)


@pytest.mark.parametrize(
    ("arrays", "labels", "options", "match"),
    [
        ([], [], {}, "arrays is empty"),
        (ARRAYS, [0, 1], {}, r"labels has shape \[2\]; 3 arrays need one entry each"),
        (ARRAYS, np.eye(3), {}, r"labels has shape \[3, 3\]; 3 arrays need one entry each"),
        (ARRAYS, [0, 1, 2], {"groups": ["a"]}, r"groups has shape \[1\]"),
        ([np.zeros(3)], [0], {}, r"arrays\[0\] has shape \[3\]; each is \[T, P\]"),
        ([np.zeros((3, 2)), np.zeros((3, 4))], [0, 1], {}, r"arrays\[1\] has shape \[3, 4\]"),
        ([np.zeros((3, 2)), np.zeros((0, 2))], [0, 1], {}, r"dataset\[1\]: sequence 0 has no present frame"),
        ([np.full((3, 2), np.nan)], [0], {}, r"dataset\[0\]: sequence 0 has no present frame"),
        ([np.full((3, 2), np.inf)], [0], {}, r"dataset\[0\]: .*inf"),
        (ARRAYS, [0, 1, 2], {"num_frames": 2.5}, "num_frames is 2.5; it has to be a whole number"),
    ],
)
def test_what_is_wrong_with_arrays_is_said_with_their_index(arrays, labels, options, match):
    with pytest.raises(ValueError, match=match):
        from_arrays(arrays, labels, **options)


def test_a_model_trains_on_arrays():
    torch.manual_seed(0)
    holed = ARRAYS[0].copy()
    holed[2] = np.nan
    dataset = from_arrays([holed, *ARRAYS[1:]], labels=["a", "b", "a"])
    dataset.transform = Resample(dataset.num_frames)
    batch = next(iter(DataLoader(dataset, 3)))
    model = LGrIN(dataset.num_features, dataset.num_frames, dataset.num_classes, branch_channels=(4, 2))
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    before = [parameter.clone() for parameter in model.parameters()]
    logits = model(batch.x, frame=batch.frame, batch=batch.batch, mask=batch.mask)
    torch.nn.functional.cross_entropy(logits, batch.y).backward()
    optimizer.step()
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
