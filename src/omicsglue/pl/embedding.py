"""Pictures of the joint embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from anndata import AnnData

from omicsglue import keys
from omicsglue.errors import InputError
from omicsglue.pl.cells import MODALITY, gather, umap_coordinates
from omicsglue.pl.scatter import Group, scatter
from omicsglue.runs.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def umap(
    data: RunFolder | Mapping[str, AnnData],
    color: str | Sequence[str] = MODALITY,
    *,
    key: str = keys.EMBEDDING,
    coordinates: npt.NDArray[np.floating] | None = None,
    max_cells: int | None = None,
    neighbours: int = 15,
    min_distance: float = 0.3,
    columns: int = 2,
    seed: int = 0,
) -> Figure:
    """Draw the cells of all modalities in one UMAP, one panel for each colouring.

    Parameters
    ----------
    data
        A run, or AnnData of each modality by name.
    color
        ``"modality"`` or columns of obs. Text is drawn in groups, numbers on a scale.
    key
        Name of the embedding in obsm.
    coordinates
        A layout computed before, ``(n_cells, 2)``, modalities one below the other; computed where not given.
    max_cells
        Draw so many cells at random, from every modality in proportion.
    neighbours, min_distance
        Of UMAP.
    columns
        Panels side by side.
    seed
        Of the drawing of cells, of the layout and of the order in which points are drawn.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown; points are rasterised, so that a vector file stays small.

    Raises
    ------
    InputError
        If an embedding or a column is missing, or coordinates do not fit.
    """
    from matplotlib.figure import Figure

    cells = gather(data, key=key, max_cells=max_cells, seed=seed)
    wanted = [color] if isinstance(color, str) else list(color)
    series = [cells.column(each) for each in wanted]
    if coordinates is None:
        coordinates = umap_coordinates(
            cells.embedding, neighbours=neighbours, min_distance=min_distance, seed=seed
        )
    elif np.shape(coordinates) != (len(cells), 2):
        raise InputError(
            f"the shape is {np.shape(coordinates)}, there are {len(cells):,} cells",
            where="coordinates",
            remedy="give two numbers a cell, the modalities one below the other in their order",
        )
    columns = min(columns, len(wanted))
    rows = ceil(len(wanted) / columns)
    figure = Figure(figsize=(6.4 * columns, 4.8 * rows), dpi=150, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, name, values in zip(panels, wanted, series, strict=False):
        legend(axes, scatter(axes, np.asarray(coordinates), values, seed=seed))
        axes.set_title(name)
        axes.set_aspect("equal", adjustable="datalim")
    for axes in panels[len(wanted) :]:
        axes.set_axis_off()
    return figure


def legend(axes: Axes, groups: Sequence[Group]) -> None:
    """Draw a legend beside a panel, in two columns where there are many groups."""
    from matplotlib.lines import Line2D

    if not groups:
        return
    handles = [Line2D([], [], marker="o", linestyle="", markersize=6, color=group.colour) for group in groups]
    labels = [group.name if group.number is None else f"{group.number}  {group.name}" for group in groups]
    axes.legend(
        handles,
        labels,
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        ncols=1 if len(groups) <= 16 else 2,
        frameon=False,
        fontsize=8,
        handletextpad=0.2,
        columnspacing=0.8,
    )
