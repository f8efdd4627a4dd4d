"""The script for devices against what lgrin itself says of a recording."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch
from audio_files import FORMATS, RATE, REFUSED, VARIANTS, write_audio
from sklearn.base import clone
from torch_geometric.data import Data

from examples import predict as predict_command
from examples.edge import export
from lgrin import LGrIN
from lgrin.checksum import is_whole, write_with_checksum
from lgrin.datasets import AudioFolder
from lgrin.export import to_onnx, write_script
from lgrin.export.device import classify
from lgrin.export.runtime import CHECKSUM
from lgrin.export.script import SCRIPT
from lgrin.features import SignalError, Speech, audio, containers
from lgrin.features.speech import LAYOUTS, read_audio, window_of
from lgrin.sklearn import FilterBankClassifier, LGrINClassifier
from lgrin.training import SequenceClassifier, predict
from lgrin.transforms import CyclicPad, Resample
from lgrin.transforms.resample import evenly_spread


@pytest.fixture(scope="module")
def model(exported_speech):
    """A classifier of speech and the file that was made of it."""
    return exported_speech


@pytest.fixture
def recording(tmp_path):
    def record(rate=16_000, seconds=0.7, channels=1):
        time = np.arange(round(rate * seconds)) / rate
        hum = 0.2 * np.cos(2 * np.pi * 130 * time) * np.cos(9 * time)
        noise = np.random.default_rng(0).normal(0, 0.02, (len(time), channels))
        path = tmp_path / f"{rate}-{channels}.wav"
        soundfile.write(path, hum[:, None] + noise, rate)
        return path

    return record


@pytest.mark.parametrize(("rate", "seconds", "channels"), [(16_000, 0.7, 1), (44_100, 1.3, 2), (8_000, 0.15, 1)])
def test_the_script_says_what_lgrin_says(model, recording, tmp_path, rate, seconds, channels):
    classifier, path = model
    clip = recording(rate, seconds, channels)
    session, said = classify.open_model(str(path))
    smile = classify.open_smile(said["opensmile"], tmp_path)
    assert np.array_equal(classify.describe(clip, smile, said["opensmile"]), Speech()(clip).x.numpy())
    expected = predict(classifier, clip).probabilities.numpy()
    assert np.allclose(classify.classify(clip, session, said, smile), expected, atol=1e-5)


def test_the_script_feeds_every_frame_to_a_model_without_a_length(recording, tmp_path):
    torch.manual_seed(0)
    network = LGrIN(34, None, 2, branch_channels=(4,)).eval()
    to_onnx(network, tmp_path / "any.onnx", classes=["calm", "glad"], features=Speech().settings)
    session, said = classify.open_model(str(tmp_path / "any.onnx"))
    smile = classify.open_smile(said["opensmile"], tmp_path)
    for seconds in (0.3, 2.0):
        clip = recording(seconds=seconds)
        expected = network(Speech()(clip).x).softmax(-1)[0].detach().numpy()
        assert np.allclose(classify.classify(clip, session, said, smile), expected, atol=1e-5)


ESTIMATORS = {
    "network and bank": LGrINClassifier(epochs=1, random_state=0),
    "network and bank, thinned": LGrINClassifier(epochs=1, num_nodes=30, thin="max", random_state=0),
    "network, thinned": LGrINClassifier(epochs=1, num_nodes=30, thin="lowpass", bank=False, random_state=0),
    "any length": LGrINClassifier(recipe="any_length", epochs=1, bank=False, random_state=0),
}


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_the_script_says_what_an_estimator_says(kind, recording, tmp_path):
    clips = [Speech()(recording(seconds=0.3 + 0.02 * index)).x.numpy().T + index % 2 for index in range(16)]
    estimator = clone(ESTIMATORS[kind]).fit(clips, ["calm", "glad"] * 8)
    to_onnx(estimator, tmp_path / "estimator.onnx", features=Speech().settings)
    session, said = classify.open_model(str(tmp_path / "estimator.onnx"))
    smile = classify.open_smile(said["opensmile"], tmp_path)
    for seconds in (0.15, 0.33, 1.1):
        clip = recording(seconds=seconds)
        (expected,) = estimator.predict_proba([Speech()(clip).x.numpy().T])
        rounding = 1e-6 if estimator.bank is False else 5e-6  # of float32; a bank adds up hundreds of features
        assert np.abs(classify.classify(clip, session, said, smile) - expected).max() < rounding


def test_the_script_subtracts_offsets_before_the_network(recording, tmp_path):
    torch.manual_seed(0)
    network = {"in_channels": 34, "num_nodes": 20, "num_classes": 3, "branch_channels": (4,)}
    settings = {"features": Speech().settings, "transform": Resample(20, "mean").settings}
    classifier = SequenceClassifier(network, num_sequences=1, classes=["calm", "glad", "sad"], **settings).eval()
    frames = Speech()(recording(seconds=0.7)).x.double()
    scale = frames.std(0, correction=0).clamp(min=1).index_fill(0, torch.tensor([0]), 1e-4)  # of MFCC 0
    classifier.normalize.take(frames.mean(0), scale, exact=True)
    assert to_onnx(classifier, tmp_path / "offset.onnx").offset == frames.mean(0).tolist()
    session, said = classify.open_model(str(tmp_path / "offset.onnx"))
    smile = classify.open_smile(said["opensmile"], tmp_path)
    for seconds in (0.15, 0.7, 1.1):
        clip = recording(seconds=seconds)
        expected = predict(classifier, clip).probabilities.numpy()
        assert np.abs(classify.classify(clip, session, said, smile) - expected).max() < 1e-6


@pytest.fixture(scope="module")
def smile(model, tmp_path_factory):
    """The extractor that the script builds, and its settings."""
    settings = classify.open_model(str(model[1]))[1]["opensmile"]
    return classify.open_smile(settings, tmp_path_factory.mktemp("smile")), settings


@pytest.mark.parametrize("name", FORMATS)
def test_the_script_reads_every_format_as_lgrin_does(smile, tmp_path, name):
    path = write_audio(tmp_path / name)
    assert np.array_equal(classify.describe(path, *smile), Speech()(path).x.numpy())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_script_describes_speech_in_every_layout(layout, recording, tmp_path):
    torch.manual_seed(0)
    speech, clip = Speech(layout), recording(seconds=1.1)
    network = LGrIN(speech.num_features, None, 2, branch_channels=(4,), input_norm=True).eval()
    to_onnx(network, tmp_path / "any.onnx", classes=["calm", "glad"], features=speech.settings)
    session, said = classify.open_model(str(tmp_path / "any.onnx"))
    smile = classify.open_smile(said["opensmile"], tmp_path)
    assert np.array_equal(classify.describe(clip, smile, said["opensmile"]), speech(clip).x.numpy())
    expected = network(speech(clip).x).softmax(-1)[0].detach().numpy()
    assert np.abs(classify.classify(clip, session, said, smile) - expected).max() < 1e-6
    with pytest.raises(classify.Unusable, match=f"is shorter than one window of {window_of(layout)} samples"):
        classify.describe(recording(seconds=0.02), smile, said["opensmile"])


@pytest.mark.parametrize("name", [*FORMATS, *VARIANTS])
def test_the_script_reads_the_samples_that_the_trainer_reads(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(VARIANTS[name]()) if name in VARIANTS else write_audio(path)
    samples = read_audio(path)
    assert len(samples) > 0.9 * RATE * (1 if "joined" not in name else 2)
    assert np.array_equal(classify.read_audio(path), samples)


@pytest.mark.parametrize("name", REFUSED)
def test_the_script_refuses_what_the_trainer_refuses(tmp_path, name):
    content, reason = REFUSED[name]
    (tmp_path / name).write_bytes(content())
    with pytest.raises(SignalError, match=reason) as trainers:
        read_audio(tmp_path / name)
    with pytest.raises(classify.SignalError, match=reason) as scripts:
        classify.read_audio(tmp_path / name)
    assert str(scripts.value) in (str(trainers.value), str(trainers.value).replace(": it ", " "))


@pytest.mark.parametrize(("module", "first"), [(containers, "REQUIRED_CHUNKS ="), (audio, "SAMPLING_RATE =")])
def test_the_script_reads_files_by_the_code_of_lgrin(module, first):
    written = Path(module.__file__).read_text(encoding="utf-8")
    assert written[written.index(first) :] in SCRIPT.read_text(encoding="utf-8")


def test_the_script_names_the_library_that_a_format_takes(smile, tmp_path, monkeypatch):
    clip = write_audio(tmp_path / "a.mp3")  # takes av itself
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(ImportError, match="av is not installed; it reads this kind of file: pip install av"):
        classify.describe(clip, *smile)


def test_the_script_runs_without_torch_and_lgrin(model, recording):
    program = (
        "import runpy, sys; sys.modules['torch'] = sys.modules['lgrin'] = None; "
        f"sys.argv = ['classify.py', {str(model[1])!r}, {str(recording())!r}]; "
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^  (calm|glad|sad) +(0\.\d{3}|1\.000)$", done.stdout, re.MULTILINE)
    assert {name for name, _ in rows} == {"calm", "glad", "sad"}
    assert [probability for _, probability in rows] == sorted((share for _, share in rows), reverse=True)
    expected = predict(model[0], recording()).probabilities
    assert float(rows[0][1]) == pytest.approx(float(expected.max()), abs=1e-3)


def test_the_script_fixes_lengths_as_the_transforms_do():
    for nodes in (1, 2, 15, 20, 120, 121):
        for length in range(1, 300):
            assert classify.take(length, Resample(nodes).settings).tolist() == evenly_spread(length, nodes).tolist()
    random = torch.Generator().manual_seed(0)
    for length in (1, 19, 20, 21, 39, 40, 41, 45, 399, 1001):
        x = torch.randn(length, 3, generator=random)
        for how in ("nearest", "mean", "max", "lowpass"):
            transform = Resample(20, how)
            expected = transform(Data(x=x)).x.numpy()
            assert np.allclose(classify.to_length(x.numpy(), transform.settings), expected, rtol=0, atol=1e-6)
            assert classify.known_transform(transform.settings, 20) == transform.settings
    for transform in (CyclicPad(20), CyclicPad(20, "crop"), CyclicPad(20, "resample")):
        for length in (1, 7, 20) if transform.longer == "error" else (1, 7, 20, 45):
            expected = transform(Data(x=torch.arange(length, dtype=torch.float32).unsqueeze(-1))).x.flatten()
            assert classify.take(length, transform.settings).tolist() == expected.tolist()


def test_the_script_says_what_it_cannot_do(model, recording, tmp_path):
    _, said = classify.open_model(str(model[1]))
    smile = classify.open_smile(said["opensmile"], tmp_path)
    with pytest.raises(classify.Unusable, match="is shorter than one window of 400 samples"):
        classify.describe(recording(seconds=0.02), smile, said["opensmile"])
    soundfile.write(tmp_path / "silence.wav", np.zeros(16_000), 16_000)
    with pytest.raises(classify.Unusable, match="is silent"):
        classify.describe(tmp_path / "silence.wav", smile, said["opensmile"])
    with pytest.raises(classify.Unusable, match="the recording has 30 frames, and the model takes at most 20"):
        classify.take(30, CyclicPad(20).settings)


def test_the_script_refuses_models_that_it_cannot_feed(model, tmp_path):
    written = onnx.load(model[1])
    said = {entry.key: entry.value for entry in written.metadata_props}
    for change, message in (
        ({"lgrin.format": "4"}, "has format 4; this script reads formats 1, 2 and 3"),
        ({"lgrin.format": "3"}, "is cut short: it does not say its offset"),
        ({"lgrin.format": "3", "lgrin.offset": "[1.0]"}, "its offset is no number for each feature"),
        ({"lgrin.format": "3", "lgrin.offset": "1.0"}, "its offset is no number for each feature"),
        ({"lgrin.format": "3", "lgrin.offset": f"[{34 * '1e400,'}"[:-1] + "]"}, "its offset is no number for each"),
        ({"lgrin.transform": '{"name": "Resample", "num_nodes": 20, "how": "min"}'}, "asks for a transform"),
        ({"lgrin.opensmile": "null"}, "does not say how speech becomes frames"),
        ({"lgrin.in_channels": "35"}, "was also told which speech is spontaneous"),
        ({"lgrin.classes": "["}, "is no whole ONNX file"),
    ):
        onnx.helper.set_model_props(written, {**said, **change, **CHECKSUM})
        write_with_checksum(tmp_path / "other.onnx", lambda name: onnx.save(written, name))
        with pytest.raises(SystemExit, match=message):
            classify.open_model(str(tmp_path / "other.onnx"))
    kept = {name: value for name, value in said.items() if name != "lgrin.classes"}
    onnx.helper.set_model_props(written, {**kept, **CHECKSUM})
    write_with_checksum(tmp_path / "other.onnx", lambda name: onnx.save(written, name))
    with pytest.raises(SystemExit, match="is cut short: it does not say its classes"):
        classify.open_model(str(tmp_path / "other.onnx"))
    with pytest.raises(SystemExit, match=r"there is no model .*absent\.onnx"):
        classify.open_model(str(tmp_path / "absent.onnx"))
    whole = model[1].read_bytes()
    changed = whole[:2000] + bytes([whole[2000] ^ 1]) + whole[2001:]
    for content in (b"", b"text", whole[: len(whole) // 2], changed):
        (tmp_path / "cut.onnx").write_bytes(content)
        with pytest.raises(SystemExit, match=r"cut\.onnx is no whole ONNX file"):
            classify.open_model(str(tmp_path / "cut.onnx"))


def test_the_script_checks_files_as_lgrin_does_and_warns_of_those_without_a_checksum(model, tmp_path, capsys):
    whole, random = model[1].read_bytes(), np.random.default_rng(0)
    assert classify.is_whole(whole)
    for place in random.integers(0, len(whole), 50):
        changed = whole[:place] + bytes([whole[place] ^ 1 << random.integers(8)]) + whole[place + 1 :]
        assert classify.is_whole(changed) == is_whole(changed)
        assert not classify.is_whole(changed)
    classify.open_model(str(model[1]))
    assert capsys.readouterr().err == ""
    written = onnx.load(model[1])
    said = {entry.key: entry.value for entry in written.metadata_props if entry.key != "lgrin.checksum"}
    onnx.helper.set_model_props(written, said)
    onnx.save(written, tmp_path / "old.onnx")
    classify.open_model(str(tmp_path / "old.onnx"))
    (line,) = capsys.readouterr().err.splitlines()
    assert "old.onnx carries no checksum, so damage to it may go unseen" in line


def test_recordings_that_cannot_be_read_are_named_and_the_others_classified(model, recording, tmp_path, capsys):
    samples = np.zeros(16_000)
    samples[50] = np.nan
    bad = {
        "absent.wav": "there is no recording",
        "text.wav": "cannot be read as audio",
        "nothing.wav": "cannot be read as audio",
        "empty.wav": "holds no sample",
        "cut.wav": "is cut short",
        "broken.wav": "holds samples that are not finite",
        "loud.wav": "far beyond -1 and 1",
    }
    (tmp_path / "text.wav").write_text("no sound at all")
    (tmp_path / "nothing.wav").write_bytes(b"")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    soundfile.write(tmp_path / "broken.wav", samples, 16_000, subtype="FLOAT")
    soundfile.write(tmp_path / "loud.wav", np.full(16_000, 3e4), 16_000, subtype="FLOAT")
    (tmp_path / "cut.wav").write_bytes(recording(16_000, 0.5, 1).read_bytes()[:-1000])
    good = str(recording(8_000, 0.5, 2))
    assert classify.main([str(model[1]), *(str(tmp_path / name) for name in bad), good]) == 1
    out, err = capsys.readouterr()
    assert out.splitlines()[0] == good
    assert len(out.splitlines()) == 4
    lines = err.splitlines()
    assert len(lines) == len(bad)
    for line, (name, reason) in zip(lines, bad.items(), strict=True):
        assert name in line
        assert reason in line
    assert classify.main([str(model[1]), good]) == 0


def test_the_commands_of_the_manual_name_files_that_they_cannot_read(model, tmp_path, capsys):
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    arguments = {"export": str(tmp_path / "new.onnx"), "predict": "clip.wav"}
    for name, main in (("export", export.main), ("predict", predict_command.main)):
        for checkpoint, reason in (("text.ckpt", "text.ckpt is damaged"), ("absent.ckpt", "there is no checkpoint")):
            with pytest.raises(SystemExit):
                main([str(tmp_path / checkpoint), arguments[name]])
            assert reason in capsys.readouterr().err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["text.ckpt"]


def test_the_script_names_what_is_to_be_installed(model, recording):
    for name in ("numpy", "onnxruntime", "audresample", "opensmile"):
        program = (
            f"import runpy, sys; sys.modules[{name!r}] = None; runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"{name} is not installed; install what this script needs: pip install numpy onnxruntime opensmile"
        ]


def test_the_script_prints_full_precision_for_programs(model, recording, capsys):
    clip = str(recording())
    assert classify.main([str(model[1]), clip, "absent.wav", "--json", "--time"]) == 1
    out, err = capsys.readouterr()
    assert re.fullmatch(
        r"there is no recording absent.wav\n"
        r"from file to answer: \d+ ms for the first recording(; at most \d+ MB of memory)?\n",
        err,
    )
    (line,) = out.splitlines()
    found, expected = json.loads(line), predict(model[0], clip)
    assert found["recording"] == clip
    assert found["class"] == expected.classes[int(expected.probabilities.argmax())]
    assert list(found["probabilities"]) == ["calm", "glad", "sad"]
    assert np.abs(np.array(list(found["probabilities"].values())) - expected.probabilities.numpy()).max() < 1e-6


def test_the_script_is_written_once_and_overwrites_nothing_of_others(tmp_path):
    assert write_script(tmp_path).read_bytes() == SCRIPT.read_bytes()
    (tmp_path / "classify.py").write_bytes(SCRIPT.read_bytes()[:500])  # an older version
    assert write_script(tmp_path).read_bytes() == SCRIPT.read_bytes()
    (tmp_path / "classify.py").write_text("mine")
    with pytest.raises(FileExistsError, match=r"classify\.py is another file; move it, or copy .*classify\.py"):
        write_script(tmp_path)
    assert (tmp_path / "classify.py").read_text() == "mine"


def test_the_example_runs_the_script(model, recording):
    example = Path(__file__).parents[2] / "examples" / "edge" / "classify.py"
    done = subprocess.run(
        [sys.executable, str(example), str(model[1]), str(recording())], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4


@pytest.mark.parametrize("kind", [LGrINClassifier(epochs=1, random_state=0), FilterBankClassifier(random_state=0)])
def test_a_model_of_a_folder_of_recordings_knows_their_extractor(kind, recording, tmp_path):
    for index in range(8):
        place = tmp_path / "corpus" / ("calm", "glad")[index % 2] / f"{index}.wav"
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(recording(seconds=0.3 + 0.02 * index), place)
    corpus = AudioFolder(tmp_path / "corpus", Speech("released"), cache=tmp_path / "cache", progress=False)
    fitted = clone(kind).fit(corpus)
    fitted.save(tmp_path / "fitted.pt")
    again = type(fitted).load(tmp_path / "fitted.pt")
    clip = recording(seconds=0.5)
    (expected,) = fitted.predict_proba([Speech("released")(clip).x.numpy().T])
    for estimator in (fitted, again):
        description = to_onnx(estimator, tmp_path / "model.onnx")
        assert (description.features, description.classes) == (Speech("released").settings, ["calm", "glad"])
        session, said = classify.open_model(str(tmp_path / "model.onnx"))
        smile = classify.open_smile(said["opensmile"], tmp_path)
        assert np.abs(classify.classify(clip, session, said, smile) - expected).max() < 5e-6
    corpus.transform = Resample(20)  # the frames are no longer those of the extractor
    to_onnx(fitted.fit(corpus), tmp_path / "model.onnx")
    with pytest.raises(SystemExit, match=r"its features are None\. Fit .*AudioFolder.* features=Speech\(\)\.settings"):
        classify.open_model(str(tmp_path / "model.onnx"))
