"""Guidance graphs to and from networkx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsglue.errors import GraphError, examples
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.keys import DISTANCE, KIND, SIGN, SOURCE, TARGET, WEIGHT

if TYPE_CHECKING:
    import networkx as nx


def to_networkx(graph: GuidanceGraph) -> nx.MultiGraph:
    """Return the graph as an undirected multigraph of networkx.

    Parameters
    ----------
    graph
        The graph.

    Returns
    -------
    networkx.MultiGraph
        Vertices by name, edges with `weight`, `sign`, `kind` and, where there is one, `distance`.
    """
    import networkx as nx

    out = nx.MultiGraph()
    out.add_nodes_from(graph.vertices.tolist())
    columns = (graph.weight.tolist(), graph.sign.tolist(), graph.kind.tolist(), graph.distance.tolist())
    ends = graph.vertices[graph.source].tolist(), graph.vertices[graph.target].tolist()
    for source, target, weight, sign, kind, distance in zip(*ends, *columns, strict=True):
        attributes: dict[str, Any] = {WEIGHT: weight, SIGN: sign, KIND: kind}
        if not np.isnan(distance):
            attributes[DISTANCE] = distance
        out.add_edge(source, target, **attributes)
    return out


def from_networkx(graph: nx.Graph, *, where: str = "networkx graph") -> GuidanceGraph:
    """Build a guidance graph from a graph of networkx, of any of its classes.

    Self-loops are left out. Edges between one pair of vertices with one sign are made one, of the
    highest weight; that includes the two directions in which scglue stores each edge.

    Parameters
    ----------
    graph
        Edges may have `weight` (1 if not), `sign` (+1), `kind` or `type` ('edge'), and `distance` or `dist`.
    where
        What to call it in messages.

    Returns
    -------
    GuidanceGraph
        Vertices in the order of the nodes.

    Raises
    ------
    GraphError
        A weight or sign is not allowed, or a pair is linked with both signs.
    """
    rows = [
        (
            str(source),
            str(target),
            data.get(WEIGHT, 1.0),
            data.get(SIGN, 1),
            str(data.get(KIND, data.get("type", "edge"))),
            data.get(DISTANCE, data.get("dist", np.nan)),
        )
        for source, target, data in graph.edges(data=True)
        if source != target
    ]
    columns = (SOURCE, TARGET, WEIGHT, SIGN, KIND, DISTANCE)
    table = pd.DataFrame(rows, columns=pd.Index(columns))
    return GuidanceGraph.from_frame(
        _collapsed(table, where), [str(node) for node in graph.nodes], where=where
    )


def _collapsed(table: pd.DataFrame, where: str) -> pd.DataFrame:
    """Keep one edge a pair: the one of the highest weight, in its first place."""
    first, second = table[SOURCE], table[TARGET]
    swap = first > second
    low, high = first.where(~swap, second), second.where(~swap, first)
    keyed = table.assign(low=low, high=high)
    signs = keyed[["low", "high", SIGN]].drop_duplicates()
    clash = signs[signs.duplicated(["low", "high"])]
    if len(clash):
        shown = examples(f"{a} - {b}" for a, b in zip(clash["low"], clash["high"], strict=True))
        raise GraphError(
            f"pairs linked with both signs: {shown}",
            where=where,
            remedy="Decide on one sign a pair of features.",
        )
    weight = pd.to_numeric(
        keyed[WEIGHT].astype(object), errors="coerce"
    )  # what is no number is refused later
    order = np.argsort(-weight.to_numpy(dtype=np.float64), kind="stable")
    chosen = keyed.iloc[order].drop_duplicates(["low", "high"]).sort_index()
    return chosen.drop(columns=["low", "high"])
