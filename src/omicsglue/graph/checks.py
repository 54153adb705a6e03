"""The guidance graph compared with the data it is to guide."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import GraphError, OmicsGlueWarning, examples
from omicsglue.graph.guidance import GuidanceGraph


@dataclass(frozen=True)
class GraphReport:
    """How a guidance graph covers the features of the data.

    Attributes
    ----------
    n_vertices, n_edges
        Size of the graph.
    n_features, n_in_graph
        For each modality, its features and those of them that are vertices.
    n_edges_between
        Edges for each pair of modalities, names sorted in the order of the data; ('rna', 'rna') counts edges
        inside one.
    isolated
        Names of vertices without edges.
    """

    n_vertices: int
    n_edges: int
    n_features: dict[str, int]
    n_in_graph: dict[str, int]
    n_edges_between: dict[tuple[str, str], int]
    isolated: tuple[str, ...]

    def __str__(self) -> str:
        """Return the report as lines for people."""
        lines = [f"{self.n_vertices:,} vertices, {self.n_edges:,} edges"]
        lines += [
            f"{name}: {self.n_in_graph[name]:,} of {total:,} features in the graph"
            for name, total in self.n_features.items()
        ]
        lines += [f"{one} - {other}: {n:,} edges" for (one, other), n in self.n_edges_between.items()]
        if self.isolated:
            lines.append(f"vertices without edges: {examples(self.isolated)}")
        return "\n".join(lines)


def check(graph: GuidanceGraph, modalities: Mapping[str, Iterable[str]]) -> GraphReport:
    """Compare a graph with the features of the data.

    Parameters
    ----------
    graph
        The guidance graph.
    modalities
        Names of the features of each modality. Edges inside one modality are allowed.

    Returns
    -------
    GraphReport
        Counts; features outside the graph and vertices without edges are allowed.

    Raises
    ------
    GraphError
        A name is in two modalities or twice in one, the graph names features that no modality has, or it
        has no edge.

    Warns
    -----
    OmicsGlueWarning
        Vertices are without edges, or a modality has no edge to any other.
    """
    features = {name: pd.Index([str(f) for f in names], dtype=object) for name, names in modalities.items()}
    owner = _owners(graph, features)
    if graph.n_edges == 0:
        raise GraphError(
            "the graph has no edge, so nothing links the modalities",
            where="graph",
            remedy="Check that features have coordinates on the same genome, or widen the window.",
        )
    titles = list(features)
    between = _count_between(graph, owner, titles)
    isolated = tuple(graph.isolated)
    if isolated:
        warnings.warn(
            f"{len(isolated):,} of {graph.n_vertices:,} vertices have no edge, so only the data place them: "
            f"{examples(isolated)}",
            OmicsGlueWarning,
            stacklevel=2,
        )
    linked = {name for pair in between if pair[0] != pair[1] for name in pair}
    alone = [name for name in titles if name not in linked]
    if len(titles) > 1 and alone:
        warnings.warn(
            f"no edge links {examples(alone)} to another modality: its cells are aligned without guidance",
            OmicsGlueWarning,
            stacklevel=2,
        )
    in_graph = np.bincount(owner, minlength=len(titles))
    return GraphReport(
        graph.n_vertices,
        graph.n_edges,
        {name: len(index) for name, index in features.items()},
        {name: int(in_graph[i]) for i, name in enumerate(titles)},
        between,
        isolated,
    )


def _owners(graph: GuidanceGraph, features: dict[str, pd.Index]) -> npt.NDArray[np.int64]:
    """Return the modality of each vertex, as a position in `features`."""
    owner = np.full(graph.n_vertices, -1, dtype=np.int64)
    seen: dict[str, pd.Index] = {}
    for i, (title, names) in enumerate(features.items()):
        if not names.is_unique:
            raise GraphError(
                f"features named more than once: {examples(names[names.duplicated()].unique())}",
                where=title,
                remedy="Make them unique, for instance with adata.var_names_make_unique().",
            )
        for other, theirs in seen.items():
            both = names[names.isin(theirs)]
            if len(both):
                raise GraphError(
                    f"the same feature names in both: {examples(both)}",
                    where=f"{other} and {title}",
                    remedy=f"Rename one side, for instance with the prefix '{title}:', in data and graph.",
                )
        seen[title] = names
        at = names.get_indexer(pd.Index(graph.vertices, dtype=object))
        owner[at >= 0] = i
    unknown = graph.vertices[owner < 0]
    if len(unknown):
        raise GraphError(
            f"the graph names features that no modality has: {examples(unknown)}",
            where="graph",
            remedy=(
                f"Build it from the features of these data ({examples(features)}), "
                "or keep the known ones with graph.subset(names)."
            ),
        )
    return owner


def _count_between(
    graph: GuidanceGraph, owner: npt.NDArray[np.int64], titles: list[str]
) -> dict[tuple[str, str], int]:
    ends = owner[graph.source], owner[graph.target]
    codes = np.minimum(*ends) * len(titles) + np.maximum(*ends)
    counts = np.bincount(codes, minlength=len(titles) ** 2)
    return {
        (titles[code // len(titles)], titles[code % len(titles)]): int(counts[code])
        for code in np.flatnonzero(counts).tolist()
    }
