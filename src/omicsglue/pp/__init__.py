"""Preparation: coordinates, feature selection, representations. For the rest, scanpy's own functions serve."""

from __future__ import annotations

from omicsglue.pp.annotate import annotate_genes, annotate_peaks
from omicsglue.pp.features import detection, select_features
from omicsglue.pp.lsi import lsi
from omicsglue.pp.pca import pca

__all__ = ["annotate_genes", "annotate_peaks", "detection", "lsi", "pca", "select_features"]
