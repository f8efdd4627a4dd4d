"""Your own data: a folder of recordings, or arrays in memory."""

import itertools
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Unpack

import numpy as np
import torch
from numpy.typing import ArrayLike

from lgrin import validate
from lgrin.arrays import narrow, real
from lgrin.datasets.recordings import Recording, RecordingDataset, RecordingOptions, walk
from lgrin.datasets.sequences import Sequences, fill_values, sequence
from lgrin.delimited import read_rows
from lgrin.features import Extractor, FaceLandmarks, Mocap, Speech
from lgrin.labels import entries, number
from lgrin.options import check_path, check_whole
from lgrin.text import one_line

COLUMNS = ("path", "label")
MOST_NAMES = 8  # of files in a warning


class FolderDataset(RecordingDataset):
    """Your own recordings, labelled by the folders that they are in or by a table.

    Without a table a file's class is the folder directly below ``root``, and a folder below that, if there is one, is
    its group: ``angry/clip.wav`` or ``angry/anna/clip.wav``. A table is a CSV file in UTF-8 with
    the columns ``path`` (relative to root) and ``label`` and perhaps ``group`` and ``text``; only the files that it
    lists are taken.

    Without a table every file that the features do not read is named in :attr:`passed_over`, and a warning counts
    these files and names the classes of which nothing is left.

    Args:
        root: The folder.
        features: The extractor; its suffixes decide which files are read.
        labels: The table, or ``None`` for classes by folder.
        num_frames: The number of frames of a model, M; ``None`` takes the longest recording.
        **options: As for :class:`lgrin.datasets.RecordingDataset`.

    Attributes:
        passed_over: For each file that the features do not read the reason; empty with a table.

    Shapes:
        - **data.x:** ``[L, P]`` as the extractor returns it; **data.group:** ``[1]`` where there are groups

    Raises:
        FileNotFoundError: If the table is not there, or there is no recording.
        SignalError: For the first broken file, unless ``on_error="skip"``.
        ValueError: If the table lacks a column or a value, lists a file twice or one that the features do not read, or
            only some files have a group.

    Example:
        >>> import tempfile, soundfile
        >>> root = Path(tempfile.mkdtemp())
        >>> soundfile.write(root / "a.wav", np.random.default_rng(0).normal(0, 0.1, 8_000), 16_000)
        >>> _ = (root / "labels.csv").write_text("path,label,group\\na.wav,calm,anna\\n")
        >>> dataset = FolderDataset(root, Speech(), labels=root / "labels.csv", progress=False)
        >>> dataset.classes, dataset.groups
        (['calm'], ['anna'])
    """

    example = "angry/clip"

    def __init__(
        self,
        root: str | Path,
        features: Extractor,
        labels: str | Path | None = None,
        num_frames: int | None = None,
        **options: Unpack[RecordingOptions],
    ) -> None:
        table, root = None if labels is None else check_path("labels", labels).expanduser(), check_path("root", root)
        self.table = None if table is None else _read_table(table, root.expanduser())
        self.default_num_frames = None if num_frames is None else check_whole("num_frames", num_frames)  # type: ignore[misc]
        super().__init__(root, features, **options)

    def paths(self) -> list[Path]:
        """Lists the files of the table, or all files but those of runs of ``lgrin train``."""
        if self.table is None:
            return list(_without_runs(self.source))
        return [self.source / name for name in self.table]

    def parse(self, path: PurePosixPath) -> Recording | str:
        """Looks a path up in the table, or reads class and group from its folders."""
        if self.table is not None:
            return self.table[path.as_posix()]
        folders = path.parts[:-1]
        if len(folders) not in (1, 2):
            return "it lies neither in a folder of its class nor in a folder of its group below that"
        return Recording(folders[0], folders[1] if len(folders) == 2 else None)

    def _find(self) -> dict[str, Recording | str]:
        found = super()._find()
        for name in self.table or ():
            if name not in found and name not in self.copies:
                raise ValueError(
                    f"labels lists {name}, which is hidden or does not end in {' or '.join(self.features.suffixes)}"
                )
        named = [recording for recording in found.values() if isinstance(recording, Recording)]
        grouped = [recording for recording in named if recording.group is not None]
        if grouped and len(grouped) < len(named):
            raise ValueError(
                f"{len(grouped)} of {len(named)} recordings in {self.source} have a group; give one to all or to none"
            )
        self.passed_over = {} if self.table is not None else dict(self._not_read())
        self._warn_of_what_is_not_read({PurePosixPath(name).parts[0] for name in (*found, *self.copies)})
        return found

    def _not_read(self) -> Iterator[tuple[str, str]]:
        """Names the files that the features do not read, but for hidden ones and those that lgrin wrote."""
        reads = type(self.features).__name__
        for path in sorted(_without_runs(self.source)):
            name = path.relative_to(self.source)
            hidden = any(part.startswith(".") for part in name.parts)
            if hidden or path.suffix.lower() in self.features.suffixes or self._is_own(path) or not path.is_file():
                continue
            ending = f"its name ends in {path.suffix}" if path.suffix else "its name has no ending"
            yield name.as_posix(), f"{ending}; {reads} reads {', '.join(self.features.suffixes)}"

    def _is_own(self, path: Path) -> bool:
        """Whether lgrin wrote a file, into whichever folder of features lies here, as far as its place tells."""
        parts = path.relative_to(self.source).parts if path.is_relative_to(self.source) else path.parts
        return any(
            folder == "processed" and (below == "features" or path.name.startswith("sequences-"))
            for folder, below in itertools.pairwise(parts)
        )

    def _warn_of_what_is_not_read(self, used: set[str]) -> None:
        """Says in one warning how many files are not read, and which classes are left without a recording."""
        if self.table is not None:
            return
        folders = (place for place in sorted(self.source.iterdir()) if place.is_dir() and place.name not in used)
        lost = [place.name for place in folders if not place.name.startswith(".") and not self._is_cache(place)]
        names = [one_line(name) for name in self.passed_over]
        told = []
        if names:
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            told.append(f"not read: {', '.join(names[:MOST_NAMES])}{more} (.passed_over says why)")
        if lost:
            told.append(f"folders without a recording, which are no class: {', '.join(map(one_line, lost))}")
        if told:
            warnings.warn(f"{self.source}: {'; '.join(told)}", stacklevel=2)

    def _is_cache(self, folder: Path) -> bool:
        """Whether a folder holds nothing but what lgrin wrote."""
        if folder.name == "processed" or any(walk(folder)):
            return all(map(self._is_own, _without_runs(folder)))
        return False

    def summary(self) -> str:
        """Describes the sequences on one screen, and what was passed over."""
        text = super().summary()
        if self.passed_over:
            names = "; ".join(list(self.passed_over)[:4])
            more = f"; and {len(self.passed_over) - 4} more in .passed_over" if len(self.passed_over) > 4 else ""
            text += "\n" + one_line(f"  not read {names}{more}", 10_000)
        return text


