"""Motion capture: the channels of BVH files, Sec. IV-C."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import ClassVar

import torch

from lgrin.features.bvh import Channel, Motion, align, read_bvh, read_channels, resample
from lgrin.features.extractor import Extractor, Frames, SignalError
from lgrin.options import check_option, check_whole
from lgrin.text import one_line

FRAME_ALLOWANCE, MAX_UPSAMPLING = 1_000, 100  # resampling makes at most 1,000 frames and 100 of each
WANTED: dict[str, Callable[[Channel], bool]] = {  # which channels are taken
    "root": lambda channel: channel.of_root or channel.kind == "rotation",
    "rotations": lambda channel: channel.kind == "rotation",
    "positions": lambda channel: channel.kind == "position",
    "both": lambda channel: True,
}


@dataclass(frozen=True)
class Mocap(Extractor):
    r"""Reads the channels of a BVH file: the position of the root and the rotation of every joint.

    :math:`P = 3 + 3 J`: root position in the file's unit of length, then three Euler angles in degrees for each of
    the J joints, the root first, in the file's order of joints and of axes. The paper's skeleton of a root and 22 other
    joints has P = 72. A joint may turn about one or two axes, and then has as many angles; a joint may also have a
    position of its own, as in corpora that write six channels for every joint.

    Args:
        frame_rate: Frames a second to resample to: positions linearly, rotations along the shortest arc between
            two frames, without jumps from 180 to -180 degrees; ``None`` keeps the file's own.
        joints: Number of joints, the root included, that a file has to have; ``None`` accepts any skeleton.
        skip: Frames to leave out at the start, where many systems write a reference pose.
        channels: ``"root"`` is the position of the root and the rotations of all joints; ``"rotations"`` are the
            rotations alone, ``"positions"`` the positions alone, ``"both"`` is everything that the file holds.
        columns: Names of the features, in their order, that every file has to have, such as ``"Hips.Xposition"``;
            ``None`` takes each file's own. :class:`lgrin.datasets.MocapFolder` and the other datasets set it to those
            of their first file, so files with the joints or axes in another order become alike.

    Attributes:
        num_features: 3 + 3 joints; ``None`` for any skeleton.

    Shapes:
        - **x:** ``[L, 3 + 3 J]`` for ``"root"`` and joints that turn about three axes

    Raises:
        ImportError: If pybvh, which interpolates rotations, is not installed (extra ``mocap``).
        SignalError: If the file is no BVH, cut short, its skeleton has another number of joints or other
            channels than ``columns``, or its frames are so far apart that resampling would make more than 100 of each.
        ValueError: If a setting is out of range.

    Source:
        "Node features" in Sec. IV-C of Shirian, Tripathi and Guha, 2021.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/still.bvh"
        >>> lines = ["HIERARCHY", "ROOT Hips", "{", "OFFSET 0 0 0"]
        >>> lines += ["CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation"]
        >>> lines += ["End Site", "{", "OFFSET 0 1 0", "}", "}"]
        >>> lines += ["MOTION", "Frames: 2", "Frame Time: 0.04", "0 1 0 90 0 0", "0 1 0 90 0 0"]
        >>> _ = Path(path).write_text("\n".join(lines))
        >>> Mocap()(path).x[0].tolist()
        [0.0, 1.0, 0.0, 90.0, 0.0, 0.0]
    """

    frame_rate: float | None = None
    joints: int | None = None
    skip: int = 0
    channels: str = "root"
    columns: tuple[str, ...] | None = None

    suffixes: ClassVar[tuple[str, ...]] = (".bvh",)
    libraries: ClassVar[tuple[str, ...]] = ("pybvh",)
    version: ClassVar[int] = 2

    def __post_init__(self) -> None:
        rate = self.frame_rate
        if rate is not None and (isinstance(rate, bool) or not isinstance(rate, Real) or not 0 < rate < math.inf):
            raise ValueError(f"frame_rate is {self.frame_rate!r}; it has to be a number larger than 0")
        if self.joints is not None:
            check_whole("joints", self.joints)
        check_whole("skip", self.skip, minimum=0)
        check_option("channels", self.channels, WANTED)
        if self.columns is not None:  # settings that were stored are lists
            object.__setattr__(self, "columns", tuple(self.columns))

    @property
    def num_features(self) -> int | None:  # type: ignore[override]
        """Features per frame, or ``None`` for any skeleton."""
        if self.columns is not None:
            return len(self.columns)
        per_skeleton = {"root": 3, "rotations": 0}.get(self.channels)
        return None if self.joints is None or per_skeleton is None else per_skeleton + 3 * self.joints

    def read(self, path: Path) -> Frames:
        """Reads one BVH file."""
        motion = self._read(path)
        if self.joints not in (None, motion.num_joints):
            raise SignalError(path, f"its skeleton has {motion.num_joints} joints, not joints={self.joints}")
        if len(motion.values) <= self.skip:
            raise SignalError(path, f"it has {len(motion.values)} frames, and skip={self.skip} leaves none")
        motion = motion._replace(values=motion.values[self.skip :])
        if self.columns is not None:
            try:
                motion = align(motion, self.columns)
            except ValueError as error:
                raise SignalError(path, str(error)) from error
        if self.num_features not in (None, len(motion.channels)):
            raise SignalError(
                path,
                f"its {motion.num_joints} joints have {len(motion.channels)} channels, where joints of three rotations "
                f"have {self.num_features}; joints=None takes any",
            )
        if self.frame_rate is not None and not math.isclose(self.frame_rate * motion.frame_time, 1):
            _check_resampled_length(path, motion, self.frame_rate)
            motion = resample(motion, self.frame_rate)
        x = torch.from_numpy(motion.values).float()
        return Frames(x, torch.ones(len(x), dtype=torch.bool), 1 / motion.frame_time)

    def columns_of(self, path: Path) -> tuple[str, ...]:
        """The names of the features of a file, such as ``"Hips.Xposition"``."""
        return tuple(channel.name for channel in read_channels(path) if WANTED[self.channels](channel))

    def aligned_to(self, columns: Sequence[str]) -> "Mocap":
        """The same extractor for files whose features are put into this order, by their names."""
        return replace(self, columns=tuple(columns))

    def _read(self, path: Path) -> Motion:
        """The channels that are wanted."""
        try:
            motion = read_bvh(path)
        except (ValueError, IndexError, ArithmeticError, RecursionError) as error:
            raise SignalError(path, f"it cannot be read as BVH ({one_line(error)})") from error
        if not 0 < motion.frame_time < math.inf:
            raise SignalError(path, f"its frames are {motion.frame_time:g} seconds apart")
        places = [place for place, channel in enumerate(motion.channels) if WANTED[self.channels](channel)]
        if not places:
            raise SignalError(path, f"none of its channels is wanted by channels={self.channels!r}")
        return motion.take(places)


def _check_resampled_length(path: Path, motion: Motion, frame_rate: float) -> None:
    """Raises if resampling would make too many frames."""
    count = len(motion.values)
    wanted = (count - 1) * motion.frame_time * frame_rate
    most = FRAME_ALLOWANCE + MAX_UPSAMPLING * count
    if wanted > most:
        raise SignalError(
            path,
            f"its {count} frames are {motion.frame_time:g} seconds apart; frame_rate={frame_rate:g} would "
            f"make {wanted:.3g} of them, where {most:,} are allowed",
        )
