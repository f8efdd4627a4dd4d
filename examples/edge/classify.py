"""Classifies recordings with an exported model. It needs only numpy, onnxruntime and opensmile.

    pip install numpy onnxruntime opensmile
    python classify.py model.onnx clip.wav

A model file is treated as data. Its metadata hold the classes, the sizes and the settings of the extractor. The
configuration of openSMILE is at the end of this script, and a model that was made with other settings is refused.
soundfile and audresample are installed with opensmile. Recordings that cannot be read are named on stderr, the others
are classified, and the exit status is then 1.
"""

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import audresample
import numpy as np
import onnxruntime
import opensmile
import soundfile

FORMATS = (1, 2)  # of 2 the network takes any number of frames
ENTRIES = ("classes", "features", "in_channels", "num_nodes", "opensmile", "transform")
MAX_ENTRY_LENGTH = 1 << 20  # characters
MARK, ZEROS = b"lgrin-sha256:", 64 * b"0"
SAMPLING_RATE, WINDOW, STEP = 16_000, 400, 160  # Hz, samples, samples
COLUMNS = {  # of what openSMILE measures, by layout; MFCC 0 comes behind MFCC 12
    "paper": [29, *range(17, 29), *range(30, 34), 46, *range(34, 46), *range(47, 51)],
    "released": [12, *range(12), *range(13, 16), 46, *range(34, 46), *range(47, 51)],
}
MIN_RATE, MAX_RATE = 1_000, 1_000_000  # Hz that a recording of speech may have
SAMPLE_ALLOWANCE = 1 << 20  # that a file may declare beyond those of its bytes
MAX_SAMPLES_PER_BYTE = 100  # about as many as speech at 4 kbit/s has
UNKNOWN_SIZE = 0x7FFFF000  # bytes: writers into a pipe leave 0 or at least this as the length
MAX_AMPLITUDE = 8.0  # relative to full scale; beyond full scale samples are clipped
STEP_OF_16_BITS = 2.0**-15


def plain(text, longest=2_000):
    """Makes one line of any text, with codes that a terminal would obey written out."""
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in str(text)[:longest])
    return shown + "..." * (len(str(text)) > longest)


class Unusable(ValueError):
    """Why a recording cannot be classified."""

    def __init__(self, reason):
        super().__init__(plain(reason))


class Refused(SystemExit):
    """Why a model cannot be used."""

    def __init__(self, reason):
        super().__init__(plain(reason))


