"""Small files that ask for much memory: each is refused before anything is allocated, within a limit on memory."""

import json
import struct
import subprocess
import sys
import zipfile

import lightning
import numpy as np
import pytest
import soundfile
import torch
from mocap_files import write_bvh

from lgrin.bounds import check_parts, check_tensors
from lgrin.datasets.download import unpack
from lgrin.features import Mocap, OpenFace, SignalError, Speech, extract
from lgrin.features.openface import FRAME_COLUMNS, LANDMARK_COLUMNS
from lgrin.features.speech import read_audio
from lgrin.hub import PretrainedClassifier
from lgrin.sklearn import LGrINClassifier
from lgrin.training import SequenceClassifier
from lgrin.training.checkpoints import WholeCheckpoints, load_tensors

SPARE = 512 << 20  # bytes beside what a process with lgrin in it takes


def within(limit, program, *arguments):
    """Runs a program in a process of its own that gets so much memory beside what it has after its imports."""
    head = "import resource, sys, torch, lgrin.features, lgrin.sklearn, lgrin.hub\n"
    head += "taken = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
    head += f"resource.setrlimit(resource.RLIMIT_AS, (taken + {limit},) * 2)\n"
    command = [sys.executable, "-W", "ignore", "-c", head + program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def openface_table(path, *frames):
    rows = [[frame, (index + 1) / 25, 0.98, *range(136)] for index, frame in enumerate(frames)]
    path.write_text("\n".join(",".join(map(str, row)) for row in ([*FRAME_COLUMNS, *LANDMARK_COLUMNS], *rows)))
    return path


def nested_joints(path, count):
    joints = "".join(f"JOINT j{i}\n{{\nOFFSET 0 1 0\nCHANNELS 3 Zrotation Xrotation Yrotation\n" for i in range(count))
    head = "HIERARCHY\nROOT Hips\n{\nOFFSET 0 0 0\n"
    head += "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation\n"
    end = "End Site\n{\nOFFSET 0 1 0\n}\n" + "}\n" * (count + 1)
    frame = " ".join(["0"] * (6 + 3 * count))
    path.write_text(f"{head}{joints}{end}MOTION\nFrames: 2\nFrame Time: 0.04\n{frame}\n{frame}\n")
    return path


@pytest.mark.parametrize("frame", [5_000_000, 1e19, 1e300])
def test_a_table_has_no_more_frames_than_its_rows_can_tell_of(tmp_path, frame):
    path = openface_table(tmp_path / "face.csv", 1, 2, frame)
    with pytest.raises(SignalError, match=r"frame is 5e\+06|frame is 1e\+") as error:
        OpenFace()(path)
    assert str(error.value).endswith("in row 3; with 3 rows it is 10,300 at most")
    assert len(OpenFace()(openface_table(path, 1, 2, 9_000)).x) == 9_000


@pytest.mark.parametrize("frame_time", [1e5, 1e300])
def test_frames_far_apart_are_not_filled_up(tmp_path, frame_time):
    path = write_bvh(tmp_path / "a.bvh", np.zeros((2, 6)), frame_time)
    with pytest.raises(SignalError, match=r"its 2 frames are 1(e\+300|00000) seconds apart; frame_rate=30 would make"):
        Mocap(frame_rate=30.0)(path)
    assert len(Mocap(frame_rate=30.0)(write_bvh(path, np.zeros((2, 6)), 10.0)).x) == 301


@pytest.mark.parametrize("frame_time", ["-0.04", "nan", "inf", "1e-320"])
def test_times_between_frames_are_positive(tmp_path, frame_time):
    path = write_bvh(tmp_path / "a.bvh", np.zeros((2, 6)), 0.04)
    path.write_text(path.read_text().replace("Frame Time: 0.04", f"Frame Time: {frame_time}"))
    for extractor in (Mocap(), Mocap(frame_rate=30.0)):
        with pytest.raises(SignalError):
            extractor(path)


def test_recordings_of_speech_have_its_rates(tmp_path):
    path = tmp_path / "a.wav"
    for rate, shown in ((1, "1"), (999, "999"), (2_000_000_000, "2,000,000,000")):
        soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 500), rate)
        with pytest.raises(SignalError, match=f"it has {shown} samples a second, not 1,000 to 1,000,000"):
            Speech()(path)
    soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 500), 1_000)
    assert len(read_audio(path)) == 8_000


