"""Picture of a locus: genes, elements and the links between them, evidence, accessibility by cell type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from anndata import AnnData

from omicsglue.keys import END, SIGN, START, TARGET
from omicsglue.pl.gene_models import INK, bare, draw_genes, lanes_of
from omicsglue.pl.locus import Locus, accessibility_by_group, locus_of
from omicsglue.pl.palette import COLOURS, MISSING, colour_of
from omicsglue.runs.link_table import SCORE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POSITIVE: Final = COLOURS[0]
NEGATIVE: Final = COLOURS[3]
_WIDTH: Final = 9.0  # inches
_SHORTEST: Final = 0.0025  # of the view: elements are drawn at least so wide


def links(
    links: pd.DataFrame,
    gene: str | None = None,
    *,
    region: str | None = None,
    genes: pd.DataFrame | None = None,
    elements: pd.DataFrame | None = None,
    accessibility: pd.DataFrame | AnnData | None = None,
    groupby: str | None = None,
    evidence: Sequence[str] | Mapping[str, pd.DataFrame] | None = None,
    window: int | None = None,
    min_score: float = 0.1,
    q_value: float = 0.1,
) -> Figure:
    """Draw the links of a gene, or of all genes of a region, along the genome.

    From top to bottom: one arc a link, from the gene's transcription start to the element, as high as its
    score (a probability), blue where the effect is positive and vermilion where it is negative, dashed where
    it is not significant; arcs of pairs that evidence supports; genes; elements; how open the elements are
    in each cell type.

    Parameters
    ----------
    links
        Table of links, as `regulatory_links` returns it.
    gene
        Name of the gene whose links are drawn (column `source`).
    region
        Instead of a gene, a place such as ``"chr1:1,000,000-1,200,000"``: all links with both ends in it.
    genes
        Further genes to show, by name: `chrom`, `start`, `end`, `strand` (var of the RNA). Those of `links`
        are always shown.
    elements
        Elements to show, by name: `chrom`, `start`, `end` (var of the ATAC); those of `links` by default.
    accessibility
        Cell types x elements (index and columns are names), or AnnData of counts, of which the mean of
        counts in 10,000 is drawn.
    groupby
        Column of obs with the cell types, where `accessibility` is AnnData.
    evidence
        Names of the `evidence_` columns of `links`, or tables of pairs by name (`chrom1`, `start1`, `end1`,
        `chrom2`, `start2`, `end2`). By default all evidence columns that support a pair shown.
    window
        Bases shown on both sides of the gene; by default as many as its links need.
    min_score
        Links below it are not drawn.
    q_value
        Links from it on are dashed.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown.

    Raises
    ------
    InputError
        The gene has no link, the region cannot be read or is empty, or a table lacks a column.
    OptionError
        Neither or both of gene and region are given.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    locus = locus_of(
        links,
        gene,
        region,
        elements=elements,
        genes=genes,
        evidence=evidence,
        window=window,
        min_score=min_score,
        q_value=q_value,
    )
    openness = None
    if accessibility is not None:
        openness = accessibility_by_group(accessibility, groupby, list(locus.elements.index))
    lanes = lanes_of(locus)
    heights = [2.4, *(0.55 for _ in locus.evidence), 0.34 * (max(lanes, default=0) + 1) + 0.08, 0.22]
    if openness is not None:
        heights.append(0.3 * len(openness))
    layout = ConstrainedLayoutEngine(h_pad=0.02, hspace=0.0)
    figure = Figure(figsize=(_WIDTH, sum(heights) + 0.9), dpi=150, layout=layout)
    ratios = {"height_ratios": heights}
    panels = list(figure.subplots(len(heights), 1, sharex=True, gridspec_kw=ratios))
    _draw_arcs(panels[0], locus, gene, q_value)
    for axes, (name, pairs) in zip(panels[1:], locus.evidence.items(), strict=False):
        _draw_evidence(axes, name, pairs)
    below = panels[1 + len(locus.evidence) :]
    draw_genes(below[0], locus, lanes)
    _draw_elements(below[1], locus)
    if openness is not None:
        _draw_openness(below[2], locus, openness)
    _highlight(panels[1:], locus)
    _finish(panels, locus)
    return figure


