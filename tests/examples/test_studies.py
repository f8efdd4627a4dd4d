"""Our own studies from end to end, one epoch a fold, on a miniature of EmoDB."""

import json

import pytest
from corpora import write

from examples.reproduce import accuracy, adaptation, corpora
from examples.reproduce.__main__ import main
from examples.reproduce.ablation import PAIRS
from examples.reproduce.studies import STUDIES
from lgrin.text import file_name

SPEAKERS = sorted(speaker for pair in PAIRS for speaker in pair)
RUNS = {
    "accuracy": ["--rows", accuracy.DEFAULT, "L-GrIN on the line", "GCN", accuracy.SVM],
    "ablation": ["--rows", "wide", "copy", "identity"],
    "missing-recommended": [],
}


@pytest.fixture(scope="module")
def emodb(tmp_path_factory):
    """Ten speakers, two classes, two clips of each."""
    folder = tmp_path_factory.mktemp("emodb")
    for number, speaker in enumerate(SPEAKERS):
        for index, name in enumerate(("Wa", "Wb", "Ta", "Tb")):
            write(folder / "wav" / f"{speaker}a01{name}.wav", length=12 + 4 * number + index)
    return folder


@pytest.fixture
def run(emodb, tmp_path, monkeypatch):
    """Runs a study for one epoch."""
    training = corpora.Corpus.training.fget
    monkeypatch.setattr(corpora.Corpus, "training", property(lambda corpus: training(corpus)._replace(epochs=1)))

    def run(study, *more):
        command = [study, "--datasets", "--emodb", str(emodb), "--cache", str(emodb / "cache")]
        main([*command, "--seeds", "1", "--workers", "1", "--out", str(tmp_path), *more])

    return run


def test_every_study_is_run_here_or_with_the_papers():
    assert {name for name, study in STUDIES.items() if study.module != "paper"} == {
        *RUNS,
        "bank",
        "suite",
        "bank-parts",
        "missing-values",
        "statistics",
        "kinds",
        "lengths",
        "refine",
        "sensors",
        "adaptation",
        "pretraining",
        "encoder",
    }


def test_accuracy_has_a_row_a_method_and_tests_each_against_the_default(run, tmp_path):
    run("accuracy", *RUNS["accuracy"])
    rows = json.loads((tmp_path / "accuracy/EmoDB-inductive.json").read_text())["rows"]
    assert [row["method"] for row in rows] == RUNS["accuracy"][1:]
    assert all(0 <= row["accuracy"] <= 1 for row in rows)
    assert [row["against the default"] == "-" for row in rows] == [True, False, False, False]
    files = sorted((tmp_path / "accuracy/EmoDB-inductive").rglob("*.json"))
    assert len(files) == len(rows) * len(SPEAKERS)
    before = [path.stat().st_mtime_ns for path in files]
    run("accuracy", *RUNS["accuracy"])
    assert [path.stat().st_mtime_ns for path in files] == before, "a run that is done is not repeated"


def test_the_bank_is_compared_with_functionals_of_clips(emodb, tmp_path):
    titles = ["bank", "IS09 functionals, SVM", "ComParE functionals, linear SVM, one against one"]
    words = ["--emodb", str(emodb), "--cache", str(emodb / "cache"), "--seeds", "1", "--out", str(tmp_path)]
    main(["bank", "--datasets", *words, "--rows", *titles])
    rows = json.loads((tmp_path / "bank/rows.json").read_text())["rows"]
    assert [row["method"] for row in rows] == titles
    for row in rows:
        kept = json.loads((tmp_path / "bank" / "EmoDB" / f"{file_name(row['method'])}.json").read_text())
        by_speaker = dict(zip(SPEAKERS, kept["accuracy"][0], strict=True))
        others = [by_speaker[name] for name in SPEAKERS if name not in corpora.CHOSEN_ON]
        assert row["people not chosen on"] == pytest.approx(sum(others) / len(others))


