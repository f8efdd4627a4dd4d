"""Exported models with weights of 8 bits."""

import dataclasses
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from lgrin.checksum import write_with_checksum
from lgrin.export.card import write_card
from lgrin.export.description import Description
from lgrin.export.runtime import CHECKSUM, load
from lgrin.export.translate import check_suffix
from lgrin.extras import optional
from lgrin.options import check_whole

if TYPE_CHECKING:
    from onnx import ModelProto

OPERATORS = ("MatMul", "Gemm", "LSTM")  # those that hold the weights


def quantize(path: str | Path, out: str | Path, frames: int | None = None) -> Description:
    r"""Quantises the weights of an exported model to 8 bits, and writes it with a model card beside it.

    .. math:: W_{kn} \approx s_n (q_{kn} - z_n), \qquad q_{kn} \in \{0, \dots, 255\}

    Products of activations and weights are computed in whole numbers. Activations are scaled by their largest and
    smallest value at every run (dynamic quantisation), so no calibration data are needed, and the output for a sequence
    depends slightly on the other sequences of its batch. The learned graph stays in float32, since it multiplies from
    the left, and so do biases, norms and maxima.

    Args:
        path: A file that :func:`lgrin.export.to_onnx` has written.
        out: The new file, which ends in ``.onnx``.
        frames: As for :func:`lgrin.export.to_onnx`.

    Returns:
        The metadata of the new file.

    Raises:
        FileNotFoundError: If there is no such file.
        ImportError: If a library is not installed (extra ``export``).
        ValueError: If it is no such file, has 8 bits already, or would not get smaller; nothing is written.

    Example:
        >>> quantize("/nowhere/model.onnx", "/nowhere/small.onnx")
        Traceback (most recent call last):
        ...
        FileNotFoundError: there is no exported model /nowhere/model.onnx
    """
    check_suffix("out", out)
    frames = None if frames is None else check_whole("frames", frames)
    before = load(path).description
    if before.precision != "float32":
        raise ValueError(f"{path} has {before.precision} weights already; give the file in float32")
    after = dataclasses.replace(before, precision="8-bit")
    with optional("export"):
        from onnx.helper import set_model_props
    model = _quantize_weights(path)
    set_model_props(model, {**after.properties, **CHECKSUM})
    content = model.SerializeToString()
    size = Path(path).stat().st_size
    if len(content) >= size:
        raise ValueError(
            f"{path} has {size:,} bytes and would have {len(content):,} with 8-bit weights, since "
            f"few of them are weights; keep it as it is"
        )
    write_with_checksum(out, lambda name: Path(name).write_bytes(content))
    write_card(out, frames)
    return after


def _quantize_weights(path: str | Path) -> "ModelProto":
    """Quantises to unsigned weights: products with signed bytes overflow on processors without VNNI."""
    with optional("export"):
        import onnx
        from onnxruntime.quantization import QuantType, quantize_dynamic
    model = onnx.load(path)
    onnx.helper.set_model_props(
        model, {"onnx.quant.pre_process": "onnxruntime.quant"}
    )  # to_onnx has folded its constants
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "model.onnx"
        quantize_dynamic(
            model,
            place,
            op_types_to_quantize=list(OPERATORS),
            per_channel=True,
            weight_type=QuantType.QUInt8,
        )
        return onnx.load(place)
