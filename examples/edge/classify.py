"""Classifies recordings with an exported model; needs numpy, onnxruntime and opensmile, and nothing else.

    pip install numpy onnxruntime opensmile
    python classify.py model.onnx clip.wav

All settings are read from the model's own metadata. soundfile and audresample come with opensmile. Recordings that
cannot be read are named on stderr, the others are classified, and the exit status is 1.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import audresample
import numpy as np
import onnxruntime
import opensmile
import soundfile

FORMAT = 1
ENTRIES = ("classes", "features", "in_channels", "num_nodes", "opensmile", "transform")
OPEN = 0x7FFFF000  # bytes: writers into a pipe leave 0 or at least this as the length
LOUDEST = 8.0  # times full scale; what is beyond full scale is clipped
STEP_OF_16_BITS = 2.0**-15


class Unusable(ValueError):
    """Why a recording cannot be classified."""


def open_model(path):
    """Loads a model, and what its metadata say of it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # whatever goes wrong is said below
    if not Path(path).is_file():
        raise SystemExit(f"there is no model {path}")
    try:
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
        said = {name.removeprefix("lgrin."): json.loads(text) for name, text in metadata.items() if "lgrin." in name}
    except Exception as error:  # onnxruntime has a class for each way in which a file can be broken
        raise SystemExit(f"{path} is no whole ONNX file, or newer than this onnxruntime ({error})") from None
    if said.get("format") != FORMAT:
        raise SystemExit(f"{path} has format {said.get('format')}; this script reads format {FORMAT} of lgrin.export")
    if missing := [name for name in ENTRIES if name not in said]:
        raise SystemExit(f"{path} is cut short: it does not say its {missing[0]}; export it again")
    if said["opensmile"] is None or said["transform"] is None:
        raise SystemExit(f"{path} does not say how speech becomes frames; its features are {said['features']}")
    if said["in_channels"] != len(said["opensmile"]["columns"]):
        raise SystemExit(f"{path} was also told which speech is spontaneous, which this script does not know")
    return session, said


def open_smile(settings, folder):
    """Builds the extractor from the configuration that the model carries; it is read whenever the extractor runs."""
    path = Path(folder) / "speech.conf"
    path.write_text(settings["config"], encoding="utf-8")
    return opensmile.Smile(str(path), feature_level="features")


def check_whole(path):
    """Raises if a wav file is shorter than it says; libsndfile would take what is there."""
    with open(path, "rb") as file:
        file.seek(0, 2)
        size, at = file.tell(), 12
        file.seek(0)
        start = file.read(12)
        while start[:4] + start[8:] == b"RIFFWAVE":
            file.seek(at)
            header = file.read(8)
            length = int.from_bytes(header[4:], "little")
            at += 8 + length + length % 2
            if len(header) < 8 or header[:4] == b"data":
                if header[:4] == b"data" and 0 < length < OPEN and at - length % 2 > size:
                    raise Unusable(f"{path} is cut short: its samples should end at byte {at}, and it has {size}")
                return


def read_audio(path, sampling_rate):
    """Reads a file as one channel in steps of 16 bits."""
    if not Path(path).is_file():
        raise Unusable(f"there is no recording {path}")
    check_whole(path)
    try:
        channels, rate = soundfile.read(path, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise Unusable(f"{path} cannot be read as audio ({error.error_string})") from None
    signal = channels.mean(axis=1)
    if len(signal) == 0:
        raise Unusable(f"{path} holds no sample")
    if not np.isfinite(signal).all() or np.abs(channels).max() > LOUDEST:
        raise Unusable(f"{path} holds samples that are not finite or far beyond -1 and 1")
    if np.ptp(signal) < STEP_OF_16_BITS:
        raise Unusable(f"{path} is silent")
    signal = audresample.resample(signal[None], rate, sampling_rate)[0]
    steps = np.clip(np.round(signal / STEP_OF_16_BITS), -32_768, 32_767)
    return (steps * STEP_OF_16_BITS).astype(np.float32)


def describe(path, smile, settings):
    """Computes the descriptors of each frame, ``[L, P]``."""
    signal = read_audio(path, settings["sampling_rate"])
    length = 1 + (len(signal) - settings["window"]) // settings["step"]
    if length < 1:
        raise Unusable(f"{path} is shorter than one window of {settings['window']} samples")
    return smile(signal[None], settings["sampling_rate"])[0][settings["columns"], :length].T


def take(length, transform):
    """Says which frames a sequence of fixed length is made of."""
    nodes, longer = transform["num_nodes"], transform.get("longer", "resample")
    cyclic = transform["name"] == "CyclicPad"
    if cyclic and (length <= nodes or longer == "crop"):
        return np.arange(nodes) % length
    if longer == "error":
        raise Unusable(f"the recording has {length} frames, and the model takes at most {nodes}")
    step, node = (length - 1) / max(nodes - 1, 1), np.arange(nodes)
    place = np.where(node < max(nodes // 2, 1), step * node, length - 1 - step * (nodes - 1 - node))
    return np.round(place).astype(int)  # counted from the nearer end as in PyTorch, so that halves fall alike


def classify(path, session, said, smile):
    """Computes the probability of each class."""
    frames = describe(path, smile, said["opensmile"])
    x = frames[take(len(frames), said["transform"])].astype(np.float32)[None]
    return session.run(["probabilities"], {"x": x, "mask": np.ones(x.shape[:2], bool)})[0][0]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model", help="a file that lgrin.export has written")
    parser.add_argument("recording", nargs="+")
    options = parser.parse_args(arguments)
    session, said = open_model(options.model)
    with tempfile.TemporaryDirectory() as folder:
        smile = open_smile(said["opensmile"], folder)
        failed = 0
        for path in options.recording:
            try:
                probabilities = classify(path, session, said, smile)
            except Unusable as error:
                print(error, file=sys.stderr)
                failed += 1
                continue
            print(path)
            for index in np.argsort(-probabilities):
                print(f"  {said['classes'][index]:<12} {probabilities[index]:.3f}")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