def _draw_arcs(axes: Axes, locus: Locus, gene: str | None, q_value: float) -> None:
    from matplotlib.collections import LineCollection
    from matplotlib.colors import to_rgba_array
    from matplotlib.lines import Line2D

    arcs = locus.arcs
    score = arcs[SCORE].to_numpy(dtype=float)
    strong = np.clip(score, 0, 1)
    significant = arcs["significant"].to_numpy(dtype=bool)
    paint = to_rgba_array(list(_colour(arcs[SIGN])))
    paint[:, 3] = np.where(significant, 0.55 + 0.45 * strong, 0.25 + 0.45 * strong)
    axes.add_collection(
        LineCollection(
            list(_arcs(arcs["tss"].to_numpy(), arcs["middle"].to_numpy(), score)),
            colors=list(paint),
            linewidths=list(0.7 + 1.5 * strong),
            linestyles=["solid" if each else (0, (3, 2)) for each in significant],
            capstyle="round",
        )
    )
    axes.scatter(
        arcs["middle"], np.zeros(len(arcs)), s=9, color=list(paint), zorder=3, clip_on=False, linewidths=0
    )
    top = float(score.max()) if len(score) else 1.0
    axes.set_ylim(0, max(1.12 * top, 0.25))
    axes.set_ylabel("score", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    handles = [
        Line2D([], [], color=colour, linewidth=1.8, label=label)
        for colour, label, here in (
            (POSITIVE, "positive", (arcs[SIGN] > 0).any()),
            (NEGATIVE, "negative", (arcs[SIGN] < 0).any()),
        )
        if here
    ]
    if not significant.all():
        dashed = f"not significant (q ≥ {q_value:g})"
        handles.append(Line2D([], [], color=MISSING, linewidth=1.2, linestyle=(0, (3, 2)), label=dashed))
    axes.legend(
        handles=handles,
        loc="lower right",
        bbox_to_anchor=(1.0, 1.0),
        ncols=3,
        frameon=False,
        fontsize=8.5,
        borderaxespad=0.2,
    )
    number = int(significant.sum())
    said = f"{number} {'link' if number == 1 else 'links'} at q < {q_value:g}"
    axes.set_title(
        f"{gene or f'{locus.chrom}:{locus.start:,}-{locus.end:,}'} · {said}", fontsize=11, loc="left"
    )
    if not len(arcs):
        axes.text(
            0.5, 0.4, "no link above the least score", transform=axes.transAxes, ha="center", color=MISSING
        )


def _draw_evidence(axes: Axes, name: str, pairs: pd.DataFrame) -> None:
    from matplotlib.collections import LineCollection

    left, right = pairs["left"].to_numpy(), pairs["right"].to_numpy()
    curves = _arcs(left, right, np.full(len(pairs), 0.9))
    axes.add_collection(LineCollection(list(curves), colors=[INK], linewidths=0.9, alpha=0.65))
    ends = np.concatenate([left, right])
    axes.scatter(ends, np.zeros(len(ends)), s=6, color=INK, linewidths=0, clip_on=False, zorder=3)
    axes.set_ylim(0, 1)
    bare(axes, name)


def _draw_elements(axes: Axes, locus: Locus) -> None:
    left, width = _boxes(locus, locus.elements)
    linked = locus.arcs[locus.arcs["significant"]].drop_duplicates(TARGET, keep="last").set_index(TARGET)
    sign = linked[SIGN].reindex(locus.elements.index)
    paint = np.where(sign.isna(), "#A8A8A8", _colour(sign))
    _bars(axes, left, width, 0.0, np.full(len(left), 0.7), list(paint))
    axes.set_ylim(-0.15, 0.85)
    bare(axes, "elements")


def _draw_openness(axes: Axes, locus: Locus, openness: pd.DataFrame) -> None:
    """Draw one row of bars a cell type, all on one scale of square roots, so that weak elements are seen."""
    places = locus.elements.loc[openness.columns]
    left, width = _boxes(locus, places, shortest=2 * _SHORTEST)
    top = float(openness.to_numpy().max()) or 1.0
    rows = np.arange(len(openness))[::-1]
    paint = colour_of([str(name) for name in openness.index])
    for row, colour, values in zip(rows, paint.values(), openness.to_numpy(), strict=True):
        _bars(axes, left, width, row, 0.88 * np.sqrt(values / top), [colour])
    axes.hlines(rows, locus.start, locus.end, color="#D0D0D0", linewidth=0.6, zorder=0)
    axes.set_ylim(-0.05, len(openness))
    axes.set_yticks(rows + 0.4, labels=list(paint), fontsize=8)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)
    axes.annotate(
        f"accessibility, 0 to {top:.3g} (square root)",
        (1, 1),
        xycoords="axes fraction",
        ha="right",
        va="bottom",
        fontsize=7,
        color=INK,
    )


