"""Guidance graphs: what is known beforehand of how features of different modalities belong together.

A `GuidanceGraph` has the features of all modalities as vertices and signed, weighted edges between them.
It comes from genome coordinates (`from_genome`), names (`by_name`, `from_proteins`), tables
(`from_table`, `read_graph`) or networkx (`from_networkx`); `compose` unites several, `check` compares
one with the data, `write_graph` keeps it.
"""

from __future__ import annotations

from omicsglue.genome.build import build_agreement
from omicsglue.graph.checks import GraphReport, check
from omicsglue.graph.composition import compose
from omicsglue.graph.convert import from_networkx, to_networkx
from omicsglue.graph.corruption import corrupt, drop_edges, flip_signs
from omicsglue.graph.guidance import GuidanceGraph, from_table
from omicsglue.graph.io import read_graph, write_graph
from omicsglue.graph.proteins import from_proteins
from omicsglue.graph.rules import by_name, from_genome

__all__ = [
    "GraphReport",
    "GuidanceGraph",
    "build_agreement",
    "by_name",
    "check",
    "compose",
    "corrupt",
    "drop_edges",
    "flip_signs",
    "from_genome",
    "from_networkx",
    "from_proteins",
    "from_table",
    "read_graph",
    "to_networkx",
    "write_graph",
]
