"""Trains L-GrIN on a corpus or on a set of the UEA archive, and plots what it learned: the command `lgrin train`.

    python examples/train.py
    python examples/train.py --dataset BasicMotions --seed 3
    python examples/train.py --dataset emodb --root corpora/emodb
    python examples/train.py --dataset audio --root my-recordings
    python examples/train.py --dataset table --root my-tables --time seconds
    python examples/train.py --dataset table --root my-tables --time seconds

Writes to runs/<data>-seed<seed>/: metrics.json, predictions.csv, graphs.npz, checkpoints/best.ckpt and last.ckpt,
logs/, adjacency.png and confusion.png. `lgrin show runs/<data>-seed<seed>` makes a page of them.
"""

import sys

from lgrin.command import run


def main(arguments=None):
    return run(["train", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    main()
