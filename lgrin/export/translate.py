"""From a trained network to an ONNX file."""

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import Identity, Module
from torch.overrides import TorchFunctionMode

from lgrin.checksum import write_with_checksum
from lgrin.export.card import write_card
from lgrin.export.description import Description, describe_features
from lgrin.export.runtime import CHECKSUM, open_session
from lgrin.export.thinned import ThinnedBlend
from lgrin.extras import optional
from lgrin.models import Blend, fold
from lgrin.ops import decompositions
from lgrin.options import check_path, check_whole
from lgrin.transforms import Standardize
from lgrin.transforms import from_settings as transform_from
from lgrin.transforms.resample import NEAREST

if TYPE_CHECKING:
    from onnx import ModelProto
    from onnx_ir import Model

TOLERANCE = 1e-4  # largest difference between network and file, relative to the largest logit
ROUNDING = 16 * torch.finfo(torch.float32).eps  # a change of x that lies above what float32 rounds away in a network
DRAWS = 16  # changes of x of this size, by which it is seen how far rounding moves the logits of a network
SPREAD = 4  # times the largest such move is still rounding
LENGTHS = (1, 50, 400)  # frames for which a file for sequences of any length is held against the network
SIZE_LIMIT = 2**31  # bytes: smaller constants are computed during export, not on the device


def to_onnx(
    model: Module,
    path: str | Path,
    *,
    classes: Sequence[str] | None = None,
    features: Mapping[str, object] | None = None,
    transform: Mapping[str, object] | None = None,
    frames: int | None = None,
) -> Description:
    """Exports a model to an ONNX file with metadata, and writes a model card beside it.

    The file holds everything between frames and probabilities: the normalisation, the network folded for inference, and
    the softmax. Where float32 would round a small signal on a large offset away, the offset stands in the metadata, and
    :func:`lgrin.export.load` subtracts it in float64 first. The outputs of the file are compared with those of the
    network before it is saved, on random frames and masks. They may differ by rounding: by 1e-4 of the largest logit,
    and where a value lies on a threshold of the network, so that rounding decides on which side, by four times what
    changes of x by 2e-6 do to the network itself.

    Args:
        model: A fitted :class:`lgrin.sklearn.LGrINClassifier` or :class:`lgrin.sklearn.FilterBankClassifier`, a
            :class:`lgrin.training.SequenceClassifier`, or a bare :class:`lgrin.LGrIN`, :class:`lgrin.models.Blend`,
            :class:`lgrin.models.FilterBank` or BLSTM, which knows no names of classes; it is not changed.
        path: The file, which ends in ``.onnx``; the card gets the same name and ends in ``.md``.
        classes: Names of the classes; ``None`` takes those of the estimator or classifier, or numbers for a bare model.
        features: The settings of the extractor; ``None`` takes those of the data set that the estimator was fitted to,
            or the classifier's.
        transform: The settings of the transform to a fixed length; ``None`` takes the classifier's.
        frames: Frames of a usual sequence, for which the card gives the time; 100 where it is ``None`` and the model
            takes any number.

    Returns:
        The metadata of the file.

    Shapes:
        - **x:** float32 ``[B, M, P]``, with M frames as the transform leaves them, or any number where the model has no
          length; **mask:** bool ``[B, M]``, False at frames that are missing. A channel that is NaN in all frames of a
          sequence takes its mean in training. Any other NaN in a present frame makes the outputs of the sequence NaN,
          since filling in time (:func:`lgrin.gaps.fill_gaps`) is done by :func:`lgrin.export.load`, not by the file
        - **logits, probabilities:** float32 ``[B, C]``

    Raises:
        ImportError: If a library is not installed (extra ``export``).
        TypeError: If the model is neither, is not fitted, has an encoder or several modalities, or settings are none.
        RuntimeError: If the file does not compute what the network does; nothing is written.
        ValueError: If the path does not end in ``.onnx``, classes are not C different names, or there is no such
            extractor or transform.

    Example:
        >>> import tempfile
        >>> from lgrin import LGrIN
        >>> from lgrin.export import load, quantize
        >>> folder = tempfile.mkdtemp()
        >>> model = LGrIN(in_channels=34, num_nodes=20, num_classes=2, num_layers=1)
        >>> to_onnx(model, f"{folder}/model.onnx", classes=["calm", "glad"]).num_nodes
        20
        >>> quantize(f"{folder}/model.onnx", f"{folder}/small.onnx").precision
        '8-bit'
        >>> load(f"{folder}/small.onnx")(np.zeros((1, 20, 34))).probabilities.shape
        (1, 2)
    """
    check_suffix("path", path)
    frames = None if frames is None else check_whole("frames", frames)
    with optional("export"):
        import onnx
    model, known = _read_model(model)
    transform = known.get("transform") if transform is None else _check_settings("transform", transform)
    if transform is not None:
        transform_from(transform)
    network = _network_of(model)
    program = deepcopy(_Program(network, getattr(model, "normalize", Identity()))).cpu().eval()
    scale = program.first_scale()
    description = Description(
        network=type(network).__name__,
        precision="float32",
        parameters=sum(weight.numel() for weight in network.parameters() if weight.requires_grad),
        in_channels=network.in_channels,
        num_nodes=network.num_nodes,
        classes=_class_names(network.num_classes, known.get("classes") if classes is None else classes),
        transform=transform,
        offset=None if scale is None else scale.subtracted_before(),
        **describe_features(known.get("features") if features is None else _check_settings("features", features)),
    )
    program = program.float()
    traced = _Program(_traceable(program.network), program.normalize)
    with _quiet():
        written = _optimize(_to_onnx_model(fold(traced), description), description.num_nodes is None)
    onnx.helper.set_model_props(written, {**description.properties, **CHECKSUM})
    _check_outputs(program, written.SerializeToString(), description)
    write_with_checksum(path, lambda name: onnx.save(written, name))
    write_card(path, frames)
    return description


