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
    "msadpcm.wav": {"subtype": "MS_ADPCM"},
    "extensible.wav": {"format": "WAVEX"},
    "a.flac": {},
    "a.aiff": {},
    "a.aif": {"format": "AIFF"},
    "a.aifc": {"format": "AIFF", "subtype": "IMA_ADPCM"},
    "float.aiff": {"subtype": "FLOAT"},
    "a.au": {},
    "a.snd": {"format": "AU", "subtype": "ULAW"},
    "a.caf": {},
    "alac.caf": {"subtype": "ALAC_16"},
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
    "g722.wav": ("g722", "wav"),
    "a.mp2": ("mp2", "mp2"),
    "a.m4a": ("aac", "ipod"),
    "alac.m4a": ("alac", "ipod"),
    "a.aac": ("aac", "adts"),
    "a.mp4": ("aac", "mp4"),
    "opus.mp4": ("libopus", "mp4"),
    "a.mov": ("aac", "mov"),
    "pcm.mov": ("pcm_s16le", "mov"),
    "a.3gp": ("libopencore_amrnb", "3gp"),
    "a.amr": ("libopencore_amrnb", "amr"),
    "a.opus": ("libopus", "ogg"),
    "a.webm": ("libopus", "webm"),
    "a.mka": ("libopus", "matroska"),
    "a.mkv": ("aac", "matroska"),
    "a.ts": ("aac", "mpegts"),
    "a.wma": ("wmav2", "asf"),
    "wmav1.wma": ("wmav1", "asf"),
    "a.ac3": ("ac3", "ac3"),
    "a.eac3": ("eac3", "eac3"),
    "a.wv": ("wavpack", "wv"),
    "a.tta": ("tta", "tta"),
    "a.avi": ("libmp3lame", "avi"),
}
RATES = {  # that an encoder asks for
    "libopus": 48_000,
    "wmav1": 44_100,
    "wmav2": 44_100,
    "ac3": 48_000,
    "eac3": 48_000,
    "libopencore_amrnb": 8_000,
}
BIT_RATES = {"libopencore_amrnb": 12_200}
SAMPLES = {"alac": "s16p", "wavpack": "s16p", "tta": "s16", "flac": "s16"}  # an encoder may take 8 bits by itself
FORMATS = (*PCM, *ENCODED)
VARIANTS = {  # name of a file: its content, which is whole, though its header does not say so, or is missing
    "vbr.mp3": lambda: encoded(voice(), RATE, "libmp3lame", "mp3", quality=4),
    "cbr.mp3": lambda: encoded(voice(), RATE, "libmp3lame", "mp3", write_xing="0"),
    "pipe.mp3": lambda: encoded(voice(), RATE, "libmp3lame", "mp3", seekable=False),
    "joined.mp3": lambda: 3 * encoded(voice(), RATE, "libmp3lame", "mp3"),
    "tagged.mp3": lambda: encoded(voice(), RATE, "libmp3lame", "mp3") + b"TAG" + bytes(125),
    "pipe.wav": lambda: encoded(voice(), RATE, "pcm_s16le", "wav", seekable=False),
    "pipe.flac": lambda: encoded(voice(), RATE, "flac", "flac", seekable=False),
    "pipe.opus": lambda: encoded(voice(), RATE, "libopus", "ogg", seekable=False),
    "pipe.au": lambda: encoded(voice(), RATE, "pcm_s16be", "au", seekable=False),
    "joined.flac": lambda: 2 * encoded(voice(), RATE, "flac", "flac"),
    "joined.opus": lambda: 2 * encoded(voice(), RATE, "libopus", "ogg"),
    "joined.aac": lambda: 2 * encoded(voice(), RATE, "aac", "adts"),
}
REFUSED = {  # name of a file: its content, and why it is not read
    "gsm.wav": (lambda: written(format="WAV", subtype="GSM610"), "GSM 6.10 cannot be sought; convert it to PCM"),
    "gsm.aifc": (lambda: written(format="AIFF", subtype="GSM610"), "GSM 6.10 cannot be sought; convert it to PCM"),
    "g721.au": (lambda: written(format="AU", subtype="G721_32"), "G721 ADPCM cannot be sought; convert it to PCM"),
    "joined.wav": (lambda: 2 * written(format="WAV"), "a second recording follows at byte"),
    "joined.m4a": (lambda: 2 * encoded(voice(), RATE, "aac", "ipod"), "several recordings one behind the other"),
    "cut.wav": (lambda: written(format="WAV")[:-99], "is cut short"),
    "cut.flac": (lambda: written(format="FLAC")[:-99], "is cut short|cannot be read as audio"),
    "a.raw": (lambda: written(format="WAV")[44:], "cannot be read as audio"),
    "text.mp3": (lambda: 100 * b"no sound at all", "cannot be read as audio"),
    "empty.ogg": (lambda: b"", "cannot be read as audio"),
}


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


def written(**options):
    """The bytes of a file that libsndfile writes."""
    buffer = io.BytesIO()
    soundfile.write(buffer, voice(), RATE, **options)
    return buffer.getvalue()


def encoded(signal, rate, codec, container, seekable=True, quality=None, **options):
    """The bytes of a file that FFmpeg encodes; into a pipe, where it cannot go back to fill in sizes."""
    buffer = io.BytesIO() if seekable else Pipe()
    signal = signal.reshape(len(signal), -1)
    layout = {1: "mono", 2: "stereo"}[signal.shape[1]]
    with av.open(buffer, "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=RATES.get(codec, rate), layout=layout)
        stream.bit_rate = BIT_RATES.get(codec, 96_000)
        if quality is not None:  # a variable bit rate
            stream.codec_context.options = {"flags": "+qscale", "global_quality": str(118 * quality)}
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
