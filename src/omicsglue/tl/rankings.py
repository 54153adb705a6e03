"""Rankings of genes for each transcription factor (TF), and the targets that gather at the top of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.stats import rankdata

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

_BLOCK = 200_000  # pairs of gene and TF whose null distributions are in memory at one time


class Enrichment(NamedTuple):
    """Binding of TFs in the elements linked to genes.

    Attributes
    ----------
    n_bound
        Linked elements in which the TF binds, int64, shape (n_genes, n_tfs).
    n_linked
        Linked elements of each gene, int64, shape (n_genes,).
    p_value
        Probability that as many random elements hold so many bound ones or more, float64, shape (n_genes,
        n_tfs). In (0, 1]; 1 where no linked element is bound.
    """

    n_bound: Integers
    n_linked: Integers
    p_value: Floats


class Recovery(NamedTuple):
    """How well rankings of genes recover modules of targets.

    Attributes
    ----------
    area
        Area under the recovery curve within the top of the ranking, in [0, 1], float64, shape (n_modules,
        n_tfs).
    score
        Normalised enrichment score: the area in standard deviations above the mean of all TFs' rankings,
        float64, shape (n_modules, n_tfs); 0 where all are alike.
    """

    area: Floats
    score: Floats


def matching_bins(covariates: pd.DataFrame, *, least: int = 200, most: int = 10) -> Integers:
    """Sort elements into bins in which all are alike.

    Elements are cut by quantiles of the first covariate, each part by quantiles of the second, and so on,
    into so many bins that each holds about `least` elements or more.

    Parameters
    ----------
    covariates
        Numeric, one row an element and one column a covariate (length, GC content, number of cells …); NaN
        counts as a value of its own, below all others.
    least
        Elements a bin should hold.
    most
        Parts into which one covariate is cut at most.

    Returns
    -------
    numpy.ndarray
        Bin of each element, int64, shape (n_elements,), numbered from 0.

    Examples
    --------
    >>> matching_bins(pd.DataFrame({"length": [100, 500, 110, 490]}), least=2).tolist()
    [0, 1, 0, 1]
    """
    codes = np.zeros(len(covariates), dtype=np.int64)
    if covariates.empty:
        return codes
    parts = int(np.clip((len(covariates) / least) ** (1 / covariates.shape[1]) + 1e-9, 1, most))
    for name in covariates:
        share = covariates[name].groupby(codes).rank(pct=True, na_option="top").to_numpy()
        cut = np.ceil(share * parts - 1e-9).astype(np.int64) - 1
        codes = pd.factorize(codes * parts + cut, sort=True)[0].astype(np.int64)
    return codes


def enrichment(linked: sparse.csr_array, bound: sparse.csr_array, bins: Integers) -> Enrichment:
    """Compare the binding of TFs in linked elements with that in random elements of the same bins.

    The number of bound elements among random ones, each drawn from the bin of a linked element, is a sum of
    independent yes-or-no draws (Poisson's binomial distribution), which is computed exactly: this is where
    the share of ever more random draws ends, and no probability is 0 since the linked elements are in their
    bins.

    Parameters
    ----------
    linked
        Which element is linked to which gene, bool, shape (n_genes, n_elements).
    bound
        Which TF binds in which element, bool, shape (n_elements, n_tfs).
    bins
        Bin of each element, int64, shape (n_elements,); see `matching_bins`.

    Returns
    -------
    Enrichment
        Counts and probabilities.

    Notes
    -----
    Cao and Gao, Nature Biotechnology 2022, doi 10.1038/s41587-022-01284-4, compare with 1,000 draws.
    """
    n_linked = np.diff(linked.indptr).astype(np.int64)
    n_bound = (linked.astype(np.int64) @ bound.astype(np.int64)).toarray()
    p_value = np.ones(n_bound.shape)
    share = _share_bound(bound, bins)
    slots = _slots(linked, bins, len(share) - 1)
    gene, factor = np.nonzero(n_bound)
    order = np.lexsort(
        (n_bound[gene, factor], n_linked[gene])
    )  # alike in a block, so that none is padded much
    for begin in range(0, len(order), _BLOCK):
        block = order[begin : begin + _BLOCK]
        at = gene[block], factor[block]
        chances = share[slots[at[0], : n_linked[at[0]].max()].T, at[1]]
        p_value[at] = upper_tail(chances, n_bound[at])
    return Enrichment(n_bound, n_linked, p_value)


def upper_tail(chances: Floats, counts: Integers) -> Floats:
    """Probability of at least so many successes in independent draws with unequal chances.

    Parameters
    ----------
    chances
        Chance of each draw, shape (n_draws, n_sums).
    counts
        Successes seen, shape (n_sums,).

    Returns
    -------
    numpy.ndarray
        float64, shape (n_sums,). Small probabilities are as precise as large ones.

    Examples
    --------
    >>> upper_tail(np.array([[0.5], [0.5]]), np.array([2])).tolist()
    [0.25]
    """
    top = int(counts.max(initial=0))
    chance_of = np.zeros((top + 1, len(counts)))  # of exactly 0, 1, … successes, and of `top` or more
    chance_of[0] = 1.0
    for chance in chances:
        last = chance_of[top] + (chance_of[top - 1] * chance if top else 0.0)
        chance_of[1:] = chance_of[1:] * (1 - chance) + chance_of[:-1] * chance
        chance_of[0] *= 1 - chance
        chance_of[top] = last
    at_least = np.cumsum(chance_of[::-1], axis=0)[::-1]
    return np.minimum(at_least[counts, np.arange(len(counts))], 1.0)


def rank_genes(score: Floats | Integers, candidate: npt.NDArray[np.bool_]) -> Floats:
    """Rank genes for each TF.

    Parameters
    ----------
    score
        The higher, the better, shape (n_genes, n_tfs).
    candidate
        Which genes can be targets of the TF at all, shape (n_genes, n_tfs).

    Returns
    -------
    numpy.ndarray
        float64, shape (n_genes, n_tfs): 1 for the best, means where scores are equal, infinite for genes
        that are no candidates.
    """
    ranks = rankdata(np.where(candidate, -score, np.inf), axis=0)
    return np.where(candidate, ranks, np.inf)


def recovery(ranks: Floats, modules: sparse.csr_array, top: int) -> Recovery:
    """Measure how well the top of each TF's ranking recovers each module.

    Parameters
    ----------
    ranks
        Ranks of the genes, shape (n_genes, n_tfs); see `rank_genes`.
    modules
        Which gene is in which module, bool, shape (n_modules, n_genes); none is empty.
    top
        Ranks that count.

    Returns
    -------
    Recovery
        Areas and normalised scores. TFs without a candidate gene take no part in the normalisation.

    Notes
    -----
    The score is that of Aibar et al., Nature Methods 2017, doi 10.1038/nmeth.4463.
    """
    credit = np.clip(1 - (ranks - 0.5) / top, 0, None)  # area that a gene of this rank adds
    size = np.maximum(np.diff(modules.indptr), 1)[:, None]
    area = (modules.astype(np.float64) @ credit) / size
    of_all = area[:, np.isfinite(ranks).any(axis=0)]
    if of_all.shape[1] == 0:
        return Recovery(area, np.zeros_like(area))
    spread = of_all.std(axis=1, keepdims=True)
    above = area - of_all.mean(axis=1, keepdims=True)
    return Recovery(area, np.divide(above, spread, out=np.zeros_like(area), where=spread > 1e-12))


def leading_edge(ranks: Floats, module: Integers, own: int, top: int) -> Integers:
    """Find the targets that make a ranking recover a module better than other rankings do.

    The edge lies at the rank at which the recovery curve of the TF's own ranking is farthest above the mean
    curve of all TFs plus two standard deviations.

    Parameters
    ----------
    ranks
        Ranks of the genes, shape (n_genes, n_tfs); see `rank_genes`.
    module
        Positions of the module's genes, shape (n_targets,).
    own
        Column of the TF's own ranking.
    top
        Ranks that count.

    Returns
    -------
    numpy.ndarray
        Positions of the genes up to the edge, in the order of `module`.
    """
    steps = np.minimum(np.ceil(ranks[module]), top + 1).astype(np.int64)
    n_factors = ranks.shape[1]
    cells = (steps * n_factors + np.arange(n_factors)).ravel()
    found = np.bincount(cells, minlength=(top + 2) * n_factors).reshape(top + 2, n_factors)
    curves = found[: top + 1].cumsum(axis=0)[:, np.isfinite(ranks).any(axis=0)]
    limit = curves.mean(axis=1) + 2 * curves.std(axis=1)
    edge = int(np.argmax(found[: top + 1, own].cumsum() - limit))
    return module[steps[:, own] <= edge]


def _share_bound(bound: sparse.csr_array, bins: Integers) -> Floats:
    """Share of each bin's elements in which each TF binds, shape (n_bins + 1, n_tfs); the last row is 0."""
    size = np.bincount(bins)
    member = sparse.csr_array(
        (np.ones(len(bins)), (bins, np.arange(len(bins)))), shape=(len(size) + 1, len(bins))
    )
    found = (member @ bound.astype(np.float64)).toarray()
    return np.asarray(found / np.append(size, 1)[:, None], dtype=np.float64)


def _slots(linked: sparse.csr_array, bins: Integers, nothing: int) -> Integers:
    """Bins of each gene's elements, shape (n_genes, most elements), filled up with `nothing`."""
    n_linked = np.diff(linked.indptr)
    slots = np.full((len(n_linked), int(n_linked.max(initial=0))), nothing, dtype=np.int64)
    row = np.repeat(np.arange(len(n_linked)), n_linked)
    place = np.arange(len(row)) - np.repeat(linked.indptr[:-1], n_linked)
    slots[row, place] = bins[linked.indices]
    return slots
