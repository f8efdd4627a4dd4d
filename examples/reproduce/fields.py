"""Sets of other fields: radar, sonar, nucleotides, spectra, pixels from space, and music.

Debian's ``r-cran-mlbench``, ``r-cran-kernlab`` and ``r-cran-caret`` hold six of them in the folder of R's packages
(``R_LIBS_SITE``), which ``pip install rdata`` reads; ``pip install music21`` ships the scores. Each set is cut into two
halves, of which each is tested once.
"""

import os
import re
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold
from torch_geometric.data import Data
from tqdm import tqdm

from examples.reproduce.corpora import Corpus, folder_of
from lgrin.training import Fold

R_LIBRARY = "/usr/lib/R/site-library"
COMPOSERS, WORKS, VOICES = ("bach", "palestrina", "trecento", "monteverdi"), 90, 4
REGIONS, SONGS = ("han", "kinder", "ballad", "altdeu", "boehme"), 250
FRAMES_A_QUARTER, MOST_QUARTERS = 2, 400
SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
NOTE = re.compile(r"([_^=]*)([A-Ga-gz])([,']*)(\d*)(/?\d*)")


def halves(name, X, y):
    """A set of sequences ``[time, channels]`` in two halves, of which each is trained on and tested once."""
    names, classes = np.unique(np.asarray(y), return_inverse=True)
    data = [
        Data(x=torch.from_numpy(np.array(x, np.float32)), y=torch.tensor([int(label)]))
        for x, label in zip(X, classes, strict=True)
    ]
    parts = StratifiedKFold(2, shuffle=True, random_state=0).split(classes, classes)
    folds = [Fold(f"half {index}", train.tolist(), [], test.tolist()) for index, (train, test) in enumerate(parts)]
    return Corpus(name, tuple(map(str, names)), data, folds)


def of_r(package, name):
    """The data sets in a file of one of R's packages."""
    import rdata

    folder = Path(os.environ.get("R_LIBS_SITE", R_LIBRARY)) / package / "data"
    found = [folder / f"{name}{ending}" for ending in (".rda", ".RData") if (folder / f"{name}{ending}").exists()]
    if not found:
        raise FileNotFoundError(f"{folder} has no {name}: apt-get install r-cran-{package}, or set R_LIBS_SITE")
    return rdata.read_rda(found[0])


def of_mlbench(name, frames, channels):
    """A table of mlbench whose columns are frames of channels, and whose last one is the class."""
    table = of_r("mlbench", name)[name]
    X = table.iloc[:, : frames * channels].astype(float).to_numpy().reshape(len(table), frames, channels)
    return halves(name, X, table.iloc[:, -1].astype(str))


def promoters():
    """106 stretches of 57 nucleotides, half of them promoters of genes; kernlab's."""
    table = of_r("kernlab", "promotergene")["promotergene"]
    letters = table.iloc[:, 1:].astype(str).to_numpy()[..., None]
    return halves("promoters", letters == list("acgt"), table["Class"].astype(str))


def tecator():
    """215 spectra of meat, of more or less than a fifth of fat; caret's."""
    found = of_r("caret", "tecator")
    return halves("tecator", np.asarray(found["absorp"])[..., None], np.asarray(found["endpoints"])[:, 1] > 20)


def voices(score):
    """The pitches of four voices, two frames to a quarter note and 0 at rests; ``None`` for a solo."""
    parts = list(score.parts)[:VOICES]
    x = np.zeros((int(min(score.highestTime, MOST_QUARTERS) * FRAMES_A_QUARTER), VOICES), np.float32)
    for voice, part in enumerate(parts):
        for note in part.flatten().notes:
            start, length = (round(float(at) * FRAMES_A_QUARTER) for at in (note.offset, note.quarterLength))
            x[start : start + max(1, length), voice] = max(pitch.midi for pitch in note.pitches)
    return x if len(parts) > 1 and len(x) >= 16 else None


def composers():
    """Works by three composers and of the Italian Trecento, up to 90 each, as the pitches of their voices."""
    from music21 import converter

    X, y, random = [], [], np.random.default_rng(0)
    for name in COMPOSERS:
        folder = folder_of("music21") / "corpus" / name
        files = [path for path in sorted(folder.rglob("*")) if path.suffix in (".mxl", ".krn", ".xml")]
        for index in tqdm(random.permutation(len(files))[:WORKS], desc=name, unit="work"):
            x = voices(converter.parse(files[index]))
            if x is not None:
                X.append(x)
                y.append(name)
    return halves("composers", X, y)


def melody(text):
    """The pitches of a tune in the ABC notation, one frame to the unit of its notes, in semitones."""
    pitches = []
    for sharp, letter, octave, times, part in NOTE.findall(text):
        pitch = pitches[-1] if pitches else 0
        if letter != "z":  # a rest holds the note before
            pitch = SEMITONES[letter.upper()] + 12 * letter.islower() + sharp.count("^") - sharp.count("_")
            pitch += 12 * (octave.count("'") - octave.count(","))
        length = float(times or 1) / (float(part[1:] or 2) if part else 1)
        pitches += [pitch] * max(1, round(length))
    return np.array(pitches[:1000], np.float32)[:, None]


def songs():
    """Folk songs of five collections of the Essen corpus, up to 250 each, as their melodies."""
    X, y, folder = [], [], folder_of("music21") / "corpus" / "essenFolksong"
    for name in REGIONS:
        text = "\n".join(path.read_text("latin-1") for path in sorted(folder.glob(f"{name}*.abc")))
        tunes = [re.sub(r"(?m)^([A-Za-z]:|%).*$", "", tune) for tune in re.split(r"\n(?=X:)", text)]
        found = [x for x in map(melody, tunes) if len(x) >= 20][:SONGS]
        X += found
        y += [name] * len(found)
    return halves("songs", X, y)


FIELDS = {
    "Sonar": lambda: of_mlbench("Sonar", frames=60, channels=1),
    "Ionosphere": lambda: of_mlbench("Ionosphere", frames=17, channels=2),
    "Satellite": lambda: of_mlbench("Satellite", frames=9, channels=4),
    "DNA": lambda: of_mlbench("DNA", frames=60, channels=3),
    "promoters": promoters,
    "tecator": tecator,
    "composers": composers,
    "songs": songs,
}
