"""Metacells of annotated data: sums, means, what is never mixed, and what is kept of the cells."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from omicsglue.errors import InputError, OptionError
from omicsglue.pp import metacells
from omicsglue.pp.metacells import sizes_of

CELLS, FEATURES, NUMBER = 240, 9, 24


@pytest.fixture
def adata() -> ad.AnnData:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, CELLS)
    counts = rng.poisson(1 + kind[:, None], (CELLS, FEATURES))
    obs = pd.DataFrame(
        {
            "donor": pd.Categorical(rng.choice(["d1", "d2"], CELLS)),
            "condition": rng.choice(["ill", "well"], CELLS),
            "cell_type": pd.Categorical.from_codes(kind, ["a", "b", "c"]),
            "depth": counts.sum(axis=1),
            "barcode": [f"b{i}" for i in range(CELLS)],
        },
        index=[f"cell{i}" for i in range(CELLS)],
    )
    x = (4 * np.eye(3, 6)[kind] + rng.normal(size=(CELLS, 6))).astype(np.float32)
    return ad.AnnData(
        sp.csr_matrix(counts.astype(np.float32)),
        obs=obs,
        var=pd.DataFrame({"chrom": "chr1"}, index=[f"g{i}" for i in range(FEATURES)]),
        obsm={"X_lsi": x},
        layers={
            "coverage": sp.csc_matrix(counts + 1),
            "scaled": rng.normal(size=counts.shape).astype(np.float32),
        },
    )


def members(adata: ad.AnnData, found: ad.AnnData) -> np.ndarray:
    return adata.obs["metacell"].cat.codes.to_numpy()


def test_counts_are_added_up_and_other_values_averaged(adata: ad.AnnData) -> None:
    found = metacells(adata, NUMBER, within=["donor", "condition"])
    code = members(adata, found)
    assert found.shape == (NUMBER, FEATURES)
    for group in range(NUMBER):
        cells = code == group
        np.testing.assert_array_equal(found.X[group].toarray(), adata.X[cells].sum(axis=0))
        np.testing.assert_array_equal(
            found.layers["coverage"][group].toarray(), adata.layers["coverage"][cells].sum(axis=0)
        )
        np.testing.assert_allclose(
            found.layers["scaled"][group], adata.layers["scaled"][cells].mean(axis=0), rtol=1e-4, atol=1e-6
        )
        np.testing.assert_allclose(
            found.obsm["X_lsi"][group], adata.obsm["X_lsi"][cells].mean(axis=0), rtol=1e-4, atol=1e-6
        )
        for column in ("donor", "condition"):
            assert set(adata.obs[column][cells]) == {found.obs[column].iloc[group]}
        assert found.obs["cell_type"].iloc[group] == adata.obs["cell_type"][cells].mode()[0] or (
            adata.obs["cell_type"][cells].value_counts().iloc[:2].nunique() == 1
        )
    np.testing.assert_array_equal(found.obs["n_cells"], np.bincount(code))
    np.testing.assert_allclose(found.obs["depth"], adata.obs["depth"].groupby(code).mean())
    assert "barcode" not in found.obs
    pd.testing.assert_frame_equal(found.var, adata.var)
    assert 0.9 < found.uns["metacells"]["purity"]["cell_type"] <= 1
    least, median, most = sizes_of(found)
    assert 1 < least <= median == pytest.approx(10, abs=3)
    assert most <= 31


def test_blocks_on_disk_give_the_same_and_membership_is_written(adata: ad.AnnData, tmp_path: Path) -> None:
    adata.write_h5ad(tmp_path / "in.h5ad")
    backed = ad.read_h5ad(tmp_path / "in.h5ad", backed="r")
    one, two = metacells(adata, NUMBER), metacells(backed, NUMBER)
    backed.file.close()
    np.testing.assert_array_equal(one.X.toarray(), two.X.toarray())
    two.write_h5ad(tmp_path / "out.h5ad")
    read = ad.read_h5ad(tmp_path / "out.h5ad")
    cells = read.uns["metacells"]["cells"]
    assert cells.index.tolist() == adata.obs_names.tolist()
    assert (cells["metacell"].astype(str) == adata.obs["metacell"].astype(str)).all()


def test_what_was_not_measured_is_left_out(adata: ad.AnnData) -> None:
    x = adata.layers["scaled"]
    x[::3, 0] = np.nan
    x[:, 1] = np.nan
    counts = adata.X.toarray()
    counts[5, :4] = np.nan
    adata.X = counts
    found = metacells(adata, NUMBER)
    code = members(adata, found)
    for group in range(NUMBER):
        part = x[code == group, 0]
        expected = np.nanmean(part) if np.isfinite(part).any() else np.nan
        assert found.layers["scaled"][group, 0] == pytest.approx(expected, rel=1e-4, abs=1e-6, nan_ok=True)
    assert np.isnan(found.layers["scaled"][:, 1]).all()
    np.testing.assert_array_equal(found.X.sum(axis=0), np.nansum(counts, axis=0))


def test_layers_may_be_chosen_and_n_left_out(adata: ad.AnnData) -> None:
    found = metacells(adata, layer="coverage", representation="X_lsi")
    assert found.n_obs == CELLS // 20
    assert list(found.layers) == ["coverage"]
    again = metacells(adata, layer="coverage", seed=1)
    assert not np.array_equal(found.X.toarray(), again.X.toarray())


def test_sums_beyond_single_precision_stay_exact(adata: ad.AnnData) -> None:
    adata.X = sp.csr_matrix(np.full(adata.shape, 2**23 + 1, dtype=np.float64))
    found = metacells(adata, 3)
    assert found.X.sum() == CELLS * FEATURES * (2**23 + 1)


def test_refusals(adata: ad.AnnData) -> None:
    with pytest.raises(InputError, match="no column 'plate'"):
        metacells(adata, within="plate")
    with pytest.raises(OptionError, match="4 combinations of donor, condition"):
        metacells(adata, 3, within=("donor", "condition"))
    with pytest.raises(OptionError, match="n is 0"):
        metacells(adata, 0)
    with pytest.raises(OptionError, match="no method 'seacells'"):
        metacells(adata, method="seacells")
    adata.obs.loc["cell7", "condition"] = None
    with pytest.raises(InputError, match="1 of 240 cells have no value: cell7"):
        metacells(adata, within="condition")
    adata.obsm["X_lsi"][3] = np.inf
    with pytest.raises(InputError, match="not finite: cell3"):
        metacells(adata)
    del adata.obsm["X_lsi"]
    with pytest.raises(InputError, match="no representation"):
        metacells(adata)
    assert "metacell" not in adata.obs
