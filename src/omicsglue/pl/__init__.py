"""Pictures: each function returns a figure and shows nothing."""

from __future__ import annotations

from omicsglue.pl.cells import umap_coordinates
from omicsglue.pl.curves import training
from omicsglue.pl.embedding import umap
from omicsglue.pl.histograms import balancing_weights, edge_distances

__all__ = ["balancing_weights", "edge_distances", "training", "umap", "umap_coordinates"]