def _without_runs(root: Path) -> Iterator[Path]:
    """Lists the files below a folder, but for those of runs, whose tables are no recordings."""
    files = list(walk(root))
    runs = {path.parent.parent for path in files if path.parts[-2:] == ("checkpoints", "last.ckpt")} - {root}
    return (path for path in files if runs.isdisjoint(path.parents))


class FolderOptions(RecordingOptions, total=False):
    """Keywords that the folders below pass on to :class:`FolderDataset`, which describes them."""

    labels: str | Path | None
    num_frames: int | None


class AudioFolder(FolderDataset):
    """Your own recordings of speech; see :class:`FolderDataset`, whose features are ``Speech()`` here.

    Example:
        >>> import tempfile, soundfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for name in ("calm", "glad"):
        ...     (root / name).mkdir()
        ...     soundfile.write(root / name / "clip.wav", np.random.default_rng(0).normal(0, 0.1, 8_000), 16_000)
        >>> dataset = AudioFolder(root, progress=False)
        >>> dataset.classes, dataset[0].x.shape, dataset[0].name
        (['calm', 'glad'], torch.Size([48, 34]), 'calm/clip.wav')
    """

    example = "angry/clip.wav"

    def __init__(self, root: str | Path, features: Extractor | None = None, **options: Unpack[FolderOptions]) -> None:
        super().__init__(root, features or Speech(), **options)


class VideoFolder(FolderDataset):
    """Your own videos of faces; see :class:`FolderDataset`, whose features are ``FaceLandmarks()`` here.

    Example:
        >>> VideoFolder("/nowhere")
        Traceback (most recent call last):
        ...
        FileNotFoundError: /nowhere holds no recording of VideoFolder (.mp4, ...
    """

    example = "angry/clip.mp4"

    def __init__(self, root: str | Path, features: Extractor | None = None, **options: Unpack[FolderOptions]) -> None:
        super().__init__(root, features or FaceLandmarks(), **options)


class MocapFolder(FolderDataset):
    """Your own motion capture; see :class:`FolderDataset`, whose features are ``Mocap()`` here.

    Example:
        >>> MocapFolder("/nowhere")
        Traceback (most recent call last):
        ...
        FileNotFoundError: /nowhere holds no recording of MocapFolder (.bvh); expected, for example, ...
    """

    example = "angry/clip.bvh"

    def __init__(self, root: str | Path, features: Extractor | None = None, **options: Unpack[FolderOptions]) -> None:
        super().__init__(root, features or Mocap(), **options)


