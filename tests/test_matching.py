"""Matching of clusters: the formulas written out, and the cases that it is for."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp

from omicsglue.data.modality import ModalityData
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.matching import (
    Clustering,
    common_use,
    group_sums,
    linked_profiles,
    matched_ratios,
    pair_weights,
    relative_similarity,
    unit_rows,
)

NAMES = ("a", "b")


def clustering(
    centroids: np.ndarray, sizes: list[int], other: str = "", profile: object = None
) -> Clustering:
    profiles = {} if profile is None else {other: np.asarray(profile, dtype=np.float64)}
    return Clustering(np.repeat(np.arange(len(sizes)), sizes), centroids.astype(np.float64), profiles)


def modality(name: str, values: np.ndarray, likelihood: str = "nb", coverage: object = None) -> ModalityData:
    cells, features = values.shape
    return ModalityData(
        name=name,
        cells=np.arange(cells).astype(str).astype(object),
        features=np.array([f"{name}{i}" for i in range(features)], dtype=object),
        counts=sp.csr_matrix(values.astype(np.float32)),
        inputs=np.zeros((cells, 1), dtype=np.float32),
        library=np.ones(cells, dtype=np.float32),
        batch=np.zeros(cells, dtype=np.int64),
        batches=("",),
        weight=np.ones(cells, dtype=np.float32),
        label=np.full(cells, -1),
        likelihood=likelihood,
        coverage=None if coverage is None else sp.csr_matrix(np.asarray(coverage, dtype=np.float32)),
    )


def test_ratios_equal_the_formula_written_out() -> None:
    rng = np.random.default_rng(0)
    similarity = np.where(rng.random((3, 4)) > 0.4, rng.random((3, 4)), 0)
    one, other = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(4))
    first, second = matched_ratios(similarity, one, other)
    for i in range(3):
        handed = 0.0
        for j in range(4):
            claimed = sum(similarity[h, j] * one[h] for h in range(3))
            handed += similarity[i, j] * other[j] / claimed if claimed else 0
        assert first[i] == pytest.approx(handed)
    swapped = matched_ratios(similarity.T, other, one)
    np.testing.assert_allclose(second, swapped[0])


def test_similarity_equals_the_formula_written_out() -> None:
    rng = np.random.default_rng(1)
    types = rng.normal(size=(4, 6))
    one = clustering(types, [5] * 4, "b", rng.normal(size=(4, 60)))
    other = clustering(
        types[:3] + 0.4 * rng.normal(size=(3, 6)) + 7,
        [5] * 3,
        "a",
        one.profiles["b"][:3] + rng.normal(size=(3, 60)),
    )

    def cosines(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for b in y] for a in x])

    def likeness(c: np.ndarray) -> float:
        return float(np.mean([row.max() for row in c]) + np.mean([column.max() for column in c.T])) / 2

    x, y = one.centroids - one.centroids.mean(0), other.centroids - other.centroids.mean(0)
    used = np.minimum(x.std(0), y.std(0)) / np.maximum(x.std(0), y.std(0))
    near = cosines(x * used, y * used)
    p, q = (part - part.mean(0) for part in (one.profiles["b"], other.profiles["a"]))
    linked = cosines(p, q)
    mean = (near / likeness(near) + linked / likeness(linked)) / 2
    found, alike = relative_similarity(NAMES, one, other, 0.3, 4)
    assert alike == pytest.approx(likeness(near) + 2 * likeness(linked))
    assert (found > 0).sum() >= 3
    for i, j in product(range(4), range(3)):
        relative = (max(mean[i, j], 0) ** 2 / (mean[i].max() * mean[:, j].max())) ** 4
        assert found[i, j] == pytest.approx(relative if relative > 0.3 else 0)


def test_a_missing_type_is_not_given_the_like_of_its_sister() -> None:
    # the first two types are sisters; the second modality lacks the first, which is the commonest
    types = 3 * np.eye(6, 8)
    types[1] = 0.6 * types[0] + 0.8 * types[1]
    moved = np.full(8, 5.0)
    one, other = clustering(types, [50, 10, 10, 10, 10, 10]), clustering(types[1:] + moved, [10] * 5)
    weights = pair_weights(NAMES, [one], [other], 0.3, 4)
    assert weights[0][:50].max() == 0
    np.testing.assert_allclose(weights[0][50:], 2)
    np.testing.assert_allclose(weights[1], 1)


def test_linked_features_tell_apart_what_the_embedding_confuses() -> None:
    rng = np.random.default_rng(2)
    types, profile = np.eye(5, 6), rng.normal(size=(5, 80))
    confused = np.eye(5, 6)
    confused[:2] = 0.2 * confused[:2] + 0.8 * confused[[1, 0]]  # the nearest is the wrong one, by little
    noisy = profile + rng.normal(size=profile.shape)
    sizes = ([40, 10, 20, 20, 20], [10, 40, 20, 20, 20])
    plain = pair_weights(NAMES, [clustering(types, sizes[0])], [clustering(confused, sizes[1])], 0.3, 4)
    np.testing.assert_allclose(plain[0], 1)
    with_links = pair_weights(
        NAMES,
        [clustering(types, sizes[0], "b", profile)],
        [clustering(0.5 * (types + confused), sizes[1], "a", noisy)],
        0.3,
        4,
    )
    assert with_links[0][:40].max() < 0.7 < 1.4 < with_links[0][40:50].min()


def test_clusterings_that_find_better_likes_count_most() -> None:
    types, sizes = np.eye(4, 5), [40, 10, 10, 10]
    merged = np.stack([0.8 * types[0] + 0.2 * types[1], types[2], types[3]])  # of the first two types
    good, bad = clustering(types, sizes), clustering(merged, [50, 10, 10])
    other = clustering(types, [10, 40, 10, 10])
    alone, worse, both = (pair_weights(NAMES, ones, [other], 0.3, 4) for ones in ([good], [bad], [bad, good]))
    assert alone[0][0] == pytest.approx(alone[0][40] / 4)
    assert worse[0][0] == worse[0][40]
    assert np.abs(both[0] - alone[0]).mean() < 0.1 * np.abs(worse[0] - alone[0]).mean()
    assert both[0].mean() == pytest.approx(1)


def test_clusterings_that_are_hardly_alike_say_nothing() -> None:
    rng = np.random.default_rng(3)
    one, other = (clustering(rng.normal(size=(4, 40)), [9, 1, 1, 1]) for _ in "ab")
    assert relative_similarity(NAMES, one, other, 0.3, 4)[1] is None
    for weight in pair_weights(NAMES, [one], [other], 0.3, 4):
        assert (weight == 1).all()


def test_likeness_by_chance_does_not_do_where_linked_features_say_the_opposite() -> None:
    rng = np.random.default_rng(4)
    places = rng.normal(size=(4, 40))
    one = clustering(places, [9, 1, 1, 1], "b", rng.normal(size=(4, 2000)))
    other = clustering(places + 1.2 * rng.normal(size=(4, 40)), [3] * 4, "a", rng.normal(size=(4, 2000)))
    bare = [replace(each, profiles={}) for each in (one, other)]
    assert relative_similarity(NAMES, bare[0], bare[1], 0.3, 4)[1] is not None
    assert relative_similarity(NAMES, one, other, 0.3, 4)[1] is None


def test_one_cluster_weighs_one() -> None:
    one, other = clustering(np.ones((1, 4)), [7]), clustering(np.eye(3, 4), [3, 1, 1])
    for weight in pair_weights(NAMES, [one], [other], 0.3, 4):
        assert (weight == 1).all()


def test_dimensions_count_as_far_as_both_use_them() -> None:
    found = common_use(np.array([1.0, 2.0, 0.1, 0.0]), np.array([2.0, 1.0, 2.0, 0.0]))
    np.testing.assert_allclose(found, [0.5, 0.5, 0, 0])


def test_rows_of_zeros_stay() -> None:
    assert unit_rows(np.array([[0.0, 0.0], [3.0, 4.0]])).tolist() == [[0, 0], [0.6, 0.8]]


@pytest.mark.parametrize("block", [4, 1000])
def test_sums_of_groups(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omicsglue.matching.BLOCK", block)
    rng = np.random.default_rng(4)
    values, groups = rng.poisson(1.0, size=(11, 5)), (rng.random((3, 11)) > 0.5).astype(float)
    sums, measured = group_sums(modality("a", values), sp.csr_matrix(groups))
    np.testing.assert_allclose(sums, groups @ values)
    np.testing.assert_allclose(measured[:, 0], (groups @ values).sum(axis=1))
    covered = values + rng.poisson(2.0, size=values.shape)
    sums, measured = group_sums(modality("a", values, "betabinomial", covered), sp.csr_matrix(groups))
    np.testing.assert_allclose(measured, groups @ covered)
    sums, measured = group_sums(modality("a", values, "normal"), sp.csr_matrix(groups))
    np.testing.assert_allclose(measured[:, 0], groups.sum(axis=1))


def graph_of(few: int, many: int, sign: int = 1) -> GuidanceGraph:
    """Link feature i of the first with features i and i + few of the second, the latter by half."""
    vertices = [f"a{i}" for i in range(few)] + [f"b{i}" for i in range(many)]
    at = np.arange(min(few, many // 2))
    return GuidanceGraph(
        vertices=np.array(vertices, dtype=object),
        source=np.concatenate([at, few + few + at]),
        target=np.concatenate([few + at, at]),
        weight=np.repeat([1.0, 0.5], len(at)).astype(np.float32),
        sign=np.full(2 * len(at), sign, dtype=np.int8),
    )


@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_profiles_are_logarithms_of_linked_shares(names: tuple[str, str]) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.poisson(2.0, size=(20, 60)), rng.poisson(1.0, size=(15, 130))
    data = {"a": modality("a", a), "b": modality("b", b)}
    groups = {"a": (rng.random((3, 20)) > 0.5) * 1.0, "b": (rng.random((2, 15)) > 0.5) * 1.0}
    found = linked_profiles(
        {name: data[name] for name in names},
        graph_of(60, 130),
        {name: sp.csr_matrix(groups[name]) for name in names},
    )
    assert list(found) == [names]
    profile = dict(zip(names, found[names], strict=True))
    sums, linked = groups["a"] @ a, groups["b"] @ b
    linked_sums = linked[:, :60] + 0.5 * linked[:, 60:120]
    np.testing.assert_allclose(profile["a"], np.log((sums + 1) / (sums.sum(1, keepdims=True) + 1)), rtol=1e-6)
    expected = np.log((linked_sums + 1) / (linked.sum(1, keepdims=True) + 1))
    np.testing.assert_allclose(profile["b"], expected, rtol=1e-6)


def test_negative_edges_turn_profiles_round_and_fractions_are_of_what_was_covered() -> None:
    rng = np.random.default_rng(6)
    covered = rng.poisson(5.0, size=(12, 120))
    b = rng.binomial(covered, 0.4)
    data = {
        "a": modality("a", rng.normal(size=(8, 60)), "normal"),
        "b": modality("b", b, "betabinomial", covered),
    }
    groups = {"a": sp.csr_matrix(np.ones((1, 8))), "b": sp.csr_matrix(np.ones((1, 12)))}
    for sign in (1, -1):
        first, second = linked_profiles(data, graph_of(60, 120, sign), groups)["a", "b"]
        np.testing.assert_allclose(first[0], data["a"].counts.toarray().mean(axis=0), rtol=1e-5)
        reads, cover = (x.sum(0)[:60] + 0.5 * x.sum(0)[60:] for x in (b, covered))
        np.testing.assert_allclose(second[0], sign * np.log((reads + 1) / (cover + 1)), rtol=1e-6)


def test_modalities_with_few_links_are_not_compared_by_them() -> None:
    data = {"a": modality("a", np.ones((4, 20))), "b": modality("b", np.ones((4, 40)))}
    groups = {name: sp.csr_matrix(np.ones((1, 4))) for name in data}
    assert linked_profiles(data, graph_of(20, 40), groups) == {}


def test_features_that_both_have_are_linked() -> None:
    data = {
        name: replace(modality("a", np.full((4, 60), value)), name=name)
        for name, value in (("x", 1), ("y", 3))
    }
    graph = GuidanceGraph(
        vertices=data["x"].features, source=np.zeros(0, dtype=np.int64), target=np.zeros(0, dtype=np.int64)
    )
    groups = {name: sp.csr_matrix(np.ones((1, 4))) for name in data}
    first, second = linked_profiles(data, graph, groups)["x", "y"]
    assert first.shape == second.shape == (1, 60)
    np.testing.assert_allclose(second[0], np.log(13 / 721), rtol=1e-6)
