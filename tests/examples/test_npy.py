"""Files of pickled objects: arrays are read, and nothing that a file names is run."""

import importlib.util
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from examples.reproduce.npy import read_object

CONTENT = {"X": [np.arange(6.0).reshape(2, 3), np.ones((1, 3))], "y": np.array([1, 0]), "names": ["a", "b"], "n": 3}


class Harmful:
    """Its pickle makes a folder when it is loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def write(path, content, protocol):
    """A file as ``numpy.save`` writes it, by any protocol of pickle."""
    with open(path, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
        pickle.dump(np.array(content, dtype=object), file, protocol)
    return path


def same(one, two):
    assert one.keys() == two.keys()
    for name in one:
        np.testing.assert_equal(one[name], two[name])
        assert type(one[name]) is type(two[name])


@pytest.mark.parametrize("protocol", [2, 3, 4])  # those of numpy.save, of all its versions
def test_arrays_lists_and_texts_are_read(protocol, tmp_path):
    path = write(tmp_path / "a.npy", CONTENT, protocol)
    same(read_object(path), CONTENT)
    same(np.load(path, allow_pickle=True).item(), CONTENT)


def test_what_numpy_itself_saves_is_read(tmp_path):
    np.save(tmp_path / "a.npy", CONTENT)
    same(read_object(tmp_path / "a.npy"), CONTENT)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_file_that_calls_anything_else_is_refused_and_nothing_is_run(protocol, tmp_path):
    path = write(tmp_path / "a.npy", {"X": Harmful(tmp_path / "made")}, protocol)
    with pytest.raises(pickle.UnpicklingError, match=r"names \w+\.mkdir, which no array is made of"):
        read_object(path)
    assert not (tmp_path / "made").exists()
    np.load(path, allow_pickle=True)
    assert (tmp_path / "made").exists(), "it would have been run"


@pytest.mark.parametrize("array", [np.arange(3), np.array([1, None], dtype=object)])
def test_other_files_of_numpy_are_refused(array, tmp_path):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(ValueError, match="does not hold one pickled object"):
        read_object(tmp_path / "a.npy")


def test_the_data_of_watches_are_what_numpy_reads():
    if importlib.util.find_spec("seglearn") is None:
        pytest.skip("needs seglearn's data")
    path = Path(importlib.util.find_spec("seglearn").origin).parent / "data" / "watch_dataset.npy"
    same(read_object(path), np.load(path, allow_pickle=True).item())
