"""The accuracy of the default on sequences that have lost frames, scattered or in one block, masked or interpolated.

    python -m examples.reproduce missing-recommended [--datasets JapaneseVowels] [--emodb DIR] [--seeds 3]

The recommended recipe trains on whole sequences; frames are lost at test time alone, the same for each fill. The graph
convolution sums over the frames that are left (``row``) or averages them (``present``). The study ``missing`` compares
the paper's recipe with an LSTM, and also trains with losses.
"""

import argparse
import functools
import itertools
from pathlib import Path

import numpy as np

from benchmarks.table import print_table
from examples.reproduce.compare import of_variant, pooled_scores
from examples.reproduce.corpora import add_arguments, opened
from examples.reproduce.losses import DamageByNumpy
from lgrin import LGrIN
from lgrin.models.lgrin import RECOMMENDED_ADJACENCY
from lgrin.training import Candidate, recommended, write_results

FRACTIONS = (0.2, 0.4, 0.6)
FILLS = ("masks", "interpolation")


def build(normalize, in_channels, num_nodes, num_classes, **chosen):
    """The recommended network, with another normalization of A."""
    adjacency = {**RECOMMENDED_ADJACENCY, "normalize": normalize}
    return LGrIN(in_channels, num_nodes, num_classes, **{**chosen, "adjacency": adjacency})


def rows(corpus, normalize, options):
    """Accuracy by fraction of lost frames, a row for each pattern and fill."""
    for number, data in enumerate(corpus.sequences):
        data.number = number
    damages = [DamageByNumpy(*one) for one in itertools.product(DamageByNumpy.patterns, FILLS, FRACTIONS)]
    candidate = Candidate(f"L-GrIN, {normalize}", functools.partial(build, normalize), choose=recommended)
    runs = corpus.cross_validate(candidate, "missing", options, variants={str(damage): damage for damage in damages})
    found = {}
    for damage in damages:
        row = {"data": corpus.name, "A": normalize, "lost": damage.pattern, "filled by": damage.fill}
        row = found.setdefault(damage[:2], {**row, "0%": accuracy(runs, corpus)})
        row[f"{damage.fraction:.0%}"] = accuracy(of_variant(runs, str(damage)), corpus)
    return found.values()


def accuracy(runs, corpus):
    """The accuracy over all sequences, averaged over seeds."""
    return float(np.mean([one["accuracy"] for one in pooled_scores(runs, len(corpus.classes))]))


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
