"""p-values against a null of decoys, and false discovery rates."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omicsglue.errors import OptionError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STOREY_LAMBDA = 0.5
UPPER_LIMIT = 1.645  # standard errors, of a one-sided limit at 95 %


@dataclass(frozen=True)
class Null:
    """Scores of pairs that are no links.

    Attributes
    ----------
    score
        Scores, shape ``(n,)``.
    stratum
        Stratum of each, int64, shape ``(n,)``.
    """

    score: Floats
    stratum: Ints


def empirical_p(score: Floats, stratum: Ints, null: Null) -> Floats:
    """Return p = (1 + k) / (1 + n), k of the n null scores of the same stratum being at least as high.

    Parameters
    ----------
    score, stratum
        Scores of pairs and their strata, shape ``(pairs,)``.
    null
        Null scores.

    Returns
    -------
    float64 in (0, 1], shape ``(pairs,)``; 1 where a stratum has no null.

    Notes
    -----
    Source: Phipson & Smyth 2010 (a p-value of draws is never 0).
    """
    p = np.ones(len(score))
    for code in np.unique(stratum):
        here = stratum == code
        against = np.sort(null.score[null.stratum == code])
        higher = len(against) - np.searchsorted(against, score[here], side="left")
        p[here] = (1 + higher) / (1 + len(against))
    return p


def benjamini_hochberg(p: npt.ArrayLike) -> Floats:
    """Return the false discovery rate at which each p-value is just accepted.

    Parameters
    ----------
    p
        p-values, shape ``(n,)``.

    Returns
    -------
    float64 in [0, 1], shape ``(n,)``.

    Raises
    ------
    OptionError
        If a value is not between 0 and 1.

    Notes
    -----
    Source: Benjamini & Hochberg 1995.
    """
    values = _checked(p)
    order = np.argsort(values, kind="stable")
    adjusted = values[order] * len(values) / np.arange(1, len(values) + 1)
    return _back(_smallest_from_here(np.minimum(adjusted, 1)), order)


def null_share(p: npt.ArrayLike, cut: float = STOREY_LAMBDA, *, errors: float = 0.0) -> float:
    """Estimate the share of tests in which nothing is to be found, from the p-values above a cut.

    Parameters
    ----------
    p
        p-values, shape ``(n,)``.
    cut
        Above it nearly all p-values are of true nulls.
    errors
        Standard errors to add to the estimate, for an upper limit.

    Returns
    -------
    A number between 0 and 1; 1 where there are no p-values.

    Raises
    ------
    OptionError
        If a value is not between 0 and 1.

    Notes
    -----
    Source: Storey 2002.
    """
    values = _checked(p)
    if not len(values):
        return 1.0
    above = int((values > cut).sum())
    share = (1 + above + errors * np.sqrt(above)) / (len(values) * (1 - cut))
    return float(min(share, 1))


def storey(p: npt.ArrayLike) -> Floats:
    """Return q-values: those of Benjamini and Hochberg times the estimated share of true nulls.

    Parameters
    ----------
    p
        p-values, shape ``(n,)``.

    Notes
    -----
    Source: Storey 2002.
    """
    return benjamini_hochberg(p) * null_share(p)


def stratified_q(score: Floats, stratum: Ints, null: Null, shares: Floats) -> Floats:
    """Return the false discovery rate among all pairs that score at least as high, over all strata.

    Of the pairs of a stratum, the share that is null scores as its null does; so many false ones are expected
    above any score.

    Parameters
    ----------
    score, stratum
        Scores of pairs and their strata, shape ``(pairs,)``.
    null
        Null scores, of the same strata.
    shares
        Share of true nulls in each stratum, shape ``(strata,)``.

    Returns
    -------
    float64 in [0, 1], shape ``(pairs,)``, not rising with the score.

    Notes
    -----
    Sources: Storey 2002 for the estimate, Sun et al. 2006 for strata, Elias & Gygi 2007 for decoys.
    """
    size = np.bincount(stratum, minlength=len(shares))
    drawn = np.bincount(null.stratum, minlength=len(shares))
    per_null = shares * size / np.maximum(drawn, 1)
    worst = float(per_null[drawn > 0].max(initial=0.0))  # one more than was seen, so that no rate is 0
    untested = (shares * size)[drawn == 0].sum()
    order = np.argsort(-null.score, kind="stable")
    false = np.concatenate([[0.0], np.cumsum(per_null[null.stratum[order]])])
    ranked = np.argsort(-score, kind="stable")
    above = np.searchsorted(-null.score[order], -score[ranked], side="right")
    at_least = np.searchsorted(-score[ranked], -score[ranked], side="right")
    rate = np.minimum((worst + false[above] + untested) / at_least, 1)
    return _back(_smallest_from_here(rate), ranked)


def _checked(p: npt.ArrayLike) -> Floats:
    values = np.asarray(p, dtype=np.float64)
    if not ((values >= 0) & (values <= 1)).all():
        raise OptionError(
            "p-values lie outside 0 to 1, or are missing", where="p", remedy="give p-values of tests alone"
        )
    return values


def _smallest_from_here(values: Floats) -> Floats:
    return np.asarray(np.minimum.accumulate(values[::-1])[::-1], dtype=np.float64)


def _back(values: Floats, order: Ints) -> Floats:
    out = np.empty(len(values))
    out[order] = values
    return out
