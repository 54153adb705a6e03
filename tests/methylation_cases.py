"""Methylation that is refused, from Python and on the command line: titles, what makes them, and words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import scipy.sparse as sp

from omicsglue import pp

_ROWS = "chr1\t10005\t+\tCGA\t1\t2\t1\nchr1\t10009\t+\tCAC\t0\t3\t1\n"


def _allc(content: str = _ROWS) -> str:
    Path("allc_cell1.tsv").write_text(content, encoding="utf-8")
    return "allc_cell1.tsv"


def _genes(chrom: str = "chr1") -> str:
    Path("places.bed").write_text(f"{chrom}\t10000\t14000\tGene1\t0\t+\n", encoding="utf-8")
    return "places.bed"


def _aggregate(content: str = _ROWS, *, chrom: str = "chr1", context: str = "CG") -> None:
    pp.aggregate_methylation(_allc(content), annotation=_genes(chrom), context=context)


def _empty_folder() -> None:
    Path("calls").mkdir()
    Path("calls/notes.md").write_text("", encoding="utf-8")
    pp.aggregate_methylation("calls", annotation=_genes())


def _swapped() -> None:
    adata = ad.AnnData(sp.csr_matrix(np.full((3, 2), 4, dtype=np.float32)))
    adata.layers["coverage"] = sp.csr_matrix(np.full((3, 2), 2, dtype=np.float32))
    pp.methylation_rate(adata)


def _without_coverage() -> None:
    pp.methylation_rate(ad.AnnData(np.ones((3, 2), dtype=np.float32)))


PAGE_CASES: list[tuple[str, Callable[[], None]]] = [
    ("more methylated than covered reads", _swapped),
    ("no layer of covered reads", _without_coverage),
    (
        "a line of a table with more methylated than covered reads",
        lambda: _aggregate("chr1\t9\t+\tCGA\t3\t2\t1\n"),
    ),
    ("a table of another kind", lambda: _aggregate("chr1\t100\t200\tpeak1\n")),
    ("a context that the tables do not hold", lambda: _aggregate(context="CTN")),
    ("a context that is none", lambda: _aggregate(context="XG")),
    ("chromosomes of another genome", lambda: _aggregate(chrom="scaffold_9")),
    ("a folder without tables", _empty_folder),
]


def _command(*words: str) -> list[str]:
    return ["methylation", _allc(), "--annotation", "genes.gtf", "--out", "meth.h5ad", *words]


COMMAND_CASES: list[tuple[str, Callable[[], list[str]], tuple[str, ...]]] = [
    (
        "no table of methylation calls",
        lambda: ["methylation", "--annotation", "genes.gtf", "--out", "meth.h5ad"],
        ("no table of methylation calls", "--cells"),
    ),
    ("context that is not in the tables", lambda: _command("--context", "CTN"), ("CTN", "CAC, CGA")),
    ("unknown kind of region", lambda: _command("--regions", "genes"), ("--regions", "gene_body")),
    ("bins without a length", lambda: _command("--regions", "bins"), ("bins:100000",)),
    (
        "methylation into another kind of file",
        lambda: ["methylation", _allc(), "--annotation", "genes.gtf", "--out", "meth.csv"],
        ("--out", ".h5ad"),
    ),
]