def open_model(path):
    """Loads a model, and what its metadata say of it, as far as it is what lgrin writes."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # whatever goes wrong is said below
    if not Path(path).is_file():
        raise Refused(f"there is no model {path}")
    content = Path(path).read_bytes()
    whole = is_whole(content)
    if whole is False:
        raise Refused(f"{path} is no whole ONNX file: it differs from its checksum; export it again")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        metadata = session.get_modelmeta().custom_metadata_map
        names = [name for name in ("format", *ENTRIES) if f"lgrin.{name}" in metadata]
        said = {name: read_entry(metadata[f"lgrin.{name}"]) for name in names}
    except Exception as error:  # onnxruntime has a class for each way in which a file can be broken
        reason = plain(error, 300)
        raise Refused(f"{path} is no whole ONNX file, or newer than this onnxruntime ({reason})") from None
    if said.get("format") not in FORMATS:
        shown = plain(said.get("format"), 40)
        raise Refused(f"{path} has format {shown}; this script reads formats 1 and 2 of lgrin.export")
    if missing := [name for name in ENTRIES if name not in said]:
        raise Refused(f"{path} is cut short: it does not say its {missing[0]}; export it again")
    any_length = said["format"] == 2
    if said["opensmile"] is None or (said["transform"] is None and not any_length):
        shown = plain(said["features"], 300)
        raise Refused(f"{path} does not say how speech becomes frames; its features are {shown}")
    said["opensmile"] = known_extractor(said["opensmile"])
    if said["opensmile"] is None:
        raise Refused(f"{path} asks for openSMILE settings that are not lgrin's; export it again, or do not trust it")
    if said["in_channels"] in (len(said["opensmile"]["columns"]) + more for more in (1, 2)):
        raise Refused(f"{path} was also told which speech is spontaneous, which this script does not know")
    check_sizes(path, said, session)
    if whole is None:
        print(plain(f"{path} carries no checksum, so damage to it may go unseen; export it again"), file=sys.stderr)
    if any_length and said["transform"] is None:
        return session, said
    said["transform"] = known_transform(said["transform"], said["num_nodes"])
    if said["transform"] is None:
        raise Refused(f"{path} asks for a transform that this script does not know; export it again")
    return session, said


def is_whole(content):
    """Says whether a file is as it was written, by the digits behind its last mark; None if it carries no checksum."""
    start = content.rfind(MARK) + len(MARK)
    if start < len(MARK):
        return None
    blank = content[:start] + ZEROS + content[start + len(ZEROS) :]
    return content[start : start + len(ZEROS)] == hashlib.sha256(blank).hexdigest().encode()


def read_entry(text):
    """Reads the JSON of one entry, which is short."""
    if len(text) > MAX_ENTRY_LENGTH:
        raise ValueError(f"an entry has {len(text):,} characters, where {MAX_ENTRY_LENGTH:,} are allowed")
    return json.loads(text)


def known_extractor(settings):
    """Finds the settings of this script that a model asks for, or None."""
    known = [
        {"config": CONFIGURATION, "columns": columns, "sampling_rate": SAMPLING_RATE, "window": WINDOW, "step": STEP}
        for columns in COLUMNS.values()
    ]
    return next((one for one in known if one == settings), None)


def known_transform(settings, nodes):
    """Finds the transform to a number of nodes that a model asks for, or None."""
    padded = [{"name": "CyclicPad", "num_nodes": nodes, "longer": longer} for longer in ("error", "crop", "resample")]
    return next((one for one in [{"name": "Resample", "num_nodes": nodes}, *padded] if one == settings), None)


def check_sizes(path, said, session):
    """Raises unless the names are names and the sizes those of the network."""
    sizes, classes = [said["num_nodes"], said["in_channels"]], said["classes"]
    if said["format"] == 2 and sizes[0] is None:
        sizes[0] = "frames"  # the name of an axis of any length
    if not all(type(size) is int and size > 0 for size in sizes if size != "frames"):
        raise Refused(f"{path} is damaged: its sizes are no positive whole numbers; export it again")
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise Refused(f"{path} is damaged: its classes are no list of names; export it again")
    taken = {one.name: (one.type, one.shape[1:]) for one in (*session.get_inputs(), *session.get_outputs())}
    expected = {
        "x": ("tensor(float)", sizes),
        "mask": ("tensor(bool)", sizes[:1]),
        "logits": ("tensor(float)", [len(classes)]),
        "probabilities": ("tensor(float)", [len(classes)]),
    }
    if taken != expected:
        raise Refused(f"{path} is damaged: its network does not have the sizes that it says; export it again")


def open_smile(settings, folder):
    """Builds the extractor from the configuration of this script, which is read whenever the extractor runs."""
    if known_extractor(settings) is None:
        raise Refused("the model asks for openSMILE settings that are not lgrin's")
    path = Path(folder) / "speech.conf"
    path.write_text(CONFIGURATION, encoding="utf-8")
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
                if header[:4] == b"data" and 0 < length < UNKNOWN_SIZE and at - length % 2 > size:
                    raise Unusable(f"{path} is cut short: its samples should end at byte {at}, and it has {size}")
                return


def check_promises(path, file):
    """Raises if a header promises more samples than the file can hold, or a rate at which nobody records speech."""
    if not file.seekable():
        raise Unusable(f"{path} cannot be read as audio ({file.subtype_info} cannot be sought; convert it to PCM)")
    if not MIN_RATE <= file.samplerate <= MAX_RATE:
        raise Unusable(f"{path} has {file.samplerate:,} samples a second, not {MIN_RATE:,} to {MAX_RATE:,}")
    size = Path(path).stat().st_size
    asked = max(file.frames * file.channels, file.frames * SAMPLING_RATE // file.samplerate)
    if asked > SAMPLE_ALLOWANCE + MAX_SAMPLES_PER_BYTE * size:
        raise Unusable(f"{path} promises {file.frames:,} samples, more than its {size:,} bytes can hold")


def read_audio(path, sampling_rate):
    """Reads a file as one channel in steps of 16 bits."""
    if not Path(path).is_file():
        raise Unusable(f"there is no recording {path}")
    check_whole(path)
    try:
        with soundfile.SoundFile(path) as file:
            check_promises(path, file)
            channels, rate = file.read(dtype="float32", always_2d=True), file.samplerate
    except soundfile.SoundFileError as error:
        raise Unusable(f"{path} cannot be read as audio ({getattr(error, 'error_string', error)})") from None
    signal = channels.mean(axis=1)
    if len(signal) == 0:
        raise Unusable(f"{path} holds no sample")
    if not np.isfinite(signal).all() or np.abs(channels).max() > MAX_AMPLITUDE:
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
    x = (frames if said["transform"] is None else frames[take(len(frames), said["transform"])]).astype(np.float32)[None]
    try:
        probabilities = session.run(["probabilities"], {"x": x, "mask": np.ones(x.shape[:2], bool)})[0]
    except Exception as error:  # onnxruntime has a class for each way in which a network can be wrong
        raise Refused(f"the network of the model cannot be run ({plain(error, 300)})") from None
    if probabilities.shape != (1, len(said["classes"])) or not np.isfinite(probabilities).all():
        raise Refused("the network of the model does not compute one probability for each class; export it again")
    return probabilities[0]


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
            except Exception as error:  # whatever one recording raises, the others are classified
                known = isinstance(error, Unusable)
                reason = error if known else Unusable(f"{path} cannot be read ({type(error).__name__}: {error})")
                print(reason, file=sys.stderr)
                failed += 1
                continue
            print(plain(path))
            for index in np.argsort(-probabilities):
                print(f"  {plain(said['classes'][index], 100):<12} {probabilities[index]:.3f}")
    return int(failed > 0)


# Word for word lgrin/features/speech.conf.
CONFIGURATION = r"""; Low-level descriptors of speech after Sec. IV-B of Shirian, Tripathi and Guha, 2021.
; Level "statics" holds them as they are measured, "smoothed" their moving average over 3 frames, "deltas" the slope of that.
; frames: 25 ms every 10 ms | MFCC 0-12: Hamming window, pre-emphasis 0.97, 26 mel bands up to 8 kHz, lifter 22

