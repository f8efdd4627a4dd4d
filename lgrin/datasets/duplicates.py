"""Recordings that a corpus holds twice: nested copies, the same content under another name, another encoding of it."""

import filecmp
import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from lgrin.features import Frames

MIN_FRAMES = 16  # shorter sequences may be alike by chance
MAX_SHIFT, MAX_STRETCH = 10, 0.05  # frames by which encoders delay a signal, and the share by which they pad it
MIN_CORRELATION = 0.75  # of the features of two encodings, in the median; two takes of one sentence have at most 0.6


class Twins(NamedTuple):
    """Recordings that are the same.

    Attributes:
        copies: For each recording that is another one the name of that one.
        conflicts: Pairs of the same content that have different classes.
    """

    copies: dict[str, str]
    conflicts: list[tuple[str, str]]


def nested_copies(root: Path, names: Iterable[str]) -> dict[str, str]:
    """Finds files of a corpus that lie below it a second time, in a copy of its folders.

    Args:
        root: Folder of the corpus.
        names: Its files, relative to it.

    Returns:
        For each file whose path ends in that of another one, and which has the same bytes, the other one.

    Example:
        >>> import tempfile
        >>> root = Path(tempfile.mkdtemp())
        >>> for folder in (root / "calm", root / "backup" / "calm"):
        ...     folder.mkdir(parents=True)
        ...     _ = (folder / "a.wav").write_bytes(b"sound")
        >>> nested_copies(root, ["calm/a.wav", "backup/calm/a.wav"])
        {'backup/calm/a.wav': 'calm/a.wav'}
    """
    known, found = set(names), {}
    for name in sorted(known):
        parts = PurePosixPath(name).parts
        endings = ("/".join(parts[start:]) for start in range(len(parts) - 2, 0, -1))  # a folder and a file at least
        for ending in endings:
            if ending in known and filecmp.cmp(root / name, root / ending, shallow=False):
                found[name] = ending
                break
    return found


def find_twins(frames: Mapping[str, Frames], labels: Mapping[str, str], shown: Mapping[str, str | None]) -> Twins:
    """Finds recordings whose frames are the same, and other encodings of a recording under the same name.

    Frames that are equal to the bit are the same recording. Files that have one name and one class, but another ending,
    are the same recording if their features correlate. Of each recording the first is kept.

    Args:
        frames: The frames of each file, in the order in which files are preferred.
        labels: The class of each file.
        shown: What each file shows, for corpora that have several files of a recording on purpose; else ``None``.

    Returns:
        The copies and the conflicts.

    Example:
        >>> import torch
        >>> x = Frames(torch.arange(40.0).reshape(20, 2), torch.ones(20, dtype=torch.bool), 25.0)
        >>> find_twins({"a.wav": x, "b.wav": x}, {"a.wav": "calm", "b.wav": "calm"}, {})
        Twins(copies={'b.wav': 'a.wav'}, conflicts=[])
    """
    copies: dict[str, str] = {}
    conflicts: list[tuple[str, str]] = []
    by_content: dict[object, list[str]] = defaultdict(list)
    by_name: dict[object, list[str]] = defaultdict(list)
    for name, one in frames.items():
        if len(one.x) < MIN_FRAMES:
            continue
        path = PurePosixPath(name)
        same = by_content[_content(one), path.name if shown.get(name) is not None else None]
        others = by_name[path.stem.casefold(), labels[name]]
        twin = next((other for other in same if labels[other] == labels[name]), None) or next(
            (other for other in others if PurePosixPath(other).suffix != path.suffix and _alike(frames[other], one)),
            None,
        )
        if twin is not None:
            copies[name] = twin
            continue
        conflicts += [(other, name) for other in same]
        same.append(name)
        others.append(name)
    return Twins(copies, conflicts)


def _content(frames: Frames) -> tuple[float, int, str]:
    """What is equal for equal frames."""
    x = np.nan_to_num(frames.x.numpy(), nan=0.0)
    return frames.frame_rate, len(x), hashlib.sha256(x.tobytes() + frames.mask.numpy().tobytes()).hexdigest()


def _alike(first: Frames, second: Frames) -> bool:
    """Whether the features correlate, at the best of a few shifts in time."""
    one, other = (np.nan_to_num(frames.x.numpy().astype(np.float64)) for frames in (first, second))
    if first.frame_rate != second.frame_rate or one.shape[1] != other.shape[1]:
        return False
    length = min(len(one), len(other))
    if abs(len(one) - len(other)) > MAX_SHIFT + MAX_STRETCH * length:
        return False
    shifts = range(-MAX_SHIFT, MAX_SHIFT + 1)
    return max(_correlation(one[max(shift, 0) :], other[max(-shift, 0) :]) for shift in shifts) >= MIN_CORRELATION


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """The median over the features of their correlation in time."""
    length = min(len(one), len(other))
    one, other = one[:length] - one[:length].mean(0), other[:length] - other[:length].mean(0)
    power = np.sqrt((one**2).sum(0) * (other**2).sum(0))
    told = power > 0
    return float(np.median((one * other).sum(0)[told] / power[told])) if told.any() else 0.0
