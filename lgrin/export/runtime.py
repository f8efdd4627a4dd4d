"""Exported models run by onnxruntime."""

import json
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch_geometric.data import Data

from lgrin import validate
from lgrin.arrays import as_floats
from lgrin.checksum import BLANK, verify
from lgrin.export.description import Description
from lgrin.extras import optional
from lgrin.files import remove_leftovers
from lgrin.gaps import fill_gaps
from lgrin.options import check_path, check_whole
from lgrin.text import one_line
from lgrin.transforms import CyclicPad, Resample, from_settings

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

OUTPUTS = ("logits", "probabilities")

CHECKSUM = {"lgrin.checksum": json.dumps(BLANK)}  # the last entry of the metadata, filled in on writing


class Outputs(NamedTuple):
    """The outputs of a model for sequences.

    Attributes:
        logits: Float32 ``[B, C]``.
        probabilities: Float32 ``[B, C]``.
    """

    logits: np.ndarray
    probabilities: np.ndarray


class ExportedModel:
    """An exported model, ready to run; :func:`load` makes one of a file.

    Args:
        session: The onnxruntime session.
        description: The metadata of the file.

    Shapes:
        - **x:** floating ``[B, M, P]``, computed with in float32, after the file's ``offset``, if it has one, was
          subtracted; a channel that is NaN in all frames of a sequence takes its mean in training; **mask:** bool
          ``[B, M]``, ``None`` means all
        - **output:** logits and probabilities, ``[B, C]`` each

    Raises:
        TypeError: If x is not floating.
        ValueError: If shapes do not fit, a present value is not finite, or a sequence has no present frame.

    Example:
        >>> import tempfile
        >>> from lgrin import LGrIN
        >>> from lgrin.export import to_onnx
        >>> path = f"{tempfile.mkdtemp()}/model.onnx"
        >>> _ = to_onnx(LGrIN(3, 5, 2, branch_channels=(4,)), path)
        >>> load(path)(np.zeros((2, 5, 3), np.float32)).probabilities.shape
        (2, 2)
    """

    def __init__(self, session: "InferenceSession", description: Description) -> None:
        self.session, self.description = session, description

    def __call__(self, x: ArrayLike, mask: ArrayLike | None = None) -> Outputs:
        """Computes logits and probabilities; see the class."""
        frames, present = self._to_length(*self._fill(*self._read(x, mask)))
        outputs = self.run({"x": self._centered(frames), "mask": present})
        lacking = (np.isnan(frames) | ~present[..., None]).all(1)
        if np.isnan(outputs.logits).any() and lacking.any():
            sequence, channel = np.argwhere(lacking)[0]
            raise ValueError(
                f"x[{sequence}] lacks channel {channel}, and this file holds no mean to fill it with; export a "
                f"classifier that standardises its features, with this version"
            )
        return outputs

    def _read(self, x: ArrayLike, mask: ArrayLike | None) -> tuple[np.ndarray, np.ndarray]:
        """Checks types and shapes."""
        frames, num_nodes, in_channels = np.asarray(x), self.description.num_nodes, self.description.in_channels
        if not np.issubdtype(frames.dtype, np.floating):
            raise TypeError(f"x is {frames.dtype}; frames are floating: pass x.astype('float32')")
        fits = frames.ndim == 3 and frames.size > 0 and frames.shape[2] == in_channels
        if not fits or (num_nodes not in (None, frames.shape[1]) and self._transform is None):
            taken = f"[B, {'any number of frames' if num_nodes is None else num_nodes}, {in_channels}]"
            others = "" if self._transform is None else f", or any number of frames, which {self._transform} gets there"
            turned = "; transpose the last two axes" if frames.ndim == 3 and frames.shape[1] == in_channels else ""
            single = "; add the first axis by x[None]" if frames.ndim == 2 else ""
            raise ValueError(f"x has shape {list(frames.shape)}; this model takes {taken}{others}{turned}{single}")
        present = np.ones(frames.shape[:2], bool) if mask is None else np.asarray(mask)
        if present.dtype != bool or present.shape != frames.shape[:2]:
            raise ValueError(
                f"mask is {present.dtype} {list(present.shape)}; for x {list(frames.shape)} it has to be bool "
                f"{list(frames.shape[:2])}"
            )
        return frames, present

    def _fill(self, frames: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Fills gaps as the estimators do, in the dtype in which these read sequences, and finds missing frames."""
        (frames,) = as_floats([frames], wide=self.description.offset is not None)
        frames = np.where(present[..., None], frames, frames.dtype.type(np.nan))
        present = ~np.isnan(frames).all(2)
        known = np.where(np.isnan(frames), np.float32(0), self._centered(frames))
        validate.features(torch.from_numpy(known), torch.from_numpy(present))
        validate.sequences(None, torch.from_numpy(present), len(frames))
        return np.stack([fill_gaps(rows) for rows in frames]), present

    def _to_length(self, frames: np.ndarray, present: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gives sequences the number of frames that the network takes."""
        if self.description.num_nodes in (None, frames.shape[1]):
            return frames, present
        assert self._transform is not None  # other lengths are refused
        each = [
            self._transform(Data(x=torch.from_numpy(rows), mask=torch.from_numpy(there)))
            for rows, there in zip(frames, present, strict=True)
        ]
        taken = np.stack([one.mask.numpy() for one in each])
        validate.sequences(None, torch.from_numpy(taken), len(taken))
        return np.stack([one.x.numpy() for one in each]), taken

    def _centered(self, frames: np.ndarray) -> np.ndarray:
        """The frames without the offset, in float32."""
        offset = self.description.offset
        (centered,) = as_floats([frames if offset is None else frames - np.array(offset)], wide=False)
        return np.ascontiguousarray(centered)

    @cached_property
    def _transform(self) -> CyclicPad | Resample | None:
        """What gives sequences the frames of the network, as far as the file says it."""
        settings, num_nodes = self.description.transform, self.description.num_nodes
        if settings is None or num_nodes is None or settings.get("num_nodes") != num_nodes:
            return None
        try:
            transform = from_settings(settings)
        except (TypeError, ValueError) as error:
            reason = one_line(error, 300)
            raise ValueError(f"the transform of the file is not known ({reason}); export it again") from error
        return transform if isinstance(transform, CyclicPad | Resample) else None

    def run(self, inputs: dict[str, np.ndarray]) -> Outputs:
        """Runs the network on inputs that were checked.

        Args:
            inputs: ``x`` and ``mask``.

        Returns:
            Logits and probabilities.

        Raises:
            ValueError: If the network of the file cannot be run, or its outputs differ from the metadata.
        """
        try:
            outputs = Outputs(*self.session.run(OUTPUTS, inputs))
        except Exception as error:  # onnxruntime raises many classes without a common base
            raise ValueError(f"the network of the file cannot be run ({one_line(error)}); export it again") from error
        shape = (len(inputs["x"]), len(self.description.classes))
        if any(output.shape != shape or output.dtype != np.float32 for output in outputs):
            raise ValueError(f"the network of the file does not compute float32 {list(shape)}; export it again")
        return outputs

    def __repr__(self) -> str:
        description = self.description
        return (
            f"{type(self).__name__}({description.network}, {description.precision}, {len(description.classes)} classes)"
        )


def load(path: str | Path, threads: int = 1) -> ExportedModel:
    """Loads a file that :func:`lgrin.export.to_onnx` or :func:`lgrin.export.quantize` has written.

    Args:
        path: The file.
        threads: Threads that it may use.

    Returns:
        The model.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If onnxruntime is not installed (extra ``export``).
        ValueError: If it is no whole ONNX file, differs from its checksum, was not written by lgrin, has another
            format, or threads is not a positive whole number.

    Example:
        >>> load("/nowhere/model.onnx")
        Traceback (most recent call last):
        ...
        FileNotFoundError: there is no exported model /nowhere/model.onnx
    """
    threads = check_whole("threads", threads)
    if not check_path("path", path).is_file():
        raise FileNotFoundError(f"there is no exported model {path}")
    remove_leftovers(path)
    content = Path(path).read_bytes()
    verify(content, path, "is no whole ONNX file", "export it again")
    try:
        session = open_session(content, threads)
    except Exception as error:  # onnxruntime raises many classes without a common base
        raise ValueError(
            f"{path} is no whole ONNX file, or newer than this onnxruntime ({one_line(error)}); export it again, or "
            f"update onnxruntime"
        ) from error
    description = Description.from_properties(str(path), session.get_modelmeta().custom_metadata_map)
    _check_sizes(path, session, description)
    return ExportedModel(session, description)


def _check_sizes(path: str | Path, session: "InferenceSession", description: Description) -> None:
    """Raises unless inputs and outputs of the network agree with the metadata."""
    values = {value.name: value for value in (*session.get_inputs(), *session.get_outputs())}
    if set(values) != {"x", "mask", *OUTPUTS}:
        raise ValueError(f"{path} is damaged: its network does not take x and mask and give {OUTPUTS}; export it again")
    taken, mask, *given = (values[name].shape[1:] for name in ("x", "mask", *OUTPUTS))
    frames: int | str | None = description.num_nodes
    channels, classes = description.in_channels, len(description.classes)
    if frames is None and taken[:1] == mask == ["frames"]:  # the name of an axis of any length
        frames = "frames"
    if [taken, mask, *given] != [[frames, channels], [frames], [classes], [classes]]:
        raise ValueError(
            f"{path} is damaged: it takes {one_line(taken)} and gives {one_line(given[0])}, but says that it has "
            f"{one_line(frames, 40)} frames, {one_line(channels, 40)} features and {classes} classes; export it again"
        )


def open_session(model: str | bytes, threads: int) -> "InferenceSession":
    """Opens a file or its content on the CPU.

    Args:
        model: Path or content.
        threads: Threads that it may use.

    Returns:
        The onnxruntime session.
    """
    with optional("export"):
        from onnxruntime import InferenceSession, SessionOptions
    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors alone, which are raised, too
    return InferenceSession(model, options, providers=["CPUExecutionProvider"])
