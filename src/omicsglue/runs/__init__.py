"""Run folders: opening, reading, writing and scoring them."""

from __future__ import annotations

from omicsglue.runs.folder import RunFolder
from omicsglue.runs.link_files import read_links, write_bedpe, write_interact, write_links
from omicsglue.runs.score import score_run

__all__ = ["RunFolder", "read_links", "score_run", "write_bedpe", "write_interact", "write_links"]
