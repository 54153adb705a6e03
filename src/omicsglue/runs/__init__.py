"""Run folders: opening, reading, writing and scoring them."""

from __future__ import annotations

from omicsglue.runs.folder import RunFolder
from omicsglue.runs.score import score_run

__all__ = ["RunFolder", "score_run"]
