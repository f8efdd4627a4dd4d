import os
import pickle
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from word_extractor import Words

from lgrin.features import Extractor, Frames, Mocap, SignalError, Speech, extract, from_settings

COUNTING = """
import sys, time
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
import torch
from lgrin.features import Extractor, Frames, extract

@dataclass(frozen=True)
class Slow(Extractor):
    journal: str
    seconds: float
    num_features: ClassVar[int] = 1

    def read(self, path):
        time.sleep(self.seconds)
        with open(self.journal, "a") as journal:
            journal.write(path.name + "\\n")
        return Frames(torch.full((2, 1), float(path.read_text())), torch.ones(2, dtype=torch.bool), 1.0)

files = sorted(Path(sys.argv[1]).glob("*.txt"))
done = extract(Slow(sys.argv[2], 0.05), files, sys.argv[3], workers=2, progress=False)
print(*(int(frames.x[0, 0]) for frames in done.frames))
"""


@pytest.fixture
def texts(tmp_path):
    folder = tmp_path / "texts"
    folder.mkdir()
    for name, text in {"a": "one three", "b": "gap four", "c": " ", "d": "seven"}.items():
        (folder / f"{name}.txt").write_text(text)
    return folder


def test_a_missing_frame_is_nan_and_marked_and_keeps_its_place(texts):
    x, mask, frame_rate = Words()(texts / "b.txt")
    assert mask.tolist() == [False, True]
    assert x[1].tolist() == [4.0]
    assert x[0].isnan().all()
    assert frame_rate == 2.0


@pytest.mark.parametrize("workers", [1, 2])
def test_broken_files_stop_the_run_or_are_listed(texts, workers):
    paths = sorted(texts.glob("*.txt"))
    with pytest.raises(SignalError, match=r"c\.txt: it holds no word \(on_error='skip' leaves such files out"):
        extract(Words(), paths, workers=workers, progress=False)
    with pytest.warns(UserWarning, match=r"1 of 4 files yield no frames and are left out:\n.*c\.txt: it holds no word"):
        extraction = extract(Words(), paths, on_error="skip", workers=workers, progress=False)
    assert list(extraction.failures.values()) == ["it holds no word"]
    assert [None if frames is None else len(frames.x) for frames in extraction.frames] == [2, 2, None, 1]
    with pytest.raises(ValueError, match="on_error is 'ignore'; it may be 'raise', 'skip'"):
        extract(Words(), paths, on_error="ignore")


def test_the_cache_serves_what_was_made_by_the_same_settings_from_the_same_content(texts, tmp_path, monkeypatch):
    read = []
    original = Words.read
    monkeypatch.setattr(
        Words, "read", lambda self, path: (read.append((path.name, self.scale)), original(self, path))[1]
    )
    paths = [texts / "a.txt", texts / "b.txt"]

    def run(scale=1.0, files=paths):
        read.clear()
        done = extract(Words(scale), files, tmp_path / "cache", workers=1, progress=False)
        return [float(frames.x[-1]) for frames in done.frames], [name for name, _ in read]

    assert run() == ([5.0, 4.0], ["a.txt", "b.txt"])
    assert run() == ([5.0, 4.0], [])
    assert run(scale=3.0) == ([15.0, 12.0], ["a.txt", "b.txt"])
    assert run() == ([5.0, 4.0], [])
    (texts / "a.txt").write_text("changed")
    assert run() == ([7.0, 4.0], ["a.txt"])
    moved = (texts / "b.txt").rename(texts / "moved.txt")
    assert run(files=[moved]) == ([4.0], [])
    monkeypatch.setattr(Words, "version", 2)
    assert run(files=[moved]) == ([4.0], ["moved.txt"])


def test_what_is_wrong_with_a_file_is_remembered_too(texts, tmp_path, monkeypatch):
    for _ in range(2):
        with pytest.warns(UserWarning, match="it holds no word"):
            extract(Words(), [texts / "c.txt"], tmp_path / "cache", on_error="skip", progress=False)
        monkeypatch.setattr(Words, "read", lambda self, path: pytest.fail("read again"))
    with pytest.raises(SignalError, match="it holds no word"):
        extract(Words(), [texts / "c.txt"], tmp_path / "cache", progress=False)


def test_damaged_entries_of_the_cache_are_made_again_with_one_line_that_says_so(texts, tmp_path):
    files, cache = [texts / "a.txt", texts / "b.txt"], tmp_path / "cache"
    whole = extract(Words(), files, cache, workers=1, progress=False)
    entries = sorted(cache.rglob("*.pt"))
    entries[0].write_bytes(entries[0].read_bytes()[:100])
    entries[1].write_bytes(b"")
    with pytest.warns(UserWarning, match=r"cached features are damaged and are made again: .*\.pt .*\.pt ") as said:
        again = extract(Words(), files, cache, workers=1, progress=False)
    assert len(said) == 1
    for found, expected in zip(again.frames, whole.frames, strict=True):
        torch.testing.assert_close(found.x, expected.x, rtol=0, atol=0, equal_nan=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extract(Words(), files, cache, workers=1, progress=False)


def test_a_process_that_dies_is_reported_with_the_files_in_question(texts):
    (texts / "e.txt").write_text("crash")
    paths = [texts / "a.txt", texts / "e.txt"]
    with pytest.raises(RuntimeError, match=r"a process died while it read one of . files, among them .*e\.txt"):
        extract(Words(), paths, workers=2, progress=False)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="process groups are not known here")
def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path):
    script, journal, cache, folder = (tmp_path / name for name in ("run.py", "journal", "cache", "files"))
    script.write_text(COUNTING)  # has no __main__ guard, as in a notebook
    folder.mkdir()
    for number in range(40):
        (folder / f"{number:02d}.txt").write_text(str(number))
    command = [sys.executable, script, folder, journal, cache]
    run = subprocess.Popen(command, start_new_session=True)
    deadline = time.monotonic() + 120
    while len(list(cache.rglob("*.pt"))) < 10 and run.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    time.sleep(0.3)  # until the last of its processes is gone
    kept = len(list(cache.rglob("*.pt")))
    assert 10 <= kept < 40
    again = subprocess.run(command, capture_output=True, text=True, check=True)
    assert again.stdout.split() == [str(number) for number in range(40)]
    redone = len(journal.read_text().split()) - 40
    assert redone <= 2, "no more than the files in flight are read twice"


def test_settings_travel():
    for extractor in (Speech("released"), Mocap(frame_rate=30.0, joints=23)):
        assert from_settings(extractor.settings) == extractor
        assert pickle.loads(pickle.dumps(extractor)) == extractor
    assert Speech("paper").fingerprint != Speech("released").fingerprint
    with pytest.raises(ValueError, match="name is 'Smell'; it may be"):
        from_settings({"name": "Smell"})


def test_what_an_extractor_promises_is_checked(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("x")

    def extractor(x, mask=None):
        frames = Frames(x, torch.ones(len(x), dtype=torch.bool) if mask is None else mask, 1.0)

        @dataclass(frozen=True)
        class Given(Extractor):
            num_features: ClassVar[int] = 2

            def read(self, path):
                return frames

        return Given()

    for x, mask, reason in (
        (torch.zeros(3, 1), None, r"made frames of shape \[3, 1\], not \[L, 2\]"),
        (torch.zeros(3, 2), torch.zeros(3).bool(), "no frame of it could be used"),
        (torch.zeros(0, 2), None, "no frame of it could be used"),
        (torch.full((1, 2), torch.inf), None, "numbers that are not finite"),
    ):
        with pytest.raises(SignalError, match=reason):
            extractor(x, mask)(path)
