"""Sequences that are shorter or longer than those that a network without a length was trained on.

A class is a frequency of 1, 1.6 or 2.4 Hz, measured 25 times a second in six channels of random phase and amplitude,
with noise. Each of ten people moves at a factor of 0.95 to 1.05 of it. A network is trained on 60 recordings of 80 to
300 frames of eight people, and tested on new recordings of the other two: of the same lengths, of 50 frames, and of
5,000, all with the same weights. Nothing is stretched. Beside it the recommended recipe, which stretches all to one
length.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from benchmarks.table import print_table
from examples.reproduce.planted import spread
from lgrin.sklearn import LGrINClassifier
from lgrin.training import write_results

RATE, FREQUENCIES, CHANNELS, PEOPLE, FOLDS, NOISE = 25, (1.0, 1.6, 2.4), 6, 10, 5, 0.5
TRAINED = (80, 300)
TESTED = {"80 to 300 frames": TRAINED, "50 frames": (50, 50), "5,000 frames": (5_000, 5_000)}


class Recordings(NamedTuple):
    """Recordings ``[channels, time]``, the class of each, and the person."""

    x: list[np.ndarray]
    y: np.ndarray
    person: np.ndarray


def record(count: int, frames: tuple[int, int], pace: np.ndarray, random: np.random.Generator) -> Recordings:
    """Draws recordings, every class and person in turn.

    Args:
        count: How many.
        frames: The shortest and the longest.
        pace: The factor of each person.
        random: Draws lengths, phases, amplitudes and noise.

    Returns:
        The recordings.

    Example:
        >>> recordings = record(4, (50, 50), np.ones(2), np.random.default_rng(0))
        >>> recordings.x[0].shape, recordings.y.tolist(), recordings.person.tolist()
        ((6, 50), [0, 1, 2, 0], [0, 0, 0, 1])
    """
    index = np.arange(count)
    y, person, x = index % len(FREQUENCIES), index // len(FREQUENCIES) % len(pace), []
    for label, who in zip(y, person, strict=True):
        seconds = np.arange(random.integers(frames[0], frames[1] + 1)) / RATE
        phase, amplitude = random.uniform(0, 2 * np.pi, (CHANNELS, 1)), random.uniform(0.5, 1.5, (CHANNELS, 1))
        wave = amplitude * np.sin(2 * np.pi * FREQUENCIES[label] * pace[who] * seconds + phase)
        x.append((wave + NOISE * random.standard_normal(wave.shape)).astype(np.float32))
    return Recordings(x, y, person)


def run(recipe: str, fold: int, recordings: int, tested: int, epochs: int | None) -> dict[str, float]:
    """Trains on the people outside a fold and tests on those inside; returns the accuracy at each length."""
    pace = np.random.default_rng(0).uniform(0.95, 1.05, PEOPLE)
    learned = record(recordings, TRAINED, pace, np.random.default_rng(1))
    mine = [index for index, who in enumerate(learned.person) if who % FOLDS != fold]
    classifier = LGrINClassifier(recipe=recipe, epochs=epochs, random_state=fold)
    classifier.fit([learned.x[index] for index in mine], learned.y[mine])
    scores = {}
    for number, (name, frames) in enumerate(TESTED.items()):
        new = record(tested, frames, pace[fold::FOLDS], np.random.default_rng([fold, number]))
        scores[name] = float(np.mean(classifier.predict(new.x) == new.y))
    return scores


def main(study: str, arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    parser.add_argument("--recordings", type=int, default=60, metavar="N", help="of all people (%(default)s)")
    parser.add_argument("--tested", type=int, default=60, metavar="N", help="new recordings of a fold (%(default)s)")
    parser.add_argument("--epochs", type=int, metavar="N", help="of a training (as the recipe has it)")
    parser.add_argument("--recipes", nargs="+", default=["any_length", "recommended"], metavar="NAME")
    parser.add_argument("--out", default="runs/reproduce", metavar="DIR", help="folder for the numbers (%(default)s)")
    options = parser.parse_args(arguments)
    rows = []
    for recipe in options.recipes:
        folds = tqdm(range(FOLDS), desc=recipe, unit="fold")
        found = [run(recipe, fold, options.recordings, options.tested, options.epochs) for fold in folds]
        rows.append({"recipe": recipe, **{name: spread([one[name] for one in found]) for name in TESTED}})
    write_results(Path(options.out) / "lengths.json", rows=rows, **vars(options))
    print_table("Sequences of other lengths than those of training", rows)
