"""The model card of an exported file: its size, speed, inputs and outputs."""

import json
import platform
import shlex
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lgrin.export.description import Description
from lgrin.export.runtime import ExportedModel, load
from lgrin.files import write_atomically
from lgrin.options import check_whole
from lgrin.text import cell

EXAMPLE_LENGTH = 100  # frames that are timed where a model takes any number
RUNS = 50
UNTRUSTED_ROWS = ("network", "classes", "features", "length fixed by")  # with text from the file, which is escaped
TEMPLATE = """# {title}

| | |
|---|---|
{table}

Normalisation and softmax are part of the file, and all of this stands in its metadata.

```py
import onnxruntime

session = onnxruntime.InferenceSession({name}, providers=["CPUExecutionProvider"])
logits, probabilities = session.run(["logits", "probabilities"], {{"x": x, "mask": mask}})
```

`lgrin.export.load` does the same, fills gaps, and checks what it is given.
{speech}"""
SPEECH = """
A recording takes openSMILE, which computes the features; the time and size above are without it. Copy the model and
`classify.py` to the device. `lgrin export` writes the script beside the model, `lgrin.export.write_script` anywhere:

```bash
pip install numpy onnxruntime opensmile
python classify.py {model} clip.wav
```
"""


def write_card(path: str | Path, frames: int | None = None) -> Path:
    """Measures an exported model on this machine and writes its card beside it.

    Args:
        path: The file, ``NAME.onnx``.
        frames: Frames of the sequence that is timed, where the network takes any number; ``None`` means 100.

    Returns:
        The card, ``NAME.md``.
    """
    model, place = load(path), Path(path).with_suffix(".md")
    length = model.description.num_nodes or (EXAMPLE_LENGTH if frames is None else frames)
    text = _render(Path(path), model, length, latency(model, frames=length))
    write_atomically(place, lambda name: Path(name).write_text(text, encoding="utf-8"))
    return place


def latency(model: ExportedModel, runs: int = RUNS, frames: int = EXAMPLE_LENGTH) -> float:
    """Measures the time that one sequence takes.

    Args:
        model: The model.
        runs: Runs, of which the first is not counted.
        frames: Frames of the sequence, where the network takes any number.

    Returns:
        The median in seconds.
    """
    runs = check_whole("runs", runs)
    shape = (1, model.description.num_nodes or check_whole("frames", frames), model.description.in_channels)
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    inputs, taken = {"x": x, "mask": np.ones(shape[:2], bool)}, []
    for _ in range(runs + 1):
        start = time.perf_counter()
        model.run(inputs)
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def _render(path: Path, model: ExportedModel, frames: int, seconds: float) -> str:
    description = model.description
    shape = f"[B, {description.num_nodes or 'M'}, {description.in_channels}]"
    rows = {
        "network": f"{description.network}, {description.parameters:,} parameters, {description.precision} weights",
        "size on disk": f"{path.stat().st_size / 1000:,.0f} kB",
        f"one sequence of {frames} frames, one thread": f"{1000 * seconds:.2f} ms, the median of {RUNS} on "
        f"{platform.machine()}",
        "input x": f"float32 {shape}: sequences, frames{'' if description.num_nodes else ' (any number)'}, features",
        "input mask": f"bool {shape.rpartition(',')[0]}]: False at missing frames, whatever x holds there",
        "missing values in x": "NaN in a channel throughout a sequence, which takes its mean in training. Other NaN "
        "makes the outputs NaN: `lgrin.export.load` fills gaps in time (`lgrin.gaps.fill_gaps`) and makes the mask",
        "outputs logits, probabilities": f"float32 [B, {len(description.classes)}]",
        "classes": ", ".join(description.classes),
        "features": _format_settings(description.features)
        + (f", fingerprint {description.fingerprint}" if description.fingerprint else ""),
        "length fixed by": _format_length(description),
    }
    if description.offset is not None:
        rows["offset"] = "subtract `lgrin.offset` of the metadata, a number for each feature, from x in float64 first"
    table = "\n".join(
        f"| {name} | {cell(value, 10_000) if name in UNTRUSTED_ROWS else value} |" for name, value in rows.items()
    )
    speech = SPEECH.format(model=shlex.quote(path.name)) if description.opensmile else ""
    return TEMPLATE.format(title=cell(path.stem), name=json.dumps(path.name), table=table, speech=speech)


def _format_length(description: Description) -> str:
    """How sequences get the number of frames that the network takes."""
    free = description.num_nodes is None and description.transform is None
    return "nothing, any number of frames" if free else _format_settings(description.transform)


def _format_settings(settings: Mapping[str, object] | None) -> str:
    if settings is None:
        return "not known"
    told = {name: value for name, value in settings.items() if name != "name"}
    return f"{settings['name']}({', '.join(f'{name}={value!r}' for name, value in told.items())})"
