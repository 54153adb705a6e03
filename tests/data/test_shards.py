"""Shares of the cells for processes that train together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omicsglue.data.pairing import Pairing
from omicsglue.data.shards import number_held_out, shards
from omicsglue.errors import OptionError


@pytest.mark.parametrize(
    ("cells", "held"),
    [(0, 0), (2, 0), (3, 1), (101, 11), (81_920, 8192), (81_921, 8192), (10**8, 8192)],
)
def test_a_tenth_of_the_cells_is_held_out_up_to_a_limit(cells: int, held: int) -> None:
    assert number_held_out(cells, 0.1) == held
    assert number_held_out(cells, 0.0) == 0


@given(st.integers(8, 60), st.integers(8, 60), st.integers(1, 4))
def test_every_cell_is_in_one_share_and_shares_differ_by_a_cell(one: int, two: int, number: int) -> None:
    rows = {"rna": np.arange(one) * 2, "atac": np.arange(two) + 5}
    found = shards(rows, number)
    assert len(found) == number
    for name, each in rows.items():
        assert np.array_equal(np.concatenate([part[name] for part in found]), each)
        sizes = [len(part[name]) for part in found]
        assert max(sizes) - min(sizes) <= 1


@given(st.integers(0, 10_000), st.integers(2, 4), st.floats(0, 1))
def test_partners_are_in_one_share(seed: int, number: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    cells = {"rna": int(rng.integers(20, 60)), "atac": int(rng.integers(20, 60))}
    count = round(share * min(cells.values()))
    joint = {}
    for name, n in cells.items():
        joint[name] = np.full(n, -1)
        joint[name][rng.permutation(n)[:count]] = np.arange(count)
    rows = {name: np.sort(rng.permutation(n)[: n - 4]) for name, n in cells.items()}
    found = shards(rows, number, Pairing(joint, count))
    owners = np.full((2, count + 1), -1)
    for owner, name in zip(owners, cells, strict=True):
        everything = np.sort(np.concatenate([part[name] for part in found]))
        assert np.array_equal(everything, rows[name])
        for rank, part in enumerate(found):
            owner[joint[name][part[name]]] = rank
    both = (owners[:, :-1] >= 0).all(0)
    assert np.array_equal(owners[0, :-1][both], owners[1, :-1][both])


def test_too_few_cells_are_refused() -> None:
    with pytest.raises(OptionError, match="5 cells of atac are too few to train 3 processes"):
        shards({"rna": np.arange(30), "atac": np.arange(5)}, 3)
