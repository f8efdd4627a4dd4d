"""Classifies a recording with a model that examples/train.py has trained: the command `lgrin predict`.

python examples/predict.py runs/emodb-seed0/checkpoints/best.ckpt clip.wav
"""

import sys

from lgrin.command import run


def main(arguments=None):
    return run(["predict", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    main()
