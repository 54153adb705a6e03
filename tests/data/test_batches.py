"""Minibatches: rows of CSR matrices, passes over the cells, and splits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from omicsglue.data.batches import (
    BatchLoader,
    CellStream,
    PairedStreams,
    blocks_in_step,
    cell_batch,
    edge_batch,
    passes,
    slice_rows,
    split_cells,
    split_together,
)
from omicsglue.data.modality import ModalityData
from omicsglue.data.pairing import Pairing
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


def mosaic(cells: dict[str, int], shared: int) -> Pairing:
    """Return a pairing in which the last cells of every modality are the same, in another order."""
    rng = np.random.default_rng(1)
    joint = {}
    for name, number in cells.items():
        joint[name] = np.full(number, -1, dtype=np.int64)
        joint[name][number - shared :] = rng.permutation(shared)
    return Pairing(joint, shared)


def test_a_stream_gives_what_is_wanted_and_favours_no_cell_all_the_same() -> None:
    stream, rng = CellStream(np.arange(20), 8), np.random.default_rng(0)
    drawn = []
    for step in range(200):
        wanted = np.array([step % 10, (step + 5) % 10])
        drawn.append(stream.draw_with(wanted, rng))
        assert drawn[-1][:2].tolist() == wanted.tolist()
        assert len(drawn[-1]) == 8
    counts = np.bincount(np.concatenate(drawn), minlength=20)
    assert counts.sum() == 1600
    assert counts.max() - counts.min() <= 2


@pytest.mark.parametrize("shared", [4, 30, 60])
def test_partners_meet_as_often_as_the_data_allow(shared: int) -> None:
    cells = {"atac": 60, "rna": 90}
    pairing, rng = mosaic(cells, shared), np.random.default_rng(0)
    streams = {name: CellStream(np.arange(number), 16) for name, number in cells.items()}
    paired = PairedStreams(streams, pairing)
    met, drawn = 0, {name: [] for name in cells}
    steps = 450
    for _ in range(steps):
        rows = paired.draw(rng)
        assert list(rows) == ["atac", "rna"]
        positions = pairing.positions(rows)
        met += len(positions)
        for name, column in zip(rows, positions.T, strict=True):
            drawn[name].append(rows[name])
            assert len(rows[name]) == 16
            partners = pairing.joint[name][rows[name][column]]
            assert np.array_equal(np.sort(partners), np.unique(partners))
        one, two = (pairing.joint[name][rows[name][at]] for name, at in zip(rows, positions.T, strict=True))
        assert np.array_equal(one, two)
    assert met >= 0.99 * steps * 16 * shared / 90  # every joint cell that the larger modality draws
    for name, number in cells.items():
        counts = np.bincount(np.concatenate(drawn[name]), minlength=number)
        assert counts.max() - counts.min() <= 3, name


def test_three_modalities_meet_in_twos_and_threes() -> None:
    pairing = Pairing(
        {
            "rna": np.array([0, 1, 2, 3, -1, -1, -1, -1]),
            "atac": np.array([2, 3, 4, 5, -1, -1]),
            "protein": np.array([5, 4, 3, -1]),
        },
        6,
    )
    streams = {name: CellStream(np.arange(n), 4) for name, n in (("rna", 8), ("atac", 6), ("protein", 4))}
    paired, rng = PairedStreams(streams, pairing), np.random.default_rng(0)
    patterns = set()
    for _ in range(40):
        rows = paired.draw(rng)
        for place in pairing.positions(rows):
            there = {
                name: pairing.joint[name][rows[name][at]]
                for name, at in zip(rows, place, strict=True)
                if at >= 0
            }
            assert len(set(there.values())) == 1
            patterns.add(tuple(there))
    assert patterns >= {("rna", "atac"), ("atac", "protein"), ("rna", "atac", "protein")}


def paired_loader() -> BatchLoader:
    data = {"rna": modality("rna", 9), "atac": modality("atac", 7)}
    pairing = mosaic({"rna": 9, "atac": 7}, 5)
    rows = {"rna": np.arange(9), "atac": np.arange(7)}
    return BatchLoader(data, rows, sampler(), batch_size=4, positives=3, pairing=pairing)


def test_a_loader_of_pairs_goes_on_where_it_was_left_though_batches_were_drawn_since() -> None:
    whole, rng = paired_loader(), np.random.default_rng(0)
    for _ in range(3):
        whole.draw(rng)
    state, position = whole.state(), rng.bit_generator.state
    expected = [whole.draw(rng) for _ in range(4)]
    other, again = paired_loader(), np.random.default_rng(99)
    other.restore(state)
    again.bit_generator.state = position
    for batch in expected:
        found = other.draw(again)
        assert batch.joint is not None
        assert found.joint is not None
        assert torch.equal(found.joint, batch.joint)
        assert torch.equal(found.cells["atac"].inputs, batch.cells["atac"].inputs)
    assert any(len(batch.joint) for batch in expected if batch.joint is not None)


def test_unpaired_batches_name_no_joint_cells() -> None:
    assert loader().draw(np.random.default_rng(0)).joint is None


def test_cells_of_a_batch_are_taken_by_position() -> None:
    data = modality("rna", 9)
    rows, at = np.array([7, 0, 3, 5]), np.array([2, 2, 0])
    found = replace(cell_batch(data, rows), coverage=slice_rows(data.counts, rows)).take(torch.from_numpy(at))
    expected = cell_batch(data, rows[at])
    assert torch.equal(found.counts.dense(), expected.counts.dense())
    assert torch.equal(found.counts.indptr, expected.counts.indptr)
    assert found.coverage is not None
    assert torch.equal(found.coverage.value, expected.counts.value)
    for name in ("inputs", "library", "batch", "weight", "label"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


@example(2, 3, 7, 1.0)
@given(st.integers(0, 1000), st.integers(3, 60), st.integers(3, 60), st.floats(0, 1))
def test_a_joint_cell_is_held_out_everywhere_or_nowhere(seed: int, one: int, two: int, share: float) -> None:
    cells = {"rna": one, "atac": two}
    pairing = mosaic(cells, round(share * min(one, two)))
    splits = split_together(cells, 0.2, np.random.default_rng(seed), pairing)
    held = {}
    for name, split in splits.items():
        assert np.array_equal(np.sort(np.r_[split.train, split.validation]), np.arange(cells[name]))
        assert len(split.train) >= 2
        joint = pairing.joint[name][split.validation]
        held[name] = set(joint[joint >= 0].tolist())
    largest, other = sorted(cells, key=lambda name: -cells[name])
    if cells[other] - len(held[largest]) >= 2:  # otherwise the other keeps two to train on
        assert held["rna"] == held["atac"]
    assert len(splits[largest].validation) == max(
        min(int(np.ceil(cells[largest] * 0.2)), cells[largest] - 2), 0
    )


def test_the_other_modalities_hold_out_as_many_as_are_missing() -> None:
    cells = {"rna": 100, "atac": 50}
    splits = split_together(cells, 0.1, np.random.default_rng(0), mosaic(cells, 20))
    assert [len(splits[name].validation) for name in cells] == [10, 5]


def test_blocks_of_held_out_cells_keep_partners_together() -> None:
    cells = {"rna": 50, "atac": 35}
    pairing = mosaic(cells, 20)
    rows = {name: np.arange(number) for name, number in cells.items()}
    blocks = list(blocks_in_step(rows, 16, pairing))
    assert len(blocks) == 4
    assert sum(len(pairing.positions(block)) for block in blocks) == 20
    for name, each in rows.items():
        assert np.array_equal(np.sort(np.concatenate([block[name] for block in blocks])), each)


def test_blocks_of_unpaired_cells_are_never_empty() -> None:
    blocks = list(blocks_in_step({"rna": np.arange(9), "atac": np.array([4, 5])}, 3))
    assert [block["rna"].tolist() for block in blocks] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert [block["atac"].tolist() for block in blocks] == [[4], [5], [4]]
