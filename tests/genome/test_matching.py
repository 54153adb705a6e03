"""Genes found by name or id, and the explanations when they are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omicsglue.errors import AnnotationError, OptionError
from omicsglue.genome import MatchReport, match_genes, read_annotation

ANNOTATION = pd.DataFrame(
    [
        ("chr1", 100, 200, "+", "ENSG00000000001.4", "ACTB", "protein_coding"),
        ("chr1", 300, 500, "-", "ENSG00000000002.1", "TBCE", "protein_coding"),
        ("chr1", 600, 900, "-", "ENSG00000000003.1", "TBCE", "protein_coding"),
        ("GL000194.1", 0, 99_999, "+", "ENSG00000000004.1", "TBCE", "protein_coding"),
        ("chr2", 0, 50_000, "+", "ENSG00000000005.1", "TBCE", "lncRNA"),
        ("chrY", 10, 5000, "+", "ENSG00000000006.7_PAR_Y", "SHOX", "protein_coding"),
        ("chrX", 10, 5000, "+", "ENSG00000000006.7", "SHOX", "protein_coding"),
        ("GL000009.2", 5, 9, "+", "ENSG00000000007.1", "ONLYHERE", "protein_coding"),
    ],
    columns=["chrom", "start", "end", "strand", "gene_id", "gene_name", "gene_type"],
)


def test_names_come_back_in_order_with_the_unmatched_marked() -> None:
    match = match_genes(["nope", "ACTB"], ANNOTATION)
    table = match.coordinates
    assert pd.isna(table["chrom"][0])
    assert table.loc[0, ["start", "end", "strand"]].tolist() == [-1, -1, "."]
    assert table.loc[1, ["chrom", "start", "end", "strand"]].tolist() == ["chr1", 100, 200, "+"]
    assert table["start"].dtype == table["end"].dtype == np.int64
    assert match.report == MatchReport("genes", 2, 1, "gene_name", ("nope",))


@pytest.mark.parametrize(
    ("query", "gene_id"),
    [
        ("TBCE", "ENSG00000000003.1"),  # whole chromosome, protein-coding, longest
        ("SHOX", "ENSG00000000006.7"),  # X before Y
        ("ONLYHERE", "ENSG00000000007.1"),
        ("ENSG00000000006", "ENSG00000000006.7"),
        ("ENSG00000000006.99", "ENSG00000000006.7"),
        ("ENSG00000000006_PAR_Y", "ENSG00000000006.7_PAR_Y"),
    ],
)
def test_one_place_is_chosen(query: str, gene_id: str) -> None:
    assert match_genes([query], ANNOTATION).coordinates["gene_id"].tolist() == [gene_id]


def test_choice_does_not_depend_on_the_order_of_the_file() -> None:
    for seed in range(5):
        shuffled = ANNOTATION.sample(frac=1, random_state=seed)
        assert match_genes(["TBCE", "SHOX"], shuffled).coordinates["start"].tolist() == [600, 10]


def test_ambiguous_names_are_counted() -> None:
    report = match_genes(["TBCE", "ACTB", "SHOX"], ANNOTATION).report
    assert report.n_ambiguous == 2
    assert "2 had several places" in str(report)


def test_auto_takes_the_key_with_more_matches() -> None:
    ids = ["ENSG00000000001", "ENSG00000000002", "ACTB"]
    assert match_genes(ids, ANNOTATION).report.matched_on == "gene_id"
    assert match_genes(ids, ANNOTATION, "gene_name").report.n_matched == 1


@pytest.mark.parametrize(
    ("names", "match_on", "reason"),
    [
        (["Actb", "Tbce"], "auto", "differ in case"),
        (["ENSG00000000001"], "gene_name", "match_on='gene_id'"),
        (["ACTB"], "gene_id", "match_on='gene_name'"),
        (["ENSMUSG00000000001"], "auto", "different species"),
        (["chr1:100-200", "chr2-5-9"], "auto", "annotate_peaks"),
        (["foo"], "auto", "right species"),
    ],
)
def test_no_match_is_explained(names: list[str], match_on: str, reason: str) -> None:
    with pytest.raises(AnnotationError, match=reason) as caught:
        match_genes(names, ANNOTATION, match_on)  # type: ignore[arg-type]
    assert names[0] in str(caught.value)
    assert "ACTB" in str(caught.value) or "ENSG00000000001" in str(caught.value)


def test_ids_against_an_annotation_of_names() -> None:
    bed = ANNOTATION.assign(gene_id=ANNOTATION["gene_name"])
    with pytest.raises(AnnotationError, match="the annotation does not"):
        match_genes(["ENSG00000000001"], bed)


def test_a_users_own_table_needs_only_names_and_places() -> None:
    table = ANNOTATION[["chrom", "start", "end", "gene_name"]]
    assert match_genes(["ACTB"], table).coordinates.loc[0, "strand"] == "."
    with pytest.raises(AnnotationError, match="lacks the column"):
        match_genes(["ACTB"], table.drop(columns="start"))


def test_unknown_key_is_refused() -> None:
    with pytest.raises(OptionError, match="symbol"):
        match_genes(["ACTB"], ANNOTATION, "symbol")  # type: ignore[arg-type]


def test_no_genes_match_nothing() -> None:
    assert match_genes([], ANNOTATION).report.n_features == 0


@pytest.mark.data
def test_real_names(shared_data: Path) -> None:
    import anndata as ad

    rna = ad.read_h5ad(shared_data / "snare_mini/rna.h5ad")
    annotation = read_annotation(shared_data / "annotation/mm10.genes.gtf.gz")
    report = match_genes(rna.var_names, annotation).report
    assert (report.n_matched, report.n_unmatched, report.matched_on) == (1597, 80, "gene_name")
    human = read_annotation(shared_data / "annotation/hg38.genes.gtf.gz")
    with pytest.raises(AnnotationError, match="gene_id"):
        match_genes(rna.var_names, human, "gene_id")
