"""The MPI emotional body expressions database."""

import re
from pathlib import Path, PurePosixPath
from typing import ClassVar, Unpack

from lgrin.datasets.recordings import Recording, RecordingDataset, RecordingOptions
from lgrin.features import Extractor, Mocap

CLASSES = (
    "amusement",
    "anger",
    "disgust",
    "fear",
    "joy",
    "neutral",
    "pride",
    "relief",
    "sadness",
    "shame",
    "surprise",
)
EMOTION = re.compile(rf"(?<![a-z])({'|'.join(CLASSES)})(?![a-z])", re.IGNORECASE)
ACTORS = ("AnBh", "DiMi", "HeGa", "LeSt", "MaMa", "NoVo", "PaPi", "SiGl")


class MPIBodyExpressions(RecordingDataset):
    """The MPI emotional body expressions database: 1447 motions of 8 actors who tell stories, 11 emotions.

    The site delivers BVH files one by one, and their names have no common form; most hold the actor's code and the
    emotion that was intended, ``AnBh_0208_ftf_wd_t3-002_91_560809_563542_2733_Anger.bvh``. Where a name does not, or
    the perceived emotion is wanted, use :class:`lgrin.datasets.MocapFolder` with a table. The first frame of a file is
    a reference pose, and left out.

    Args:
        root: Folder of the BVH files, whatever folders they are in.
        features: The extractor; by default ``Mocap(joints=23, skip=1)``.
        **options: As for :class:`lgrin.datasets.RecordingDataset`.

    Attributes:
        num_frames: 120, as in the paper; 1 second.

    Shapes:
        - **data.x:** ``[L, 72]``, 120 frames a second; **data.group:** the actor

    Raises:
        FileNotFoundError: If the corpus is not there.
        SignalError: For the first broken file, unless ``on_error="skip"``.

    Source:
        Volkova, de la Rosa, Bülthoff and Mohler, "The MPI emotional body expressions database for narrative scenarios",
        PLoS ONE 9(12), 2014; http://ebmdb.tuebingen.mpg.de

    Example:
        >>> MPIBodyExpressions("/nowhere")
        Traceback (most recent call last):
        ...
        FileNotFoundError: /nowhere holds no recording of MPIBodyExpressions (.bvh); expected, for example, ...
    """

    example: ClassVar[str] = "AnBh_0208_ftf_wd_t3-002_91_560809_563542_2733_Anger.bvh"
    access: ClassVar[str] = "It is public, file by file: http://ebmdb.tuebingen.mpg.de"
    known_classes: ClassVar[tuple[str, ...]] = CLASSES
    default_num_frames: ClassVar[int] = 120

    def __init__(
        self, root: str | Path, features: Extractor | None = None, **options: Unpack[RecordingOptions]
    ) -> None:
        super().__init__(root, features or Mocap(joints=23, skip=1), **options)

    def parse(self, path: PurePosixPath) -> Recording | str:
        """Reads actor and emotion from a name."""
        emotions = {match.lower() for match in EMOTION.findall(path.stem)}
        if len(emotions) != 1:
            return f"its name holds {len(emotions)} of the emotions {', '.join(CLASSES)}, not 1"
        actor = next((code for code in ACTORS if code.lower() in path.stem.lower()), None)
        if actor is None and "sinead" in path.stem.lower():
            actor = "SiGl"
        if actor is None:
            return f"its name holds none of the actors {', '.join(ACTORS)}"
        return Recording(emotions.pop(), actor)
