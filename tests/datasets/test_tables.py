"""Folders of recordings in CSV, TSV and Parquet files."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lgrin.datasets import TableFolder
from lgrin.features import SignalError, Table, from_settings
from lgrin.training import SequenceClassifier, predict

QUIET = {"workers": 1, "progress": False}
REPOSITORY = Path(__file__).parents[2]


def recording(length=40, label=0, seed=0, offset=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(length, 2)) + offset
    x[:, 0] += label * np.linspace(-3, 3, length)
    return pd.DataFrame({"t": np.arange(length) / 50, "left": x[:, 0], "right": x[:, 1]})


def save(table, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def fill(root, count=12, offset=0.0, endings=(".csv", ".tsv", ".parquet")):
    for index in range(count):
        label = index % 2
        path = root / ("still", "moving")[label] / f"p{index // 2 % 3}" / f"{index}{endings[index % len(endings)]}"
        table = recording(30 + index, label, index, offset)
        save(table if index % 4 else table[["right", "t", "left"]], path)
    return root


def test_tables_of_all_kinds_are_read_and_matched_by_name(tmp_path):
    dataset = TableFolder(fill(tmp_path), Table(time="t"), **QUIET)
    assert (dataset.classes, dataset.groups, len(dataset)) == (["moving", "still"], ["p0", "p1", "p2"], 12)
    assert dataset.features.columns == ("left", "right")
    for data in dataset:
        index = int(Path(data.name).stem)
        expected = recording(30 + index, index % 2, index)[["left", "right"]].to_numpy(np.float32)
        np.testing.assert_allclose(data.x.numpy(), expected, rtol=1e-6)
        assert data.x.dtype == torch.float32
        assert float(data.frame_rate) == pytest.approx(50)


def test_a_table_of_labels_says_which_files_are_taken(tmp_path):
    for name in "abc":
        save(recording(), tmp_path / f"{name}.csv")
    (tmp_path / "labels.csv").write_text("path,label\na.csv,still\nc.csv,moving\n")
    dataset = TableFolder(tmp_path, Table(time="t"), labels=tmp_path / "labels.csv", **QUIET)
    assert [data.name for data in dataset] == ["a.csv", "c.csv"]


def test_small_signals_on_large_offsets_are_kept(tmp_path):
    dataset = TableFolder(fill(tmp_path, offset=1e9), Table(time="t"), **QUIET)
    assert dataset[0].x.dtype == torch.float64
    index = int(Path(dataset[0].name).stem)
    expected = recording(30 + index, index % 2, index)[["left", "right"]].to_numpy()
    np.testing.assert_allclose(dataset[0].x.numpy() - 1e9, expected, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"x;y\n1,5;2\n3;4,5\n", [[1.5, 2], [3, 4.5]]),
        (b"x;y\n1.5;2\n3;4.5\n", [[1.5, 2], [3, 4.5]]),
        ("x,y\n1,2\n".encode("utf-16"), [[1, 2]]),
        (b"\xef\xbb\xbfx,y\r\n1,2\r\n", [[1, 2]]),
        (b"1,2\n3,4\n", [[1, 2], [3, 4]]),
        (b"x, y\n1, 2\n", [[1, 2]]),
        (b"x,y\n1,\n3,4\n,\n", [[1, np.nan], [3, 4], [np.nan, np.nan]]),
    ],
    ids=["decimal comma", "semicolons", "utf-16", "marked", "no header", "spaces", "gap"],
)
def test_text_is_read_as_programs_write_it(tmp_path, content, expected):
    (tmp_path / "a.csv").write_bytes(content)
    np.testing.assert_array_equal(Table()(tmp_path / "a.csv").x.numpy(), expected)


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        (b"x,x\n1,2\n", {}, "it has two columns 'x'"),
        (b"x,y\n1,2\n3,calm\n", {}, "column 'y' holds 'calm' in row 2, which is no number"),
        (b"x,y\n1,2\n3,4,5\n", {}, "it is no whole table of text .*line 3"),
        (b"x,y\n1,2,3\n4,5,6\n", {}, "it is no whole table of text"),
        (b'x,y\n1,"2\n', {}, "it is no whole table of text"),
        ("x,größe\n1,2\n".encode("latin-1"), {}, "is no UTF-8"),
        (b"x,y\n", {}, "it holds no row below its header"),
        (b"x,y\n1,2\n", {"columns": ("x", "z")}, r"it lacks the column 'z'; it has \['x', 'y'\]"),
        (b"x,t\n1,2\n1,2\n", {"time": "t"}, "time 't' is 2 in two rows"),
        (b"x,t\n1,soon\n1,later\n", {"time": "t"}, "time 't' holds neither seconds nor dates"),
        (b"x,t\n1,2\n1,\n", {"time": "t"}, "time 't' is missing in row 2"),
        (b"x,t\n1,0\n1,1e9\n", {"time": "t", "frame_rate": 10}, "would make .* frames of 2 rows"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(tmp_path, content, options, message):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(SignalError, match=message):
        Table(**options)(tmp_path / "a.csv")
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(SignalError, match="it cannot be read as Parquet"):
        Table()(tmp_path / "a.parquet")


def test_rows_are_resampled_by_their_times(tmp_path):
    times = np.arange(200) / 100
    line = pd.DataFrame({"t": times, "x": 3 * times})
    path = save(line.sample(frac=1, random_state=0), tmp_path / "a.csv")
    slow, fast = Table(time="t", frame_rate=10)(path), Table(time="t", frame_rate=400)(path)
    np.testing.assert_allclose(slow.x[:, 0], 3 * times.reshape(-1, 10).mean(1))
    np.testing.assert_allclose(fast.x[:, 0], 3 * np.arange(len(fast.x)) / 400)
    assert (slow.frame_rate, fast.frame_rate) == (10, 400)
    dates = line.assign(t=pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(times, unit="s"))
    for ending in (".csv", ".parquet"):
        same = Table(time="t", frame_rate=10)(save(dates, tmp_path / f"dates{ending}"))
        np.testing.assert_allclose(same.x, slow.x)
    untimed = Table(sampling_rate=100, frame_rate=10)(save(line[["x"]], tmp_path / "untimed.csv"))
    np.testing.assert_allclose(untimed.x, slow.x)
    holed = line[(times < 0.5) | (times >= 0.7)]
    gap = Table(time="t", frame_rate=10)(save(holed, tmp_path / "gap.csv"))
    assert (~gap.mask).nonzero().flatten().tolist() == [5, 6]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frame_rate": 0}, "frame_rate is 0; it has to be a number larger than 0"),
        ({"frame_rate": 5}, "frame_rate was given, and not when rows were measured; give time or sampling_rate"),
        ({"time": "t", "sampling_rate": 5}, "time and sampling_rate were given"),
        ({"columns": ("x", "x")}, "it has to be a list of different names"),
    ],
)
def test_settings_that_fit_no_table_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        Table(**options)


def test_files_that_are_no_tables_are_left_out_and_listed(tmp_path):
    root = fill(tmp_path, count=6)
    (root / "moving" / "p0" / "0.csv").write_bytes(b"\x00\x01")
    with pytest.warns(UserWarning, match="1 of 7 files yield no frames"):
        dataset = TableFolder(root, Table(time="t"), on_error="skip", **QUIET)
    assert (list(dataset.failures), len(dataset)) == (["moving/p0/0.csv"], 6)


def test_the_example_trains_on_tables_and_the_checkpoint_classifies_a_file(tmp_path):
    fill(tmp_path / "corpus")
    options = [
        "--dataset",
        "table",
        "--root",
        tmp_path / "corpus",
        "--cache",
        tmp_path / "cache",
        "--epochs",
        "2",
        "--time",
        "t",
    ]
    program = [sys.executable, "examples/train.py", *options, "--no-progress", "--out", tmp_path / "run"]
    done = subprocess.run(list(map(str, program)), capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    classifier = SequenceClassifier.load_from_checkpoint(tmp_path / "run" / "checkpoints" / "best.ckpt")
    assert from_settings(classifier.hparams["features"]).columns == ("left", "right")
    said = predict(classifier, tmp_path / "corpus" / "moving" / "p0" / "1.tsv")
    assert said.classes == ["moving", "still"]