def from_arrays(
    arrays: Sequence[ArrayLike | torch.Tensor],
    labels: Sequence[object],
    groups: Sequence[object] | None = None,
    num_frames: int | None = None,
) -> Sequences:
    """Makes a data set of arrays in memory.

    Args:
        arrays: One ``[T, P]`` array for each sequence, of any lengths. Values that are NaN or masked are missing: those
            of frames that have others are filled (:func:`lgrin.gaps.fill_gaps`), the other frames are missing.
        labels: The class of each, by any name; numbers are sorted as numbers.
        groups: The speaker, actor or subject of each, by any name; ``None`` if there are no groups.
        num_frames: The number of frames of a model, M; ``None`` takes the longest sequence.

    Returns:
        A PyG dataset whose ``Data`` have ``x``, ``frame``, ``y``, ``name`` (the index), ``group`` where there are
        groups, and ``mask`` where a frame is missing in any of them. ``x`` is float32, or float64 where float32 would
        round a small signal on a large offset away (:func:`lgrin.arrays.narrow`).

    Raises:
        TypeError: If arrays, labels or groups are no list or array, or labels are of several kinds, such as ``1`` and
            ``"1"``, or of another kind than strings, bools and whole numbers.
        ValueError: If there is no array, they do not match labels and groups, a label is missing or has a fraction, or
            an array is not ``[T, P]``, is empty, holds infinity, complex numbers or dates, or has another P than the
            first.

    Example:
        >>> dataset = from_arrays([np.zeros((5, 2)), np.ones((4, 2))], labels=["calm", "glad"], groups=["anna", "bert"])
        >>> dataset.classes, dataset.groups, dataset[1]
        (['calm', 'glad'], ['anna', 'bert'], Data(x=[4, 2], y=[1], frame=[4], group=[1], name='1'))
    """
    frames = [_read_array(index, array) for index, array in enumerate(_to_list(arrays))]
    if not frames:
        raise ValueError("arrays is empty; give at least one [T, P] array")
    for name, given in (("labels", labels), ("groups", [0] * len(frames) if groups is None else groups)):
        shape = _shape(name, given)
        if shape != [len(frames)]:
            raise ValueError(f"{name} has shape {shape}; {len(frames)} arrays need one entry each")
    for index, x in enumerate(frames):
        if x.ndim != 2 or x.shape[1] != frames[0].shape[-1]:
            raise ValueError(
                f"arrays[{index}] has shape {list(x.shape)}; each is [T, P], frames by features, with the same P"
            )
    tensors, masks, missing_values = fill_values(narrow(frames))
    names, numbers = number("labels", labels)
    group_names, members = number("groups", [] if groups is None else groups)
    sequences = [
        sequence(
            x,
            mask,
            int(numbers[index]),
            None if groups is None else int(members[index]),
            name=str(index),
        )
        for index, (x, mask) in enumerate(zip(tensors, masks, strict=True))
    ]
    longest = max(len(x) for x in frames)
    validate.dataset(sequences, num_nodes=max(longest, 1), num_classes=len(names), may_lack=True)
    dataset = Sequences()
    dataset.data, dataset.slices = dataset.collate(sequences)
    dataset.classes, dataset.groups = list(map(str, names)), list(map(str, group_names))
    dataset.num_frames = longest if num_frames is None else check_whole("num_frames", num_frames)
    dataset.failures, dataset.missing_values = {}, missing_values
    return dataset


def _read_array(index: int, array: object) -> np.ndarray:
    """Reads an array or a tensor; masked values become NaN."""
    try:
        return real(array)
    except (TypeError, ValueError) as error:
        raise ValueError(f"arrays[{index}] is no [T, P] array of real numbers ({error})") from error


def _to_list(arrays: Iterable[object]) -> list[object]:
    """The arrays, one for each sequence."""
    if isinstance(arrays, torch.Tensor) and arrays.is_nested:
        return list(arrays.unbind())
    if isinstance(arrays, torch.Tensor | np.ndarray) and arrays.ndim > 0:
        return list(arrays)
    if hasattr(arrays, "columns"):
        raise TypeError("arrays is a table; give a list of [T, P] arrays, one for each sequence: [table.to_numpy()]")
    return entries("arrays", arrays)


def _shape(name: str, given: Iterable[object]) -> list[int]:
    """The shape of a list or array of labels."""
    shape = getattr(given, "shape", None)
    return [len(entries(name, given))] if shape is None or len(shape) < 2 else list(shape)


def _read_table(table: Path, root: Path) -> dict[str, Recording]:
    """Reads which file has which class, group and sentence."""
    if not table.exists():
        raise FileNotFoundError(f"labels is {table}, which is not there; it is a CSV file with the columns {COLUMNS}")
    rows = read_rows(table)
    columns = list(next(rows, (1, {}))[1])
    lacking = [column for column in COLUMNS if column not in columns]
    if lacking:
        raise ValueError(f"labels is {table}, which lacks the column {lacking[0]!r}; it has {columns}")
    found: dict[str, Recording] = {}
    for line, row in rows:
        name = PurePosixPath(row["path"].replace("\\", "/")).as_posix()
        if not row["path"] or not row["label"]:
            raise ValueError(f"{table}, line {line}: path or label is empty")
        if name in found:
            raise ValueError(f"{table}, line {line}: {name} is listed twice")
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            raise ValueError(f"{table}, line {line}: {name} is not below {root}; paths are relative to it")
        if not (root / name).is_file():
            raise FileNotFoundError(
                f"{table}, line {line}: there is no file {root / name}; paths are relative to {root}"
            )
        found[name] = Recording(row["label"], row.get("group") or None, row.get("text"))
    return found
