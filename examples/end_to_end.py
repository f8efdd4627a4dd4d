"""Trains a small CNN and L-GrIN together on speech. The nodes of the graph are pieces of the spectrogram.

    python examples/end_to_end.py --root corpora/emodb
    python examples/end_to_end.py --root corpora/emodb --frames 100

Writes to runs/<name>/: metrics.json, checkpoints/best.ckpt and last.ckpt, logs/ and adjacency.png.
"""

import argparse
import time
from pathlib import Path

import torch
from lightning import seed_everything
from torch.nn import AdaptiveAvgPool2d, BatchNorm2d, Conv2d, Flatten, MaxPool2d, ReLU, Sequential, Unflatten

from lgrin import LGrIN
from lgrin.datasets import EmoDB
from lgrin.features import LogMel
from lgrin.training import hold_out, train_and_test, write_results
from lgrin.training.recipes import RECIPES
from lgrin.transforms import Patches
from lgrin.visualization import plot_adjacency, save_figure

CHANNELS = (16, 32, 64)


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="EmoDB is downloaded if it is missing. A fifth of its speakers is held out for the test.",
    )
    parser.add_argument("--root", default="data/emodb", metavar="DIR", help="folder of EmoDB (default: %(default)s)")
    parser.add_argument("--cache", default="data/processed/emodb-mel", metavar="DIR", help="folder of the spectrograms")
    parser.add_argument("--frames", type=int, default=60, metavar="M", help="nodes per clip (default: %(default)s)")
    parser.add_argument("--width", type=int, default=16, metavar="W", help="spectra per node, 10 ms each (%(default)s)")
    parser.add_argument(
        "--epochs", type=int, metavar="N", help="passes over the training set (default: 600 steps, at least 60 passes)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default: %(default)s)")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--out", metavar="DIR", help="folder of the run (default: runs/end-to-end-seed<seed>)")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    return parser.parse_args(arguments)


def small_cnn(width, channels=CHANNELS):
    """Turns pieces of a spectrogram ``[K, width, bands]`` into features ``[K, channels[-1]]``."""
    layers = [Unflatten(1, (1, width)), BatchNorm2d(1)]
    for before, after in zip((1, *channels), channels, strict=False):
        layers += [Conv2d(before, after, 3, padding=1, bias=False), BatchNorm2d(after), ReLU(), MaxPool2d(2)]
    return Sequential(*layers[:-1], AdaptiveAvgPool2d(1), Flatten())


def main(arguments=None):
    options = parse_arguments(arguments)
    out = Path(options.out or f"runs/end-to-end-seed{options.seed}")
    start = time.perf_counter()
    seed_everything(options.seed, verbose=False)

    dataset = EmoDB(options.root, LogMel(), cache=options.cache, progress=not options.no_progress)
    dataset.transform = Patches(options.frames, options.width)
    print(dataset)
    train, test = hold_out(dataset, seed=options.seed)
    encoder = small_cnn(options.width)
    plan = RECIPES["recommended"].plan(train, dataset.num_classes, num_nodes=options.frames)
    classifier, evaluation = train_and_test(
        LGrIN(CHANNELS[-1], plan.num_nodes, dataset.num_classes, encoder=encoder, **plan.network),
        train,
        test,
        out,
        seed=options.seed,
        classes=dataset.classes,
        options={**plan.options, "features": dataset.features.settings, "transform": dataset.transform.settings},
        epochs=options.epochs,
        device=options.device,
        resume=options.resume,
        progress=not options.no_progress,
    )

    save_figure(plot_adjacency(classifier.model.adjacency), out / "adjacency.png")
    metrics = write_results(
        out / "metrics.json",
        dataset="emodb",
        seed=options.seed,
        accuracy=evaluation.accuracy,
        uar=evaluation.uar,
        parameters=sum(p.numel() for p in classifier.model.parameters()),
        encoder_parameters=sum(p.numel() for p in encoder.parameters()),
        seconds=time.perf_counter() - start,
        threads=torch.get_num_threads(),
    )
    print(
        f"end to end: accuracy {metrics['accuracy']:.3f}, UAR {metrics['uar']:.3f}, {metrics['parameters']:,} "
        f"parameters, {metrics['encoder_parameters']:,} of them the encoder's, {metrics['seconds']:.0f} s; see {out}"
    )
    return metrics


if __name__ == "__main__":
    main()