def check_suffix(name: str, path: str | Path) -> None:
    """Raises unless a path ends in ``.onnx``, so that a card fits beside it.

    Args:
        name: Its name in errors.
        path: The path.

    Raises:
        TypeError: If it is no path.
        ValueError: If it does not.

    Example:
        >>> check_suffix("out", "model.onnx")
    """
    if check_path(name, path).suffix != ".onnx":
        raise ValueError(f"{name} is {str(path)!r}; it has to end in .onnx")


class _Program(Module):
    """Frames to logits and probabilities, which are NaN where single values are missing."""

    def __init__(self, network: Module, normalize: Module) -> None:
        super().__init__()
        self.network, self.normalize = network, normalize

    def forward(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.network(self.normalize(x), mask=mask)
        logits = logits.masked_fill(_has_gaps(x, mask), torch.nan)
        return logits, logits.softmax(-1)

    def first_scale(self) -> Standardize | None:
        """What standardises the frames before anything else; ``None`` where nothing does."""
        parts = (self.normalize, getattr(self.network, "scale", None))
        return next((one for one in parts if isinstance(one, Standardize)), None)


def _has_gaps(x: Tensor, mask: Tensor) -> Tensor:
    """Which sequences lack more values than whole frames outside the mask and whole channels, bool ``[B, 1]``."""
    absent = ~mask.unsqueeze(-1)
    gone = x.isnan()
    lost = (gone | absent).all(1)
    lost = lost & ~lost.all(1, keepdim=True)
    return ((gone & ~absent).any(1) & ~lost).any(1, keepdim=True)


def _read_model(model: Any) -> tuple[Any, dict[str, Any]]:
    """The module of an estimator or a classifier, and what they know: classes, features and transform."""
    if not hasattr(model, "get_params"):
        return model, dict(getattr(model, "hparams", {}))
    if not hasattr(model, "classes_"):
        raise TypeError(
            f"model is a {type(model).__name__} without classes; it may be the module or the instance of a fitted "
            f"LGrINClassifier or FilterBankClassifier: call its fit first"
        )
    inner = model.classifier_ if hasattr(model, "classifier_") else model.model_
    return inner, {"features": getattr(model, "features_", None), **getattr(inner, "hparams", {})} | {
        "classes": model.classes_.tolist()
    }


def _network_of(model: Module) -> Any:
    network = getattr(model, "model", model)
    if not all(hasattr(network, name) for name in ("in_channels", "num_nodes", "num_classes")):
        raise TypeError(
            f"model is a {type(model).__name__}; it may be a SequenceClassifier, such as the classifier_ of a fitted "
            f"LGrINClassifier, or a model with in_channels, num_nodes and num_classes that is called like LGrIN"
        )
    several = isinstance(network.num_nodes, Mapping)
    if several or getattr(network, "encoder", None) is not None:
        reason = "looks at several modalities" if several else "has an encoder"
        raise TypeError(
            f"model is a {type(network).__name__} that {reason}, and an exported file takes features [B, M, P]; export "
            f"an LGrIN of one modality without encoder"
        )
    return network


def _traceable(network: Any) -> Any:
    """A network that gives the same, made of operators that an exporter can follow."""
    return ThinnedBlend(network) if isinstance(network, Blend) and network.thin != NEAREST else network


def _check_settings(name: str, settings: object) -> dict[str, object]:
    if not isinstance(settings, Mapping):
        raise TypeError(f"{name} is a {type(settings).__name__}; it may be settings, such as {name}.settings, or None")
    return dict(settings)


def _class_names(num_classes: int, classes: Sequence[str] | None) -> list[str]:
    names = [str(name) for name in range(num_classes) if classes is None] or [str(name) for name in classes or ()]
    if len(names) != num_classes or len(set(names)) != num_classes:
        raise ValueError(f"classes is {names}; the model has num_classes={num_classes}: give as many different names")
    return names


def _to_onnx_model(program: _Program, description: Description) -> "Model":
    """Traces a program for any number of sequences, and translates it to operators of ONNX."""
    x, mask = _random_inputs(2, description, description.num_nodes or LENGTHS[1])
    any_size = torch.export.Dim.DYNAMIC  # PyTorch 2.11 refuses programs that merge a named axis with another one
    axes = {0: any_size} if description.num_nodes else {0: any_size, 1: any_size}
    table = {**decompositions(), torch.ops.aten.masked_fill.Scalar: _masked_fill_bool}
    with _Decomposed(table):
        exported = torch.export.export(program, (x, mask), dynamic_shapes=(axes, axes))
    if any(node.target in table and _has_to_go(node) for node in exported.graph.nodes):
        exported = exported.run_decompositions(table)
    written: Any = torch.onnx.export(
        exported,
        dynamo=True,
        opset_version=20,
        input_names=["x", "mask"],
        output_names=["logits", "probabilities"],
        custom_translation_table={torch.ops.aten.sort.stable: _stable_sort},
        optimize=False,
        verbose=False,
    )
    return written.model


def _optimize(model: "Model", any_length: bool) -> "ModelProto":
    """Folds constants, keeps one copy of each, and drops metadata about the source code."""
    with optional("export"):
        import onnx_ir
        from onnx_ir.passes import common as passes
        from onnxscript.optimizer import optimize
    model = optimize(model, num_iterations=1, input_size_limit=SIZE_LIMIT, output_size_limit=SIZE_LIMIT)
    onnx_ir.passes.Sequential(
        passes.DeduplicateInitializersPass(size_limit=SIZE_LIMIT), passes.ClearMetadataAndDocStringPass()
    )(model)
    bare = onnx_ir.to_proto(model)
    del bare.graph.value_info[:]
    for value in (*bare.graph.input, *bare.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    for value in bare.graph.input if any_length else ():
        value.type.tensor_type.shape.dim[1].dim_param = "frames"
    return bare


class _Decomposed(TorchFunctionMode):
    """Computes operators in terms of others where they are called, which saves a pass over what was traced."""

    def __init__(self, table: Mapping[Any, Callable[..., Any]]) -> None:
        super().__init__()
        self.table = table

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        found = self.table[func](*args, **kwargs) if func in self.table else NotImplemented
        return func(*args, **kwargs) if found is NotImplemented else found


def _has_to_go(node: Any) -> bool:
    """Whether the file cannot have an operator: filling of booleans, or sorting of whole numbers."""
    x = node.args[0].meta["val"]
    return x.dtype == torch.bool or (node.target == torch.ops.aten.sort.stable and not x.is_floating_point())


def _masked_fill_bool(x: Tensor, mask: Tensor, value: float | bool) -> Tensor:
    """Translates ``masked_fill`` of booleans, since the Where of onnxruntime takes numbers alone."""
    if x.dtype != torch.bool:
        return NotImplemented
    return x | mask if value else x & ~mask


def _stable_sort(x: Any, *, stable: bool | None = None, dim: int = -1, descending: bool = False) -> Any:
    """Sorts floating numbers (whole ones are decomposed): among equal entries TopK takes the first first."""
    with optional("export"):
        from onnxscript import opset20 as op
    length = op.Constant(value_ints=[x.shape[dim]])
    return op.TopK(x, length, axis=dim, largest=int(descending), sorted=1)  # type: ignore[arg-type]  # symbols


def _check_outputs(program: _Program, content: bytes, description: Description) -> None:
    """Raises unless a file gives what the program gives, but for rounding and what depends on rounding alone."""
    session, difference = open_session(content, threads=1), 0.0
    scale = program.first_scale()
    for num_nodes in LENGTHS if description.num_nodes is None else (description.num_nodes,):
        x, mask = _random_inputs(3, description, num_nodes)
        x = x if scale is None else x * scale.std + scale.mean.to(x.dtype)
        expected, moved = _outputs_and_moves(program, x, mask)
        logits = session.run(["logits"], {"x": x.numpy(), "mask": mask.numpy()})[0]
        excess = (np.abs(logits - expected) - SPREAD * moved).max() / max(1.0, np.abs(expected).max())
        difference = np.maximum(difference, excess)
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"the exported program differs from the model by {difference:g} of the largest logit, above the "
            f"{TOLERANCE:g} of rounding, and was not written: a layer of {description.network} is translated wrongly"
        )


@torch.no_grad()
def _outputs_and_moves(program: _Program, x: Tensor, mask: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Logits ``[B, C]``, and how far those of each sequence move at most when x changes by rounding, ``[B, 1]``.

    Where a value lies on a threshold, rounding decides on which side, and the logits jump: in the file as here.
    """
    expected, generator = program(x, mask)[0], torch.Generator().manual_seed(1)
    size = ROUNDING * (x.abs() + x.std(correction=0))
    moved = torch.zeros(len(x), 1)
    for _ in range(DRAWS):
        changed = program(x + size * torch.randn(x.shape, generator=generator), mask)[0]
        moved = torch.maximum(moved, (changed - expected).abs().amax(1, keepdim=True))
    return expected.numpy(), moved.numpy()


def _random_inputs(count: int, description: Description, num_nodes: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(count, num_nodes, description.in_channels, generator=generator)
    mask = torch.rand(count, num_nodes, generator=generator) < 0.8
    return x, mask.index_fill(1, torch.tensor([0]), True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppresses warnings and log messages of the exporters."""
    logs = {log: log.level for log in map(logging.getLogger, ("torch.onnx", "onnx_ir", "onnxscript"))}
    try:
        for log in logs:
            log.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in logs.items():
            log.setLevel(level)
