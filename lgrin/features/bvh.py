"""BVH files of any skeleton: every joint may have positions, and rotations about one, two or three axes."""

import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lgrin.extras import optional

MAX_DEPTH = 256  # joints from the root of a skeleton to a tip
MOTION = re.compile(r"^[ \t]*MOTION[ \t]*\r?$", re.MULTILINE)
MOTION_HEADER = re.compile(r"\s*Frames:\s*(\d+)\s+Frame\s+Time:\s*(\S+)", re.IGNORECASE)
CHANNEL = re.compile(r"([XYZ])(position|rotation)", re.IGNORECASE)
ROUNDING = 1e-4  # by which a written frame time, such as 0.033333, differs at most from one over a whole number


class Channel(NamedTuple):
    """One column of a BVH file.

    Attributes:
        joint: Name of its joint; a number follows where an earlier joint has the same name.
        axis: ``"X"``, ``"Y"`` or ``"Z"``.
        kind: ``"position"`` or ``"rotation"``.
        of_root: Whether its joint is the root.
    """

    joint: str
    axis: str
    kind: str
    of_root: bool

    @property
    def name(self) -> str:
        """Such as ``"Hips.Xposition"``."""
        return f"{self.joint}.{self.axis}{self.kind}"


class Motion(NamedTuple):
    """The content of a BVH file.

    Attributes:
        channels: Its columns: joint by joint, positions before rotations, else in the file's order.
        values: ``[frames, channels]`` float64, in the file's unit of length and in degrees.
        frame_time: Seconds between two frames.
        num_joints: Number of joints.
    """

    channels: list[Channel]
    values: np.ndarray
    frame_time: float
    num_joints: int

    def take(self, places: Sequence[int]) -> "Motion":
        """Chooses columns by their places."""
        return self._replace(channels=[self.channels[place] for place in places], values=self.values[:, places])


def read_bvh(path: Path) -> Motion:
    """Reads a BVH file.

    Args:
        path: The file.

    Returns:
        Its columns and their values.

    Raises:
        ValueError: If it is no BVH file, holds several skeletons, or has more or fewer numbers than it states.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "hinge.bvh"
        >>> lines = ["HIERARCHY", "ROOT Door", "{", "OFFSET 0 0 0", "CHANNELS 1 Yrotation", "}"]
        >>> _ = path.write_text("\\n".join([*lines, "MOTION", "Frames: 2", "Frame Time: 0.04", "0", "90"]))
        >>> motion = read_bvh(path)
        >>> [channel.name for channel in motion.channels], motion.values.tolist()
        (['Door.Yrotation'], [[0.0], [90.0]])
    """
    text = path.read_bytes().decode("utf-8-sig", errors="replace")  # names of joints may be in any encoding
    start = MOTION.search(text)
    header = start and MOTION_HEADER.match(text, start.end())
    if start is None or header is None:
        raise ValueError("its numbers of frames and seconds do not follow a line MOTION")
    joints = _read_joints(text[: start.start()])
    channels = [channel for joint in joints for channel in joint]
    count, numbers = int(header[1]), text[header.end() :].split()
    if not channels or not numbers or len(numbers) != count * len(channels):
        raise ValueError(f"it states {count} frames of {len(channels)} numbers, and holds {len(numbers)} numbers")
    motion = Motion(channels, np.array(numbers, np.float64).reshape(count, -1), _exact(float(header[2])), len(joints))
    place = iter(range(len(channels)))
    ordered = [sorted((next(place) for _ in joint), key=lambda at: channels[at].kind) for joint in joints]
    return motion.take([at for joint in ordered for at in joint])


def read_channels(path: Path) -> list[Channel]:
    """Reads the columns of a BVH file without its motion.

    Args:
        path: The file.

    Returns:
        The columns that :func:`read_bvh` returns, in its order.

    Raises:
        ValueError: If it is no BVH file, or holds several skeletons.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "hinge.bvh"
        >>> _ = path.write_text("HIERARCHY\\nROOT Door\\n{\\nOFFSET 0 0 0\\nCHANNELS 1 Yrotation\\n}\\nMOTION\\n")
        >>> [channel.name for channel in read_channels(path)]
        ['Door.Yrotation']
    """
    with open(path, encoding="utf-8-sig", errors="replace") as lines:
        joints = _read_joints("".join(takewhile(lambda line: line.strip() != "MOTION", lines)))
    return [channel for joint in joints for channel in sorted(joint, key=lambda channel: channel.kind)]


def _read_joints(hierarchy: str) -> list[list[Channel]]:
    """The channels of each joint, in the file's order."""
    joints: list[list[Channel]] = []
    names: list[str] = []
    depth = 0
    for line in hierarchy.splitlines():
        word, rest = (*line.split(maxsplit=1), "", "")[:2]
        match word.upper():
            case "ROOT" | "JOINT":
                if (word.upper() == "ROOT") != (not names):
                    raise ValueError(f"its {word} {rest} stands where none may; a file holds one skeleton")
                names.append(rest.rstrip(" {"))
                joints.append([])
            case "CHANNELS":
                joints[-1] = _read_channels(rest, _unique(names), len(joints) == 1)
        depth += line.count("{") - line.count("}")
        if depth > MAX_DEPTH:
            raise ValueError(f"its joints are nested more than {MAX_DEPTH} deep")
    if depth:
        raise ValueError("its braces do not match")
    return joints


def _unique(names: list[str]) -> str:
    """The last of some names, with a number if it was there before."""
    earlier = names[:-1].count(names[-1])
    return f"{names[-1]}#{earlier + 1}" if earlier else names[-1]


