from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests

from omicsglue.errors import OptionError
from omicsglue.tl.statistics import (
    Null,
    benjamini_hochberg,
    empirical_p,
    null_share,
    storey,
    stratified_q,
)

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=50)


@given(P_VALUES)
def test_benjamini_hochberg_is_that_of_statsmodels(p: list[float]) -> None:
    expected = multipletests(p, method="fdr_bh")[1]
    np.testing.assert_allclose(benjamini_hochberg(p), expected, atol=1e-12)


@given(P_VALUES)
def test_storey_is_benjamini_hochberg_times_the_share_of_nulls(p: list[float]) -> None:
    np.testing.assert_allclose(storey(p), benjamini_hochberg(p) * null_share(p))


def test_the_share_of_nulls_is_recovered() -> None:
    rng = np.random.default_rng(0)
    p = np.concatenate([rng.uniform(size=7_000), rng.uniform(0, 0.01, size=3_000)])
    assert null_share(p) == pytest.approx(0.7, abs=0.02)


def test_no_p_values_leave_all_null() -> None:
    assert null_share([]) == 1.0


@pytest.mark.parametrize("p", [[-0.1], [1.1], [float("nan")]])
def test_what_is_no_p_value_is_refused(p: list[float]) -> None:
    with pytest.raises(OptionError, match="outside 0 to 1"):
        benjamini_hochberg(p)


@given(
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2)), min_size=1, max_size=30),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2)), min_size=1, max_size=30),
)
def test_empirical_p_counts_the_null_of_the_same_stratum(
    pairs: list[tuple[float, int]], nulls: list[tuple[float, int]]
) -> None:
    score, stratum = map(np.array, zip(*pairs, strict=True))
    null = Null(*map(np.array, zip(*nulls, strict=True)))
    expected = []
    for value, code in pairs:
        same = [other for other, its in nulls if its == code]
        expected.append((1 + sum(other >= value for other in same)) / (1 + len(same)))
    np.testing.assert_allclose(empirical_p(score, stratum, null), expected)


def test_empirical_p_is_uniform_where_scores_are_null() -> None:
    rng = np.random.default_rng(1)
    stratum = rng.integers(0, 5, size=20_000)
    score = rng.normal(stratum)  # strata differ, so that a p-value across them would not be uniform
    null = Null(rng.normal(stratum), stratum)
    p = empirical_p(score, stratum, null)
    assert stats.kstest(p, "uniform").statistic < 0.02
    pooled = empirical_p(score, np.zeros_like(stratum), Null(null.score, np.zeros_like(stratum)))
    assert stats.kstest(pooled[stratum == 4], "uniform").statistic > 0.2


def mixture(rng: np.random.Generator, sizes: list[int], nulls: list[float]) -> tuple[np.ndarray, ...]:
    stratum = np.repeat(np.arange(len(sizes)), sizes)
    true = rng.random(len(stratum)) > np.array(nulls)[stratum]
    score = rng.normal(np.where(true, 3.0, 0.0))
    return score, stratum, true


def test_stratified_rates_hold_and_find_more_than_one_rate_for_all() -> None:
    rng = np.random.default_rng(2)
    score, stratum, true = mixture(rng, [2_000, 40_000], [0.3, 0.99])
    null = Null(rng.normal(size=len(score)), stratum)
    p = empirical_p(score, stratum, null)
    shares = np.array([null_share(p[stratum == code]) for code in (0, 1)])
    # what is likely beforehand scores higher, as a posterior probability does
    score, null = (
        score + np.array([3.0, 0.0])[stratum],
        Null(null.score + np.array([3.0, 0.0])[stratum], stratum),
    )
    q = stratified_q(score, stratum, null, shares)
    found = q < 0.1
    assert 1 - true[found].mean() < 0.13
    assert true[found].sum() > 1.2 * true[benjamini_hochberg(p) < 0.1].sum()


def test_stratified_rates_do_not_rise_with_the_score() -> None:
    rng = np.random.default_rng(3)
    score, stratum, _ = mixture(rng, [300, 500], [0.5, 0.9])
    q = stratified_q(score, stratum, Null(rng.normal(size=800), stratum), np.array([0.5, 0.9]))
    assert (np.diff(q[np.argsort(score)]) <= 0).all()
    assert q.min() > 0
    assert q.max() <= 1


def test_a_stratum_without_decoys_counts_as_false() -> None:
    score, stratum = np.array([1.0, 2.0, 3.0]), np.array([0, 0, 1])
    q = stratified_q(score, stratum, Null(np.array([0.0]), np.array([0])), np.array([0.5, 1.0]))
    # one expected of the stratum without decoys, and one more than was seen of the other, among three
    np.testing.assert_allclose(q, 2 / 3)


def test_several_draws_of_the_null_count_as_one() -> None:
    rng = np.random.default_rng(4)
    score, stratum, _ = mixture(rng, [5_000], [0.5])
    once = stratified_q(score, stratum, Null(rng.normal(size=5_000), stratum), np.array([0.5]))
    many = Null(rng.normal(size=50_000), np.zeros(50_000, dtype=int))
    np.testing.assert_allclose(stratified_q(score, stratum, many, np.array([0.5])), once, atol=0.05)
