"""Matrices of several files are read as one, whatever holds each and whatever the order of their columns."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from omicsglue.data.matrices import iter_row_blocks, survey_matrix
from omicsglue.data.stacked import StackedRows, stacked
from omicsglue.data.stores import bytes_of, is_by_column, is_on_disk, location, reopened, stored_entries
from omicsglue.data.streaming import RowsOnDisk
from omicsglue.pp.blocks import cell_blocks

FEATURES = pd.Index([f"peak{i}" for i in range(17)])
KINDS = ("csr", "zarr", "dense", "dense zarr", "csc")


def part(folder: Path, kind: str, seed: int, cells: int) -> tuple[Any, Any, pd.Index]:
    """Return a matrix on disk, its values in the order of the first file, and its features."""
    rng = np.random.default_rng(seed)
    values = rng.poisson(0.5, (cells, len(FEATURES))).astype(np.int32 if seed else np.float32)
    order = rng.permutation(len(FEATURES)) if seed else np.arange(len(FEATURES))
    held = values[:, order]
    if kind == "csc":
        held = sp.csc_matrix(held)
    elif "dense" not in kind:
        held = sp.csr_matrix(held)
    where = folder / f"{seed}"
    root = zarr.open_group(where, mode="w", zarr_format=3) if "zarr" in kind else h5py.File(where, "w")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of AnnData's own future
        ad.io.write_elem(root, "X", held)
    opened = ad.io.sparse_dataset(root["X"]) if sp.issparse(held) else root["X"]
    return opened, values, FEATURES[order]


def stack(folder: Path, *kinds: str) -> tuple[StackedRows, np.ndarray]:
    parts = [part(folder, kind, seed, 9 + 4 * seed) for seed, kind in enumerate(kinds)]
    values = np.concatenate([each[1] for each in parts])
    return stacked([each[0] for each in parts], [each[2] for each in parts]), values


@pytest.mark.parametrize("kinds", [("csr",), ("csr", "csr"), ("csr", "zarr", "dense"), KINDS])
def test_rows_are_those_of_the_files_one_below_the_other(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    matrix, values = stack(tmp_path, *kinds)
    cells, rng = len(values), np.random.default_rng(3)
    assert matrix.shape == values.shape
    assert matrix.dtype == values.dtype
    for start, end in [(0, cells), (0, 0), (3, 9), (8, 10), (9, 9), (cells - 1, cells), (5, cells + 9)]:
        found = matrix[start:end]
        assert isinstance(found, sp.csr_matrix)
        assert found.has_sorted_indices
        np.testing.assert_array_equal(found.toarray(), values[start:end])
    mask = rng.random(cells) < 0.4
    numbers = rng.integers(0, cells, 30)
    for rows in (mask, numbers, np.array([], dtype=np.int64), slice(None, None, 2), slice(-3, None)):
        np.testing.assert_array_equal(matrix[rows].toarray(), values[rows])
    np.testing.assert_array_equal(matrix[4].toarray(), values[4:5])
    np.testing.assert_array_equal(matrix[2:11, [5, 1]].toarray(), values[2:11][:, [5, 1]])
    np.testing.assert_array_equal(sp.vstack(list(matrix.walk())).toarray(), values)
    np.testing.assert_array_equal(matrix.to_memory().toarray(), values)


def test_dense_files_are_dense_in_memory(tmp_path: Path) -> None:
    matrix, values = stack(tmp_path, "dense", "dense zarr", "dense")
    assert isinstance(matrix.to_memory(), np.ndarray)
    np.testing.assert_array_equal(matrix.to_memory(), values)


def test_what_is_asked_of_a_matrix_on_disk_is_answered(tmp_path: Path) -> None:
    matrix, values = stack(tmp_path, "csr", "zarr")
    assert is_on_disk(matrix)
    assert not is_by_column(matrix)
    assert stored_entries(matrix) == np.count_nonzero(values)
    np.testing.assert_array_equal(np.diff(matrix.ends()), np.count_nonzero(values, axis=1))
    in_memory = matrix.to_memory()
    assert bytes_of({"X": matrix}) >= in_memory.data.nbytes + in_memory.indices.nbytes
    blocks = [block.toarray() for _, block in iter_row_blocks(matrix, 5)]
    np.testing.assert_array_equal(np.concatenate(blocks), values)
    survey = survey_matrix(matrix)
    np.testing.assert_array_equal(survey.nonzero_per_feature, np.count_nonzero(values, axis=0))
    again = reopened(pickle.loads(pickle.dumps(location(matrix))))
    np.testing.assert_array_equal(again[:].toarray(), values)


def test_one_part_by_column_is_known(tmp_path: Path) -> None:
    assert is_by_column(stack(tmp_path, "csr", "csc")[0])


def test_training_and_preparation_read_it(tmp_path: Path) -> None:
    matrix, values = stack(tmp_path, "csr", "zarr", "dense")
    columns = np.array([3, 16, 0])
    rows = pickle.loads(pickle.dumps(RowsOnDisk(matrix, columns)))
    held, at = rows.held(np.array([30, 2, 11]))
    np.testing.assert_array_equal(held[at].toarray(), values[[30, 2, 11]][:, columns])
    blocks = cell_blocks(ad.AnnData(matrix), None, "rna")
    np.testing.assert_array_equal(np.concatenate([block.toarray() for _, block in blocks]), values)


def test_anndata_holds_cuts_and_loads_it(tmp_path: Path) -> None:
    matrix, values = stack(tmp_path, "csr", "zarr")
    adata = ad.AnnData(matrix, var=pd.DataFrame(index=FEATURES), layers={"counts": matrix})
    assert adata.X is matrix
    np.testing.assert_array_equal(adata[3:12, ["peak4", "peak2"]].X.toarray(), values[3:12][:, [4, 2]])
    for loaded in (adata.copy(), adata.to_memory(copy=True), adata[:].copy()):
        assert isinstance(loaded.X, sp.csr_matrix)
        np.testing.assert_array_equal(loaded.X.toarray(), values)
        np.testing.assert_array_equal(loaded.layers["counts"].toarray(), values)
    assert adata.X is matrix
