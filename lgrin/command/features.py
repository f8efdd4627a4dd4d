"""``lgrin features``: extracts the frames of recordings."""

import argparse
import csv
from pathlib import Path
from typing import Any

from lgrin.command.data import CORPORA, is_corpus, open_corpus
from lgrin.command.parser import did_you_mean
from lgrin.files import write_atomically


def run(options: argparse.Namespace) -> Any:
    """Extracts frames into the cache, describes them, and writes them as a table if that is wanted.

    Args:
        options: The options of ``lgrin features``.

    Returns:
        The data set.

    Raises:
        OSError: If a file cannot be read or written.
        ValueError: If there is no such corpus, or a recording is broken.
    """
    if not is_corpus(options.dataset):
        known = f"it may be {', '.join(CORPORA)}{did_you_mean(options.dataset, CORPORA)}"
        raise ValueError(f"--dataset is {options.dataset!r}, which has no recordings; {known}")
    dataset = open_corpus(options, progress=not options.no_progress)
    print(dataset)
    if options.out:
        write_atomically(options.out, lambda name: _write_table(Path(name), dataset))
        print(f"frames are in {options.out}")
    return dataset


def _write_table(path: Path, dataset: Any) -> None:
    """Writes a row for each present frame; columns are name, label, group, time in seconds, and the features."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        columns = [f"feature_{number}" for number in range(dataset.num_features)]
        writer.writerow(["name", "label", "group", "seconds", *columns])
        for data in dataset:
            group = "" if data.get("group") is None else dataset.groups[int(data.group)]
            told = [data.name, dataset.classes[int(data.y)], group]
            mask = data.get("mask")
            for index, frame in enumerate(data.x.tolist()):
                if mask is None or bool(mask[index]):
                    writer.writerow([*told, f"{index / float(data.frame_rate):.3f}", *frame])