def test_compressed_audio_promises_no_more_than_it_can_hold(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, np.zeros(16_000), 16_000)
    content = bytearray(path.read_bytes())
    start = content.index(b"fLaC") + 8 + 10  # behind 80 bits of block and frame sizes: 28 bits on rate and so on, 36
    content[start : start + 8] = struct.pack(">Q", struct.unpack(">Q", content[start : start + 8])[0] | (2**36 - 1))
    path.write_bytes(content)
    with pytest.raises(SignalError, match=r"it promises 68,719,476,735 samples, more than its .* bytes can hold"):
        Speech()(path)
    soundfile.write(path, np.zeros(1 << 23, np.int16), 48_000)
    with pytest.raises(SignalError, match="it promises 8,388,608 samples"):
        Speech()(path)


def test_whatever_one_file_raises_is_its_reason(tmp_path):
    good, odd = tmp_path / "good.wav", tmp_path / "odd\udcff.wav"
    soundfile.write(good, np.random.default_rng(0).normal(0, 0.1, 8_000), 16_000)
    odd.write_bytes(good.read_bytes())
    gsm = tmp_path / "gsm.wav"
    soundfile.write(gsm, np.random.default_rng(0).normal(0, 0.1, 8_000), 8_000, subtype="GSM610")
    folder = tmp_path / "folder.wav"
    folder.mkdir()
    with pytest.warns(UserWarning, match=r"3 of 4 files yield no frames and are left out:\n  .*odd\\udcff"):
        done = extract(Speech(), [odd, gsm, folder, good], tmp_path / "cache", on_error="skip", progress=False)
    assert [frames is None for frames in done.frames] == [True, True, True, False]
    assert list(done.failures) == [str(odd), str(gsm), str(folder)]
    for reason, expected in zip(done.failures.values(), ("Unicode", "cannot be sought", "IsADirectory"), strict=True):
        assert expected in reason
    with pytest.raises(SignalError, match="cannot be sought; convert it to PCM"):
        extract(Speech(), [good, gsm], progress=False, workers=1)


def test_deep_skeletons_and_frames_of_any_number_are_skipped(tmp_path):
    good = write_bvh(tmp_path / "good.bvh", np.ones((3, 6)), 0.04)
    far = write_bvh(tmp_path / "far.bvh", np.ones((3, 6)), 1e300)
    deep = nested_joints(tmp_path / "deep.bvh", 3_000)
    with pytest.warns(UserWarning, match="2 of 3 files yield no frames"):
        done = extract(Mocap(30.0), [deep, far, good], on_error="skip", workers=1, progress=False)
    assert list(done.failures) == [str(deep), str(far)]
    assert done.frames[2].x.shape == (3, 6)


class Odd(Speech):
    """Raises what no reader foresees."""

    def read(self, path):
        raise {"library": ImportError, "network": ConnectionError, "file": ZeroDivisionError}[path.stem]("odd\x1b[2J")


def test_what_is_no_fault_of_a_file_stops_the_corpus(tmp_path):
    for name, error in (("library", ImportError), ("network", ConnectionError)):
        (tmp_path / f"{name}.wav").write_text("x")
        with pytest.raises(error):
            extract(Odd(), [tmp_path / f"{name}.wav"], on_error="skip", workers=1, progress=False)
    (tmp_path / "file.wav").write_text("x")
    with pytest.warns(UserWarning, match=r"file\.wav: it cannot be read \(ZeroDivisionError: odd\\x1b\[2J\)$"):
        extract(Odd(), [tmp_path / "file.wav"], tmp_path / "cache", on_error="skip", workers=1, progress=False)
    assert not list((tmp_path / "cache").rglob("*.pt")), "a fault that may be the reader's is not remembered"


