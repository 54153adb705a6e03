"""Edges moved, left out or turned in sign at random, to study how far results rest on the guidance graph."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import GraphError, OptionError, examples
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.graph.validation import pair_keys

Integers = npt.NDArray[np.int64]
# Up to this many possible pairs, all are listed; beyond, pairs are drawn and kept if they are new.
_LISTED = 2_000_000


class _Group(NamedTuple):
    """Edges that may take each other's ends."""

    edges: Integers  # positions of the edges
    first: Integers  # vertices on one side
    second: Integers  # vertices on the other; the same where edges run inside one side
    turned: npt.NDArray[np.bool_]  # whether the edge's source lies on the second side


def corrupt(
    graph: GuidanceGraph,
    rate: float,
    seed: int | np.random.Generator,
    *,
    modalities: Mapping[str, Iterable[str]] | None = None,
) -> GuidanceGraph:
    """Replace a share of the edges by random ones.

    Each edge that is chosen moves to a pair of vertices that was not linked, and keeps its place in the
    arrays, its weight, sign and kind; its distance becomes NaN. It stays between the same two sides: with
    `modalities`, an edge between two modalities becomes another pair of these two. Without, sources and
    targets of the edges of one sign are the two sides (genes and peaks in a graph from `from_genome`),
    or all their ends are one side where some vertex is both. Ends are drawn uniformly from the vertices
    that have edges on that side.

    Parameters
    ----------
    graph
        The graph; it is unchanged.
    rate
        Share of the edges to replace, in [0, 1]; their number is rounded to the nearest integer.
    seed
        An integer, or a generator to draw from.
    modalities
        Names of the features of each modality, covering all vertices with edges.

    Returns
    -------
    GuidanceGraph
        The same vertices and as many edges.

    Raises
    ------
    OptionError
        `rate` is not in [0, 1].
    GraphError
        Too few pairs are unlinked, or a vertex with edges is in no modality.
    """
    rng = np.random.default_rng(seed)
    chosen = _chosen(graph, rate, rng)
    source, target, distance = graph.source.copy(), graph.target.copy(), graph.distance.copy()
    used = np.sort(pair_keys(source, target, graph.n_vertices))
    for group in _by_role(graph) if modalities is None else _by_modality(graph, modalities):
        moved = chosen[group.edges]
        edges, turned = group.edges[moved], group.turned[moved]
        one, other = _new_pairs(rng, len(edges), group, used, graph.n_vertices)
        source[edges], target[edges] = np.where(turned, other, one), np.where(turned, one, other)
        used = np.sort(np.concatenate([used, pair_keys(one, other, graph.n_vertices)]))
    distance[chosen] = np.nan
    return replace(graph, source=source, target=target, distance=distance)


def drop_edges(graph: GuidanceGraph, rate: float, seed: int | np.random.Generator) -> GuidanceGraph:
    """Leave a share of the edges out, drawn at random; all vertices stay.

    Parameters
    ----------
    graph
        The graph; it is unchanged.
    rate
        Share of the edges to leave out, in [0, 1]; their number is rounded to the nearest integer.
    seed
        An integer, or a generator to draw from.

    Raises
    ------
    OptionError
        `rate` is not in [0, 1].
    """
    kept = ~_chosen(graph, rate, np.random.default_rng(seed))
    columns = ("source", "target", "weight", "sign", "kind_codes", "distance")
    return replace(graph, **{name: getattr(graph, name)[kept] for name in columns})


def flip_signs(graph: GuidanceGraph, rate: float, seed: int | np.random.Generator) -> GuidanceGraph:
    """Give a share of the edges the other sign, drawn at random.

    Parameters
    ----------
    graph
        The graph; it is unchanged.
    rate
        Share of the edges to turn, in [0, 1]; their number is rounded to the nearest integer.
    seed
        An integer, or a generator to draw from.

    Raises
    ------
    OptionError
        `rate` is not in [0, 1].
    """
    chosen = _chosen(graph, rate, np.random.default_rng(seed))
    return replace(graph, sign=np.where(chosen, -graph.sign, graph.sign))


