"""Pictures of one frame of a recording: video frame, landmarks, waveform, skeleton or features."""

from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from lgrin.extras import optional
from lgrin.features import FaceLandmarks, Mocap, OpenFace, Speech
from lgrin.features.faces import LANDMARKS
from lgrin.features.speech import SAMPLING_RATE, STEP, WINDOW, read_audio
from lgrin.visualization import plot_salient_frames
from lgrin.visualization.figure import HIGHLIGHT

DECIBELS = 80  # from white to black
OUTLINES = (  # which landmarks a line joins: jaw, brows, bridge and tip of the nose, eyes, lips
    *(range(first, last + 1) for first, last in ((0, 16), (17, 21), (22, 26), (27, 30), (31, 35))),
    *((*range(first, last + 1), first) for first, last in ((36, 41), (42, 47), (48, 59), (60, 67))),
)


class Moment(NamedTuple):
    """One frame of a recording.

    Attributes:
        x: The features of the recording, ``[L, P]``, as they were extracted.
        frame: The index of the frame that is shown.
        path: The file; ``None`` for sequences without files.
    """

    x: torch.Tensor
    frame: int
    path: Path | None


@torch.no_grad()
def draw(moment, features, figure, place, title):
    """Draws a moment by the kind of its features; features of another kind are drawn as an image."""
    ways = {FaceLandmarks: draw_video, OpenFace: draw_landmarks, Speech: draw_speech, Mocap: draw_skeleton}
    return ways.get(type(features), draw_features)(moment, features, figure, place).set_title(title, fontsize=9)


def draw_video(moment, features, figure, place):
    """Draws the video frame with its landmarks, or without them if normalisation has moved them."""
    ax = figure.add_subplot(place)
    ax.imshow(video_frame(moment.path, moment.frame))
    if not features.normalize:
        draw_outlines(moment, ax, "white")
    ax.set_axis_off()
    return ax


def video_frame(path, index):
    """Decodes one frame of a video as it is shown, ``[H, W, 3]``."""
    with optional("faces"):
        import av
    with av.open(str(path)) as container:
        cover = av.stream.Disposition.attached_pic
        stream = next(stream for stream in container.streams.video if not stream.disposition & cover)
        frame = next(islice(container.decode(stream), index, None))
        return np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))


def draw_landmarks(moment, features, figure, place):
    """Draws the landmarks alone."""
    ax = figure.add_subplot(place)
    draw_outlines(moment, ax, "black")
    ax.set_aspect("equal")
    ax.invert_yaxis()
    ax.set_axis_off()
    return ax


def draw_outlines(moment, ax, color):
    """Connects the landmarks of a face by lines."""
    points = moment.x[moment.frame].view(LANDMARKS, 2).numpy()
    for outline in OUTLINES:
        ax.plot(*points[list(outline)].T, color=color, linewidth=0.8)
    ax.plot(*points.T, ".", color=HIGHLIGHT, markersize=2)


def draw_speech(moment, features, figure, place):
    """Draws the waveform above its spectrogram and marks the window of the frame in both."""
    signal = read_audio(moment.path)
    start, seconds = moment.frame * STEP / SAMPLING_RATE, len(signal) / SAMPLING_RATE
    above, below = place.subgridspec(2, 1, height_ratios=(1, 2), hspace=0.02).subplots(sharex=True)
    above.plot(np.arange(len(signal)) / SAMPLING_RATE, signal, color="black", linewidth=0.3)
    above.set_yticks([])
    with np.errstate(divide="ignore"):  # digital silence
        *_, image = below.specgram(signal, NFFT=WINDOW, Fs=SAMPLING_RATE, noverlap=WINDOW - STEP, cmap="Greys")
    image.set_clim(vmin=image.get_clim()[1] - DECIBELS)
    below.set(xlabel="s", ylabel="Hz")
    for ax in (above, below):
        ax.axvspan(start, start + WINDOW / SAMPLING_RATE, color=HIGHLIGHT, alpha=0.6, linewidth=0)
        ax.set_xlim(0, seconds)
    return above


def draw_skeleton(moment, features, figure, place):
    """Draws a stick figure, seen from the side where it is widest."""
    with optional("mocap"):
        from pybvh import read_bvh_file
    motion = read_bvh_file(moment.path, warn_on_world_up_disagreement=False)
    motion = motion[features.skip :]
    if features.frame_rate is not None:
        motion = motion.resample(features.frame_rate)
    nodes, up = motion.node_positions(moment.frame), motion.up_axis
    across = max({0, 1, 2} - {up.index}, key=lambda axis: np.ptp(nodes[:, axis]))
    ax = figure.add_subplot(place)
    for child, parent in motion.node_edges:
        ends = nodes[[child, parent]]
        ax.plot(ends[:, across], up.sign * ends[:, up.index], color="black", marker=".", markersize=4)
    ax.set_aspect("equal", adjustable="datalim")
    ax.set_axis_off()
    return ax


def draw_features(moment, features, figure, place):
    """Draws all features over time and marks the frame."""
    return plot_salient_frames(moment.x, moment.frame, figure.add_subplot(place))
