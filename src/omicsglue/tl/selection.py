"""Which elements explain a gene: sparse regression of its profile on the profiles of its candidates.

A candidate may look like the gene because its neighbour regulates the gene. The regression explains a gene by
all of its candidates together, so that what one explains, another does not: a spike-and-slab prior (George &
McCulloch 1993) whose slab favours the expected sign, sampled by Gibbs' method, its probabilities averaged
instead of the draws. How likely a candidate is before its profile is seen is learned from the data by
expectation-maximisation: a logistic regression on the distance and on what speaks for the pair beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from omicsglue.compiling import compiled

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EXPECTED_SIGN = 0.85  # of the links have the sign that the guidance graph gives to a modality
EVIDENCE = 0.5  # weight of a profile's evidence: profiles are estimates, and their errors not independent
GENES = 64  # in a block of work
_GENES_TO_LEARN_FROM = 1000
_ROUNDS, _SETTLED = 24, 14  # of learning; the rounds after it has settled are averaged
_SWEEPS, _BURN_IN = 40, 10
_FINAL_SWEEPS, _FINAL_BURN_IN = 230, 30
_NEWTON_STEPS = 5
_START_PRIOR, _START_NOISE, _START_SLAB = 0.1, 0.5, 0.2


@dataclass(frozen=True)
class Problem:
    """Genes and their candidates.

    Attributes
    ----------
    genes, elements
        Profiles, ``(genes, axes)`` and ``(elements, axes)``.
    first
        Where the candidates of each gene begin, int64, shape ``(genes + 1,)``.
    candidate
        Position of each candidate among the elements, int64, shape ``(pairs,)``.
    known
        What is known of each pair beforehand, predictors of a link, shape ``(pairs, predictors)``.
    sign
        Expected sign of a link, +1 or -1.
    """

    genes: Floats
    elements: Floats
    first: Ints
    candidate: Ints
    known: Floats
    sign: int = 1

    def moved(self, place: Ints) -> Problem:
        """Return the problem in which another gene, ``place[g]``, takes the place of each gene g."""
        return replace(self, genes=self.genes[place])


@dataclass(frozen=True)
class Prior:
    """What is learned from all genes together.

    Attributes
    ----------
    coefficients
        Intercept and slopes of the log-odds of a link on what is known beforehand, ``(1 + predictors,)``.
    noise
        Variance of a gene's profile about what its links explain.
    slab
        Variance of the effect of a link.
    """

    coefficients: Floats
    noise: float
    slab: float

    def log_odds(self, known: Floats) -> Floats:
        """Return the log-odds of links before profiles are seen, shape ``(pairs,)``."""
        return np.asarray(self.coefficients[0] + known @ self.coefficients[1:])


@dataclass(frozen=True)
class Posterior:
    """What is known of every pair.

    Attributes
    ----------
    probability
        That the pair is a link, shape ``(pairs,)``.
    effect
        Expected effect, shape ``(pairs,)``.
    """

    probability: Floats
    effect: Floats


def learn_prior(problem: Problem, seed: int, threads: int = 1) -> Prior:
    """Learn the prior from up to a thousand genes.

    Parameters
    ----------
    problem
        Genes and candidates.
    seed
        Seed of the choice of genes and of the sampling.
    threads
        Threads that share the work; the result does not depend on their number.
    """
    with_candidates = np.flatnonzero(np.diff(problem.first))
    rng = np.random.default_rng([seed, 0])
    chosen = with_candidates
    if len(chosen) > _GENES_TO_LEARN_FROM:
        chosen = np.sort(rng.choice(chosen, _GENES_TO_LEARN_FROM, replace=False))
    part = _of_genes(problem, chosen)
    start = np.zeros(1 + problem.known.shape[1])
    start[0] = _log_odds(_START_PRIOR)
    prior = Prior(start, _START_NOISE, _START_SLAB)
    rounds = []
    for number in range(_ROUNDS):
        sweeps = (_SWEEPS, _BURN_IN)
        probability, _, (residual, square, links) = _sample(part, prior, sweeps, seed + number, threads)
        coefficients = _logistic(part.known, probability, prior.coefficients)
        prior = Prior(coefficients, residual / part.genes[chosen].size, square / max(links, 1.0))
        rounds.append(prior)
    kept = rounds[_SETTLED:]
    return Prior(
        np.mean([each.coefficients for each in kept], axis=0),
        float(np.mean([each.noise for each in kept])),
        float(np.mean([each.slab for each in kept])),
    )


def posterior(problem: Problem, prior: Prior, seed: int, threads: int = 1) -> Posterior:
    """Return the probability and the effect of every pair under a prior.

    Parameters
    ----------
    problem, prior
        Genes, candidates, and what is known beforehand.
    seed
        Seed of the sampling.
    threads
        Threads that share the work; the result does not depend on their number.
    """
    probability, effect, _ = _sample(problem, prior, (_FINAL_SWEEPS, _FINAL_BURN_IN), seed, threads)
    before = prior.log_odds(problem.known)
    after = before + EVIDENCE * (_log_odds(probability) - before)
    return Posterior(1 / (1 + np.exp(-after)), effect)


def _log_odds(probability: npt.ArrayLike) -> Any:
    inside = np.clip(probability, 1e-9, 1 - 1e-9)
    return np.log(inside / (1 - inside))


def _logistic(known: Floats, probability: Floats, start: Floats) -> Floats:
    """Fit probabilities by a logistic regression: Newton's method from a start, with a weak normal prior."""
    design = np.column_stack([np.ones(len(known)), known])
    beta = start.copy()
    for _ in range(_NEWTON_STEPS):
        rate = 1 / (1 + np.exp(-np.clip(design @ beta, -20, 20)))
        hessian = (design.T * (rate * (1 - rate))) @ design + np.eye(len(beta))
        beta += np.linalg.solve(hessian, design.T @ (probability - rate) - beta)
    return beta