def _chosen(graph: GuidanceGraph, rate: float, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Draw a share of the edges."""
    if not 0 <= rate <= 1:
        raise OptionError(f"{rate} is not a share", where="rate", remedy="Give a number from 0 to 1.")
    chosen = np.zeros(graph.n_edges, dtype=bool)
    chosen[rng.choice(graph.n_edges, size=round(rate * graph.n_edges), replace=False)] = True
    return chosen


def _by_role(graph: GuidanceGraph) -> Iterator[_Group]:
    for sign in (1, -1):
        edges = np.flatnonzero(graph.sign == sign)
        first, second = (np.sort(pd.unique(ends[edges])) for ends in (graph.source, graph.target))
        if len(np.intersect1d(first, second)):
            first = second = np.union1d(first, second)
        yield _Group(edges, first, second, np.zeros(len(edges), dtype=bool))


def _by_modality(graph: GuidanceGraph, modalities: Mapping[str, Iterable[str]]) -> Iterator[_Group]:
    owner = np.full(graph.n_vertices, -1, dtype=np.int64)
    for i, names in enumerate(modalities.values()):
        owner[pd.Index(graph.vertices, dtype=object).isin(pd.Index(list(names), dtype=object))] = i
    ends = np.stack([owner[graph.source], owner[graph.target]])
    lost = np.unique(np.stack([graph.source, graph.target])[ends < 0])
    if len(lost):
        raise GraphError(
            f"vertices with edges are in no modality: {examples(graph.vertices[lost])}",
            where="modalities",
            remedy="Give the features of all modalities that the graph links.",
        )
    low, high = ends.min(axis=0), ends.max(axis=0)
    for one, other in sorted(set(zip(low.tolist(), high.tolist(), strict=True))):
        edges = np.flatnonzero((low == one) & (high == other))
        touched = np.sort(pd.unique(np.concatenate([graph.source[edges], graph.target[edges]])))
        first, second = (touched[owner[touched] == side] for side in (one, other))
        yield _Group(edges, first, second, ends[0, edges] != one)


def _new_pairs(
    rng: np.random.Generator, n: int, group: _Group, used: Integers, n_vertices: int
) -> tuple[Integers, Integers]:
    """Draw `n` different pairs that are not in `used`, the ends of each on the group's two sides."""
    first, second = group.first, group.second
    inside = np.array_equal(first, second)
    space = len(first) * len(second)

    def pairs(cells: Integers) -> tuple[Integers, Integers]:
        return first[cells // max(len(second), 1)], second[cells % max(len(second), 1)]

    def free(cells: Integers) -> Integers:
        one, other = pairs(cells)
        keys = pair_keys(one, other, n_vertices)
        at = np.minimum(np.searchsorted(used, keys), len(used) - 1)
        new = used[at] != keys
        return np.asarray(cells[new & (one < other) if inside else new], dtype=np.int64)

    if space <= _LISTED:
        candidates = free(np.arange(space, dtype=np.int64))
        if len(candidates) < n:
            raise _too_full(n, len(candidates))
        return pairs(rng.choice(candidates, size=n, replace=False))
    in_all = len(first) * (len(first) - 1) // 2 if inside else space
    if in_all - len(used) < n:
        raise _too_full(n, in_all - len(used))
    drawn = np.empty(0, dtype=np.int64)
    while len(drawn) < n:
        lacking = n - len(drawn)
        fresh = free(rng.integers(space, size=(2 if inside else 1) * lacking + lacking // 8 + 16))
        drawn = pd.unique(np.concatenate([drawn, fresh]))[:n]  # each once, in the order drawn
    return pairs(drawn)


def _too_full(wanted: int, free: int) -> GraphError:
    return GraphError(
        f"{wanted:,} edges to replace, and only {max(free, 0):,} pairs that are not linked yet",
        where="corrupt",
        remedy="Use a lower rate: the graph links nearly everything already.",
    )
