"""Jobs on any backend of joblib: on processes of dask that share folders and are killed meanwhile, and in threads."""

import os
import signal
import threading
import time
from dataclasses import dataclass
from typing import ClassVar

import joblib
import pytest
import torch
from torch_geometric.data import Data

from lgrin import LGrIN
from lgrin.features import Extractor, Frames, extract
from lgrin.training import Candidate, Training, cross_validate, folds

TRAINING = Training(num_nodes=5, classes=["calm", "glad"], epochs=6, patience=6, batch_size=8)


@dataclass(frozen=True)
class Numbers(Extractor):
    """One frame a file, its number; each reading is noted in a journal and takes a while."""

    journal: str
    seconds: float = 0.1
    num_features: ClassVar[int] = 1

    def read(self, path):
        time.sleep(self.seconds)
        with open(self.journal, "a") as journal:
            journal.write(f"{path.name}\n")
        return Frames(torch.tensor([[float(path.read_text())]]), torch.ones(1, dtype=torch.bool), 1.0)


def small(num_features, num_nodes, num_classes):
    return LGrIN(num_features, num_nodes, num_classes, branch_channels=(4, 4))


def corpus():
    generator = torch.Generator().manual_seed(0)
    return [
        Data(x=torch.randn(5, 3, generator=generator) + label, y=torch.tensor([label]), group=torch.tensor([group]))
        for group in range(5)
        for label in (0, 1) * 8
    ]


@pytest.fixture(scope="module")
def client():
    distributed = pytest.importorskip("distributed")
    with distributed.Client(n_workers=2, threads_per_worker=1, dashboard_address=None, set_as_default=True) as client:
        yield client


@pytest.fixture
def numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "files").mkdir()
    paths = [tmp_path / "files" / f"{number:02d}.txt" for number in range(16)]
    for path in paths:
        path.write_text(str(int(path.stem)))
    return [path.relative_to(tmp_path) for path in paths]  # workers have a working folder of their own


def kill_one(client, folder, after):
    """Kills one of the workers as soon as there are so many results."""

    def watch():
        deadline = time.monotonic() + 120
        while len(list(folder.rglob("*.*"))) < after and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(pids[0], getattr(signal, "SIGKILL", signal.SIGTERM))

    pids = list(client.run(os.getpid).values())
    assert len(pids) == 2
    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_files_are_read_once_by_workers_of_dask_one_of_which_is_killed(client, numbers, tmp_path):
    extractor, cache = Numbers(str(tmp_path / "journal")), tmp_path / "cache"
    killer = kill_one(client, cache, after=5)
    with joblib.parallel_config(backend="dask"):
        found = extract(extractor, numbers, "cache", progress=False)
    killer.join()
    assert [int(frames.x) for frames in found.frames] == list(range(16))
    read = (tmp_path / "journal").read_text().split()
    assert set(read) == {path.name for path in numbers}
    assert len(read) <= 17, "only the file that the killed worker was at is read again"
    with joblib.parallel_config(backend="dask"):
        extract(extractor, numbers, "cache", progress=False)
    assert (tmp_path / "journal").read_text().split() == read


def test_folds_are_trained_once_by_workers_of_dask_one_of_which_is_killed(client, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data, candidate, options = corpus(), Candidate("small", small), {"seeds": (0, 1), "progress": False}
    made = folds("group", data)[:3]
    alone = cross_validate(candidate, data, made, TRAINING, tmp_path / "alone", workers=1, **options)
    killer = kill_one(client, tmp_path / "together", after=2)
    with joblib.parallel_config(backend="dask"):
        together = cross_validate(candidate, data, made, TRAINING, "together", **options)
    killer.join()
    for name in ("fold", "seed", "predicted", "cross_entropy", "weights"):
        assert [run[name] for run in together] == [run[name] for run in alone], name
    assert len(list((tmp_path / "together").iterdir())) == 6


def test_what_another_run_has_left_meanwhile_is_taken_over(numbers, tmp_path):
    extractor, results = Numbers(str(tmp_path / "journal"), 0.02), []
    runs = [
        threading.Thread(target=lambda: results.append(extract(extractor, numbers, "cache", workers=1, progress=False)))
        for _ in range(2)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    assert [[int(frames.x) for frames in result.frames] for result in results] == [list(range(16))] * 2
    assert len((tmp_path / "journal").read_text().split()) <= 17


def test_runs_in_threads_equal_runs_one_by_one(tmp_path):
    data, training = corpus(), TRAINING._replace(epochs=2)
    made, candidate, threads = folds("group", data)[:3], Candidate("small", small), torch.get_num_threads()
    alone = cross_validate(candidate, data, made, training, tmp_path / "alone", workers=1, progress=False)
    with joblib.parallel_config(backend="threading", n_jobs=3):
        together = cross_validate(candidate, data, made, training, tmp_path / "together", progress=False)
    assert [run["weights"] for run in together] == [run["weights"] for run in alone]
    assert torch.get_num_threads() == threads