def _read_channels(text: str, joint: str, of_root: bool) -> list[Channel]:
    count, *words = text.split()
    found = [CHANNEL.fullmatch(word) for word in words]
    if not count.isdigit() or int(count) != len(words) or None in found:
        raise ValueError(f"the channels of its joint {joint} are {text.strip()!r}")
    channels = [Channel(joint, match[1].upper(), match[2].lower(), of_root) for match in found if match]
    if len(set(channels)) < len(channels):
        raise ValueError(f"its joint {joint} has a channel twice")
    return channels


def _exact(frame_time: float) -> float:
    """Undoes the rounding of a frame time that is one over a whole number."""
    if not 0 < frame_time < 1:
        return frame_time
    rate = round(1 / frame_time)
    return 1 / rate if abs(rate * frame_time - 1) < ROUNDING else frame_time


def resample(motion: Motion, frame_rate: float) -> Motion:
    """Resamples to another frame rate: positions linearly, rotations along the shortest arc.

    Args:
        motion: What :func:`read_bvh` returns.
        frame_rate: Frames a second.

    Returns:
        The motion at that rate; its angles pass 180 degrees without a jump.

    Raises:
        ImportError: If pybvh is not installed (extra ``mocap``).

    Example:
        >>> door = [Channel("Door", "Y", "rotation", True)]
        >>> resample(Motion(door, np.array([[170.0], [-170.0]]), 1.0, 1), 2.0).values[:, 0].tolist()
        [170.0, 180.0, 190.0]
    """
    values, times = motion.values, np.arange(len(motion.values)) * motion.frame_time
    if len(values) == 1:
        return motion._replace(frame_time=1 / frame_rate)
    wanted = np.arange(0, times[-1] + 1e-12, 1 / frame_rate)
    found = np.empty((len(wanted), values.shape[1]))
    for places in rotations_of(motion.channels).values():
        if len(places) == 3:
            found[:, places] = _along_arcs(values[:, places], _order(motion.channels, places), times, wanted)
        else:
            turned = np.unwrap(values[:, places], axis=0, period=360)
            found[:, places] = np.stack([np.interp(wanted, times, column) for column in turned.T], axis=1)
    for place, channel in enumerate(motion.channels):
        if channel.kind == "position":
            found[:, place] = np.interp(wanted, times, values[:, place])
    return motion._replace(values=found, frame_time=1 / frame_rate)


def rotations_of(channels: Sequence[Channel]) -> dict[str, list[int]]:
    """The places of the rotations of each joint."""
    found: dict[str, list[int]] = {}
    for place, channel in enumerate(channels):
        if channel.kind == "rotation":
            found.setdefault(channel.joint, []).append(place)
    return found


def _order(channels: Sequence[Channel], places: Sequence[int]) -> str:
    return "".join(channels[place].axis for place in places)


def _along_arcs(angles: np.ndarray, order: str, times: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Interpolates rotations about three axes, ``[frames, 3]`` in degrees."""
    with optional("mocap"):
        from pybvh import rotations
    right = np.clip(np.searchsorted(times, wanted, side="right"), 1, len(times) - 1)
    share = (wanted - times[right - 1]) / (times[right] - times[right - 1])
    turns = rotations.euler_to_quat(angles, order, degrees=True)
    between = rotations.quat_to_rotmat(rotations.quat_slerp(turns[right - 1], turns[right], share))
    return np.unwrap(rotations.rotmat_to_euler(between, order, degrees=True), axis=0, period=360)


def align(motion: Motion, names: Sequence[str]) -> Motion:
    """Orders the columns by their names; rotations are written in the order of axes of these names.

    Args:
        motion: What :func:`read_bvh` returns.
        names: Names of the columns that are wanted.

    Returns:
        The motion with these columns.

    Raises:
        ImportError: If pybvh is not installed (extra ``mocap``).
        ValueError: If the file has other channels, or rotations about two axes in the other order.

    Example:
        >>> arm = [Channel("Arm", axis, "rotation", True) for axis in "ZX"]
        >>> align(Motion(arm, np.zeros((1, 2)), 0.04, 1), ["Arm.Zrotation", "Leg.Xrotation"])
        Traceback (most recent call last):
        ...
        ValueError: it lacks Leg.Xrotation of the other files and has Arm.Xrotation that they lack
    """
    own = [channel.name for channel in motion.channels]
    lacks, more = [name for name in names if name not in own], [name for name in own if name not in names]
    if lacks or more:
        parts = [f"lacks {_first(lacks)} of the other files"] if lacks else []
        parts += [f"has {_first(more)} that they lack"] if more else []
        raise ValueError(f"it {' and '.join(parts)}")
    aligned = motion.take([own.index(name) for name in names])
    written = rotations_of(motion.channels)
    for joint, places in rotations_of(aligned.channels).items():
        old, new = _order(motion.channels, written[joint]), _order(aligned.channels, places)
        if old != new:
            aligned.values[:, places] = _reordered(joint, motion.values[:, written[joint]], old, new)
    return aligned


def _reordered(joint: str, angles: np.ndarray, old: str, new: str) -> np.ndarray:
    """Writes the same rotations in another order of axes, ``[frames, 3]`` in degrees."""
    if len(old) != 3:
        raise ValueError(
            f"its joint {joint} turns about {old}, and in the other files about {new}; one cannot be the other"
        )
    with optional("mocap"):
        from pybvh import rotations
    turned = rotations.euler_to_rotmat(angles, old, degrees=True)
    return rotations.rotmat_to_euler(turned, new, degrees=True)


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
