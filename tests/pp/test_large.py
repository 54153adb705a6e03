"""Preparation of data on disk that are too large to hold: the same as in memory, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata.abc import CSRDataset

from counts_on_disk import FORMATS, backed, named, on_disk
from omicsglue.errors import InputError, OmicsGlueWarning
from omicsglue.pp import (
    blocks,
    clr,
    decomposition,
    detection,
    lsi,
    lsi_blocks,
    pca,
    pca_blocks,
    select_features,
)

CELLS, FEATURES = 420, 300
forms = pytest.mark.parametrize("form", FORMATS)


@pytest.fixture
def counts() -> ad.AnnData:
    """Return sparse counts of five types of cells, with depths that differ."""
    rng = np.random.default_rng(0)
    profile = rng.gamma(0.4, 1.0, (5, FEATURES)) + 0.05
    mean = profile[np.arange(CELLS) % 5] * rng.uniform(0.3, 2.0, CELLS)[:, None]
    adata = named(rng.poisson(mean).astype(np.float32))
    adata.obs["batch"] = pd.Categorical(np.where(np.arange(CELLS) < 60, "small", "large"))
    adata.var["note"] = np.arange(FEATURES)
    return adata


@pytest.fixture
def never_whole(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Make everything on disk large, refuse to load it, and note how many cells are read at a time."""
    read: list[int] = []
    inner = blocks._read

    def noted(matrix: Any, ends: Any, first: int, end: int) -> sp.csr_matrix:
        read.append(end - first)
        return inner(matrix, ends, first, end)

    def refuse(_: Any) -> None:
        raise AssertionError("a matrix on disk was loaded")

    monkeypatch.setattr(blocks, "ON_DISK_BYTES", 0)
    monkeypatch.setattr(blocks, "BLOCK_CELLS", 50)
    monkeypatch.setattr(blocks, "_read", noted)
    for kind in (ad._core.sparse_dataset._CSRDataset, CSRDataset):
        monkeypatch.setattr(kind, "to_memory", refuse)
    yield read
    assert read
    assert max(read) <= 50


def same_components(found: np.ndarray, expected: np.ndarray, within: float) -> None:
    assert found.dtype == np.float32
    assert found.shape == expected.shape
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, atol=within * expected.std(), rtol=0)


@forms
def test_pca_is_that_of_memory_in_three_passes(
    counts: ad.AnnData, form: str, never_whole: list[int], tmp_path: Path
) -> None:
    chosen = np.arange(FEATURES) % 3 > 0
    expected = pca(counts, 12, features=chosen)
    with on_disk(counts, tmp_path, form) as stored:
        found = pca(stored, 12, features=chosen)
        assert stored.obsm["X_pca"] is found or np.array_equal(stored.obsm["X_pca"], found)
        assert isinstance(stored.X, CSRDataset)
    same_components(found, expected, 1e-4)
    assert sum(never_whole) == 3 * CELLS


