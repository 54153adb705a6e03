"""One panel of cells in two dimensions."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.pl.palette import MISSING, colour_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUMBERED_FROM: Final = 9
"""From so many categories on, groups bear a number, since colours alone no longer tell them apart."""


@dataclass(frozen=True)
class Group:
    """One entry of a legend.

    Parameters
    ----------
    name
        Of the category.
    colour
        As ``#RRGGBB``.
    cells
        How many cells belong to it.
    number
        Written on the panel at the group's centre; ``None`` where there are few groups.
    """

    name: str
    colour: str
    cells: int
    number: int | None = None


def groups_of(values: pd.Series[Any]) -> list[Group]:
    """Return the legend of a categorical column: its categories in order, the missing last."""
    counts = values.value_counts()
    known = (
        list(values.cat.categories)
        if isinstance(values.dtype, pd.CategoricalDtype)
        else sorted(counts.index, key=_natural)
    )
    names = [str(name) for name in known]
    paint = colour_of(names)
    numbered = len(names) >= NUMBERED_FROM
    groups = [
        Group(name, paint[name], int(counts[key]), position if numbered else None)
        for position, (key, name) in enumerate(zip(known, names, strict=True), start=1)
    ]
    missing = int(values.isna().sum())
    return [*groups, Group("no value", MISSING, missing)] if missing else groups


def _natural(name: object) -> list[tuple[int, int | str]]:
    """Sort key that puts "type 2" before "type 10"."""
    parts = re.split(r"(\d+)", str(name))
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts]


def is_numeric(values: pd.Series[Any]) -> bool:
    """Whether a column is drawn with a scale of colours instead of groups."""
    return pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)


def scatter(
    axes: Axes, coordinates: npt.NDArray[np.floating], values: pd.Series[Any], *, seed: int = 0
) -> list[Group]:
    """Draw cells coloured by a column, in random order so that no group hides another.

    Parameters
    ----------
    axes
        Where to draw.
    coordinates
        ``(n_cells, 2)``.
    values
        One value a cell: numbers are drawn on a scale of colours, all else in groups.
    seed
        Of the order.

    Returns
    -------
    The legend; empty for numbers.
    """
    order = np.random.default_rng(seed).permutation(len(coordinates))
    size = float(np.clip(24_000 / max(len(coordinates), 1), 1.2, 14))
    x, y = coordinates[order].T
    axes.set_axis_off()
    axes.margins(0.03)
    if is_numeric(values):
        numbers = values.to_numpy(dtype=float)
        points = axes.scatter(x, y, c=numbers[order], s=size, linewidths=0, alpha=0.8, rasterized=True)
        axes.figure.colorbar(points, ax=axes, shrink=0.6, pad=0.02)
        return []
    groups = groups_of(values)
    paint = {group.name: group.colour for group in groups}
    text = values.astype(object).map(str, na_action="ignore")
    colour = text.map(paint).fillna(MISSING).to_numpy(dtype=object)
    axes.scatter(x, y, c=list(colour[order]), s=size, linewidths=0, alpha=0.8, rasterized=True)
    if not _compact(coordinates, text):
        return [replace(group, number=None) for group in groups]
    for group in groups:
        if group.number is not None:
            _number(axes, coordinates, (text == group.name).to_numpy(), group.number)
    return groups


def _compact(coordinates: npt.NDArray[np.floating], text: pd.Series[Any]) -> bool:
    """Whether groups keep to places of their own, so that a number at their centre points to them."""
    table = pd.DataFrame(coordinates).groupby(text.to_numpy())
    apart = pd.DataFrame(coordinates) - table.transform("median")
    reach = pd.Series(np.linalg.norm(apart, axis=1)).groupby(text.to_numpy()).median().median()
    overall = np.median(np.linalg.norm(coordinates - np.median(coordinates, axis=0), axis=1))
    return bool(reach < 0.5 * overall)


def _number(
    axes: Axes, coordinates: npt.NDArray[np.floating], mine: npt.NDArray[np.bool_], number: int
) -> None:
    """Write a number at the cell nearest to the group's median, or beside it where the group is small."""
    own = coordinates[mine]
    if not len(own):
        return
    middle = np.median(own, axis=0)
    apart = np.linalg.norm(own - middle, axis=1)
    small = np.median(apart) < 0.02 * np.ptp(coordinates, axis=0).max()
    box = {
        "boxstyle": "round,pad=0.15,rounding_size=0.5",
        "facecolor": "white",
        "edgecolor": "none",
        "alpha": 0.75,
    }
    text = axes.annotate(
        str(number),
        own[apart.argmin()],
        xytext=(7, 6) if small else (0, 0),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=7,
        color="black",
        bbox=box,
    )
    text.set_in_layout(False)
