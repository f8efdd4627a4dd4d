"""Faces in a video: 68 landmarks a frame, Sec. IV-A."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch import Tensor

from lgrin.extras import optional
from lgrin.features.containers import check_not_truncated
from lgrin.features.detectors import check_detector, libraries_of, load_detector
from lgrin.features.extractor import Extractor, Frames, SignalError

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

LANDMARKS = 68
MAX_PIXELS = 7680 * 4320  # pixels of a frame
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)


@dataclass(frozen=True)
class FaceLandmarks(Extractor):
    """Turns a video into the 68 landmarks of the largest face, frame by frame.

    Each frame of the video becomes one frame of the sequence; a frame without a face is missing. Points are in pixels
    from the upper left corner of the frame as it is displayed, after the rotation that the video asks for. Pixels that
    are not square are not corrected.

    Args:
        detector: ``"face-alignment"``, as in the paper, downloads its weights (about 180 MB) at first use; ``"dlib"``
            is faster, works offline, and finds frontal faces that are at least about 80 pixels wide.
        normalize: Whether to remove position, size and roll of the head; see :func:`normalize_landmarks`.
        device: Where face-alignment runs, for example ``"cuda"``.

    Shapes:
        - **x:** ``[L, 136]`` for L frames of video: x and y of the first point, of the second, and so on

    Raises:
        ConnectionError: If the weights of face-alignment are not installed yet and cannot be downloaded.
        ImportError: If a library is not installed (extra ``faces``).
        SignalError: If the file is no video, cut short (as far as avi, mp4 and mov files say), cannot be decoded, has
            frames of more than 7680 x 4320 pixels, or shows no face.
        ValueError: If the detector or the device is unknown.

    Source:
        "Node features" in Sec. IV-A of Shirian, Tripathi and Guha, 2021; Bulat and Tzimiropoulos, "How far are we from
        solving the 2D & 3D face alignment problem?", ICCV 2017; King, "Dlib-ml", JMLR 2009.

    Example:
        >>> import av, tempfile
        >>> from skimage.data import astronaut
        >>> path = f"{tempfile.mkdtemp()}/face.mp4"
        >>> with av.open(path, "w") as container:
        ...     stream = container.add_stream("mpeg4", rate=25)
        ...     stream.width, stream.height, stream.pix_fmt = 512, 512, "yuv420p"
        ...     container.mux(stream.encode(av.VideoFrame.from_ndarray(astronaut())) + stream.encode())
        >>> x, mask, frame_rate = FaceLandmarks("dlib")(path)
        >>> x.shape, mask.tolist(), frame_rate
        (torch.Size([1, 136]), [True], 25.0)
    """

    detector: str = "face-alignment"
    normalize: bool = False
    device: str = "cpu"

    suffixes: ClassVar[tuple[str, ...]] = (
        *(".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".wmv", ".flv"),
        *(".mpeg", ".ogv", ".3gp", ".ts", ".mts", ".m2ts", ".asf", ".vob"),
    )
    num_features = 2 * LANDMARKS

    def __post_init__(self) -> None:
        check_detector(self.detector, self.device)

    @property
    def libraries(self) -> tuple[str, ...]:  # type: ignore[override]
        """Distributions whose version its results depend on."""
        return ("av", *libraries_of(self.detector))

    def read(self, path: Path) -> Frames:
        """Reads one video."""
        check_not_truncated(path)
        detect = load_detector(self.detector, self.device)
        with _open_video(path) as (container, stream):
            faces = [detect(_to_upright_rgb(frame)) for frame in container.decode(stream)]
            frame_rate = stream.average_rate or stream.guessed_rate  # a short wmv file has no average rate
        if not faces:
            raise SignalError(path, "it holds no frame of video")
        if not frame_rate:
            raise SignalError(path, "it does not say its frame rate")
        if all(face is None for face in faces):
            raise SignalError(path, f"no face was found in any of its {len(faces)} frames")
        missing = np.full((LANDMARKS, 2), np.nan, np.float32)
        x = torch.from_numpy(np.stack([missing if face is None else face for face in faces])).flatten(1)
        x = normalize_landmarks(x) if self.normalize else x
        return Frames(x, ~x.isnan().any(-1), float(frame_rate))


def normalize_landmarks(x: Tensor) -> Tensor:
    r"""Removes position, size and roll of the head from every frame; expression, yaw and pitch remain.

    With points as complex numbers :math:`p = x + iy`, and r and l the centres of the right and the left eye (points
    36-41 and 42-47):

    .. math:: p' = \frac{p - (r + l) / 2}{l - r}

    Afterwards the eyes are at :math:`-\tfrac{1}{2}` and :math:`\tfrac{1}{2}`, and the distance between them is 1.

    Args:
        x: ``[L, 136]``, x and y of the first point, of the second, and so on; missing frames are NaN.

    Returns:
        ``[L, 136]``; missing frames stay missing, and a frame in which the eyes coincide becomes missing.

    Example:
        >>> x = torch.rand(3, 136, generator=torch.Generator().manual_seed(0))
        >>> torch.allclose(normalize_landmarks(5 * x + 7), normalize_landmarks(x), atol=1e-3)
        True
    """
    points = torch.view_as_complex(x.double().unflatten(-1, (LANDMARKS, 2)).contiguous())
    right, left = (points[:, eye].mean(-1, keepdim=True) for eye in (RIGHT_EYE, LEFT_EYE))
    apart = left - right
    normalized = (points - (right + left) / 2) * apart.conj() / apart.abs().square()
    return torch.view_as_real(normalized).flatten(1).to(x.dtype)


@contextmanager
def _open_video(path: Path) -> Iterator[tuple["InputContainer", "VideoStream"]]:
    """Opens a video file and its first video stream; cover images are no such stream."""
    with optional("faces"):
        import av
    try:
        with av.open(str(path.resolve()), metadata_errors="replace") as container:
            cover = av.stream.Disposition.attached_pic
            streams = [stream for stream in container.streams.video if not stream.disposition & cover]
            if not streams:
                raise SignalError(path, "it holds no video")
            context = streams[0].codec_context
            if context.width * context.height > MAX_PIXELS:
                raise SignalError(path, f"its frames have {context.width} x {context.height} pixels, over 7680 x 4320")
            context.options = {"max_pixels": str(MAX_PIXELS)}  # later frames may be larger
            yield container, streams[0]
    except av.error.FFmpegError as error:
        raise SignalError(path, f"it cannot be decoded as video ({error.strerror})") from error


def _to_upright_rgb(frame: "VideoFrame") -> np.ndarray:
    """Converts a video frame to ``[H, W, 3]`` uint8 RGB, rotated as it is displayed."""
    image = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))
