import json
import os
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import aeon.datasets
import numpy as np
import pytest
import torch
from torch_geometric.loader import DataLoader

from lgrin.datasets import UEA
from lgrin.transforms import Resample

SERIES = "1,?,3:4,5,6:a\n7,?:9,?:b\n"


HEADER = """@problemName Toy
@timeStamps false
@missing true
@univariate false
@dimensions 2
@equalLength false
@classLabel true a b
@data
"""
FILES = {f"Toy_{split}.ts": HEADER + SERIES for split in ("TRAIN", "TEST")}


@pytest.mark.parametrize(
    ("name", "sizes", "channels", "classes"), [("JapaneseVowels", (270, 370), 12, 9), ("BasicMotions", (40, 40), 6, 4)]
)
def test_bundled_sets_are_what_aeon_has(tmp_path, name, sizes, channels, classes):
    for split, size in zip(("train", "test"), sizes, strict=True):
        dataset = UEA(str(tmp_path), name, split)
        X, y = aeon.datasets.load_classification(name, split=split)
        assert len(dataset) == size
        assert dataset.num_features == channels
        assert dataset.num_classes == len(dataset.classes) == classes
        for data, series, label in zip(dataset, X, y, strict=True):
            assert np.array_equal(data.x.numpy(), np.asarray(series, np.float32).T)
            assert data.frame.tolist() == list(range(series.shape[1]))
            assert dataset.classes[int(data.y)] == label
        assert dataset.max_num_frames == max(series.shape[1] for series in X)


def test_lengths_stay_ragged_in_a_pyg_batch(tmp_path):
    dataset = UEA(str(tmp_path), "JapaneseVowels")
    batch = next(iter(DataLoader(dataset, 3)))
    lengths = [len(dataset[i].x) for i in range(3)]
    assert torch.bincount(batch.batch).tolist() == lengths
    assert batch.frame.tolist() == [frame for length in lengths for frame in range(length)]


def test_processed_files_are_named_after_the_settings_that_made_them(tmp_path):
    plain = UEA(str(tmp_path), "JapaneseVowels")
    resampled = UEA(str(tmp_path), "JapaneseVowels", pre_transform=Resample(9))
    assert set(plain.processed_file_names).isdisjoint(resampled.processed_file_names)
    assert all(plain.settings_hash in name for name in plain.processed_file_names)
    assert len(plain[0].x) == 20
    assert len(resampled[0].x) == 9
    again = UEA(str(tmp_path), "JapaneseVowels", pre_transform=Resample(9))
    assert again.processed_file_names == resampled.processed_file_names
    few = UEA(str(tmp_path), "JapaneseVowels", pre_filter=lambda data: len(data.x) > 20)
    assert 0 < len(few) < 270


def test_filters_are_told_apart_by_what_they_do(tmp_path):
    def keep(limit):
        return UEA(str(tmp_path), "BasicMotions", pre_filter=lambda data: int(data.y) < limit)

    assert [len(keep(1)), len(keep(2)), len(keep(4))] == [10, 20, 40]
    assert keep(2).settings_hash == keep(2).settings_hash
    wanted = [float(UEA(str(tmp_path), "BasicMotions", split)[7].x.sum()) for split in ("train", "test")]
    one = UEA(str(tmp_path), "BasicMotions", pre_filter=lambda data: float(data.x.sum()) in wanted)
    assert len(one) == 1
    assert one[0].x.shape == (100, 6)
    with pytest.raises(ValueError, match="pre_filter leaves no sequence"):
        UEA(str(tmp_path), "BasicMotions", pre_filter=lambda data: False)
    with pytest.raises(ValueError, match=r"pre_transform is .* which does not say what it does"):
        UEA(str(tmp_path), "BasicMotions", pre_transform=object())


def test_a_run_that_dies_while_saving_leaves_no_processed_file(tmp_path, monkeypatch):
    def half(content, name):
        Path(name).write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(KeyboardInterrupt):
            UEA(str(tmp_path), "BasicMotions")
    assert not list(tmp_path.rglob("*.pt"))
    assert not list(tmp_path.rglob("*.tmp*"))
    assert len(UEA(str(tmp_path), "BasicMotions")) == 40


@pytest.fixture
def server(monkeypatch):
    """The archive's record and files on the loopback address; the rest of the way is a user's."""

    class Archive(BaseHTTPRequestHandler):
        def do_GET(self):
            name = Path(self.path).name
            record = {"files": [{"key": key, "links": {"self": f"https://zenodo.org/{key}"}} for key in FILES]}
            content = json.dumps(record) if self.path == "/api/records/1" else FILES.get(name)
            self.send_response(404 if content is None else 200)
            self.end_headers()
            self.wfile.write((content or "").encode())

        def log_message(self, *_):
            return

    http = HTTPServer(("127.0.0.1", 0), Archive)
    threading.Thread(target=http.serve_forever, daemon=True).start()

    def local(request, timeout):
        return urllib.request.urlopen(f"http://127.0.0.1:{http.server_port}/{request.full_url.split('/', 3)[3]}")

    monkeypatch.setattr("aeon.datasets._data_loaders.urlopen", local)
    monkeypatch.setitem(aeon.datasets._data_loaders.tsc_zenodo, "Toy", 1)
    monkeypatch.setitem(aeon.datasets._data_loaders.tsc_zenodo, "Gone", 2)
    yield
    http.shutdown()


def test_other_sets_are_downloaded_whole_and_what_is_missing_is_filled_or_absent(tmp_path, server):
    dataset = UEA(str(tmp_path), "Toy")
    assert [len(data.x) for data in dataset] == [3, 2]
    assert dataset[1].mask.tolist() == [True, False]
    assert dataset[0].mask.all()
    assert dataset[0].x.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert dataset.missing_values == 1 / 8
    assert dataset.classes == ["a", "b"]
    assert sorted(os.listdir(tmp_path / "Toy" / "raw")) == ["Toy"]


@pytest.mark.parametrize("name", ["Gone", "Unknown"])
def test_a_set_that_cannot_be_had_is_named_and_leaves_nothing(tmp_path, server, name):
    with pytest.raises(ValueError, match=rf"name is '{name}', and the archive could not be read: .*Check the name"):
        UEA(str(tmp_path), name)
    assert not any(path.is_file() for path in tmp_path.rglob("*"))


def test_names_and_splits_are_checked(tmp_path):
    with pytest.raises(ValueError, match="split is 'valid'; it may be 'train', 'test'"):
        UEA(str(tmp_path), "JapaneseVowels", "valid")
    with pytest.raises(ValueError, match=r"name is '\.\./x'; it has to be the archive's name of a set"):
        UEA(str(tmp_path), "../x")
