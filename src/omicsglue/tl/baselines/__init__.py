"""Scores of links by methods that need no model: distance, correlation, LASSO, coaccessibility."""

from __future__ import annotations

from omicsglue.tl.baselines.cicero import coaccessibility
from omicsglue.tl.baselines.correlation import spearman
from omicsglue.tl.baselines.regression import lasso
from omicsglue.tl.baselines.scores import METHODS, baseline_scores

__all__ = ["METHODS", "baseline_scores", "coaccessibility", "lasso", "spearman"]
