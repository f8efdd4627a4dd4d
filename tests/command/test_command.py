"""The command: what it says of mistakes, what it writes, and that it is quiet."""

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import lgrin
from lgrin import LGrIN
from lgrin.command import run
from lgrin.command.checkpoint import load
from lgrin.command.options import COMMANDS, CORPORA, RECIPES, make_parser
from lgrin.command.page import read_run
from lgrin.command.pictures import mean_by_distance, plot_by_distance
from lgrin.command.quiet import quiet
from lgrin.export.script import SCRIPT
from lgrin.models import Blend
from lgrin.training import SequenceClassifier, predict
from lgrin.training import recipes as table

ROOT = Path(__file__).parents[2]


def python(program, *arguments, code=0):
    done = subprocess.run([sys.executable, *program, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == code, done.stderr
    return done


@pytest.fixture(scope="module")
def hums(tmp_path_factory):
    """Low and high hums of four speakers, one of whose files is broken."""
    root = tmp_path_factory.mktemp("corpora") / "hums"
    for index in range(24):
        label, pitch = (("low", 110), ("<b>high", 240))[index % 2]
        path = root / label / f"speaker{index // 6}" / f"{index}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(8_000) / 16_000
        signal = sum(np.cos(2 * np.pi * (pitch + index) * order * time) / order for order in range(1, 9))
        soundfile.write(path, 0.1 * signal + np.random.default_rng(index).normal(0, 0.01, 8_000), 16_000)
    (root / "low" / "speaker0" / "broken.wav").write_text("no sound")
    return root


@pytest.fixture(scope="module")
def trained(hums, tmp_path_factory):
    """The folder of a run on the hums, and its metrics."""
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "--dataset", "audio", "--root", hums, "--cache", out.parent / "cache", "--out", out]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        metrics = run([*map(str, words), "--epochs", "3", "--skip-broken", "--no-progress"])
    return out, metrics


def mistake(capsys, *words):
    """The one line that a command says of a mistake."""
    with pytest.raises(SystemExit) as caught:
        run([*map(str, words)])
    said = capsys.readouterr().err.strip().splitlines()
    assert caught.value.code in (1, 2)
    assert len(said) == 1, said
    return said[0]


def test_help_and_mistakes_of_spelling_import_no_torch():
    program = (
        "import sys\nfrom lgrin.command import run\n"
        "try:\n    run(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print('torch' in sys.modules, 'numpy' in sys.modules)"
    )
    for words in (["--help"], ["train", "--help"], ["trian"], ["--version"]):
        assert python(["-c", program], *words).stdout.splitlines()[-1] == "False False"


def test_each_command_is_listed_with_a_module_of_its_own():
    shown = python(["-m", "lgrin"], "--help").stdout
    for name in COMMANDS:
        assert f"\n    {name}" in shown
        assert (ROOT / "lgrin" / "command" / f"{name}.py").exists()
        assert f"usage: lgrin {name}" in python(["-m", "lgrin"], name, "--help").stdout


def test_the_help_shows_how_a_folder_has_to_look():
    for name in ("train", "features"):
        assert (
            "my-recordings/angry/anna/1.wav    class / group / file" in python(["-m", "lgrin"], name, "--help").stdout
        )


def test_every_command_of_the_pages_is_understood():
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    blocks = [block for page in pages for block in re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)]
    typed = [line for block in blocks for line in block.splitlines() if line.startswith("lgrin ")]
    assert len(typed) > 12
    for line in typed:
        parsed = make_parser().parse_args(shlex.split(line, comments=True)[1:])
        assert parsed.command in COMMANDS, line


