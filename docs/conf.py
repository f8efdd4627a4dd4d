"""Builds the manual: ``sphinx-build -W --keep-going docs docs/_build/html``."""

import shutil
from pathlib import Path

import lgrin

HERE = Path(__file__).parent

project = "lgrin"
author = "the lgrin authors"
copyright = author
version = release = lgrin.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode", "myst_nb"]
exclude_patterns = ["_build", "tables", "**.ipynb_checkpoints"]
html_theme = "furo"
html_title = f"lgrin {lgrin.__version__}"
html_static_path: list[str] = []
pygments_style = "friendly"

myst_enable_extensions = ["colon_fence", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are executed by the tests and stored with their output

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say shapes and units
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_custom_sections = [("Shapes", "notes_style"), ("Source", "notes_style")]
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_use_admonition_for_examples = False


def copy_notebooks(app):
    """Sphinx reads nothing from outside its folder, and the notebooks are examples."""
    target = HERE / "notebooks"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(HERE.parent / "examples" / "notebooks", target, ignore=shutil.ignore_patterns(".*"))


def hide_inherited(app, what, name, obj, skip, options):
    """Leaves out what a class has from torch and Lightning."""
    module = getattr(obj, "__module__", None) or getattr(getattr(obj, "fget", None), "__module__", None)
    return True if module and not module.startswith("lgrin") and what in ("class", "exception") else None


def setup(app):
    """Connects both to Sphinx."""
    app.connect("config-inited", lambda app, config: copy_notebooks(app))
    app.connect("autodoc-skip-member", hide_inherited)
