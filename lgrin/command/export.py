"""``lgrin export``: writes a trained model for a device."""

import argparse
from pathlib import Path

from lgrin.command.checkpoint import load
from lgrin.export import quantize, to_onnx


def run(options: argparse.Namespace) -> list[Path]:
    """Writes ONNX files in float32 and in 8 bits, each with a model card.

    Args:
        options: The options of ``lgrin export``.

    Returns:
        The two files.

    Raises:
        OSError: If a file cannot be read or written.
        ValueError: If the model cannot be exported.
    """
    out = Path(options.out)
    small = out.with_name(f"{out.stem}-8bit.onnx")
    to_onnx(load(options.checkpoint), out)
    quantize(out, small)
    for path in (out, small):
        print(f"{path}: {path.stat().st_size / 1000:,.0f} kB; see {path.with_suffix('.md')}")
    return [out, small]
