"""Feature selection: truly variable features, whatever holds the counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from omicsglue.errors import InputError, OptionError
from omicsglue.pp import detection, select_features

CELLS, FEATURES, VARIABLE = 300, 120, 15


@pytest.fixture
def counts() -> np.ndarray:
    """Return Poisson counts in which the first features differ fivefold between two groups of cells."""
    rng = np.random.default_rng(0)
    rate = rng.uniform(0.5, 8.0, FEATURES)
    mean = np.tile(rate, (CELLS, 1))
    mean[: CELLS // 2, :VARIABLE] = 1.0
    mean[CELLS // 2 :, :VARIABLE] = 5.0
    mean *= rng.uniform(0.5, 2.0, CELLS)[:, None]
    return rng.poisson(mean).astype(np.float32)


def adata_of(counts: Any, **options: Any) -> ad.AnnData:
    names = pd.Index([f"g{i}" for i in range(counts.shape[1])])
    return ad.AnnData(counts, var=pd.DataFrame(index=names), **options)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_detection_counts_cells(counts: np.ndarray, form: Any) -> None:
    found = detection(adata_of(form(counts)))
    assert found.dtype == np.int64
    assert np.array_equal(found, (counts > 0).sum(axis=0))


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_truly_variable_features_are_selected(counts: np.ndarray, form: Any) -> None:
    adata = adata_of(form(counts))
    selected = select_features(adata, VARIABLE)
    assert np.array_equal(np.flatnonzero(selected), np.arange(VARIABLE))
    assert np.array_equal(adata.var["highly_variable"].to_numpy(), selected)
    assert list(adata.var) == ["highly_variable"]


def test_a_backed_file_gives_the_same(counts: np.ndarray, tmp_path: Path) -> None:
    adata_of(sp.csr_matrix(counts)).write_h5ad(tmp_path / "x.h5ad")
    backed = ad.read_h5ad(tmp_path / "x.h5ad", backed="r")
    selected = select_features(backed, 20)
    backed.file.close()
    assert np.array_equal(selected, select_features(adata_of(counts), 20))


def test_a_layer_is_used_where_named(counts: np.ndarray) -> None:
    adata = adata_of(np.ones_like(counts), layers={"counts": counts})
    assert select_features(adata, VARIABLE, layer="counts")[:VARIABLE].all()


def test_cells_without_counts_do_not_matter(counts: np.ndarray) -> None:
    padded = np.concatenate([counts, np.zeros((50, FEATURES), dtype=np.float32)])
    assert np.array_equal(select_features(adata_of(padded), 30), select_features(adata_of(counts), 30))


def test_a_difference_between_batches_alone_is_not_variability(counts: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    batch = np.where(np.arange(CELLS) % 2, "a", "b")
    counts[:, -VARIABLE:] = rng.poisson(np.where(batch == "a", 1.0, 9.0)[:, None], (CELLS, VARIABLE))
    adata = adata_of(counts, obs=pd.DataFrame({"batch": batch}, index=[f"c{i}" for i in range(CELLS)]))
    assert select_features(adata, VARIABLE)[-VARIABLE:].any()
    within = select_features(adata, VARIABLE, batch_key="batch")
    assert within[:VARIABLE].all()


def test_undetected_and_rare_features_are_never_selected(counts: np.ndarray) -> None:
    counts[:, 3] = 0
    counts[:, 4] = 0
    counts[:2, 4] = 90
    assert np.array_equal(select_features(adata_of(counts), None), np.arange(FEATURES) != 3)
    rare = select_features(adata_of(counts), VARIABLE, min_cells=3)
    assert not rare[[3, 4]].any()
    assert rare.sum() == VARIABLE


def test_all_that_is_detected_is_selected_where_there_is_no_more(counts: np.ndarray) -> None:
    assert select_features(adata_of(counts), FEATURES + 5).all()
    assert select_features(adata_of(np.round(counts) + 0.5), None).all()  # no ranking, no counts needed


def test_wrong_options_are_refused(counts: np.ndarray) -> None:
    with pytest.raises(OptionError, match="n_top=0"):
        select_features(adata_of(counts), 0)
    with pytest.raises(OptionError, match="min_cells=-1"):
        select_features(adata_of(counts), min_cells=-1)
    with pytest.raises(InputError, match="nowhere"):
        select_features(adata_of(counts), 5, layer="nowhere")
    with pytest.raises(InputError, match="donor"):
        select_features(adata_of(counts), 5, batch_key="donor")


def test_what_are_no_counts_is_refused(counts: np.ndarray) -> None:
    adata = adata_of(np.log1p(counts))
    with pytest.raises(InputError, match="fractional"):
        select_features(adata, 5)
    assert "highly_variable" not in adata.var
