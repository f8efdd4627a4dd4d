"""Classifies recordings with an exported model; needs numpy, onnxruntime and opensmile, and nothing else.

    pip install numpy onnxruntime opensmile
    python classify.py model.onnx clip.wav

All settings are read from the model's own metadata. soundfile and audresample come with opensmile.
"""

import argparse
import json
import tempfile
from pathlib import Path

import audresample
import numpy as np
import onnxruntime
import opensmile
import soundfile

FORMAT = 1
STEP_OF_16_BITS = 2.0**-15


def open_model(path):
    """Loads a model, and what its metadata say of it."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    metadata = session.get_modelmeta().custom_metadata_map
    said = {name.removeprefix("lgrin."): json.loads(text) for name, text in metadata.items() if "lgrin." in name}
    if said.get("format") != FORMAT:
        raise SystemExit(f"{path} has format {said.get('format')}; this script reads format {FORMAT} of lgrin.export")
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


def read_audio(path, sampling_rate):
    """Reads a file as one channel in steps of 16 bits."""
    channels, rate = soundfile.read(path, dtype="float32", always_2d=True)
    signal = channels.mean(axis=1)
    if len(signal) == 0 or np.ptp(signal) < STEP_OF_16_BITS:
        raise SystemExit(f"{path} is silent")
    signal = audresample.resample(signal[None], rate, sampling_rate)[0]
    steps = np.clip(np.round(signal / STEP_OF_16_BITS), -32_768, 32_767)
    return (steps * STEP_OF_16_BITS).astype(np.float32)


def describe(path, smile, settings):
    """Computes the descriptors of each frame, ``[L, P]``."""
    signal = read_audio(path, settings["sampling_rate"])
    length = 1 + (len(signal) - settings["window"]) // settings["step"]
    if length < 1:
        raise SystemExit(f"{path} is shorter than one window of {settings['window']} samples")
    return smile(signal[None], settings["sampling_rate"])[0][settings["columns"], :length].T


def take(length, transform):
    """Says which frames a sequence of fixed length is made of."""
    nodes, longer = transform["num_nodes"], transform.get("longer", "resample")
    cyclic = transform["name"] == "CyclicPad"
    if cyclic and (length <= nodes or longer == "crop"):
        return np.arange(nodes) % length
    if longer == "error":
        raise SystemExit(f"the recording has {length} frames, and the model takes at most {nodes}")
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
        for path in options.recording:
            print(path)
            probabilities = classify(path, session, said, smile)
            for index in np.argsort(-probabilities):
                print(f"  {said['classes'][index]:<12} {probabilities[index]:.3f}")


if __name__ == "__main__":
    main()