def test_archives_unpack_to_no_more_than_corpora_do(tmp_path):
    archive = tmp_path / "bomb.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as content:
        for number in range(4):
            content.writestr(f"{number}.wav", bytes(64 << 20))
    assert archive.stat().st_size < 1 << 19
    with pytest.raises(ValueError, match=r"bomb\.zip has .* bytes and would unpack to 268,435,456"):
        unpack(archive, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


class Bytes:
    """Is written as a call that makes so many bytes."""

    def __reduce__(self):
        return bytearray, (10**6,)


def test_files_of_tensors_make_no_array_of_any_length(tmp_path):
    torch.save({"x": Bytes()}, tmp_path / "a.pt")
    assert len(torch.load(tmp_path / "a.pt", weights_only=True)["x"]) == 10**6, "PyTorch itself makes it"
    with pytest.raises(ValueError, match=r"a\.pt is damaged \(it makes an array of bytes, which could have any length"):
        load_tensors(tmp_path / "a.pt", "file", "save it again")


def test_files_of_tensors_hold_what_they_claim(tmp_path):
    path, packed = tmp_path / "a.pt", tmp_path / "b.pt"
    torch.save({"x": torch.zeros(1 << 20)}, path)
    check_parts(path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(zipfile.BadZipFile, match="its parts take more memory than its"):
        check_parts(packed)
    check_tensors([{"a": (torch.zeros(10),)}], size=40)
    with pytest.raises(ValueError, match="its tensors claim 4,000,000,000 bytes, and it has 40"):
        check_tensors([{"a": (torch.zeros(1).expand(10**9),)}], size=40)


@pytest.fixture
def classifier():
    network = {"in_channels": 3, "num_nodes": 8, "num_classes": 2, "branch_channels": (4,), "num_layers": 1}
    return SequenceClassifier(network, num_sequences=9, classes=["calm", "glad"])


@pytest.fixture
def estimator(tmp_path):
    X = np.random.default_rng(0).normal(size=(8, 3, 8))
    estimator = LGrINClassifier(epochs=1, branch_channels=(4,), bank=False, random_state=0)
    estimator.fit(X, ["calm", "glad"] * 4).save(tmp_path / "estimator.pt")
    return tmp_path / "estimator.pt"


HUGE = {
    "num_nodes": (40_000, "ask for .*adjacency.weight .40000, 40000., and its weights hold"),
    "num_layers": (10**5, "ask for 100000 layers"),
    "num_classes": (10**9, "num_classes=1000000000|ask for head"),
    "branch_channels": ((1,) * 10**5, "are more than its .* weights call for"),
}


@pytest.mark.parametrize("name", HUGE)
def test_settings_ask_for_no_more_than_the_weights_hold(classifier, estimator, tmp_path, name):
    value, message = HUGE[name]
    content = torch.load(estimator, weights_only=True)
    content["classifier"]["model"][name] = value
    torch.save(content, estimator)
    with pytest.raises(ValueError, match=message):
        LGrINClassifier.load(estimator)
    PretrainedClassifier.of(classifier).save_pretrained(tmp_path / "hub")
    config = tmp_path / "hub" / "config.json"
    settings = json.loads(config.read_text())
    settings["model"][name] = value
    config.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=f"{message}|was edited"):
        PretrainedClassifier.from_pretrained(tmp_path / "hub")
    hyper_parameters = {**classifier.hparams, "model": {**classifier.hparams["model"], name: value}}
    content = {"state_dict": classifier.state_dict(), "hyper_parameters": hyper_parameters, "network": ""}
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match=message):
        SequenceClassifier.load_from_checkpoint(tmp_path / "a.ckpt")


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        *(("network", name, *HUGE[name]) for name in HUGE),
        ("bank", "heads", 10**6, "ask for .*bank"),
        ("bank", "mixes", 10**6, "ask for .*mix"),
        ("bank", "dilations", (1,) * 10**5, "are more than its .* weights call for"),
        ("bank", "thresholds", 10**7, "ask for .*threshold"),
    ],
)
def test_settings_of_network_and_bank_ask_for_no_more_either(tmp_path, part, name, value, message):
    X, path = np.random.default_rng(0).normal(size=(8, 3, 8)), tmp_path / "both.pt"
    LGrINClassifier(epochs=1, branch_channels=(4,), random_state=0).fit(X, ["calm", "glad"] * 4).save(path)
    content = torch.load(path, weights_only=True)
    content["classifier"]["model"][part][name] = value
    torch.save(content, path)
    with pytest.raises(ValueError, match=f"{message}|network has num_classes"):
        LGrINClassifier.load(path)


