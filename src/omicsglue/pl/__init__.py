"""Pictures: each function returns a figure and shows nothing."""

from __future__ import annotations

from omicsglue.pl.activity import link_activity
from omicsglue.pl.calibration import calibration, link_distance
from omicsglue.pl.cells import umap_coordinates
from omicsglue.pl.curves import training
from omicsglue.pl.embedding import umap
from omicsglue.pl.explained import explained
from omicsglue.pl.histograms import balancing_weights, edge_distances
from omicsglue.pl.network import tf_network
from omicsglue.pl.tracks import links

__all__ = [
    "balancing_weights",
    "calibration",
    "edge_distances",
    "explained",
    "link_activity",
    "link_distance",
    "links",
    "tf_network",
    "training",
    "umap",
    "umap_coordinates",
]
