"""Shrinkage of components: what of a planted signal is found, and what of noise."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp

from omicsglue.errors import OmicsGlueWarning
from omicsglue.pp.shrinkage import noise_edge, permuted_columns, shrunken_scores, signal_share

SHAPE = (300, 150)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=SHAPE)


def test_the_edge_is_where_noise_ends() -> None:
    largest = np.linalg.svd(noise(), compute_uv=False)[0]
    assert largest == pytest.approx(noise_edge(SHAPE), rel=0.03)


def test_the_factor_is_that_of_gavish_and_donoho() -> None:
    s = np.array([60.0, 40.0, 30.0])
    edge, beta = noise_edge(SHAPE), 0.5
    y = s / np.sqrt(max(SHAPE))
    expected = np.sqrt((y**2 - beta - 1) ** 2 - 4 * beta) / y**2
    np.testing.assert_allclose(signal_share(s, edge, SHAPE), expected)
    assert signal_share([edge, edge * 0.9], edge, SHAPE).tolist() == [0, 0]


def test_a_shrunken_matrix_is_nearer_to_the_signal() -> None:
    rng = np.random.default_rng(1)
    ends = [np.linalg.qr(rng.normal(size=(n, 3)))[0] for n in SHAPE]
    signal = ends[0] @ np.diag([80.0, 40.0, 28.0]) @ ends[1].T
    u, s, vt = np.linalg.svd(signal + noise(2), full_matrices=False)
    share = signal_share(s, noise_edge(SHAPE), SHAPE)
    assert (share > 0).sum() == 3
    shrunken, cut = (np.linalg.norm((u[:, :3] * s[:3] * w) @ vt[:3] - signal) for w in (share[:3], 1.0))
    assert shrunken < 0.95 * cut


def test_scores_of_noise_are_warned_of_and_given_all_the_same() -> None:
    u, s, _ = np.linalg.svd(noise(), full_matrices=False)
    with pytest.warns(OmicsGlueWarning, match="no structure"):
        found = shrunken_scores(u * s, s, 1.1 * noise_edge(SHAPE), SHAPE, "PCA")
    assert found.shape == (300, 10)


def test_scores_are_centred_and_in_units_of_the_noise() -> None:
    rng = np.random.default_rng(3)
    u, s, _ = np.linalg.svd(
        noise() + 3 * rng.normal(size=(300, 2)) @ rng.normal(size=(2, 150)), full_matrices=False
    )
    one = shrunken_scores(u * s, s, noise_edge(SHAPE), SHAPE, "PCA")
    ten = shrunken_scores(u * 10 * s, 10 * s, 10 * noise_edge(SHAPE), SHAPE, "PCA")
    assert one.shape == (300, 2)
    np.testing.assert_allclose(one, ten, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(one.mean(0), 0, atol=1e-4)


def test_permuted_columns_keep_their_values_and_lose_their_agreement() -> None:
    rng = np.random.default_rng(0)
    block = np.zeros((200, 40), dtype=np.float32)
    block[:100] = rng.poisson(2.0, (100, 40))
    found = permuted_columns(sp.csr_matrix(block), rng)
    assert found.nnz == (block > 0).sum()
    np.testing.assert_array_equal(np.sort(found.toarray(), axis=0), np.sort(block, axis=0))
    agreement = [np.corrcoef(x.T)[np.triu_indices(40, 1)].mean() for x in (block, found.toarray())]
    assert agreement[0] > 0.3
    assert abs(agreement[1]) < 0.05
