"""The whole run: from counts and an annotation to a run folder. What ``og.integrate`` and the command line call."""

from __future__ import annotations

from omicsglue.pipeline.integrate import Integration, integrate
from omicsglue.pipeline.options import IntegrateOptions

__all__ = ["IntegrateOptions", "Integration", "integrate"]
