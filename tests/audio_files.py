"""Audio files of many formats, as recorders, phones and editors write them."""

import io

import av
import numpy as np
import soundfile

RATE = 16_000
PCM = {  # name of a file: options of soundfile
    "a.wav": {},
    "8bit.wav": {"subtype": "PCM_U8"},
    "24bit.wav": {"subtype": "PCM_24"},
    "32bit.wav": {"subtype": "PCM_32"},
    "float.wav": {"subtype": "FLOAT"},
    "double.wav": {"subtype": "DOUBLE"},
    "mulaw.wav": {"subtype": "ULAW"},
    "alaw.wav": {"subtype": "ALAW"},
    "adpcm.wav": {"subtype": "IMA_ADPCM"},
    "a.flac": {},
    "a.aiff": {},
    "a.aif": {"format": "AIFF"},
    "a.au": {},
    "a.caf": {},
    "a.w64": {},
    "a.rf64": {"format": "RF64"},
    "a.sph": {"format": "NIST"},
    "a.voc": {"format": "VOC"},
    "a.ogg": {},
    "a.oga": {"format": "OGG"},
}
ENCODED = {  # name of a file: codec and container of FFmpeg
    "a.mp3": ("libmp3lame", "mp3"),
    "mp3.wav": ("libmp3lame", "wav"),
    "a.mp2": ("mp2", "mp2"),
    "a.m4a": ("aac", "ipod"),
    "alac.m4a": ("alac", "ipod"),
    "a.aac": ("aac", "adts"),
    "a.mp4": ("aac", "mp4"),
    "a.mov": ("aac", "mov"),
    "a.opus": ("libopus", "ogg"),
    "a.webm": ("libopus", "webm"),
    "a.mka": ("libopus", "matroska"),
    "a.wma": ("wmav2", "asf"),
    "a.ac3": ("ac3", "ac3"),
    "a.wv": ("wavpack", "wv"),
    "a.tta": ("tta", "tta"),
    "a.avi": ("libmp3lame", "avi"),
}
RATES = {"libopus": 48_000, "wmav2": 44_100, "ac3": 48_000}  # that an encoder asks for
SAMPLES = {"alac": "s16p", "wavpack": "s16p", "tta": "s16", "flac": "s16"}  # an encoder may take 8 bits by itself
FORMATS = (*PCM, *ENCODED)


def voice(seconds=1.0, rate=RATE, pitch=130.0):
    """Harmonics of a pitch that drifts, between pauses; the channels of a second recording would have another pitch."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.2 * np.sin(5 * time))) / rate
    swell = np.clip(np.sin(7 * time) + 0.4, 0.02, 1)
    noise = np.random.default_rng(round(pitch)).normal(0, 0.002, len(time))
    return 0.1 * swell * sum(np.cos(order * phase) / order for order in range(1, 16)) + noise


def write_audio(path, signal=None, rate=RATE):
    """Writes a file in the format of its name, ``signal`` is ``[T]`` or ``[T, C]``."""
    signal = voice(rate=rate) if signal is None else signal
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name in ENCODED:
        path.write_bytes(encoded(signal, rate, *ENCODED[path.name]))
    else:
        soundfile.write(path, signal, rate, **PCM.get(path.name, {}))
    return path


def encoded(signal, rate, codec, container, seekable=True):
    """The bytes of a file that FFmpeg encodes; into a pipe, where it cannot go back to fill in sizes."""
    buffer = io.BytesIO() if seekable else Pipe()
    signal = signal.reshape(len(signal), -1)
    layout = {1: "mono", 2: "stereo"}[signal.shape[1]]
    with av.open(buffer, "w", format=container) as file:
        stream = file.add_stream(codec, rate=RATES.get(codec, rate), layout=layout)
        stream.bit_rate = 96_000
        if codec in SAMPLES:
            stream.format = SAMPLES[codec]
        steps = np.round(32_768 * signal).clip(-32_768, 32_767).astype(np.int16).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(steps, format="s16", layout=layout)
        frame.sample_rate = rate
        file.mux(stream.encode(frame) + stream.encode())
    return bytes(buffer.written) if isinstance(buffer, Pipe) else buffer.getvalue()


class Pipe:
    """What a program writes to another one: it cannot be sought."""

    def __init__(self):
        self.written = bytearray()

    def write(self, content):
        self.written += content
        return len(content)
