"""Trains L-GrIN on a corpus or on a set of the UEA archive, and plots what it learned.

    python examples/train.py
    python examples/train.py --dataset BasicMotions --seed 3
    python examples/train.py --dataset emodb --root corpora/emodb
    python examples/train.py --dataset audio --root my-recordings
    python examples/train.py --dataset table --root my-tables --time seconds

Writes to runs/<name>/: metrics.json, checkpoints/best.ckpt and last.ckpt, logs/, adjacency.png and confusion.png.
"""

import argparse
import logging
import time
from pathlib import Path

import torch
from lightning import seed_everything
from lightning.pytorch.utilities import rank_zero_only
from sources import add_arguments, is_corpus, most_frames, open_archive, open_corpus

from lgrin import LGrIN
from lgrin.training import hold_out, train_and_test, write_results
from lgrin.training.recipes import RECIPES
from lgrin.transforms import Resample
from lgrin.visualization import plot_adjacency, plot_confusion, save_figure


def parse_arguments(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n\n")[0],
        epilog="Results are written to runs/<name>/: metrics.json, checkpoints/, logs/, adjacency.png and "
        "confusion.png. A fifth of the speakers, actors or subjects of a corpus is held out for the test.",
    )
    add_arguments(parser, default="JapaneseVowels")
    parser.add_argument(
        "--epochs",
        type=int,
        metavar="N",
        help="passes over the training set (default: 600 steps, at least 60 passes)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of weights, batches and splits (default: %(default)s)",
    )
    parser.add_argument(
        "--recipe", choices=RECIPES, default="recommended", metavar="NAME", help=f"{', '.join(RECIPES)} (%(default)s)"
    )
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto, cpu or cuda (default: %(default)s)")
    parser.add_argument("--devices", type=int, default=1, metavar="N", help="processes per host (default: %(default)s)")
    parser.add_argument(
        "--hosts",
        type=int,
        default=1,
        metavar="N",
        help="machines, started by torchrun (default: %(default)s)",
    )
    parser.add_argument("--precision", default="32-true", metavar="NAME", help="such as bf16-mixed (%(default)s)")
    parser.add_argument("--compile", action="store_true", help="compile the training step with torch.compile")
    parser.add_argument("--out", metavar="DIR", help="folder of the run (default: runs/<dataset>-seed<seed>)")
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument("--no-progress", action="store_true", help="show no progress bar")
    return parser.parse_args(arguments)


def load(options):
    """Gives training and test sequences at their own lengths, what they are, and how their features were made."""
    if not is_corpus(options.dataset):
        train, test = open_archive(options)
        return train, test, train, None
    dataset = open_corpus(options, progress=not options.no_progress)
    print(dataset)
    return *hold_out(dataset, seed=options.seed), dataset, dataset.features.settings


def main(arguments=None, callbacks=()):
    options = parse_arguments(arguments)
    out = Path(options.out or f"runs/{options.dataset}-seed{options.seed}")
    start = time.perf_counter()
    seed_everything(options.seed, verbose=False)
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)

    train, test, dataset, features = load(options)
    plan = RECIPES[options.recipe].plan(train, dataset.num_classes, longest=most_frames(dataset))
    resample = Resample(plan.num_nodes)
    train, test = ([resample(data) for data in part] for part in (train, test))  # large_corpus.py: beyond memory
    signal = {} if features is None else {"features": features, "transform": resample.settings}
    classifier, evaluation = train_and_test(
        LGrIN(dataset.num_features, plan.num_nodes, dataset.num_classes, **plan.network),
        train,
        test,
        out,
        seed=options.seed,
        classes=dataset.classes,
        recipe=options.recipe,
        options={**plan.options, **signal},
        epochs=options.epochs,
        device=options.device,
        devices=options.devices,
        hosts=options.hosts,
        precision=options.precision,
        compile=options.compile,
        resume=options.resume,
        progress=not options.no_progress,
        callbacks=callbacks,
    )

    if rank_zero_only.rank:
        return None  # one process writes for all
    adjacency = classifier.model.adjacency
    save_figure(plot_adjacency(adjacency), out / "adjacency.png")
    save_figure(plot_confusion(evaluation.confusion, dataset.classes), out / "confusion.png")
    metrics = write_results(
        out / "metrics.json",
        dataset=options.dataset,
        seed=options.seed,
        accuracy=evaluation.accuracy,
        uar=evaluation.uar,
        parameters=sum(p.numel() for p in classifier.model.parameters()),
        density=float((adjacency() > 0).float().mean()),
        seconds=time.perf_counter() - start,
        threads=torch.get_num_threads(),
    )
    print(
        f"{options.dataset}: accuracy {metrics['accuracy']:.3f}, UAR {metrics['uar']:.3f}, "
        f"{metrics['parameters']:,} parameters, {metrics['seconds']:.0f} s; see {out}"
    )
    return metrics


if __name__ == "__main__":
    main()
