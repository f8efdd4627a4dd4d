"""Model files whose metadata somebody has changed: a model is data, and what it says is neither run nor obeyed."""

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest
import soundfile

from lgrin import LGrIN
from lgrin.checksum import write_with_checksum
from lgrin.export import load, quantize, to_onnx
from lgrin.export.card import write_card
from lgrin.export.device import classify
from lgrin.export.runtime import CHECKSUM
from lgrin.export.script import SCRIPT
from lgrin.features import Speech, speech
from lgrin.features.speech import COLUMNS, COMPARE, CONFIGURATION, IS09, SAMPLING_RATE, STEP, WINDOW
from lgrin.transforms import CyclicPad

DEEP = "[" * 100_000 + "]" * 100_000
CODES = "\x1b[2J\x1b]0;title\x07 <script>alert(1)</script> | [x](y) `z`\r\n\u202ecalm"
HUGE = '"' + "x" * (1 << 21) + '"'
NOT_JSON = ["", "[" * 9, '"' + "x" * 9, "9" * 5000, "1e400", "NaN", "-Infinity", "[NaN]", DEEP, HUGE]
OTHER_JSON = ["null", "true", "-1", "0", "1.5", '"many"', '"\\ud800"', "[]", "[[1]]", json.dumps([CODES])]
HOSTILE = [*NOT_JSON, *OTHER_JSON, "{}", '{"name": 1}', '{"name": {}}']
ENTRIES = ["format", "classes", "num_nodes", "in_channels", "transform", "features", "opensmile", "network"]
ENTRIES += ["precision", "parameters", "fingerprint", "version"]


@pytest.fixture(scope="module")
def model(exported_speech):
    """An exported classifier of speech."""
    return exported_speech[1]


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.wav"
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 9_000), 16_000)
    return path


@pytest.fixture
def changed(model, tmp_path):
    """Writes the model again with other entries, given as text, and the checksum that goes with them."""
    written = onnx.load(model)
    said = {entry.key: entry.value for entry in written.metadata_props}

    def change(**entries):
        others = {f"lgrin.{name}": text for name, text in entries.items()}
        onnx.helper.set_model_props(written, {**said, **others, **CHECKSUM})
        write_with_checksum(tmp_path / "changed.onnx", lambda name: onnx.save(written, name))
        return tmp_path / "changed.onnx"

    return change


def opensmile_settings(path, **changes):
    said = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return json.dumps({**json.loads(said["lgrin.opensmile"]), **changes})


def run(*arguments):
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_a_configuration_that_writes_files_is_refused_and_writes_none(model, changed, clip, tmp_path):
    target = tmp_path / "overwritten.txt"
    target.write_text("mine")
    sink = "\n[componentInstances:cComponentManager]\ninstance[evil].type={kind}\n[evil:{kind}]\n"
    sink += "reader.dmLevel={level}\nfilename={target}\n"
    for kind, level in (("cCsvSink", "statics"), ("cWaveSink", "wave")):
        config = CONFIGURATION.read_text() + sink.format(kind=kind, level=level, target=target)
        done = run(changed(opensmile=opensmile_settings(model, config=config)), clip)
        assert (done.returncode, done.stdout, target.read_text()) == (1, "", "mine")
        assert len(done.stderr.splitlines()) == 1
        assert "asks for openSMILE settings that are not lgrin's" in done.stderr
        with pytest.raises(SystemExit, match="openSMILE settings that are not lgrin's"):
            classify.open_smile({"config": config}, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"config": "\\{/dev/stdin}"},
        {"config": ""},
        {"config": CONFIGURATION.read_text() + " "},
        {"sampling_rate": 0},
        {"sampling_rate": float("nan")},
        {"step": 0},
        {"window": -400},
        {"columns": list(range(34))},
        {"columns": [10**9] * 34},
        {"columns": "x" * 34},
        {"more": 1},
    ],
)
def test_any_other_setting_of_opensmile_is_refused(model, changed, changes):
    with pytest.raises(SystemExit, match="asks for openSMILE settings that are not lgrin's; export it again"):
        classify.open_model(str(changed(opensmile=opensmile_settings(model, **changes))))


def test_what_the_script_runs_is_what_lgrin_runs():
    assert CONFIGURATION.read_text(encoding="utf-8") == classify.CONFIGURATION
    assert classify.COLUMNS == COLUMNS
    assert IS09.configuration.read_text(encoding="utf-8") == classify.IS09
    assert COMPARE.configuration.read_text(encoding="utf-8") == classify.COMPARE
    for name in ("MIN_RATE", "MAX_RATE", "SAMPLE_ALLOWANCE", "MAX_SAMPLES_PER_BYTE", "MAX_AMPLITUDE"):
        assert getattr(classify, name) == getattr(speech, name), name
    assert (classify.SAMPLING_RATE, classify.WINDOW, classify.STEP) == (SAMPLING_RATE, WINDOW, STEP)


