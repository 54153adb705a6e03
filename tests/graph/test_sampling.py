"""Sampling of edges: frequencies, signs, and that negatives are no edges."""

from __future__ import annotations

import numpy as np

from omicsglue.graph import GuidanceGraph
from omicsglue.graph.sampling import EdgeSampler


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


def test_negatives_are_no_edges_keep_the_sign_and_come_by_degree() -> None:
    graph = small_graph()
    sampler = EdgeSampler(graph, negatives=5)
    drawn = sampler.draw(4_000, np.random.default_rng(1))
    negative = drawn.present == 0
    edges = {(0, 2), (2, 0), (0, 3), (3, 0), (1, 4), (4, 1)} | {(i, i) for i in range(6)}
    pairs = list(zip(drawn.source[negative].tolist(), drawn.target[negative].tolist(), strict=True))
    assert len(pairs) > 0.95 * 5 * 4_000
    assert not set(pairs) & edges
    assert 5 not in drawn.target[negative]  # f has no edge, so no degree
    signs = {(0, 3): -1.0, (3, 0): -1.0}
    for i, j, s in zip(drawn.source[~negative], drawn.target[~negative], drawn.sign[~negative], strict=True):
        assert s == signs.get((i, j), 1.0)


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
