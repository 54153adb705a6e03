"""Sparse matrices that grow on disk, and copies that are never loaded."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.sparse as sp
import zarr
from anndata.io import read_elem, sparse_dataset

from omicsglue import sparsefile
from omicsglue.sparsefile import CsrWriter, copy_matrix

KINDS = ["hdf5", "zarr"]


def store(folder: Path, kind: str, name: str = "a") -> Any:
    if kind == "hdf5":
        return h5py.File(folder / f"{name}.h5", "w")
    return zarr.open_group(folder / f"{name}.zarr", mode="w", zarr_format=3)


def matrix(rows: int, seed: int = 0) -> sp.csr_matrix:
    return sp.random(rows, 50, 0.2, format="csr", random_state=np.random.default_rng(seed), dtype=np.float32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sizes", [[30], [7, 1, 13, 2], [1] * 9, []])
def test_blocks_come_back_as_one_matrix(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, sizes: list[int]
) -> None:
    monkeypatch.setattr(sparsefile, "CHUNK", 16)
    monkeypatch.setattr(sparsefile, "SHARD", 64)  # several are filled, the last in part
    blocks = [matrix(size, seed) for seed, size in enumerate(sizes)]
    group = store(tmp_path, kind)
    writer = CsrWriter(group, "X", 50)
    for block in blocks:
        writer.append(block)
    writer.close()
    whole = sp.vstack(blocks, format="csr") if blocks else sp.csr_matrix((0, 50), dtype=np.float32)
    found = read_elem(group["X"])
    assert found.shape == whole.shape
    assert found.dtype == np.float32
    assert (found != whole).nnz == 0
    assert group["X"]["indptr"].dtype == group["X"]["indices"].dtype  # SciPy fails on a mixture
    if len(sizes) > 1:
        assert (sparse_dataset(group["X"])[3:9] != whole[3:9]).nnz == 0


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dense", [False, True])
def test_a_copy_equals_what_was_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, *, dense: bool
) -> None:
    monkeypatch.setattr(sparsefile, "SHARD", 64 * 16)
    monkeypatch.setattr(sparsefile, "CHUNK", 16)
    source, values = store(tmp_path, kind), matrix(200)
    if dense:
        from anndata.io import write_elem

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of AnnData's own future
            write_elem(source, "X", values.toarray())
    else:
        writer = CsrWriter(source, "X", 50)
        writer.append(values)
        writer.close()
    with h5py.File(tmp_path / "copy.h5ad", "w") as target:
        target.create_dataset("layers/counts", data=[1])  # is replaced
        copy_matrix(source["X"], target, "layers/counts")
        found = read_elem(target["layers/counts"])
    np.testing.assert_array_equal(found if dense else found.toarray(), values.toarray())


def test_shards_keep_the_number_of_files_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sparsefile, "CHUNK", 16)
    monkeypatch.setattr(sparsefile, "SHARD", 512)
    writer = CsrWriter(store(tmp_path, "zarr"), "X", 50)
    values = matrix(500)
    writer.append(values)
    writer.close()
    files = [path for path in (tmp_path / "a.zarr/X/data").rglob("*") if path.is_file()]
    assert len(files) == -(-values.nnz // 512) + 1  # and the description
