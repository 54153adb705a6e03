"""Colours that stay apart for most eyes, on white and on dark ground."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

COLOURS: Final = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#D55E00",
    "#CC79A7",
    "#56B4E9",
    "#1FF5AD",
    "#7A5252",
    "#5C00F5",
    "#9970FF",
    "#E0D600",
    "#ADD6F5",
    "#A3B88F",
    "#C20000",
    "#C20A8F",
    "#E00ACC",
    "#66D6C2",
    "#FF3D7A",
    "#850AC2",
    "#8FD67A",
    "#857052",
    "#7A99FF",
    "#7A52F5",
    "#F57ACC",
)
"""Six colours of Okabe & Ito, then in turn the one farthest (in OKLab) from all before it.

The distance of a pair is the least of those seen with full vision, protanopia, deuteranopia and tritanopia
(simulated after Machado et al. 2009, doi 10.1109/TVCG.2009.113).
"""

MISSING: Final = "#9A9A9A"
"""Cells without a value."""


def colours(count: int) -> list[str]:
    """Return one colour for each of ``count`` categories; they repeat beyond 24.

    Examples
    --------
    >>> colours(2)
    ['#0072B2', '#E69F00']
    """
    return [COLOURS[position % len(COLOURS)] for position in range(count)]


def colour_of(categories: Sequence[str]) -> dict[str, str]:
    """Return a colour for each category, in the order given."""
    return dict(zip(categories, colours(len(categories)), strict=True))
