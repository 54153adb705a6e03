"""Random replacement of edges."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omicsglue.errors import GraphError, OptionError
from omicsglue.graph import GuidanceGraph, corrupt, drop_edges, flip_signs


def bipartite(rng: np.random.Generator, genes: int, peaks: int, edges: int) -> GuidanceGraph:
    cells = rng.choice(genes * peaks, edges, replace=False)
    names = [f"g{i}" for i in range(genes)] + [f"p{i}" for i in range(peaks)]
    return GuidanceGraph(
        np.array(names, dtype=object),
        cells // peaks,
        genes + cells % peaks,
        rng.uniform(0.1, 1, edges),
        rng.choice([1, -1], edges),
        distance=rng.uniform(0, 9, edges),
    )


def pairs(graph: GuidanceGraph) -> set[frozenset[int]]:
    return {frozenset(pair) for pair in zip(graph.source.tolist(), graph.target.tolist(), strict=True)}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000), rate=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]))
def test_share_sides_and_attributes(seed: int, rate: float) -> None:
    graph = bipartite(np.random.default_rng(seed), 12, 20, 40)
    new = graph.corrupt(rate, seed)
    moved = (new.source != graph.source) | (new.target != graph.target)
    assert moved.sum() == round(rate * 40)
    assert len(pairs(new) & pairs(graph)) == 40 - moved.sum()  # nothing old came back elsewhere
    assert len(pairs(new)) == 40
    assert (new.source < 12).all()
    assert (new.target >= 12).all()
    for name in ("vertices", "weight", "sign", "kind_codes"):
        assert np.array_equal(getattr(new, name), getattr(graph, name))
    assert np.isnan(new.distance[moved]).all()
    assert np.array_equal(new.distance[~moved], graph.distance[~moved])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), rate=st.sampled_from([0.0, 0.1, 0.5, 1.0]))
def test_edges_are_left_out_or_turned_and_the_rest_stays(seed: int, rate: float) -> None:
    graph = bipartite(np.random.default_rng(seed), 12, 20, 40)
    fewer = drop_edges(graph, rate, seed)
    assert fewer.n_edges == 40 - round(rate * 40)
    assert np.array_equal(fewer.vertices, graph.vertices)
    rows, before = (set(map(tuple, each.to_frame().to_numpy().tolist())) for each in (fewer, graph))
    assert rows <= before
    turned = flip_signs(graph, rate, seed)
    changed = turned.sign != graph.sign
    assert changed.sum() == round(rate * 40)
    assert (turned.sign[changed] == -graph.sign[changed]).all()
    assert turned.equals(replace(graph, sign=turned.sign))
    assert drop_edges(graph, rate, seed).equals(fewer)


@pytest.mark.parametrize("spoil", [drop_edges, flip_signs])
def test_shares_outside_0_to_1(spoil: Callable[..., GuidanceGraph]) -> None:
    graph = bipartite(np.random.default_rng(0), 5, 5, 8)
    with pytest.raises(OptionError, match="is not a share"):
        spoil(graph, 1.5, 0)


def test_seeds_decide() -> None:
    graph = bipartite(np.random.default_rng(0), 30, 50, 100)
    assert graph.corrupt(0.5, 1).equals(graph.corrupt(0.5, np.random.default_rng(1)))
    assert not graph.corrupt(0.5, 1).equals(graph.corrupt(0.5, 2))


def test_many_pairs_are_drawn_without_listing_all() -> None:
    graph = bipartite(np.random.default_rng(0), 3000, 4000, 5000)
    new = graph.corrupt(1.0, 0)
    assert not pairs(new) & pairs(graph)
    assert len(pairs(new)) == 5000


def test_new_ends_are_uniform() -> None:
    graph = bipartite(np.random.default_rng(0), 10, 400, 1000)
    counts = sum(np.bincount(graph.corrupt(1.0, seed).source, minlength=10) for seed in range(20))
    expected = 2000.0
    assert np.abs(counts - expected).max() < 6 * np.sqrt(expected)


def test_modalities_keep_edges_between_the_same_two() -> None:
    # Genes are sources of some edges and targets of others: roles alone do not tell the sides.
    rng = np.random.default_rng(3)
    names = [f"{kind}{i}" for kind in "gpm" for i in range(20)]
    peak, meth = rng.choice(400, 50, replace=False), rng.choice(400, 50, replace=False)
    source = np.concatenate([peak // 20, 40 + meth // 20])
    target = np.concatenate([20 + peak % 20, meth % 20])
    graph = GuidanceGraph(np.array(names, dtype=object), source, target)
    sides = {kind: names[i : i + 20] for i, kind in zip((0, 20, 40), "gpm", strict=True)}
    new = corrupt(graph, 1.0, 0, modalities=sides)
    assert np.array_equal(new.source // 20, graph.source // 20)
    assert np.array_equal(new.target // 20, graph.target // 20)
    assert not pairs(new) & pairs(graph)
    with pytest.raises(GraphError, match="in no modality: m"):
        corrupt(graph, 0.5, 0, modalities={"g": sides["g"], "p": sides["p"]})


def test_graph_that_is_not_bipartite() -> None:
    graph = GuidanceGraph(np.array(list("abcdef"), dtype=object), np.arange(5), np.arange(1, 6))
    new = graph.corrupt(1.0, 0)
    assert not pairs(new) & pairs(graph)
    assert len(pairs(new)) == 5
    assert corrupt(graph, 1.0, 0, modalities={"all": list("abcdef")}).n_edges == 5


def test_no_edges_to_move() -> None:
    empty = GuidanceGraph(np.array(["a"], dtype=object), np.array([], dtype=int), np.array([], dtype=int))
    assert empty.corrupt(0.5, 0).equals(empty)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_rates_outside_0_to_1(rate: float) -> None:
    with pytest.raises(OptionError, match="rate"):
        bipartite(np.random.default_rng(0), 3, 3, 3).corrupt(rate, 0)


def test_full_graphs_cannot_be_corrupted() -> None:
    graph = bipartite(np.random.default_rng(0), 3, 3, 9)
    with pytest.raises(GraphError, match="not linked yet"):
        graph.corrupt(1.0, 0)
