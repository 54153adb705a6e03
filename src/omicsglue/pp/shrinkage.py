"""How much of each principal component is signal: optimal shrinkage of singular values.

Noise inflates every singular value and makes components of its own up to a sharp edge. Components under the
edge are pure noise and are left out; those above it are shrunk to what is signal in them. Sources: Gavish &
Donoho 2017 (optimal shrinkage under Frobenius loss); the edge of matrices with independent entries of unit
variance is sqrt(n) + sqrt(p) (Marchenko & Pastur 1967), and elsewhere is found by permutation (parallel
analysis, Horn 1965).
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.errors import OmicsGlueWarning

Floats64 = npt.NDArray[np.float64]
FEWEST = 2
WITHOUT_SIGNAL = 10
ROUNDING = 1e-6  # of the largest singular value: what is under it is the noise of arithmetic


def signal_share(singular_values: npt.ArrayLike, edge: float, shape: tuple[int, int]) -> Floats64:
    """Return the factor by which each singular value is to be shrunk.

    Parameters
    ----------
    singular_values
        Of the data, shape ``(k,)``.
    edge
        Largest singular value that noise alone makes.
    shape
        Rows and columns of the data.

    Returns
    -------
    Factors in [0, 1), shape ``(k,)``; 0 at and under the edge.

    Examples
    --------
    >>> signal_share([10.0, 4.0, 1.0], edge=2.0, shape=(100, 100)).round(3).tolist()
    [0.98, 0.866, 0.0]
    """
    beta = min(shape) / max(shape)
    y = np.asarray(singular_values, dtype=np.float64) / edge * (1 + np.sqrt(beta))
    share: Floats64 = np.zeros(y.shape)
    above = y > 1 + np.sqrt(beta)
    share[above] = np.sqrt((y[above] ** 2 - beta - 1) ** 2 - 4 * beta) / y[above] ** 2
    return share


def noise_edge(shape: tuple[int, int]) -> float:
    """Return the largest singular value of independent noise of unit variance, sqrt(n) + sqrt(p)."""
    return float(np.sqrt(shape[0]) + np.sqrt(shape[1]))


def shrunken_scores(
    scores: Floats64, singular_values: Floats64, edge: float, shape: tuple[int, int], where: str
) -> npt.NDArray[np.float32]:
    """Return component scores times their share of signal, centred, in units of the noise's deviation.

    Parameters
    ----------
    scores
        Cells x components, already multiplied by the singular values.
    singular_values, edge, shape
        See :func:`signal_share`.
    where
        Name for messages.

    Returns
    -------
    float32, cells x components above the noise; where fewer than two are, the first ten as they are, with a
    warning.
    """
    share, unit = kept_share(singular_values, edge, shape, where)
    signal = scores[:, share > 0] * share[share > 0] * unit
    return np.ascontiguousarray(signal - signal.mean(axis=0), dtype=np.float32)


def kept_share(
    singular_values: Floats64, edge: float, shape: tuple[int, int], where: str
) -> tuple[Floats64, float]:
    """Return the share of signal of each component, and by what scores become units of the noise's deviation.

    Parameters
    ----------
    singular_values, edge, shape, where
        See :func:`shrunken_scores`.

    Returns
    -------
    Shape ``(components,)``, 0 where a component is left out; and a factor.
    """
    edge = max(edge, ROUNDING * float(singular_values.max(initial=1.0)))
    share = signal_share(singular_values, edge, shape)
    if (share > 0).sum() < FEWEST:
        warnings.warn(
            f"{where}: no structure stands out from the noise; the embedding will show little\n"
            "  -> check depth and feature selection, or give a representation of your own",
            OmicsGlueWarning,
            stacklevel=4,
        )
        share = np.where(np.arange(len(share)) < WITHOUT_SIGNAL, 1.0, 0.0)
    return share, noise_edge(shape) / edge


def permuted_columns(x: sp.csr_matrix, rng: np.random.Generator) -> sp.csr_matrix:
    """Return a sparse matrix whose columns keep their values but no longer agree on the rows.

    The rows are shuffled once, and then each column is turned by a distance of its own: no entry collides.
    """
    rows, columns = x.shape
    shuffled = rng.permutation(rows)
    turn = rng.integers(rows, size=columns)
    entries = x.tocoo()
    moved = (shuffled[entries.row] + turn[entries.col]) % rows
    return sp.csr_matrix((entries.data, (moved, entries.col)), shape=x.shape)
