"""A trained classifier in a folder and back, by huggingface_hub's mixin; nothing is fetched from anywhere."""

import json
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch
from torch_geometric.data import Batch, Data

pytest.importorskip("huggingface_hub")
pytest.importorskip("safetensors")

from lgrin import LGrIN, MultimodalLGrIN
from lgrin.features import Speech
from lgrin.hub import PretrainedClassifier
from lgrin.nn import GraphReadout
from lgrin.sklearn import LGrINClassifier
from lgrin.training import SequenceClassifier, fit
from lgrin.transforms import Resample

OPTIONS = {
    "classes": ["calm", "glad"],
    "features": Speech().settings,
    "transform": Resample(5).settings,
    "loss": {"reduction": "sum"},
    "lr": 0.003,
}


def sequences(count=12):
    torch.manual_seed(0)
    return [
        Data(x=torch.randn(5, 34) * 3 + i % 2, frame=torch.arange(5), y=torch.tensor([i % 2])) for i in range(count)
    ]


def network(**options):
    torch.manual_seed(1)
    parts = {"readout": {"parts": ("max", "mean")}, "adjacency": {"bandwidth": 1}}
    return LGrIN(34, 5, 2, branch_channels=(6, 3), **{**parts, **options})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    out = tmp_path_factory.mktemp("run")
    return fit(SequenceClassifier(network(), 12, **OPTIONS), sequences(), sequences(4), out, epochs=2, progress=False)


@pytest.fixture
def folder(checkpoint, tmp_path):
    classifier = SequenceClassifier.load_from_checkpoint(checkpoint, weights_only=True)
    PretrainedClassifier.of(classifier).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_a_folder_gives_back_what_the_checkpoint_holds(checkpoint, folder):
    before = SequenceClassifier.load_from_checkpoint(checkpoint, weights_only=True).eval()
    after = PretrainedClassifier.from_pretrained(folder)
    assert isinstance(after, SequenceClassifier)
    assert not after.training
    assert dict(after.hparams) == dict(before.hparams), "tuples are tuples again"
    assert after.model.config == before.model.config
    assert after.normalize.std.min() > 1
    for name, value in before.state_dict().items():
        assert torch.equal(after.state_dict()[name], value), name
    batch = Batch.from_data_list(sequences())
    assert torch.equal(after(batch), before(batch))


