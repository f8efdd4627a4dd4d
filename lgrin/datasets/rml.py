"""The RML emotion database."""

import re
from pathlib import Path, PurePosixPath
from typing import ClassVar, Unpack

from lgrin.datasets.recordings import Recording, RecordingDataset, RecordingOptions
from lgrin.features import Extractor, FaceLandmarks

CLASSES = {"an": "anger", "di": "disgust", "fe": "fear", "ha": "happiness", "sa": "sadness", "su": "surprise"}


class RML(RecordingDataset):
    """The RML emotion database: 720 videos of 8 subjects who speak 6 languages, 6 emotions.

    Files lie directly below ``s1`` and ``s2`` and one folder deeper, a language or accent each, from ``s3`` on:
    ``s1/an1.avi``, ``s3/f1eng/an1.avi``. A name starts with an, di, fe, ha, sa or su. The subjects share no
    sentences, since each spoke in a language and words of their own, so there is no ``text``.

    Args:
        root: Folder that holds ``s1`` to ``s8``, directly or in parts such as ``rml-1`` and ``rml-2``.
        features: The extractor; by default ``FaceLandmarks()``, as in the paper.
        **options: As for :class:`lgrin.datasets.RecordingDataset`.

    Attributes:
        num_frames: 90, as in the paper; 3 seconds.

    Shapes:
        - **data.x:** ``[L, 136]``, 30 frames a second; **data.group:** the subject

    Raises:
        FileNotFoundError: If the corpus is not there.
        SignalError: For the first broken file, unless ``on_error="skip"``.

    Source:
        Wang and Guan, "Recognizing human emotional state from audiovisual signals", IEEE Transactions on Multimedia
        10(5), 2008;
        http://www.rml.ryerson.ca/rml-emotion-database.html

    Example:
        >>> RML("/nowhere")
        Traceback (most recent call last):
        ...
        FileNotFoundError: /nowhere holds no recording of RML ...; expected, for example, /nowhere/s1/an1.avi. It is ...
    """

    example: ClassVar[str] = "s1/an1.avi"
    access: ClassVar[str] = (
        "It is lent for research on a signed form: http://www.rml.ryerson.ca/rml-emotion-database.html"
    )
    known_classes: ClassVar[tuple[str, ...]] = tuple(CLASSES.values())
    default_num_frames: ClassVar[int] = 90

    def __init__(
        self, root: str | Path, features: Extractor | None = None, **options: Unpack[RecordingOptions]
    ) -> None:
        super().__init__(root, features or FaceLandmarks(), **options)

    def parse(self, path: PurePosixPath) -> Recording | str | None:
        """Reads the subject from the folders and the emotion from the name."""
        subject = next((part for part in path.parts[:-1] if re.match(r"s\d", part)), None)
        if subject is None:
            return None
        emotion = CLASSES.get(path.name[:2].lower())
        if emotion is None:
            return f"its name starts with none of {', '.join(CLASSES)}"
        if not re.fullmatch(r"s\d+", subject):
            return "it lies in no folder of a subject, such as s1"
        return Recording(emotion, subject)
