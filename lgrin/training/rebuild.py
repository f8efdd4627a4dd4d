"""Which networks a checkpoint can build again by itself, and what it says of the others."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn import Module

from lgrin.models.registry import MODEL, from_config, settings_of
from lgrin.nn.adjacency.starts import STORED
from lgrin.text import one_line
from lgrin.training.structure import class_name, differences, structure


def difference_from_config(model: Module) -> str:
    """Says what keeps the configuration of a network from building it again.

    Args:
        model: Any network.

    Returns:
        What it is, in words; empty if nothing does.

    Example:
        >>> from lgrin import LGrIN
        >>> model = LGrIN(3, 5, 2)
        >>> difference_from_config(model), difference_from_config(torch.nn.Linear(3, 2))
        ('', 'a torch.nn.modules.linear.Linear(...)')
        >>> model.head = torch.nn.Linear(model.embed_channels, 2)
        >>> difference_from_config(model)[:83]
        'a lgrin.models.lgrin.LGrIN whose head is torch.nn.modules.linear.Linear instead of '
    """
    kind, settings = class_name(model), settings_of(MODEL, model)
    if settings is None:
        return _without_settings(model, kind)
    with torch.random.fork_rng([]), torch.device("meta"):
        again = from_config(settings)
    for path, now, then in differences(structure(model, ""), structure(again, "")):
        if then != STORED:  # a start that is not kept: the weights are what became of it
            return f"a {kind} whose {path.lstrip('.')} is {now} instead of {then}"
    return ""


def _without_settings(model: Module, kind: str) -> str:
    """Describes a network that has no configuration, or whose class no configuration may name."""
    config = getattr(model, "config", None)
    if config is None and type(model).__name__ in MODEL.table:
        parts = ", ".join(f"{name}={type(part).__name__}" for name, part in model.named_children())
        return f"a {kind} that was given modules or functions as arguments and has the parts {parts}"
    arguments = ", ".join(f"{name}={value!r}" for name, value in (config or {}).items())
    return f"a {kind}({arguments or '...'})"


def check_rebuilds(checkpoint: Mapping[str, Any], path: str | Path) -> None:
    """Raises unless the network of a checkpoint can be built from what it holds.

    Args:
        checkpoint: Its content.
        path: Its file.

    Raises:
        TypeError: Saying what it holds, and the way out.

    Example:
        >>> check_rebuilds({"network": "a lgrin.baselines.cnn.CNN(in_channels=3)"}, "best.ckpt")
        Traceback (most recent call last):
        ...
        TypeError: best.ckpt holds a lgrin.baselines.cnn.CNN(in_channels=3), which no keywords in it build again; ...
    """
    found = checkpoint["network"] if "network" in checkpoint else _by_its_weights(checkpoint)
    if found:
        found = one_line(found, 2_000)
        raise TypeError(
            f"{path} holds {found}, which no keywords in it build again; build that module as for training and pass "
            f"model= beside the path, SequenceClassifier.load_from_checkpoint(path, model=module), or load the entries "
            f"of its state_dict that begin with 'model.' into the module"
        )


def _by_its_weights(checkpoint: Mapping[str, Any]) -> str:
    """The same of a checkpoint that an older version wrote, as far as names and shapes of weights tell."""
    config = checkpoint["hyper_parameters"].get("model")
    if config is None:
        return "a network that was given modules as arguments"
    held = {name: list(value.shape) for name, value in checkpoint["state_dict"].items() if name.startswith("model.")}
    try:
        with torch.random.fork_rng([]), torch.device("meta"):
            built = {f"model.{name}": list(value.shape) for name, value in from_config(config).state_dict().items()}
    except (TypeError, ValueError) as error:
        return f"another network than LGrIN, whose keywords are {config} ({error})"
    for name, then, now in differences(built, held):
        return f"another network than LGrIN(**{config}): {name} has the shape {now} instead of {then}"
    return ""
