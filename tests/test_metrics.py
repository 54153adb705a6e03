"""Scores against brute force, scikit-learn and the project's outside scorer's definitions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_samples
from sklearn.neighbors import KNeighborsClassifier

from omicsglue import metrics
from omicsglue.errors import InputError, OptionError
from omicsglue.metrics import neighbours as blocks
from omicsglue.metrics.lisi import perplexity_weights
from omicsglue.metrics.neighbours import neighbour_blocks, neighbour_count
from omicsglue.metrics.silhouette import silhouettes


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(7)


def distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.sqrt(((x[:, None] - y[None]) ** 2).sum(-1))


def order_of_others(x: np.ndarray) -> np.ndarray:
    """All other cells of each cell, nearest first, the slow way."""
    d = distances(x, x)
    np.fill_diagonal(d, np.inf)
    return np.argsort(d, axis=1, kind="stable")[:, :-1]


def typed_cells(
    random: np.random.Generator, cells: int = 150, types: int = 4
) -> tuple[np.ndarray, np.ndarray]:
    label = random.integers(0, types, cells)
    return random.normal(size=(types, 5))[label] * 2 + random.normal(size=(cells, 5)), label


# Neighbours


def test_neighbours_leave_the_cell_itself_out_even_among_twins(random, monkeypatch):
    monkeypatch.setattr(blocks, "_ENTRIES", 50)
    x = np.repeat(random.normal(size=(20, 3)), 3, axis=0)
    seen = []
    for rows, indices, apart in neighbour_blocks(x, 4):
        assert (indices != np.arange(rows.start, rows.stop)[:, None]).all()
        assert (np.diff(apart, axis=1) >= -1e-7).all()
        np.testing.assert_allclose(apart[:, :2], 0, atol=1e-6)
        seen += range(rows.start, rows.stop)
    assert seen == list(range(60))


def test_neighbours_agree_with_brute_force(random):
    x = random.normal(size=(80, 4))
    found = np.concatenate([indices for _, indices, _ in neighbour_blocks(x, 7)])
    np.testing.assert_array_equal(found, order_of_others(x)[:, :7])


@pytest.mark.parametrize(("cells", "wanted"), [(3, 1), (100, 1), (250, 2), (1000, 10)])
def test_one_per_cent_of_the_cells(cells, wanted):
    assert neighbour_count(cells) == wanted


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, float("nan")])
def test_a_neighbourhood_must_be_a_share(fraction):
    with pytest.raises(OptionError, match=r"\(0, 1\]"):
        neighbour_count(100, fraction)


# FOSCTTM


@pytest.mark.parametrize("block", [None, 1, 7, 1000])
def test_foscttm_equals_brute_force(random, block):
    x, y = random.normal(size=(60, 4)) + 50, random.normal(size=(60, 4)) + 50
    d = distances(x, y)
    true = np.diag(d)
    from_x, from_y = metrics.foscttm_per_cell(x, y, block=block)
    np.testing.assert_allclose(from_x, (d < true[:, None]).mean(axis=1))
    np.testing.assert_allclose(from_y, (d < true[None]).mean(axis=0))
    assert metrics.foscttm(x, y, block=block) == pytest.approx((from_x.mean() + from_y.mean()) / 2)


@given(seed=st.integers(0, 1000), scale=st.sampled_from([1e-4, 1.0, 1e4]), shift=st.floats(-100, 100))
@settings(max_examples=20, deadline=None)
def test_foscttm_does_not_change_with_scale_and_place(seed, scale, shift):
    random = np.random.default_rng(seed)
    x, y = random.normal(size=(30, 3)), random.normal(size=(30, 3))
    assert metrics.foscttm(x * scale + shift * scale, y * scale + shift * scale) == metrics.foscttm(x, y)


def test_foscttm_of_equal_embeddings_is_zero_and_of_noise_a_half(random):
    x = random.normal(size=(500, 10))
    assert metrics.foscttm(x, x) == 0
    assert metrics.foscttm(np.repeat(x, 2, axis=0), np.repeat(x, 2, axis=0)) == 0
    assert metrics.foscttm(x, random.permutation(x)) == pytest.approx(0.5, abs=0.03)


# Labels


def test_label_transfer_is_the_vote_of_fifteen(random):
    x, a = typed_cells(random)
    y, b = typed_cells(random, 90)
    expected = (KNeighborsClassifier(15).fit(x, a.astype(str)).predict(y) == b.astype(str)).mean()
    assert metrics.label_transfer_accuracy(x, a, y, b) == pytest.approx(expected)


def test_labels_that_only_the_query_has_are_never_right(random):
    x = random.normal(size=(40, 3))
    assert metrics.label_transfer_accuracy(x, ["a"] * 40, x, ["longer than a"] * 40) == 0


def test_label_transfer_needs_as_many_cells_as_voters(random):
    x = random.normal(size=(10, 3))
    with pytest.raises(InputError, match="15 are needed"):
        metrics.label_transfer_accuracy(x, ["a"] * 10, x, ["a"] * 10)


# Silhouettes


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_silhouettes_equal_those_of_sklearn(random, monkeypatch, offset):
    x, label = typed_cells(random)
    label[0] = 4  # a label of one cell
    monkeypatch.setattr(blocks, "_ENTRIES", 1000)
    np.testing.assert_allclose(silhouettes(x + offset, label), silhouette_samples(x, label), atol=1e-9)
    assert metrics.cell_type_asw(x, label) == pytest.approx((silhouette_samples(x, label).mean() + 1) / 2)


def test_silhouettes_of_cells_in_one_place_are_zero():
    assert (silhouettes(np.ones((6, 2)), np.array([0, 0, 0, 1, 1, 1])) == 0).all()


def test_omics_layer_asw_is_the_mean_over_types(random):
    x, label = typed_cells(random)
    modality = random.integers(0, 2, len(x))
    label[modality == 0] %= 3  # type 3 occurs in one modality only
    expected = [
        (1 - np.abs(silhouette_samples(x[label == kind], modality[label == kind]))).mean()
        for kind in range(3)
    ]
    assert metrics.omics_layer_asw(x, modality, label) == pytest.approx(np.mean(expected))


def test_omics_layer_asw_needs_a_type_in_two_modalities(random):
    x, label = typed_cells(random)
    with pytest.raises(InputError, match="no cell type occurs in more than one"):
        metrics.omics_layer_asw(x, label, label)


# Average precision, neighbour conservation, connectivity


def test_mean_average_precision_equals_brute_force(random):
    x, label = typed_cells(random)
    k, found = 8, []
    for cell, others in enumerate(order_of_others(x)[:, :8]):
        match = label[others] == label[cell]
        found.append(np.mean([match[: i + 1].mean() for i in range(k) if match[i]]) if match.any() else 0)
    assert metrics.mean_average_precision(x, label, neighbours=8 / 150) == pytest.approx(np.mean(found))


def test_neighbour_conservation_is_the_share_of_common_neighbours(random):
    after = [random.normal(size=(40, 3)), random.normal(size=(60, 3))]
    before = [random.normal(size=(40, 6)), random.normal(size=(60, 2))]
    k, found = 10, []
    for a, b in zip(after, before, strict=True):
        near = zip(order_of_others(a)[:, :k], order_of_others(b)[:, :k], strict=True)
        found.append(np.mean([len(set(p) & set(q)) / len(set(p) | set(q)) for p, q in near]))
    assert metrics.neighbour_conservation(after, before, neighbours=0.1) == pytest.approx(np.mean(found))
    assert metrics.neighbour_conservation(after, after) == 1


def test_graph_connectivity_counts_the_largest_part(random):
    near, far = random.normal(size=(30, 3)), random.normal(size=(10, 3)) + 100
    label = np.repeat(["split", "whole"], [40, 20])
    x = np.concatenate([near, far, random.normal(size=(20, 3)) - 100])
    assert metrics.graph_connectivity(x, label, neighbours=5) == pytest.approx((30 / 40 + 1) / 2)


def test_graph_connectivity_agrees_with_networkx(random):
    import networkx as nx

    x, label = random.normal(size=(120, 3)), random.integers(0, 6, 120)
    graph = nx.Graph()
    graph.add_nodes_from(range(120))
    graph.add_edges_from((i, j) for i, near in enumerate(order_of_others(x)[:, :4]) for j in near)
    shares = []
    for kind in range(6):
        cells = np.flatnonzero(label == kind)
        shares.append(max(map(len, nx.connected_components(graph.subgraph(cells)))) / len(cells))
    assert metrics.graph_connectivity(x, label, neighbours=5) == pytest.approx(np.mean(shares))


# Mixing


def test_alignment_is_zero_apart_and_one_mixed(random):
    x = random.normal(size=(300, 4))
    assert metrics.seurat_alignment_score([x, x + 1000]) == 0
    assert (
        metrics.seurat_alignment_score([x, random.normal(size=(200, 4)), random.normal(size=(400, 4))]) > 0.9
    )


def test_alignment_equals_its_formula(random):
    matrices = [random.normal(size=(50, 3)) + shift for shift in (0, 0.4, 0.9)]
    joint, own = np.concatenate(matrices), np.repeat(np.arange(3), 50)
    k = 15
    same = (own[order_of_others(joint)[:, :k]] == own[:, None]).sum(axis=1).mean()
    expected = 1 - (same - k / 3) / (k - k / 3)
    assert metrics.seurat_alignment_score(matrices, neighbours=0.1) == pytest.approx(expected)


def test_alignment_depends_on_its_seed_alone(random):
    x, y = random.normal(size=(150, 3)), random.normal(size=(100, 3)) + 0.5
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    first = metrics.seurat_alignment_score([x, y], neighbours=0.05, seed=1)
    assert first == metrics.seurat_alignment_score([x, y], neighbours=0.05, seed=1)
    assert first != metrics.seurat_alignment_score([x, y], neighbours=0.05, seed=2)
    np.testing.assert_array_equal(state, np.random.get_state()[1])  # noqa: NPY002


def test_weights_have_the_perplexity_wanted(random):
    near = np.sort(random.gamma(2, 1, size=(40, 90)), axis=1)
    weights = perplexity_weights(near, np.log(30))
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    entropy = -(weights * np.log(weights)).sum(axis=1)
    np.testing.assert_allclose(np.exp(entropy), 30, rtol=1e-3)
    beta = -(np.log(weights[:, 1:] / weights[:, :1])) / (near[:, 1:] - near[:, :1])
    np.testing.assert_allclose(beta, beta[:, :1] * np.ones_like(beta), rtol=1e-5)


def test_lisi_equals_simpson_of_the_weights(random):
    x, batch = random.normal(size=(130, 3)), random.integers(0, 3, 130)
    d = distances(x, x)
    np.fill_diagonal(d, np.inf)
    near = np.argsort(d, axis=1)[:, :30]
    weights = perplexity_weights(np.take_along_axis(d, near, axis=1), np.log(10))
    share = np.stack([(weights * (batch[near] == kind)).sum(axis=1) for kind in range(3)], axis=1)
    expected = 1 / (share**2).sum(axis=1)
    np.testing.assert_allclose(metrics.lisi_per_cell(x, batch, perplexity=10), expected, rtol=1e-6)
    assert metrics.ilisi(x, batch, perplexity=10) == pytest.approx((np.median(expected) - 1) / 2)


def test_ilisi_is_zero_apart_and_high_mixed(random):
    x, batch = random.normal(size=(400, 3)), np.repeat([0, 1], 200)
    assert metrics.ilisi(x + 1000 * batch[:, None], batch) == pytest.approx(0, abs=1e-9)
    assert metrics.ilisi(x, batch) > 0.8
    assert metrics.ilisi(np.zeros((50, 2)), np.arange(50) % 2) == pytest.approx(0.99, abs=0.02)


# Summaries


def test_summaries_are_means():
    biology = metrics.biology_summary(
        mean_average_precision=0.3, cell_type_asw=0.6, neighbour_conservation=0.9
    )
    mixing = metrics.mixing_summary(omics_layer_asw=0.9, graph_connectivity=1.0, seurat_alignment_score=0.8)
    assert biology == pytest.approx(0.6)
    assert mixing == pytest.approx(0.9)
    assert metrics.overall_score(biology=biology, mixing=mixing) == pytest.approx(0.6 * 0.6 + 0.4 * 0.9)
    with pytest.raises(InputError, match=r"biology: 1\.2"):
        metrics.overall_score(biology=1.2, mixing=1)


# What cannot be scored


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.full((4, 2), np.nan), "4 cells hold values that are not finite"),
        (np.array([[0, 1], [np.inf, 1], [0, 1], [0, 1]]), r"1 cells hold .* \(rows 1\)"),
        (np.zeros(4), r"shape \(4,\)"),
        (np.zeros((0, 2)), r"shape \(0, 2\)"),
        (np.array([["a", "b"]] * 4), "cannot be read as an array of numbers"),
    ],
)
def test_embeddings_that_cannot_be_scored(bad, message):
    good = np.zeros((4, 2))
    for call in (
        lambda: metrics.foscttm(good, bad),
        lambda: metrics.seurat_alignment_score([good, bad]),
        lambda: metrics.cell_type_asw(bad, list("aabb")),
        lambda: metrics.neighbour_conservation([good], [bad]),
    ):
        with pytest.raises(InputError, match=message):
            call()


def test_shapes_must_fit():
    x = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(InputError, match="20 and 10 cells"):
        metrics.foscttm(x, x[:10])
    with pytest.raises(InputError, match="3 and 2 dimensions"):
        metrics.foscttm(x, x[:, :2])
    with pytest.raises(InputError, match="2 are needed"):
        metrics.seurat_alignment_score([x])
    with pytest.raises(InputError, match="1 embeddings and 2 representations"):
        metrics.neighbour_conservation([x], [x, x])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 20, "2 are needed"),
        (["a", "b"], "2 labels for 20 cells"),
        (pd.Series(["a", None] * 10), r"10 cells have no label \(rows 1, 3"),
    ],
)
def test_labels_that_cannot_be_scored(labels, message):
    x = np.random.default_rng(0).normal(size=(20, 3))
    for call in (metrics.cell_type_asw, metrics.ilisi):
        with pytest.raises(InputError, match=message):
            call(x, labels)


def test_labels_of_any_kind_are_one():
    x = np.random.default_rng(0).normal(size=(30, 3))
    text = ["1", "2", "3"] * 10
    kinds = [text, np.array(text), pd.Categorical(text), pd.Series(text, index=range(5, 35)), [1, 2, 3] * 10]
    assert len({metrics.cell_type_asw(x, kind) for kind in kinds}) == 1
