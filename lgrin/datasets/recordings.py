"""The base class of corpora: it finds recordings, reads their labels, extracts their frames and caches them."""

import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import ClassVar, NamedTuple, TypedDict

import torch
from torch import Tensor
from torch_geometric.data import Data

from lgrin.datasets.download import RemoteFile, download, unpack
from lgrin.datasets.duplicates import find_twins, nested_copies
from lgrin.datasets.sequences import SequenceDataset, sequence
from lgrin.features import Extractor, Frames, SignalError, extract
from lgrin.features.corpus import ON_ERROR
from lgrin.gaps import fill_gaps, missing_share
from lgrin.options import check_option, check_path
from lgrin.text import one_line

MOST_SUFFIXES = 4  # in an error
VERSION = 3  # of the choice of recordings; increased whenever it changes


class Recording(NamedTuple):
    """What a corpus says about one of its files.

    Attributes:
        label: Its class.
        group: Its speaker, actor or subject.
        text: The sentence that is spoken.
        recording: What was recorded, where several files show the same.
        spontaneous: Whether it was improvised.
    """

    label: str
    group: str | None = None
    text: str | None = None
    recording: str | None = None
    spontaneous: bool | None = None


class RecordingOptions(TypedDict, total=False):
    """Keywords that every corpus passes on to :class:`RecordingDataset`, which describes them."""

    cache: str | Path | None
    on_error: str
    workers: int | None
    progress: bool
    transform: Callable[[Data], Data] | None
    pre_transform: Callable[[Data], Data] | None
    pre_filter: Callable[[Data], bool] | None
    force_reload: bool