@forms
def test_pca_of_too_many_features_for_their_products_is_the_same(
    counts: ad.AnnData, form: str, never_whole: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = pca(counts, 12)
    monkeypatch.setattr(pca_blocks, "MOST_FOR_GRAM", 100)
    monkeypatch.setattr(pca_blocks, "SAMPLE_ENTRIES", 200 * FEATURES)
    monkeypatch.setattr(decomposition, "MORE", 5)
    with on_disk(counts, tmp_path, form) as stored:
        same_components(pca(stored, 12), expected, 0.01)
    assert sum(never_whole) == 8 * CELLS


@forms
def test_lsi_is_that_of_memory_in_six_passes(
    counts: ad.AnnData, form: str, never_whole: list[int], tmp_path: Path
) -> None:
    expected = lsi(counts, 20)
    with on_disk(counts, tmp_path, form) as stored:
        same_components(lsi(stored, 20), expected, 0.01)
    assert sum(never_whole) == 6 * CELLS


@pytest.mark.usefixtures("never_whole")
@forms
def test_lsi_begun_on_a_sample_is_near_that_of_memory_and_repeats(
    counts: ad.AnnData, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = lsi(counts, 20)
    monkeypatch.setattr(lsi_blocks, "SAMPLE_NONZEROS", counts.X.nnz // 3)
    with on_disk(counts, tmp_path, form, layer=None) as stored:
        found, again, other = (lsi(stored, 20, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(found, again)
    assert not np.array_equal(found, other)
    # The edge of the noise is found on the sample too: it moves how far components are shrunk
    shared = min(found.shape[1], expected.shape[1])
    correlation = [abs(np.corrcoef(found[:, i], expected[:, i])[0, 1]) for i in range(shared)]
    assert shared >= 4
    assert min(correlation[:4]) > 0.999
    np.testing.assert_allclose(found[:, :4].std(0), expected[:, :4].std(0), rtol=0.05)


@pytest.mark.usefixtures("never_whole")
def test_a_layer_on_disk_and_cells_without_counts(counts: ad.AnnData, tmp_path: Path) -> None:
    values = counts.X.toarray()
    values[[2, 9]] = 0
    values[:, 5] = 0
    whole = ad.AnnData(sp.csr_matrix(values), obs=counts.obs, var=counts.var)
    layered = ad.AnnData(obs=counts.obs, var=counts.var, layers={"counts": whole.X})
    with on_disk(layered, tmp_path, "zarr", layer="counts") as stored:
        same_components(pca(stored, 10, layer="counts"), pca(whole, 10), 1e-4)
        found = lsi(stored, 10, layer="counts")
        assert list(stored.obsm) == ["X_pca", "X_lsi"]
    same_components(found, lsi(whole, 10), 0.03)  # the edge of the noise is that of another permutation
    assert np.array_equal(found[2], found[9])


@pytest.mark.usefixtures("never_whole")
def test_what_is_large_in_memory_takes_the_same_way(
    counts: ad.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = pca(counts, 10), lsi(counts, 10)
    monkeypatch.setattr(blocks, "IN_MEMORY_BYTES", 0)
    before = counts.X.copy()
    for found, usual in zip((pca(counts, 10), lsi(counts, 10)), expected, strict=True):
        assert not np.array_equal(found, usual)
        same_components(found, usual, 0.01)
    assert (before != counts.X).nnz == 0


@forms
def test_on_disk_but_small_gives_the_same_bits(counts: ad.AnnData, form: str, tmp_path: Path) -> None:
    expected = pca(counts, 10), lsi(counts, 10), select_features(counts, 50)
    with on_disk(counts, tmp_path, form) as stored:
        found = pca(stored, 10), lsi(stored, 10), select_features(stored, 50)
    assert all(np.array_equal(one, two) for one, two in zip(found, expected, strict=True))


@forms
@pytest.mark.parametrize(("batch_key", "min_cells"), [(None, 1), ("batch", 1), ("batch", 30)])
def test_selection_is_that_of_memory_in_two_passes_and_leaves_all_else_alone(
    counts: ad.AnnData,
    form: str,
    batch_key: str | None,
    min_cells: int,
    never_whole: list[int],
    tmp_path: Path,
) -> None:
    values = counts.X.toarray()
    values[[3, 70]] = 0
    values[:60, :9] = 0  # not seen in the small batch
    counts = ad.AnnData(sp.csr_matrix(values), obs=counts.obs, var=counts.var)
    expected = select_features(counts.copy(), 60, batch_key=batch_key, min_cells=min_cells)
    obs, names = counts.obs.copy(), counts.var_names.copy()
    with on_disk(counts, tmp_path, form) as stored:
        found = select_features(stored, 60, batch_key=batch_key, min_cells=min_cells)
        assert isinstance(stored.X, CSRDataset)
        assert list(stored.var) == ["note", "highly_variable"]
        pd.testing.assert_frame_equal(stored.obs, obs)
        assert stored.var_names.equals(names)
    assert found.sum() == 60
    assert np.array_equal(found, expected)
    assert sum(never_whole) == 2 * CELLS


@pytest.mark.usefixtures("never_whole")
def test_fractions_on_disk_are_refused(counts: ad.AnnData, tmp_path: Path) -> None:
    with backed(named(counts.X.toarray() / 2), tmp_path) as stored:
        with pytest.raises(InputError, match="fractional"):
            select_features(stored, 60)
        assert "highly_variable" not in stored.var


@pytest.mark.usefixtures("never_whole")
def test_all_that_are_seen_are_selected_where_there_are_no_more(counts: ad.AnnData, tmp_path: Path) -> None:
    with backed(counts, tmp_path) as stored:
        assert np.array_equal(select_features(stored, 10 * FEATURES), detection(counts) > 0)


@forms
def test_detection_is_that_of_memory(counts: ad.AnnData, form: str, tmp_path: Path) -> None:
    with on_disk(counts, tmp_path, form) as stored:
        assert np.array_equal(detection(stored), detection(counts))


@pytest.mark.usefixtures("never_whole")
@pytest.mark.parametrize("axis", ["cells", "features"])
@pytest.mark.parametrize("isotypes", ["drop", "keep", "regress"])
def test_log_ratios_are_those_of_memory(counts: ad.AnnData, axis: Any, isotypes: Any, tmp_path: Path) -> None:
    few = counts[:, :20].copy()
    few.var_names = [f"CD{i}" for i in range(18)] + ["IgG1 isotype control", "IgG2a isotype control"]
    expected = clr(few, axis=axis, isotypes=isotypes)
    with backed(few, tmp_path) as stored:
        np.testing.assert_allclose(clr(stored, axis=axis, isotypes=isotypes), expected, atol=1e-5)


@forms
@pytest.mark.parametrize("make", [pca, lsi, lambda adata: select_features(adata, 20)])
def test_negative_counts_on_disk_are_refused(
    counts: ad.AnnData, form: str, make: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "ON_DISK_BYTES", 0)
    values = counts.X.toarray()
    values[400, 3] = -3
    with on_disk(named(values), tmp_path, form) as stored:
        with pytest.raises(InputError, match="negative"):
            make(stored)
        assert not stored.obsm


@pytest.mark.parametrize("make", [pca, lsi])
@pytest.mark.parametrize("shape", [(2, 60), (60, 2)])
def test_too_little_on_disk_is_refused(
    make: Callable[..., Any], shape: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "ON_DISK_BYTES", 0)
    few = named(np.ones(shape, dtype=np.float32))
    with backed(few, tmp_path) as stored, pytest.raises(InputError, match="at least 3 cells and 3 features"):
        make(stored)


@pytest.mark.usefixtures("never_whole")
def test_cells_that_are_all_alike_are_no_crash(tmp_path: Path) -> None:
    alike = named(np.ones((60, 30), dtype=np.float32))
    with backed(alike, tmp_path) as stored:
        with pytest.warns(OmicsGlueWarning, match="no structure"):
            assert np.isfinite(lsi(stored)).all()
        with pytest.raises(InputError, match="no feature differs"):
            pca(stored)


@pytest.mark.usefixtures("never_whole")
def test_a_component_that_follows_depth_is_dropped_on_request(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    depth = np.exp(rng.normal(0, 0.5, CELLS))
    profile = (rng.gamma(0.3, 1.0, (3, FEATURES)) + 0.05)[np.arange(CELLS) % 3]
    deep = rng.poisson(0.3 * depth[:, None] * profile)
    deep[np.arange(CELLS), rng.integers(FEATURES, size=CELLS)] += 1
    with backed(named(deep.astype(np.float32)), tmp_path) as stored:
        whole = lsi(stored, 10)
        with pytest.warns(OmicsGlueWarning, match="follow sequencing depth"):
            dropped = lsi(stored, 10, drop_depth=True)
    assert dropped.shape[1] == whole.shape[1] - 1
