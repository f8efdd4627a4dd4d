"""The eNTERFACE'05 audio-visual emotion database."""

import re
from pathlib import Path, PurePosixPath
from typing import ClassVar, Unpack

from lgrin.datasets.recordings import Recording, RecordingDataset, RecordingOptions
from lgrin.features import Extractor, FaceLandmarks

CLASSES = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
FOLDERS = re.compile(rf"subject (?P<subject>\d+)/(?P<emotion>{'|'.join(CLASSES)})/sentence (?P<number>\d+)/[^/]+")


class ENTERFACE05(RecordingDataset):
    """The eNTERFACE'05 audio-visual emotion database: subjects who react to 6 stories with 5 sentences each.

    Files lie in ``subject 1/anger/sentence 1/s1_an_1.avi``. Subject, emotion and sentence are read from the folders:
    some names are misspelt, and those of subject 11 say 12. The recordings of subject 6 are not cut into sentences,
    which the missing ``sentence`` folder shows, and are left out.

    Args:
        root: Folder that holds ``subject 1`` and so on, directly or further below.
        features: The extractor; by default ``FaceLandmarks()``, as in the paper.
        **options: As for :class:`lgrin.datasets.RecordingDataset`.

    Attributes:
        num_frames: 90, as in the paper; 3.6 seconds.

    Shapes:
        - **data.x:** ``[L, 136]``, 25 frames a second; **data.group:** the subject; **data.text:** emotion and number
          of the sentence, ``"anger 1"``, since each emotion has sentences of its own

    Raises:
        FileNotFoundError: If the corpus is not there.
        SignalError: For the first broken file, unless ``on_error="skip"``.

    Source:
        Martin, Kotsia, Macq and Pitas, "The eNTERFACE'05 audio-visual emotion database", ICDE Workshops 2006;
        https://enterface.net/enterface05

    Example:
        >>> ENTERFACE05("/nowhere")
        Traceback (most recent call last):
        ...
        FileNotFoundError: ...; expected, for example, /nowhere/subject 1/anger/sentence 1/s1_an_1.avi. It is ...
    """

    example: ClassVar[str] = "subject 1/anger/sentence 1/s1_an_1.avi"
    access: ClassVar[str] = (
        "It is free: https://enterface.net/enterface05/docs/results/databases/project2_database.zip (0.8 GB)"
    )
    known_classes: ClassVar[tuple[str, ...]] = CLASSES
    default_num_frames: ClassVar[int] = 90

    def __init__(
        self, root: str | Path, features: Extractor | None = None, **options: Unpack[RecordingOptions]
    ) -> None:
        super().__init__(root, features or FaceLandmarks(), **options)

    def parse(self, path: PurePosixPath) -> Recording | None:
        """Reads subject, emotion and sentence from the folders."""
        match = FOLDERS.search(path.as_posix())
        if match is None:
            return None
        emotion = match["emotion"]
        return Recording(emotion, match["subject"].zfill(2), f"{emotion} {match['number']}")
