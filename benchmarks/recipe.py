"""Chooses the default recipe by cross-validation inside the training split; the test split is never read.

python -m benchmarks.recipe [--datasets JapaneseVowels BasicMotions] [--folds 5]
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import StratifiedKFold

from benchmarks.table import print_table
from lgrin import LGrIN
from lgrin.datasets import UEA
from lgrin.training import train_and_test, write_results
from lgrin.transforms import CyclicPad, Resample

PAPER = {"averaging": 0.0, "options": {}}  # Adam 0.01, no decay, no averaging
RECIPES = {
    "Adam 0.01": PAPER,
    "cyclic padding (the paper's)": {**PAPER, "frames": lambda num_nodes: CyclicPad(num_nodes, longer="resample")},
    "unpadded": {**PAPER, "frames": lambda num_nodes: None},
    "A from N(0, 1), not normalised (the paper's)": {**PAPER, "model": {"adjacency": {"init": "normal"}}},
    "structure loss summed (the paper's)": {**PAPER, "options": {"loss": {"reduction": "sum"}}},
    "no structure loss": {**PAPER, "options": {"loss": {"lambda_distance": 0.0, "lambda_frobenius": 0.0}}},
    "Adam 0.003, weight decay 0.05": {"averaging": 0.0},
    "the same, averaged (the default)": {},
}


def score(name, recipe, folds, root):
    """Accuracy and cross-entropy of every training sequence, each predicted by a model that has not seen it."""
    train = UEA(root, name, "train")
    longest = train.max_num_frames
    train.transform = recipe.get("frames", Resample)(longest)
    labels = np.array([int(data.y) for data in train])
    correct, surprise = [], []
    for fold, (seen, unseen) in enumerate(StratifiedKFold(folds, shuffle=True, random_state=0).split(labels, labels)):
        torch.manual_seed(fold)
        model = LGrIN(train.num_features, longest, train.num_classes, **recipe.get("model", {}))
        seen, unseen = [train[int(i)] for i in seen], [train[int(i)] for i in unseen]
        with tempfile.TemporaryDirectory() as out:
            chosen = {name: recipe[name] for name in ("options", "averaging") if name in recipe}
            _, evaluation = train_and_test(model, seen, unseen, out, seed=fold, progress=False, **chosen)
        target = torch.tensor([int(data.y) for data in unseen])
        chance = evaluation.probabilities.gather(1, target.unsqueeze(1)).clamp(min=1e-12)
        correct += (evaluation.probabilities.argmax(1) == target).tolist()
        surprise += (-chance.log()).flatten().tolist()
    return float(np.mean(correct)), float(np.mean(surprise))


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipe", description=__doc__.split("\n\n")[0])
    parser.add_argument("--datasets", nargs="+", default=["JapaneseVowels", "BasicMotions"], metavar="NAME")
    parser.add_argument("--recipes", nargs="+", default=list(RECIPES), choices=list(RECIPES), metavar="TITLE")
    parser.add_argument("--folds", type=int, default=5, metavar="N")
    parser.add_argument("--root", default="data", metavar="DIR")
    parser.add_argument("--out", default="runs/benchmarks", metavar="DIR")
    options = parser.parse_args()
    rows = []
    for name in options.datasets:
        for title in options.recipes:
            accuracy, surprise = score(name, RECIPES[title], options.folds, options.root)
            rows.append({"data": name, "recipe": title, "accuracy": accuracy, "cross-entropy": surprise})
            print(rows[-1], flush=True)
            write_results(Path(options.out) / "recipe.json", rows=rows, folds=options.folds)
    print_table(f"{options.folds}-fold cross-validation inside the training split", rows)


if __name__ == "__main__":
    main()
