"""Signals to frames: speech, faces and motion capture. Needs the extra ``signals``."""

from lgrin.features.corpus import Extraction, extract
from lgrin.features.extractor import Extractor, Frames, SignalError, SignalWarning, from_settings
from lgrin.features.faces import FaceLandmarks, normalize_landmarks
from lgrin.features.log_mel import LogMel
from lgrin.features.mocap import Mocap
from lgrin.features.openface import OpenFace
from lgrin.features.speech import Speech
from lgrin.features.table import Table

__all__ = [
    "Extraction",
    "Extractor",
    "FaceLandmarks",
    "Frames",
    "LogMel",
    "Mocap",
    "OpenFace",
    "SignalError",
    "SignalWarning",
    "Speech",
    "Table",
    "extract",
    "from_settings",
    "normalize_landmarks",
]