@pytest.mark.parametrize("dtype", ["<U100000000", "S999999999", "(9999999,)f8"])
def test_classes_of_an_estimator_are_no_longer_than_its_file(estimator, dtype):
    content = torch.load(estimator, weights_only=True)
    torch.save({**content, "dtype": dtype}, estimator)
    with pytest.raises(ValueError, match=r"estimator\.pt is damaged or .* such classes are more than its"):
        LGrINClassifier.load(estimator)
    torch.save({**content, "dtype": "<U99"}, estimator)
    assert LGrINClassifier.load(estimator).classes_.tolist() == ["calm", "glad"]


@pytest.mark.parametrize("place", ["hyper_parameters", "hparams", "module_arguments"])
@pytest.mark.parametrize("key", ["_instantiator", "_class_path"])
def test_checkpoints_that_name_code_are_refused_before_lightning_sees_them(
    classifier, tmp_path, monkeypatch, place, key
):
    (tmp_path / "named_by_a_file.py").write_text("raise SystemExit('this code ran')")
    monkeypatch.syspath_prepend(tmp_path)
    content = {"state_dict": classifier.state_dict(), "hyper_parameters": dict(classifier.hparams)}
    content.setdefault(place, {})[key] = "named_by_a_file.call"
    torch.save(content, tmp_path / "a.ckpt")
    monkeypatch.setattr(lightning.LightningModule, "load_from_checkpoint", lambda *_, **__: pytest.fail("it was read"))
    for read in (SequenceClassifier.load_from_checkpoint, WholeCheckpoints().load_checkpoint):
        with pytest.raises(ValueError, match=f"a.ckpt names code to call, in its '{key}'"):
            read(str(tmp_path / "a.ckpt"))


def test_models_are_refused_within_a_limit_on_memory(classifier, estimator, tmp_path):
    program = """
from lgrin.sklearn import LGrINClassifier
from lgrin.training import SequenceClassifier
for read, path in ((LGrINClassifier.load, sys.argv[1]), (SequenceClassifier.load_from_checkpoint, sys.argv[2])):
    try:
        read(path)
    except ValueError as error:
        print(str(error).replace(chr(10), " "))
"""
    content = torch.load(estimator, weights_only=True)
    torch.save({**content, "dtype": "<U100000000"}, estimator)
    hyper_parameters = {**classifier.hparams, "model": {**classifier.hparams["model"], "num_nodes": 40_000}}
    content = {"state_dict": classifier.state_dict(), "hyper_parameters": hyper_parameters, "network": ""}
    torch.save(content, tmp_path / "a.ckpt")
    done = within(SPARE, program, estimator, tmp_path / "a.ckpt")
    assert done.returncode == 0, done.stderr
    assert [("classes are more" in line, "40000" in line) for line in done.stdout.splitlines()] == [
        (True, False),
        (False, True),
    ]


def test_inputs_are_refused_within_a_limit_on_memory(tmp_path):
    program = """
from lgrin.features import Mocap, OpenFace, SignalError, Speech
for extractor, path in ((OpenFace(), sys.argv[1]), (Mocap(30.0), sys.argv[2]), (Speech(), sys.argv[3])):
    try:
        extractor(path)
    except SignalError as error:
        print(error.reason)
"""
    soundfile.write(tmp_path / "a.wav", np.random.default_rng(0).normal(0, 0.1, 500), 1)
    table = openface_table(tmp_path / "a.csv", 1, 5_000_000)
    motion = write_bvh(tmp_path / "a.bvh", np.zeros((2, 6)), 1e5)
    done = within(SPARE, program, table, motion, tmp_path / "a.wav")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
