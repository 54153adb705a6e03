"""Pictures of distributions: lengths of edges and balancing weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue import keys
from omicsglue.errors import InputError
from omicsglue.pl.palette import colour_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def edge_distances(edges: pd.DataFrame) -> Figure:
    """Draw the distances that edges span on the genome, by kind, on a scale of powers of ten.

    Parameters
    ----------
    edges
        Table of edges with the columns ``kind`` and ``distance`` (base pairs, NaN where it means nothing).

    Raises
    ------
    InputError
        If no edge spans a distance above 0.
    """
    from matplotlib.figure import Figure

    apart = edges[edges[keys.DISTANCE].abs() > 0]
    if not len(apart):
        raise InputError("no edge spans a distance", where="edges", remedy="leave this picture out")
    figure = Figure(figsize=(5.6, 2.9), dpi=150, layout="constrained")
    axes = figure.subplots()
    distance = apart[keys.DISTANCE].abs()
    bins = np.geomspace(max(float(distance.min()), 1.0), float(distance.max()) * 1.01 + 1, 41)
    kinds = sorted(apart[keys.KIND].astype(str).unique())
    for kind, colour in colour_of(kinds).items():
        axes.hist(
            distance[apart[keys.KIND].astype(str) == kind],
            bins=list(bins),
            histtype="step",
            color=colour,
            label=kind,
        )
    axes.set_xscale("log")
    _finish(axes, "distance (base pairs)", "edges", legend=len(kinds) > 1)
    return figure


def balancing_weights(weights: Mapping[str, npt.NDArray[np.floating]]) -> Figure:
    """Draw how the balancing weights of the cells of each modality are spread; their mean is 1.

    Parameters
    ----------
    weights
        One weight a cell, by modality.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.6, 2.9), dpi=150, layout="constrained")
    axes = figure.subplots()
    top = max(float(np.max(each)) for each in weights.values())
    bins = np.linspace(0, top * 1.01 + 1e-9, 51)
    for name, colour in colour_of(list(weights)).items():
        share = np.full(len(weights[name]), 1 / len(weights[name]))
        axes.hist(weights[name], bins=list(bins), weights=share, histtype="step", color=colour, label=name)
    _finish(axes, "balancing weight", "share of cells", legend=True)
    return figure


def _finish(axes: Any, x: str, y: str, *, legend: bool) -> None:
    axes.set_xlabel(x, fontsize=10)
    axes.set_ylabel(y, fontsize=10)
    axes.tick_params(labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        axes.legend(fontsize=9, frameon=False)
