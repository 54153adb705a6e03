"""The guidance graph: features of all modalities, and the prior knowledge that links them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import GraphError, examples
from omicsglue.graph.validation import checked_edges, checked_vertices
from omicsglue.keys import DISTANCE, EDGE_COLUMNS, KIND, SIGN, SOURCE, TARGET, WEIGHT

if TYPE_CHECKING:
    from pathlib import Path

    from omicsglue.graph.checks import GraphReport


@dataclass(frozen=True, eq=False, repr=False)
class GuidanceGraph:
    """Features as vertices and signed, weighted, undirected edges between them, as arrays that do not change.

    Each edge is stored once and means both directions. Self-loops are not stored: the model gives every
    vertex one of weight 1. Vertices may be without edges.

    Parameters
    ----------
    vertices
        Names of features, unique, shape (n_vertices,).
    source, target
        Ends of the edges as positions in `vertices`, int64, shape (n_edges,).
    weight
        Confidence in (0, 1], float32, shape (n_edges,); 1 for all if not given.
    sign
        +1 or -1, int8, shape (n_edges,); +1 for all if not given.
    kind_codes
        Positions in `kind_names`, int16, shape (n_edges,); the first for all if not given.
    kind_names
        What kinds of edges there are ('overlap', 'window', 'name' …).
    distance
        Bases between the two features, float64, shape (n_edges,); NaN where distance means nothing.

    Raises
    ------
    GraphError
        Vertices are not unique; arrays differ in length; an end is not a vertex; a weight is not in (0, 1]; a
        sign is neither +1 nor -1; an edge is a self-loop or is there twice with one sign.

    Notes
    -----
    Source of the structure: Cao and Gao, Nature Biotechnology 2022, doi 10.1038/s41587-022-01284-4.
    """

    vertices: npt.NDArray[np.object_]
    source: npt.NDArray[np.int64]
    target: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32] = None  # type: ignore[assignment]  # filled below
    sign: npt.NDArray[np.int8] = None  # type: ignore[assignment]  # filled below
    kind_codes: npt.NDArray[np.int16] = None  # type: ignore[assignment]  # filled below
    kind_names: tuple[str, ...] = ("edge",)
    distance: npt.NDArray[np.float64] = None  # type: ignore[assignment]  # filled below

    def __post_init__(self) -> None:
        vertices = checked_vertices(self.vertices)
        edges = checked_edges(
            vertices,
            {name: getattr(self, name) for name in (SOURCE, TARGET, WEIGHT, SIGN, "kind_codes", DISTANCE)},
            tuple(self.kind_names),
        )
        for name, value in {"vertices": vertices, **edges}.items():
            value.flags.writeable = False
            object.__setattr__(self, name, value)
        object.__setattr__(self, "kind_names", tuple(str(name) for name in self.kind_names))

    @property
    def n_vertices(self) -> int:
        """Number of features."""
        return len(self.vertices)

    @property
    def n_edges(self) -> int:
        """Number of edges, each counted once."""
        return len(self.source)

    @property
    def kind(self) -> npt.NDArray[np.object_]:
        """Kind of each edge, object array of str, shape (n_edges,)."""
        return np.asarray(np.array(self.kind_names, dtype=object)[self.kind_codes], dtype=object)

    @cached_property
    def _lookup(self) -> pd.Index:
        return pd.Index(self.vertices, dtype=object)

    def index(self, names: Iterable[str]) -> npt.NDArray[np.int64]:
        """Return the positions of features among the vertices.

        Parameters
        ----------
        names
            Names of features, shape (n,).

        Returns
        -------
        numpy.ndarray
            int64, shape (n,).

        Raises
        ------
        GraphError
            A name is not a vertex.
        """
        asked = pd.Index(list(names), dtype=object)
        at = self._lookup.get_indexer(asked).astype(np.int64)
        if (at < 0).any():
            raise GraphError(
                f"features that are not in the graph: {examples(asked[at < 0])}",
                where="graph",
                remedy="Ask for vertices only; `name in graph` tells which names are.",
            )
        return np.asarray(at, dtype=np.int64)

    def __contains__(self, name: object) -> bool:
        return name in self._lookup

    def degree(self, *, weighted: bool = False) -> npt.NDArray[np.float64]:
        """Return the number of edges of each vertex, or the sum of their weights.

        Parameters
        ----------
        weighted
            Sum weights instead of counting.

        Returns
        -------
        numpy.ndarray
            float64, shape (n_vertices,). Self-loops, which are not stored, do not count.
        """
        ends = np.concatenate([self.source, self.target])
        amount = np.concatenate([self.weight, self.weight]) if weighted else None
        return np.bincount(ends, weights=amount, minlength=self.n_vertices).astype(np.float64)

    @property
    def isolated(self) -> npt.NDArray[np.object_]:
        """Names of the vertices without edges."""
        return np.asarray(self.vertices[self.degree() == 0], dtype=object)

    def connected_to(self, features: Iterable[str]) -> npt.NDArray[np.object_]:
        """Return the features that share an edge with any of those given.

        Parameters
        ----------
        features
            Names; those that are not in the graph have no neighbours.

        Returns
        -------
        numpy.ndarray
            Names, object, in the order of `vertices`. A feature that was given is among them only if it is
            the neighbour of another one that was given.
        """
        asked = np.zeros(self.n_vertices, dtype=bool)
        at = self._lookup.get_indexer(pd.Index(list(features), dtype=object))
        asked[at[at >= 0]] = True
        near = np.zeros(self.n_vertices, dtype=bool)
        near[self.target[asked[self.source]]] = True
        near[self.source[asked[self.target]]] = True
        return np.asarray(self.vertices[near], dtype=object)

    def to_frame(self) -> pd.DataFrame:
        """Return the edges as a table.

        Returns
        -------
        pandas.DataFrame
            One row an edge: `source`, `target` (names), `weight`, `sign`, `kind`, `distance`.
        """
        columns: dict[str, Any] = {
            SOURCE: self.vertices[self.source],
            TARGET: self.vertices[self.target],
            WEIGHT: self.weight.copy(),
            SIGN: self.sign.copy(),
            KIND: pd.Categorical.from_codes(self.kind_codes.astype(np.int64), pd.Index(self.kind_names)),
            DISTANCE: self.distance.copy(),
        }
        return pd.DataFrame(columns, columns=list(EDGE_COLUMNS))

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, vertices: Sequence[str] | None = None, *, where: str = "edge table"
    ) -> GuidanceGraph:
        """Build a graph from a table of edges.

        Parameters
        ----------
        frame
            One row an edge. `source` and `target` are needed; `weight` (1), `sign` (+1), `kind` ('edge') and
            `distance` (NaN) may be left out.
        vertices
            Names of all vertices, to fix their order and to keep those without edges; otherwise the
            names met in the table, sources first.
        where
            What to call the table in messages.

        Returns
        -------
        GuidanceGraph
            The graph.

        Raises
        ------
        GraphError
            A column is missing, or the edges are not those of a guidance graph.
        """
        from omicsglue.graph.tables import graph_arrays

        return cls(**graph_arrays(frame, vertices, where))

    from_table = from_frame

    def add_edges(self, edges: pd.DataFrame) -> GuidanceGraph:
        """Return a graph with further edges; new names become new vertices.

        Parameters
        ----------
        edges
            As in `from_frame`. Of a pair that is already linked the higher weight is kept.

        Returns
        -------
        GuidanceGraph
            A new graph; this one is unchanged.

        Raises
        ------
        GraphError
            As `from_frame` and `compose`.
        """
        from omicsglue.graph.composition import compose

        return compose(self, type(self).from_frame(edges, where="edges to add"))

    def subset(self, vertices: Iterable[str]) -> GuidanceGraph:
        """Return the graph of some of the vertices and the edges among them.

        Parameters
        ----------
        vertices
            Names to keep, all of them in the graph; the order of the graph is kept.

        Returns
        -------
        GuidanceGraph
            The smaller graph.

        Raises
        ------
        GraphError
            A name is not a vertex.
        """
        keep = np.zeros(self.n_vertices, dtype=bool)
        keep[self.index(vertices)] = True
        return self._kept(keep, keep[self.source] & keep[self.target])

    def _kept(self, vertex: npt.NDArray[np.bool_], edge: npt.NDArray[np.bool_]) -> GuidanceGraph:
        place = np.cumsum(vertex) - 1
        return GuidanceGraph(
            self.vertices[vertex],
            place[self.source[edge]],
            place[self.target[edge]],
            self.weight[edge],
            self.sign[edge],
            self.kind_codes[edge],
            self.kind_names,
            self.distance[edge],
        )

    def corrupt(
        self,
        rate: float,
        seed: int | np.random.Generator,
        *,
        modalities: Mapping[str, Iterable[str]] | None = None,
    ) -> GuidanceGraph:
        """Replace a share of the edges by random ones; see `omicsglue.graph.corrupt`."""
        from omicsglue.graph.corruption import corrupt

        return corrupt(self, rate, seed, modalities=modalities)

    def check(self, modalities: Mapping[str, Iterable[str]]) -> GraphReport:
        """Compare the graph with the features of the data; see `omicsglue.graph.check`."""
        from omicsglue.graph.checks import check

        return check(self, modalities)

    def equals(self, other: GuidanceGraph) -> bool:
        """Tell whether two graphs have the same vertices and edges in the same order."""
        arrays = ("vertices", SOURCE, TARGET, WEIGHT, SIGN)
        same = all(np.array_equal(getattr(self, name), getattr(other, name)) for name in arrays)
        same = same and np.array_equal(self.distance, other.distance, equal_nan=True)
        return same and np.array_equal(self.kind, other.kind)

    def __repr__(self) -> str:
        """Return the size of the graph and the kinds and signs of its edges."""
        counts = np.bincount(self.kind_codes, minlength=len(self.kind_names))
        kinds = ", ".join(f"{n:,} {name}" for name, n in zip(self.kind_names, counts, strict=True) if n)
        negative = int((self.sign < 0).sum())
        lines = [f"GuidanceGraph with {self.n_vertices:,} vertices and {self.n_edges:,} edges"]
        if self.n_edges:
            low, high = float(self.weight.min()), float(self.weight.max())
            lines.append(f"    edges: {kinds}; {negative:,} negative; weights {low:.3g} to {high:.3g}")
        lines.append(f"    vertices without edges: {len(self.isolated):,}")
        return "\n".join(lines)


def from_table(table: pd.DataFrame | str | Path, vertices: Sequence[str] | None = None) -> GuidanceGraph:
    """Build a graph from a table of edges or from a file.

    Parameters
    ----------
    table
        A table as for `GuidanceGraph.from_frame`, or a path as for `read_graph`.
    vertices
        Names of all vertices; otherwise those of the table or file.

    Returns
    -------
    GuidanceGraph
        The graph.
    """
    if isinstance(table, pd.DataFrame):
        return GuidanceGraph.from_frame(table, vertices)
    from omicsglue.graph.io import read_graph

    graph = read_graph(table)
    return (
        graph if vertices is None else GuidanceGraph.from_frame(graph.to_frame(), vertices, where=str(table))
    )
