"""Methylation by rate: methylated of covered reads, with regard to how many reads there are.

A rate out of two reads says little, one out of fifty much; and a cell that is methylated throughout is so at
every gene. Both are dealt with by priors: a beta prior with the level of the cell as its mean for the rates
that one looks at, and one with the levels of cell and feature for what tells cells apart. How tight the
priors are is estimated by moments from the reads themselves.

Sources: Liu et al. 2021 (Nature 598:120, posterior rates with a beta prior for each cell, normalised by the
cell's level, and scores of hypomethylation); Tarone 1979 (variance beyond the binomial).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.errors import InputError, OptionError
from omicsglue.keys import COVERAGE, HIGHLY_VARIABLE, PCA
from omicsglue.pp.counts import check_components
from omicsglue.pp.methylation_reads import Reads, logit, methylated_reads, sigmoid
from omicsglue.pp.pca import components_of, standardised

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float64]
RATE, HYPOMETHYLATION = "rate", "hypomethylation"
_SMALLEST_P = 1e-300  # of a tail: its logarithm ends there


def methylation_rate(
    adata: AnnData, *, layer: str | None = None, coverage: str = COVERAGE, normalise: bool = True
) -> npt.NDArray[np.float32]:
    """Return posterior rates of methylation; where nothing was read, what is known of the cell beforehand.

    The posterior mean of a beta distribution whose prior has the level of the cell as its mean, and a
    concentration estimated by moments over the features of the cell.

    Parameters
    ----------
    adata
        Cells x features, methylated reads.
    layer
        Layer with the methylated reads; ``None`` is ``X``.
    coverage
        Layer with the covered reads.
    normalise
        Divide by the level of the cell, so that 1 is the cell's average.

    Returns
    -------
    float32, shape ``(cells, features)``; without `normalise` between 0 and 1.

    Raises
    ------
    InputError
        If a layer is missing or negative, or more reads are methylated than covered.

    Examples
    --------
    >>> from omicsglue.datasets import simulate
    >>> cells = simulate(50, genes=40, types=2, modalities=("rna", "methylation"))
    >>> methylation_rate(cells.modalities["methylation"]).shape
    (50, 40)
    """
    reads = methylated_reads(adata, layer, coverage, "methylation_rate")
    level = reads.cell_level()
    prior = np.repeat(level[:, None], adata.n_vars, axis=1)
    if normalise:
        prior[:] = 1
    prior[reads.row, reads.column] = _posterior(reads, level, normalise=normalise)
    return prior.astype(np.float32)


def rate_layer(
    adata: AnnData,
    *,
    layer: str | None = None,
    coverage: str = COVERAGE,
    log: bool = False,
    key_added: str = RATE,
) -> None:
    """Write normalised rates to a layer, for likelihoods of real values.

    The values are those of :func:`methylation_rate` at the features that a cell covers; all others are left
    out of the sparse layer, which the layer `coverage` tells apart from zeros.

    Parameters
    ----------
    adata
        Cells x features, methylated reads; ``layers`` is changed.
    layer, coverage
        As for :func:`methylation_rate`.
    log
        Write the natural logarithm, for the likelihood ``normal``; without it the rates, which are positive,
        are for ``zilognormal``.
    key_added
        Name of the layer.

    Raises
    ------
    InputError
        As :func:`methylation_rate`.
    """
    reads = methylated_reads(adata, layer, coverage, "rate_layer")
    values = _posterior(reads, reads.cell_level(), normalise=True)
    values = np.log(np.maximum(values, np.finfo(np.float32).tiny)) if log else values
    adata.layers[key_added] = reads.matrix(values)


def hypomethylation_score(
    adata: AnnData,
    *,
    layer: str | None = None,
    coverage: str = COVERAGE,
    cutoff: float | None = None,
    key_added: str = HYPOMETHYLATION,
) -> None:
    """Write how surprisingly little a feature is methylated, -log10 of a binomial tail, to a layer.

    The tail is the probability of so few methylated reads or fewer, given the covered ones and the level of
    the cell. High scores mark features that are active in the cell, so that this layer goes with sign +1
    where rates go with -1.

    Parameters
    ----------
    adata
        Cells x features, methylated reads; ``layers`` is changed.
    layer, coverage
        As for :func:`methylation_rate`.
    cutoff
        Write 1 where the score is at least this (2 is a tail of 0.01) and 0 elsewhere.
    key_added
        Name of the layer, CSR float32.

    Raises
    ------
    OptionError
        If the cutoff is not positive.
    InputError
        As :func:`methylation_rate`.
    """
    from scipy.stats import binom

    if cutoff is not None and not cutoff > 0:
        raise OptionError(
            f"the cutoff is {cutoff}",
            where="hypomethylation_score",
            remedy="give a positive number, such as 2",
        )
    reads = methylated_reads(adata, layer, coverage, "hypomethylation_score")
    tail = binom.cdf(reads.methylated, reads.covered, reads.cell_level()[reads.row])
    score = np.abs(np.log10(np.maximum(tail, _SMALLEST_P)))
    matrix = reads.matrix(score if cutoff is None else (score >= cutoff).astype(np.float64))
    matrix.eliminate_zeros()
    adata.layers[key_added] = matrix


def select_methylation(
    adata: AnnData,
    n_top: int | None = 2000,
    *,
    layer: str | None = None,
    coverage: str = COVERAGE,
    min_share: float = 0.05,
) -> npt.NDArray[np.bool_]:
    """Mark the features whose rates vary most, beyond what the number of reads makes expected.

    Features are ranked by the variance of their rates about what the levels of cell and feature make
    expected, less the binomial variance, relative to that of a single read; cells count by their reads.

    Parameters
    ----------
    adata
        Cells x features, methylated reads; ``var["highly_variable"]`` is written.
    n_top
        How many to select; with ``None``, or where there are no more, all that are covered well enough.
    layer, coverage
        As for :func:`methylation_rate`.
    min_share
        Features covered in a smaller share of the cells are never selected, unless all are.

    Returns
    -------
    The mask written, shape ``(features,)``.

    Raises
    ------
    OptionError
        If `n_top` is not positive, or `min_share` is not between 0 and 1.
    InputError
        As :func:`methylation_rate`.
    """
    if (n_top is not None and n_top < 1) or not 0 <= min_share <= 1:
        raise OptionError(
            f"n_top={n_top}, min_share={min_share}",
            where="select_methylation",
            remedy="give a positive number, and a share between 0 and 1",
        )
    reads = methylated_reads(adata, layer, coverage, "select_methylation")
    mask = variable_rates(reads, n_top, min_share)
    adata.var[HIGHLY_VARIABLE] = mask
    return mask


def variable_rates(reads: Reads, n_top: int | None, min_share: float = 0.05) -> npt.NDArray[np.bool_]:
    """Return which features vary most; see :func:`select_methylation`."""
    cells, features = reads.shape
    covering = np.bincount(reads.column, minlength=features)
    selected = covering >= max(min_share * cells, 1)
    selected = selected if selected.any() else covering > 0
    if n_top is None or selected.sum() <= n_top:
        return np.asarray(selected, dtype=np.bool_)
    expected = _expected(reads)
    spread = expected * (1 - expected)
    excess = np.square(reads.methylated - reads.covered * expected) - reads.covered * spread
    excess /= np.square(reads.covered + _concentration(reads, expected)) * spread
    score = np.bincount(reads.column, weights=excess, minlength=features)
    score[~selected] = -np.inf
    mask = np.zeros(features, dtype=bool)
    mask[np.argsort(-score, kind="stable")[:n_top]] = True
    return mask


def methylation_pca(
    adata: AnnData,
    n_components: int = 100,
    *,
    features: npt.NDArray[np.bool_] | None = None,
    layer: str | None = None,
    coverage: str = COVERAGE,
    seed: int = 0,
    key_added: str = PCA,
) -> npt.NDArray[np.float32]:
    """Compute principal components of rates of methylation and write them to ``adata.obsm``.

    The values are posterior rates less what the levels of cell and feature make expected: the fewer reads,
    the nearer to 0, and 0 where there is none. They are standardised, decomposed and shrunk to their signal
    as :func:`omicsglue.pp.pca` does with expression.

    Parameters
    ----------
    adata
        Cells x features, methylated reads; ``obsm`` is changed.
    n_components
        Dimensions at most; those that do not stand out from the noise are left out.
    features
        Which features to use, shape ``(features,)``; all by default.
    layer, coverage
        As for :func:`methylation_rate`.
    seed
        Seed of the decomposition.
    key_added
        Key of ``obsm``.

    Returns
    -------
    The representation, float32, shape ``(cells, at most n_components)``.

    Raises
    ------
    InputError
        As :func:`methylation_rate`, or if there are too few cells or features, or none differs between cells.
    OptionError
        If ``n_components`` is less than 2.
    """
    check_components(n_components, "methylation_pca")
    reads = methylated_reads(adata, layer, coverage, "methylation_pca")
    expected = _expected(reads)
    change = (reads.methylated - reads.covered * expected) / (reads.covered + _concentration(reads, expected))
    values = reads.matrix(change)
    values = values if features is None else sp.csr_matrix(values[:, np.flatnonzero(features)])
    components = min(n_components, *(size - 1 for size in values.shape))
    if components < 2:
        raise InputError(
            f"PCA needs at least 3 cells and 3 features, found {values.shape[0]} and {values.shape[1]}",
            where="methylation_pca",
            remedy="check the step that made or filtered these data",
        )
    x, varying = standardised(values)
    if not varying:
        raise InputError(
            "no rate differs between cells",
            where="methylation_pca",
            remedy="check that the right layers were chosen",
        )
    result = components_of(x, varying, components, seed)
    adata.obsm[key_added] = result
    return result


def _posterior(reads: Reads, level: Floats, *, normalise: bool) -> Floats:
    """Return the posterior rate at every covered entry, under the prior of its cell."""
    mean = level[reads.row]
    tight = _concentration_of_cells(reads, mean)[reads.row]
    rate = (reads.methylated + tight * mean) / (reads.covered + tight)
    return np.asarray(rate / np.maximum(mean, 1e-12) if normalise else rate, dtype=np.float64)


def _expected(reads: Reads) -> Floats:
    """Return the rate that the levels of cell and feature make expected, at every covered entry."""
    cell, feature = logit(reads.cell_level()), logit(reads.feature_level())
    return sigmoid(cell[reads.row] + feature[reads.column] - logit(reads.level()))


_TIGHT = (1.0, 1000.0)  # bounds of the concentration of a prior


def _concentration(reads: Reads, mean: Floats) -> float:
    """Return the concentration of a beta prior around the means, by moments over all entries."""
    excess, scale = _excess(reads, mean)
    return float(_from_correlation(excess.sum() / max(scale.sum(), 1e-12)))


def _concentration_of_cells(reads: Reads, mean: Floats) -> Floats:
    """Return the concentration of each cell's prior; of cells without two reads anywhere, that of all."""
    excess, scale = (
        np.bincount(reads.row, weights=each, minlength=reads.shape[0]) for each in _excess(reads, mean)
    )
    together = excess.sum() / max(scale.sum(), 1e-12)
    return _from_correlation(np.where(scale > 0, excess / np.where(scale > 0, scale, 1), together))


def _excess(reads: Reads, mean: Floats) -> tuple[Floats, Floats]:
    """Return squared residuals less their binomial variance, and the factor of the correlation in them."""
    spread = mean * (1 - mean)
    residual = reads.methylated - reads.covered * mean
    return np.square(residual) - reads.covered * spread, reads.covered * (reads.covered - 1) * spread


def _from_correlation(correlation: npt.ArrayLike) -> Floats:
    """Return the concentration 1 / correlation - 1 of beta-binomial counts, within bounds."""
    low, high = 1 / (1 + _TIGHT[1]), 1 / (1 + _TIGHT[0])
    return np.asarray(1 / np.clip(correlation, low, high) - 1, dtype=np.float64)
