"""Genome coordinates, names of genes, peaks and proteins: annotation, evidence, pairs of intervals."""

from __future__ import annotations

from omicsglue.genome.annotation import read_annotation
from omicsglue.genome.binding import BindingSites, binding_matrix, read_binding
from omicsglue.genome.evidence import Evidence, read_evidence
from omicsglue.genome.intervals import IntervalPairs, has_coordinates, window_pairs
from omicsglue.genome.matching import GeneMatch, MatchReport, match_genes
from omicsglue.genome.names import chrom_keys, harmonise_chroms, parse_peak_names
from omicsglue.genome.proteins import ProteinReport, protein_genes, read_protein_table

__all__ = [
    "BindingSites",
    "Evidence",
    "GeneMatch",
    "IntervalPairs",
    "MatchReport",
    "ProteinReport",
    "binding_matrix",
    "chrom_keys",
    "harmonise_chroms",
    "has_coordinates",
    "match_genes",
    "parse_peak_names",
    "protein_genes",
    "read_annotation",
    "read_binding",
    "read_evidence",
    "read_protein_table",
    "window_pairs",
]
