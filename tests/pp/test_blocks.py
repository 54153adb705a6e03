"""Counts in blocks: the same counts, never many at once, whatever holds them."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from counts_on_disk import FORMATS, backed, named, on_disk
from omicsglue.errors import InputError, OmicsGlueWarning
from omicsglue.pp import blocks, counts
from omicsglue.pp.blocks import cell_blocks, drawn_cells, too_large

CELLS, FEATURES = 130, 60


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK_NONZEROS", 300)
    monkeypatch.setattr(blocks, "BLOCK_CELLS", 20)


@pytest.fixture
def some() -> ad.AnnData:
    rng = np.random.default_rng(0)
    values = rng.poisson(rng.uniform(0.1, 1.0, (CELLS, 1)), size=(CELLS, FEATURES)).astype(np.float32)
    values[3] = 0
    return named(values)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("form", FORMATS)
def test_blocks_hold_all_counts_and_never_more_than_the_limits(
    some: ad.AnnData, form: str, tmp_path: Path
) -> None:
    with on_disk(some, tmp_path, form) as stored:
        found = list(cell_blocks(stored, None, "here"))
    assert np.array_equal(sp.vstack([block for _, block in found]).toarray(), some.X.toarray())
    assert [first for first, _ in found] == [0, *np.cumsum([block.shape[0] for _, block in found])[:-1]]
    assert len(found) > CELLS / 20
    assert all(block.nnz <= 300 and block.shape[0] <= 20 and block.dtype == np.float32 for _, block in found)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("change", [lambda x: x.toarray(), sp.csc_matrix, lambda x: x.astype(np.int16)])
def test_the_form_does_not_matter_and_blocks_are_copies(some: ad.AnnData, change: object) -> None:
    other = ad.AnnData(change(some.X))  # type: ignore[operator]
    before = some.X.toarray()
    parts = []
    for _, block in cell_blocks(other, None, "here"):
        parts.append(block.toarray())
        block.data[:] = -1
    assert np.array_equal(np.vstack(parts), before)
    assert np.array_equal(np.asarray(sp.csr_matrix(other.X).todense()), before)


def test_a_cell_of_more_counts_than_a_block_may_hold_is_a_block_of_its_own(
    some: ad.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_NONZEROS", 1)
    found = [block for _, block in cell_blocks(some, None, "here")]
    assert sum(block.shape[0] for block in found) == CELLS
    assert np.array_equal(sp.vstack(found).toarray(), some.X.toarray())


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(
    ("value", "said"), [(-2.0, "negative values, down to -2"), (np.nan, "NaN"), (np.inf, "infinite")]
)
def test_values_that_are_no_counts_are_refused(
    some: ad.AnnData, form: str, value: float, said: str, tmp_path: Path
) -> None:
    values = some.X.toarray()
    values[100, 7] = value
    some = named(values)
    with on_disk(some, tmp_path, form) as stored, pytest.raises(InputError, match=said):
        list(cell_blocks(stored, None, "here"))


def test_no_cells_are_refused() -> None:
    with pytest.raises(InputError, match="no cells"):
        cell_blocks(ad.AnnData(sp.csr_matrix((0, 5))), None, "here")


def test_what_is_on_disk_is_taken_for_large_earlier(some: ad.AnnData, tmp_path: Path) -> None:
    between = (blocks.ON_DISK_BYTES + blocks.IN_MEMORY_BYTES) / 2
    with backed(some, tmp_path) as stored:
        assert too_large(stored.X, between)
        assert not too_large(stored.X, 1000)
    assert not too_large(some.X, between)
    assert too_large(some.X, 10 * between)


def test_cells_are_drawn_within_limits_and_the_same_again() -> None:
    sizes = np.random.default_rng(0).integers(1, 100, 1000)
    light = drawn_cells(sizes, 5000, 0)
    assert 4900 < sizes[light].sum() <= 5000
    assert np.array_equal(light, drawn_cells(sizes, 5000, 0))
    assert not np.array_equal(light, drawn_cells(sizes, 5000, 1))
    assert drawn_cells(sizes, 10**9, 0).all()
    assert drawn_cells(sizes, 0, 0).sum() == 1


def test_a_large_matrix_by_columns_is_loaded_with_a_warning(
    some: ad.AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counts, "MUCH", 100)
    some.X = sp.csc_matrix(some.X)
    with backed(some, tmp_path) as stored:
        with pytest.warns(OmicsGlueWarning, match=r"stored by columns \(CSC\)"):
            found = [block for _, block in cell_blocks(stored, None, "here")]
        with pytest.warns(OmicsGlueWarning, match="GB of memory"):
            counts.csr_counts(stored, None, "here")
    assert np.array_equal(sp.vstack(found).toarray(), some.X.toarray())
