"""The centred log-ratio, compared with its formula."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from omicsglue.errors import InputError, OptionError
from omicsglue.pp import clr

NAMES = ["CD3", "CD4", "IgG1 isotype", "CD19", "Mouse IgG2a"]


def panel(seed: int = 0, cells: int = 40) -> ad.AnnData:
    counts = np.random.default_rng(seed).negative_binomial(2, 0.1, size=(cells, len(NAMES)))
    return ad.AnnData(sp.csr_matrix(counts.astype(np.float32)), var=pd.DataFrame(index=NAMES))


def test_values_are_logs_of_ratios_to_the_geometric_mean() -> None:
    adata = panel()
    counts = adata.X.toarray()[:, [0, 1, 3]] + 1.0
    geometric = np.exp(np.log(counts).mean(axis=1, keepdims=True))
    found = clr(adata)
    np.testing.assert_allclose(found, np.log(counts / geometric), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.sum(axis=1), 0, atol=1e-5)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(adata.obsm["X_clr"], found)
    across = clr(adata, axis="features", key_added="X_other")
    geometric = np.exp(np.log(counts).mean(axis=0, keepdims=True))
    np.testing.assert_allclose(across, np.log(counts / geometric), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(adata.obsm["X_other"], across)


def test_depth_of_a_cell_hardly_matters_where_counts_are_high() -> None:
    adata = panel()
    adata.X = (adata.X * 1000).tocsr()
    adata.layers["deep"] = (adata.X * 7).tocsr()
    kept = adata.X.toarray()[:, [0, 1, 3]].min(axis=1) > 0
    np.testing.assert_allclose(clr(adata)[kept], clr(adata, layer="deep")[kept], atol=2e-3)


def test_isotype_controls_are_dropped_kept_or_regressed_on() -> None:
    adata = panel(cells=300)
    assert clr(adata).shape == (300, 3)
    assert clr(adata, isotypes="keep").shape == (300, 5)
    logged = np.log1p(adata.X.toarray())
    for axis, depth in (("cells", logged[:, [0, 1, 3]].mean(axis=1)), ("features", 0.0)):
        values = clr(adata, axis=axis, isotypes="regress")  # type: ignore[arg-type]
        background = logged[:, [2, 4]].mean(axis=1) - depth
        before = clr(adata, axis=axis)  # type: ignore[arg-type]
        assert abs(np.corrcoef(before[:, 0], background)[0, 1]) > 0.01
        for column in values.T:
            assert abs(np.corrcoef(column, background)[0, 1]) < 1e-4


def test_cells_without_counts_are_zero() -> None:
    adata = panel()
    adata.X[3] = 0
    assert not clr(adata)[3].any()


def test_what_cannot_be_used_is_refused() -> None:
    adata = panel()
    with pytest.raises(OptionError, match="axis is 'genes'"):
        clr(adata, axis="genes")  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="isotypes is 'remove'"):
        clr(adata, isotypes="remove")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="at least 2 proteins, found 1 beside 2 isotype"):
        clr(adata[:, [0, 2, 4]].copy())
    with pytest.raises(InputError, match="no background"):
        clr(adata[:, [0, 1, 3]].copy(), isotypes="regress")
    adata.X = -adata.X
    with pytest.raises(InputError, match="negative"):
        clr(adata)
