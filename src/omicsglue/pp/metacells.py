"""Metacells: groups of like cells of one modality, added up to profiles that are deeper and fewer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from omicsglue.data.aggregate import BLOCK, RowSum
from omicsglue.data.columns import check_key
from omicsglue.data.grouping import Codes, group_means, grouped_cells, strata_of
from omicsglue.data.matrices import iter_row_blocks, matrix_of, survey_matrix
from omicsglue.errors import InputError, OptionError, examples
from omicsglue.keys import CLR, LSI, METACELL, METACELL_SIZE, PCA, SETUP
from omicsglue.suggest import listed

if TYPE_CHECKING:
    from anndata import AnnData

PER_METACELL: Final = 20  # cells, where no number is given
METHODS: Final = ("kmeans",)
_MANY: Final = 0.5  # of the cells: a column with more values than that names cells, not kinds of them
_EXACT: Final = 2**24  # whole numbers up to here are exact in single precision

Layers = str | Sequence[str] | None


def metacells(
    adata: AnnData,
    n: int | None = None,
    *,
    representation: str | None = None,
    within: str | Sequence[str] = (),
    layer: Layers = None,
    method: str = "kmeans",
    seed: int = 0,
) -> AnnData:
    """Add up groups of like cells to metacells.

    Cells are grouped by mini-batch k-means on a representation (of more than 1,000 metacells in two steps),
    with groups of less than a quarter of the mean size dissolved and the largest ones halved instead. Counts
    are read in blocks of rows, so that they may lie on disk.

    Parameters
    ----------
    adata
        Cells x features, in memory or backed; gets ``obs["metacell"]``, the metacell of each cell.
    n
        Metacells wanted; by default one for every 20 cells.
    representation
        Key of ``obsm`` by which cells are alike; by default ``X_pca``, ``X_lsi`` or ``X_clr``, whichever is
        there.
    within
        Columns of ``obs`` (batch, condition, cell type, ...) whose values are never mixed in one metacell.
    layer
        Layers to keep beside ``X``; all by default.
    method
        How cells are grouped: ``"kmeans"``.
    seed
        Seed of the k-means.

    Returns
    -------
    AnnData
        Metacells x features. ``X`` and layers: sums where all values are whole numbers and none is negative
        (counts, covered and methylated reads), else means; NaN is left out of both, and stays where all are.
        ``obsm``: means. ``obs``: ``n_cells``; each column of `within`; of other columns of categories the
        commonest value, of numbers the mean. ``var``, ``varm`` and the setup record are kept.
        ``uns["metacells"]`` holds the metacell of each cell (``cells``), the sizes, and the mean share of the
        commonest value of each column of categories (``purity``).

    Raises
    ------
    InputError
        If the representation or a column is not there, a column of `within` lacks values, or the
        representation is not finite.
    OptionError
        If `n` is not positive, smaller than the number of combinations that must not be mixed, or a method is
        not known.

    Examples
    --------
    >>> from omicsglue.datasets import simulate
    >>> from omicsglue.pp import metacells, pca
    >>> rna = simulate(200, genes=100, peaks=200, seed=0).rna
    >>> _ = pca(rna, 10)
    >>> few = metacells(rna, 20, within="cell_type")
    >>> few.shape
    (20, 100)
    >>> bool(few.X.sum() == rna.X.sum())
    True
    """
    if method not in METHODS:
        raise OptionError(
            f"there is no method {method!r}", where="method", remedy=f"choose one of: {listed(METHODS)}"
        )
    x = _representation(adata, representation)
    columns = [within] if isinstance(within, str) else list(within)
    strata = _strata(adata, columns)
    wanted = _number(n, strata, columns)
    code = grouped_cells(x, strata, wanted, seed=seed)
    return _summed(adata, code, columns, _layers(adata, layer), seed)


def sizes_of(grouped: AnnData) -> tuple[int, float, int]:
    """Return the least, median and largest number of cells of the metacells that :func:`metacells` made."""
    sizes = grouped.obs[METACELL_SIZE].to_numpy()
    return int(sizes.min()), float(np.median(sizes)), int(sizes.max())


def _representation(adata: AnnData, key: str | None) -> npt.NDArray[np.float32]:
    if key is None:
        found = [each for each in (PCA, LSI, CLR) if each in adata.obsm]
        if not found:
            raise InputError(
                f"there is no representation by which cells could be grouped ({listed((PCA, LSI, CLR))})",
                where="adata.obsm",
                remedy="compute one with pp.pca, pp.lsi or pp.clr, or name another with representation=",
            )
        key = found[0]
    check_key(adata, "obsm", key)
    x = np.asarray(adata.obsm[key], dtype=np.float32)
    if not len(x):
        raise InputError(
            "there are no cells", where="adata", remedy="check the step that filtered these data"
        )
    bad = np.flatnonzero(~np.isfinite(x).all(axis=1))
    if len(bad):
        raise InputError(
            f"{len(bad):,} cells hold values that are not finite: {examples(adata.obs_names[bad])}",
            where=f"adata.obsm[{key!r}]",
            remedy="compute the representation again, or leave these cells out",
        )
    return x


def _strata(adata: AnnData, columns: Sequence[str]) -> Codes:
    """Return a code for each combination of values that must not be mixed."""
    codes = [np.zeros(adata.n_obs, dtype=np.int64)]
    for column in columns:
        check_key(adata, "obs", column)
        found = pd.factorize(adata.obs[column], sort=True)[0].astype(np.int64)
        missing = np.flatnonzero(found < 0)
        if len(missing):
            raise InputError(
                f"{len(missing):,} of {adata.n_obs:,} cells have no value: "
                f"{examples(adata.obs_names[missing])}",
                where=f"adata.obs[{column!r}]",
                remedy="fill in the column, or leave these cells or the column out",
            )
        codes.append(found)
    return strata_of(codes)


def _number(n: int | None, strata: Codes, columns: Sequence[str]) -> int:
    kinds = int(strata.max()) + 1
    if n is None:
        return max(round(len(strata) / PER_METACELL), kinds)
    if isinstance(n, bool) or n != int(n) or n < 1:
        raise OptionError(f"n is {n!r}", where="n", remedy="give a whole number of metacells, 1 or more")
    if n < kinds:
        raise OptionError(
            f"{n:,} metacells cannot keep apart {kinds:,} combinations of {', '.join(columns)}",
            where="n",
            remedy=f"give {kinds:,} or more, usually one for every {PER_METACELL} cells, or keep fewer "
            "columns apart",
        )
    return int(n)


def _layers(adata: AnnData, layer: Layers) -> list[str]:
    if layer is None:
        return list(adata.layers)
    return [check_key(adata, "layers", each) for each in ([layer] if isinstance(layer, str) else layer)]


def _summed(adata: AnnData, code: Codes, within: Sequence[str], layers: Sequence[str], seed: int) -> AnnData:
    from anndata import AnnData

    groups = int(code.max()) + 1
    names = pd.Index([f"metacell{number}" for number in range(groups)])
    member = pd.Categorical.from_codes(code, categories=names)
    obs, purity = _table(adata.obs.drop(columns=METACELL, errors="ignore"), code, within)
    obs.index = names
    found = AnnData(
        X=_matrix(adata, None, code, groups) if adata.X is not None else None,
        obs=obs,
        var=adata.var.copy(),
        layers={name: _matrix(adata, name, code, groups) for name in layers},
        obsm={key: _means(value, code, groups) for key, value in adata.obsm.items() if _is_numeric(value)},
        varm={key: value.copy() for key, value in adata.varm.items()},
    )
    if SETUP in adata.uns:
        found.uns[SETUP] = adata.uns[SETUP]
    sizes = sizes_of(found)
    found.uns["metacells"] = {
        "cells": pd.DataFrame({METACELL: member}, index=adata.obs_names.copy()),
        "sizes": dict(zip(("min", "median", "max"), sizes, strict=True)),
        "purity": purity,
        "within": list(within),
        "seed": seed,
    }
    adata.obs[METACELL] = member
    return found


def _matrix(adata: AnnData, layer: str | None, code: Codes, groups: int) -> Any:
    """Return sums of counts or means of other values, dense where the matrix is."""
    matrix = matrix_of(adata, layer)
    survey = survey_matrix(matrix)
    total = RowSum(groups, adata.n_vars)
    missing = RowSum(groups, adata.n_vars)
    dense = False
    for start, block in iter_row_blocks(matrix):
        dense = not sp.issparse(block)
        group = code[start : start + block.shape[0]]
        rows = sp.csr_matrix(block, dtype=np.float64)
        if survey.nan.count:
            gaps = rows.copy()
            gaps.data = np.isnan(rows.data).astype(np.float64)
            gaps.eliminate_zeros()
            missing.add(gaps, group)
            rows.data = np.nan_to_num(rows.data, nan=0.0, posinf=np.inf, neginf=-np.inf)
        total.add(rows, group)
    known, absent = total.total(), missing.total()
    found = known if survey.of_measured().is_counts else _averaged(known, absent, code, groups)
    if absent.nnz:
        found = _with_gaps(found, absent, code, groups)
    single = not survey.of_measured().is_counts or np.nanmax(found.data, initial=0) <= _EXACT
    found = sp.csr_matrix(found, dtype=np.float32 if single else np.float64)
    return found.toarray() if dense else found


def _averaged(total: sp.csr_matrix, absent: sp.csr_matrix, code: Codes, groups: int) -> sp.csr_matrix:
    sizes = np.bincount(code, minlength=groups).astype(np.float64)
    if not absent.nnz:
        return sp.csr_matrix(sp.diags(1 / sizes) @ total)
    entries = total.tocoo()
    held = sizes[entries.row] - np.asarray(absent[entries.row, entries.col]).ravel()
    return sp.csr_matrix((entries.data / np.maximum(held, 1), (entries.row, entries.col)), total.shape)


def _with_gaps(found: sp.csr_matrix, absent: sp.csr_matrix, code: Codes, groups: int) -> sp.csr_matrix:
    """Return values with NaN where no cell of a metacell was measured."""
    gaps = absent.tocoo()
    all_missing = gaps.data == np.bincount(code, minlength=groups)[gaps.row]
    place = gaps.row[all_missing], gaps.col[all_missing]
    return sp.csr_matrix(found + sp.csr_matrix((np.full(len(place[0]), np.nan), place), found.shape))


def _is_numeric(value: Any) -> bool:
    """Return whether a value is a dense table of numbers, in memory or on disk."""
    dtype = getattr(value, "dtype", None)
    if dtype is None or sp.issparse(value) or getattr(value, "ndim", len(value.shape)) != 2:
        return False
    return np.dtype(dtype).kind in "biuf"


def _means(value: npt.NDArray[Any], code: Codes, groups: int) -> npt.NDArray[np.float32]:
    return group_means(lambda rows: value[rows], code, groups, block=BLOCK).astype(np.float32)


def _table(obs: pd.DataFrame, code: Codes, within: Sequence[str]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return the table of the metacells, and how pure they are of each column of categories."""
    table = pd.DataFrame({METACELL_SIZE: np.bincount(code)})
    purity = {}
    for name in [*within, *(column for column in obs if column not in (*within, METACELL_SIZE))]:
        column = obs[name]
        if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
            if name in within:
                table[name] = column.groupby(code).first()
            else:
                table[name] = column.astype(float).groupby(code).mean()
            continue
        kinds = pd.Categorical(column)
        if len(kinds.categories) > max(_MANY * len(column), 2):
            continue
        best, share = _commonest(kinds.codes.astype(np.int64), code, len(table))
        table[name] = pd.Categorical.from_codes(best, categories=kinds.categories, ordered=kinds.ordered)
        if name not in within:
            purity[str(name)] = share
    return table, purity


def _commonest(kind: Codes, code: Codes, groups: int) -> tuple[Codes, float]:
    """Return the commonest kind of each group, -1 where none is known, and its mean share of the known."""
    known = kind >= 0
    counts = np.zeros((groups, int(kind.max(initial=0)) + 1))
    np.add.at(counts, (code[known], kind[known]), 1)
    total = counts.sum(axis=1)
    share = np.divide(counts.max(axis=1), total, out=np.zeros(groups), where=total > 0)
    best = np.where(total > 0, counts.argmax(axis=1), -1)
    return best, float(share[total > 0].mean()) if (total > 0).any() else float("nan")
