"""BVH files as recording software writes them."""

import numpy as np

ROTATIONS = "Yrotation Xrotation Zrotation"


def write_skeleton(path, joints, values, frame_time=0.04):
    """Writes a chain of joints: ``joints`` maps a name to its channels, such as ``"Xposition Zrotation"``."""
    lines = ["HIERARCHY"]
    for number, (name, channels) in enumerate(joints.items()):
        lines += [f"{'JOINT' if number else 'ROOT'} {name}", "{", "OFFSET 0.0 1.0 0.0"]
        lines += [f"CHANNELS {len(channels.split())} {channels}"]
    lines += ["End Site", "{", "OFFSET 0.0 1.0 0.0", "}", *["}"] * len(joints)]
    lines += ["MOTION", f"Frames: {len(values)}", f"Frame Time: {frame_time:.6f}"]
    lines += [" ".join(f"{value:.6f}" for value in row) for row in np.asarray(values)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def write_bvh(path, channels, frame_time=1 / 120):
    """Writes ``[frames, 3 + 3 joints]`` for a chain of joints."""
    joints = (channels.shape[1] - 3) // 3
    lines = ["HIERARCHY"]
    for joint in range(joints):
        inset = "  " * joint
        kind = "ROOT" if joint == 0 else "JOINT"
        position = "6 Xposition Yposition Zposition" if joint == 0 else "3"
        lines += [f"{inset}{kind} Joint{joint}", f"{inset}{{", f"{inset}  OFFSET 0.0 1.0 0.0"]
        lines += [f"{inset}  CHANNELS {position} {ROTATIONS}"]
    lines += ["End Site", "{", "OFFSET 0.0 1.0 0.0", "}", *["}"] * joints]
    lines += ["MOTION", f"Frames: {len(channels)}", f"Frame Time: {frame_time:.6f}"]
    lines += [" ".join(f"{value:.4f}" for value in row) for row in np.asarray(channels)]
    path.write_text("\n".join(lines) + "\n")
    return path
