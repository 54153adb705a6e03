"""Several guidance graphs made one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from omicsglue.errors import GraphError
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.graph.validation import pair_keys


def compose(*graphs: GuidanceGraph) -> GuidanceGraph:
    """Unite guidance graphs.

    Vertices are united in the order in which they are met. A pair that is linked in several graphs keeps the
    edge of the highest weight, with its kind and distance; the first where weights are equal.

    Parameters
    ----------
    *graphs
        One or more.

    Returns
    -------
    GuidanceGraph
        The union.

    Raises
    ------
    GraphError
        A pair is linked with both signs, or there is no graph.
    """
    if not graphs:
        raise GraphError("there is no graph to compose", where="compose", remedy="Give at least one graph.")
    names = pd.Index(pd.unique(np.concatenate([graph.vertices for graph in graphs])), dtype=object)
    places = [names.get_indexer(pd.Index(graph.vertices, dtype=object)).astype(np.int64) for graph in graphs]
    kind_names = tuple(dict.fromkeys(name for graph in graphs for name in graph.kind_names))
    recoded = [np.array([kind_names.index(name) for name in graph.kind_names]) for graph in graphs]
    pairs = list(zip(graphs, places, strict=True))
    source = np.concatenate([place[graph.source] for graph, place in pairs])
    target = np.concatenate([place[graph.target] for graph, place in pairs])
    codes = np.concatenate([code[graph.kind_codes] for graph, code in zip(graphs, recoded, strict=True)])
    weight = np.concatenate([graph.weight for graph in graphs])
    sign = np.concatenate([graph.sign for graph in graphs])
    distance = np.concatenate([graph.distance for graph in graphs])

    keys = pair_keys(source, target, len(names))
    order = np.lexsort((-weight, keys))  # stable, so the first of equals leads
    same = keys[order][1:] == keys[order][:-1]
    clash = np.flatnonzero(same & (sign[order][1:] != sign[order][:-1]))
    if len(clash):
        rows = order[clash[:5]]
        shown = ", ".join(f"{names[source[row]]} - {names[target[row]]}" for row in rows)
        raise GraphError(
            f"{len(clash):,} pair(s) linked with both signs: {shown}",
            where="compose",
            remedy="Decide on one sign a pair: leave these edges out of one of the graphs.",
        )
    keep = np.sort(order[np.concatenate([[True], ~same])[: len(order)]])
    return GuidanceGraph(
        names.to_numpy(dtype=object),
        source[keep],
        target[keep],
        weight[keep],
        sign[keep],
        codes[keep],
        kind_names,
        distance[keep],
    )
