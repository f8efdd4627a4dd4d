"""The Berlin Database of Emotional Speech."""

import re
from pathlib import Path, PurePosixPath
from typing import ClassVar, Unpack

from lgrin.datasets.download import RemoteFile, zenodo_files
from lgrin.datasets.recordings import Recording, RecordingDataset, RecordingOptions
from lgrin.features import Extractor, Speech

RECORD, ARCHIVE = 7447302, "emodb.zip"
NAME = re.compile(r"(?P<speaker>\d{2})(?P<text>[ab]\d{2})(?P<letter>[WLEAFTN])(?P<take>[a-z]?)\.wav", re.IGNORECASE)
EMOTIONS = {
    "W": "anger",
    "L": "boredom",
    "E": "disgust",
    "A": "fear",
    "F": "joy",
    "T": "sadness",
    "N": "neutral",
}


class EmoDB(RecordingDataset):
    r"""The Berlin Database of Emotional Speech: 535 utterances, 10 actors, 10 sentences, 7 emotions.

    Files lie in a folder ``wav``, which is ``root`` itself or anywhere below it. Their names give speaker, sentence,
    emotion and take: ``wav/03a01Fa.wav``. If there are none, the corpus is downloaded (40 MB).

    Args:
        root: Folder of the corpus.
        features: The extractor; by default ``Speech()``.
        **options: As for :class:`lgrin.datasets.RecordingDataset`.

    Attributes:
        num_frames: 120, as the paper has it for speech; 1.2 seconds.

    Shapes:
        - **data.x:** ``[L, 34]``, 100 frames a second; **data.group:** the speaker; **data.text:** ``"a01"``, ``"b10"``

    Raises:
        OSError: If the corpus is not there and cannot be downloaded.
        SignalError: For the first broken file, unless ``on_error="skip"``.

    Source:
        Burkhardt, Paeschke, Rolfes, Sendlmeier and Weiss, "A database of German emotional speech", Interspeech 2005;
        names of files: http://emodb.bilderbar.info/docu; archive: https://zenodo.org/records/7447302.

    Example:
        >>> import tempfile, numpy, soundfile
        >>> wav = Path(tempfile.mkdtemp()) / "wav"
        >>> wav.mkdir()
        >>> soundfile.write(wav / "03a01Fa.wav", numpy.random.default_rng(0).normal(0, 0.1, 16_000), 16_000)
        >>> dataset = EmoDB(wav.parent, progress=False)
        >>> dataset.classes[dataset[0].y], dataset.groups, dataset[0].text, dataset[0].x.shape
        ('joy', ['03'], 'a01', torch.Size([98, 34]))
    """

    example: ClassVar[str] = "wav/03a01Fa.wav"
    provides: ClassVar[tuple[str, ...]] = (".wav",)
    access: ClassVar[str] = f"It is public: https://zenodo.org/records/{RECORD}"
    known_classes: ClassVar[tuple[str, ...]] = tuple(EMOTIONS.values())
    default_num_frames: ClassVar[int] = 120

    def __init__(
        self, root: str | Path, features: Extractor | None = None, **options: Unpack[RecordingOptions]
    ) -> None:
        super().__init__(root, features or Speech(), **options)

    def parse(self, path: PurePosixPath) -> Recording | str | None:
        """Reads speaker, sentence and emotion from a name."""
        if path.parent.name not in ("wav", ""):  # "" if root is that folder
            return None
        match = NAME.fullmatch(path.name)
        if match is None:
            return "its name does not say speaker, sentence, emotion and take, as 03a01Fa.wav does"
        return Recording(EMOTIONS[match["letter"].upper()], match["speaker"], match["text"].lower())

    def archives(self) -> dict[str, RemoteFile]:
        """Names the archive."""
        return {ARCHIVE: zenodo_files(RECORD)[ARCHIVE]}
