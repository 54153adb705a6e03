"""Picture of the targets of one transcription factor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, OptionError, examples
from omicsglue.pl.palette import COLOURS, MISSING
from omicsglue.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POSITIVE: Final = COLOURS[0]
NEGATIVE: Final = COLOURS[3]
_NODES: Final = {
    "both": (COLOURS[2], "links and promoter"),
    "links": (COLOURS[1], "links"),
    "promoter": (COLOURS[5], "promoter"),
}
_SIDE: Final = 470.0  # points, of the square in which all is drawn, roughly
_OTHER: Final = (MISSING, "not said")
_COLUMNS: Final = ("tf", "target", "weight")


def tf_network(
    edges: pd.DataFrame,
    tf: str,
    *,
    most: int = 40,
    layout: Literal["ring", "force"] = "ring",
    seed: int = 0,
) -> Figure:
    """Draw one transcription factor and its strongest targets.

    Edges are blue where the factor activates and vermilion where it represses, and the wider the greater the
    weight. The colour of a target says which ranking supports it: that of inferred links, that of promoters,
    or both. Thin grey lines are edges between the targets shown.

    Parameters
    ----------
    edges
        Table of a network: `tf`, `target`, `weight` (signed), and, if there, `sign` and `support`
        (``"links"``, ``"promoter"`` or ``"both"``).
    tf
        Name of the factor.
    most
        Targets drawn: those with the greatest absolute weight.
    layout
        ``"ring"``: around the factor, by sign and weight; ``"force"``: targets that regulate each other lie
        near each other.
    seed
        Of the layout ``"force"``.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown.

    Raises
    ------
    InputError
        The table lacks a column, or has no target of the factor.
    OptionError
        The layout is unknown, or `most` is below 1.
    """
    from matplotlib.figure import Figure

    _check(edges, tf, most, layout)
    mine, total = _strongest(edges, tf, most)
    among = edges[edges["tf"].isin(mine["target"]) & edges["target"].isin(mine["target"])]
    among = among[among["tf"] != among["target"]]
    angles = np.pi / 2 - 2 * np.pi * np.arange(len(mine)) / len(mine)
    places = (
        np.column_stack([np.cos(angles), np.sin(angles)])
        if layout == "ring"
        else _forced(tf, mine, among, seed)
    )
    figure = Figure(figsize=(7.0, 7.0), dpi=150, layout="constrained")
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_aspect("equal")
    _draw_among(axes, mine, among, places)
    _draw_edges(axes, mine, places)
    _draw_nodes(axes, tf, mine, places)
    _label(axes, mine, places, ring=layout == "ring")
    axes.set_title(_title(tf, total, len(mine), itself=_regulates_itself(edges, tf)), fontsize=11, loc="left")
    _legend(axes, mine, among=len(among) > 0)
    return figure


def _check(edges: pd.DataFrame, tf: str, most: int, layout: str) -> None:
    if layout not in ("ring", "force"):
        raise OptionError(f"{layout!r} is unknown", where="layout", remedy="use 'ring' or 'force'")
    if most < 1:
        raise OptionError(f"{most} targets", where="most", remedy="give 1 or more")
    missing = [column for column in _COLUMNS if column not in edges]
    if missing:
        raise InputError(
            f"no column {examples(missing)}; there are {listed(edges.columns)}",
            where="edges",
            remedy="give the table of edges of a TF-target network",
        )
    if not ((edges["tf"] == tf) & (edges["target"] != tf)).any():
        known = edges["tf"].unique()
        raise InputError(
            f"the network has no target of {tf!r}{did_you_mean(tf, known)}",
            where="tf",
            remedy=f"choose one of: {listed(known)}",
        )


def _strongest(edges: pd.DataFrame, tf: str, most: int) -> tuple[pd.DataFrame, int]:
    """Return a factor's strongest targets, positive first, each by weight; and how many there are in all."""
    mine = edges[(edges["tf"] == tf) & (edges["target"] != tf)]
    sign = np.sign(mine["sign"] if "sign" in mine else mine["weight"]).replace(0, 1)
    size = mine["weight"].abs()
    support = mine["support"] if "support" in mine else pd.Series("", index=mine.index)
    mine = pd.DataFrame(
        {"target": mine["target"].astype(str), "sign": sign, "size": size, "support": support}
    )
    mine = mine.sort_values("size", ascending=False, kind="stable").drop_duplicates("target")
    shown = mine.head(most).sort_values(["sign", "size"], ascending=False, kind="stable")
    return shown.reset_index(drop=True), len(mine)


