"""Minibatches: rows of CSR matrices, passes over the cells, and splits."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given
from hypothesis import strategies as st

from omicsglue.data.batches import (
    BatchLoader,
    CellStream,
    cell_batch,
    edge_batch,
    passes,
    slice_rows,
    split_cells,
)
from omicsglue.data.modality import ModalityData
from omicsglue.graph import GuidanceGraph
from omicsglue.graph.sampling import EdgeSampler


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


@pytest.mark.parametrize(("cells", "held"), [(1, 0), (2, 0), (3, 1), (4, 1), (10, 1), (11, 2)])
def test_split_leaves_two_cells_to_train_on(cells: int, held: int) -> None:
    split = split_cells(cells, 0.1, np.random.default_rng(0))
    assert (len(split.train), len(split.validation)) == (cells - held, held)


def test_split_follows_its_generator() -> None:
    one, two, other = (split_cells(50, 0.2, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(one.validation, two.validation)
    assert not np.array_equal(one.validation, other.validation)


def modality(name: str, cells: int) -> ModalityData:
    rng = np.random.default_rng(cells)
    return ModalityData(
        name=name,
        cells=np.array([f"c{i}" for i in range(cells)], dtype=object),
        features=np.array(["x", "y", "z"], dtype=object),
        counts=sp.csr_matrix(rng.poisson(1.0, (cells, 3)).astype(np.float32)),
        inputs=rng.normal(size=(cells, 2)).astype(np.float32),
        library=np.arange(cells, dtype=np.float32) + 1,
        batch=np.arange(cells) % 2,
        batches=("a", "b"),
        weight=rng.random(cells).astype(np.float32),
        label=np.arange(cells) % 4 - 1,
        likelihood="nb",
    )


def sampler() -> EdgeSampler:
    graph = GuidanceGraph(np.array(list("abcd"), dtype=object), np.array([0, 1]), np.array([2, 3]))
    return EdgeSampler(graph, negatives=2)


def loader() -> BatchLoader:
    data = {"rna": modality("rna", 9), "atac": modality("atac", 5)}
    rows = {"rna": np.arange(9), "atac": np.array([0, 2, 3, 4])}
    return BatchLoader(data, rows, sampler(), batch_size=4, positives=3)


def test_a_batch_of_cells_holds_the_rows_of_all_arrays() -> None:
    data, rows = modality("rna", 9), np.array([7, 0, 3])
    found = cell_batch(data, rows)
    assert np.array_equal(found.counts.dense().numpy(), data.counts[rows].toarray())
    for name in ("inputs", "library", "batch", "weight", "label"):
        assert np.array_equal(getattr(found, name).numpy(), getattr(data, name)[rows]), name


def test_a_batch_of_edges_has_the_types_that_the_network_takes() -> None:
    found = edge_batch(sampler(), 5, np.random.default_rng(0))
    assert found.source.dtype == found.target.dtype == torch.int64
    assert found.sign.dtype == found.present.dtype == torch.float32
    assert found.present[:5].tolist() == [1] * 5


def test_a_loader_draws_allowed_rows_of_every_modality() -> None:
    made, rng = loader(), np.random.default_rng(0)
    allowed = set(made.data["atac"].library[[0, 2, 3, 4]].tolist())
    for _ in range(5):
        batch = made.draw(rng)
        assert [len(cells.library) for cells in batch.cells.values()] == [4, 4]
        assert set(batch.cells["atac"].library.tolist()) <= allowed


def test_a_loader_goes_on_where_it_was_left() -> None:
    whole, rng = loader(), np.random.default_rng(0)
    drawn = [whole.draw(rng) for _ in range(3)]
    state, position = whole.state(), rng.bit_generator.state
    expected = [whole.draw(rng) for _ in range(3)]
    other, again = loader(), np.random.default_rng(99)
    other.restore(state)
    again.bit_generator.state = position
    for batch in expected:
        found = other.draw(again)
        assert torch.equal(found.cells["rna"].inputs, batch.cells["rna"].inputs)
        assert torch.equal(found.edges.target, batch.edges.target)
    assert len(drawn) == 3


def test_a_batch_moves_as_a_whole() -> None:
    batch = loader().draw(np.random.default_rng(0)).to(torch.device("meta"))
    tensors = [batch.edges.source, batch.cells["rna"].inputs, batch.cells["atac"].counts.value]
    assert all(tensor.device.type == "meta" for tensor in tensors)
