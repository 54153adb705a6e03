"""The report of a run."""

from __future__ import annotations

from omicsglue.report.page import write_report

__all__ = ["write_report"]
