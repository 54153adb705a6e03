from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from omicsglue.datasets.counts import draw_negative_binomial


@pytest.mark.parametrize(("mu", "phi"), [(0.02, 0.5), (0.7, 2.0), (3.0, 0.3), (12.0, 0.05), (1.5, 0.0)])
def test_counts_follow_the_negative_binomial(mu: float, phi: float) -> None:
    number = 60_000
    shape = (number // 20, 20)
    rng = np.random.default_rng(5)
    counts = draw_negative_binomial(np.full(shape, mu), np.full(20, phi), 0.0, rng)
    values = counts.toarray().ravel().astype(int)
    law = stats.poisson(mu) if phi == 0 else stats.nbinom(1 / phi, 1 / (1 + phi * mu))
    top = int(law.ppf(1 - 20 / number)) + 1
    expected = np.append(law.pmf(np.arange(top)), law.sf(top - 1)) * number
    observed = np.bincount(np.minimum(values, top), minlength=top + 1)
    few = expected < 5
    if few.any():
        keep = ~few
        expected = np.append(expected[keep], expected[few].sum())
        observed = np.append(observed[keep], observed[few].sum())
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 1e-3


def test_each_entry_has_its_own_mean() -> None:
    mean = np.outer(np.linspace(0.1, 3, 2_000), [0.0, 0.5, 1.0, 4.0])
    counts = draw_negative_binomial(
        mean, np.array([0.2, 0.0, 0.4, 0.1]), 0.0, np.random.default_rng(0)
    ).toarray()
    assert not counts[:, 0].any()
    np.testing.assert_allclose(counts.sum(axis=0)[1:], mean.sum(axis=0)[1:], rtol=0.08)
    assert stats.spearmanr(counts[:, 3], mean[:, 3]).statistic > 0.7


def test_double_counting() -> None:
    rng = np.random.default_rng(0)
    counts = draw_negative_binomial(np.full((500, 40), 0.01), np.zeros(40), 0.7, rng)
    assert counts.data.mean() == pytest.approx(1.7, abs=0.1)


def test_matrix_is_canonical_csr() -> None:
    rng = np.random.default_rng(0)
    counts = draw_negative_binomial(rng.gamma(1, 1, size=(30, 50)), np.ones(50), 0.5, rng)
    assert counts.format == "csr"
    assert counts.dtype == np.float32
    assert counts.has_canonical_format
    assert (counts.data >= 1).all()
    assert (counts.data == np.round(counts.data)).all()


def test_no_counts_at_all() -> None:
    counts = draw_negative_binomial(np.full((4, 5), 1e-12), np.ones(5), 0.5, np.random.default_rng(0))
    assert counts.shape == (4, 5)
    assert counts.nnz == 0
