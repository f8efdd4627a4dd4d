"""Log-mel spectra of speech, one every 10 ms, for networks that learn their features from them."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from lgrin.extras import optional
from lgrin.features.audio import SAMPLING_RATE
from lgrin.features.extractor import Frames
from lgrin.features.samples import AudioExtractor, Samples
from lgrin.features.speech import STEP, WINDOW, Speech, read_speech
from lgrin.options import check_whole

FLOOR = 1e-10  # the smallest power of which the logarithm is taken


@dataclass(frozen=True)
class LogMel(AudioExtractor):
    r"""Extracts log-mel spectra of speech with librosa: windows of 25 ms, one every 10 ms.

    .. math:: x_{t b} = \ln \max \Big( \sum_f W_{b f} \, |S_{t f}|^2, \; 10^{-10} \Big)

    S is the short-time Fourier transform under Hann windows and W a bank of triangles, evenly spread over Slaney's mel
    scale from 0 to 8 kHz. Files are read as :class:`Speech` reads them, and have as many frames.

    Args:
        bands: Mel bands.

    Attributes:
        num_features: The bands.

    Shapes:
        - **x:** ``[L, bands]``, :math:`L = \lfloor (T - 0.025) / 0.010 \rfloor + 1` for T seconds

    Raises:
        ImportError: If librosa is not installed (extra ``end-to-end``).
        SignalError: As :class:`Speech`.
        ValueError: If ``bands`` is no positive whole number.

    Source:
        McFee et al., "librosa: Audio and music signal analysis in Python", SciPy 2015.

    Example:
        >>> import tempfile, soundfile
        >>> path = f"{tempfile.mkdtemp()}/noise.wav"
        >>> soundfile.write(path, np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
        >>> x, mask, frame_rate = LogMel()(path)
        >>> x.shape, frame_rate
        (torch.Size([98, 40]), 100.0)
    """

    bands: int = 40

    suffixes: ClassVar[tuple[str, ...]] = Speech.suffixes
    libraries: ClassVar[tuple[str, ...]] = ("librosa", "soxr", "soundfile", "av")
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        check_whole("bands", self.bands)

    @property
    def num_features(self) -> int:  # type: ignore[override]
        """Features per frame."""
        return self.bands

    def read(self, path: Path | Samples) -> Frames:
        """Reads one audio file, or samples."""
        with optional("end-to-end"):
            import librosa
        power = librosa.feature.melspectrogram(
            y=read_speech(path), sr=SAMPLING_RATE, n_fft=WINDOW, hop_length=STEP, n_mels=self.bands, center=False
        )
        x = torch.from_numpy(np.log(np.maximum(power, FLOOR)).T.astype(np.float32))
        return Frames(x, torch.ones(len(x), dtype=torch.bool), SAMPLING_RATE / STEP)
