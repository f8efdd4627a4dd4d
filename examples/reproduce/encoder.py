"""An encoder trained on series made by code, as a view beside the bank of filters, on training sequences alone.

    python -m examples.reproduce encoder [--emodb DIR] [--root DIR] [--tasks PATTERN] [--steps 2400]

A small network with stationary heads learns, for one channel, to tell crops of one series from those of others: two
crops of a series attract each other, those of others repel. Then it is frozen. Each channel of a sequence is
standardised by itself and encoded at its own rate and at a quarter of it; mean and maximum over the channels are the
features. The ridge of the bank gets them as a further block with a share 0.5 / P of the variance, P channels. Tasks are
those of ``python -m examples.reproduce suite``. A network that was not trained stands beside the trained one.
"""

import argparse
import fnmatch
import math
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import avg_pool1d, cross_entropy, normalize
from tqdm import tqdm

from benchmarks.table import print_table
from examples.reproduce.series import LENGTH, series
from examples.reproduce.suite import tasks
from lgrin import LGrIN
from lgrin.sklearn.inputs import to_nodes
from lgrin.training import fit_bank, write_results
from lgrin.training.bank import READINGS, scale_of, summaries
from lgrin.training.ridge import fit_ridge

SERIES, BATCH, CROPS, TEMPERATURE, RATE = 6000, 64, (40, 128), 0.2, 3e-3
SHARE = 0.5  # of the variance, for one channel
SLOWER = 4  # frames that are averaged for the second rate
METHODS = ("bank", "bank and encoder", "bank and untrained encoder", "encoder")


def network(seed=0):
    """The encoder before training: six kernels of 17 taps, two layers, maximum and mean."""
    torch.manual_seed(seed)
    kernels = {"name": "StationaryAdjacency", "reach": 8, "heads": 6, "start": "random"}
    readout = {"parts": ("max", "mean")}
    options = {"branch_channels": (32, 32), "self_features": True, "dropout": 0.0}
    return LGrIN(1, None, 2, adjacency=kernels, readout=readout, **options)


def crops(x, length, random):
    """One crop of each series, standardised, with its scale and values disturbed, ``[B, length, 1]``."""
    starts = random.integers(0, LENGTH - length + 1, len(x))
    x = np.stack([row[start : start + length] for row, start in zip(x, starts, strict=True)])
    x = (x - x.mean(1, keepdims=True)) / (x.std(1, keepdims=True) + 1e-3)
    x = x * np.exp(0.1 * random.standard_normal((len(x), 1))) + 0.05 * random.standard_normal(x.shape)
    return torch.from_numpy(x).float().unsqueeze(-1)


def train(count, seed=0):
    """Trains the encoder by contrast of crops, and returns it frozen."""
    random, model = np.random.default_rng(seed), network(seed)
    known = np.stack([series(random) for _ in range(SERIES)])
    projection = torch.nn.Sequential(
        torch.nn.Linear(model.embed_channels, 128), torch.nn.ReLU(), torch.nn.Linear(128, 64)
    )
    model.head.requires_grad_(False)
    weights = [one for one in (*model.parameters(), *projection.parameters()) if one.requires_grad]
    optimizer = torch.optim.AdamW(weights, RATE, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (step + 1) / 50) * (1 + math.cos(math.pi * step / count)) / 2
    )
    own = torch.eye(2 * BATCH, dtype=torch.bool)
    for _ in tqdm(range(count), unit="step"):
        chosen, length = known[random.integers(0, SERIES, BATCH)], random.integers(*CROPS, endpoint=True)
        pairs = torch.cat([crops(chosen, length, random) for _ in range(2)])
        z = normalize(projection(model.embed(pairs)), dim=1)
        scores = (z @ z.mT / TEMPERATURE).masked_fill(own, -1e9)
        loss = cross_entropy(scores, torch.arange(2 * BATCH).roll(BATCH))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return model.eval().requires_grad_(False)


