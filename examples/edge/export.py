"""Exports a model that examples/train.py has trained to ONNX files for a device: the command `lgrin export`.

python examples/edge/export.py runs/emodb-seed0/checkpoints/best.ckpt model.onnx
"""

import sys

from lgrin.command import run


def main(arguments=None):
    return run(["export", *(sys.argv[1:] if arguments is None else arguments)])


if __name__ == "__main__":
    main()
