"""What a network is made of, as plain values that a checkpoint can keep and another run can be compared with."""

import functools
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from torch import Tensor
from torch.nn import Module
from torch.nn.parameter import is_lazy

from lgrin.datasets.sequences import describe
from lgrin.extras import optional

with optional("train"):
    from lightning import LightningModule
    from torchmetrics import Metric

Plain: TypeAlias = bool | int | float | str | Sequence["Plain"] | Mapping[str, "Plain"] | None
OF_EVERY_CLASSIFIER = frozenset({*vars(LightningModule()), "label_names"})
OF_EVERY_MODULE = frozenset(vars(Module()))
OF_A_PROCESS = frozenset({"synchronized", "process_group"})  # how a batch norm is shared says nothing of the network
LONGEST = 200  # characters of a value that is kept as it is


def structure(module: Module, name: str = "model") -> dict[str, Plain]:
    """Lists the class, the settings and the shapes of the weights of a module and of every module in it.

    Settings are the public attributes. Values of weights are left out, so the structure stays as it is in training.

    Args:
        module: The module.
        name: What its own path begins with.

    Returns:
        Plain values by path: numbers, texts, and lists of them.

    Example:
        >>> import torch
        >>> structure(torch.nn.Dropout(0.5), "dropout")
        {'dropout': 'torch.nn.modules.dropout.Dropout', 'dropout.p': 0.5, 'dropout.inplace': False}
    """
    found: dict[str, Plain] = {}
    for path, part in module.named_modules(prefix=name):
        found[path] = class_name(part)
        found |= settings(part, path, OF_EVERY_MODULE | OF_A_PROCESS)
        for key, tensor in (*part._parameters.items(), *part._buffers.items()):
            found[f"{path}.{key}"] = None if tensor is None else "lazy" if is_lazy(tensor) else list(tensor.shape)
    return found


def make_up(classifier: LightningModule) -> dict[str, Plain]:
    """Lists all of a classifier that stays as it is while it trains: its structure, dtypes and weights that are frozen.

    Args:
        classifier: A :class:`lgrin.training.SequenceClassifier`, before training.

    Returns:
        Plain values by path.

    Example:
        >>> from lgrin.training import SequenceClassifier
        >>> keywords = {"in_channels": 2, "num_nodes": 3, "num_classes": 2}
        >>> make_up(SequenceClassifier(keywords, num_sequences=9))["model.readout.parts"]
        ['max', 'learned', 'mean']
    """
    found = {"classifier": class_name(classifier), **settings(classifier, "classifier", OF_EVERY_CLASSIFIER)}
    for name, part in classifier.named_children():
        if not isinstance(part, Metric):
            found |= structure(part, name)
    for name, weight in classifier.named_parameters():
        frozen = not (weight.requires_grad or is_lazy(weight))
        found[f"{name}, kind"] = [str(weight.dtype), plain(weight.detach()) if frozen else "trained"]
    return found


def settings(owner: object, path: str, without: Iterable[str] = ()) -> dict[str, Plain]:
    """Lists the public attributes of an object as plain values, those of a dictionary one by one.

    Args:
        owner: The object.
        path: What their paths begin with.
        without: Attributes to leave out.

    Returns:
        Plain values by path.

    Example:
        >>> from types import SimpleNamespace
        >>> settings(SimpleNamespace(width=3, config={"act": "relu"}, _cache=[]), "model")
        {'model.width': 3, "model.config['act']": 'relu'}
    """
    found: dict[str, Plain] = {}
    for key, value in vars(owner).items():
        if key in without or key.startswith("_"):
            continue
        if isinstance(value, Mapping):
            found |= {f"{path}.{key}[{name!r}]": _short(plain(one)) for name, one in value.items()}
        else:
            found[f"{path}.{key}"] = _short(plain(value))
    return found


def class_name(thing: object) -> str:
    """Names the class of an object, or a class or function itself, with its module.

    Example:
        >>> class_name(Module()), class_name(len)
        ('torch.nn.modules.module.Module', 'builtins.len')
    """
    named = thing if hasattr(thing, "__qualname__") else type(thing)
    return f"{named.__module__}.{named.__qualname__}"


def differences(now: Mapping[str, Plain], then: Mapping[str, Plain]) -> Iterator[tuple[str, Plain, Plain]]:
    """Yields what differs between two structures: the path and both values, ``None`` where one has no such path.

    Example:
        >>> list(differences({"model.p": 0.1, "model.width": 3}, {"model.p": 0.5, "model.width": 3}))
        [('model.p', 0.1, 0.5)]
    """
    for path in dict.fromkeys((*now, *then)):
        if path not in now or path not in then or now[path] != then[path]:
            yield path, now.get(path), then.get(path)


def plain(value: object) -> Plain:
    """Turns a value into numbers, texts and lists that are the same in every process.

    Example:
        >>> plain((1, float("nan"), functools.partial(len), {"b": np.float64(0.5)}))
        [1, 'nan', ['functools.partial', ['builtins.len', [], {}]], {'b': 0.5}]
    """
    if value is None or type(value) in (bool, int, str):
        return value  # type: ignore[return-value]  # which mypy does not read off type(value)
    if isinstance(value, float):
        return float(value) if value == value else "nan"
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Mapping):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, set | frozenset):
        return sorted(str(plain(one)) for one in value)
    if isinstance(value, functools.partial):
        return [class_name(value), plain((value.func, value.args, value.keywords))]
    if isinstance(value, Tensor | np.ndarray) and not getattr(value, "is_meta", False):
        return describe("value", value)
    if isinstance(value, Tensor | Module):
        return class_name(value)
    return _name(value)


def _name(value: object) -> str:
    """Names a function, class or object; functions without a name of their own by their code."""
    name = class_name(value)
    text = _code(value) if "<" in name else "" if hasattr(value, "__qualname__") else repr(value)
    return f"{name} {text}" if text and " at 0x" not in text else name


def _code(function: object) -> str:
    try:
        return describe("value", function)
    except ValueError:  # it reads what cannot be described
        return ""


def _short(value: Plain) -> Plain:
    text = repr(value)
    return value if len(text) <= LONGEST else f"sha256 {hashlib.sha256(text.encode()).hexdigest()}"
