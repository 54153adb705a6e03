from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omicsglue.datasets.states import falling_shares, grow_tree


@given(types=st.integers(2, 40), rarest=st.floats(0.001, 1.0))
def test_shares_fall_to_the_rarest(types: int, rarest: float) -> None:
    shares = falling_shares(types, rarest)
    assert shares.sum() == pytest.approx(1.0)
    assert (np.diff(shares) <= 1e-12).all()
    assert shares[-1] == pytest.approx(min(rarest, 1.0 / types), rel=1e-6)
    ratios = shares[1:] / shares[:-1]
    np.testing.assert_allclose(ratios, ratios[0])


@given(types=st.integers(2, 30), seed=st.integers(0, 1_000))
def test_tree_has_one_leaf_for_each_type(types: int, seed: int) -> None:
    tree = grow_tree(types, 0.01, np.random.default_rng(seed))
    nodes = np.arange(len(tree.parents))
    assert (tree.parents[1:] < nodes[1:]).all()
    childless = np.setdiff1d(nodes, tree.parents)
    assert set(tree.leaves) == set(childless)
    assert len(tree.leaves) == types
    children = np.bincount(tree.parents[1:])
    assert set(children[children > 0]) <= {2, 3}
    assert tree.strength[0] == 0
    assert (tree.strength[1:] > 0).all()


@given(types=st.integers(2, 30), seed=st.integers(0, 1_000))
def test_continuum_joins_siblings(types: int, seed: int) -> None:
    tree = grow_tree(types, 0.01, np.random.default_rng(seed))
    first, second = tree.continuum
    assert first != second
    assert tree.parents[tree.leaves[first]] == tree.parents[tree.leaves[second]]


def test_paths_lead_from_the_root_to_each_type() -> None:
    tree = grow_tree(9, 0.01, np.random.default_rng(4))
    paths = tree.paths()
    for row, leaf in zip(paths, tree.leaves, strict=True):
        node, expected = int(leaf), set()
        while node != 0:
            expected.add(node)
            node = int(tree.parents[node])
        assert set(np.flatnonzero(row)) == expected
