"""Evidence that names its pairs, and places laid over named features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omicsglue.errors import InputError
from omicsglue.genome.evidence import Evidence, read_evidence
from omicsglue.tl.evidence import evidence_edges, match_evidence

GENES, ELEMENTS = ["A", "B", "C"], ["x", "y", "z", "w"]


def places(names: list[str], step: int, length: int) -> pd.DataFrame:
    start = step * np.arange(1, len(names) + 1)
    table = {"chrom": "chr1", "start": start, "end": start + length, "strand": "+"}
    return pd.DataFrame(table, index=pd.Index(names))


def all_pairs() -> pd.DataFrame:
    genes = places(GENES, 100_000, 5_000).add_prefix("source_").rename_axis("source").reset_index()
    elements = places(ELEMENTS, 70_000, 500).add_prefix("target_").rename_axis("target").reset_index()
    return genes.merge(elements, how="cross")


LINKS = all_pairs()


def named(folder: Path, rows: list[tuple[str, str, bool]], *, tested: bool = True) -> Evidence:
    table = pd.DataFrame(rows, columns=["source", "target", "positive"])
    kept = table if tested else table.drop(columns="positive")
    kept.to_csv(folder / "pairs.csv", index=False)
    return read_evidence(folder / "pairs.csv")


@given(
    st.lists(
        st.tuples(st.sampled_from([*GENES, "D"]), st.sampled_from([*ELEMENTS, "v"]), st.booleans()),
        min_size=1,
        max_size=12,
    ),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_pairs_match_by_name_as_by_hand(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, bool]], tested: bool
) -> None:
    evidence = named(tmp_path_factory.mktemp("x"), rows, tested=tested)
    links = LINKS.sample(frac=1, random_state=0)
    there = {(gene, element) for gene, element, _ in rows}
    true = {(gene, element) for gene, element, positive in rows if positive or not tested}
    pairs = list(zip(links["source"], links["target"], strict=True))
    if not there & set(pairs):
        with pytest.raises(InputError, match="meets no candidate pair"):
            match_evidence(links, evidence)
        return
    found = match_evidence(links, evidence)
    assert found.index.equals(links.index)
    assert found.name == "evidence_pairs"
    alike = not tested or all(positive for *_, positive in rows)  # then other pairs are no links
    expected = [pair in true if pair in there or alike else None for pair in pairs]
    assert [None if pd.isna(value) else bool(value) for value in found] == expected


def test_genes_match_by_id_too(tmp_path: Path) -> None:
    evidence = named(tmp_path, [("ENSG00000000002.7", "y", True)])
    found = match_evidence(LINKS, evidence, gene_ids={"B": "ENSG00000000002.1"})
    assert LINKS.loc[found, ["source", "target"]].to_numpy().tolist() == [["B", "y"]]
    with pytest.raises(InputError, match="genes found for 0 and elements for 1 of 1 pairs") as caught:
        match_evidence(LINKS, evidence)
    assert "Ensembl id" in caught.value.remedy


@pytest.mark.parametrize(
    ("row", "what", "remedy"),
    [
        (("a", "x", True), "genes are called a there and A, B, C here", "differ in case only"),
        (("D", "x", True), "genes found for 0 and elements for 1 of 1", "same species"),
        (("A", "chr1:5-9", True), "elements are called chr1:5-9 there and x, y, z", "Name elements as"),
        (("A", "w", True), "genes found for 1 and elements for 1 of 1", "farther apart than the window"),
    ],
)
def test_why_nothing_matches(tmp_path: Path, row: tuple[str, str, bool], what: str, remedy: str) -> None:
    near = LINKS[~((LINKS["source"] == "A") & (LINKS["target"] == "w"))]
    with pytest.raises(InputError) as caught:
        match_evidence(near, named(tmp_path, [row]))
    assert what in caught.value.what
    assert remedy in caught.value.remedy
    assert caught.value.where == "pairs"


def test_pairs_make_edges(tmp_path: Path) -> None:
    evidence = named(tmp_path, [("A", "x", True), ("B", "z", False), ("C", "w", True), ("C", "v", True)])
    genes, elements = places(GENES, 100_000, 5_000), places(ELEMENTS, 70_000, 500)
    edges = evidence_edges(evidence, genes, elements)
    assert edges[["source", "target", "kind"]].to_numpy().tolist() == [
        ["A", "x", "pairs"],
        ["C", "w", "pairs"],
    ]
    assert edges["distance"].tolist() == [98_000 - 70_500, 298_000 - 280_500]
    near = evidence_edges(evidence, genes, elements, max_distance=20_000)
    assert near["source"].tolist() == ["C"]
