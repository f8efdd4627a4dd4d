"""Extraction of speech from recordings of ten minutes and one hour: seconds, and the peak of a process of its own."""

import json
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.measure import in_process, peak, row

MINUTES = {"10 minutes": 10, "one hour": 60}
RATES = {"16 kHz": (16_000, 1), "44.1 kHz stereo": (44_100, 2)}


def measure() -> list[dict]:
    rows = []
    for title, minutes in MINUTES.items():
        for kind, (rate, channels) in RATES.items():
            loaded, most, seconds = in_process("benchmarks.recording", minutes, rate, channels)
            goals = (1_000, 48) if minutes == 60 else (None, None)
            what = f"{title} of speech, {kind}, to P = 34"
            rows.append(row(f"{what}, peak of the process", most, "MB", goals[0], libraries=loaded))
            rows.append(row(what, seconds, "s", goals[1]))
    return rows


def extract(minutes: int, rate: int, channels: int) -> list[float]:
    """Returns the peak in MB with the libraries alone and with the recording, and the seconds that this took."""
    from lgrin.features import Speech

    with tempfile.TemporaryDirectory() as folder:
        short, long = Path(folder) / "short.wav", Path(folder) / "long.wav"
        _record(short, 1, rate, channels)
        _record(long, 60 * minutes, rate, channels)
        Speech()(short)
        loaded, start = peak(), time.perf_counter()
        frames = Speech()(long)
        seconds = time.perf_counter() - start
    assert len(frames.x) == 6_000 * minutes - 2
    return [loaded / 1e6, peak() / 1e6, seconds]


def _record(path: Path, seconds: int, rate: int, channels: int) -> None:
    """Writes ten seconds again and again: a vowel whose pitch rises, and a little noise."""
    import numpy as np
    import soundfile

    rng, parts = np.random.default_rng(0), []
    for second in range(10):
        phase = 2 * np.pi * (120 + 6 * second) * np.arange(rate) / rate
        vowel = sum(np.cos(order * phase) / order for order in range(1, 25))
        part = (0.1 * vowel + rng.normal(0, 0.001, rate)).astype(np.float32)
        parts.append(np.repeat(part[:, None], channels, axis=1))
    with soundfile.SoundFile(path, "w", rate, channels) as file:
        for second in range(seconds):
            file.write(parts[second % 10])


if __name__ == "__main__":
    print(json.dumps(extract(*map(int, sys.argv[1:]))))