def _of_genes(problem: Problem, chosen: Ints) -> Problem:
    """Return the problem with the candidates of some genes alone."""
    length = np.diff(problem.first)
    kept = np.repeat(np.isin(np.arange(len(length)), chosen), length)
    of_chosen = np.where(np.isin(np.arange(len(length)), chosen), length, 0)
    first = np.concatenate([[0], np.cumsum(of_chosen)]).astype(np.int64)
    return replace(problem, first=first, candidate=problem.candidate[kept], known=problem.known[kept])


def _sample(
    problem: Problem, prior: Prior, sweeps: tuple[int, int], seed: int, threads: int
) -> tuple[Floats, Floats, Floats]:
    """Return probabilities and effects of pairs, and sums of squares of residuals, of effects, and links."""
    odds = prior.log_odds(problem.known)
    probability, effect = np.empty((2, len(problem.candidate)))
    signed = problem.genes * problem.sign

    def work(start: int) -> Any:
        stop = min(start + GENES, len(problem.genes))
        rng = np.random.default_rng([seed, start])  # of the block, whatever thread takes it up
        return _gibbs(
            signed, problem.elements, problem.first, problem.candidate, odds, prior.noise, prior.slab,
            EXPECTED_SIGN, *sweeps, rng, start, stop, probability, effect,
        )  # fmt: skip

    sums = np.sum(_shared(work, range(0, len(problem.genes), GENES), threads), axis=0)
    return probability, effect * problem.sign, sums


def _shared(work: Callable[[int], Any], blocks: range, threads: int) -> list[Any]:
    if threads == 1:
        return [work(block) for block in blocks]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, blocks))


def _gibbs_genes(
    genes: Any,
    elements: Any,
    first: Any,
    candidate: Any,
    odds: Any,
    noise: float,
    slab: float,
    positive: float,
    sweeps: int,
    burn_in: int,
    rng: Any,
    start: int,
    stop: int,
    probability: Any,
    effect: Any,
) -> Any:
    """Sample the links of some genes.

    ``odds`` are the prior log-odds of pairs; ``probability`` and ``effect`` receive the posterior's means.
    Returns the sums of squares of residuals and of the effects of links, and the number of links, averaged
    over sweeps.
    """
    axes = genes.shape[1]
    kept = sweeps - burn_in
    sums = np.zeros(3)
    for gene in range(start, stop):
        begin = first[gene]
        number = first[gene + 1] - begin
        if number == 0:
            continue
        x = np.empty((number, axes))
        for c in range(number):
            x[c] = elements[candidate[begin + c]]
        gram = x @ x.T
        fit = x @ genes[gene]  # inner products of candidates with what is not explained yet
        total = (genes[gene] ** 2).sum()
        explained = fit.copy()
        beta = np.zeros(number)
        found, mean_effect = np.zeros(number), np.zeros(number)
        variance, deviation, base = np.empty(number), np.empty(number), np.empty(number)
        for c in range(number):
            variance[c] = 1 / (gram[c, c] / noise + 1 / slab)
            deviation[c] = math.sqrt(variance[c])
            base[c] = odds[begin + c] + 0.5 * math.log(variance[c] / slab) + math.log(2.0)
        for sweep in range(sweeps):
            for c in range(number):
                mean = variance[c] * (fit[c] + gram[c, c] * beta[c]) / noise
                ratio = mean / deviation[c]
                above = 0.5 * math.erfc(-ratio * math.sqrt(0.5))
                share_up, share_down = positive * above, (1 - positive) * (1 - above)
                log_odds = base[c] + 0.5 * ratio * ratio + math.log(share_up + share_down + 1e-300)
                chance = 1 / (1 + math.exp(-max(min(log_odds, 700.0), -700.0)))
                drawn = 0.0
                if rng.random() < chance:
                    up = rng.random() * (share_up + share_down) < share_up
                    drawn = _half_normal(mean, deviation[c], up, rng)
                if drawn != beta[c]:
                    fit -= gram[c] * (drawn - beta[c])
                    beta[c] = drawn
                if sweep >= burn_in:
                    found[c] += chance
                    mean_effect[c] += drawn
                    sums[1] += drawn * drawn / kept
                    sums[2] += (drawn != 0.0) / kept
            if sweep >= burn_in:  # |y - X b|^2 = |y|^2 - b (X y + X r)
                sums[0] += (total - (beta * (explained + fit)).sum()) / kept
        probability[begin : begin + number] = found / kept
        effect[begin : begin + number] = mean_effect / kept
    return sums


def _draw_half(mean: float, deviation: float, up: Any, rng: Any) -> float:
    """Draw a normal number on one side of zero, by rejection; far in the tail, one close to zero."""
    for _ in range(50):
        drawn = mean + deviation * rng.standard_normal()
        if (drawn > 0) == up:
            return float(drawn)
    tail = deviation * deviation / max(abs(mean), deviation)  # of an exponential, as the tail nearly is
    drawn = -tail * math.log(rng.random() + 1e-300)
    return float(drawn) if up else float(-drawn)


_half_normal = compiled(_draw_half)
_gibbs = compiled(_gibbs_genes)
