"""Minibatches: rows of CSR matrices, passes over the cells, and splits."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from omicsglue.data.batches import CellStream, passes, slice_rows, split_cells


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 7), max_size=12))
def test_sliced_rows_equal_scipy(seed: int, rows: list[int]) -> None:
    matrix = sp.random(8, 6, density=0.4, format="csr", random_state=seed, dtype=np.float32)
    index = np.array(rows, dtype=np.int64)
    np.testing.assert_array_equal(slice_rows(matrix, index).dense().numpy(), matrix[index].toarray())


def test_sparse_rows_move_and_flatten() -> None:
    matrix = sp.csr_matrix(np.array([[0, 2.0], [3.0, 0]], dtype=np.float32))
    rows = slice_rows(matrix, np.array([1, 0])).to(torch.device("cpu"))
    assert rows.flat.tolist() == [0, 3]
    assert rows.value.tolist() == [3.0, 2.0]


def test_a_stream_passes_over_every_cell_equally_often() -> None:
    stream, rng = CellStream(np.arange(10), 4), np.random.default_rng(0)
    drawn = np.concatenate([stream.draw(rng) for _ in range(50)])
    assert np.bincount(drawn, minlength=10).tolist() == [20] * 10


def test_a_stream_of_few_cells_gives_what_there_is() -> None:
    stream = CellStream(np.array([3, 5]), 128)
    assert sorted(stream.draw(np.random.default_rng(0)).tolist()) == [3, 5]


def test_split_holds_out_a_share_and_nothing_is_lost() -> None:
    split = split_cells(101, 0.1, np.random.default_rng(0))
    assert len(split.validation) == 11
    assert np.array_equal(np.sort(np.r_[split.train, split.validation]), np.arange(101))
    assert len(split_cells(10, 0.0, np.random.default_rng(0)).validation) == 0


def test_passes_cover_all_rows_in_order() -> None:
    assert np.concatenate(list(passes(10, 3))).tolist() == list(range(10))
    assert list(passes(0, 3)) == []
