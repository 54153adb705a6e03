"""What was measured: coverage as a layer of its own, or NaN in the matrix, checked and brought together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import scipy.sparse as sp

from omicsglue.data.columns import check_key
from omicsglue.data.counts import described, matrix_name
from omicsglue.data.kinds import SUPPORT
from omicsglue.data.matrices import MatrixSurvey, Tally, is_sparse, iter_row_blocks, matrix_of, survey_matrix
from omicsglue.errors import InputError
from omicsglue.suggest import listed

if TYPE_CHECKING:
    from anndata import AnnData

    from omicsglue.data.setup import ModalitySetup

USUAL: Final = "coverage"
"""Layer that is looked for where a likelihood needs coverage and none is named."""

_BLOCK: Final = 2**22  # entries


def coverage_key(adata: AnnData, setup: ModalitySetup, where: str = "adata") -> str | None:
    """Return the layer that holds the coverage, the usual one where none is named but needed.

    Raises
    ------
    InputError
        If it is missing.
    """
    if setup.coverage is not None:
        return check_key(adata, "layers", setup.coverage, where=where)
    if SUPPORT[setup.likelihood] != "covered counts":
        return None
    if USUAL not in adata.layers:
        raise InputError(
            f"there is no coverage: {setup.likelihood} models methylated counts out of covered counts",
            where=where,
            remedy=f"name the layer with the covered counts, such as coverage='total' or --coverage "
            f"{where}=total (layers there are: {listed(adata.layers)})",
        )
    return USUAL


def check_coverage(adata: AnnData, setup: ModalitySetup, where: str = "adata") -> MatrixSurvey | None:
    """Check the layer that says what was measured, if there is one.

    Parameters
    ----------
    adata
        Annotated data.
    setup
        Names the layer; for covered counts it may be left to the layer ``coverage``.
    where
        Name of the modality or object.

    Returns
    -------
    MatrixSurvey
        Of the coverage; ``None`` without one.

    Raises
    ------
    InputError
        If it is missing, holds NaN, infinite or negative values, or is smaller than the counts out of it.
    """
    key = coverage_key(adata, setup, where)
    if key is None:
        return None
    survey = survey_matrix(matrix_of(adata, key, where=where))
    covered = SUPPORT[setup.likelihood] == "covered counts"
    wrong = [
        described(tally, adata, survey.n_nonzero, adjective)
        for tally, adjective, counted in (
            (survey.nan, "NaN", True),
            (survey.infinite, "infinite", True),
            (survey.negative, "negative", True),
            (survey.fractional, "fractional", covered),
        )
        if tally.count and counted
    ]
    if wrong:
        raise InputError(
            "; ".join(wrong),
            where=f"{where}.{matrix_name(key)}",
            remedy="give how often each entry was covered, with 0 where it was not measured",
        )
    if covered:
        _check_out_of(adata, setup, key, where)
    return survey


def _check_out_of(adata: AnnData, setup: ModalitySetup, key: str, where: str) -> None:
    above, covered = Tally(), []
    step = max(1, _BLOCK // max(1, adata.n_vars))
    blocks = (iter_row_blocks(matrix_of(adata, layer, where=where), step) for layer in (setup.layer, key))
    for (start, counts), (_, trials) in zip(*blocks, strict=True):
        x, n = _array(counts), _array(trials)
        rows, columns = np.nonzero(x > n)  # not true of NaN
        before = len(above.places)
        above.add(np.ones(len(rows), dtype=bool), rows + start, columns, x[rows, columns])
        covered += [n[row - start, column] for row, column, _ in above.places[before:]]
    if above.count:
        shown = ", ".join(
            f"{x:.4g} out of {n:.4g} (cell {adata.obs_names[row]}, feature {adata.var_names[column]})"
            for (row, column, x), n in zip(above.places, covered, strict=True)
        )
        plural = "count exceeds its" if above.count == 1 else "counts exceed their"
        raise InputError(
            f"{above.count:,} {plural} coverage, for example {shown}",
            where=f"{where}.{matrix_name(setup.layer)} and {matrix_name(key)}",
            remedy="give methylated counts and all covered counts (methylated and not) of the same features",
        )


def _array(block: Any) -> Any:
    return block.toarray() if is_sparse(block) else block


def measured_entries(
    values: sp.csr_matrix, coverage: sp.csr_matrix | None
) -> tuple[sp.csr_matrix, sp.csr_matrix | None]:
    """Bring coverage and NaN together.

    Parameters
    ----------
    values
        The modelled data, cells x features, NaN where missing.
    coverage
        How much of each entry was measured, without stored zeros; ``None`` where no layer says so.

    Returns
    -------
    The values, without those that were not measured, and the coverage; ``None`` where all were measured.
    Where NaN alone says what is missing, the coverage of the other entries is 1, which takes eight bytes of
    memory each.
    """
    missing = np.isnan(values.data)
    if missing.any():
        absent = sp.csr_matrix((missing, values.indices, values.indptr), shape=values.shape)
        if coverage is None:
            known = np.ones(values.shape, dtype=bool)
            known[absent.nonzero()] = False
            coverage = sp.csr_matrix(known, dtype=np.float32)
        else:
            coverage = _canonical(coverage - coverage.multiply(absent))
        values = sp.csr_matrix(
            (np.where(missing, 0, values.data), values.indices, values.indptr), values.shape
        )
        values.eliminate_zeros()
    if coverage is None:
        return values, None
    return _canonical(values.multiply(coverage > 0)), coverage


def _canonical(matrix: Any) -> sp.csr_matrix:
    out = sp.csr_matrix(matrix, dtype=np.float32)
    out.eliminate_zeros()
    out.sort_indices()
    return out