@pytest.mark.parametrize(("layout", "transform"), [("paper", CyclicPad(60)), ("released", CyclicPad(20, "crop"))])
def test_whatever_lgrin_writes_of_speech_is_still_classified(tmp_path, clip, layout, transform):
    features = Speech(layout)
    network = LGrIN(features.num_features, transform.num_nodes, 2)
    to_onnx(network, tmp_path / "model.onnx", features=features.settings, transform=transform.settings)
    quantize(tmp_path / "model.onnx", tmp_path / "small.onnx")
    for name in ("model", "small"):
        assert classify.main([str(tmp_path / f"{name}.onnx"), str(clip)]) == 0


@pytest.mark.parametrize("name", ENTRIES)
def test_hostile_entries_end_in_one_clear_line_or_do_not_matter(changed, clip, capsys, name):
    for text in HOSTILE:
        path = changed(**{name: text})
        for use in (lambda path: load(path), lambda path: classify.main([str(path), str(clip)])):
            try:
                use(path)
                said = "".join(capsys.readouterr())
            except (ValueError, SystemExit) as error:
                said = str(error)
                assert len(said) < 1500
                assert "\n" not in said
            assert all(sign.isprintable() or sign == "\n" for sign in said)


def test_class_names_reach_neither_a_terminal_nor_a_page_as_they_are(changed, clip, capsys):
    names = [CODES, "calm", "\x9b31m" + "x" * 5000]
    path = changed(classes=json.dumps(names))
    assert classify.main([str(path), str(clip)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 4
    assert all(line.isprintable() and len(line) < 200 for line in shown[1:])
    assert load(path).description.classes == names, "as data they are what was written"
    assert load(path).__repr__().isprintable()
    features = json.dumps({"name": CODES, CODES: [CODES, float("nan")]})
    path = changed(classes=json.dumps(names), features=features, fingerprint=json.dumps(CODES))
    card = write_card(path).read_text()
    assert len(card.splitlines()) == len(write_card(changed()).read_text().splitlines())
    assert all(line.isprintable() for line in card.splitlines())
    assert "<script>" not in card
    assert "[x](y)" not in card
    assert "&lt;script&gt;" in card
    assert not any(line.count("|") != 3 for line in card.splitlines() if line.startswith("|"))


def save(path, nodes, outputs, metadata):
    """Writes a network that takes what lgrin's takes."""
    helper, kinds = onnx.helper, onnx.TensorProto
    inputs = [("x", kinds.FLOAT, ["batch", 20, 34]), ("mask", kinds.BOOL, ["batch", 20])]
    values = [helper.make_tensor_value_info(*one) for one in (*inputs, *outputs)]
    graph = helper.make_graph(nodes, "graph", values[:2], values[2:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.helper.set_model_props(model, {**metadata, **CHECKSUM})
    write_with_checksum(path, lambda name: onnx.save(model, name))


def test_networks_that_do_not_compute_what_they_say_are_refused(model, clip, tmp_path):
    said = {entry.key: entry.value for entry in onnx.load(model).metadata_props}
    node, kind = onnx.helper.make_node, onnx.TensorProto.FLOAT
    classes = [(name, kind, ["batch", 3]) for name in ("logits", "probabilities")]
    path = tmp_path / "other.onnx"
    copies = [node("Identity", ["logits"], ["probabilities"])]
    for nodes, outputs in (
        ([node("ReduceMean", ["x"], ["logits"], keepdims=0), *copies], classes),  # no dimension
        ([node("Slice", ["x", "x", "x"], ["logits"]), *copies], classes),  # no integers
        ([node("ReduceMax", ["x"], ["logits"])], classes[:1]),
        ([node("Identity", ["x"], ["logits"]), *copies], [(name, kind, None) for name, *_ in classes]),
    ):
        save(path, nodes, outputs, said)
        with pytest.raises(ValueError, match=r"other\.onnx|the network of the file") as error:
            load(path)(np.zeros((1, 20, 34), np.float32))
        assert str(error.value).isprintable()
        with pytest.raises(SystemExit, match=r"other\.onnx|the network of the model") as refused:
            classify.main([str(path), str(clip)])
        assert str(refused.value).isprintable()


def test_recordings_that_promise_more_than_they_hold_are_named(model, tmp_path, clip, capsys):
    slow = tmp_path / "slow.wav"
    soundfile.write(slow, np.random.default_rng(0).normal(0, 0.1, 500), 1)
    assert classify.main([str(model), str(slow), str(clip)]) == 1
    captured = capsys.readouterr()
    assert "slow.wav has 1 samples a second, not 1,000 to 1,000,000" in captured.err
    assert str(clip) in captured.out


def test_a_recording_whose_name_no_terminal_can_show_is_classified_or_named(model, tmp_path, clip):
    odd = tmp_path / "\x1b[31mred.wav"
    odd.write_bytes(clip.read_bytes())
    done = run(model, odd, clip)
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
