"""The whole run: from counts and an annotation to a run folder."""

from __future__ import annotations

from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.run import Integration, integrate

__all__ = ["IntegrateOptions", "Integration", "integrate"]
