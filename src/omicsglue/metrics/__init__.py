"""Scores of an integrated embedding, by their published definitions.

Functions of plain arrays: cells by dimensions, and one label a cell. All work in blocks, so that memory does
not grow with the square of the number of cells. Where cells are many, scores can be had of some of them, with
a standard error (``queries`` and ``most``). The formulas are in ``docs/metrics.md``.
"""

from __future__ import annotations

from omicsglue.metrics.biology import cell_type_asw, mean_average_precision, neighbour_conservation
from omicsglue.metrics.estimate import Estimate
from omicsglue.metrics.lisi import ilisi, lisi_per_cell
from omicsglue.metrics.matching import foscttm, foscttm_per_cell, label_transfer_accuracy
from omicsglue.metrics.mixing import graph_connectivity, omics_layer_asw, seurat_alignment_score
from omicsglue.metrics.summary import biology_summary, mixing_summary, overall_score

__all__ = [
    "Estimate",
    "biology_summary",
    "cell_type_asw",
    "foscttm",
    "foscttm_per_cell",
    "graph_connectivity",
    "ilisi",
    "label_transfer_accuracy",
    "lisi_per_cell",
    "mean_average_precision",
    "mixing_summary",
    "neighbour_conservation",
    "omics_layer_asw",
    "overall_score",
    "seurat_alignment_score",
]
