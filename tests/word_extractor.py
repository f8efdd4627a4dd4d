"""An extractor that other processes can import."""

import os
import signal
from dataclasses import dataclass
from typing import ClassVar

import torch

from lgrin.features import Extractor, Frames, SignalError


@dataclass(frozen=True)
class Words(Extractor):
    """One frame a word, its length; the word "gap" is a missing frame."""

    scale: float = 1.0
    num_features: ClassVar[int] = 1

    def read(self, path):
        words = path.read_text().split()
        if not words:
            raise SignalError(path, "it holds no word")
        if words == ["crash"]:
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))
        x = torch.tensor([[self.scale * len(word)] for word in words])
        return Frames(x, torch.tensor([word != "gap" for word in words]), 2.0)
