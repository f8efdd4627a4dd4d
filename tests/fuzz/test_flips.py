"""A few bits of a written file change: it says what it said, or that it is damaged, never anything else.

Every file draws its own places by a fixed seed. What is kept to spare time (features, processed sets, results) is made
again where it is damaged.
"""

import shutil
import warnings
import zlib

import numpy as np
import pytest
from files import make

from lgrin.hub import PretrainedClassifier
from lgrin.sklearn import LGrINClassifier

DAMAGES = 54


def read_fold(path):
    """The result of a fold, without what differs from run to run."""
    kept = {name: value for name, value in make.fold_of(path).items() if name not in ("seconds", "versions")}
    return np.array(repr(sorted(kept.items())))


READERS = {  # a folder, how what stands in it is read
    "checkpoint": lambda path: make.logits(make.open_checkpoint(path / "lgrin.ckpt"), "lgrin"),
    "checkpoint of modalities": lambda path: make.logits(make.open_checkpoint(path / "multimodal.ckpt"), "multimodal"),
    "estimator": lambda path: LGrINClassifier.load(path / "estimator.pt").predict_proba(make.draw("unseen", 3, 3, 9)),
    "hub": lambda path: make.logits(PretrainedClassifier.from_pretrained(path / "hub"), "hub"),
    "exported": lambda path: make.exported(path / "model.onnx"),
    "8 bits": lambda path: make.exported(path / "8bit.onnx"),
    "features": lambda path: np.concatenate([part.numpy().ravel() for part in make.features(path)[:2]]),
    "processed": lambda path: np.concatenate([data.x.numpy().ravel() for data in make.Two(str(path))]),
    "result": read_fold,
}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A small file of every kind, as the library of today writes it."""
    out = tmp_path_factory.mktemp("written")
    make.write_checkpoints(out, ["lgrin", "multimodal"])
    make.write_models(out)
    make.write_data(out)
    return out


PLACES = {
    "checkpoint": ["lgrin.ckpt"],
    "checkpoint of modalities": ["multimodal.ckpt"],
    "estimator": ["estimator.pt"],
    "hub": ["hub/*"],
    "exported": ["model.onnx*"],
    "8 bits": ["8bit.onnx*"],
    "features": [],
    "processed": ["processed/**/*"],
    "result": [],
}


def copied(written, kind, folder):
    """The files of one kind alone, and which of them are tried."""
    for pattern in PLACES[kind]:
        for path in written.glob(pattern):
            if path.is_file():
                (folder / path.relative_to(written)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, folder / path.relative_to(written))
    if kind == "result":
        read_fold(folder)
    if kind == "features":  # more of them than of what stands around them
        (folder / "clip.txt").write_text(" ".join("word" * (1 + index % 3) for index in range(500)))
        make.features(folder)
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in ("clip.txt", "README.md"))


def damages(content, seed):
    """What the file may become: a bit has changed, or a few bytes are lost, zero, or there twice."""
    random = np.random.default_rng(seed)
    for number in range(DAMAGES):
        start, bit, length = (int(random.integers(stop)) for stop in (len(content), 8, 16))
        before, part, after = content[:start], content[start : start + 1 + length], content[start + 1 + length :]
        yield {
            5: (f"lost {len(part)} bytes at {start}", before + after),
            6: (f"{len(part)} zeros at {start}", before + bytes(len(part)) + after),
            7: (f"{len(part)} bytes at {start} twice", before + part + part + after),
            8: (f"cut to {start} bytes", before),
        }.get(number % 9, (f"bit {bit} of byte {start}", before + bytes([part[0] ^ 1 << bit]) + part[1:] + after))


def outcome(kind, folder, path, expected):
    """Empty if what is read is what was written, or the error is one of the library that names the file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files without a checksum, and of what is made again
        try:
            found = READERS[kind](folder)
        except Exception as error:
            clear = isinstance(error, ValueError) and (path.name in str(error) or str(path.parent) in str(error))
            return "" if clear else f"{type(error).__name__}: {str(error)[:150]}"
    same = np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f")
    return "" if same else "other values without a word"


@pytest.mark.parametrize("kind", READERS)
def test_a_damaged_file_says_what_it_said_or_that_it_is_damaged(kind, written, tmp_path):
    whole = tmp_path / "whole"
    whole.mkdir()
    paths, expected = copied(written, kind, whole), READERS[kind](whole)
    assert paths
    wrong = []
    for path in paths:
        content = path.read_bytes()
        for damage, changed in damages(content, zlib.crc32(kind.encode())):
            folder = shutil.copytree(whole, tmp_path / "damaged")
            (folder / path.relative_to(whole)).write_bytes(changed)
            if said := outcome(kind, folder, folder / path.relative_to(whole), expected):
                wrong.append(f"{path.relative_to(whole)}, {damage}: {said}")
            shutil.rmtree(folder)
    assert not wrong, "\n".join([f"{len(wrong)} of {len(paths) * DAMAGES}", *wrong])
