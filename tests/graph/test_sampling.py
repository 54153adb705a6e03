"""Sampling of edges: frequencies, signs, and that negatives are no edges."""

from __future__ import annotations

import numpy as np
import pytest

from omicsglue.graph import GuidanceGraph, sampling
from omicsglue.graph.sampling import EdgeSampler, _Quantiles


def small_graph() -> GuidanceGraph:
    return GuidanceGraph(
        vertices=np.array(list("abcdef"), dtype=object),
        source=np.array([0, 0, 1]),
        target=np.array([2, 3, 4]),
        weight=np.array([1.0, 0.5, 0.25], dtype=np.float32),
        sign=np.array([1, -1, 1], dtype=np.int8),
    )


def test_positives_come_by_weight_in_both_directions_with_self_loops() -> None:
    sampler = EdgeSampler(small_graph(), negatives=1)
    drawn = sampler.draw(60_000, np.random.default_rng(0))
    positive = drawn.present == 1
    assert positive.sum() == 60_000
    pairs, counts = np.unique(np.c_[drawn.source, drawn.target][positive], axis=0, return_counts=True)
    total = 2 * 1.75 + 6
    expected = {(0, 2): 1, (2, 0): 1, (0, 3): 0.5, (3, 0): 0.5, (1, 4): 0.25, (4, 1): 0.25}
    expected |= {(i, i): 1 for i in range(6)}
    assert {tuple(pair) for pair in pairs.tolist()} == set(expected)
    for pair, count in zip(pairs.tolist(), counts, strict=True):
        assert abs(count / 60_000 - expected[tuple(pair)] / total) < 0.006


EDGES = {(0, 2), (2, 0), (0, 3), (3, 0), (1, 4), (4, 1)} | {(i, i) for i in range(6)}
DEGREE = np.array([1.5, 0.25, 1.0, 0.5, 0.25, 0.0])


def test_negatives_are_no_edges_and_keep_the_sign() -> None:
    drawn = EdgeSampler(small_graph(), negatives=5).draw(4_000, np.random.default_rng(1))
    negative = drawn.present == 0
    assert not set(zip(drawn.source[negative].tolist(), drawn.target[negative].tolist(), strict=True)) & EDGES
    signs = {(0, 3): -1.0, (3, 0): -1.0}
    for i, j, s in zip(drawn.source[~negative], drawn.target[~negative], drawn.sign[~negative], strict=True):
        assert s == signs.get((i, j), 1.0)
    of_minus = negative & (drawn.sign == -1)
    assert set(drawn.source[of_minus].tolist()) == {0, 3}
    assert (drawn.sign[negative & np.isin(drawn.source, [1, 2, 4, 5])] == 1).all()


def test_negatives_come_by_degree_and_are_left_out_after_their_attempts() -> None:
    negatives, positives = 5, 20_000
    drawn = EdgeSampler(small_graph(), negatives=negatives).draw(positives, np.random.default_rng(1))
    negative = drawn.present == 0
    by_source = np.bincount(drawn.source[~negative], minlength=6)
    free = np.array([[(i, j) not in EDGES for j in range(6)] for i in range(6)])
    share = free @ DEGREE / DEGREE.sum()  # of draws that are no edge
    kept = 1 - (1 - share) ** 6  # a draw and five attempts
    expected = negatives * (by_source * kept)[:, None] * free * DEGREE / (free @ DEGREE)[:, None]
    found = np.zeros((6, 6))
    np.add.at(found, (drawn.source[negative], drawn.target[negative]), 1)
    assert kept[0] < 0.65  # a vertex that is linked to most others
    np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(expected.max()))
    assert found[:, 5].sum() == 0  # f has no edge, so no degree


def test_no_attempts_leave_out_what_is_an_edge() -> None:
    drawn = EdgeSampler(small_graph(), negatives=5).draw(500, np.random.default_rng(2), attempts=0)
    negative = drawn.present == 0
    assert 0 < negative.sum() < 2_500
    assert not set(zip(drawn.source[negative].tolist(), drawn.target[negative].tolist(), strict=True)) & EDGES


def test_in_a_sparse_graph_all_negatives_are_found() -> None:
    rng = np.random.default_rng(0)
    vertices = np.array([f"v{i}" for i in range(2_000)], dtype=object)
    graph = GuidanceGraph(vertices, np.arange(1_000), rng.permutation(1_000) + 1_000)
    drawn = EdgeSampler(graph, negatives=10).draw(3_000, rng)
    assert len(drawn.present) == 33_000
    assert drawn.source.dtype == drawn.target.dtype == np.int64
    assert drawn.sign.dtype == drawn.present.dtype == np.float32


def test_a_pair_with_both_signs_is_no_negative() -> None:
    graph = GuidanceGraph(
        np.array(list("abc"), dtype=object),
        np.array([0, 0]),
        np.array([1, 1]),
        sign=np.array([1, -1], dtype=np.int8),
    )
    drawn = EdgeSampler(graph, negatives=3).draw(300, np.random.default_rng(0))
    negative = drawn.present == 0
    pairs = set(zip(drawn.source[negative].tolist(), drawn.target[negative].tolist(), strict=True))
    assert pairs == {(2, 0), (2, 1)}


def test_the_same_seed_draws_the_same() -> None:
    sampler = EdgeSampler(small_graph())
    one, two = (sampler.draw(50, np.random.default_rng(3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(vars(one).values(), vars(two).values(), strict=True))


def test_a_complete_graph_has_no_negatives_and_does_not_hang() -> None:
    graph = GuidanceGraph(np.array(["a", "b"], dtype=object), np.array([0]), np.array([1]))
    drawn = EdgeSampler(graph).draw(20, np.random.default_rng(0))
    assert len(drawn.present) == 20


def test_a_graph_without_edges_samples_self_loops() -> None:
    empty = np.array([], dtype=np.int64)
    graph = GuidanceGraph(np.array(["a", "b"], dtype=object), empty, empty)
    drawn = EdgeSampler(graph, negatives=1).draw(20, np.random.default_rng(0))
    assert (drawn.source == drawn.target)[drawn.present == 1].all()


@pytest.mark.parametrize("parts", [4, 1 << 18])
def test_a_table_of_quantiles_finds_what_a_search_does(parts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "PARTS", parts)
    rng = np.random.default_rng(0)
    for weight in (rng.exponential(size=1000) ** 4, np.array([0.0, 1.0, 0.0, 0.0, 3.0, 0.0]), np.ones(1)):
        cumulative = np.cumsum(weight)
        cumulative = cumulative / cumulative[-1]
        drawn = np.concatenate([rng.random(5000), cumulative[cumulative < 1], [0.0, np.nextafter(1, 0)]])
        cumulative[-1] = np.inf
        expected = np.searchsorted(cumulative, drawn, side="right")
        np.testing.assert_array_equal(_Quantiles(weight)(drawn), expected)
