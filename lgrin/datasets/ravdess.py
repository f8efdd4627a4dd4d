"""The Ryerson Audio-Visual Database of Emotional Speech and Song."""

import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import ClassVar, Unpack

from lgrin.datasets.download import RemoteFile, zenodo_files
from lgrin.datasets.recordings import Recording, RecordingDataset, RecordingOptions
from lgrin.features import Extractor, FaceLandmarks
from lgrin.options import check_option

CLASSES = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
MODALITIES = {"audio-video": ("01",), "video-only": ("02",), "both": ("01", "02")}
CHANNELS = {"speech": ("01",), "song": ("02",), "both": ("01", "02")}
PARTS = {".csv": "Tracking", ".wav": "Audio", ".mp4": "Video"}
SENTENCES = {"01": "kids", "02": "dogs"}
NAME = re.compile(
    r"(?P<modality>0[1-3])-(?P<channel>0[12])-(?P<emotion>0[1-8])-(?P<intensity>0[12])-(?P<sentence>0[12])"
    r"-(?P<repetition>0[12])-(?P<actor>[0-2]\d)"
)
RECORDINGS, TRACKING = 1188976, 3255102


class RAVDESS(RecordingDataset):
    """The Ryerson Audio-Visual Database of Emotional Speech and Song: 24 actors, 2 sentences, 8 emotions.

    Files are named by modality, vocal channel, emotion, intensity, sentence, repetition and actor:
    ``Actor_01/01-01-06-01-02-01-12.mp4``. What is read depends on the features: videos (``FaceLandmarks``), the tracked
    landmarks that the authors publish (``OpenFace``), or the sound (``Speech``). Missing files are downloaded: 24 GB
    of videos, 0.4 GB of landmarks, or 0.4 GB of sound.

    There are 2452 recordings, 1440 of speech and 1012 of song. Each is published twice as video, with and without its
    sound, which show the same face. The paper counts both, 4904: **folds that are drawn at random over these have
    nearly every test recording in the training set.** ``modality="both"`` gives them, and ``data.recording`` says which
    belong together.

    Args:
        root: Folder of the corpus; files may lie anywhere below it.
        features: The extractor; by default ``FaceLandmarks()``, as in the paper.
        modality: ``"audio-video"`` takes each recording once, ``"video-only"`` its copy without sound, ``"both"`` both;
            landmarks exist of the first only, and sound is a modality of its own.
        channel: ``"speech"``, ``"song"`` or ``"both"``.
        **options: As for :class:`lgrin.datasets.RecordingDataset`.

    Attributes:
        num_frames: 90, as in the paper; 3 seconds.

    Shapes:
        - **data.x:** ``[L, 136]``, 29.97 frames a second, or ``[L, 34]``; **data.group:** the actor; **data.text:**
          ``"kids"`` or ``"dogs"``; **data.recording:** what was recorded, the name without its modality

    Raises:
        OSError: If the corpus is not there and cannot be downloaded.
        SignalError: For the first broken file, unless ``on_error="skip"``.
        ValueError: If modality or channel is unknown, or the features do not read this modality.

    Source:
        Livingstone and Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song", PLoS ONE 13(5), 2018;
        https://zenodo.org/records/1188976 (CC BY-NC-SA 4.0); landmarks: https://zenodo.org/records/3255102

    Example:
        >>> RAVDESS("/nowhere", modality="03")
        Traceback (most recent call last):
        ...
        ValueError: modality is '03'; it may be 'audio-video', 'video-only', 'both'
    """

    example: ClassVar[str] = "Actor_01/01-01-01-01-01-01-01.mp4"
    access: ClassVar[str] = f"It is public: https://zenodo.org/records/{RECORDINGS}"
    known_classes: ClassVar[tuple[str, ...]] = CLASSES
    default_num_frames: ClassVar[int] = 90

    def __init__(
        self,
        root: str | Path,
        features: Extractor | None = None,
        modality: str = "audio-video",
        channel: str = "both",
        **options: Unpack[RecordingOptions],
    ) -> None:
        check_option("modality", modality, MODALITIES)
        check_option("channel", channel, CHANNELS)
        features = features or FaceLandmarks()
        parts = [part for suffix, part in PARTS.items() if suffix in features.suffixes]
        if not parts:
            raise ValueError(f"features is {features!r}, which reads none of {', '.join(PARTS)}")
        self.part = parts[0]
        if modality != "audio-video" and self.part != "Video":
            raise ValueError(f"modality is {modality!r}, but {features!r} does not read videos; leave modality out")
        modalities = ("03",) if self.part == "Audio" else MODALITIES[modality]
        self.wanted = modalities, CHANNELS[channel]
        super().__init__(root, features, settings={"modality": modality, "channel": channel}, **options)

    def parse(self, path: PurePosixPath) -> Recording | str | None:
        """Reads everything from a name."""
        match = NAME.fullmatch(path.stem)
        if match is None:
            return "its name has not the form of 01-01-06-01-02-01-12"
        modalities, channels = self.wanted
        if match["modality"] not in modalities or match["channel"] not in channels:
            return None
        emotion = CLASSES[int(match["emotion"]) - 1]
        return Recording(emotion, match["actor"], SENTENCES[match["sentence"]], path.stem.split("-", 1)[1])

    def check_whole(self, found: Mapping[str, Recording | str]) -> None:
        """Raises if both channels were asked for and only one is there."""
        there = {name.rsplit("/", 1)[-1].split("-")[1] for name, what in found.items() if isinstance(what, Recording)}
        for channel, (code, *more) in CHANNELS.items():
            if (
                there
                and not more
                and code in self.wanted[1]
                and code not in there
                and not any(self._download_folder.glob("*"))
            ):
                raise FileNotFoundError(
                    f"{self.source} holds recordings, but none of {channel}, though channel is 'both'; "
                    f"RAVDESS(..., channel={channel!r}) downloads it, and the other channel alone does without it"
                )

    def archives(self) -> dict[str, RemoteFile]:
        """Names the archives that the features read."""
        if self.part == "Tracking":
            return {name: file for name, file in zenodo_files(TRACKING).items() if name.endswith(".zip")}
        channels = [name for name in ("speech", "song") if CHANNELS[name][0] in self.wanted[1]]
        starts = tuple(f"{self.part}_{channel.title()}_Actor" for channel in channels)
        return {name: file for name, file in sorted(zenodo_files(RECORDINGS).items()) if name.startswith(starts)}
