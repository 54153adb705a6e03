"""Interval pairs against a brute-force oracle."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omicsglue.genome.intervals import has_coordinates, nearest_distance, window_pairs

interval = st.tuples(st.sampled_from(["chr1", "chr2", None]), st.integers(0, 60), st.integers(1, 20))


def table(rows: list[tuple[str | None, int, int]]) -> pd.DataFrame:
    chrom = pd.Series([row[0] for row in rows], dtype=object)
    start = np.array([row[1] for row in rows], dtype=np.int64)
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + [row[2] for row in rows]})


@settings(max_examples=60, deadline=None)
@given(left=st.lists(interval, max_size=8), right=st.lists(interval, max_size=8), window=st.integers(0, 30))
def test_pairs_equal_brute_force(left: list, right: list, window: int) -> None:
    one, other = table(left), table(right)
    expected = []
    for i, (chrom, start, length) in enumerate(left):
        for j, (chrom2, start2, length2) in enumerate(right):
            bases = set(range(start - window, start + length + window))
            if chrom is not None and chrom == chrom2 and bases & set(range(start2, start2 + length2)):
                gap = max(0, start2 - start - length, start - start2 - length2)
                shared = set(range(start, start + length)) & set(range(start2, start2 + length2))
                expected.append((i, j, gap, bool(shared)))
    pairs = window_pairs(one, other, window)
    assert list(zip(*(part.tolist() for part in pairs), strict=True)) == expected


def test_touching_intervals_do_not_overlap() -> None:
    left, right = table([("chr1", 10, 10)]), table([("chr1", 20, 5)])
    assert not len(window_pairs(left, right).left)
    near = window_pairs(left, right, window=1)
    assert near.distance.tolist() == [0]
    assert not near.overlapping[0]


def test_empty_tables_give_no_pair() -> None:
    empty = table([])
    assert len(window_pairs(empty, table([("chr1", 1, 1)])).left) == 0
    assert window_pairs(empty, empty).distance.dtype == np.int64


def test_categorical_chromosomes_are_compared_by_name() -> None:
    left = table([("chr2", 0, 5)]).astype({"chrom": pd.CategoricalDtype(["chr2"])})
    right = table([("chr1", 0, 5), ("chr2", 0, 5)]).astype({"chrom": "category"})
    assert window_pairs(left, right).right.tolist() == [1]


def test_rows_without_coordinates() -> None:
    rows = pd.DataFrame(
        {"chrom": ["chr1", np.nan, "chr1", "chr1"], "start": [0, 1, -1, 5], "end": [2, 2, -1, 5]}
    )
    assert has_coordinates(rows).tolist() == [True, False, False, False]


@given(
    points=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 100)), min_size=1, max_size=10),
    targets=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 100)), max_size=10),
)
def test_nearest_distance_equals_brute_force(points: list, targets: list) -> None:
    at, goal = np.array(points, dtype=np.int64), np.array(targets, dtype=np.int64).reshape(-1, 2)
    found = nearest_distance(at[:, 1], at[:, 0], goal[:, 1], goal[:, 0])
    for (chrom, place), distance in zip(points, found.tolist(), strict=True):
        assert distance == min((abs(place - p) for c, p in targets if c == chrom), default=1 << 40)


@pytest.mark.parametrize("seed", [0, 1])
def test_order_of_rows_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        ("chr1", int(s), int(w))
        for s, w in zip(rng.integers(0, 500, 40), rng.integers(1, 30, 40), strict=True)
    ]
    left, right = table(rows[:20]), table(rows[20:])
    shuffle = rng.permutation(20)
    pairs, again = window_pairs(left, right, 10), window_pairs(left, right.iloc[shuffle], 10)
    assert set(zip(pairs.left, pairs.right, strict=True)) == set(
        zip(again.left, shuffle[again.right], strict=True)
    )
