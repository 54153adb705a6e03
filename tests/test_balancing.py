"""Balancing weights: brute force over combinations, and what they are for."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from omicsglue.balancing import BalancingConfig, balancing_weights, matched_mass


@pytest.mark.parametrize("sizes", [(3, 4), (3, 2, 4), (2, 3, 2, 3)])
def test_matched_mass_equals_brute_force(sizes: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    centroids = [rng.normal(size=(n, 3)) for n in sizes]
    unit = [c / np.linalg.norm(c, axis=1, keepdims=True) for c in centroids]
    expected = [np.zeros(n) for n in sizes]
    for combination in product(*(range(n) for n in sizes)):
        value = 1.0
        for i, j in combinations(range(len(sizes)), 2):
            cosine = unit[i][combination[i]] @ unit[j][combination[j]]
            value *= cosine**4 if cosine > 0.1 else 0
        for k, member in enumerate(combination):
            expected[k][member] += value
    for found, wanted in zip(matched_mass(centroids, 0.1, 4), expected, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-12)


def blobs(sizes: list[int], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = 10 * np.eye(len(sizes), 5)
    return np.concatenate(
        [centres[i] + rng.normal(scale=0.3, size=(n, 5)) for i, n in enumerate(sizes)]
    ).astype(np.float32)


def test_types_weigh_the_same_where_their_shares_differ() -> None:
    sizes = {"a": [200, 50, 100], "b": [50, 200, 100]}
    embeddings = {name: blobs(each, seed) for seed, (name, each) in enumerate(sizes.items())}
    weights = balancing_weights(embeddings, BalancingConfig(), seed=0)
    for name, each in sizes.items():
        mass = [part.sum() for part in np.split(weights[name], np.cumsum(each)[:-1])]
        np.testing.assert_allclose(mass / np.mean(mass), 1, atol=0.1)
        assert weights[name].mean() == pytest.approx(1, abs=1e-5)


def test_a_type_without_a_match_weighs_nothing() -> None:
    embeddings = {"a": blobs([100, 100, 100], 0), "b": blobs([150, 150], 1)}
    weights = balancing_weights(embeddings, BalancingConfig(), seed=0)
    assert weights["a"][200:].max() < 0.05
    assert weights["a"][:200].min() > 0.5


def test_weights_are_repeatable_and_even_where_nothing_matches() -> None:
    u = blobs([60, 40], 0)
    one, two = (balancing_weights({"a": u, "b": u.copy()}, BalancingConfig(), 3) for _ in range(2))
    assert np.array_equal(one["a"], two["a"])
    apart = balancing_weights({"a": u, "b": -u}, BalancingConfig(), 0)
    assert (apart["a"] == 1).all()