def test_a_bank_is_adapted_to_each_speaker_that_choices_are_made_on(emodb, tmp_path, monkeypatch):
    monkeypatch.setattr(adaptation, "CLIPS", (2,))
    words = ["--emodb", str(emodb), "--layout", "paper", "--cache", str(emodb / "cache"), "--out", str(tmp_path)]
    with pytest.warns(UserWarning, match="X holds 2 sequences"):
        main(["adaptation", *words])
    rows = json.loads((tmp_path / "adaptation/rows.json").read_text())["rows"]
    titles = ["scaled by training speakers", "not adapted", *(f"adapted to {of}" for of in ("2 clips", "all clips"))]
    assert [row["speakers"] for row in rows] == [*titles, "adapted to one emotion"]
    assert all(0 <= row["accuracy"] <= 1 for row in rows)


def test_by_speaker_the_bank_is_adapted_and_functionals_are_scaled(emodb, tmp_path):
    titles = ["bank", "IS09 functionals, SVM"]
    words = ["--emodb", str(emodb), "--cache", str(emodb / "cache"), "--seeds", "1", "--out", str(tmp_path)]
    main(["bank", "--datasets", *words, "--transductive", "--rows", *titles])
    rows = json.loads((tmp_path / "bank/rows.json").read_text())["rows"]
    assert [(row["set"], row["method"]) for row in rows] == [("EmoDB, scaled by speaker", one) for one in titles]


def test_clips_of_the_tested_speaker_scale_a_clip(run, tmp_path, monkeypatch):
    monkeypatch.setattr(accuracy, "ENROLMENT", (1, None))
    run("accuracy", "--transductive", "--rows", accuracy.DEFAULT)
    rows = json.loads((tmp_path / "accuracy/EmoDB-transductive.json").read_text())["rows"]
    scaled = [f"{accuracy.DEFAULT}, scaled by {clips} clips" for clips in ("1", "all other")]
    assert [row["method"] for row in rows] == [accuracy.DEFAULT, *scaled]
    assert (tmp_path / "accuracy/enrolment.png").read_bytes().startswith(b"\x89PNG")


def test_the_transductive_track_needs_speakers(capsys):
    with pytest.raises(SystemExit):
        main(["accuracy", "--transductive"])
    assert "--transductive needs speakers: give --emodb DIR" in capsys.readouterr().err


def test_the_ablation_scores_every_clip_once_a_row(run, tmp_path):
    run("ablation", *RUNS["ablation"])
    rows = json.loads((tmp_path / "ablation.json").read_text())["rows"]
    assert [row["recipe"] for row in rows] == RUNS["ablation"][1:]
    assert all(row["cross-entropy"] > 0 for row in rows)
    runs = [json.loads(path.read_text()) for path in (tmp_path / "ablation/EmoDB").iterdir()]
    assert len(runs) == len(PAIRS) * len(rows)
    tested = sorted(index for one in runs for index in one["test"])
    assert tested == sorted([*range(4 * len(SPEAKERS))] * len(rows))


def test_missing_frames_have_a_row_a_pattern_and_fill(run, tmp_path):
    run("missing-recommended")
    rows = json.loads((tmp_path / "missing.json").read_text())["rows"]
    patterns, fills = ("scattered", "in a block"), ("masks", "interpolation")
    expected = [(kind, lost, fill) for kind in ("row", "present") for lost in patterns for fill in fills]
    assert [(row["A"], row["lost"], row["filled by"]) for row in rows] == expected
    assert all(list(row)[-4:] == ["0%", "20%", "40%", "60%"] for row in rows)


def test_statistics_simulates_intervals_and_tests(tmp_path, capsys):
    main(["statistics", "--repetitions", "40", "--out", str(tmp_path)])
    rows = json.loads((tmp_path / "statistics.json").read_text())["rows"]
    assert {row["what"] for row in rows} == {"coverage", "false alarms"}
    shown = capsys.readouterr().out
    assert all(f"| {row['method']} | {row['measured']:.3f} |" in shown for row in rows)
