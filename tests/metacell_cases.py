"""Metacells that are refused, from Python and on the command line: titles, what makes them, and words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from omicsglue import pp


def _cells() -> ad.AnnData:
    obs = pd.DataFrame(
        {"donor": [f"donor{i % 3}" for i in range(12)]}, index=[f"cell{i + 1}" for i in range(12)]
    )
    return ad.AnnData(
        sp.csr_matrix(np.ones((12, 4), dtype=np.float32)),
        obs=obs,
        obsm={"X_lsi": np.random.default_rng(0).normal(size=(12, 3)).astype(np.float32)},
    )


def _grouped(n: int | None = 4, *, lacks: bool = False, bare: bool = False, **options: Any) -> None:
    adata = _cells()
    if lacks:
        adata.obs.loc["cell5", "donor"] = None
    if bare:
        del adata.obsm["X_lsi"]
    pp.metacells(adata, n, **options)


PAGE_CASES: list[tuple[str, Callable[[], None]]] = [
    ("metacells of cells without a representation", lambda: _grouped(bare=True)),
    ("metacells within a column that lacks values", lambda: _grouped(lacks=True, within="donor")),
    ("fewer metacells than donors", lambda: _grouped(2, within="donor")),
    ("no metacells", lambda: _grouped(0)),
    ("metacells by an unknown method", lambda: _grouped(method="leiden")),
]


def _command(*words: str, out: str = "meta.h5ad") -> list[str]:
    _cells().write_h5ad("cells.h5ad")
    return ["metacells", "cells.h5ad", "--out", out, *words]


COMMAND_CASES: list[tuple[str, Callable[[], list[str]], tuple[str, ...]]] = [
    (
        "metacells within an unknown column",
        lambda: _command("--within", "donnor"),
        ("donnor", "donor"),
    ),
    ("fewer metacells than donors", lambda: _command("--n", "2", "--within", "donor"), ("3 combinations",)),
    (
        "metacells by a representation that is not there",
        lambda: _command("--representation", "X_pca"),
        ("X_pca", "X_lsi"),
    ),
    ("metacells into another kind of file", lambda: _command(out="meta.csv"), ("--out", ".h5ad")),
    ("metacells over their own cells", lambda: _command(out="cells.h5ad"), ("--out", "another file")),
]
