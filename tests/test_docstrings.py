"""Public docstrings are whole: a sentence, every argument, what is returned and raised, shapes, source, an example."""

import ast
import importlib
import inspect
import re
import textwrap
from pathlib import Path

import pytest

MODULES = [
    "lgrin",
    *(
        f"lgrin.{name}"
        for name in [
            "baselines",
            "datasets",
            "export",
            "features",
            "graph",
            "hub",
            "loader",
            "models",
            "nn",
            "sklearn",
            "aeon",
            "training",
            "transforms",
            "validate",
            "visualization",
        ]
    ),
    "lgrin.training.statistics",
]
LAYERS = ("lgrin.nn", "lgrin.models", "lgrin.baselines")  # have tensors coming in and out, and a source
SECTION = re.compile(r"^(\w+):$", re.MULTILINE)


def public():
    """Every public class and function by its full name."""
    found = {}
    for module in map(importlib.import_module, MODULES):
        names = getattr(module, "__all__", None) or [name for name in vars(module) if not name.startswith("_")]
        for name in names:
            thing = getattr(module, name)
            is_ours = getattr(thing, "__module__", "").startswith("lgrin") and (
                inspect.isclass(thing) or inspect.isfunction(thing)
            )
            if is_ours:
                found[f"{thing.__module__}.{thing.__qualname__}"] = thing
    return found


PUBLIC = public()


def is_record(thing):
    """Whether it is a named tuple that holds values and does nothing."""
    names = [name for name, value in vars(thing).items() if inspect.isfunction(value) and not name.startswith("_")]
    return hasattr(thing, "_fields") and not names


def sections(thing):
    """The parts of a docstring by name; the text before the first is ``""``."""
    parts = SECTION.split(inspect.cleandoc(thing.__doc__ or ""))
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def described(thing):
    """The arguments and attributes of which a docstring, or that of a class it inherits from, says something."""
    told = [sections(one) for one in (inspect.getmro(thing) if inspect.isclass(thing) else [thing])]
    text = "".join(one.get("Args", "") + one.get("Attributes", "") for one in told)
    return {
        name.strip(" *") for names in re.findall(r"^ {4}([\w, *]+):", text, re.MULTILINE) for name in names.split(",")
    }


def parameters(thing):
    """The names that a call takes, without ``self``."""
    if inspect.isclass(thing) and not getattr(thing.__init__, "__module__", "").startswith("lgrin"):
        return list(getattr(thing, "_fields", ()))
    return [name for name in inspect.signature(thing).parameters if name != "self"]


def does(function, kind, value):
    """Whether a function returns or raises something."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    return any(isinstance(node, kind) and getattr(node, value) is not None for node in ast.walk(tree))


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_docstring_is_whole(name):
    thing, found = PUBLIC[name], sections(PUBLIC[name])
    assert re.match(r"[^\n]+[.?]( |\n|$)", found[""]), "begins with a sentence"
    assert is_record(thing) or ">>>" in found.get("Example", ""), "has an example that runs"
    lacking = set(parameters(thing)) - described(thing)
    assert not lacking, f"says nothing of {lacking}"
    if inspect.isfunction(thing):
        assert "Returns" in found or not does(thing, ast.Return, "value"), "does not say what it returns"
        assert "Raises" in found or not does(thing, ast.Raise, "exc"), "does not say what it raises"


@pytest.mark.parametrize("name", [name for name in PUBLIC if name.startswith(LAYERS) and inspect.isclass(PUBLIC[name])])
def test_a_layer_says_its_shapes_and_its_source(name):
    assert {"Shapes", "Source"} <= set(sections(PUBLIC[name]))


def test_every_public_module_is_in_the_reference():
    index = (Path(__file__).parent.parent / "docs" / "api" / "index.md").read_text()
    listed = re.findall(r"^   (lgrin[\w.]*)$", index, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(MODULES) - set(listed) == {"lgrin"}, "what lgrin itself exports stands on the pages of its modules"
