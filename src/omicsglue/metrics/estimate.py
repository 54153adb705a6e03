"""Scores of very many cells from some of them, each with its standard error."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Self

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]
REPEATS: Final = 4  # draws of scores whose cells are looked at among themselves


class Estimate(float):
    """A score that rests on some of the cells, or on neighbours that were not searched exhaustively.

    It is a float in every other way.

    Parameters
    ----------
    value
        The score.
    how
        What it rests on, in words.
    standard_error
        Of the drawing of cells; ``None`` where no cells were drawn.
    """

    how: str
    standard_error: float | None

    def __new__(cls, value: float, how: str, standard_error: float | None = None) -> Self:
        """Return the estimate."""
        made = super().__new__(cls, value)
        made.how, made.standard_error = how, standard_error
        return made


def drawn_rows(cells: int, most: int | None, seed: int | Sequence[int]) -> Rows | None:
    """Draw rows at random, sorted; ``None`` where all are to be taken.

    Parameters
    ----------
    cells
        Number of cells.
    most
        Cells to draw if there are more; ``None`` takes all.
    seed
        Of the drawing.
    """
    if most is None or cells <= most:
        return None
    return np.sort(np.random.default_rng(seed).choice(cells, most, replace=False))


def repeated(score: Callable[[Sequence[int]], float], seed: int, how: str) -> Estimate:
    """Return the mean of a score over four draws of cells, with an error that tells how they differ.

    Where cells are looked at among themselves, each draw changes both the cells and what they are compared
    with, which the spread between the cells of one draw would not show.

    Parameters
    ----------
    score
        Returns the score of a draw, given its seed.
    seed
        Of all draws.
    how
        What one draw is, in words.
    """
    found = np.array([score([seed, number]) for number in range(REPEATS)])
    return Estimate(float(found.mean()), f"{REPEATS} draws of {how}", mean_error(found))


def mean_error(*values: npt.NDArray[np.floating]) -> float:
    """Return the standard error of the mean of the means of several samples."""
    variances = [float(np.var(each, ddof=1)) / len(each) if len(each) > 1 else 0.0 for each in values]
    return float(np.sqrt(sum(variances))) / len(values)


def median_error(values: npt.NDArray[np.floating]) -> float:
    """Return the standard error of a median: half the distance of the order statistics one error away."""
    ordered, n = np.sort(values), len(values)
    low = max(int(np.floor((n - np.sqrt(n)) / 2)), 0)
    high = min(int(np.ceil((n + np.sqrt(n)) / 2)), n - 1)
    return float(ordered[high] - ordered[low]) / 2