class RecordingDataset(SequenceDataset):
    """Recordings of a corpus as sequences of frames.

    A subclass implements :meth:`parse`, which reads a recording's labels from its path. Features and sequences are
    saved in ``cache``, and computed again when a file, a setting or a library changes.

    Each ``Data`` has ``x [L, P]``, ``frame [L]``, ``y [1]``, ``name``, ``frame_rate [1]`` in frames a second, and,
    where the corpus knows them, ``group [1]``, ``text`` and ``recording``; ``mask [L]`` where frames are missing
    anywhere in it. Single values that are missing in a frame are filled, see :attr:`missing_values`.

    A recording that a corpus holds twice is taken once: a file in a nested copy of the corpus, the same frames under
    another name, another encoding under the same name. A warning names the copies, and they stand in :attr:`failures`.
    Equal frames of unlike classes are both kept, and named in a warning.

    Args:
        root: Folder of the corpus.
        features: The extractor; its suffixes also decide which files are read.
        cache: Folder for features and sequences; ``None`` is the corpus's own.
        on_error: What happens to files without frames or with a name that cannot be read: ``"raise"`` stops at the
            first, ``"skip"`` leaves them out and lists them in a warning and in :attr:`failures`.
        workers: As for :func:`lgrin.features.extract`.
        progress: Whether to show a progress bar.
        settings: Further settings that decide which recordings are taken.
        transform: Applied at every access.
        pre_transform: Applied before saving.
        pre_filter: Chooses what is saved.
        force_reload: Whether to make the sequences again; cached features are kept.

    Raises:
        FileNotFoundError: If the folder holds no recording, with an example of an expected file and where to get it.
        OSError: If fetching the corpus failed.
        ImportError: If a library is not installed, with the extra that brings it.
        SignalError: Under ``on_error="raise"``, for the first file that is broken.
        ValueError: If an option is unknown, or a download is not what was published.

    Example:
        >>> import tempfile, numpy, soundfile
        >>> from lgrin.features import Speech
        >>> class Shouts(RecordingDataset):
        ...     def parse(self, path):
        ...         speaker, label = path.stem.split("-")
        ...         return Recording(label, group=speaker)
        >>> root = Path(tempfile.mkdtemp())
        >>> soundfile.write(root / "anna-loud.wav", numpy.random.default_rng(0).normal(0, 0.1, 8_000), 16_000)
        >>> dataset = Shouts(root, Speech(), progress=False)
        >>> dataset.classes, dataset.groups, dataset[0].x.shape
        (['loud'], ['anna'], torch.Size([48, 34]))
    """

    example: ClassVar[str] = ""
    access: ClassVar[str] = ""
    known_classes: ClassVar[tuple[str, ...]] = ()
    default_num_frames: ClassVar[int | None] = None
    provides: ClassVar[tuple[str, ...]] = ()  # suffixes of the files that can be downloaded
    part: str = "corpus"  # the part of the corpus that these features read

    def __init__(
        self,
        root: str | Path,
        features: Extractor,
        cache: str | Path | None = None,
        *,
        on_error: str = "raise",
        workers: int | None = None,
        progress: bool = True,
        settings: Mapping[str, object] | None = None,
        transform: Callable[[Data], Data] | None = None,
        pre_transform: Callable[[Data], Data] | None = None,
        pre_filter: Callable[[Data], bool] | None = None,
        force_reload: bool = False,
    ) -> None:
        check_option("on_error", on_error, ON_ERROR)
        self.source, self.features = check_path("root", root).expanduser(), features
        self._on_error, self._workers, self._progress = on_error, workers, progress
        self.cache = Path(cache).expanduser() if cache is not None else self.source
        self.found = self._find()
        described = {
            "dataset": type(self).__name__,
            "version": VERSION,
            "classes": self.known_classes,
            "num_frames": self.default_num_frames,
            "features": features.fingerprint,
            "on_error": on_error,
            "files": [[name, recording, *_file_stamp(self.source / name)] for name, recording in self.found.items()],
            "copies": sorted(self.copies.items()),
            "root": str(self.source.resolve()),
            **(settings or {}),
        }
        try:
            super().__init__(str(self.cache), described, transform, pre_transform, pre_filter, force_reload)
        except PermissionError as error:
            raise PermissionError(f"{error}; pass cache=, a folder that can be written to") from error
        self.read(self.processed_paths[0])
        if self.columns:
            self.features = self.features.aligned_to(self.columns)  # for files still to come

    def parse(self, path: PurePosixPath) -> Recording | str | None:
        """Reads a recording's labels from its path, relative to the corpus.

        Returns:
            The recording; a reason, if the path should name one and does not; ``None`` if the file is not wanted.
        """
        raise NotImplementedError

    def check_whole(self, found: Mapping[str, Recording | str]) -> None:
        """Raises if only a part of what was asked for is there."""

    def archives(self) -> dict[str, RemoteFile]:
        """Lists the archives to download; none for a corpus that has to be requested from its authors."""
        return {}

    @property
    def processed_file_names(self) -> list[str]:
        """One file, named after the settings that made it."""
        return [f"sequences-{self.settings_hash}.pt"]

    def process(self) -> None:
        """Turns the recordings into sequences."""
        failures = self._unparsed()
        named = {name: recording for name, recording in self.found.items() if isinstance(recording, Recording)}
        extraction = extract(
            self.features,
            [self.source / name for name in named],
            self.cache / "processed" / "features",
            on_error=self._on_error,
            workers=self._workers,
            progress=self._progress,
        )
        failures |= {Path(path).relative_to(self.source).as_posix(): why for path, why in extraction.failures.items()}
        kept = {name: frames for name, frames in zip(named, extraction.frames, strict=True) if frames is not None}
        if not kept:
            raise ValueError(f"none of the {len(self.found)} files in {self.source} could be used: {failures}")
        copies = self.copies | self._twins(named, kept)
        failures |= {name: f"it is the same recording as {twin}" for name, twin in copies.items()}
        kept = {name: frames for name, frames in kept.items() if name not in copies}
        self._warn_of_copies(copies)
        columns = self._align(kept, failures)
        kept, missing_values = _filled(kept)
        recordings = [named[name] for name in kept]
        classes = list(self.known_classes) or sorted({recording.label for recording in recordings})
        groups = sorted({recording.group for recording in recordings if recording.group is not None})
        missing = any(not bool(frames.mask.all()) for frames in kept.values())
        sequences = [
            sequence(
                self.frames_of(recording, frames),
                frames.mask if missing else None,
                classes.index(recording.label),
                None if recording.group is None else groups.index(recording.group),
                name=name,
                text=recording.text,
                recording=recording.recording,
                frame_rate=torch.tensor([frames.frame_rate]),
            )
            for (name, frames), recording in zip(kept.items(), recordings, strict=True)
        ]
        _check_num_features(sequences)
        named_length = {} if self.default_num_frames is None else {"num_frames": self.default_num_frames}
        self.write(
            self.processed_paths[0],
            sequences,
            classes,
            groups=groups,
            failures=failures,
            columns=columns,
            missing_values=missing_values,
            **named_length,
        )

    def _unparsed(self) -> dict[str, str]:
        """The files whose names cannot be read: they raise an error, or are listed in a warning."""
        failures = {name: reason for name, reason in self.found.items() if isinstance(reason, str)}
        if failures and self._on_error == "raise":
            name, reason = next(iter(failures.items()))
            raise ValueError(f"{self.source / name}: {reason} (on_error='skip' leaves such files out and lists them)")
        if failures:
            listed = "\n".join(f"  {self.source / name}: {reason}" for name, reason in failures.items())
            warnings.warn(f"{len(failures)} files are left out for their names:\n{listed}", stacklevel=2)
        return failures

    def _align(self, kept: dict[str, Frames], failures: dict[str, str]) -> list[str]:
        """Gives all recordings the columns of the first, by their names; those that lack one are refused or left out.

        Args:
            kept: The frames of each file, which are replaced or left out.
            failures: The reasons, to which those of files that are left out are added.

        Returns:
            The names of the columns; empty where they are the same for all files.
        """
        found = {name: self.features.columns_of(self.source / name) for name in kept}
        first, columns = next(iter(found.items()))
        if columns is None:
            return []
        aligned, moved = self.features.aligned_to(columns), []
        for name in [name for name, own in found.items() if own != columns and len(own or ()) == len(columns)]:
            try:
                kept[name] = aligned(self.source / name)
                moved.append(name)
            except SignalError as error:
                if self._on_error == "raise":
                    raise SignalError(error.path, f"{error.reason}; {first} is the first of them") from error
                failures[name] = error.reason
                del kept[name]
        if moved:
            listed = ", ".join(map(one_line, moved[:8])) + (f" and {len(moved) - 8} more" if len(moved) > 8 else "")
            warnings.warn(
                f"the joints or axes of {listed} are ordered otherwise than in {one_line(first)}, and were put into "
                "its order",
                stacklevel=2,
            )
        return list(columns)

    def _twins(self, named: Mapping[str, Recording], kept: Mapping[str, Frames]) -> dict[str, str]:
        """Finds recordings that are there twice; of each the lossless encoding is preferred, and the shorter path."""
        suffixes = self.features.suffixes

        def preference(name: str) -> tuple[int, int, str]:
            path = PurePosixPath(name)
            return suffixes.index(path.suffix.lower()), len(path.parts), name

        ordered = {name: kept[name] for name in sorted(kept, key=preference)}
        labels = {name: named[name].label for name in ordered}
        twins = find_twins(ordered, labels, {name: named[name].recording for name in ordered})
        for first, second in twins.conflicts:
            warnings.warn(
                f"{one_line(first)} and {one_line(second)} hold the same recording, but their classes are "
                f"{labels[first]!r} and {labels[second]!r}; both are kept",
                stacklevel=2,
            )
        return twins.copies

    def _warn_of_copies(self, copies: Mapping[str, str]) -> None:
        if copies:
            listed = "\n".join(f"  {one_line(name)} is {one_line(twin)}" for name, twin in copies.items())
            warnings.warn(f"{len(copies)} recordings are there twice and are taken once:\n{listed}", stacklevel=2)

    def frames_of(self, recording: Recording, frames: Frames) -> Tensor:
        """Returns the features of a recording; a corpus may add some that its files do not hold."""
        return frames.x

    def _find(self) -> dict[str, Recording | str]:
        found = self._without_nested_copies()
        self.check_whole(found)
        if not found or any(self._download_folder.glob("*.todo")):
            self._fetch()
            found = self._without_nested_copies()
        if not found:
            suffixes = self.features.suffixes
            more = f" and {len(suffixes) - MOST_SUFFIXES} more" if len(suffixes) > MOST_SUFFIXES else ""
            kinds = ", ".join(suffixes[:MOST_SUFFIXES]) + more
            example = f"; expected, for example, {self.source / self.example}" if self.example else ""
            gone = "" if self.source.is_dir() else f" There is no folder {self.source}."
            raise FileNotFoundError(
                f"{self.source} holds no recording of {type(self).__name__} ({kinds}){example}. {self.access}".rstrip()
                + gone
            )
        return found

    def _without_nested_copies(self) -> dict[str, Recording | str]:
        found = dict(self._recordings())
        places = {name: self.source / name for name in found}
        readable = [name for name, place in places.items() if place.is_file() and os.access(place, os.R_OK)]
        self.copies = nested_copies(self.source, readable)
        return {name: recording for name, recording in found.items() if name not in self.copies}

    def _fetch(self) -> None:
        """Downloads the corpus archive by archive; archives that are unpacked already are not downloaded again."""
        if self.provides and not set(self.provides) & set(self.features.suffixes):
            raise ValueError(
                f"features is {self.features!r}, which reads {', '.join(self.features.suffixes)}, but "
                f"{type(self).__name__} has {', '.join(self.provides)}; take an extractor of these"
            )
        pending = self._download_folder
        self._clear_finished_download()
        try:
            archives = {name: file for name, file in self.archives().items() if not (pending / f"{name}.done").exists()}
            for name in archives:
                pending.mkdir(parents=True, exist_ok=True)
                (pending / f"{name}.todo").touch()
            for name, file in archives.items():
                archive = download(file, pending / name, self._progress)
                unpack(archive, self.source)
                (pending / f"{name}.todo").replace(pending / f"{name}.done")
                archive.unlink()
        except OSError as error:
            raise OSError(
                f"{type(self).__name__} is incomplete in {self.source}, and fetching it failed: {error}. {self.access}"
            ) from error
        self._clear_finished_download()

    def _clear_finished_download(self) -> None:
        if not any(self._download_folder.glob("*.todo")):
            shutil.rmtree(self._download_folder, ignore_errors=True)

    @property
    def _download_folder(self) -> Path:
        """The folder of a download in progress: its parts, and markers of archives that are to do and done."""
        return self.source / f".download-{self.part}"

    def _recordings(self) -> Iterator[tuple[str, Recording | str]]:
        for path in sorted(self.paths()):
            name = path.relative_to(self.source)
            if any(part.startswith(".") for part in name.parts) or path.suffix.lower() not in self.features.suffixes:
                continue
            if not path.exists():
                yield name.as_posix(), "it is a link to nothing"
            if not path.is_file():
                continue
            recording = self.parse(PurePosixPath(name.as_posix()))
            if recording is not None:
                yield name.as_posix(), recording

    def paths(self) -> Iterable[Path]:
        """Lists the files that may be recordings."""
        return walk(self.source)


def walk(root: Path) -> Iterator[Path]:
    """Lists the files below a folder, those behind links to folders included, each folder once."""
    seen: set[tuple[int, int]] = set()
    for folder, below, files in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            below.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        yield from (Path(folder) / name for name in files)


def _file_stamp(path: Path) -> tuple[int, ...]:
    """Numbers that change whenever a file does, even if its date is set back; none for a broken link."""
    if not path.exists():
        return ()
    status = os.stat(path)
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def _filled(kept: Mapping[str, Frames]) -> tuple[dict[str, Frames], float]:
    """Fills single values that are missing, and says what share of the values of frames was."""
    filled = {name: one._replace(x=torch.from_numpy(fill_gaps(one.x.numpy()))) for name, one in kept.items()}
    return filled, missing_share([one.x.numpy() for one in kept.values()])


def _check_num_features(sequences: list[Data]) -> None:
    first = sequences[0]
    for data in sequences:
        if data.x.size(1) != first.x.size(1):
            raise ValueError(
                f"{data.name} has {data.x.size(1)} features a frame, but {first.name} has {first.x.size(1)}; sequences "
                f"of one dataset have the same: keep recordings of different kinds apart"
            )
