"""Builds the manual: ``sphinx-build -W --keep-going docs docs/_build/html``.

Names of other libraries become links to their manuals only if the environment variable ``LGRIN_DOCS_ONLINE`` is set,
so that a build without a network asks for nothing and warns of nothing.
"""

import os
import re
import shutil
import sys
import zlib
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

import lgrin

HERE = Path(__file__).parent

project = "lgrin"
author = "the lgrin authors"
copyright = author
version = release = lgrin.__version__
extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "myst_nb",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "tables", "**.ipynb_checkpoints"]
html_theme = "furo"
html_title = f"lgrin {lgrin.__version__}"
html_static_path = ["_static"]
html_css_files = ["lgrin.css"]
pygments_style = "friendly"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are executed by the tests and stored with their output

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say shapes and units
autodoc_default_options = {"members": True, "show-inheritance": True}
autosummary_ignore_module_all = False  # a module's page lists what its __all__ does
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_custom_sections = [("Shapes", "notes_style"), ("Source", "notes_style")]
napoleon_use_ivar = True
strip_signature_backslash = True  # napoleon then keeps the underscore of classes_
napoleon_use_rtype = False
napoleon_use_admonition_for_examples = False

MANUALS = {
    "python": "https://docs.python.org/3/",
    "torch": "https://docs.pytorch.org/docs/stable/",
    "numpy": "https://numpy.org/doc/stable/",
    "torch_geometric": "https://pytorch-geometric.readthedocs.io/en/latest/",
    "sklearn": "https://scikit-learn.org/stable/",
}
NO_NAMES = HERE / "api" / "generated" / "objects.inv"  # stands in for a manual that does not answer
intersphinx_mapping = {
    name: (address, (None, str(NO_NAMES))) for name, address in MANUALS.items() if "LGRIN_DOCS_ONLINE" in os.environ
}
intersphinx_timeout = 10


def clear_reference():
    """Removes the pages of an earlier build, whose classes may be gone."""
    shutil.rmtree(NO_NAMES.parent, ignore_errors=True)
    NO_NAMES.parent.mkdir()
    head = "# Sphinx inventory version 2\n# Project: none\n# Version: 0\n# Compressed with zlib.\n"
    NO_NAMES.write_bytes(head.encode() + zlib.compress(b""))


def copy_notebooks():
    """Copies the examples' notebooks, since Sphinx reads nothing from outside its folder."""
    target = HERE / "notebooks"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(HERE.parent / "examples" / "notebooks", target, ignore=shutil.ignore_patterns(".*"))


def hide_inherited(app, what, name, obj, skip, options):
    """Leaves out what a class has from torch and Lightning, and fields of a NamedTuple, which its docstring lists."""
    if type(obj).__name__ == "_tuplegetter":
        return True
    module = getattr(obj, "__module__", None) or getattr(getattr(obj, "fget", None), "__module__", None)
    return True if module and not module.startswith("lgrin") and what in ("class", "exception") else None


def name_bases(app, name, obj, options, bases):
    """Names a base class as its users import it, ``torch.nn.Module`` and not ``torch.nn.modules.module.Module``."""
    for place, base in enumerate(bases):
        parts = getattr(base, "__module__", "").split(".")
        homes = [".".join(parts[:count]) for count in range(1, len(parts))]
        public = [home for home in homes if getattr(sys.modules.get(home), base.__name__, None) is base]
        if public:
            bases[place] = f":py:class:`{public[0]}.{base.__name__}`"


def find_exported(app, env, node, contnode):
    """Finds what the package itself exports, as ``lgrin.LGrIN``, on the pages of ``lgrin.models``."""
    target = node.get("reftarget") or ""
    if node.get("refdomain") == "py" and target.startswith("lgrin."):
        target = target.replace("lgrin.", "lgrin.models.", 1)
        python = env.get_domain("py")
        return python.resolve_xref(env, node["refdoc"], app.builder, node["reftype"], target, node, contnode)
    return None


def leave_out_links(app, docname, source):
    """Leaves out the link to a table that stands above the table itself; viewers of Markdown show the link alone."""
    source[0] = re.sub(r"^\[The table\]\(tables/\S+\):\n\n(?=```\{include\})", "", source[0], flags=re.MULTILINE)


def link_names(app, doctree):
    """Links names that a page writes as code, such as `lgrin.nn.GStarConv`, which every viewer of Markdown shows."""
    for literal in list(doctree.findall(nodes.literal)):
        name = literal.astext()
        if re.fullmatch(r"lgrin(\.\w+)+", name) and isinstance(literal.parent, nodes.paragraph | nodes.entry):
            place = {"refdomain": "py", "reftype": "obj", "refdoc": app.env.docname, "refwarn": False}
            literal.replace_self(addnodes.pending_xref("", literal.deepcopy(), reftarget=name, **place))


def setup(app):
    """Connects the functions above to Sphinx."""
    app.connect("config-inited", lambda app, config: (clear_reference(), copy_notebooks()))
    app.connect("autodoc-skip-member", hide_inherited)
    app.connect("autodoc-process-bases", name_bases)
    app.connect("missing-reference", find_exported)
    app.connect("source-read", leave_out_links)
    app.connect("doctree-read", link_names)
