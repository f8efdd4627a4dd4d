"""The sets that network and bank are compared on: those of the archive, watches, EmoDB, and two made by code."""

from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data

from examples.reproduce.corpora import Corpus, archive, emodb, watch, whole_folds
from examples.reproduce.fields import FIELDS
from examples.reproduce.rivals import TRANSDUCTIVE
from examples.reproduce.shipped import SHIPPED, both_splits
from lgrin.training import normalize_groups

PERIODIC = {"periodic": 60, "periodic-300": 300}  # recordings
SETS = ("ERing", "RacketSports", "Epilepsy", "JapaneseVowels", "BasicMotions", "watch", *PERIODIC)
OTHERS = {**SHIPPED, **FIELDS}
RATE, NOISE, FREQUENCIES, SUBJECTS = 25, 0.5, (1.0, 1.6, 2.4), 10


def periodic(count=60, seed=0):
    """Recordings of three frequencies, six channels of random phase and amplitude, by ten people in five folds."""
    random, data = np.random.default_rng(seed), []
    factor = random.uniform(0.95, 1.05, SUBJECTS)
    for index in range(count):
        label, person = index % len(FREQUENCIES), index // len(FREQUENCIES) % SUBJECTS
        length = random.integers(80, 301)
        angle = 2 * np.pi * FREQUENCIES[label] * factor[person] * np.arange(length) / RATE
        waves = [random.uniform(0.5, 1.5) * np.sin(angle + random.uniform(0, 2 * np.pi)) for _ in range(6)]
        x = np.stack(waves, 1) + NOISE * random.standard_normal((length, 6))
        x, y, group = torch.from_numpy(x).float(), torch.tensor([label]), torch.tensor([person])
        data.append(Data(x=x, y=y, group=group))
    return Corpus("periodic", tuple(map(str, FREQUENCIES)), data, whole_folds("group-kfold", data))


def stored(path):
    """A set with its own split from a file of NumPy's."""
    content = np.load(path)
    return both_splits(path.stem, *((content[f"X_{part}"], content[f"y_{part}"]) for part in ("train", "test")))


def opened(options):
    """Yields the corpora that were asked for."""
    for name in options.datasets:
        path = Path(options.root) / f"{name}.npz"
        if name == "watch":
            yield watch()
        elif name in PERIODIC:
            yield periodic(PERIODIC[name])._replace(name=name)
        elif name in OTHERS:
            yield OTHERS[name]()
        else:
            yield stored(path) if path.exists() else archive(name, options.root)
    if options.emodb:
        corpus = emodb(options.emodb, options.cache, options.layout)
        if options.transductive:
            scaled = normalize_groups(corpus.sequences)
            corpus = corpus._replace(name=f"{corpus.name}{TRANSDUCTIVE}", sequences=scaled)
        yield corpus


def as_channels(data):
    """The frames of a sequence, ``[channels, time]``, NaN where they are absent."""
    x = data.x.clone()
    if data.get("mask") is not None:
        x[~data.mask] = torch.nan
    return x.T.numpy()
