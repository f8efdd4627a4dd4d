"""Exports a model that examples/train.py has trained to ONNX files for a device, in float32 and in 8 bits.

python examples/edge/export.py runs/emodb-seed0/checkpoints/best.ckpt model.onnx
"""

import argparse
from pathlib import Path

from lgrin.export import quantize, to_onnx
from lgrin.text import one_line
from lgrin.training import SequenceClassifier


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("checkpoint", help="for example runs/emodb-seed0/checkpoints/best.ckpt")
    parser.add_argument("out", type=Path, help="NAME.onnx; NAME-8bit.onnx and two model cards are written beside it")
    options = parser.parse_args(arguments)
    small = options.out.with_name(f"{options.out.stem}-8bit.onnx")
    try:
        to_onnx(SequenceClassifier.load_from_checkpoint(options.checkpoint), options.out)
        quantize(options.out, small)
    except (OSError, TypeError, ValueError) as error:
        parser.error(one_line(error, 5_000))
    for path in (options.out, small):
        print(f"{path}: {path.stat().st_size / 1000:,.0f} kB; see {path.with_suffix('.md')}")


if __name__ == "__main__":
    main()
