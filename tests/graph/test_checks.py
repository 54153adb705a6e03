"""Graph against data."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from omicsglue.errors import GraphError, OmicsGlueWarning
from omicsglue.graph import GuidanceGraph, check, from_table


def graph(**columns: list) -> GuidanceGraph:
    return from_table(pd.DataFrame({"source": ["g1", "g1"], "target": ["p1", "p2"], **columns}))


def test_counts() -> None:
    report = check(graph(), {"rna": ["g1", "g2"], "atac": ["p1", "p2", "p3"]})
    assert report.n_features == {"rna": 2, "atac": 3}
    assert report.n_in_graph == {"rna": 1, "atac": 2}
    assert report.n_edges_between == {("rna", "atac"): 2}
    assert "atac: 2 of 3 features in the graph" in str(report)


def test_edges_inside_a_modality_are_allowed() -> None:
    inside = graph().add_edges(pd.DataFrame({"source": ["p1"], "target": ["p2"]}))
    report = inside.check({"atac": ["p1", "p2"], "rna": ["g1"]})
    assert report.n_edges_between == {("atac", "atac"): 1, ("atac", "rna"): 2}


def test_unknown_features_are_refused() -> None:
    with pytest.raises(GraphError, match="that no modality has: p2"):
        check(graph(), {"rna": ["g1"], "atac": ["p1"]})


def test_no_edge_is_refused() -> None:
    nothing = GuidanceGraph(np.array(["g1"], dtype=object), np.array([], dtype=int), np.array([], dtype=int))
    with pytest.raises(GraphError, match="no edge"):
        check(nothing, {"rna": ["g1"], "atac": ["p1"]})


def test_one_name_in_two_modalities_is_refused() -> None:
    with pytest.raises(GraphError, match="rna and atac: the same feature names in both: g1"):
        check(graph(), {"rna": ["g1", "x"], "atac": ["p1", "p2", "g1"]})


def test_a_name_twice_in_a_modality_is_refused() -> None:
    with pytest.raises(GraphError, match="atac: features named more than once: p1"):
        check(graph(), {"rna": ["g1"], "atac": ["p1", "p1", "p2"]})


def test_isolated_vertices_are_told() -> None:
    lonely = GuidanceGraph.from_frame(graph().to_frame(), ["g1", "g2", "p1", "p2"])
    with pytest.warns(OmicsGlueWarning, match="1 of 4 vertices have no edge"):
        report = check(lonely, {"rna": ["g1", "g2"], "atac": ["p1", "p2"]})
    assert report.isolated == ("g2",)
    assert "without edges: g2" in str(report)


def test_a_modality_without_links_is_told() -> None:
    with pytest.warns(OmicsGlueWarning, match="no edge links prot"):
        check(graph(), {"rna": ["g1"], "atac": ["p1", "p2"], "prot": ["CD4"]})