def _highlight(panels: Sequence[Axes], locus: Locus) -> None:
    """Lead the eye from the ends of significant links down through the other tracks."""
    chosen = locus.arcs[locus.arcs["significant"]].drop_duplicates(TARGET, keep="last").set_index(TARGET)
    places = locus.elements[locus.elements.index.isin(chosen.index)]
    left, width = _boxes(locus, places, shortest=2 * _SHORTEST)
    paint = _colour(chosen[SIGN].reindex(places.index))
    starts = locus.genes.loc[locus.genes["focus"], "tss"]
    for axes in panels:
        for low, wide, colour in zip(left, width, paint, strict=True):
            axes.axvspan(low, low + wide, color=colour, alpha=0.13, linewidth=0, zorder=-1)
        for tss in starts:
            axes.axvline(tss, color=INK, linewidth=0.6, linestyle=(0, (1, 2)), zorder=-1)


def _finish(panels: Sequence[Axes], locus: Locus) -> None:
    from matplotlib.ticker import MaxNLocator

    unit, bases = ("Mb", 1e6) if locus.end >= 1_000_000 else ("kb", 1e3)
    for axes in panels[:-1]:
        axes.tick_params(axis="x", length=0, labelbottom=False)
    last = panels[-1]
    last.spines["bottom"].set_visible(True)
    last.set_xlim(locus.start, locus.end)
    ticks = np.asarray(MaxNLocator(7).tick_values(locus.start, locus.end))
    ticks = ticks[(ticks >= locus.start) & (ticks <= locus.end)]
    decimals = max(len(f"{tick / bases:.10g}".partition(".")[2]) for tick in ticks)
    last.set_xticks(ticks, labels=[f"{tick / bases:,.{decimals}f}" for tick in ticks])
    last.tick_params(axis="x", labelsize=8, length=3)
    last.set_xlabel(f"{locus.chrom} ({unit})", fontsize=9)


def _arcs(
    left: npt.NDArray[Any], right: npt.NDArray[Any], height: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Return half ellipses between two places, ``(n_arcs, 61, 2)``."""
    angle = np.linspace(0, np.pi, 61)
    across = (1 - np.cos(angle)) / 2
    x = left[:, None] + (right - left)[:, None] * across
    return np.stack([x, height[:, None] * np.sin(angle)], axis=2)


def _bars(
    axes: Axes,
    left: npt.NDArray[np.float64],
    width: npt.NDArray[np.float64],
    bottom: float,
    height: npt.NDArray[np.float64],
    colours: list[str],
) -> None:
    """Draw bars as one collection: a patch for each would be slow with hundreds of elements."""
    from matplotlib.collections import PolyCollection

    x = np.stack([left, left + width, left + width, left], axis=1)
    y = bottom + np.stack([0 * height, 0 * height, height, height], axis=1)
    axes.add_collection(PolyCollection(list(np.stack([x, y], axis=2)), facecolors=colours, linewidths=0))


def _colour(sign: pd.Series[Any]) -> npt.NDArray[np.object_]:
    return np.where(sign.to_numpy(dtype=float) < 0, NEGATIVE, POSITIVE).astype(object)


def _boxes(
    locus: Locus, places: pd.DataFrame, shortest: float = _SHORTEST
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return left ends and widths of intervals, the short ones widened so that they are seen."""
    start, end = places[START].to_numpy(dtype=float), places[END].to_numpy(dtype=float)
    width = np.maximum(end - start, shortest * locus.span)
    return (start + end - width) / 2, width
