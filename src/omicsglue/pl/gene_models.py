"""Genes along the genome: bodies, arrows at their starts, names in lanes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from omicsglue.keys import END, START, STRAND
from omicsglue.pl.locus import Locus

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK: Final = "#333333"
_LINE: Final = 540.0  # points between the ends of the axis of the genome, roughly


def lanes_of(locus: Locus) -> list[int]:
    """Put genes into lanes, from the left, so that neither bodies nor names lie upon each other."""
    gap = 8 * locus.span / _LINE
    taken: list[float] = []
    lanes = []
    for name, gene in locus.genes.iterrows():
        ends = (*_clipped(gene, locus), *_label_place(str(name), gene, locus))
        lane = next((each for each, last in enumerate(taken) if last + gap < min(ends)), len(taken))
        taken[lane : lane + 1] = [max(ends)]
        lanes.append(lane)
    return lanes


def draw_genes(axes: Axes, locus: Locus, lanes: list[int]) -> None:
    """Draw bodies with an arrow at the transcription start; the names lie above, in lanes."""
    step = locus.span / _LINE
    for lane, (name, gene) in zip(lanes, locus.genes.iterrows(), strict=True):
        ink = "black" if gene["focus"] else "#8A8A8A"
        low, high = _clipped(gene, locus)
        axes.plot([low, high], [-lane, -lane], color=ink, linewidth=3.2, solid_capstyle="butt")
        if _starts_here(gene, locus):
            ahead = 1 if gene[STRAND] == "+" else -1
            corner = gene["tss"], -lane + 0.42
            axes.plot([gene["tss"]] * 2, [-lane, corner[1]], color=ink, linewidth=1.0)
            axes.annotate(
                "",
                (corner[0] + ahead * 13 * step, corner[1]),
                corner,
                arrowprops={
                    "arrowstyle": "-|>,head_width=0.18,head_length=0.32",
                    "color": ink,
                    "linewidth": 1.0,
                    "shrinkA": 0,
                    "shrinkB": 0,
                },
            )
        left, _ = _label_place(str(name), gene, locus)
        text = axes.text(left, -lane + 0.16, str(name), color=ink, fontsize=8, style="italic", va="bottom")
        text.set_fontweight("bold" if gene["focus"] else "normal")
    axes.set_ylim(-max(lanes, default=0) - 0.35, 0.85)
    bare(axes, "genes")


def bare(axes: Axes, name: str) -> None:
    """Leave of a track's frame nothing but its name on the left."""
    axes.set_yticks([])
    axes.set_ylabel(name, fontsize=9, rotation=0, ha="right", va="center")
    axes.spines[["top", "right", "left", "bottom"]].set_visible(False)


def _starts_here(gene: pd.Series[Any], locus: Locus) -> bool:
    return gene[STRAND] in ("+", "-") and locus.start <= gene["tss"] <= locus.end


def _clipped(gene: pd.Series[Any], locus: Locus) -> tuple[float, float]:
    return max(float(gene[START]), locus.start), min(float(gene[END]), locus.end)


def _label_place(name: str, gene: pd.Series[Any], locus: Locus) -> tuple[float, float]:
    """Return both ends of a gene's name, in bases: before its arrow, or behind it at the edge of the view."""
    point = locus.span / _LINE
    length = (4.9 * len(name) + 4) * point
    low, high = _clipped(gene, locus)
    before = 17 * point if _starts_here(gene, locus) else 0.0
    behind = 4 * point if before else -length
    if gene[STRAND] == "-":
        left = high - before - length
        left = left if left >= locus.start else high + behind
    else:
        left = low + before
        left = left if left + length <= locus.end else low - behind - length
    left = min(max(left, locus.start), locus.end - length)
    return left, left + length
