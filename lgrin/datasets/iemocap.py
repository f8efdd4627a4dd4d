"""The Interactive Emotional Dyadic Motion Capture database."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import ClassVar, Unpack

from torch import Tensor

from lgrin.datasets.recordings import Recording, RecordingDataset, RecordingOptions
from lgrin.features import Extractor, Frames, Speech
from lgrin.features.speech import append_spontaneity
from lgrin.options import check_option

CLASSES = {"ang": "angry", "neu": "neutral", "hap": "happy", "exc": "happy", "sad": "sad"}
GROUPS = ("session", "speaker")
TURN = re.compile(r"^\[\d+\.\d+ - \d+\.\d+\]\t(?P<name>\w+)\t(?P<emotion>\w+)\t\[", re.MULTILINE)
TURN_PATH = re.compile(r"Session[1-5]/sentences/wav/[^/]+/[^/]+$")
NAME = re.compile(r"Ses0(?P<session>\d)[FM]_(?P<kind>impro|script)\w+_(?P<speaker>[FM])\w+")


class IEMOCAP(RecordingDataset):
    """Four emotions of the Interactive Emotional Dyadic Motion Capture database: 5531 turns, 10 speakers, 5 sessions.

    As in the paper, excitement counts as happiness: 1103 angry, 1708 neutral, 1636 happy and 1084 sad turns; other
    turns are left out. Sound lies in ``Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav``, the majority
    vote of the annotators in ``Session1/dialog/EmoEvaluation/Ses01F_impro01.txt``. Whether a dialogue was improvised or
    acted from a script becomes a feature.

    Args:
        root: Folder that holds ``Session1`` to ``Session5``, directly or in ``IEMOCAP_full_release``.
        features: The extractor; by default ``Speech()``.
        group_by: ``"session"``, since both speakers of a session take part in each of its dialogues, or ``"speaker"``.
        **options: As for :class:`lgrin.datasets.RecordingDataset`.

    Attributes:
        num_frames: 120, as in the paper; 1.2 seconds.

    Shapes:
        - **data.x:** ``[L, 35]``, 100 frames a second; **data.group:** the session or the speaker

    Raises:
        FileNotFoundError: If the corpus, or the annotation of a session, is not there.
        SignalError: For the first broken file, unless ``on_error="skip"``.
        ValueError: If ``group_by`` is unknown.

    Source:
        Busso et al., "IEMOCAP: interactive emotional dyadic motion capture database", Language Resources and Evaluation
        42, 2008; https://sail.usc.edu/iemocap

    Example:
        >>> IEMOCAP("/nowhere")
        Traceback (most recent call last):
        ...
        FileNotFoundError: /nowhere holds no recording of IEMOCAP ...; expected, for example, ...
    """

    example: ClassVar[str] = "Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    access: ClassVar[str] = "It is lent for research on a signed form: https://sail.usc.edu/iemocap"
    known_classes: ClassVar[tuple[str, ...]] = tuple(dict.fromkeys(CLASSES.values()))
    default_num_frames: ClassVar[int] = 120

    def __init__(
        self,
        root: str | Path,
        features: Extractor | None = None,
        group_by: str = "session",
        **options: Unpack[RecordingOptions],
    ) -> None:
        check_option("group_by", group_by, GROUPS)
        self.group_by = group_by
        self.votes: dict[str, str] = {}
        super().__init__(root, features or Speech(), settings={"group_by": group_by}, **options)

    def paths(self) -> Iterable[Path]:
        """Lists the turns, after reading what the annotators said of them."""
        paths = [path for path in super().paths() if TURN_PATH.search(path.as_posix())]
        for session in sorted({path.parents[3] for path in paths}):
            reports = sorted((session / "dialog" / "EmoEvaluation").glob("[!.]*.txt"))
            if not reports:
                raise FileNotFoundError(
                    f"{session} has no dialog/EmoEvaluation/*.txt, which say what each turn expresses"
                )
            for report in reports:
                self.votes |= TURN.findall(report.read_text(encoding="latin-1"))
        return paths

    def parse(self, path: PurePosixPath) -> Recording | str | None:
        """Reads the emotion from the votes, and speaker and dialogue from the name."""
        match, vote = NAME.fullmatch(path.stem), self.votes.get(path.stem)
        if match is None or vote is None:
            return "its name is no turn of its session's EmoEvaluation files"
        if vote not in CLASSES:
            return None
        group = match["session"] if self.group_by == "session" else match["session"] + match["speaker"]
        return Recording(CLASSES[vote], group, spontaneous=match["kind"] == "impro")

    def frames_of(self, recording: Recording, frames: Frames) -> Tensor:
        """Appends spontaneity to descriptors of speech."""
        if isinstance(self.features, Speech) and self.features.spontaneous is None:
            return append_spontaneity(frames.x, bool(recording.spontaneous), self.features.layout)
        return frames.x
