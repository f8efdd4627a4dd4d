"""The same data with four ways of splitting, each more optimistic than the one before."""

import torch
from torch_geometric.data import Data

from examples.reproduce.compare import run, show, summarize
from examples.reproduce.tables import lgrin
from lgrin.training import Fold

STEPS = (
    ("speakers apart", "group-kfold"),
    ("recordings apart", "recording"),
    ("pieces at random", "paper"),
    ("the same, checkpoint chosen on the test fold", "paper"),
)


def pieces(data: Data, num_frames: int):
    """Yields pieces of a sequence that do not overlap, without the remainder, as the released code does."""
    for start in range(0, data.num_nodes - num_frames + 1, num_frames):
        part = data.clone()
        part.recording = data.get("recording") or data.name
        part.x, part.frame = data.x[start : start + num_frames], torch.arange(num_frames)
        if data.get("mask") is not None:
            part.mask = data.mask[start : start + num_frames]
        if part.get("mask") is None or bool(part.mask.any()):
            yield part


def optimism(sequences, setting, num_frames):
    """One row for each step. The first interval is over groups, the others are over pieces."""
    cut = [piece for data in sequences for piece in pieces(data, num_frames)]
    rows = []
    for title, protocol in STEPS:
        mine = setting._replace(
            sequences=cut, protocol=protocol, training=setting.training._replace(num_nodes=num_frames)
        )
        made = mine.folds()
        if "test fold" in title:
            made = [Fold(fold.name, fold.train + fold.validation, fold.test, fold.test) for fold in made]
        summary = summarize(run(lgrin(), mine, made), mine)
        row = {"folds": title, "accuracy": show(summary["accuracy"]), "UAR": show(summary["uar"])}
        rows.append({**row, "pooled": f"{summary['pooled']:.3f}", "pieces": len(cut)})
    return rows
