"""Command lines about data on disk that are refused, for the page of errors and the tests of commands."""

from __future__ import annotations

import anndata as ad
import scipy.sparse as sp


def matrix_by_column() -> list[str]:
    """A matrix stored by column that is to stay on disk."""
    adata = ad.read_h5ad("rna.h5ad")
    adata.X = sp.csc_matrix(adata.X)
    adata.write_h5ad("rna.h5ad")
    inputs = ["--modality", "rna=rna.h5ad", "--modality", "atac=atac.h5ad", "--annotation", "genes.gtf"]
    return ["integrate", *inputs, "--out", "RUN", "--backed", "always"]


def parts_with_the_same_cells() -> list[str]:
    """Two files of a modality whose cells have the same names."""
    ad.read_h5ad("rna.h5ad").write_h5ad("rna2.h5ad")
    return ["convert", "rna.h5ad", "rna2.h5ad", "--out", "rna.zarr"]


CASES = [
    ("matrix by column that is to stay on disk", matrix_by_column, ("rna", "CSC", "omicsglue convert")),
    (
        "converted to another kind of file",
        lambda: ["convert", "rna.h5ad", "--out", "rna.csv"],
        ("--out", "rna.csv", ".zarr"),
    ),
    (
        "converted into itself",
        lambda: ["convert", "rna.h5ad", "--out", "rna.h5ad", "--overwrite"],
        ("--out", "rna.h5ad"),
    ),
    (
        "converted files with other features",
        lambda: ["convert", "rna.h5ad", "atac.h5ad", "--out", "all.zarr"],
        ("16 features", "Gene1"),
    ),
    ("converted files with the same cells", parts_with_the_same_cells, ("cell1", "--prefix")),
]
