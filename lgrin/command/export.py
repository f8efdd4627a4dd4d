"""``lgrin export``: writes a trained model for a device."""

import argparse
import json
import sys
import warnings
from pathlib import Path

from lgrin.command.checkpoint import load
from lgrin.command.quiet import shows_progress
from lgrin.export import quantize, to_onnx, write_script
from lgrin.export.translate import check_suffix


def run(options: argparse.Namespace) -> list[Path]:
    """Writes ONNX files in float32 and in 8 bits, each with a model card, and for speech the script of the device.

    Args:
        options: The options of ``lgrin export``.

    Returns:
        The two files.

    Raises:
        OSError: If a file cannot be read or written.
        ValueError: If the model cannot be exported.
    """
    out = Path(options.out)
    check_suffix("out", out)
    small = out.with_name(f"{out.stem}-8bit.onnx")
    _say(f"reading {options.checkpoint}")
    classifier, frames = load(options.checkpoint), _median_frames(Path(options.checkpoint))
    _say(f"translating the network to {out}, which takes a while, and comparing both")
    description = to_onnx(classifier, out, frames=frames)
    _say(f"quantising the weights to {small}")
    quantize(out, small, frames)
    for path in (out, small):
        print(f"{path}: {path.stat().st_size / 1000:,.0f} kB; see {path.with_suffix('.md')}")
    if description.opensmile is not None:
        try:
            print(f"{write_script(out.parent)}: the script that classifies recordings on the device")
        except FileExistsError as error:
            warnings.warn(str(error), stacklevel=1)
    return [out, small]


def _say(step: str) -> None:
    """Tells somebody at a terminal what is being done."""
    if shows_progress(True):
        print(f"{step} ...", file=sys.stderr, flush=True)


def _median_frames(checkpoint: Path) -> int | None:
    """The median length of the sequences of a run; ``None`` where it does not say it."""
    run = checkpoint if checkpoint.is_dir() else checkpoint.parent.parent
    if not (run / "metrics.json").is_file():
        return None
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    median: int | None = metrics.get("data", {}).get("frames", {}).get("median")
    return median
