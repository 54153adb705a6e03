"""Sphinx configuration: Markdown pages, executed notebooks and the reference from docstrings."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx
    from sphinx.config import Config

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "src"))

import omicsglue  # noqa: E402 (the path comes first)

project = "omicsglue"
author = "The omicsglue developers"
copyright = author
version = release = omicsglue.__version__

extensions = ["sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon", "myst_nb"]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "jupyter_execute", "**.ipynb_checkpoints"]
html_theme = "furo"
html_title = f"omicsglue {release}"

autosummary_generate = True
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
napoleon_attr_annotations = False
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "amsmath"]
myst_heading_anchors = 3
# Tutorials run when their code has changed since the last build: remove docs/_build to run them in any case
nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 600  # seconds a cell: some train a model, perhaps on a busy machine
nb_execution_in_temp = True
nb_output_stderr = "remove"  # progress, and paths of the machine in warnings

NAMESPACES = ("pp", "genome", "graph", "tl", "metrics", "pl", "runs", "datasets", "errors")


def public_names(module: ModuleType) -> list[str]:
    """Return the public names of a module that are not modules themselves, in the order given there."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [
            name for name, item in vars(module).items() if getattr(item, "__module__", "") == module.__name__
        ]
    return [
        name
        for name in names
        if not name.startswith("_")
        and not inspect.ismodule(getattr(module, name))
        and callable(getattr(module, name))
    ]


def exists(full_name: str) -> bool:
    """Return whether there is such a module in the source (a folder without one does not count)."""
    spec = find_spec(full_name)
    return spec is not None and spec.origin is not None


def write_reference(_app: Sphinx, _config: Config) -> None:
    """Write the page that lists every public name, from which autosummary makes a page for each."""
    lines = [
        "# Reference",
        "",
        "`import omicsglue as og` gives every name below; nothing else is public.",
        "",
    ]
    homes: dict[int, str] = {}  # what a namespace gives again is described once
    described: set[str] = set()
    for namespace in ("", *NAMESPACES):
        full_name = f"omicsglue.{namespace}".rstrip(".")
        if not exists(full_name):
            continue
        module = import_module(full_name)
        public = public_names(module)
        if not public:
            continue
        again = {name: homes[id(item)] for name in public if id(item := getattr(module, name)) in homes}
        names = [name for name in public if name not in again]
        homes |= {id(getattr(module, name)): full_name for name in names}
        described |= {f"{full_name}.{name}" for name in names}
        title = (inspect.getdoc(module) or "").partition("\n")[0]
        lines += [f"## {full_name}", "", title, "", "```{eval-rst}", f".. currentmodule:: {full_name}", ""]
        lines += [
            ".. autosummary::",
            "   :toctree: generated",
            "",
            *[f"   {name}" for name in names],
            "```",
            "",
            *[f"`{name}` is that of `{home}`.\n" for name, home in again.items()],
        ]
    page = HERE / "api" / "index.md"
    page.parent.mkdir(exist_ok=True)
    for old in (page.parent / "generated").glob("*.rst"):
        if old.stem not in described:
            old.unlink()
    text = "\n".join(lines)
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Connect what is written before Sphinx looks for pages."""
    app.connect("config-inited", write_reference)
