"""Coordinates written to var."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from omicsglue.errors import AnnotationError, InputError, OmicsGlueWarning
from omicsglue.pp.annotate import annotate_genes, annotate_peaks

GENES = pd.DataFrame(
    {
        "chrom": ["chr1", "chr2"],
        "start": [10, 20],
        "end": [15, 30],
        "strand": ["+", "-"],
        "gene_id": ["ENSG00000000001.2", "ENSG00000000002.1"],
        "gene_name": ["A", "B"],
    }
)


def data(names: list[str], **var: object) -> ad.AnnData:
    return ad.AnnData(np.ones((2, len(names))), var=pd.DataFrame(var, index=names))


def test_genes_get_coordinates_and_the_unknown_stay() -> None:
    adata = data(["B", "C", "A"], other=[1, 2, 3])
    report = annotate_genes(adata, GENES)
    assert report.unmatched == ("C",)
    assert adata.var["start"].tolist() == [20, -1, 10]
    assert adata.var["strand"].tolist() == ["-", ".", "+"]
    assert adata.var["chrom"].isna().tolist() == [False, True, False]
    assert adata.var["other"].tolist() == [1, 2, 3]
    assert adata.shape == (2, 3)


def test_genes_by_a_column_of_var() -> None:
    adata = data(["x", "y"], gene_ids=["ENSG00000000002.7", "ENSG00000000001"])
    assert annotate_genes(adata, GENES, var_key="gene_ids").matched_on == "gene_id"
    assert adata.var["chrom"].tolist() == ["chr2", "chr1"]
    with pytest.raises(InputError, match="no column 'symbols'"):
        annotate_genes(adata, GENES, var_key="symbols")


def test_genes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "genes.bed").write_text("1\t5\t9\tA\t0\t+\n")
    adata = data(["A"])
    annotate_genes(adata, tmp_path / "genes.bed")
    assert adata.var.loc["A", ["chrom", "start", "end", "strand"]].tolist() == ["chr1", 5, 9, "+"]


def test_no_gene_found_changes_nothing() -> None:
    adata = data(["a", "b"])
    with pytest.raises(AnnotationError, match="none of the 2 genes"):
        annotate_genes(adata, GENES)
    assert list(adata.var.columns) == []


def test_few_matches_warn() -> None:
    with pytest.warns(OmicsGlueWarning, match="only 1 of 3 genes"):
        annotate_genes(data(["A", "x", "y"]), GENES)


def test_coordinates_survive_a_file(tmp_path: Path) -> None:
    adata = data(["A", "C", "B"])
    annotate_genes(adata, GENES)
    adata.write_h5ad(tmp_path / "a.h5ad")
    again = ad.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(again.var, adata.var)


def test_a_view_becomes_an_object_of_its_own() -> None:
    whole = data(["A", "B", "C"])
    view = whole[:, ["A", "B"]]
    annotate_genes(view, GENES)
    assert "chrom" in view.var
    assert "chrom" not in whole.var


def test_peaks_by_name_with_a_bad_minority() -> None:
    adata = data(["chr1:1-5", "peak2", "GL000194.1-5-9"])
    report = annotate_peaks(adata)
    assert (report.n_matched, report.unmatched, report.matched_on) == (2, ("peak2",), "names")
    assert adata.var["end"].tolist() == [5, -1, 9]
    assert "peak2" in str(report)


@pytest.mark.parametrize(
    "columns",
    [
        ("chrom", "start", "end"),
        ("chr", "start", "end"),
        ("seqnames", "start", "end"),
        ("Chromosome", "Start", "End"),
        ("chrom", "chromStart", "chromEnd"),
    ],
)
def test_peaks_by_columns(columns: tuple[str, str, str]) -> None:
    adata = data(["p1", "p2"], **dict(zip(columns, (["1", "chrX"], [3, 4], [5.0, 9.0]), strict=True)))
    report = annotate_peaks(adata)
    assert report.n_matched == 2
    assert adata.var[["chrom", "start", "end"]].values.tolist() == [["chr1", 3, 5], ["chrX", 4, 9]]
    assert columns[0] in report.matched_on


def test_bad_columns_are_reported() -> None:
    adata = data(
        ["a", "b", "c", "d"],
        chrom=["chr1", None, "chr1", "chr1"],
        start=[1, 1, 9, 2],
        end=["2", "5", "3", "8"],
    )
    report = annotate_peaks(adata)
    assert report.unmatched == ("b", "c")
    assert adata.var["chrom"].isna().tolist() == [False, True, True, False]


def test_no_peak_with_coordinates() -> None:
    adata = data(["peak1", "peak2"])
    with pytest.raises(AnnotationError, match="no coordinates could be read"):
        annotate_peaks(adata)
    assert list(adata.var.columns) == []


def test_annotating_twice_changes_nothing() -> None:
    adata = data(["chr1:1-5", "chr2_5_9"])
    annotate_peaks(adata)
    once = adata.var.copy()
    annotate_peaks(adata)
    pd.testing.assert_frame_equal(adata.var, once)


@pytest.mark.data
def test_methylation_with_its_own_columns(shared_data: Path) -> None:
    adata = ad.read_h5ad(shared_data / "methylation/mouse30_gene_mCG.h5ad")
    report = annotate_peaks(adata)
    assert report.n_matched == adata.n_vars
    assert (adata.var["start"] == adata.var["chromStart"]).all()
    assert set(adata.var["strand"]) <= {"+", "-", "."}
