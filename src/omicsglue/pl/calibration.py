"""Pictures of how far p-values and scores of links are to be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, OptionError
from omicsglue.keys import DISTANCE
from omicsglue.pl.palette import COLOURS, MISSING, colour_of
from omicsglue.runs.link_table import Q_VALUE, SCORE, check_links

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = Sequence[float] | npt.NDArray[np.floating] | pd.Series
BINS: Final = (0, 1, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 150_000)
"""Bounds of distances, in bases; the first bin holds elements that overlap the promoter."""
_POINTS: Final = 2000  # drawn of a curve
_HIGHEST: Final = 2.5  # observed −log10 p drawn, in multiples of the greatest expected


def calibration(
    p_values: Values | Mapping[str, Values], *, bins: int = 20, title: str | None = None
) -> Figure:
    """Compare p-values with the uniform distribution that they have where there is nothing to find.

    On the left their histogram, on the right the smallest against what is expected of as many uniform
    numbers, with the band in which 95 % of independent uniform numbers lie, point by point. The legend gives
    the distance of Kolmogorov and Smirnov: the greatest difference of the two distributions. p-values far
    smaller than so many uniform numbers give are drawn at the upper edge.

    Parameters
    ----------
    p_values
        Numbers in [0, 1], shape (pairs,), or several such by name. Missing ones are left out.
    bins
        Of the histogram.
    title
        Above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown.

    Raises
    ------
    InputError
        There is no p-value, or one lies outside [0, 1].
    OptionError
        There is less than one bin.
    """
    from matplotlib.figure import Figure

    if bins < 1:
        raise OptionError(f"{bins} bins", where="bins", remedy="give 1 or more")
    named = p_values if isinstance(p_values, Mapping) else {"p-values": p_values}
    found = {str(name): _checked(values, str(name)) for name, values in named.items()}
    if not found:
        raise InputError("there are none", where="p_values", remedy="give p-values, or several by name")
    figure = Figure(figsize=(8.6, 3.8), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.axhline(1, color=MISSING, linewidth=1, linestyle="--")
    largest = max(map(len, found.values()))
    _draw_band(right, largest)
    for (name, values), colour in zip(found.items(), colour_of(list(found)).values(), strict=True):
        label = f"{name}: KS distance {ks_distance(values):.3f}"
        share = np.full(len(values), bins / len(values))
        edges = list(np.linspace(0, 1, bins + 1))
        if len(found) == 1:
            left.hist(values, edges, weights=share, color=colour, alpha=0.75, edgecolor="white")
        else:
            left.hist(values, edges, weights=share, color=colour, histtype="step", linewidth=1.5)
        expected, observed = _quantiles(values)
        observed = np.minimum(observed, _HIGHEST * np.log10(2 * largest))
        right.plot(expected, observed, color=colour, linewidth=0, marker="o", markersize=3, label=label)
    left.set_xlim(0, 1)
    _finish(left, "p-value", "density (uniform: 1)")
    _finish(right, "expected −log₁₀ p", "observed −log₁₀ p")
    right.set_xlim(left=0)
    right.set_ylim(bottom=0)
    right.legend(fontsize=8.5, frameon=False, loc="upper left", handletextpad=0.3)
    if title:
        figure.suptitle(title, fontsize=11)
    return figure


def ks_distance(p_values: Values) -> float:
    """Return the greatest difference between the distribution of p-values and the uniform one.

    Parameters
    ----------
    p_values
        Numbers in [0, 1], shape (pairs,); missing ones are left out.

    Returns
    -------
    float
        0 where they are uniform, near 1 where all are alike.

    Raises
    ------
    InputError
        There is no p-value, or one lies outside [0, 1].

    Notes
    -----
    Source: the one-sample statistic of Kolmogorov and Smirnov.
    """
    values = _checked(p_values, "p_values")
    rank = np.arange(len(values) + 1) / len(values)
    return float(max(np.max(rank[1:] - values), np.max(values - rank[:-1])))


def link_distance(links: pd.DataFrame, *, q_value: float = 0.1, bins: Sequence[int] = BINS) -> Figure:
    """Draw by distance how many candidate pairs are links, and how high pairs score.

    Parameters
    ----------
    links
        Table of links.
    q_value
        Pairs below it count as links.
    bins
        Bounds of the distances in bases, rising; each bin holds its lower bound, and the last its upper too.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown. Lines on the bars are 95 % intervals of the share (Wilson); the numbers are those of pairs.

    Raises
    ------
    InputError
        A column is missing, or no pair lies within the bounds.
    OptionError
        The bounds do not rise.
    """
    from matplotlib.figure import Figure

    table = by_distance(links, q_value=q_value, bins=bins)
    figure = Figure(figsize=(8.6, 3.6), dpi=150, layout="constrained")
    left, right = figure.subplots(1, 2)
    at = np.arange(len(table))
    left.bar(at, table["share"], color=COLOURS[0], alpha=0.8, width=0.8)
    spread = [table["share"] - table["low"], table["high"] - table["share"]]
    left.errorbar(at, table["share"], yerr=np.clip(spread, 0, None), fmt="none", color="#333333", linewidth=1)
    for position, (high, pairs) in enumerate(zip(table["high"], table["pairs"], strict=True)):
        if pairs:
            left.annotate(
                f"{pairs:,}",
                (position, high),
                xytext=(0, 2),
                textcoords="offset points",
                ha="center",
                fontsize=7,
                color="#555555",
            )
    left.set_ylim(0, min(1.05, 1.18 * max(float(table["high"].max()), 1e-3)))
    right.plot(at, table["score"], color=COLOURS[0], marker="o", markersize=4)
    right.set_ylim(0, 1.15 * max(float(table["score"].max()), 1e-3))
    for axes in (left, right):
        axes.set_xticks(at, labels=list(table.index), rotation=35, ha="right", rotation_mode="anchor")
        axes.set_xlim(-0.6, len(table) - 0.4)
    _finish(left, "distance (kb)", f"share of pairs at q < {q_value:g}")
    _finish(right, "distance (kb)", "mean score")
    return figure


def by_distance(links: pd.DataFrame, *, q_value: float = 0.1, bins: Sequence[int] = BINS) -> pd.DataFrame:
    """Count links and average scores in bins of distance.

    Parameters
    ----------
    links, q_value, bins
        As in `link_distance`.

    Returns
    -------
    pandas.DataFrame
        One row a bin (index: its bounds in kb): `pairs`, `links`, `share`, `low`, `high` (95 % interval of
        the share after Wilson 1927), `score` (mean); NaN in bins without pairs.

    Raises
    ------
    InputError
        A column is missing, or no pair lies within the bounds.
    OptionError
        The bounds do not rise.
    """
    check_links(links, (DISTANCE, SCORE, Q_VALUE))
    bounds = np.asarray(bins, dtype=float)
    if len(bounds) < 2 or (np.diff(bounds) <= 0).any():
        raise OptionError(f"{list(bins)} do not rise", where="bins", remedy="give rising distances in bases")
    distance = links[DISTANCE].to_numpy(dtype=float)
    code = np.searchsorted(bounds, distance, side="right") - 1
    code = np.where(distance == bounds[-1], len(bounds) - 2, code)
    inside = (code >= 0) & (code < len(bounds) - 1)
    if not inside.any():
        raise InputError(
            f"no pair lies {bounds[0]:,.0f} to {bounds[-1]:,.0f} bases apart",
            where="links",
            remedy="give bins that suit the distances",
        )
    code, size = code[inside], len(bounds) - 1
    here = links[inside]
    pairs = np.bincount(code, minlength=size)
    linked = np.bincount(code, weights=here[Q_VALUE].to_numpy() < q_value, minlength=size).astype(np.int64)
    score = pd.Series(here[SCORE].to_numpy(dtype=float)).groupby(code).mean().reindex(range(size))
    share = linked / np.where(pairs > 0, pairs, np.nan)
    low, high = _wilson(share, pairs)
    return pd.DataFrame(
        {
            "pairs": pairs,
            "links": linked,
            "share": share,
            "low": low,
            "high": high,
            "score": score.to_numpy(),
        },
        index=pd.Index(_names_of_bins(bounds)),
    )


def _wilson(share: npt.NDArray[Any], pairs: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    z = 1.959964
    n = np.where(pairs > 0, pairs, np.nan)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return middle - reach, middle + reach


def _names_of_bins(bounds: npt.NDArray[np.float64]) -> list[str]:
    kb = [f"{bound / 1000:g}" for bound in bounds]
    names = [f"{low}–{high}" for low, high in pairwise(kb)]
    if bounds[0] == 0 and bounds[1] == 1:
        names[:2] = ["overlap", f"0–{kb[2]}"] if len(kb) > 2 else ["overlap"]
    return names


def _checked(p_values: Values, name: str) -> npt.NDArray[np.float64]:
    """Return p-values in rising order without the missing."""
    values = np.asarray(p_values, dtype=np.float64).ravel()
    values = values[~np.isnan(values)]
    if not len(values):
        raise InputError("there are none", where=name, remedy="give at least one p-value")
    if values.min() < 0 or values.max() > 1:
        raise InputError(
            f"they reach from {values.min():g} to {values.max():g}",
            where=name,
            remedy="give p-values, numbers from 0 to 1",
        )
    return np.sort(values)


def _quantiles(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return expected and observed −log10 p, thinned where points would lie upon each other."""
    n = len(values)
    rank = np.unique(np.geomspace(1, n, min(n, _POINTS)).astype(np.int64))
    smallest = np.maximum(values[rank - 1], np.finfo(float).tiny)
    return -np.log10((rank - 0.5) / n), -np.log10(smallest)


def _draw_band(axes: Axes, n: int) -> None:
    """Shade where the order statistics of independent uniform numbers lie: they follow beta distributions."""
    from scipy.stats import beta

    rank = np.unique(np.geomspace(1, n, 200).astype(np.int64))
    expected = -np.log10((rank - 0.5) / n)
    low, high = (-np.log10(beta.ppf(level, rank, n - rank + 1)) for level in (0.975, 0.025))
    axes.fill_between(expected, low, high, color=MISSING, alpha=0.3, linewidth=0, label="95 % of uniform")
    axes.plot([0, expected.max()], [0, expected.max()], color=MISSING, linewidth=1, linestyle="--")


def _finish(axes: Axes, x: str, y: str) -> None:
    axes.set_xlabel(x, fontsize=10)
    axes.set_ylabel(y, fontsize=10)
    axes.tick_params(labelsize=8.5)
    axes.spines[["top", "right"]].set_visible(False)
