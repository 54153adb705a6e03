"""Figures as SVG that stands in a page: one drawing for light, dark and print."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from markupsafe import Markup

from omicsglue.pl.scatter import Group

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK: Final = "#010203"  # stands for the colour of the page's text
_STYLE: Final[dict[Any, str]] = {
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.labelcolor": _INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
}


@dataclass(frozen=True)
class Picture:
    """One figure of the page.

    Parameters
    ----------
    title
        Heading above it; may be empty.
    svg
        The drawing.
    caption
        What is to be seen, in words.
    legend
        Entries below the drawing.
    """

    title: str
    svg: Markup
    caption: str = ""
    legend: list[Group] = field(default_factory=list)


def draw(name: str, alt: str, make: Callable[[], Figure]) -> Markup:
    """Make a figure and return it as SVG for the page.

    Parameters
    ----------
    name
        Unique in the page; letters, digits and dashes.
    alt
        What the figure shows, for those who do not see it.
    make
        Returns the figure.
    """
    import matplotlib as mpl

    with mpl.rc_context({**_STYLE, "svg.hashsalt": name}):
        text = StringIO()
        make().savefig(
            text, format="svg", dpi=200, transparent=True, metadata={"Date": None, "Creator": None}
        )
    return _embed(text.getvalue(), name, alt)


def _embed(svg: str, name: str, alt: str) -> Markup:
    """Take the SVG out of its file: no header, names of its own, the page's colour, an alternative text."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = svg.replace(_INK, "currentColor")
    head, body = svg.split(">", 1)
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    label = Markup.escape(alt)
    return Markup(head) + Markup(' role="img" aria-label="') + label + Markup('">') + Markup(body)
