"""Genome coordinates: annotation files, names of chromosomes, genes and peaks, pairs of intervals."""

from __future__ import annotations

from omicsglue.genome.annotation import read_annotation
from omicsglue.genome.binding import BindingSites, binding_matrix, read_binding
from omicsglue.genome.evidence import Evidence, read_evidence
from omicsglue.genome.intervals import IntervalPairs, has_coordinates, window_pairs
from omicsglue.genome.matching import GeneMatch, MatchReport, match_genes
from omicsglue.genome.names import chrom_keys, harmonise_chroms, parse_peak_names

__all__ = [
    "BindingSites",
    "Evidence",
    "GeneMatch",
    "IntervalPairs",
    "MatchReport",
    "binding_matrix",
    "chrom_keys",
    "harmonise_chroms",
    "has_coordinates",
    "match_genes",
    "parse_peak_names",
    "read_annotation",
    "read_binding",
    "read_evidence",
    "window_pairs",
]
