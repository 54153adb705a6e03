"""Rows of matrices on disk: the same as in memory, in any order, with a bounded buffer."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
import zarr
from anndata.io import sparse_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from omicsglue.data import streaming
from omicsglue.data.batches import CellStream, slice_rows, split_cells
from omicsglue.data.streaming import BlockShuffle, RowsOnDisk
from omicsglue.sparsefile import CsrWriter

BLOCK = 256
CELLS, FEATURES = 5 * BLOCK + 37, 40


def counts(cells: int = CELLS, seed: int = 0) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    return sp.csr_matrix(rng.poisson(0.4, (cells, FEATURES)).astype(np.float32))


def on_disk(folder: Path, kind: str, matrix: Any) -> Any:
    if kind == "dense":
        file = h5py.File(folder / "dense.h5", "w")
        return file.create_dataset("X", data=matrix.toarray())
    file = h5py.File(folder / "m.h5", "w") if kind == "hdf5" else zarr.open_group(folder / "m.zarr", mode="w")
    writer = CsrWriter(file, "X", matrix.shape[1])
    for start in range(0, matrix.shape[0], 100):
        writer.append(matrix[start : start + 100])
    writer.close()
    return sparse_dataset(file["X"])


@pytest.fixture
def small_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "BUFFER_CELLS", 2 * BLOCK)
    monkeypatch.setattr(streaming, "BLOCKS", 2)


@pytest.mark.parametrize("kind", ["hdf5", "zarr", "dense"])
@pytest.mark.usefixtures("small_buffer")
def test_rows_are_those_of_the_matrix_whatever_was_read_before(tmp_path: Path, kind: str) -> None:
    matrix, rng = counts(), np.random.default_rng(1)
    columns = rng.permutation(FEATURES)[:23]
    rows = RowsOnDisk(on_disk(tmp_path, kind, matrix), columns)
    assert rows.shape == (CELLS, 23)
    for turn in range(30):
        wanted = rng.choice(CELLS, int(rng.integers(1, 200)))
        if turn % 3 == 0:
            rows.expect(rng.choice(CELLS, 50))
        found = slice_rows(rows, wanted)
        np.testing.assert_array_equal(found.dense().numpy(), matrix[wanted][:, columns].toarray())
        assert found.value.dtype == slice_rows(matrix, wanted).value.dtype


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, CELLS - 1), min_size=1, max_size=60), st.integers(0, 3))
def test_slices_equal_those_of_memory_entry_for_entry(wanted: list[int], seed: int) -> None:
    matrix = counts(seed=seed)
    with h5py.File(f"{seed}.h5", "w", driver="core", backing_store=False) as file:
        writer = CsrWriter(file, "X", FEATURES)
        writer.append(matrix)
        writer.close()
        rows = RowsOnDisk(sparse_dataset(file["X"]), np.arange(FEATURES))
        streamed, held = slice_rows(rows, np.array(wanted)), slice_rows(matrix, np.array(wanted))
    for name in ("row", "column", "value", "indptr"):
        np.testing.assert_array_equal(getattr(streamed, name), getattr(held, name))


@pytest.mark.usefixtures("small_buffer")
def test_the_buffer_stays_bounded_and_a_pass_reads_each_block_about_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    matrix = counts(40 * BLOCK)
    rows = RowsOnDisk(on_disk(tmp_path, "hdf5", matrix), np.arange(FEATURES))
    read, most = 0, 0
    original = RowsOnDisk._read

    def counted(self: RowsOnDisk, start: int, end: int) -> sp.csr_matrix:
        nonlocal read
        read += end - start
        return original(self, start, end)

    monkeypatch.setattr(RowsOnDisk, "_read", counted)
    stream, rng = CellStream(np.arange(40 * BLOCK), 32, rows.shuffle), np.random.default_rng(0)
    for _ in range(40 * BLOCK // 32):
        slice_rows(rows, stream.draw(rng))
        rows.expect(stream.soon())
        most = max(most, sum(chunk.shape[0] for chunk in rows._chunks.values()))
    assert most <= (streaming.BUFFERS_KEPT + 1) * 2 * BLOCK
    assert read <= 1.1 * 40 * BLOCK


@pytest.mark.parametrize("kind", ["hdf5", "zarr", "dense"])
def test_another_process_opens_the_matrix_anew(tmp_path: Path, kind: str) -> None:
    matrix = on_disk(tmp_path, kind, counts())
    rows = RowsOnDisk(matrix, np.arange(3, 30), binary=True)
    if kind != "zarr":
        (matrix if kind == "dense" else matrix.group).file.flush()
    packed = pickle.dumps(rows)
    assert len(packed) < 2000
    wanted = np.array([5, 900, 2])
    np.testing.assert_array_equal(
        slice_rows(pickle.loads(packed), wanted).dense(), slice_rows(rows, wanted).dense()
    )


def test_binary_data_are_zeros_and_ones(tmp_path: Path) -> None:
    rows = RowsOnDisk(on_disk(tmp_path, "hdf5", counts()), np.arange(FEATURES), binary=True)
    assert set(slice_rows(rows, np.arange(50)).value.tolist()) == {1.0}


def test_a_file_that_cannot_be_read_on_says_so_and_reading_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = RowsOnDisk(on_disk(tmp_path, "hdf5", counts()), np.arange(FEATURES))
    original = RowsOnDisk._read
    with monkeypatch.context() as patched:

        def fail(*_arguments: object) -> sp.csr_matrix:
            raise OSError("the disk is gone")

        patched.setattr(RowsOnDisk, "_read", fail)
        with pytest.raises(OSError, match="gone"):
            rows.held(np.arange(4))
    assert RowsOnDisk._read is original
    assert slice_rows(rows, np.arange(4)).shape == (4, FEATURES)


# The order


@pytest.mark.parametrize("cells", [10 * BLOCK + 5, 3 * BLOCK])
def test_an_order_names_every_cell_once_buffer_by_buffer(cells: int) -> None:
    shuffle = BlockShuffle(BLOCK, 3)
    rows = np.setdiff1d(np.arange(cells), np.arange(7, cells, 11))
    order = shuffle.order(rows, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(order), rows)
    assert (np.diff(order) < 0).mean() > 0.3
    seen: list[int] = []
    for row in order:
        if row // BLOCK not in seen:
            seen.append(int(row // BLOCK))
        assert seen.index(row // BLOCK) >= len(seen) - 6  # of this buffer, or what the next began


def test_cells_that_fit_into_the_buffer_are_shuffled_as_in_memory() -> None:
    rows, shuffle = np.arange(1000), BlockShuffle(BLOCK, 4)
    one, other = (CellStream(rows, 64, each) for each in (None, shuffle))
    a, b = np.random.default_rng(3), np.random.default_rng(3)
    for _ in range(40):
        np.testing.assert_array_equal(one.draw(a), other.draw(b))


def test_batches_of_a_sorted_file_are_mixed() -> None:
    """In a file sorted by type, a minibatch holds as many types as the buffer has blocks of."""
    shuffle = BlockShuffle(BLOCK, 32)
    cells = 200 * BLOCK
    kind = np.arange(cells) // (10 * BLOCK)  # twenty types one after another
    stream, rng = CellStream(np.arange(cells), 128, shuffle), np.random.default_rng(0)
    shares = [np.bincount(kind[stream.draw(rng)], minlength=20) / 128 for _ in range(cells // 128)]
    assert np.mean([(share > 0).sum() for share in shares]) > 13
    np.testing.assert_allclose(np.mean(shares, axis=0), 1 / 20, atol=0.005)


def test_whole_blocks_are_held_out_of_cells_on_disk() -> None:
    shuffle, cells = BlockShuffle(BLOCK, 4), 100 * BLOCK + 9
    split = split_cells(cells, 0.1, np.random.default_rng(0), shuffle)
    assert len(split.validation) == 4 * BLOCK  # one buffer, less than a tenth
    assert len(np.unique(split.validation // BLOCK)) == 4
    np.testing.assert_array_equal(np.union1d(split.train, split.validation), np.arange(cells))
    few = split_cells(900, 0.1, np.random.default_rng(0), shuffle)
    same = split_cells(900, 0.1, np.random.default_rng(0))
    np.testing.assert_array_equal(few.validation, same.validation)


def test_the_buffer_of_deep_data_holds_fewer_cells_in_as_many_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = h5py.File(tmp_path / "deep.h5", "w")
    ad.io.write_elem(file, "X", sp.csr_matrix(np.ones((300, 30), dtype=np.float32)))
    matrix = sparse_dataset(file["X"])
    assert streaming.bytes_of_row(matrix) == 30 * 8
    assert RowsOnDisk(matrix, np.arange(30)).shuffle == BlockShuffle(256, 128)
    for bytes_, expected in ((8000, (62, 129)), (2500, (19, 131)), (500, (16, 32))):
        monkeypatch.setattr(streaming, "BUFFER_BYTES", bytes_ * 30 * 8)
        assert streaming.shuffle_of(matrix) == BlockShuffle(*expected)
