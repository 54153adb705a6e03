"""What an encoder sees of a modality without a representation, by the kind of its data."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.data.kinds import Kind

Floats = npt.NDArray[np.float32]
EncoderInput = Floats | sp.csr_matrix

FARTHEST = 10.0  # standard deviations


class Standard(NamedTuple):
    """Mean and standard deviation of each feature, by which values are standardised and gaps are filled."""

    mean: Floats
    sd: Floats


def encoder_values(
    values: sp.csr_matrix,
    coverage: sp.csr_matrix | None,
    kind: Kind,
    standard: Standard | None = None,
) -> tuple[EncoderInput, Standard | None]:
    """Return what the encoder sees of the modelled data.

    Parameters
    ----------
    values
        The data, cells x features, without what was not measured.
    coverage
        How much was measured of each entry; ``None`` where all were.
    kind
        Kind of the data.
    standard
        Means and deviations of the cells of training; by default those of these cells.

    Returns
    -------
    Counts, or zeros and ones
        Scaled to 10,000 a cell and logged, CSR; dense where entries are missing, which get the mean of
        their feature.
    All others
        Each feature with mean 0 and standard deviation 1, within 10 deviations, dense, and 0 where an entry
        is missing: real values and fractions as they are, non-negative values as log(1 + x), covered counts
        as methylated fractions.
    And with it, unless the values are sparse, the means and deviations.
    """
    if kind in ("counts", "binary"):
        logged = log_normalised(values)
        if coverage is None:
            return logged, None
        dense, known = logged.toarray(), _known(coverage)
        standard = standard or _standard_of(dense, known)
        return np.where(known, dense, standard.mean), standard
    dense = values.toarray()
    known = np.ones(dense.shape, dtype=bool) if coverage is None else _known(coverage)
    if kind == "non-negative":
        np.log1p(dense, out=dense)
    if kind == "covered counts" and coverage is not None:
        np.divide(dense, coverage.toarray(), out=dense, where=known)
    standard = standard or _standard_of(dense, known)
    dense -= standard.mean
    dense /= standard.sd
    dense[~known] = 0
    return np.clip(dense, -FARTHEST, FARTHEST, out=dense), standard


def shifted(inputs: EncoderInput, batch: npt.NDArray[np.int64], offsets: Floats | None) -> EncoderInput:
    """Return the encoder's input less the offset of each cell's batch; as it is where there are none.

    Parameters
    ----------
    inputs
        ``(n, d)``.
    batch
        Code of each cell's batch, ``(n,)``.
    offsets
        Of each batch, ``(batches, d)``.
    """
    return inputs if offsets is None else inputs - offsets[batch]


def library(counts: sp.csr_matrix) -> Floats:
    """Return the sum of each cell, at least 1, float32, shape ``(cells,)``."""
    return np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1).astype(np.float32)


def log_normalised(counts: sp.csr_matrix) -> sp.csr_matrix:
    """Return counts scaled to 10,000 a cell and logged."""
    normalised = sp.diags((1e4 / library(counts)).astype(np.float32)) @ counts
    return sp.csr_matrix(normalised.log1p(), dtype=np.float32)


def _known(coverage: sp.csr_matrix) -> npt.NDArray[np.bool_]:
    known: npt.NDArray[np.bool_] = coverage.toarray() > 0
    return known


def _standard_of(values: Floats, known: npt.NDArray[np.bool_]) -> Standard:
    number = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, values, 0).sum(axis=0, dtype=np.float64) / number
    squares = np.where(known, np.square(values - mean), 0).sum(axis=0, dtype=np.float64) / number
    sd = np.sqrt(squares)
    flat = sd <= 1e-5 * np.abs(mean)  # rounding, no difference between cells
    return Standard(mean.astype(np.float32), np.where(flat, 1, sd).astype(np.float32))
