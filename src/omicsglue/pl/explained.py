"""Picture of how much of expression other layers explain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from omicsglue.pl.palette import COLOURS, MISSING
from omicsglue.tl.explained import ExpressionExplained

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOWEST: Final = -0.5  # R2 drawn; a gene that misleads further lies at the edge


def explained(found: ExpressionExplained, *, title: str | None = None) -> Figure:
    """Draw the cross-validated R2 of genes for each layer and combination, beside permuted metacells.

    Parameters
    ----------
    found
        What :func:`omicsglue.tl.expression_explained` returned.
    title
        Above the picture.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown. Left halves are the genes, right halves the same genes with metacells permuted; lines in
        between are means, and the number above is the mean of the genes. Diamonds are the mean where each
        gene gets the layers of another gene: what cell types alone explain. R2 below -0.5 is drawn at -0.5.
    """
    from matplotlib.figure import Figure

    table, summary = found.genes, found.summary
    names = list(table.columns)
    figure = Figure(figsize=(1.6 + 1.15 * len(names), 4.2), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.axhline(0, color="#999999", linewidth=0.8, linestyle="--")
    for at, name in enumerate(names):
        for values, side, colour in (
            (table[name], -1, COLOURS[at % len(COLOURS)]),
            (found.baseline[name], 1, MISSING),
        ):
            known = values.dropna().clip(lower=_LOWEST).to_numpy()
            if len(np.unique(known)) > 1:  # else there is no density to draw
                _half(axes, known, at, side, colour)
        for value, side in ((summary["mean_r2"], -1), (summary["permuted_mean"], 1)):
            axes.hlines(value[name], at, at + 0.4 * side, color="#222222", linewidth=1.5)
        axes.annotate(
            f"{summary['mean_r2'][name]:.2f}",
            (at, 1.02),
            ha="center",
            va="bottom",
            fontsize=8.5,
        )
    axes.plot(
        range(len(names)),
        summary["other_gene_mean"][names],
        linewidth=0,
        marker="D",
        markersize=4,
        color="#222222",
        label="layers of another gene",
    )
    axes.set_ylim(_LOWEST, 1.1)
    axes.set_xlim(-0.6, len(names) - 0.4)
    axes.set_xticks(range(len(names)), labels=[name.replace(" + ", "\n+ ") for name in names], fontsize=8.5)
    axes.set_ylabel("cross-validated R²", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.fill_between([], [], color=MISSING, label="permuted metacells")
    axes.legend(fontsize=8, frameon=False, loc="lower left", ncols=2)
    if title:
        axes.set_title(title, fontsize=11, loc="left", pad=16)
    return figure


def _half(axes: object, values: np.ndarray, at: int, side: int, colour: str) -> None:
    """Draw one half of a violin."""
    drawn = axes.violinplot(values, [at], widths=0.8, showextrema=False)  # type: ignore[attr-defined]  # Axes
    (body,) = drawn["bodies"]
    body.set(facecolor=colour, alpha=0.75, edgecolor="none")
    vertices = body.get_paths()[0].vertices
    low, high = (at - 1.0, at) if side < 0 else (at, at + 1.0)
    vertices[:, 0] = np.clip(vertices[:, 0], low, high)
