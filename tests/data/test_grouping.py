"""Groups of like cells: of one stratum, about one size, none empty, the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from omicsglue.data import grouping
from omicsglue.data.grouping import group_means, grouped_cells, shared_out, strata_of


def cells(n: int = 600, seed: int = 0) -> np.ndarray:
    """Types of very different size."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(5, n, p=[0.6, 0.2, 0.1, 0.07, 0.03])
    return (6 * np.eye(5, 8)[kind] + rng.normal(size=(n, 8))).astype(np.float32)


@pytest.mark.parametrize("coarse", [1000, 10])
def test_groups_are_many_even_and_of_one_stratum(coarse: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grouping, "COARSE", coarse)
    x = cells()
    strata = np.random.default_rng(1).choice(3, len(x), p=[0.7, 0.2, 0.1])
    code = grouped_cells(x, strata, 40, seed=3)
    sizes = np.bincount(code)
    assert len(sizes) == 40
    assert sizes.min() >= 3
    assert sizes.max() <= 45
    assert all(len(set(strata[code == group])) == 1 for group in range(40))
    per_stratum = np.array([len(set(code[strata == s])) for s in range(3)])
    np.testing.assert_allclose(per_stratum, 40 * np.bincount(strata) / len(x), atol=1)
    assert np.array_equal(code, grouped_cells(x, strata, 40, seed=3))
    assert not np.array_equal(code, grouped_cells(x, strata, 40, seed=4))


def test_groups_hold_cells_that_lie_together() -> None:
    x = cells()
    code = grouped_cells(x, np.zeros(len(x), dtype=np.int64), 40)
    means = group_means(lambda rows: x[rows], code, 40, block=100)
    np.testing.assert_allclose(means[7], x[code == 7].mean(axis=0), rtol=1e-5)
    within = np.square(x - means[code]).sum()
    by_chance = np.random.default_rng(0).permutation(code)
    among = np.square(x - group_means(lambda rows: x[rows], by_chance, 40)[by_chance]).sum()
    assert within < 0.35 * among


def test_one_far_cell_and_cells_in_one_place_make_no_empty_group() -> None:
    x = np.zeros((200, 3), dtype=np.float32)
    x[0] = 1e4
    sizes = np.bincount(grouped_cells(x, np.zeros(200, dtype=np.int64), 10))
    assert len(sizes) == 10
    assert sizes.min() >= 5


def test_no_more_groups_than_cells_and_no_fewer_than_strata() -> None:
    x, strata = cells(6), np.array([0, 0, 0, 1, 1, 2])
    assert sorted(grouped_cells(x, strata, 100)) == list(range(6))
    assert grouped_cells(x, strata, 1).tolist() == strata.tolist()


def test_shares_are_in_proportion() -> None:
    assert shared_out(7, np.array([1, 1, 100])).tolist() == [1, 1, 5]
    assert shared_out(1000, np.array([2, 3])).tolist() == [2, 3]
    assert shared_out(50, np.full(5, 20)).tolist() == [10] * 5


def test_strata_are_combinations_that_occur() -> None:
    assert strata_of([np.array([0, 1, 0, 1]), np.array([5, 5, 7, 5])]).tolist() == [0, 2, 1, 2]
