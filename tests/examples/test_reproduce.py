"""Every experiment from end to end, two folds and one epoch, on a miniature corpus."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from corpora import write

from examples.reproduce.__main__ import main
from examples.reproduce.compare import against_first, show
from examples.reproduce.paper import EXPERIMENTS
from examples.reproduce.studies import STUDIES
from examples.reproduce.tables import candidates, quoted
from lgrin.training.statistics import Interval, interval_over_recordings

ROOT = Path(__file__).parents[2]
PICTURES = {
    "fig4": "figure4.png",
    "fig6": "figure6.png",
    "fig7": "figure7.png",
    "missing": "missing.png",
    "planted": "planted.png",
}


def hum(path, pitch, seed, seconds=0.4):
    time = np.arange(round(16_000 * seconds)) / 16_000
    signal = sum(np.cos(2 * np.pi * pitch * order * time) / order for order in range(1, 9))
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * signal + np.random.default_rng(seed).normal(0, 0.01, len(time)), 16_000)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    """Two corpora of hums that share a class; each has five speakers."""
    folder = tmp_path_factory.mktemp("corpora")
    for corpus, labels in {"one": {"low": 110, "high": 240}, "other": {"low": 100, "middle": 170}}.items():
        for index in range(20):
            label, pitch = list(labels.items())[index % 2]
            hum(folder / corpus / label / f"speaker{index // 4}" / f"{index}.wav", pitch + index, index)
    return folder


def run(experiment, corpora, out, *more):
    command = [experiment, "--dataset", "audio", "--root", str(corpora / "one"), "--cache", str(corpora / "cache")]
    command += ["--protocol", "group-kfold", "--folds", "2", "--epochs", "1", "--workers", "1", "--no-progress"]
    if experiment == "table8":
        command += ["--target", "audio", "--target-root", str(corpora / "other")]
    return main([*command, "--out", str(out), *more])


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_runs_to_its_table(experiment, corpora, tmp_path, capsys):
    run(experiment, corpora, tmp_path)
    table = (tmp_path / "table.md").read_text()
    assert table in capsys.readouterr().out
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert len(rows) >= 1
    assert all(row.keys() == rows[0].keys() for row in rows)
    assert f"`{experiment}`" in table
    if experiment in PICTURES:
        assert (tmp_path / PICTURES[experiment]).read_bytes().startswith(b"\x89PNG")


FACES = [f"s{subject}/{kind}{subject}.avi" for subject in range(1, 5) for kind in ("an", "di", "fe", "ha", "sa", "su")]
MOTIONS = [
    f"{actor}_0208_t1_{emotion}.bvh"
    for actor in ("AnBh", "DiMi", "HeGa", "LeSt")
    for emotion in [
        "Amusement",
        "Anger",
        "Disgust",
        "Fear",
        "Joy",
        "Neutral",
        "Pride",
        "Relief",
        "Sadness",
        "Shame",
        "Surprise",
    ]
]


@pytest.mark.parametrize(
    ("experiment", "dataset", "features", "names", "picture"),
    [
        ("table1", "rml", "dlib", FACES, None),
        ("fig7", "rml", "dlib", FACES, "figure7.png"),
        ("table3", "mpi", "mocap", MOTIONS, None),
        ("fig7", "mpi", "mocap", MOTIONS, "figure7.png"),
    ],
)
def test_faces_and_motions_go_the_same_way(experiment, dataset, features, names, picture, tmp_path):
    for name in names:
        write(tmp_path / "corpus" / name, length=8)
    command = [experiment, "--dataset", dataset, "--root", str(tmp_path / "corpus"), "--features", features]
    command += ["--cache", str(tmp_path / "cache"), "--protocol", "group-kfold", "--folds", "2", "--epochs", "1"]
    result = main([*command, "--workers", "1", "--no-progress", "--out", str(tmp_path / "out")])
    assert result["rows"]
    assert f"{dataset}, {len(names)} sequences" in (tmp_path / "out/table.md").read_text()
    assert picture is None or (tmp_path / "out" / picture).stat().st_size > 10_000


def test_the_entry_lists_every_study_in_one_line(capsys):
    with pytest.raises(SystemExit) as left:
        main(["--help"])
    assert left.value.code == 0
    shown = capsys.readouterr().out.splitlines()
    assert {name for name, study in STUDIES.items() if study.module == "paper"} == {*EXPERIMENTS}
    for name, study in STUDIES.items():
        assert any(line.split(maxsplit=1) == [name, study.summary] for line in shown)


@pytest.mark.parametrize("study", STUDIES)
def test_every_study_tells_its_options(study, capsys):
    with pytest.raises(SystemExit) as left:
        main([study, "--help"])
    assert left.value.code == 0
    assert f"usage: python -m examples.reproduce {study} " in capsys.readouterr().out


def test_the_list_of_studies_needs_no_torch():
    program = "import sys\nimport examples.reproduce.__main__\nassert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_table_that_was_interrupted_goes_on(corpora, tmp_path, monkeypatch):
    first = run("table5", corpora, tmp_path)
    runs = sorted(tmp_path.rglob("*-seed0-*.json"))
    assert len(runs) == 6
    runs[0].unlink()
    before = [path.stat().st_mtime_ns for path in runs[1:]]
    assert run("table5", corpora, tmp_path)["rows"] == first["rows"]
    assert [path.stat().st_mtime_ns for path in runs[1:]] == before


def test_transductive_normalisation_is_named(corpora, tmp_path):
    run("table5", corpora, tmp_path, "--normalize", "group")
    assert "**transductive" in (tmp_path / "table.md").read_text()


@pytest.mark.parametrize("experiment", [f"table{number}" for number in range(1, 8)])
def test_every_row_that_the_paper_prints_has_its_candidate(experiment):
    names = {candidate.name for candidate in candidates(experiment)}
    printed = set(quoted(experiment)) - {"SENet", "AVEF", "KCFA", "OKL", "TJE"}
    assert printed - {"Representation learning", "Trajectory learning"} <= names


def test_without_groups_nothing_is_tested_over_groups(corpora):
    class Ungrouped:
        grouped = False

    assert against_first([None, None, None], Ungrouped()) == ["-", "-"]


def test_an_interval_without_width_is_not_shown_as_certainty():
    assert show(interval_over_recordings([0, 1] * 20, [0, 1] * 20, "accuracy")) == "1.000 (no spread)"
    assert show(Interval(0.7, 0.6, 0.8, "any")) == "0.700 (0.600 to 0.800)"
