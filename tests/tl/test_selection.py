from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from omicsglue.tl.selection import (
    EVIDENCE,
    EXPECTED_SIGN,
    Prior,
    Problem,
    _sample,
    learn_prior,
    posterior,
)

AXES = 6


def problem(genes: np.ndarray, elements: np.ndarray, candidates: list[list[int]], sign: int = 1) -> Problem:
    length = [len(each) for each in candidates]
    flat = np.array([c for each in candidates for c in each], dtype=np.int64)
    first = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    return Problem(genes, elements, first, flat, np.zeros((len(flat), 0)), sign)


def prior_of(link: float, noise: float, slab: float) -> Prior:
    return Prior(np.array([logit(link)]), noise, slab)


def exact(gene: np.ndarray, x: np.ndarray, prior: Prior) -> np.ndarray:
    """Probabilities by summing over all sets of links and integrating over effects on a grid."""
    grid = np.linspace(-3, 3, 241)
    sides = np.where(grid > 0, 2 * EXPECTED_SIGN, 2 * (1 - EXPECTED_SIGN))
    slab = sides * stats.norm(scale=np.sqrt(prior.slab)).pdf(grid)
    link, total, found = expit(prior.coefficients[0]), 0.0, np.zeros(len(x))
    for chosen in itertools.product([0, 1], repeat=len(x)):
        where = np.flatnonzero(chosen)
        log_prior = len(where) * np.log(link) + (len(x) - len(where)) * np.log(1 - link)
        values = np.array([1.0])
        residual = gene[None, :]
        weights = np.ones(1)
        for c in where:
            residual = (residual[:, None, :] - grid[None, :, None] * x[c]).reshape(-1, gene.size)
            weights = (weights[:, None] * slab).ravel() * (grid[1] - grid[0])
        values = weights * np.exp(-0.5 * np.square(residual).sum(axis=1) / prior.noise)
        mass = np.exp(log_prior) * values.sum()
        total += mass
        found[where] += mass
    return found / total


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_probabilities_are_those_of_the_full_sum(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, AXES))
    x[1] = 0.7 * x[0] + 0.5 * x[1]  # two candidates that look alike
    gene = 0.6 * x[0] + 0.5 * rng.normal(size=AXES)
    prior = prior_of(0.2, 0.4, 0.3)
    copies = 400  # independent chains of the same gene
    task = problem(np.repeat(gene[None], copies, axis=0), x, [[0, 1]] * copies)
    probability, _, _ = _sample(task, prior, (600, 100), seed=0, threads=1)  # long enough to forget its start
    found = probability.reshape(copies, 2).mean(axis=0)
    np.testing.assert_allclose(found, exact(gene, x, prior), atol=0.01)


def test_the_effect_is_that_of_a_single_certain_link() -> None:
    rng = np.random.default_rng(3)
    x, prior = rng.normal(size=(1, AXES)), prior_of(0.98, 0.1, 0.5)
    gene = 0.8 * x[0]
    task = problem(np.repeat(gene[None], 200, axis=0), x, [[0]] * 200)
    variance = 1 / (x[0] @ x[0] / prior.noise + 1 / prior.slab)
    mean = variance * (x[0] @ gene) / prior.noise
    assert posterior(task, prior, seed=0).effect.mean() == pytest.approx(mean, abs=0.01)


def test_what_a_neighbour_explains_is_not_explained_twice() -> None:
    rng = np.random.default_rng(4)
    genes, elements, candidates = [], [], []
    for g in range(300):
        cause = rng.normal(size=AXES)
        alike = 0.6 * cause + 0.8 * rng.normal(size=AXES)
        elements += [cause, alike]
        genes.append(0.9 * cause + 0.2 * rng.normal(size=AXES))
        candidates.append([2 * g, 2 * g + 1])
    task = problem(np.array(genes), np.array(elements), candidates)
    probability, _, _ = _sample(task, learn_prior(task, seed=0), (230, 30), seed=0, threads=1)
    found = probability.reshape(-1, 2)
    cosines = [
        g @ e / np.linalg.norm(g) / np.linalg.norm(e) for g, e in zip(genes, elements[1::2], strict=True)
    ]
    assert np.mean(cosines) > 0.4  # by itself, the neighbour looks like a link
    assert found[:, 0].mean() > 0.9
    assert found[:, 1].mean() < 0.35


