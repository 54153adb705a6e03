"""Tables of edges turned into the arrays of a guidance graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import GraphError, examples
from omicsglue.keys import DISTANCE, KIND, SIGN, SOURCE, TARGET, WEIGHT


def graph_arrays(frame: pd.DataFrame, vertices: Sequence[str] | None, where: str) -> dict[str, Any]:
    """Return the arguments of `GuidanceGraph` for a table of edges.

    Parameters
    ----------
    frame
        As in `GuidanceGraph.from_frame`.
    vertices
        Names of all vertices, or None for those met in the table.
    where
        What to call the table in messages.

    Returns
    -------
    dict
        Arguments by name.

    Raises
    ------
    GraphError
        A column is missing, a cell is empty or no number, or a name is not among `vertices`.
    """
    missing = [column for column in (SOURCE, TARGET) if column not in frame]
    if missing:
        raise GraphError(
            f"no column {examples(missing)}; there are {examples(frame.columns, 8) or 'none'}",
            where=where,
            remedy="Name the columns source, target and, if wanted, weight, sign, kind, distance.",
        )
    source, target = (_names(frame, column, where) for column in (SOURCE, TARGET))
    if vertices is None:
        names = pd.Index(pd.unique(np.concatenate([source, target])), dtype=object)
    else:
        names = pd.Index([str(name) for name in vertices], dtype=object)
    kind_codes, kind_names = _kinds(frame, where)
    return {
        "vertices": names.to_numpy(dtype=object),
        SOURCE: _positions(source, names, SOURCE, where),
        TARGET: _positions(target, names, TARGET, where),
        WEIGHT: _numbers(frame, WEIGHT, where),
        SIGN: _numbers(frame, SIGN, where),
        "kind_codes": kind_codes,
        "kind_names": kind_names,
        DISTANCE: _numbers(frame, DISTANCE, where),
    }


def _names(frame: pd.DataFrame, column: str, where: str) -> npt.NDArray[np.object_]:
    values = frame[column].astype(object)
    empty = (values.isna() | (values.astype(str).str.strip() == "")).to_numpy()
    if empty.any():
        raise GraphError(
            f"no name in column {column}, row(s) {_rows(empty)}",
            where=where,
            remedy="Name both ends of every edge.",
        )
    return values.astype(str).to_numpy(dtype=object)


def _positions(
    ends: npt.NDArray[np.object_], names: pd.Index, column: str, where: str
) -> npt.NDArray[np.int64]:
    if not names.is_unique:  # told in full by the graph itself
        names = names.unique()
    at = names.get_indexer(pd.Index(ends, dtype=object)).astype(np.int64)
    unknown = at < 0
    if unknown.any():
        raise GraphError(
            f"column {column} names features that are not vertices: {examples(ends[unknown])}",
            where=where,
            remedy="Add them to the vertices, or leave their edges out.",
        )
    return np.asarray(at, dtype=np.int64)


def _numbers(frame: pd.DataFrame, column: str, where: str) -> npt.NDArray[np.float64] | None:
    if column not in frame:
        return None
    values = frame[column]
    numbers = pd.to_numeric(values.astype(object), errors="coerce").to_numpy(dtype=np.float64)
    bad = np.isnan(numbers)
    if column == DISTANCE:  # missing distances are meant
        bad &= values.notna().to_numpy()
    if bad.any():
        shown = examples(values[bad].head(5).tolist())
        raise GraphError(
            f"column {column} holds no number in row(s) {_rows(bad)}: {shown}",
            where=where,
            remedy="Give numbers: weight in (0, 1], sign +1 or -1, distance in bases or empty.",
        )
    return numbers


def _kinds(frame: pd.DataFrame, where: str) -> tuple[npt.NDArray[np.int16], tuple[str, ...]]:
    """Return codes and names of the kinds, in the order in which they are met."""
    if KIND not in frame or frame.empty:
        return np.zeros(len(frame), dtype=np.int16), ("edge",)
    kinds = frame[KIND].astype(object)
    codes, names = pd.factorize(kinds.where(kinds.notna(), "edge").astype(str).to_numpy(dtype=object))
    if len(names) > np.iinfo(np.int16).max:
        raise GraphError(
            f"column {KIND} has {len(names):,} different values",
            where=where,
            remedy="A kind is a sort of evidence, not a name for each edge: use a few.",
        )
    return codes.astype(np.int16), tuple(str(name) for name in names)


def _rows(bad: npt.NDArray[np.bool_]) -> str:
    return examples(np.flatnonzero(bad) + 1)
