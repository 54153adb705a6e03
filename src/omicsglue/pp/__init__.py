"""Preparation: coordinates, feature selection, PCA, LSI, CLR, metacells; for the rest there is scanpy."""

from __future__ import annotations

from omicsglue.pp.annotate import annotate_genes, annotate_peaks
from omicsglue.pp.clr import clr
from omicsglue.pp.features import detection, select_features
from omicsglue.pp.lsi import lsi
from omicsglue.pp.metacells import metacells
from omicsglue.pp.methylation import (
    hypomethylation_score,
    methylation_pca,
    methylation_rate,
    rate_layer,
    select_methylation,
)
from omicsglue.pp.methylation_counts import aggregate_methylation
from omicsglue.pp.pca import pca

__all__ = [
    "aggregate_methylation",
    "annotate_genes",
    "annotate_peaks",
    "clr",
    "detection",
    "hypomethylation_score",
    "lsi",
    "metacells",
    "methylation_pca",
    "methylation_rate",
    "pca",
    "rate_layer",
    "select_features",
    "select_methylation",
]