@torch.no_grad()
def encoded(model, sequences):
    """Describes sequences ``[channels, time]``, ``[n, F]``."""
    rows = []
    for x in map(torch.from_numpy, sequences):
        x = x.float().nan_to_num()
        x = (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True, correction=0) + 1e-3)
        slower = avg_pool1d(x, SLOWER) if x.size(1) >= 4 * SLOWER else x
        found = [model.embed(one.unsqueeze(-1)) for one in (x, slower)]
        rows.append(torch.cat([part for one in found for part in (one.mean(0), one.amax(0))]))
    return torch.stack(rows)


def block(features, share):
    """The deviation of each feature of a block that has a share of the variance."""
    return torch.full((features.size(1),), math.sqrt(share / features.size(1)))


def run(task, encoders):
    """Accuracy and log loss of the bank, with and without each encoder, and of the trained encoder alone."""
    X, y = [task.X[index] for index in task.train], torch.from_numpy(task.y[task.train])
    tested, truth = [task.X[index] for index in task.test], torch.from_numpy(task.y[task.test])
    classes, share = int(task.y.max()) + 1, SHARE / len(X[0])
    bank, _ = fit_bank(nodes := to_nodes(X, y.numpy()), classes)
    with torch.no_grad():
        own, of_tested = summaries(bank, nodes), summaries(bank, to_nodes(tested))
    kinds = scale_of(bank, READINGS[0][0])
    views = [(encoded(one, X), encoded(one, tested)) for one in encoders]
    mixed = [torch.cat([math.sqrt(1 - share) * kinds, block(learn, share)]) for learn, _ in views]
    both = [
        (torch.cat([own, a], 1), torch.cat([of_tested, b], 1), scale)
        for (a, b), scale in zip(views, mixed, strict=True)
    ]
    inputs = [(own, of_tested, kinds), *both, (*views[0], block(views[0][0], 1.0))]
    rows = []
    for method, (learn, test, scale) in zip(METHODS, inputs, strict=True):
        ridge = fit_ridge(learn, y, classes, torch.ones(len(y)), scale)
        logits = test.double() @ ridge.weight.mT + ridge.bias
        accuracy, loss = float((logits.argmax(1) == truth).double().mean()), float(cross_entropy(logits, truth))
        rows.append({"task": task.name, "method": method, "accuracy": accuracy, "log loss": loss})
    return rows


def summary(rows):
    """Means over tasks, and how often a method is better, as good and worse than the bank."""
    found = {method: [row for row in rows if row["method"] == method] for method in METHODS}
    shown = []
    for method, own in found.items():
        gains = np.array([one["accuracy"] - bank["accuracy"] for one, bank in zip(own, found["bank"], strict=True)])
        line = {"method": method, "tasks": len(own)}
        line |= {name: float(np.mean([row[name] for row in own])) for name in ("accuracy", "log loss")}
        line["gain"], line["standard error"] = float(gains.mean()), float(gains.std() / math.sqrt(len(gains)))
        counts = [int(one.sum()) for one in (gains > 0, gains == 0, gains < 0)]
        shown.append({**line, "better, as good, worse": ", ".join(map(str, counts))})
    return shown


def main(study, arguments=None):
    parser = argparse.ArgumentParser(prog=f"python -m examples.reproduce {study}", description=__doc__.split("\n\n")[0])
    parser.add_argument("--tasks", default="*", metavar="PATTERN", help="only tasks with such names (default: all)")
    parser.add_argument("--steps", type=int, default=2400, metavar="N", help="of training (default: %(default)s)")
    parser.add_argument("--emodb", metavar="DIR", help="folder of EmoDB, which is added if given")
    parser.add_argument("--root", default="data", metavar="DIR", help="folder of the archive (default: %(default)s)")
    parser.add_argument("--cache", default="data/processed", metavar="DIR", help="folder of features")
    parser.add_argument("--out", default="runs/reproduce", metavar="DIR", help="folder of results")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    encoders, rows = (train(options.steps), network().eval()), []
    Path(options.out, study).mkdir(parents=True, exist_ok=True)
    torch.save(encoders[0].state_dict(), Path(options.out, study, "encoder.pt"))
    for task in tqdm([task for task in tasks(options) if fnmatch.fnmatch(task.name, options.tasks)], unit="task"):
        rows += run(task, encoders)
        write_results(Path(options.out) / study / "rows.json", rows=rows, options=vars(options))
    print_table("The bank with and without an encoder, on training data alone", summary(rows))
