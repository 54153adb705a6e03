"""Graph-linked unified embedding of single-cell multi-omics.

>>> import omicsglue as og

Names are imported when they are first used, so that importing the package costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from omicsglue import datasets, errors, genome, graph, metrics, pl, pp, report, runs, tl
    from omicsglue.errors import OmicsGlueError, OmicsGlueWarning
    from omicsglue.model import GLUE
    from omicsglue.pipeline import Integration, integrate
    from omicsglue.pipeline.convert import convert
    from omicsglue.recipe import Recipe

__version__ = "0.1.0"

_ROOMS = ("datasets", "errors", "genome", "graph", "metrics", "pl", "pp", "report", "runs", "tl")
_NAMES = {
    "GLUE": "omicsglue.model",
    "Integration": "omicsglue.pipeline",
    "OmicsGlueError": "omicsglue.errors",
    "OmicsGlueWarning": "omicsglue.errors",
    "Recipe": "omicsglue.recipe",
    "convert": "omicsglue.pipeline.convert",
    "integrate": "omicsglue.pipeline",
}

__all__ = [
    "GLUE",
    "Integration",
    "OmicsGlueError",
    "OmicsGlueWarning",
    "Recipe",
    "convert",
    "datasets",
    "errors",
    "genome",
    "graph",
    "integrate",
    "metrics",
    "pl",
    "pp",
    "report",
    "runs",
    "tl",
]


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in _ROOMS:
        return importlib.import_module(f"omicsglue.{name}")
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'omicsglue' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]