def _forced(tf: str, mine: pd.DataFrame, among: pd.DataFrame, seed: int) -> npt.NDArray[np.float64]:
    """Lay targets out by attraction along edges, the factor held in the middle."""
    import networkx as nx

    graph = nx.Graph()
    graph.add_node(tf)
    graph.add_nodes_from(mine["target"])
    graph.add_edges_from((tf, target) for target in mine["target"])
    graph.add_edges_from(zip(among["tf"].astype(str), among["target"].astype(str), strict=True))
    start = nx.circular_layout(graph)
    start[tf] = np.zeros(2)
    found = nx.spring_layout(
        graph, pos=start, fixed=[tf], k=1.6 / np.sqrt(len(graph)), iterations=200, seed=seed
    )
    places = np.array([found[target] for target in mine["target"]])
    return np.asarray(places / np.linalg.norm(places, axis=1).max(), dtype=np.float64)


def _draw_among(axes: Axes, mine: pd.DataFrame, among: pd.DataFrame, places: npt.NDArray[Any]) -> None:
    from matplotlib.collections import LineCollection

    index = pd.Index(mine["target"])
    ends = (index.get_indexer(pd.Index(among[name].astype(str))) for name in ("tf", "target"))
    first, second = (places[each] for each in ends)
    lines = list(np.stack([first, second], axis=1))
    axes.add_collection(LineCollection(lines, colors=["#BBBBBB"], linewidths=0.6, alpha=0.8, zorder=0))


def _draw_edges(axes: Axes, mine: pd.DataFrame, places: npt.NDArray[Any]) -> None:
    from matplotlib.collections import LineCollection

    share = (mine["size"] / max(float(mine["size"].max()), 1e-300)).to_numpy()
    axes.add_collection(
        LineCollection(
            list(np.stack([np.zeros_like(places), places], axis=1)),
            colors=_paint(mine),
            linewidths=list(0.6 + 3.4 * share),
            alpha=0.75,
            zorder=1,
        )
    )


def _paint(mine: pd.DataFrame) -> list[str]:
    return list(np.where(mine["sign"] < 0, NEGATIVE, POSITIVE))


def _draw_nodes(axes: Axes, tf: str, mine: pd.DataFrame, places: npt.NDArray[Any]) -> None:
    fill = [_NODES.get(support, _OTHER)[0] for support in mine["support"]]
    axes.scatter(places[:, 0], places[:, 1], s=70, c=fill, edgecolors="white", linewidths=0.8, zorder=3)
    box = {"boxstyle": "round,pad=0.45", "facecolor": "#222222", "edgecolor": "white", "linewidth": 1.5}
    axes.text(
        0, 0, tf, color="white", fontsize=12, weight="bold", ha="center", va="center", bbox=box, zorder=4
    )


def _label(axes: Axes, mine: pd.DataFrame, places: npt.NDArray[Any], *, ring: bool) -> None:
    """Write the names of the targets: along the radius outside a ring, else above the nodes."""
    from matplotlib.patheffects import withStroke

    size = float(np.clip(11 - len(mine) / 16, 5, 9))
    longest = 0.68 * size * max(len(name) for name in mine["target"])
    reach = 1.08 / (1 - 2 * min(longest, 150) / _SIDE) if ring else 1.15
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    for name, (x, y) in zip(mine["target"], places, strict=True):
        if not ring:
            axes.annotate(
                name,
                (x, y),
                xytext=(0, 5),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=size,
                style="italic",
                zorder=5,
                path_effects=[withStroke(linewidth=2.5, foreground="white")],
            )
            continue
        angle = np.degrees(np.arctan2(y, x))
        left = bool(abs(angle) > 90 + 1e-6)
        axes.text(
            1.06 * x,
            1.06 * y,
            name,
            rotation=angle - 180 if left else angle,
            rotation_mode="anchor",
            ha="right" if left else "left",
            va="center",
            fontsize=size,
            style="italic",
        )


def _regulates_itself(edges: pd.DataFrame, tf: str) -> bool:
    return bool(((edges["tf"] == tf) & (edges["target"] == tf)).any())


def _title(tf: str, total: int, shown: int, *, itself: bool) -> str:
    targets = "1 target" if total == 1 else f"{total:,} targets"
    part = f", the strongest {shown} shown" if shown < total else ""
    return f"{tf}: {targets}{part}" + ("; regulates itself" if itself else "")


def _legend(axes: Axes, mine: pd.DataFrame, *, among: bool) -> None:
    from matplotlib.lines import Line2D

    lines = [
        Line2D([], [], color=colour, linewidth=2.5, label=label)
        for colour, label, here in (
            (POSITIVE, "activates", (mine["sign"] > 0).any()),
            (NEGATIVE, "represses", (mine["sign"] < 0).any()),
        )
        if here
    ]
    if among:
        lines.append(Line2D([], [], color="#BBBBBB", linewidth=1.0, label="between targets"))
    dots = [
        Line2D([], [], marker="o", linestyle="", markersize=8, color=colour, label=f"support: {label}")
        for support, (colour, label) in _NODES.items()
        if (mine["support"] == support).any()
    ]
    axes.legend(
        handles=[*lines, *dots],
        loc="upper center",
        bbox_to_anchor=(0.5, 0.0),
        ncols=3,
        frameon=False,
        fontsize=9,
    )
