"""Balancing weights: the formula written out, and what they are for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import brentq

from omicsglue.balancing import (
    FINENESS,
    BalancingConfig,
    balancing_weights,
    composition_differs,
    fuzzy_neighbours,
    leiden_clusterings,
    leiden_clusters,
)

CONFIG = BalancingConfig()


def test_composition_differs_where_weights_depart_from_one() -> None:
    even = {"a": np.ones(10, dtype=np.float32), "b": np.array([0.9, 1.1], dtype=np.float32)}
    assert not composition_differs(even)
    assert composition_differs(even | {"c": np.array([0.5, 1.5], dtype=np.float32)})
    u = {"a": blobs([100, 100, 100], 0), "b": blobs([100, 100, 100], 1)}
    assert not composition_differs(balancing_weights(u, CONFIG, 0))
    u["b"] = blobs([150, 150], 1)
    assert composition_differs(balancing_weights(u, CONFIG, 0))


def blobs(sizes: list[int], seed: int, *, spread: float = 0.3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = 10 * np.eye(len(sizes), 5)
    return np.concatenate(
        [centres[i] + rng.normal(scale=spread, size=(n, 5)) for i, n in enumerate(sizes)]
    ).astype(np.float32)


SIZES = {"a": [200, 50, 100], "b": [50, 200, 100], "c": [30, 30, 240]}


def shares(weight: np.ndarray, sizes: list[int]) -> np.ndarray:
    """Return what share of the weight each type has."""
    mass = np.array([part.sum() for part in np.split(weight, np.cumsum(sizes)[:-1])])
    return mass / mass.sum()


@pytest.mark.parametrize("names", ["ab", "abc"])
def test_types_have_one_share_of_the_weight_in_all_modalities(names: str) -> None:
    sizes = {name: SIZES[name] for name in names}
    weights = balancing_weights(
        {n: blobs(each, i, spread=0.1) for i, (n, each) in enumerate(sizes.items())}, CONFIG, 0
    )
    before = np.array([shares(np.ones(sum(each)), each) for each in sizes.values()])
    after = np.array([shares(weights[name], each) for name, each in sizes.items()])
    assert np.ptp(before, axis=0).max() > 0.4
    np.testing.assert_allclose(after, after[:1].repeat(len(after), axis=0), atol=1e-4)
    assert (after > 0.05).all()
    for weight in weights.values():
        assert weight.dtype == np.float32
        assert weight.mean() == pytest.approx(1, abs=1e-5)


def test_a_type_that_one_modality_has_more_of_weighs_less_there() -> None:
    weights = balancing_weights({"a": blobs(SIZES["a"], 0), "b": blobs(SIZES["b"], 1)}, CONFIG, 0)
    first, second = weights["a"][:200].mean(), weights["b"][:50].mean()
    assert second == pytest.approx(4 * first, rel=0.01)  # 200 cells in a, 50 in b


def test_cells_of_one_cluster_in_all_clusterings_weigh_the_same() -> None:
    u = {"a": blobs([60, 40], 0), "b": blobs([40, 60], 1)}
    weight = balancing_weights(u, CONFIG, 0)["a"]
    levels = np.stack(leiden_clusterings(u["a"], FINENESS, CONFIG, 0), axis=1)
    pieces = np.unique(levels, axis=0, return_inverse=True)[1].ravel()
    for piece in np.unique(pieces):
        assert np.ptp(weight[pieces == piece]) == 0


def test_the_finest_clustering_is_that_of_the_resolution() -> None:
    u = blobs([60, 40, 30], 0)
    levels = leiden_clusterings(u, [0.4, CONFIG.resolution], CONFIG, 3)
    assert np.array_equal(levels[1], leiden_clusters(u, CONFIG, 3))
    assert levels[0].max() <= levels[1].max()


def test_profiles_of_linked_features_decide_between_types_that_the_embedding_confuses() -> None:
    rng = np.random.default_rng(0)
    sizes = {"a": [200, 50, 100, 100], "b": [50, 200, 100, 100]}
    u = {name: blobs(each, i) for i, (name, each) in enumerate(sizes.items())}
    u["b"] = u["b"][:, [1, 0, 2, 3, 4]] * 0.52 + u["b"] * 0.48  # the first two types nearly change places
    types = {name: np.repeat(np.arange(4), each) for name, each in sizes.items()}
    patterns = rng.normal(size=(4, 200))
    asked = {}

    def profiles(groups: Mapping[str, sp.csr_matrix]) -> dict[tuple[str, str], tuple[np.ndarray, np.ndarray]]:
        asked.update(groups)
        of = [each @ patterns[types[name]] / each.sum(axis=1) for name, each in groups.items()]
        return {("a", "b"): (np.asarray(of[0]), np.asarray(of[1]))}

    plain, linked = (balancing_weights(u, CONFIG, 0, each) for each in (None, profiles))
    assert plain["a"][:200].mean() > 0.9
    assert linked["a"][:200].mean() < 0.7 < 1.5 < linked["a"][200:250].mean()
    for name, groups in asked.items():  # every cell is in one cluster of each clustering
        assert (np.asarray(groups.sum(axis=0)) == len(FINENESS)).all(), name


def test_clusters_do_not_mix_separate_types_and_seeds_repeat() -> None:
    labels = leiden_clusters(blobs([80, 50, 30], 0), CONFIG, 7)
    types = np.repeat([0, 1, 2], [80, 50, 30])
    assert all(len(set(types[labels == cluster])) == 1 for cluster in np.unique(labels))
    assert np.array_equal(labels, leiden_clusters(blobs([80, 50, 30], 0), CONFIG, 7))
    assert labels.dtype == np.int64


@pytest.mark.parametrize("cells", [1, 2])
def test_too_few_cells_for_a_graph_are_one_cluster(cells: int) -> None:
    assert leiden_clusters(np.ones((cells, 3), dtype=np.float32), CONFIG, 0).tolist() == [0] * cells


def test_clustering_leaves_the_generators_of_others() -> None:
    import random

    before = random.getstate(), np.random.get_state()[1].copy()  # noqa: NPY002
    leiden_clusters(blobs([30, 30], 0), CONFIG, 0)
    assert random.getstate() == before[0]
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


def test_a_type_without_a_match_weighs_nothing() -> None:
    embeddings = {"a": blobs([100, 100, 100], 0), "b": blobs([150, 150], 1)}
    weights = balancing_weights(embeddings, CONFIG, seed=0)
    assert weights["a"][200:].max() < 0.05
    assert weights["a"][:200].min() > 0.5


def test_weights_are_repeatable_and_even_where_nothing_matches() -> None:
    u = blobs([60, 40], 0)
    one, two = (balancing_weights({"a": u, "b": u.copy()}, CONFIG, 3) for _ in range(2))
    assert np.array_equal(one["a"], two["a"])
    apart = balancing_weights({"a": u, "b": np.roll(u, 2, axis=1)}, CONFIG, 0)  # in other dimensions
    assert (apart["a"] == 1).all()


def test_neighbour_weights_are_those_of_umap() -> None:
    # sums of each cell's own weights, before both directions are united, are log2 of the neighbours
    x = np.random.default_rng(0).normal(size=(120, 6))
    k = 10
    distances = np.linalg.norm(x[:, None] - x[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    one_way = np.zeros((120, 120))
    for i, row in enumerate(distances):
        nearest = np.argsort(row)[: k - 1]
        beyond = row[nearest] - row[nearest[0]]
        scale = brentq(lambda s, d=beyond: np.exp(-d / s).sum() - np.log2(k), 1e-6, 1e6)
        one_way[i, nearest] = np.exp(-beyond / scale)
    expected = one_way + one_way.T - one_way * one_way.T
    np.testing.assert_allclose(fuzzy_neighbours(x, k).toarray(), expected, rtol=1e-6, atol=1e-9)


def test_cells_in_one_place_have_neighbours_all_the_same() -> None:
    found = fuzzy_neighbours(np.ones((30, 4)), 10)
    assert np.isfinite(found.data).all()
    assert found.max() <= 1 + 1e-9
    assert set(leiden_clusters(np.ones((30, 4), dtype=np.float32), CONFIG, 0)) <= set(range(30))


def test_many_cells_are_clustered_by_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    u = blobs([80, 50, 30], 0)
    types = np.repeat([0, 1, 2], [80, 50, 30])
    monkeypatch.setattr("omicsglue.balancing.MOST_CELLS", 60)
    labels = leiden_clusters(u, CONFIG, 0)
    assert all(len(set(types[labels == cluster])) == 1 for cluster in np.unique(labels))
    assert sorted(set(labels.tolist())) == list(range(labels.max() + 1))
    assert np.array_equal(labels, leiden_clusters(u, CONFIG, 0))


def test_ten_thousand_cells_are_clustered() -> None:
    rng = np.random.default_rng(0)
    types = rng.integers(4, size=10_000)
    u = (4 * np.eye(4, 10)[types] + rng.normal(size=(10_000, 10))).astype(np.float32)
    labels = leiden_clusters(u, CONFIG, 0)
    purity = sum(np.bincount(types[labels == cluster]).max() for cluster in np.unique(labels))
    assert purity > 0.95 * len(types)