def test_a_folder_holds_safetensors_a_config_and_a_card_and_nothing_else(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    config = json.loads((folder / "config.json").read_text())
    assert config["library_name"] == "lgrin"
    card = (folder / "README.md").read_text()
    assert 'PretrainedClassifier.from_pretrained("OWNER/NAME")' in card
    assert "library_name: lgrin" in card
    assert "Needed" not in card, "no blanks to fill in"
    assert config["classes"] == ["calm", "glad"]
    assert config["transform"] == {"name": "Resample", "num_nodes": 5}


def test_saving_again_replaces_what_was_there(folder):
    again = PretrainedClassifier.from_pretrained(str(folder))
    with torch.no_grad():
        again.model.head[-1].bias.fill_(7)
    again.save_pretrained(folder)
    assert (PretrainedClassifier.from_pretrained(folder).model.head[-1].bias == 7).all()
    assert len(list(folder.iterdir())) == 3


def test_several_modalities_and_a_plain_constructor_work_as_well(tmp_path):
    parts = {
        "face": {"in_channels": 3, "num_nodes": 4, "branch_channels": (5,)},
        "voice": {"in_channels": 2, "num_nodes": 6},
    }
    classifier = PretrainedClassifier(MultimodalLGrIN(parts, 2), num_sequences=9)
    classifier.save_pretrained(tmp_path)
    again = PretrainedClassifier.from_pretrained(tmp_path)
    assert again.model.config == classifier.model.config
    x = {"face": torch.randn(2, 4, 3), "voice": torch.randn(2, 6, 2)}
    assert torch.equal(again.model(x), classifier.eval().model(x))


def cut(folder, size):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize("size", [0, 4, 100, -1])
def test_weights_that_were_cut_short_are_refused(folder, size):
    cut(folder, size)
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged or of another model"):
        PretrainedClassifier.from_pretrained(folder)


def test_weights_of_another_model_are_refused(folder, tmp_path):
    other = PretrainedClassifier(network(num_layers=1), 12)
    other.save_pretrained(tmp_path / "other")
    (tmp_path / "other" / "model.safetensors").rename(folder / "model.safetensors")
    with pytest.raises(ValueError, match="is damaged or of another model"):
        PretrainedClassifier.from_pretrained(folder)


CONFIGS = {
    "of another library": (json.dumps({"architectures": ["BertModel"], "hidden_size": 768}), "not one of lgrin's"),
    "a list": ("[1, 2]", "damaged or of something else"),
    "cut short": ('{"library_name": "lgrin", "model": {"in_', "damaged or of something else"),
    "no text": (b"\xff\xfe\x00", "damaged or of something else"),
    "no model": (json.dumps({"library_name": "lgrin"}), "describes no classifier of lgrin"),
    "other keywords": (
        json.dumps({"library_name": "lgrin", "num_sequences": 3, "model": {"hidden_size": 768}}),
        "describes no classifier of lgrin .*hidden_size",
    ),
    "wrong size": (
        json.dumps(
            {
                "library_name": "lgrin",
                "num_sequences": 3,
                "model": {"in_channels": -1, "num_nodes": 5, "num_classes": 2},
            }
        ),
        "describes no classifier of lgrin .*in_channels is -1",
    ),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_a_config_of_something_else_is_refused(folder, name):
    content, message = CONFIGS[name]
    (folder / "config.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=message):
        PretrainedClassifier.from_pretrained(folder)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_that_lacks_a_file_says_which(folder, name):
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"holds no {name}"):
        PretrainedClassifier.from_pretrained(folder)


def test_a_place_without_a_folder_says_so(folder, tmp_path, monkeypatch):
    for place in (tmp_path / "absent", folder / "config.json", Path("one/two/three")):
        with pytest.raises(FileNotFoundError, match=f"there is no folder {place}; give one that save_pretrained"):
            PretrainedClassifier.from_pretrained(place)
    with pytest.raises(FileNotFoundError, match="there is no folder someone/absent, and no repository of this name"):
        PretrainedClassifier.from_pretrained("someone/absent", local_files_only=True, cache_dir=tmp_path)


@pytest.mark.parametrize("other", [None, LGrIN(3, 5, 2)], ids=["none", "model"])
def test_what_is_no_classifier_is_named(other):
    with pytest.raises(TypeError, match=rf"classifier is a {type(other).__name__}; it may be a SequenceClassifier"):
        PretrainedClassifier.of(other)


def test_more_names_than_classes_are_refused(folder):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "classes": ["calm"]}))
    with pytest.raises(ValueError, match=r"describes no classifier of lgrin .*classes is \['calm'\]"):
        PretrainedClassifier.from_pretrained(folder)


def test_the_classifier_of_an_estimator_can_be_published(tmp_path):
    X = torch.randn(12, 3, 20).numpy()
    fitted = LGrINClassifier(branch_channels=(4,), epochs=1, random_state=0).fit(X, ["calm", "glad"] * 6)
    PretrainedClassifier.of(fitted.classifier_).save_pretrained(tmp_path)
    again = PretrainedClassifier.from_pretrained(tmp_path)
    assert again.hparams["classes"] == ["calm", "glad"]
    assert torch.equal(again.model.adjacency(), torch.from_numpy(fitted.adjacency_))


class OwnReadout(GraphReadout):
    pass


@pytest.mark.parametrize(
    "options",
    [{"encoder": torch.nn.Linear(3, 34)}, {"readout": OwnReadout(5, parts=("mean",))}],
    ids=["module", "class of one's own"],
)
def test_what_json_cannot_say_is_refused_before_anything_is_written(tmp_path, options):
    classifier = SequenceClassifier(network(**options), 12)
    with pytest.raises(ValueError, match=r"modules or tensors as arguments, which config\.json cannot hold"):
        PretrainedClassifier.of(classifier)
    with pytest.raises(ValueError, match="keep its checkpoint"):
        PretrainedClassifier(network(**options), 12).save_pretrained(tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_write_that_fails_leaves_no_half_of_a_file(folder, monkeypatch):
    classifier = PretrainedClassifier.from_pretrained(folder)
    before = (folder / "model.safetensors").read_bytes()

    def fail(weights, name, metadata):
        Path(name).write_text("half")
        raise OSError("no space left on device")

    monkeypatch.setattr("lgrin.hub.safetensors_torch.save_file", fail)
    with pytest.raises(OSError, match="no space left"):
        classifier.save_pretrained(folder)
    assert (folder / "model.safetensors").read_bytes() == before
    assert not [path for path in folder.iterdir() if ".tmp" in path.name]


def test_a_missing_library_is_one_error_that_names_the_extra(monkeypatch):
    monkeypatch.delitem(sys.modules, "lgrin.hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"huggingface_hub is not installed; .*lgrin\[hub\]"):
        import_module("lgrin.hub")
