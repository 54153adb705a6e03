"""Picture of how active links are in each cell type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd

from omicsglue.errors import InputError, OptionError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_NAMED: Final = 65  # rows that can bear names


def link_activity(activity: pd.DataFrame, *, most: int = 60, title: str | None = None) -> Figure:
    """Draw a heat map of the activity of links in cell types.

    Links stand below the cell type in which they are most active, the most active first.

    Parameters
    ----------
    activity
        Links x cell types; the index names links, as text or as pairs of gene and element.
    most
        Links drawn: those whose activity differs most between cell types.
    title
        Above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown. White is no activity; where some is below 0, blue is above and red below.

    Raises
    ------
    InputError
        There is no link with numbers.
    OptionError
        `most` is below 1.
    """
    from matplotlib.figure import Figure

    if most < 1:
        raise OptionError(f"{most} links", where="most", remedy="give 1 or more")
    numbers = activity.select_dtypes("number").dropna(how="all")
    if numbers.empty:
        raise InputError(
            "there is no link with numbers", where="activity", remedy="give a table of links x cell types"
        )
    shown = ordered(numbers, most)
    rows, columns = shown.shape
    height = min(max(1.6, 0.16 * rows), 10.0)
    figure = Figure(figsize=(3.2 + 0.42 * columns, height + 1.3), dpi=150, layout="constrained")
    axes = figure.subplots()
    values = shown.to_numpy(dtype=float)
    top = float(np.nanmax(np.abs(values))) or 1.0
    signed = bool(np.nanmin(values) < 0)
    image = axes.imshow(
        np.ma.masked_invalid(values),
        cmap="RdBu" if signed else "Blues",
        vmin=-top if signed else 0.0,
        vmax=top,
        aspect="auto",
        interpolation="nearest",
    )
    axes.set_xticks(range(columns), labels=[str(name) for name in shown.columns])
    axes.tick_params(axis="x", labelsize=8.5, length=0, labelrotation=40)
    for label in axes.get_xticklabels():
        label.set(ha="right", rotation_mode="anchor")
    names = [" – ".join(map(str, name)) if isinstance(name, tuple) else str(name) for name in shown.index]
    axes.set_yticks(range(rows) if rows <= _NAMED else [], labels=names if rows <= _NAMED else [])
    axes.tick_params(axis="y", labelsize=6.5, length=0)
    axes.spines[:].set_visible(False)
    if rows < len(numbers):
        axes.set_ylabel(f"{rows:,} of {len(numbers):,} links", fontsize=9)
    bar = figure.colorbar(image, ax=axes, shrink=min(1.0, 2.2 / height), pad=0.02, aspect=15)
    bar.ax.tick_params(labelsize=8)
    bar.set_label("activity", fontsize=9)
    if title:
        axes.set_title(title, fontsize=11, loc="left")
    return figure


def ordered(activity: pd.DataFrame, most: int) -> pd.DataFrame:
    """Return the links that differ most between cell types, by the type in which they are most active.

    Parameters
    ----------
    activity
        Links x cell types, numbers.
    most
        Rows kept: those with the greatest variance.

    Returns
    -------
    pandas.DataFrame
        Rows of `activity`, those of the first column's links first, each block by falling activity.
    """
    values = activity.to_numpy(dtype=float)
    filled = np.nan_to_num(values, nan=-np.inf)
    kept = np.sort(np.argsort(-np.nanvar(values, axis=1), kind="stable")[:most])
    best = filled[kept].argmax(axis=1)
    order = np.lexsort((-filled[kept, best], best))
    return activity.iloc[kept[order]]
