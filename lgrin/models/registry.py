"""Which class a stored configuration names.

A configuration is a dictionary of plain values: ``name``, the class, and its arguments. A class can be named if it
stands in one of the tables, so a file can ask for nothing else to be run.
"""

from collections.abc import Mapping, Sequence
from pkgutil import resolve_name
from typing import Any, NamedTuple

from torch import Tensor
from torch.nn import Module

from lgrin.nn import GraphReadout
from lgrin.nn.adjacency import ADJACENCIES
from lgrin.nn.adjacency.starts import STORED

READOUTS: dict[str, Any] = {"GraphReadout": GraphReadout, "SortReadout": "lgrin.baselines.sort_readout:SortReadout"}
MODELS: dict[str, Any] = {
    "LGrIN": "lgrin.models.lgrin:LGrIN",
    "MultimodalLGrIN": "lgrin.models.multimodal:MultimodalLGrIN",
    "BLSTM": "lgrin.baselines.blstm:BLSTM",
    "CNN": "lgrin.baselines.cnn:CNN",
    "CNNLSTM": "lgrin.baselines.cnn_lstm:CNNLSTM",
    "GCN": "lgrin.baselines.gcn:GCN",
    "LSTMCTC": "lgrin.baselines.lstm_ctc:LSTMCTC",
    "PatchyDiff": "lgrin.baselines.patchy_diff:PatchyDiff",
    "PatchySAN": "lgrin.baselines.patchy_san:PatchySAN",
    "SENet": "lgrin.baselines.se_net:SENet",
    "FilterBank": "lgrin.models.bank:FilterBank",
    "Blend": "lgrin.models.blend:Blend",
}


class Role(NamedTuple):
    """What a configuration stands for.

    Attributes:
        name: What errors call it.
        table: Its classes, each by its ``__name__``; a text is the class's address, imported when it is needed.
        default: The class of a configuration that names none.
        maker: The method of the class that builds it, by name; empty where the class itself is called.
    """

    name: str
    table: dict[str, Any]
    default: str
    maker: str = ""


ADJACENCY = Role("adjacency", ADJACENCIES, "LearnableAdjacency", maker="for_frames")
READOUT = Role("readout", READOUTS, "GraphReadout")
MODEL = Role("model", MODELS, "LGrIN")


def class_named(role: Role, name: Any) -> Any:
    """Finds a class in a table.

    Args:
        role: What it is to be.
        name: Its name.

    Returns:
        The class.

    Raises:
        ValueError: If the table has no such name.

    Example:
        >>> class_named(READOUT, "GraphReadout").__name__
        'GraphReadout'
    """
    if not isinstance(name, str) or name not in role.table:
        raise ValueError(f"{role.name} has the name {name!r}; it may be {', '.join(role.table)}")
    found = role.table[name]
    return resolve_name(found) if isinstance(found, str) else found


def build(role: Role, settings: Mapping[str, Any], *sizes: Any) -> Module:
    """Builds what a configuration describes.

    Args:
        role: What it stands for.
        settings: The configuration.
        *sizes: Arguments that come first and are not part of it.

    Returns:
        The module, its weights drawn anew.

    Raises:
        TypeError: If the class has no such argument.
        ValueError: If the name is not known, or an argument out of range.

    Example:
        >>> build(ADJACENCY, {"name": "LearnableAdjacency", "init": "lazy"}, 5)
        LearnableAdjacency(5, init='lazy')
    """
    arguments = {name: value for name, value in settings.items() if name != "name"}
    kind = class_named(role, settings.get("name", role.default))
    module: Module = (getattr(kind, role.maker) if role.maker else kind)(*sizes, **arguments)
    return module


def settings_of(role: Role, module: Any) -> dict[str, Any] | None:
    """Reads the configuration off a module.

    Args:
        role: What it stands for.
        module: The module.

    Returns:
        The configuration, from which :func:`build` makes a module of the same class; ``None`` where there is none: the
        class is in no table, or an argument is no plain value.

    Example:
        >>> settings_of(READOUT, GraphReadout(5, parts=("mean",)))
        {'name': 'GraphReadout', 'parts': ('mean',), 'init': 'mean'}
    """
    kind, config = type(module), getattr(module, "config", None)
    if config is None or kind.__name__ not in role.table or class_named(role, kind.__name__) is not kind:
        return None
    return {"name": kind.__name__, **config}


def plain_settings(arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """Turns arguments into what every file holds: Python's own numbers, texts, lists, tuples and dictionaries.

    Matrices to start from become ``"stored"``, since the weights hold what became of them.

    Args:
        arguments: The arguments by name.

    Returns:
        The same as plain values; ``None`` if one is anything else, such as a function.

    Example:
        >>> import torch
        >>> plain_settings({"init": torch.eye(3), "normalize": "row"})
        {'init': 'stored', 'normalize': 'row'}
        >>> print(plain_settings({"nonnegativity": torch.exp}))
        None
    """
    try:
        return {name: _plain(value) for name, value in arguments.items()}
    except TypeError:
        return None


def _plain(value: Any) -> Any:
    if isinstance(value, Tensor):
        return STORED
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str) and not hasattr(value, "_fields"):
        return [_plain(one) for one in value] if isinstance(value, list) else tuple(_plain(one) for one in value)
    value = value.item() if hasattr(value, "item") else value  # a number of NumPy
    if value is not None and type(value) not in (bool, int, float, str):
        raise TypeError(f"a {type(value).__name__} is no plain value")
    return value


def from_config(config: Mapping[str, Any]) -> Any:
    """Builds the model of a configuration.

    Args:
        config: ``name``, by default ``"LGrIN"`` (or ``"MultimodalLGrIN"`` where there are modalities), and the
            arguments of that class.

    Returns:
        The model, its weights drawn anew.

    Raises:
        ValueError: If the name is not known, or an argument out of range.

    Example:
        >>> type(from_config({"in_channels": 3, "num_nodes": 5, "num_classes": 2})).__name__
        'LGrIN'
        >>> type(from_config({"name": "CNN", "in_channels": 3, "num_nodes": 32, "num_classes": 2})).__name__
        'CNN'
    """
    return build(MODEL, {"name": "MultimodalLGrIN", **config} if "modalities" in config else config)
