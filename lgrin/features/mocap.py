"""Motion capture: the channels of BVH files, Sec. IV-C."""

import math
from dataclasses import dataclass
from numbers import Real
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from lgrin.extras import optional
from lgrin.features.extractor import Extractor, Frames, SignalError
from lgrin.options import check_whole
from lgrin.text import one_line

if TYPE_CHECKING:
    from pybvh import Bvh

FRAME_ALLOWANCE, MAX_UPSAMPLING = 1_000, 100  # resampling makes at most 1,000 frames and 100 of each


@dataclass(frozen=True)
class Mocap(Extractor):
    r"""Reads the channels of a BVH file: the position of the root and the rotation of every joint.

    :math:`P = 3 + 3 J`: root position in the file's unit of length, then three Euler angles in degrees for each of
    the J joints, the root first, in the file's order of joints and of axes. The paper's skeleton of a root and 22 other
    joints has P = 72.

    Args:
        frame_rate: Frames a second to resample to: positions linearly, rotations along the shortest arc between
            two frames, without jumps from 180 to -180 degrees; ``None`` keeps the file's own.
        joints: Number of joints, the root included, that a file has to have; ``None`` accepts any skeleton.
        skip: Frames to leave out at the start, where many systems write a reference pose.

    Attributes:
        num_features: 3 + 3 joints; ``None`` for any skeleton.

    Shapes:
        - **x:** ``[L, 3 + 3 J]``

    Raises:
        ImportError: If pybvh is not installed (extra ``mocap``).
        SignalError: If the file is no BVH, cut short, its skeleton has another number of joints, or its frames are
            so far apart that resampling would make more than 100 of each.
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

    suffixes: ClassVar[tuple[str, ...]] = (".bvh",)
    libraries: ClassVar[tuple[str, ...]] = ("pybvh",)

    def __post_init__(self) -> None:
        rate = self.frame_rate
        if rate is not None and (isinstance(rate, bool) or not isinstance(rate, Real) or not 0 < rate < math.inf):
            raise ValueError(f"frame_rate is {self.frame_rate!r}; it has to be a number larger than 0")
        if self.joints is not None:
            check_whole("joints", self.joints)
        check_whole("skip", self.skip, minimum=0)

    @property
    def num_features(self) -> int | None:  # type: ignore[override]
        """Features per frame, or ``None`` for any skeleton."""
        return None if self.joints is None else 3 + 3 * self.joints

    def read(self, path: Path) -> Frames:
        """Reads one BVH file."""
        try:
            motion = _read_bvh(path)
        except (ValueError, IndexError, ArithmeticError, RecursionError) as error:
            raise SignalError(path, f"it cannot be read as BVH ({one_line(error)})") from error
        if not 0 < motion.frame_time < math.inf:
            raise SignalError(path, f"its frames are {motion.frame_time:g} seconds apart")
        if self.joints not in (None, motion.joint_count):
            raise SignalError(path, f"its skeleton has {motion.joint_count} joints, not joints={self.joints}")
        if motion.frame_count <= self.skip:
            raise SignalError(path, f"it has {motion.frame_count} frames, and skip={self.skip} leaves none")
        motion = motion[self.skip :]
        angles = motion.joint_angles
        if self.frame_rate is not None and not math.isclose(self.frame_rate * motion.frame_time, 1):
            _check_resampled_length(path, motion, self.frame_rate)
            motion = motion.resample(self.frame_rate)
            angles = np.unwrap(motion.joint_angles, axis=0)
        angles = np.rad2deg(angles).reshape(len(motion.root_pos), -1)
        x = torch.from_numpy(np.concatenate([motion.root_pos, angles], axis=1)).float()
        return Frames(x, torch.ones(len(x), dtype=torch.bool), 1 / motion.frame_time)


def _check_resampled_length(path: Path, motion: "Bvh", frame_rate: float) -> None:
    """Raises if resampling would make too many frames."""
    wanted = (motion.frame_count - 1) * motion.frame_time * frame_rate
    most = FRAME_ALLOWANCE + MAX_UPSAMPLING * motion.frame_count
    if wanted > most:
        raise SignalError(
            path,
            f"its {motion.frame_count} frames are {motion.frame_time:g} seconds apart; frame_rate={frame_rate:g} would "
            f"make {wanted:.3g} of them, where {most:,} are allowed",
        )


def _read_bvh(path: Path) -> "Bvh":
    """Reads a file whose suffix may be in capitals, which pybvh does not accept."""
    with optional("mocap"):
        from pybvh import read_bvh_file
    with TemporaryDirectory() as folder:
        link = Path(folder) / "motion.bvh"
        link.symlink_to(path.resolve())
        return read_bvh_file(link, world_up="+y")  # lgrin does not use the axis
