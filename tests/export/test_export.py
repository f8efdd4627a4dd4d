"""Exported models against the networks that they were made of."""

import json
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from lgrin import LGrIN, MultimodalLGrIN
from lgrin.baselines import BLSTM
from lgrin.export import load, quantize, to_onnx, translate
from lgrin.features import Speech
from lgrin.features.speech import CONFIGURATION
from lgrin.training import SequenceClassifier
from lgrin.transforms import Resample

FRAMES, CLASSES = 21, ["calm", "glad", "sad"]  # no multiple of the four nodes that a lookup takes at a time
NETWORKS = {
    "recommended": lambda: LGrIN(34, FRAMES, 3),
    "recommended with groups": lambda: LGrIN(34, FRAMES, 3, input_norm="both"),
    "paper": lambda: LGrIN.paper(34, FRAMES, 3),
    "released": lambda: LGrIN.released(34, FRAMES, 3),
    "banded": lambda: LGrIN(34, FRAMES, 3, adjacency={"bandwidth": 2, "normalize": "row"}),
    "BLSTM": lambda: BLSTM(34, FRAMES, 3, hidden_channels=20),
}


def clips(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(count, FRAMES, 34, generator=generator) + 1
    mask = torch.rand(count, FRAMES, generator=generator) < 0.7
    return x, mask.index_fill(1, torch.tensor([3]), True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("exported")


@pytest.fixture(scope="module")
def exported(folder):
    """Exports a classifier around a network once; its norms have statistics of their own."""
    known = {}

    def get(name):
        if name not in known:
            torch.manual_seed(1)
            settings = {"features": Speech().settings, "transform": Resample(FRAMES).settings}
            classifier = SequenceClassifier(NETWORKS[name](), num_sequences=9, classes=CLASSES, **settings)
            x, mask = clips(40, seed=5)
            classifier.normalize.mean.fill_(1)
            classifier.normalize.std.fill_(3)
            for _ in range(20):
                classifier.model.train()(classifier.normalize(x), mask=mask)
            path = folder / f"{name}.onnx"
            to_onnx(classifier, path)
            known[name] = classifier.eval(), path
        return known[name]

    return get


def without_checksum(path):
    """A file's model and what it says about itself, to be changed."""
    model = onnx.load(path)
    said = {entry.key: entry.value for entry in model.metadata_props if entry.key != "lgrin.checksum"}
    onnx.helper.set_model_props(model, said)
    return model, said


@pytest.mark.parametrize("name", NETWORKS)
def test_files_say_what_the_network_says_with_and_without_missing_frames(exported, name):
    classifier, path = exported(name)
    model = load(path)
    for count in (1, 5):
        x, mask = clips(count, seed=count)
        for present in (None, mask):
            with torch.no_grad():
                expected = classifier.model(classifier.normalize(x), mask=present).numpy()
            hidden = x if present is None else x.masked_fill(~present.unsqueeze(-1), float("nan"))
            logits, probabilities = model(hidden, present)
            assert np.abs(logits - expected).max() <= 1e-4 * max(1, np.abs(expected).max())
            assert np.allclose(probabilities, torch.from_numpy(expected).softmax(-1), atol=1e-4)


class FirstByLevel(torch.nn.Module):
    """Classifies by the frame of the lowest level, the first of those that share it."""

    in_channels, num_nodes, num_classes = 2, 8, 2

    def forward(self, x, mask):
        level = x[..., :1].round().masked_fill(~mask.unsqueeze(-1), 9.0)
        order = level.sort(dim=1, stable=True)[1]
        return x.gather(1, order.expand_as(x))[:, 0]


def test_a_stable_sort_of_floating_numbers_stays_stable(tmp_path):
    to_onnx(FirstByLevel(), tmp_path / "model.onnx")
    x = torch.randn(50, 8, 2, generator=torch.Generator().manual_seed(0))
    mask = torch.ones(50, 8, dtype=torch.bool)
    assert np.array_equal(
        load(tmp_path / "model.onnx")(x.numpy(), mask.numpy()).logits, FirstByLevel()(x, mask).numpy()
    )


def test_the_classifier_is_left_as_it_was(folder):
    torch.manual_seed(0)
    network = LGrIN(34, FRAMES, 3, branch_channels=(4,), num_layers=1)
    classifier = SequenceClassifier(network.double().train(), num_sequences=9)
    before = {name: tensor.clone() for name, tensor in classifier.state_dict().items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(translate, "TOLERANCE", -1.0)
        with pytest.raises(RuntimeError, match=r"differs from the model by \S+ of the largest logit, above the -1 of"):
            to_onnx(classifier, folder / "refused.onnx")
    assert not (folder / "refused.onnx").exists(), "a file that differs is not written"
    assert classifier.model.training
    for name, tensor in classifier.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name])


def test_the_file_itself_tells_all_that_a_device_has_to_know(exported):
    classifier, path = exported("recommended")
    said = {entry.key: json.loads(entry.value) for entry in onnx.load(path).metadata_props}
    assert said["lgrin.format"] == 1
    assert said["lgrin.classes"] == CLASSES
    assert (said["lgrin.num_nodes"], said["lgrin.in_channels"]) == (FRAMES, 34)
    assert said["lgrin.features"] == Speech().settings
    assert said["lgrin.fingerprint"] == Speech().fingerprint
    assert said["lgrin.transform"] == {"name": "Resample", "num_nodes": FRAMES}
    assert said["lgrin.opensmile"]["config"] == CONFIGURATION.read_text()
    assert said["lgrin.parameters"] == sum(weight.numel() for weight in classifier.model.parameters())
    description = load(path).description
    assert (description.network, description.precision, description.classes) == ("LGrIN", "float32", CLASSES)


def test_the_file_holds_nothing_of_the_source_or_the_machine(exported):
    for name in ("recommended", "BLSTM"):
        content = exported(name)[1].read_bytes()
        assert b".py" not in content
        assert os.fsencode(Path.cwd()) not in content


def test_the_card_says_what_the_file_is(exported):
    _, path = exported("recommended")
    card = path.with_suffix(".md").read_text()
    for words in (*CLASSES, f"{path.stat().st_size / 1000:,.0f} kB", f"float32 [B, {FRAMES}, 34]", "Speech(", " ms"):
        assert words in card


def test_eight_bits_are_smaller_and_mostly_agree(exported, folder):
    for name, most in (("recommended", 0.5), ("BLSTM", 0.6)):
        _, path = exported(name)
        out = folder / f"{name}-8-bit.onnx"
        assert quantize(path, out).precision == "8-bit"
        assert out.stat().st_size < most * path.stat().st_size
        assert "8-bit weights" in out.with_suffix(".md").read_text()
        x, mask = clips(200, seed=9)
        precise, small = load(path)(x, mask), load(out)(x, mask)
        assert load(out).description.classes == CLASSES
        assert not np.array_equal(small.logits, precise.logits)
        assert (small.logits.argmax(1) == precise.logits.argmax(1)).mean() > 0.9


def test_products_with_weights_are_taken_in_eight_bits(exported, folder):
    _, path = exported("recommended")
    quantize(path, folder / "products.onnx")
    model = onnx.load(folder / "products.onnx")
    left = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm")]
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    assert sum(node.op_type == "MatMulInteger" for node in model.graph.node) == 7
    assert not any(name in weights and len(weights[name].dims) == 2 for node in left for name in node.input[1:])


def test_what_cannot_be_quantized_says_why(exported, folder):
    small = folder / "twice.onnx"
    quantize(exported("recommended")[1], small)
    with pytest.raises(ValueError, match="has 8-bit weights already; give the file in float32"):
        quantize(small, folder / "thrice.onnx")
    with pytest.raises(ValueError, match=r"out is '.*model\.bin'; it has to end in \.onnx"):
        quantize(exported("recommended")[1], folder / "model.bin")
    assert not (folder / "thrice.onnx").exists()


def test_files_that_are_cut_short_are_refused(exported, tmp_path):
    content = exported("recommended")[1].read_bytes()
    ends = {*range(0, len(content), len(content) // 40), *range(len(content) - 4200, len(content), 7)}
    path = tmp_path / "cut.onnx"
    for end in sorted(ends):
        path.write_bytes(content[:end])
        with pytest.raises(ValueError, match=r"is no whole ONNX file|is cut short|was not written by lgrin"):
            load(path)


def test_other_files_are_refused(exported, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no exported model .*gone\.onnx"):
        load(tmp_path / "gone.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    with pytest.raises(ValueError, match=r"text\.onnx is no whole ONNX file.*; export it again"):
        load(tmp_path / "text.onnx")
    model, said = without_checksum(exported("recommended")[1])
    for change, message in (
        ({}, "was not written by lgrin; make such a file with lgrin.export.to_onnx"),
        ({**said, "lgrin.format": "4"}, r"has format 4, written by lgrin .* reads formats 1, 2, 3; export it again"),
        ({**said, "lgrin.format": "3"}, r"is cut short: it does not say its offset"),
        ({**said, "lgrin.format": "2"}, r"is damaged: what it says about itself cannot be read"),
        ({key: value for key, value in said.items() if key != "lgrin.classes"}, "is cut short: .* say its classes"),
    ):
        onnx.helper.set_model_props(model, change)
        onnx.save(model, tmp_path / "other.onnx")
        with pytest.raises(ValueError, match=message):
            load(tmp_path / "other.onnx")


def test_what_a_file_says_of_itself_has_to_be_readable(exported, tmp_path):
    model, said = without_checksum(exported("recommended")[1])
    for name, value in (("classes", "["), ("classes", "null"), ("num_nodes", '"many"')):
        onnx.helper.set_model_props(model, {**said, f"lgrin.{name}": value})
        onnx.save(model, tmp_path / "other.onnx")
        with pytest.raises(ValueError, match=r"other\.onnx is damaged: what it says about itself cannot be read"):
            load(tmp_path / "other.onnx")
    for name, value in (("classes", '["calm"]'), ("num_nodes", "20"), ("in_channels", "35")):
        onnx.helper.set_model_props(model, {**said, f"lgrin.{name}": value})
        onnx.save(model, tmp_path / "other.onnx")
        with pytest.raises(ValueError, match=r"is damaged: it takes \[21, 34\] and gives \[3\], but says that it has"):
            load(tmp_path / "other.onnx")
    with pytest.raises(ValueError, match="threads is 0; it has to be a whole number"):
        load(exported("recommended")[1], threads=0)


def test_files_of_a_newer_onnx_name_both_ways_out(exported, tmp_path):
    model, _ = without_checksum(exported("recommended")[1])
    model.opset_import[0].version = 999
    onnx.save(model, tmp_path / "newer.onnx")
    with pytest.raises(
        ValueError, match=r"newer than this onnxruntime [\s\S]*; export it again, or update onnxruntime"
    ):
        load(tmp_path / "newer.onnx")


def test_a_file_is_complete_without_its_card(exported, tmp_path):
    path = tmp_path / "alone.onnx"
    path.write_bytes(exported("recommended")[1].read_bytes())
    assert load(path).description.classes == CLASSES
    assert quantize(path, tmp_path / "small.onnx").precision == "8-bit"
    assert (tmp_path / "small.md").is_file()
    assert not path.with_suffix(".md").exists()


def test_inputs_that_do_not_fit_are_refused(exported):
    model = load(exported("recommended")[1])
    x, mask = (tensor.numpy() for tensor in clips(2))
    with pytest.raises(ValueError, match=r"x has shape \[21, 34\]; this model takes \[B, 21, 34\]"):
        model(x[0])
    with pytest.raises(ValueError, match=r"x has shape \[0, 21, 34\]"):
        model(x[:0])
    with pytest.raises(TypeError, match="x is int64; frames are floating"):
        model(x.astype(int))
    with pytest.raises(ValueError, match=r"mask is float32 \[2, 21\]; for x \[2, 21, 34\] it has to be bool \[2, 21\]"):
        model(x, mask.astype(np.float32))
    with pytest.raises(ValueError, match="sequence 1 has no present frame"):
        model(x, mask & np.array([[True], [False]]))
    with pytest.raises(ValueError, match=r"x has shape \[2, 21, 33\]; .*, or any number of frames"):
        model(x[..., 1:])
    x[1, 3, 5] = np.inf
    with pytest.raises(ValueError, match=r"x\[1, 3, 5\] is inf; mark such frames as absent"):
        model(x)


def test_models_that_cannot_be_named_are_refused(tmp_path):
    model = LGrIN(3, 5, 2)
    for classes in (["calm"], ["calm", "calm"], []):
        with pytest.raises(ValueError, match="the model has num_classes=2: give as many different names"):
            to_onnx(model, tmp_path / "a.onnx", classes=classes)
    with pytest.raises(TypeError, match=r"model is a Linear; it may be a SequenceClassifier, .* or a model"):
        to_onnx(torch.nn.Linear(3, 2), tmp_path / "a.onnx")
    with pytest.raises(TypeError, match="model is a LGrIN that has an encoder, and an exported file takes features"):
        to_onnx(LGrIN(3, 5, 2, encoder=torch.nn.Linear(7, 3)), tmp_path / "a.onnx")
    with pytest.raises(TypeError, match="model is a MultimodalLGrIN that looks at several modalities"):
        to_onnx(MultimodalLGrIN({"face": {"in_channels": 3, "num_nodes": 5}}, 2), tmp_path / "a.onnx")
    for name in ("features", "transform"):
        with pytest.raises(TypeError, match=rf"{name} is a Resample; it may be settings, such as {name}\.settings, or"):
            to_onnx(model, tmp_path / "a.onnx", **{name: Resample(5)})
        with pytest.raises(ValueError, match="name is 'Stretch'; it may be"):
            to_onnx(model, tmp_path / "a.onnx", **{name: {"name": "Stretch"}})
    with pytest.raises(ValueError, match=r"path is '.*model'; it has to end in \.onnx"):
        to_onnx(model, tmp_path / "model")
    assert not list(tmp_path.iterdir())


def test_the_file_runs_without_lgrin(exported):
    classifier, path = exported("recommended")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    assert [(value.name, value.shape) for value in session.get_inputs()] == [
        ("x", ["batch", FRAMES, 34]),
        ("mask", ["batch", FRAMES]),
    ]
    x, mask = clips(3)
    logits, _ = session.run(None, {"x": x.numpy(), "mask": mask.numpy()})
    with torch.no_grad():
        expected = classifier.model(classifier.normalize(x), mask=mask).numpy()
    assert np.allclose(logits, expected, atol=1e-4)
