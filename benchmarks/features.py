"""The time of feature extraction: ``python -m benchmarks.features --emodb DIR``.

Times EmoDB from its wav files to a dataset, with an empty cache and with a full one, and the offline face detector
on a video of 720 lines.
"""

import argparse
import tempfile
import time
from pathlib import Path

import av
import numpy as np
from skimage.data import astronaut
from skimage.transform import resize

from benchmarks.measure import row
from benchmarks.table import print_table
from lgrin.datasets import EmoDB
from lgrin.features import FaceLandmarks


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description=__doc__.split("\n\n")[0])
    parser.add_argument("--emodb", metavar="DIR", help="folder of EmoDB (without it, speech is not timed)")
    options = parser.parse_args()
    rows = faces()
    if options.emodb:
        rows = [*speech(options.emodb, workers=2), *speech(options.emodb, workers=1), *rows]
    print_table("features", rows)


def speech(root: str, workers: int) -> list[dict]:
    with tempfile.TemporaryDirectory() as cache:
        first = _seconds(lambda: EmoDB(root, cache=cache, workers=workers))
        again = _seconds(lambda: EmoDB(root, cache=cache, force_reload=True))
    what = f"EmoDB, 535 clips, P = 34, {workers} processes"
    return [row(what, first, "s", goal=60), row(f"{what}, features cached", again, "s")]


def faces() -> list[dict]:
    with tempfile.TemporaryDirectory() as folder:
        path = _video(Path(folder) / "face.mp4", num_frames=20)
        seconds = _seconds(lambda: FaceLandmarks("dlib")(path))
    return [row("landmarks by dlib, 1280 x 720", 20 / seconds, "frames/s")]


def _video(path: Path, num_frames: int) -> Path:
    image = np.full((720, 1280, 3), 90, np.uint8)
    image[:, 280:1000] = resize(astronaut(), (720, 720), preserve_range=True).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=30)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for _ in range(num_frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        container.mux(stream.encode())
    return path


def _seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
