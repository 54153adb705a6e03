"""Guidance graphs in files: Parquet, tab- or comma-separated text, GraphML."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsglue.errors import GraphError
from omicsglue.graph.convert import from_networkx, to_networkx
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.io import atomic_path
from omicsglue.keys import SOURCE, TARGET

_FORMATS = (".parquet", ".tsv", ".tsv.gz", ".csv", ".csv.gz", ".graphml", ".graphml.gz")
# Key of the Parquet schema under which the names of all vertices are kept, as JSON
_VERTICES = b"omicsglue_vertices"
_GZIP = b"\x1f\x8b"


def write_graph(graph: GuidanceGraph, path: str | Path) -> None:
    """Write a graph; the file appears whole or not at all.

    Parquet and GraphML keep everything. Text tables hold the edges alone, so vertices without edges are lost.

    Parameters
    ----------
    graph
        The graph.
    path
        `.parquet`, `.tsv`, `.csv` or `.graphml`; the last three may end in `.gz`. An existing file is
        replaced.

    Raises
    ------
    GraphError
        The ending is unknown.
    RunFolderError
        The file cannot be written.
    """
    path = Path(path)
    ending = _ending(path)
    with atomic_path(path) as temporary:
        if ending == ".parquet":
            _write_parquet(graph, temporary)
        elif ending.startswith(".graphml"):
            _write_bytes(temporary, _graphml(graph), packed=ending.endswith(".gz"))
        else:
            separator = "\t" if ending.startswith(".tsv") else ","
            text = graph.to_frame().to_csv(sep=separator, index=False)
            _write_bytes(temporary, text.encode(), packed=ending.endswith(".gz"))


def read_graph(path: str | Path) -> GuidanceGraph:
    """Read a graph.

    Parameters
    ----------
    path
        A file as `write_graph` writes it, or any table with the columns `source` and `target` (and, if
        wanted, `weight`, `sign`, `kind`, `distance`), or any GraphML with these attributes, scglue's
        among them.

    Returns
    -------
    GuidanceGraph
        The graph.

    Raises
    ------
    GraphError
        The file is missing, of an unknown or damaged format, lacks a column, or holds no guidance graph;
        the message names file, column and rows.
    """
    path = Path(path)
    ending = _ending(path)
    where = str(path)
    if not path.is_file():
        raise GraphError("there is no such file", where=where, remedy="Check the path of the graph.")
    if ending == ".parquet":
        table, vertices = _parse(path, _parse_parquet)
    elif ending.startswith(".graphml"):
        return _located(where, lambda: from_networkx(_parse(path, _parse_graphml), where=where))
    else:
        separator = "\t" if ending.startswith(".tsv") else ","
        table, vertices = _parse(path, lambda file: (_parse_text(file, separator), None))
    return _located(where, lambda: GuidanceGraph.from_frame(table, vertices, where=where))


def _ending(path: Path) -> str:
    name = path.name.lower()
    for ending in sorted(_FORMATS, key=len, reverse=True):
        if name.endswith(ending):
            return ending
    raise GraphError(
        "this ending tells no format of graphs", where=str(path), remedy=f"Use one of {', '.join(_FORMATS)}."
    )


def _parse(path: Path, parser: Callable[[Path], Any]) -> Any:
    """Parse a file, with whatever the parsers of the formats raise told as one kind of error."""
    import xml.etree.ElementTree

    import networkx as nx
    import pyarrow as pa

    damage = (ValueError, KeyError, EOFError, OSError, zlib.error, pa.ArrowException, nx.NetworkXException)
    try:
        return parser(path)
    except (*damage, xml.etree.ElementTree.ParseError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise GraphError(
            f"the file cannot be read as {_ending(path)[1:]} ({reason})",
            where=str(path),
            remedy="Check that it is whole and that its ending tells its format, or write it anew.",
        ) from error


def _located(where: str, build: Callable[[], GuidanceGraph]) -> GuidanceGraph:
    """Build the graph, and name the file in complaints about its content."""
    try:
        return build()
    except GraphError as error:
        if str(error).startswith(where):
            raise
        raise GraphError(error.what, where=where, remedy=error.remedy) from error


def _write_parquet(graph: GuidanceGraph, path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(graph.to_frame(), preserve_index=False)
    vertices = json.dumps(graph.vertices.tolist(), ensure_ascii=False).encode()
    pq.write_table(
        table.replace_schema_metadata({**(table.schema.metadata or {}), _VERTICES: vertices}), path
    )


def _parse_parquet(path: Path) -> tuple[pd.DataFrame, list[str] | None]:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    kept = (table.schema.metadata or {}).get(_VERTICES)
    return table.to_pandas(), None if kept is None else json.loads(kept)


def _write_bytes(path: Path, content: bytes, *, packed: bool) -> None:
    # No time stamp in the gzip header: one graph gives one file.
    path.write_bytes(gzip.compress(content, mtime=0) if packed else content)


def _read_bytes(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if content[:2] == _GZIP else content


def _parse_text(path: Path, separator: str) -> pd.DataFrame:
    import io

    # Names such as 'NA' or 'nan' are features like any other; only cells of numbers may be missing.
    frame = pd.read_csv(
        io.BytesIO(_read_bytes(path)), sep=separator, dtype=str, keep_default_na=False, comment=None
    )
    numeric = [column for column in frame.columns if column not in (SOURCE, TARGET)]
    frame[numeric] = frame[numeric].replace({"": np.nan, "NA": np.nan, "nan": np.nan, "NaN": np.nan})
    return frame


def _graphml(graph: GuidanceGraph) -> bytes:
    import networkx as nx

    return "\n".join(nx.generate_graphml(to_networkx(graph))).encode()


def _parse_graphml(path: Path) -> Any:
    import networkx as nx

    return nx.parse_graphml(_read_bytes(path).decode("utf-8"))
