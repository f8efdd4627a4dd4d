"""Detectors of 68 facial landmarks: each takes an image and returns the points of the largest face, or None."""

import functools
from collections.abc import Callable
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING

import numpy as np
import torch

from lgrin.extras import optional
from lgrin.options import check_option

if TYPE_CHECKING:
    import dlib

Detector = Callable[[np.ndarray], np.ndarray | None]
LIBRARIES = {"face-alignment": ("face-alignment",), "dlib": ("dlib", "dlib-bin", "face-recognition-models")}
DETECTORS = tuple(LIBRARIES)
DEVICES = ("cpu", "cuda", "mps")  # or one of several, such as "cuda:1"
SHIFTS = (-0.06, -0.03, 0.0, 0.03, 0.06)  # of the box, relative to its width and height


@functools.cache
def load_detector(name: str, device: str = "cpu") -> Detector:
    """Loads a detector; each is loaded once per process.

    Args:
        name: ``"face-alignment"`` or ``"dlib"``.
        device: Where it runs; dlib runs on ``"cpu"``.

    Returns:
        A callable from ``[H, W, 3]`` uint8 RGB to the ``[68, 2]`` float32 points, x and y in pixels, of the largest
        face, or ``None`` where there is no face.

    Raises:
        ConnectionError: If the weights of face-alignment are not installed yet and cannot be downloaded.
        ImportError: If a library is not installed (extra ``faces``).
        ValueError: If the name or the device is unknown.

    Example:
        >>> detect = load_detector("dlib")
        >>> detect(np.zeros((96, 96, 3), np.uint8)) is None
        True
    """
    check_detector(name, device)
    return _DlibDetector() if name == "dlib" else _FaceAlignmentDetector(device)


def check_detector(name: str, device: str) -> None:
    """Raises unless the detector exists and runs on the device.

    Args:
        name: The detector.
        device: Where it is to run.

    Raises:
        ValueError: If there is none.

    Example:
        >>> check_detector("dlib", "cuda")
        Traceback (most recent call last):
        ...
        ValueError: device of detector 'dlib' is 'cuda'; it may be 'cpu'
    """
    check_option("detector", name, DETECTORS)
    allowed = ("cpu",) if name == "dlib" else DEVICES
    check_option(f"device of detector {name!r}", device.partition(":")[0], allowed)


def libraries_of(name: str) -> tuple[str, ...]:
    """Names the installed distributions that a detector consists of.

    Args:
        name: The detector.

    Returns:
        Their names; dlib is distributed under two names, and only those that are installed are listed.

    Example:
        >>> libraries_of("face-alignment")
        ('face-alignment',)
    """
    return tuple(library for library in LIBRARIES[name] if any(distributions(name=library)))


class _FaceAlignmentDetector:
    """FAN on the faces that S3FD finds: Bulat and Tzimiropoulos, ICCV 2017."""

    def __init__(self, device: str) -> None:
        with optional("faces"):
            from face_alignment import FaceAlignment, LandmarksType
        torch.empty(
            0, device=device
        )  # raises if there is no such device, which would be reported as damaged weights below
        weights = Path(torch.hub.get_dir()) / "checkpoints"
        try:
            self.network = FaceAlignment(LandmarksType.TWO_D, device=device, compile=False)
        except OSError as error:
            raise ConnectionError(
                f"detector 'face-alignment' could not fetch its weights ({error}); put them into {weights} where there "
                f"is a network, or choose detector='dlib', whose weights are installed with it"
            ) from error
        except (RuntimeError, EOFError, UnpicklingError) as error:
            raise RuntimeError(
                f"detector 'face-alignment' cannot read its weights ({error}); delete s3fd-*.pth and 2DFAN4-*.pth.tar "
                f"in {weights}, and they are fetched anew"
            ) from error

    def __call__(self, image: np.ndarray) -> np.ndarray | None:
        boxes = self.network.face_detector.detect_from_image(image)
        if len(boxes) == 0:
            return None
        largest = max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
        return self.network.get_landmarks_from_image(image, detected_faces=[largest])[0].astype(np.float32)


class _DlibDetector:
    """Regression trees on the faces that HOG finds: Kazemi and Sullivan, CVPR 2014; Dalal and Triggs, CVPR 2005.

    The points jump by pixels when the box does. The trees therefore run on 25 shifted copies of the box, and each
    coordinate is the mean of the middle half of its 25 values.
    """

    def __init__(self) -> None:
        with optional("faces"):
            import dlib
        self.dlib = dlib
        self.find = self.dlib.get_frontal_face_detector()
        self.align = self.dlib.shape_predictor(str(_dlib_weights()))

    def __call__(self, image: np.ndarray) -> np.ndarray | None:
        boxes = self.find(image)
        if len(boxes) == 0:
            return None
        largest = max(boxes, key=lambda box: box.area())
        shapes = np.array([self._points(image, largest, dx, dy) for dx in SHIFTS for dy in SHIFTS])
        quarter = len(shapes) // 4
        return np.sort(shapes, axis=0)[quarter:-quarter].mean(axis=0, dtype=np.float32)

    def _points(self, image: np.ndarray, box: "dlib.rectangle", dx: float, dy: float) -> list[tuple[int, int]]:
        shifted = self.dlib.translate_rect(box, self.dlib.point(round(dx * box.width()), round(dy * box.height())))
        return [(point.x, point.y) for point in self.align(image, shifted).parts()]


def _dlib_weights() -> Path:
    """Finds the weights without importing their package, which needs a module that setuptools has removed."""
    found = find_spec("face_recognition_models")
    if found is None or found.origin is None:
        raise ImportError(
            'face_recognition_models is not installed; it comes with an extra of lgrin: pip install "lgrin[signals]", '
            'or in a clone pip install -c constraints.txt ".[signals]"'
        )
    return Path(found.origin).parent / "models" / "shape_predictor_68_face_landmarks.dat"
