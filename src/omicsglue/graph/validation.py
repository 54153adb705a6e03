"""The rules that every guidance graph keeps, checked on its arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import GraphError, examples
from omicsglue.keys import DISTANCE, SIGN, SOURCE, TARGET, WEIGHT

Arrays = dict[str, npt.NDArray[Any]]


def checked_vertices(names: Iterable[object]) -> npt.NDArray[np.object_]:
    """Return vertex names as an object array of unique str.

    Parameters
    ----------
    names
        Names of features.

    Returns
    -------
    numpy.ndarray
        object, shape (n_vertices,).

    Raises
    ------
    GraphError
        A name is missing or is there twice.
    """
    given = np.array(list(names), dtype=object)
    missing = pd.isna(given)
    if missing.any():
        raise GraphError(
            f"{int(missing.sum()):,} vertices have no name",
            where="graph",
            remedy="Give every vertex the name of its feature.",
        )
    vertices = pd.Index([str(name) for name in given], dtype=object)
    repeated = vertices[vertices.duplicated()].unique()
    if len(repeated):
        raise GraphError(
            f"vertices named more than once: {examples(repeated)}",
            where="graph",
            remedy="Make feature names unique, across modalities too, with a prefix such as 'meth:'.",
        )
    return np.array(vertices, dtype=object)


def checked_edges(
    vertices: npt.NDArray[np.object_], given: Mapping[str, Any], kind_names: tuple[str, ...]
) -> Arrays:
    """Return the edges' arrays in their types, defaults filled in, after all checks.

    Parameters
    ----------
    vertices
        As from `checked_vertices`.
    given
        `source`, `target`, `weight`, `sign`, `kind_codes`, `distance`; all but the first two may be None.
    kind_names
        Names of the kinds.

    Returns
    -------
    dict
        Copies of the arrays: int64, int64, float32, int8, int16, float64, each of shape (n_edges,).

    Raises
    ------
    GraphError
        As `GuidanceGraph` says.
    """
    n_edges = len(np.atleast_1d(given[SOURCE]))
    fill: dict[str, float] = {WEIGHT: 1.0, SIGN: 1, "kind_codes": 0, DISTANCE: np.nan}
    raw = {
        name: np.full(n_edges, fill[name]) if value is None else np.atleast_1d(np.asarray(value))
        for name, value in given.items()
    }
    lengths = {name: len(value) for name, value in raw.items()}
    if len(set(lengths.values())) > 1 or any(value.ndim != 1 for value in raw.values()):
        raise GraphError(
            f"the arrays of edges differ in length: {lengths}",
            where="graph",
            remedy="Give one value for each edge.",
        )
    _check_ends(raw, len(vertices))
    _check_values(vertices, raw, len(kind_names))
    types = (np.int64, np.int64, np.float32, np.int8, np.int16, np.float64)
    edges: Arrays = {name: raw[name].astype(dtype) for name, dtype in zip(given, types, strict=True)}
    _check_pairs(vertices, edges)
    return edges


def pair_keys(source: npt.NDArray[np.int64], target: npt.NDArray[np.int64], n: int) -> npt.NDArray[np.int64]:
    """Return one integer for each unordered pair of vertices.

    Parameters
    ----------
    source, target
        Positions of vertices, int64, shape (m,).
    n
        Number of vertices.

    Returns
    -------
    numpy.ndarray
        int64, shape (m,): smaller position times `n` plus the larger.
    """
    return np.asarray(np.minimum(source, target) * np.int64(n) + np.maximum(source, target), dtype=np.int64)


def _check_ends(raw: Arrays, n_vertices: int) -> None:
    for name in (SOURCE, TARGET):
        ends = raw[name]
        if len(ends) and ends.dtype.kind not in "iu":
            raise GraphError(
                f"{name} holds {ends.dtype} values instead of positions of vertices",
                where="graph",
                remedy="Give integer positions, or use GuidanceGraph.from_frame for a table of names.",
            )
        outside = (ends < 0) | (ends >= n_vertices)
        if outside.any():
            raise GraphError(
                f"{name} points outside the {n_vertices:,} vertices: {examples(ends[outside])}",
                where="graph",
                remedy="Use positions from 0 to the number of vertices - 1.",
            )


def _check_values(vertices: npt.NDArray[np.object_], raw: Arrays, n_kinds: int) -> None:
    show = _shower(vertices, raw)
    weight = _numeric(raw[WEIGHT], WEIGHT)
    # The comparison is made in float32, in which weights are kept, so that none rounds to 0 or stays above 1.
    kept = weight.astype(np.float32)
    _refuse(
        ~((kept > 0) & (kept <= 1)),
        weight,
        show,
        "weights that are not in (0, 1]",
        "Scale weights into (0, 1], and leave out edges of weight 0.",
    )
    sign = _numeric(raw[SIGN], SIGN)
    _refuse(
        (sign != 1) & (sign != -1),
        sign,
        show,
        "signs that are neither +1 nor -1",
        "Use +1 where features rise together and -1 where one falls.",
    )
    distance = _numeric(raw[DISTANCE], DISTANCE)
    _refuse(
        (distance < 0) | np.isinf(distance),
        distance,
        show,
        "distances that are negative or infinite",
        "Give bases >= 0, or NaN where distance means nothing.",
    )
    codes = raw["kind_codes"]
    _refuse(
        (codes < 0) | (codes >= n_kinds),
        codes,
        show,
        f"kind codes outside the {n_kinds} kind names",
        "Use positions in kind_names.",
    )


def _check_pairs(vertices: npt.NDArray[np.object_], edges: Arrays) -> None:
    show = _shower(vertices, edges)
    loop = edges[SOURCE] == edges[TARGET]
    _refuse(
        loop,
        edges[WEIGHT],
        show,
        "self-loops",
        "Leave self-loops out: the model gives every vertex one of weight 1.",
    )
    keys = 2 * pair_keys(edges[SOURCE], edges[TARGET], len(vertices)) + (edges[SIGN] > 0)
    repeated = pd.Index(keys).duplicated()
    _refuse(
        repeated,
        edges[WEIGHT],
        show,
        "edges that are there more than once",
        "Keep one edge a pair (edges have no direction); omicsglue.graph.compose keeps the higher weight.",
    )


def _numeric(values: npt.NDArray[Any], name: str) -> npt.NDArray[np.float64]:
    try:
        return values.astype(np.float64)
    except (TypeError, ValueError):
        raise GraphError(
            f"{name} holds values that are not numbers: {examples(values[:3])}",
            where="graph",
            remedy="Give numbers.",
        ) from None


def _shower(vertices: npt.NDArray[np.object_], raw: Arrays) -> Callable[[int, object], str]:
    return lambda edge, value: f"{vertices[raw[SOURCE][edge]]} - {vertices[raw[TARGET][edge]]} ({value})"


def _refuse(
    bad: npt.NDArray[np.bool_],
    values: npt.NDArray[Any],
    show: Callable[[int, object], str],
    what: str,
    remedy: str,
) -> None:
    rows = np.flatnonzero(bad)
    if not len(rows):
        return
    shown = ", ".join(show(int(row), values[row]) for row in rows[:5])
    more = f", … ({len(rows):,} in all)" if len(rows) > 5 else f" ({len(rows)} in all)"
    raise GraphError(f"{what}: {shown}{more}", where="graph", remedy=remedy)