[componentInstances:cComponentManager]
instance[dataMemory].type=cDataMemory

\{\cm[source{?}:source include config]}

[componentInstances:cComponentManager]
instance[framer].type=cFramer
instance[emphasis].type=cVectorPreemphasis
instance[windower].type=cWindower
instance[fft].type=cTransformFFT
instance[magnitude].type=cFFTmagphase
instance[mel].type=cMelspec
instance[mfcc].type=cMfcc
instance[acf].type=cAcf
instance[cepstrum].type=cAcf
instance[pitch].type=cPitchACF
instance[crossings].type=cMZcr
instance[energy].type=cEnergy
instance[statics].type=cVectorConcat
instance[smoother].type=cContourSmoother
instance[delta].type=cDeltaRegression
instance[features].type=cVectorConcat

[framer:cFramer]
reader.dmLevel=wave
writer.dmLevel=frames
copyInputName=1
noPostEOIprocessing=1
frameSize=0.025
frameStep=0.010
frameMode=fixed
frameCenterSpecial=left

[emphasis:cVectorPreemphasis]
reader.dmLevel=frames
writer.dmLevel=emphasised
k=0.97
de=0

[windower:cWindower]
reader.dmLevel=emphasised
writer.dmLevel=windowed
winFunc=ham
gain=1.0

[fft:cTransformFFT]
reader.dmLevel=windowed
writer.dmLevel=spectrum
zeroPadSymmetric=0

[magnitude:cFFTmagphase]
reader.dmLevel=spectrum
writer.dmLevel=magnitudes
magnitude=1
phase=0

[mel:cMelspec]
reader.dmLevel=magnitudes
writer.dmLevel=bands
nBands=26
usePower=0
lofreq=0
hifreq=8000
htkcompatible=1
specScale=mel

[mfcc:cMfcc]
reader.dmLevel=bands
writer.dmLevel=mfcc
firstMfcc=0
lastMfcc=12
cepLifter=22.0
htkcompatible=1

[acf:cAcf]
reader.dmLevel=magnitudes
writer.dmLevel=acf
nameAppend=acf
usePower=1
cepstrum=0

[cepstrum:cAcf]
reader.dmLevel=magnitudes
writer.dmLevel=cepstrum
nameAppend=acf
usePower=1
cepstrum=1

; reads the autocorrelation and then the cepstrum, in this order
[pitch:cPitchACF]
reader.dmLevel=acf;cepstrum
writer.dmLevel=pitch
processArrayFields=0
maxPitch=500
voiceProb=1
F0=1
voicingCutoff=0.55

[crossings:cMZcr]
reader.dmLevel=frames
writer.dmLevel=crossings
zcr=1
amax=0
mcr=0
maxmin=0
dc=0

[energy:cEnergy]
reader.dmLevel=frames
writer.dmLevel=energy
nameAppend=energy
rms=0
log=1

[statics:cVectorConcat]
reader.dmLevel=mfcc;crossings;pitch;energy
writer.dmLevel=statics
includeSingleElementFields=1

[smoother:cContourSmoother]
reader.dmLevel=statics
writer.dmLevel=smoothed
nameAppend=sma
smaWin=3

[delta:cDeltaRegression]
reader.dmLevel=smoothed
writer.dmLevel=deltas
nameAppend=de
deltawin=2
blocksize=1

[features:cVectorConcat]
reader.dmLevel=statics;smoothed;deltas
writer.dmLevel=features
includeSingleElementFields=1

\{\cm[sink{?}:include external sink]}
"""  # noqa: E501


if __name__ == "__main__":
    sys.exit(main())
