"""The graph of proteins and the genes that make them."""

from __future__ import annotations

import pytest

from omicsglue.errors import GraphError
from omicsglue.genome import protein_genes
from omicsglue.graph import from_proteins
from omicsglue.graph.proteins import protein_graph

GENES = ["CD3E", "CD3D", "PTPRC", "OTHER"]


def test_complexes_and_isoforms_are_linked() -> None:
    graph = from_proteins(GENES, ["CD3", "CD45RA", "CD45RO", "IgG1", "CD19"], sign=-1)
    table = graph.to_frame()
    assert list(zip(table["source"], table["target"], strict=True)) == [
        ("CD3E", "CD3"),
        ("CD3D", "CD3"),
        ("PTPRC", "CD45RA"),
        ("PTPRC", "CD45RO"),
    ]
    assert set(table["sign"]) == {-1}
    assert set(table["kind"]) == {"protein"}
    assert graph.vertices.tolist() == [*GENES, "CD3", "CD45RA", "CD45RO"]


def test_a_table_of_the_user() -> None:
    graph = from_proteins(GENES, ["x"], {"x": "OTHER"})
    assert graph.to_frame()[["source", "target"]].to_numpy().tolist() == [["OTHER", "x"]]


def test_nothing_to_link_is_refused() -> None:
    with pytest.raises(GraphError, match=r"none of the 2 proteins \(CD19, foo\)[\s\S]*--protein-genes"):
        from_proteins(GENES, ["CD19", "foo"])
    with pytest.raises(GraphError, match=r"adt: none of the 1 proteins \(IgG1\)"):
        protein_graph(GENES, protein_genes(["IgG1"], GENES), where="adt")


def test_genes_that_were_not_selected_are_left_out() -> None:
    report = protein_genes(["CD3", "CD45"], GENES)
    graph = protein_graph(["CD3E", "OTHER"], report)
    assert graph.to_frame()[["source", "target"]].to_numpy().tolist() == [["CD3E", "CD3"]]
