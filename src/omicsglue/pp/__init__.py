"""Preparation: coordinates, feature selection, PCA, LSI and CLR; for the rest there is scanpy."""

from __future__ import annotations

from omicsglue.pp.annotate import annotate_genes, annotate_peaks
from omicsglue.pp.clr import clr
from omicsglue.pp.features import detection, select_features
from omicsglue.pp.lsi import lsi
from omicsglue.pp.pca import pca

__all__ = ["annotate_genes", "annotate_peaks", "clr", "detection", "lsi", "pca", "select_features"]
