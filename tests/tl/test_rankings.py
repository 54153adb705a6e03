"""Enrichment, ranks and recovery against brute force and random draws."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from omicsglue.tl import rankings
from omicsglue.tl.rankings import (
    enrichment,
    leading_edge,
    matching_bins,
    rank_genes,
    recovery,
    upper_tail,
)


@settings(max_examples=50, deadline=None)
@given(chances=st.lists(st.floats(0, 1), min_size=1, max_size=6), count=st.integers(0, 6))
def test_tail_is_that_of_all_outcomes(chances: list[float], count: int) -> None:
    count = min(count, len(chances))
    total = 0.0
    for outcome in itertools.product([0, 1], repeat=len(chances)):
        if sum(outcome) >= count:
            total += np.prod([c if hit else 1 - c for c, hit in zip(chances, outcome, strict=True)])
    found = upper_tail(np.array(chances)[:, None].repeat(2, axis=1), np.array([count, 0]))
    np.testing.assert_allclose(found, [total, 1], atol=1e-12)


def test_small_tails_are_precise() -> None:
    found = upper_tail(np.full((40, 1), 0.01), np.array([30]))
    np.testing.assert_allclose(found, stats.binom.sf(29, 40, 0.01), rtol=1e-9)


def test_bins_hold_elements_that_are_alike() -> None:
    rng = np.random.default_rng(0)
    covariates = pd.DataFrame({"length": rng.gamma(2, 300, 3000), "gc": rng.beta(5, 5, 3000)})
    bins = matching_bins(covariates, least=100)
    sizes = np.bincount(bins)
    assert len(sizes) == 25
    assert sizes.min() >= 100
    within = covariates.groupby(bins)["gc"].std().mean()
    assert within < 0.5 * covariates["gc"].std()


def test_bins_of_values_that_are_equal_or_missing() -> None:
    same = pd.DataFrame({"length": np.full(1000, 501), "gc": [0.5] * 500 + [np.nan] * 500})
    bins = matching_bins(same)
    assert len(set(bins[:500])) == len(set(bins[500:])) == 1
    assert bins[0] != bins[-1]
    assert matching_bins(same.iloc[:0]).shape == (0,)


def problem(rng: np.random.Generator) -> tuple[sparse.csr_array, sparse.csr_array, np.ndarray]:
    bins = np.repeat([0, 1], [150, 150])
    bound = rng.random((300, 4)) < np.where(bins[:, None] == 0, 0.08, 0.4)
    linked = np.zeros((6, 300), dtype=bool)
    for gene in range(6):
        linked[gene, rng.choice(300, 2 + 2 * gene, replace=False)] = True
    linked[0] = False
    linked[5, np.flatnonzero(bound[:, 0])[:12]] = True
    return sparse.csr_array(linked), sparse.csr_array(bound), bins


def test_enrichment_is_the_share_of_random_draws() -> None:
    rng = np.random.default_rng(1)
    linked, bound, bins = problem(rng)
    found = enrichment(linked, bound, bins)
    dense, draws = bound.toarray(), 20_000
    for gene in range(1, 6):
        chosen = linked[[gene]].indices
        taken = [
            np.argsort(rng.random((draws, 150)), axis=1)[:, : (bins[chosen] == b).sum()] + 150 * b
            for b in (0, 1)
        ]
        counts = dense[np.concatenate(taken, axis=1)].sum(axis=1)  # draws x TFs
        seen = dense[chosen].sum(axis=0)
        assert (found.n_bound[gene] == seen).all()
        expected = (1 + (counts >= seen).sum(axis=0)) / (1 + draws)
        # without replacement, from bins of 150: the draws differ from the limit by a few hundredths at most
        np.testing.assert_allclose(found.p_value[gene], expected, atol=0.03)
    assert found.n_linked.tolist()[0] == 0
    assert (found.p_value[0] == 1).all()
    assert found.p_value[5, 0] < 1e-3
    assert (found.p_value > 0).all()


def test_enrichment_is_calibrated_where_binding_is_random() -> None:
    rng = np.random.default_rng(2)
    bins = rng.integers(0, 5, 4000)
    bound = sparse.csr_array(rng.random((4000, 30)) < 0.05 * (1 + bins[:, None]))
    linked = sparse.csr_array(rng.random((300, 4000)) < 0.01)
    p = enrichment(linked, bound, bins).p_value.ravel()
    for level in (0.01, 0.05, 0.2):
        assert (p <= level).mean() <= 1.15 * level
    assert (p <= 0.2).mean() > 0.1


def test_unmatched_bins_would_mislead() -> None:
    rng = np.random.default_rng(3)
    bins = np.repeat([0, 1], 1000)  # say, open in few and in many cells
    bound = sparse.csr_array(rng.random((2000, 40)) < np.where(bins[:, None] == 1, 0.3, 0.02))
    linked = np.zeros((50, 2000), dtype=bool)
    for gene in range(50):
        linked[gene, 1000 + rng.choice(1000, 10, replace=False)] = True
    matched = enrichment(sparse.csr_array(linked), bound, bins).p_value
    blind = enrichment(sparse.csr_array(linked), bound, np.zeros(2000, dtype=np.int64)).p_value
    assert (matched < 0.05).mean() < 0.06
    assert (blind < 0.05).mean() > 0.12


def test_blocks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    linked, bound, bins = problem(np.random.default_rng(4))
    whole = enrichment(linked, bound, bins).p_value
    monkeypatch.setattr(rankings, "_BLOCK", 3)
    np.testing.assert_allclose(enrichment(linked, bound, bins).p_value, whole, rtol=1e-12)


def test_ranks_share_places_and_leave_out_what_is_no_candidate() -> None:
    score = np.array([[3.0, 1], [3, 2], [1, 3], [9, 4]])
    candidate = np.array([[True, False], [True, True], [True, True], [False, True]])
    assert rank_genes(score, candidate).tolist() == [[1.5, np.inf], [1.5, 3], [3, 2], [np.inf, 1]]


def ranks_of(rng: np.random.Generator, n_genes: int, n_factors: int) -> np.ndarray:
    return np.argsort(np.argsort(rng.random((n_genes, n_factors)), axis=0), axis=0) + 1.0


def test_area_is_that_under_the_recovery_curve() -> None:
    rng = np.random.default_rng(5)
    ranks = ranks_of(rng, 60, 7)
    modules = rng.random((4, 60)) < 0.3
    found = recovery(ranks, sparse.csr_array(modules), top=20)
    for m, t in itertools.product(range(4), range(7)):
        inside = ranks[modules[m], t]
        curve = [(inside <= r).mean() for r in range(21)]
        np.testing.assert_allclose(found.area[m, t], np.trapezoid(curve) / 20)
    np.testing.assert_allclose(found.score, stats.zscore(found.area, axis=1))


def test_a_ranking_that_holds_the_module_stands_out() -> None:
    rng = np.random.default_rng(6)
    ranks = ranks_of(rng, 400, 50)
    ranks[:, 7] = np.arange(400) + 1.0
    module = np.r_[np.arange(0, 30), np.arange(300, 320)]
    members = np.zeros((1, 400), dtype=bool)
    members[0, module] = True
    score = recovery(ranks, sparse.csr_array(members), top=80).score[0]
    assert score[7] > 5
    assert np.delete(score, 7).max() < 3
    assert leading_edge(ranks, module, 7, 80).tolist() == list(range(30))


def test_tfs_without_candidates_do_not_shape_the_scores() -> None:
    rng = np.random.default_rng(7)
    ranks = ranks_of(rng, 50, 5)
    members = sparse.csr_array(rng.random((2, 50)) < 0.4)
    alone = recovery(ranks, members, top=10).score
    padded = recovery(np.hstack([ranks, np.full((50, 3), np.inf)]), members, top=10).score
    np.testing.assert_allclose(padded[:, :5], alone)
    nothing = recovery(np.full((50, 3), np.inf), members, top=10)
    assert (nothing.score == 0).all()
