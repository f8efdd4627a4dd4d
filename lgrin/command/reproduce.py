"""``lgrin reproduce``: runs a study, where the repository is."""

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

import lgrin


def run(options: argparse.Namespace) -> Any:
    """Runs ``examples.reproduce`` of the clone in which lgrin lies, or in which the command was typed.

    Args:
        options: The options of ``lgrin reproduce``.

    Returns:
        What the study returns.

    Raises:
        FileNotFoundError: If there is no clone.
    """
    places = [Path.cwd(), Path(str(lgrin.__file__)).parents[1]]
    clone = next((place for place in places if (place / "examples" / "reproduce").is_dir()), None)
    if clone is None:
        raise FileNotFoundError(
            "the studies are not part of the installed package; clone the repository of lgrin and run this in it"
        )
    sys.path.insert(0, str(clone))
    module = importlib.import_module("examples.reproduce.__main__")
    return module.main(["--help"] if options.study is None else [options.study, *options.options])
