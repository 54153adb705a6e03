"""Pairs of genomic intervals that overlap or lie near each other; the only module that uses bioframe.

All intervals are 0-based and half-open, as in BED files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.keys import CHROM, END, START

if TYPE_CHECKING:
    from collections.abc import Hashable


class IntervalPairs(NamedTuple):
    """Pairs of rows of two interval tables, ordered by left row, then by right row.

    Attributes
    ----------
    left, right
        Row positions in the two tables, int64, shape (pairs,).
    distance
        Bases between the two intervals, int64, shape (pairs,); 0 where they overlap or touch.
    overlapping
        Whether they share at least one base, bool, shape (pairs,).
    """

    left: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    distance: npt.NDArray[np.int64]
    overlapping: npt.NDArray[np.bool_]


def has_coordinates(table: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Tell which rows of an interval table have usable coordinates.

    Parameters
    ----------
    table
        Columns `chrom`, `start`, `end`.

    Returns
    -------
    numpy.ndarray
        bool, shape (rows,): `chrom` present and 0 <= `start` < `end`.
    """
    start, end = table[START].to_numpy(), table[END].to_numpy()
    return np.asarray(table[CHROM].notna().to_numpy() & (start >= 0) & (end > start), dtype=np.bool_)


def window_pairs(left: pd.DataFrame, right: pd.DataFrame, window: int = 0) -> IntervalPairs:
    """Find all pairs in which the right interval overlaps the left one widened by `window`.

    Rows without coordinates (missing `chrom`, negative `start`, or `end` not after `start`) take part in
    no pair.

    Parameters
    ----------
    left, right
        Interval tables with columns `chrom`, `start`, `end` (0-based, half-open). Chromosomes are
        compared as they are spelled.
    window
        Bases added to both ends of each left interval. With 0 only overlaps count; otherwise pairs with
        fewer than `window` bases between them count too.

    Returns
    -------
    IntervalPairs
        Row positions, distances and whether the intervals themselves overlap.

    Examples
    --------
    >>> genes = pd.DataFrame({"chrom": ["chr1"], "start": [100], "end": [200]})
    >>> peaks = pd.DataFrame({"chrom": ["chr1", "chr1"], "start": [150, 250], "end": [160, 260]})
    >>> window_pairs(genes, peaks).right.tolist()
    [0]
    >>> window_pairs(genes, peaks, window=100).distance.tolist()
    [0, 50]
    """
    left_rows, right_rows = np.flatnonzero(has_coordinates(left)), np.flatnonzero(has_coordinates(right))
    first, second = _overlapping_rows(left.iloc[left_rows], right.iloc[right_rows], window)
    i, j = left_rows[first], right_rows[second]
    order = np.lexsort((j, i))
    i, j = i[order], j[order]
    gap = _gap(left, right, i, j)
    return IntervalPairs(i, j, np.maximum(gap, 0), gap < 0)


def nearest_distance(
    points: npt.NDArray[np.int64],
    point_chrom: npt.NDArray[np.int64],
    targets: npt.NDArray[np.int64],
    target_chrom: npt.NDArray[np.int64],
) -> npt.NDArray[np.int64]:
    """Distance of each point to the nearest target on the same chromosome.

    Parameters
    ----------
    points, targets
        Positions in bases, int64, non-negative and below 2**40.
    point_chrom, target_chrom
        Chromosomes as integer codes of one coding.

    Returns
    -------
    numpy.ndarray
        int64, shape (points,); 2**40 where the chromosome has no target.
    """
    far = np.int64(1) << 40
    beyond = np.array([np.int64(1) << 62])
    # Each chromosome takes a stretch of one long line, so far apart that neighbours never meet.
    line = np.concatenate([-beyond, np.sort(targets + 4 * far * target_chrom), beyond])
    at = points + 4 * far * point_chrom
    right = np.searchsorted(line, at)
    gap = np.minimum(line[right] - at, at - line[right - 1])
    return np.asarray(np.minimum(gap, far), dtype=np.int64)


def _overlapping_rows(
    left: pd.DataFrame, right: pd.DataFrame, window: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    nothing = np.empty(0, dtype=np.int64)
    if left.empty or right.empty:
        return nothing, nothing
    import bioframe

    def plain(table: pd.DataFrame, widen: int) -> pd.DataFrame:
        columns: dict[Hashable, object] = {
            "chrom": table[CHROM].astype(str).to_numpy(dtype=object),
            "start": table[START].to_numpy(dtype=np.int64) - widen,
            "end": table[END].to_numpy(dtype=np.int64) + widen,
        }
        return pd.DataFrame(columns)

    pairs = bioframe.overlap(
        plain(left, window), plain(right, 0), how="inner", return_index=True, return_input=False
    )
    return pairs["index"].to_numpy(dtype=np.int64), pairs["index_"].to_numpy(dtype=np.int64)


def _gap(
    left: pd.DataFrame, right: pd.DataFrame, i: npt.NDArray[np.int64], j: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    left_start, left_end = (left[column].to_numpy(dtype=np.int64)[i] for column in (START, END))
    right_start, right_end = (right[column].to_numpy(dtype=np.int64)[j] for column in (START, END))
    return np.asarray(np.maximum(right_start - left_end, left_start - right_end), dtype=np.int64)