def test_names_in_the_help_are_those_of_the_library():
    assert set(RECIPES) == set(table.RECIPES)
    assert all(hasattr(lgrin.datasets, kind) for kind in CORPORA.values())
    assert make_parser().parse_args(["train"]).dataset == "JapaneseVowels"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "did you mean train?"),
        (["train", "--epochz", "3"], "lgrin train: error: --epochz is not known; did you mean --epochs?"),
        (["train", "--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["train", "--features", "papr"], "did you mean paper?"),
        (["train", "--dataset", "japanesevowel"], "did you mean JapaneseVowels?"),
        (["train", "--dataset", "EmoDb"], "did you mean emodb?"),
        (["train", "--recipe", "recomended"], "did you mean recommended?"),
        (["train", "--folds", "1"], "'1' is no number of folds; it may be a whole number from 2, or groups"),
        (["train", "--folds", "3", "--no-test"], "argument --no-test: not allowed with argument --folds"),
        (["train", "--test-groups", "anna", "--folds", "3"], "argument --folds: not allowed with argument --test-gro"),
        (["train", "--fold", "3", "--no-tests"], "--no-tests is not known; did you mean --no-test"),
        (["train", "--device", "mars"], "--device is 'mars'; it may be 'auto', 'cpu'"),
        (["predict", "/nowhere", "x.wav"], "there is no checkpoint /nowhere, and no run of lgrin train"),
        (["export", "/nowhere", "x.onnx"], "there is no checkpoint /nowhere, and no run of lgrin train"),
        (["features", "--dataset", "audioo"], "did you mean audio?"),
        (["features", "--dataset", "audio", "--root", "/nowhere"], "/nowhere holds no recording of AudioFolder"),
        (["show", "/nowhere"], "/nowhere holds no run"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(words, said, capsys):
    assert said in mistake(capsys, *words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_a_device_that_is_not_here_is_named_before_data_are_read(device, capsys, monkeypatch):
    monkeypatch.setattr("lgrin.command.train.open_archive", lambda options: pytest.fail("data were read"))
    assert f"--device is '{device}', which PyTorch does not find here" in mistake(capsys, "train", "--device", device)


def test_a_run_that_exists_is_named_before_data_are_read(trained, hums, capsys, monkeypatch):
    out, _ = trained
    monkeypatch.setattr("lgrin.command.train.open_corpus", lambda *_, **__: pytest.fail("data were read"))
    said = mistake(capsys, "train", "--dataset", "audio", "--root", hums, "--out", out)
    assert f"{out} holds a run already; go on with it by --resume, or name another folder by --out DIR" in said


def test_a_run_is_named_after_its_data(hums, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "hums-seed3" / "checkpoints").mkdir(parents=True)
    (tmp_path / "runs" / "hums-seed3" / "checkpoints" / "best.ckpt").touch()
    assert "runs/hums-seed3 holds" in mistake(capsys, "train", "--dataset", "audio", "--root", hums, "--seed", 3)


def test_one_class_is_said(hums, tmp_path, capsys):
    shutil.copytree(hums / "low" / "speaker1", tmp_path / "one" / "low")
    words = ["train", "--dataset", "audio", "--root", tmp_path / "one", "--cache", tmp_path / "cache"]
    assert "one has one class, 'low'" in mistake(capsys, *words, "--out", tmp_path / "run")


def test_a_traceback_is_shown_where_it_is_wanted():
    with pytest.raises(FileNotFoundError):
        run(["show", "/nowhere", "--traceback"])


def test_a_run_keeps_what_its_page_shows(trained):
    out, metrics = trained
    found = read_run(out)
    assert found.metrics == json.loads((out / "metrics.json").read_text())
    assert np.trace(metrics["confusion"]) / np.sum(metrics["confusion"]) == metrics["accuracy"]
    assert np.sum(metrics["data"]["train"]) + np.sum(metrics["data"]["test"]) == 24
    assert metrics["data"]["frames"] == {"shortest": 48, "median": 48, "longest": 48}
    assert list(metrics["data"]["left_out"]) == ["low/speaker0/broken.wav"]
    classifier = SequenceClassifier.load_from_checkpoint(out / "checkpoints" / "best.ckpt")
    assert np.allclose(found.graphs["learned"], classifier.model.adjacency().detach())
    assert not np.allclose(found.graphs["learned"], found.graphs["start"])
    rows = list(csv.DictReader((out / "predictions.csv").open()))
    right = sum(row["true"] == row["predicted"] for row in rows)
    assert right / len(rows) == metrics["accuracy"]
    assert all(0 <= float(row["salient"]) <= 1 for row in rows)
    assert metrics["n"] == len(rows) == sum(group["n"] for group in metrics["test_groups"].values())
    names = metrics["classes"]
    for name in names:
        own = [row["predicted"] == name for row in rows if row["true"] == name]
        assert (metrics["recall"][name], metrics["support"][name]) == (np.mean(own), len(own))
    for group, said in metrics["test_groups"].items():
        own = [row["true"] == row["predicted"] for row in rows if row["group"] == group]
        assert (said["accuracy"], said["n"]) == (np.mean(own), len(own))
    for row in rows:
        told = [float(row[f"p_{name}"]) for name in names]
        assert sum(told) == pytest.approx(1, abs=1e-5)
        assert names[int(np.argmax(told))] == row["predicted"]
    several = len(metrics["test_groups"]) > 1
    assert metrics["intervals"]["accuracy"]["method"].startswith("95% t interval" if several else "95% ")


def words_for(hums, trained, out, *more):
    """The words that train on the hums, with the features of the run."""
    words = ["train", "--dataset", "audio", "--root", hums, "--cache", trained[0].parent / "cache", "--out", out]
    return [*map(str, words), "--epochs", "2", "--skip-broken", "--no-progress", *more]


def test_the_groups_that_were_named_are_tested(hums, trained, tmp_path, capsys):
    metrics = run(words_for(hums, trained, tmp_path / "run", "--test-groups", "speaker0", "speaker3"))
    assert (metrics["dataset"], metrics["kind"], list(metrics["test_groups"])) == (
        "hums",
        "audio",
        ["speaker0", "speaker3"],
    )
    rows = list(csv.DictReader((tmp_path / "run" / "predictions.csv").open()))
    assert {row["group"] for row in rows} == {"speaker0", "speaker3"}
    assert metrics["data"]["train"] == metrics["data"]["test"] == [6, 6]
    said = capsys.readouterr().out
    assert "Tested on speaker0, speaker3, 2 of 4 groups (12 sequences)\n" in said
    assert "Caution: 2 groups are too few for an interval; look at the score of each\n" in said
    assert "Better: --folds groups tests each of the 4 groups once\n" in said
    assert " to " not in next(line for line in said.splitlines() if line.startswith("hums: accuracy"))


def test_one_group_that_is_tested_has_no_interval_and_is_named(trained, hums, tmp_path, capsys):
    run(words_for(hums, trained, tmp_path / "run"))
    said = capsys.readouterr().out
    (group,) = trained[1]["test_groups"]
    assert f"Tested on {group}, 1 of 4 groups" in said
    assert "Caution: one group of 4 was tested, and another may score otherwise" in said
    assert " to " not in next(line for line in said.splitlines() if line.startswith("hums: accuracy"))


def test_folds_test_each_group_once_and_the_model_is_trained_on_everything(hums, trained, tmp_path, capsys):
    out = tmp_path / "run"
    metrics = run(words_for(hums, trained, out, "--folds", "groups"))
    rows = list(csv.DictReader((out / "predictions.csv").open()))
    assert sorted(row["name"] for row in rows) == sorted({row["name"] for row in rows})
    assert len(rows) == metrics["n"] == 24
    assert [fold["groups"] for fold in metrics["folds"]] == [[f"speaker{number}"] for number in range(4)]
    for fold in metrics["folds"]:
        own = [row for row in rows if row["group"] == fold["groups"][0]]
        assert fold["accuracy"] == np.mean([row["true"] == row["predicted"] for row in own])
        alone = json.loads((out / fold["folder"] / "metrics.json").read_text())
        assert (alone["accuracy"], alone["data"]["train"]) == (fold["accuracy"], [9, 9])
    assert metrics["accuracy"] == np.mean([row["true"] == row["predicted"] for row in rows])
    assert load(str(out)).hparams["num_sequences"] == 24
    said = capsys.readouterr().out
    assert "Tested on all 4 groups (24 sequences), in 4 folds, each by a model that was trained without it" in said
    assert f"Fold 1 of 4: accuracy {metrics['folds'][0]['accuracy']:.3f}" in said

    before = (out / "predictions.csv").read_bytes()
    shutil.rmtree(out / "checkpoints")  # as if the run had ended in its third fold
    shutil.rmtree(out / "folds" / "3")
    again = words_for(hums, trained, out, "--folds", "groups")
    assert f"{out} holds a run already" in mistake(capsys, *again)
    assert "was started with --folds groups; resume it with" in mistake(capsys, *again[:-2], "--resume")
    run([*again, "--resume"])
    assert (out / "predictions.csv").read_bytes() == before


def test_a_run_without_a_test_has_no_score_and_is_of_use(hums, trained, tmp_path, capsys):
    out = tmp_path / "run"
    metrics = run(words_for(hums, trained, out, "--no-test"))
    assert (metrics["accuracy"], metrics["confusion"], metrics["data"]["train"]) == (None, None, [12, 12])
    assert set(trained[1]) == set(metrics)
    assert "hums: Nothing was tested, so this run has no score\n" in capsys.readouterr().out
    assert not (out / "predictions.csv").exists()
    (prediction,) = run(["predict", str(out), str(next((hums / "low").rglob("[0-9]*.wav")))])
    assert prediction.classes == ["<b>high", "low"]
    run(["show", str(out)])
    assert "Nothing was tested" in Tags((out / "report.html").read_text()).text
    run([*words_for(hums, trained, out, "--no-test"), "--resume"])
    assert "was started with --no-test" in mistake(capsys, *words_for(hums, trained, out, "--resume"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--test-groups", "speaker"], "the groups are speaker0, speaker1, speaker2, speaker3; did you mean"),
        (["--test-groups", *(f"speaker{number}" for number in range(4))], "leaves nothing to train on"),
        (["--folds", "9"], "--folds is 9, but there are 4 groups; it may be 2 to 4"),
    ],
)
def test_a_split_that_the_data_do_not_allow_is_one_line(hums, trained, tmp_path, capsys, more, said):
    words = words_for(hums, trained, tmp_path / "run", *more)
    with pytest.raises(SystemExit):
        run(words)
    assert said in capsys.readouterr().err.strip().splitlines()[-1]
    assert not (tmp_path / "run").exists()


def test_sets_of_the_archive_are_trained_on_whole_or_folded(tmp_path, capsys):
    words = ["train", "--dataset", "BasicMotions", "--root", tmp_path / "data", "--epochs", "1", "--no-progress"]
    for more, said in (
        (["--test-groups", "anna"], "--test-groups names groups, but the data have none; a folder for each"),
        (["--folds", "groups"], "--folds is 'groups', but the data have no groups; give the number of folds"),
        (["--folds", "81"], "--folds is 81, but there are 80 sequences; it may be 2 to 80"),
    ):
        assert said in mistake(capsys, *words, *more)
    whole = run([*map(str, words), "--out", str(tmp_path / "whole"), "--no-test"])
    assert whole["data"]["train"] == [20] * 4
    folded = run([*map(str, words), "--out", str(tmp_path / "folded"), "--folds", "2", "--no-bank"])
    assert [fold["n"] for fold in folded["folds"]] == [40, 40]
    assert folded["n"] == 80


class Tags(HTMLParser):
    """Collects tags, their attributes, and the text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.sources, self.text = [], [], ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.sources += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.text += data


def test_the_page_of_a_run_is_whole_and_asks_no_server(trained, tmp_path, capsys):
    out, metrics = trained
    assert run(["show", str(out), "--out", str(tmp_path / "page.html")]) == tmp_path / "page.html"
    page = Tags((tmp_path / "page.html").read_text())
    assert page.tags.count("img") == len(page.sources) == 6
    assert all(source.startswith("data:image/svg+xml;base64,") for source in page.sources)
    assert not {"script", "link", "iframe", "b"} & set(page.tags), "names of classes are text, and no markup"
    for words in ("Data", "Training", "The graph", "Salient frames", f"{metrics['accuracy']:.3f}", "<b>high"):
        assert words in page.text
    assert "low/speaker0/broken.wav" in page.text
    assert "Not shown" not in page.text
    (group,) = metrics["test_groups"]
    for words in (
        f"Data set hums, recipe recommended, seed 0. Tested on {group}, 1 of 4 groups",
        "One group of 4 was tested, and another may score otherwise.",
        "A better test: lgrin train --folds groups tests each of the 4 groups once.",
        f"{group}{metrics['n']}{metrics['accuracy']:.3f}",  # a row of the table of groups
        f"lgrin predict {out} clip.wav",
        f"lgrin export {out} model.onnx",
        f"The nodes of the graph are {metrics['num_nodes']} frames, to which the network resamples each sequence.",
        "The salient frame is the frame that holds this maximum in most channels.",
        "Mean weight by distance in time",
        f"{4 * metrics['parameters'] / 1000:,.0f}",
    ):
        assert words in page.text.replace("\n", ""), words
    assert "95%" not in page.text, "an interval of one group"
    first = (tmp_path / "page.html").read_bytes()
    run(["show", str(out), "--out", str(tmp_path / "page.html")])
    assert (tmp_path / "page.html").read_bytes() == first


def test_the_page_of_folds_has_the_accuracy_of_each_group_and_that_of_five_groups_an_interval(tmp_path, capsys):
    groups = {f"voice{number}": {"n": 10, "accuracy": 0.5 + number / 10} for number in range(5)}
    interval = {"estimate": 0.7, "low": 0.504, "high": 1.02, "method": "95% t interval over 5 groups"}
    content = {"n": 50, "accuracy": 0.7, "test_groups": groups, "intervals": {"accuracy": interval}, "kind": "audio"}
    content |= {"data": {"groups": 5}, "folds": [{}] * 5}
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    run(["show", str(tmp_path)])
    text = Tags((tmp_path / "report.html").read_text()).text.replace("\n", "")
    assert "Tested on all 5 groups (50 sequences), in 5 folds, each by a model that was trained without it." in text
    assert "Accuracy from 0.504 to 1.000: 95% t interval over 5 groups." in text
    assert "voice0100.500voice1100.600" in text
    assert "lgrin predict" not in text, "there is no checkpoint"


def test_the_page_of_a_run_of_an_older_version_shows_no_width_of_0(tmp_path, capsys):
    interval = {"estimate": 1.0, "low": 1.0, "high": 1.0, "method": "95% bootstrap interval (percentile)"}
    (tmp_path / "metrics.json").write_text(
        json.dumps({"accuracy": 1.0, "intervals": {"accuracy": interval}, "n": 24, "test_groups": {}})
    )
    run(["show", str(tmp_path)])
    assert "1.000 to 1.000" not in (tmp_path / "report.html").read_text()


def test_the_mean_weight_by_distance_is_that_of_the_edges_of_each_distance():
    rng = np.random.default_rng(0)
    start, learned = np.zeros((12, 12)), np.zeros((12, 12))
    for target in range(12):
        for source in range(max(0, target - 5), min(12, target + 3)):  # to 5 frames earlier, and 2 later
            start[target, source], learned[target, source] = 0.5, 1 + rng.random()
    by_hand = {
        apart: np.mean([learned[i, i + apart] for i in range(12) if 0 <= i + apart < 12]) for apart in range(-11, 12)
    }
    assert mean_by_distance(learned) == pytest.approx(list(by_hand.values()))
    before, after = plot_by_distance(start, learned).lines
    assert before.get_xdata().tolist() == after.get_xdata().tolist() == list(range(-5, 6))
    assert after.get_ydata() == pytest.approx([by_hand[apart] for apart in range(-5, 6)])
    assert before.get_ydata() == pytest.approx([0.5] * 8 + [0] * 3)
    assert plot_by_distance(np.eye(2), np.eye(2)).lines[0].get_xdata().tolist() == [-1, 0, 1]


def test_the_page_says_what_it_lacks_and_why(tmp_path, capsys):
    (tmp_path / "metrics.json").write_text('{"accuracy": 0.5}')
    run(["show", str(tmp_path)])
    page = Tags((tmp_path / "report.html").read_text())
    assert "Not shown" in page.text
    assert "graphs.npz is absent" in page.text
    (tmp_path / "graphs.npz").write_text("no matrix")
    assert f"{tmp_path / 'graphs.npz'} is damaged" in mistake(capsys, "show", tmp_path)


def test_the_page_says_that_a_model_predicts_one_class(tmp_path, capsys):
    content = {"classes": ["a", "b"], "confusion": [[3, 0], [2, 0]]}
    (tmp_path / "metrics.json").write_text(json.dumps(content))
    run(["show", str(tmp_path)])
    assert "predicts one class only" in (tmp_path / "report.html").read_text()
    assert "accuracy of 0.600" in (tmp_path / "report.html").read_text()


def test_a_run_predicts_and_is_exported_by_its_folder(trained, hums, tmp_path, capsys, monkeypatch):
    out, _ = trained
    clip = next((hums / "low").rglob("[0-9]*.wav"))
    (prediction,) = run(["predict", str(out), str(clip)])
    assert prediction.classes == ["<b>high", "low"]
    assert "most salient frame at" in capsys.readouterr().out
    run(["predict", str(out), str(clip), "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (said["recording"], said["class"]) == (str(clip), prediction.classes[int(prediction.probabilities.argmax())])
    assert list(said["probabilities"].values()) == prediction.probabilities.tolist()
    with pytest.raises(SystemExit):
        run(["predict", str(out), str(clip), str(tmp_path / "none.wav")])
    assert capsys.readouterr().err == f"lgrin predict: error: there is no recording {tmp_path / 'none.wav'}\n"

    files = run(["export", str(out), str(tmp_path / "model.onnx")])
    assert [path.name for path in files] == ["model.onnx", "model-8bit.onnx"]
    told = capsys.readouterr()
    assert "kB" in told.out
    assert told.err == "", "nobody looks at a terminal"
    assert (tmp_path / "classify.py").read_bytes() == SCRIPT.read_bytes()
    median = json.loads((out / "metrics.json").read_text())["data"]["frames"]["median"]
    for name in ("model.md", "model-8bit.md"):
        assert f"| one sequence of {median} frames, one thread |" in (tmp_path / name).read_text()

    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    (tmp_path / "classify.py").write_text("mine")
    run(["export", str(out / "checkpoints" / "best.ckpt"), str(tmp_path / "network.onnx")])
    steps = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in steps] == ["reading", "translating", "quantising", "warning:"]
    assert "classify.py is another file" in steps[-1]


def test_a_run_keeps_network_and_bank_unless_the_network_is_asked_for_alone(trained, hums, tmp_path):
    out, metrics = trained
    both, network = load(str(out)), load(str(out / "checkpoints" / "best.ckpt"))
    assert (type(both.model), type(network.model)) == (Blend, LGrIN)
    for name, value in network.model.state_dict().items():
        assert torch.equal(both.model.network.state_dict()[name], value), name
    assert both.hparams["features"] == network.hparams["features"]
    rows = {row["name"]: row for row in csv.DictReader((out / "predictions.csv").open())}
    name = next(iter(rows))
    found = predict(both, hums / name)
    assert found.classes[int(found.probabilities.argmax())] == rows[name]["predicted"]
    assert float(found.probabilities.max()) == pytest.approx(float(rows[name]["probability"]), abs=2e-4)

    words = ["train", "--dataset", "audio", "--root", hums, "--cache", out.parent / "cache", "--out", tmp_path / "run"]
    alone = run([*map(str, words), "--epochs", "3", "--skip-broken", "--no-progress", "--no-bank"])
    assert type(load(str(tmp_path / "run")).model) is LGrIN
    assert alone["parameters"] < metrics["parameters"]


def test_names_that_a_code_page_lacks_are_written_out(tmp_path):
    recording = tmp_path / "tables" / "\u65e5\u672c" / "a.csv"
    recording.parent.mkdir(parents=True)
    recording.write_text("seconds,x\n0.0,1\n0.1,2\n")
    words = ["-m", "lgrin", "features", "--dataset", "table", "--root", recording.parent.parent, "--time", "seconds"]
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, *words, "--cache", tmp_path], capture_output=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    assert rb"\u65e5\u672c 1" in done.stdout


def test_features_become_a_table(hums, tmp_path, capsys):
    words = ["features", "--dataset", "audio", "--root", hums, "--cache", tmp_path / "cache", "--skip-broken"]
    dataset = run([*map(str, words), "--out", str(tmp_path / "frames.csv")])
    assert "left out low/speaker0/broken.wav: " in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "frames.csv").open()))
    assert len(rows) == sum(data.num_nodes for data in dataset)
    first = dataset[0]
    assert (rows[1]["name"], rows[1]["group"], rows[1]["seconds"]) == (first.name, "speaker0", "0.010")
    assert float(rows[1]["feature_3"]) == float(first.x[1, 3])


def test_reproduce_lists_the_studies_of_the_clone(capsys):
    with pytest.raises(SystemExit):
        run(["reproduce"])
    assert "table2" in capsys.readouterr().out


def test_reproduce_says_where_there_is_no_clone(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lgrin, "__file__", str(tmp_path / "site-packages" / "lgrin" / "__init__.py"))
    assert "clone the repository of lgrin" in mistake(capsys, "reproduce", "table2")


def test_warnings_of_other_libraries_are_hidden_and_those_of_lgrin_take_one_line(capsys):
    with quiet():
        warnings.warn_explicit("theirs", UserWarning, "torch/x.py", 1, module="torch.x")
        warnings.warn_explicit("ours\nin two lines", UserWarning, "lgrin/x.py", 1, module="lgrin.x")
    assert capsys.readouterr().err == "warning: ours\\nin two lines\n"


def test_sequences_of_any_length_are_trained_by_their_recipe(tmp_path, capsys):
    words = ["train", "--dataset", "JapaneseVowels", "--root", tmp_path / "data", "--recipe", "any_length"]
    metrics = run([*map(str, words), "--epochs", "1", "--out", str(tmp_path / "run")])
    assert metrics["recipe"] == "any_length"
    assert "Epoch 1 of 1: loss" in capsys.readouterr().out
    assert (tmp_path / "run" / "adjacency.png").exists()
    run(["show", str(tmp_path / "run")])
    page = Tags((tmp_path / "run" / "report.html").read_text())
    assert page.tags.count("img") == 3 + 8, "confusions, losses, salient frames, and eight heads"


def test_a_run_says_where_a_plain_method_is_better(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for index in range(60):
        values, signs = 0.3 * rng.normal(size=48), rng.choice([-1, 1], 3)
        for start, sign in zip((4, 22, 41), signs, strict=True):
            values[start : start + 3] += 2 * sign
        path = tmp_path / "pulses" / ("odd" if signs.prod() < 0 else "even") / f"{index}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["height", *(f"{value:.3f}" for value in values)]) + "\n")
    words = ["train", "--dataset", "table", "--root", tmp_path / "pulses", "--cache", tmp_path / "cache"]
    run([*map(str, words), "--epochs", "1", "--out", str(tmp_path / "run"), "--no-progress"])
    warning = "warning: this may be the wrong tool for these data: of training sequences that are left out the nearest"
    assert warning in capsys.readouterr().err


def test_a_run_inside_the_folder_of_tables_is_no_recording(tmp_path, monkeypatch, capsys):
    rng = np.random.default_rng(0)
    for index in range(12):
        path = tmp_path / ("run", "walk")[index % 2] / "anna" / f"{index}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(["height", *(f"{value:.3f}" for value in rng.normal(size=20) + index % 2)]) + "\n")
    monkeypatch.chdir(tmp_path)
    words = ["train", "--dataset", "table", "--root", ".", "--epochs", "1", "--no-progress", "--seed"]
    first, again = (run([*words, str(seed)]) for seed in (0, 1))
    assert first["classes"] == again["classes"] == ["run", "walk"]
    assert first["data"]["sequences"] == again["data"]["sequences"] == 12
    assert "warning: ." not in capsys.readouterr().err


def test_a_folder_of_tables_is_trained_and_classified(tmp_path, capsys):
    rng = np.random.default_rng(0)
    for index in range(12):
        path = tmp_path / "walks" / ("run", "walk")[index % 2] / f"{index}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = [f"{step / 10},{value:.3f}" for step, value in enumerate(rng.normal(size=20) + index % 2)]
        path.write_text("\n".join(["seconds,height", *rows]) + "\n")
    words = ["train", "--dataset", "table", "--root", tmp_path / "walks", "--cache", tmp_path / "cache"]
    words += ["--time", "seconds", "--epochs", "2", "--out", tmp_path / "run", "--no-progress"]
    assert run([*map(str, words)])["data"]["features"] == 1
    (prediction,) = run(["predict", str(tmp_path / "run"), str(path)])
    assert prediction.classes == ["run", "walk"]