def simulated(link: float, rng: np.random.Generator, genes: int = 500, of_each: int = 10) -> Problem:
    elements = rng.normal(size=(genes * of_each, AXES))
    effect = rng.normal(scale=0.7, size=len(elements)) * (rng.random(len(elements)) < link)
    explained = (elements * np.abs(effect)[:, None]).reshape(genes, of_each, AXES).sum(axis=1)
    candidates = np.arange(len(elements)).reshape(genes, of_each).tolist()
    return problem(explained + rng.normal(scale=0.5, size=(genes, AXES)), elements, candidates)


def test_the_prior_is_learned() -> None:
    prior = learn_prior(simulated(0.2, np.random.default_rng(5)), seed=0)
    assert expit(prior.coefficients[0]) == pytest.approx(0.2, abs=0.06)
    assert prior.slab == pytest.approx(0.49, abs=0.12)
    assert prior.noise == pytest.approx(0.25, abs=0.06)


def test_where_links_are_likelier_is_learned() -> None:
    rng = np.random.default_rng(6)
    many, few = simulated(0.4, rng), simulated(0.05, rng)
    likely = np.repeat([1.0, 0.0], [len(many.candidate), len(few.candidate)])
    both = Problem(
        np.concatenate([many.genes, few.genes]),
        np.concatenate([many.elements, few.elements]),
        np.concatenate([many.first, few.first[1:] + many.first[-1]]),
        np.concatenate([many.candidate, few.candidate + len(many.elements)]),
        likely[:, None],
    )
    low, high = expit(learn_prior(both, seed=0).log_odds(np.array([[0.0], [1.0]])))
    assert low < 0.12
    assert high > 0.3


def test_evidence_counts_by_its_weight() -> None:
    task = simulated(0.2, np.random.default_rng(10), genes=100)
    prior = prior_of(0.2, 0.3, 0.4)
    raw, _, _ = _sample(task, prior, (230, 30), seed=0, threads=1)
    found = posterior(task, prior, seed=0).probability
    open_ = (raw > 1e-6) & (raw < 1 - 1e-6)
    expected = logit(0.2) + EVIDENCE * (logit(raw) - logit(0.2))
    np.testing.assert_allclose(logit(found)[open_], expected[open_], atol=1e-6)
    assert found.max() < 1


def test_threads_and_repeats_change_nothing() -> None:
    task = simulated(0.2, np.random.default_rng(7), genes=200)
    prior = prior_of(0.2, 0.3, 0.4)
    once = posterior(task, prior, seed=1)
    for threads in (1, 2, 3):
        again = posterior(task, prior, seed=1, threads=threads)
        np.testing.assert_array_equal(again.probability, once.probability)
        np.testing.assert_array_equal(again.effect, once.effect)
    assert not np.array_equal(posterior(task, prior, seed=2).probability, once.probability)


def test_a_negative_sign_turns_effects_round() -> None:
    task = simulated(0.2, np.random.default_rng(8), genes=100)
    prior = prior_of(0.2, 0.3, 0.4)
    turned = Problem(-task.genes, task.elements, task.first, task.candidate, task.known, sign=-1)
    up, down = posterior(task, prior, seed=0), posterior(turned, prior, seed=0)
    np.testing.assert_array_equal(up.probability, down.probability)
    np.testing.assert_array_equal(up.effect, -down.effect)


def test_a_gene_without_candidates_is_passed_over() -> None:
    rng = np.random.default_rng(9)
    task = problem(rng.normal(size=(3, AXES)), rng.normal(size=(2, AXES)), [[0], [], [1]])
    assert np.isfinite(posterior(task, prior_of(0.5, 0.3, 0.4), seed=0).probability).all()
