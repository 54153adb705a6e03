"""Genome coordinates: annotation files, names of chromosomes, genes and peaks, pairs of intervals."""

from __future__ import annotations

from omicsglue.genome.annotation import read_annotation
from omicsglue.genome.intervals import IntervalPairs, has_coordinates, window_pairs
from omicsglue.genome.matching import GeneMatch, MatchReport, match_genes
from omicsglue.genome.names import chrom_keys, harmonise_chroms, parse_peak_names

__all__ = [
    "GeneMatch",
    "IntervalPairs",
    "MatchReport",
    "chrom_keys",
    "harmonise_chroms",
    "has_coordinates",
    "match_genes",
    "parse_peak_names",
    "read_annotation",
    "window_pairs",
]
