"""Metacells of a modality: sums, means, labels and batches written out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp

from omicsglue.data import aggregate
from omicsglue.data.aggregate import RowSum, aggregated, majority
from omicsglue.data.modality import ModalityData

CELLS, FEATURES = 60, 7


def modality(likelihood: str = "nb", *, coverage: bool = False) -> ModalityData:
    rng = np.random.default_rng(0)
    counts = sp.csr_matrix(rng.poisson(1.0, (CELLS, FEATURES)).astype(np.float32))
    covered = sp.csr_matrix((counts.toarray() + rng.integers(0, 2, counts.shape)).astype(np.float32))
    return ModalityData(
        name="rna",
        cells=np.array([f"c{i}" for i in range(CELLS)], dtype=object),
        features=np.array([f"g{i}" for i in range(FEATURES)], dtype=object),
        counts=counts,
        inputs=rng.normal(size=(CELLS, 4)).astype(np.float32),
        library=np.asarray(counts.sum(axis=1)).ravel().astype(np.float32),
        batch=np.repeat([1, 0, 2], [30, 20, 10]),
        batches=("a", "b", "c"),
        weight=rng.random(CELLS).astype(np.float32),
        label=rng.integers(-1, 2, CELLS),
        likelihood=likelihood,
        coverage=covered if coverage else None,
    )


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aggregate, "BLOCK", 13)


def test_counts_add_up_and_inputs_are_averaged() -> None:
    data = modality(coverage=True)
    rows = np.arange(2, CELLS)
    found, member = aggregated(data, 12, 0, rows=rows)
    assert (member[:2] == -1).all()
    assert len(found) == member.max() + 1 == 12
    assert found.batches == data.batches
    for group in range(12):
        cells = np.flatnonzero(member == group)
        assert set(data.batch[cells]) == {found.batch[group]}
        np.testing.assert_array_equal(found.counts[group].toarray(), data.counts[cells].sum(axis=0))
        np.testing.assert_array_equal(found.coverage[group].toarray(), data.coverage[cells].sum(axis=0))
        np.testing.assert_allclose(found.inputs[group], data.inputs[cells].mean(axis=0), rtol=1e-5)
        assert found.library[group] == data.counts[cells].sum()
        values, times = np.unique(data.label[cells], return_counts=True)
        best = values[times * 2 > len(cells)]
        assert found.label[group] == (best[0] if len(best) else -1)
    assert (found.weight == 1).all()
    assert found.counts.dtype == found.inputs.dtype == found.library.dtype == np.float32


def test_the_seed_gives_the_same_metacells() -> None:
    data = modality()
    (one, first), (two, second) = (aggregated(data, 12, 5) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(one.inputs, two.inputs)
    assert not np.array_equal(first, aggregated(data, 12, 6)[1])


@pytest.mark.parametrize("coverage", [False, True])
def test_values_that_are_no_counts_are_averaged_over_measured_cells(coverage: bool) -> None:
    data = modality("normal", coverage=coverage)
    found, member = aggregated(data, 9, 0)
    values = data.counts.toarray()
    known = data.coverage.toarray() > 0 if coverage else np.ones_like(values, dtype=bool)
    for group in range(9):
        cells = member == group
        number = np.maximum(known[cells].sum(axis=0), 1)
        expected = (values * known)[cells].sum(axis=0) / number
        np.testing.assert_allclose(found.counts[group].toarray()[0], expected, rtol=1e-6)
    assert (found.library == 1).all()


def test_of_zeros_and_ones_a_metacell_has_what_a_cell_has() -> None:
    data = modality("bernoulli")
    data = replace(data, counts=sp.csr_matrix((data.counts > 2).astype(np.float32)))
    found, member = aggregated(data, 9, 0)
    for group in range(9):
        expected = data.counts[member == group].toarray().max(axis=0)
        assert found.counts[group].toarray()[0].tolist() == expected.tolist()


def test_sparse_inputs_become_dense_means() -> None:
    data = modality()
    inputs = sp.csr_matrix(np.log1p(data.counts.toarray()))
    found, member = aggregated(replace(data, inputs=inputs), 9, 0)
    np.testing.assert_allclose(found.inputs[3], inputs[member == 3].mean(axis=0).A1, rtol=1e-5)


def test_sums_do_not_depend_on_the_blocks() -> None:
    rng = np.random.default_rng(1)
    x, group = rng.poisson(0.3, (500, 20)), rng.integers(-1, 30, 500)
    whole, parts = RowSum(30, 20), RowSum(30, 20)
    whole.add(x, group)
    for start in range(0, 500, 7):
        parts.add(sp.csr_matrix(x[start : start + 7]), group[start : start + 7])
    expected = np.array([x[group == each].sum(axis=0) for each in range(30)])
    assert np.array_equal(whole.total().toarray(), expected)
    assert np.array_equal(parts.total().toarray(), expected)
    assert RowSum(2, 3).total().shape == (2, 3)


def test_without_labels_there_is_no_majority() -> None:
    assert majority(np.array([-1, -1]), np.array([0, 1]), 2).tolist() == [-1, -1]
