"""What every score asks of its arrays before it computes anything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, OptionError, examples

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Labels:
    """Labels of cells as integers.

    Parameters
    ----------
    codes
        One integer a cell, ``(n_cells,)``, int64, from 0 to ``len(names) - 1``.
    names
        The distinct labels, sorted.
    """

    codes: npt.NDArray[np.int64]
    names: tuple[str, ...]

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Number of cells of each label, ``(n_labels,)``."""
        return np.bincount(self.codes, minlength=len(self.names))

    def of(self, code: int) -> npt.NDArray[np.int64]:
        """Positions of the cells that carry one label."""
        return np.flatnonzero(self.codes == code)


def as_matrix(values: npt.ArrayLike, name: str) -> Matrix:
    """Return ``values`` as a finite float64 matrix of cells by dimensions.

    Raises
    ------
    InputError
        If it is not two-dimensional, is empty, is not numeric or holds values that are not finite.
    """
    try:
        matrix = np.ascontiguousarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"it cannot be read as an array of numbers ({error})",
            where=name,
            remedy="give a dense array of cells by dimensions, such as adata.obsm['X_glue']",
        ) from error
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise InputError(
            f"it has the shape {matrix.shape}",
            where=name,
            remedy="give an array of cells by dimensions with at least one of each",
        )
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if bad.size:
        raise InputError(
            f"{bad.size:,} cells hold values that are not finite (rows {examples(bad.tolist())})",
            where=name,
            remedy="leave these cells out, or find out why their embedding is NaN or infinite",
        )
    return matrix


def as_labels(values: npt.ArrayLike | pd.Series[Any], cells: int, name: str, *, at_least: int = 1) -> Labels:
    """Return one label a cell as integers.

    Raises
    ------
    InputError
        If the number differs from the number of cells, a label is missing, or there are fewer than
        ``at_least`` distinct ones.
    """
    series = pd.Series(values).reset_index(drop=True)
    if len(series) != cells:
        raise InputError(
            f"it holds {len(series):,} labels for {cells:,} cells",
            where=name,
            remedy="give exactly one label a cell, in the order of the rows",
        )
    missing = np.flatnonzero(series.isna().to_numpy())
    if missing.size:
        raise InputError(
            f"{missing.size:,} cells have no label (rows {examples(missing.tolist())})",
            where=name,
            remedy="leave the cells without a label out of this score",
        )
    codes, names = pd.factorize(series.astype(str).to_numpy(dtype=object), sort=True)
    if len(names) < at_least:
        raise InputError(
            f"it holds {len(names)} distinct label(s) ({examples(names)}), {at_least} are needed",
            where=name,
            remedy="choose a column that tells cells apart, or leave this score out",
        )
    return Labels(codes.astype(np.int64), tuple(str(each) for each in names))


def same_rows(x: Matrix, y: Matrix, names: tuple[str, str]) -> None:
    """Raise :class:`InputError` unless both matrices have the same number of rows."""
    if len(x) != len(y):
        raise InputError(
            f"they hold {len(x):,} and {len(y):,} cells",
            where=" and ".join(names),
            remedy="give the same cells in the same order in both",
        )


def same_columns(x: Matrix, y: Matrix, names: tuple[str, str]) -> None:
    """Raise :class:`InputError` unless both matrices have the same number of columns."""
    if x.shape[1] != y.shape[1]:
        raise InputError(
            f"they have {x.shape[1]} and {y.shape[1]} dimensions",
            where=" and ".join(names),
            remedy="give embeddings that lie in one common space",
        )


def at_least_cells(x: Matrix, needed: int, name: str) -> None:
    """Raise :class:`InputError` unless there are ``needed`` cells."""
    if len(x) < needed:
        raise InputError(
            f"it holds {len(x)} cell(s), {needed} are needed",
            where=name,
            remedy="give more cells, or leave this score out",
        )


def positive(value: int, option: str) -> int:
    """Return ``value`` if it is a positive whole number, else raise :class:`OptionError`."""
    if value != int(value) or value < 1:
        raise OptionError(f"{value!r} is not a positive whole number", where=option, remedy="give 1 or more")
    return int(value)
