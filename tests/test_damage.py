"""No change to a file goes unseen: models are refused, and what can be made again is made again."""

import random
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from files import make

from lgrin.checksum import is_whole, load_tensors, write_with_checksum
from lgrin.export import load, to_onnx
from lgrin.hub import PretrainedClassifier
from lgrin.sklearn import LGrINClassifier
from lgrin.training import SequenceClassifier

SEEN = ("damaged", "no whole ONNX file", "no checksum", "describes no classifier", "is not one of lgrin's")


def content_of(classifier):
    return {**classifier.hparams, **{name: value.tolist() for name, value in classifier.state_dict().items()}}


def exported(path):
    return load(path).description, make.exported(path).tolist()


def estimator(path):
    fitted = LGrINClassifier.load(path)
    return fitted.get_params(), fitted.classes_.tolist(), content_of(fitted.classifier_)


def processed(folder):
    dataset = make.Two(str(folder))
    found = [{name: np.asarray(value).tolist() for name, value in data.to_dict().items()} for data in dataset]
    return found, dataset.classes, dataset.groups, dataset.num_frames, dataset.failures


# For each kind the file that is damaged, what is opened, and how.
MODELS = {
    "weights": ("hub/model.safetensors", "hub", lambda path: content_of(PretrainedClassifier.from_pretrained(path))),
    "configuration": ("hub/config.json", "hub", lambda path: content_of(PretrainedClassifier.from_pretrained(path))),
    "model.onnx": ("model.onnx", "model.onnx", exported),
    "8bit.onnx": ("8bit.onnx", "8bit.onnx", exported),
    "checkpoint": ("lgrin.ckpt", "lgrin.ckpt", lambda path: content_of(make.open_checkpoint(path))),
    "estimator": ("estimator.pt", "estimator.pt", estimator),
}
KEPT = {
    "features": ("features/*/*.pt", "", lambda folder: make.features(folder).x.nan_to_num().tolist()),
    "processed": ("processed/*/*.pt", "", processed),
    "fold": ("folds/*.json", "folds", lambda folder: make.fold_of(folder)["weights"]),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Files of the lgrin at hand."""
    out = tmp_path_factory.mktemp("files") / "written"
    out.mkdir()
    make.write_checkpoints(out, ["lgrin"])
    make.write_models(out)
    make.write_data(out)
    make.fold_of(out / "folds")
    return out


@pytest.fixture
def place(written, tmp_path):
    return shutil.copytree(written, tmp_path / "written")


def flips(content, count, seed=0):
    """A file in which one bit has changed, and another one, and so on."""
    for at in random.Random(seed).sample(range(8 * len(content)), count):
        changed = bytearray(content)
        changed[at // 8] ^= 1 << at % 8
        yield bytes(changed)


def lines(said):
    return [str(one.message) for one in said if any(words in str(one.message) for words in SEEN)]


@pytest.mark.parametrize("kind", MODELS)
def test_a_model_of_which_a_bit_has_changed_is_refused_or_says_the_same(place, kind):
    name, opened, read = MODELS[kind]
    path, expected = place / name, read(place / opened)
    refusals = []
    for content in flips(path.read_bytes(), 60):
        path.write_bytes(content)
        try:
            assert read(place / opened) == expected
        except ValueError as error:
            refusals.append(str(error))
    assert all(any(words in reason for words in SEEN) and path.name in reason for reason in refusals), refusals
    assert len(refusals) > 30, "of an archive, the names of parts and the gaps between them mean nothing"


@pytest.mark.parametrize("kind", KEPT)
def test_kept_results_of_which_a_bit_has_changed_are_made_again_with_one_line_that_says_so(place, kind):
    pattern, opened, read = KEPT[kind]
    (path,) = place.glob(pattern)
    expected = read(place / opened)
    for content in flips(path.read_bytes(), 5 if kind == "fold" else 60):
        path.write_bytes(content)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = read(place / opened)
        assert len(lines(said)) == 1, lines(said)
        assert path.name in lines(said)[0]
        assert found == expected
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            assert read(place / opened) == expected
        assert "damaged" not in str(lines(said)), "it was made again"


@pytest.mark.parametrize("kind", ["weights", "model.onnx", "8bit.onnx", "features", "processed", "fold"])
def test_no_bit_escapes_the_checksum(written, kind):
    (path,) = written.glob({**MODELS, **KEPT}[kind][0])
    content = bytearray(path.read_bytes())
    assert is_whole(bytes(content))
    for at in range(0, 8 * len(content), 1 if len(content) < 3000 else 7):
        content[at // 8] ^= 1 << at % 8
        assert not is_whole(bytes(content)), at
        content[at // 8] ^= 1 << at % 8


@pytest.mark.parametrize("kind", [*MODELS, *KEPT])
def test_a_file_that_was_cut_short_is_seen(place, kind):
    name, opened, read = {**MODELS, **KEPT}[kind]
    (path,) = place.glob(name)
    whole, expected = path.read_bytes(), read(place / opened)
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 2):
        path.write_bytes(whole[:size])
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            if kind in MODELS:
                with pytest.raises(ValueError, match=path.name):
                    read(place / opened)
            else:
                assert read(place / opened) == expected
                assert len(lines(said)) == 1


def test_names_that_look_like_a_checksum_are_names(tmp_path):
    classes = ["lgrin-sha256:" + 64 * "0", "glad"]
    classifier = SequenceClassifier(make.BUILD["lgrin"](), 8, classes=classes)
    to_onnx(classifier, tmp_path / "model.onnx")
    assert load(tmp_path / "model.onnx").description.classes == classes
    PretrainedClassifier.of(classifier).save_pretrained(tmp_path / "hub")
    assert PretrainedClassifier.from_pretrained(tmp_path / "hub").hparams["classes"] == classes


def test_a_writer_that_leaves_no_place_for_the_checksum_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"write has to put 'lgrin-sha256:0+' into the file"):
        write_with_checksum(tmp_path / "a.txt", lambda name: Path(name).write_text("text"))
    assert not list(tmp_path.iterdir())


def test_weights_and_configuration_of_two_models_are_not_taken_for_one(place, tmp_path):
    other = SequenceClassifier(make.BUILD["lgrin"](), 8, classes=["glad", "calm"])
    PretrainedClassifier.of(other).save_pretrained(tmp_path / "other")
    shutil.copyfile(tmp_path / "other" / "config.json", place / "hub" / "config.json")
    with pytest.raises(
        ValueError, match=r"config\.json of .* was edited, or it or model\.safetensors is damaged or of"
    ):
        PretrainedClassifier.from_pretrained(place / "hub")


@pytest.mark.parametrize("name", ["hub/config.json", "fold"])
def test_json_of_endless_depth_is_damaged(place, name):
    deep = '{"library_name": ' + 100_000 * "[" + 100_000 * "]" + "}"
    if name == "fold":
        (path,) = place.glob("folds/*.json")
        path.write_text(deep)
        with pytest.warns(UserWarning, match="results of folds are damaged and are made again"):
            make.fold_of(place / "folds")
    else:
        (place / name).write_text(deep)
        with pytest.raises(ValueError, match=r"config\.json of .* is damaged or of something else"):
            PretrainedClassifier.from_pretrained(place / "hub")


class Code:
    """Runs something wherever it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.mark.parametrize(
    "name", ["pre_transform.pt", "pre_filter.pt", "two.pt", "features", "estimator.pt", "lgrin.ckpt"]
)
def test_no_file_that_is_opened_runs_code(place, tmp_path, name):
    processed_folder = next((place / "processed").iterdir())
    path = {"features": next(place.glob("features/*/*.pt")), "two.pt": processed_folder / name}.get(name, place / name)
    path = processed_folder / name if name.startswith("pre_") else path
    torch.save(Code(tmp_path / "it ran"), path)
    if name == "features":
        with pytest.warns(UserWarning, match="cached features are damaged"):
            make.features(place)
    elif name in ("estimator.pt", "lgrin.ckpt"):
        with pytest.raises(ValueError, match="is damaged"):
            (LGrINClassifier.load if name == "estimator.pt" else make.open_checkpoint)(path)
    elif name == "two.pt":
        with pytest.warns(UserWarning, match="processed files are damaged"):
            make.Two(str(place))
    else:
        make.Two(str(place))
    assert not (tmp_path / "it ran").exists()


def test_a_set_writes_nothing_that_has_to_be_unpickled(place):
    assert [path.name for path in place.glob("processed/*/*")] == ["two.pt"]
    assert set(load_tensors(next(place.glob("processed/*/two.pt")), "file", "")) == {"data", "slices", "attributes"}
