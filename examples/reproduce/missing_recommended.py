"""What the default makes of sequences that have lost frames, anywhere or in a block, masked or interpolated.

    python -m examples.reproduce missing-recommended [--datasets JapaneseVowels] [--emodb DIR] [--seeds 3]

Whole sequences are trained on by the recommended recipe; frames are lost at test time alone, the same whatever fills
them. A sums over the frames that are left (``row``) or averages them (``present``). The study
``missing`` has the paper's recipe beside an LSTM, and training with losses.
"""

import argparse
import functools
import itertools
from pathlib import Path

import numpy as np
import torch

from benchmarks.table import print_table
from examples.reproduce.accuracy import outcome
from examples.reproduce.corpora import add_arguments, opened
from lgrin import LGrIN
from lgrin.models.lgrin import RECOMMENDED_ADJACENCY
from lgrin.training import Candidate, cross_validate, recommended, write_results

FRACTIONS = (0.2, 0.4, 0.6)
PATTERNS = ("scattered", "in a block")
FILLS = ("masks", "interpolation")


def lose(pattern, fill, fraction, data):
    """A numbered sequence without a part of its frames, one of which is left at the least."""
    there = np.arange(len(data.x)) if data.get("mask") is None else data.mask.nonzero()[:, 0].numpy()
    count, generator = min(round(fraction * len(there)), len(there) - 1), np.random.default_rng(data.number)
    start = int(generator.integers(len(there) - count + 1))
    lost = generator.permutation(there)[:count] if pattern == "scattered" else there[start : start + count]
    left = np.setdiff1d(there, lost)
    if fill == "masks":
        data.mask = torch.zeros(len(data.x), dtype=torch.bool)
        data.mask[left] = True
    else:
        lines = [np.interp(there, left, channel) for channel in data.x[left].T.numpy()]
        data.x[there] = torch.from_numpy(np.stack(lines, axis=-1)).to(data.x.dtype)
    return data


def build(normalize, in_channels, num_nodes, num_classes, **chosen):
    """What is recommended, but that A sums or averages as it is told."""
    adjacency = {**RECOMMENDED_ADJACENCY, "normalize": normalize}
    return LGrIN(in_channels, num_nodes, num_classes, **{**chosen, "adjacency": adjacency})


def rows(corpus, normalize, options):
    """Accuracy by what is lost, a row for each pattern and fill."""
    for number, data in enumerate(corpus.sequences):
        data.number = number
    variants = {
        f"{pattern}, {fill}, {fraction:.0%}": functools.partial(lose, pattern, fill, fraction)
        for pattern, fill, fraction in itertools.product(PATTERNS, FILLS, FRACTIONS)
    }
    runs = cross_validate(
        Candidate(f"L-GrIN, {normalize}", functools.partial(build, normalize), choose=recommended),
        corpus.sequences,
        corpus.folds,
        corpus.training,
        Path(options.out) / "missing" / corpus.name,
        seeds=range(options.seeds),
        variants=variants,
        workers=options.workers,
    )
    accuracy = {
        name: float(np.mean([one["accuracy"] for one in outcome(runs, len(corpus.classes), name)[0]]))
        for name in (None, *variants)
    }
    for pattern, fill in itertools.product(PATTERNS, FILLS):
        found = {f"{fraction:.0%}": accuracy[f"{pattern}, {fill}, {fraction:.0%}"] for fraction in FRACTIONS}
        yield {"data": corpus.name, "A": normalize, "lost": pattern, "filled by": fill, "0%": accuracy[None], **found}


def main(study, arguments=None):
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    add_arguments(parser, (), seeds=3)
    options = parser.parse_args(arguments)
    found = [
        row
        for corpus in opened(options)
        for normalize in ("row", "present")
        for row in rows(corpus, normalize, options)
    ]
    write_results(Path(options.out) / "missing.json", rows=found, options=vars(options))
    print_table("frames lost at test time", found)
