"""Graphs in files and in networkx."""

from __future__ import annotations

import gzip
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omicsglue.errors import GraphError, RunFolderError
from omicsglue.graph import (
    GuidanceGraph,
    from_networkx,
    from_table,
    read_graph,
    to_networkx,
    write_graph,
)


def small() -> GuidanceGraph:
    return GuidanceGraph(
        np.array(["NA", "ge ne<&>2", "peak,1", "lonely", "1"], dtype=object),
        np.array([0, 1, 0]),
        np.array([2, 2, 4]),
        np.array([1.0, 0.1, 1 / 3]),
        np.array([1, -1, 1]),
        np.array([0, 1, 0]),
        ("overlap", "näme"),
        np.array([0, np.nan, 12.5]),
    )


def as_sets(graph: GuidanceGraph) -> tuple[set[str], set[tuple]]:
    frame = graph.to_frame()
    ends = [frozenset(pair) for pair in frame[["source", "target"]].values.tolist()]
    rest = frame[["weight", "sign", "kind"]].astype(str).values.tolist()
    distance = frame["distance"].fillna(-1).tolist()
    return set(graph.vertices), {(e, *r, d) for e, r, d in zip(ends, rest, distance, strict=True)}


@pytest.mark.parametrize("ending", [".parquet", ".graphml", ".graphml.gz"])
def test_all_comes_back(tmp_path: Path, ending: str) -> None:
    write_graph(small(), tmp_path / f"g{ending}")
    assert as_sets(read_graph(tmp_path / f"g{ending}")) == as_sets(small())


def test_parquet_keeps_order_too(tmp_path: Path) -> None:
    write_graph(small(), tmp_path / "g.parquet")
    assert read_graph(tmp_path / "g.parquet").equals(small())
    assert list(pd.read_parquet(tmp_path / "g.parquet")) == [
        "source",
        "target",
        "weight",
        "sign",
        "kind",
        "distance",
    ]


@pytest.mark.parametrize("ending", [".tsv", ".tsv.gz", ".csv", ".csv.gz"])
def test_text_keeps_the_edges(tmp_path: Path, ending: str) -> None:
    write_graph(small(), tmp_path / f"g{ending}")
    back = read_graph(tmp_path / f"g{ending}")
    assert as_sets(back)[1] == as_sets(small())[1]
    assert "lonely" not in back


@pytest.mark.parametrize("ending", [".tsv.gz", ".graphml.gz", ".parquet"])
def test_one_graph_gives_one_file(tmp_path: Path, ending: str) -> None:
    for name in ("a", "b"):
        write_graph(small(), tmp_path / f"{name}{ending}")
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_graph_without_edges(tmp_path: Path) -> None:
    empty = GuidanceGraph(np.array(["a"], dtype=object), np.array([], dtype=int), np.array([], dtype=int))
    for ending in (".parquet", ".graphml", ".tsv"):
        write_graph(empty, tmp_path / f"g{ending}")
        back = read_graph(tmp_path / f"g{ending}")
        assert back.n_edges == 0
        assert back.vertices.tolist() == ([] if ending == ".tsv" else ["a"])


def test_foreign_tables(tmp_path: Path) -> None:
    (tmp_path / "g.tsv").write_text("target\tsource\tnote\nb\ta\tx\n")
    graph = from_table(tmp_path / "g.tsv", ["z", "a", "b"])
    assert graph.to_frame().iloc[0, :4].tolist() == ["a", "b", 1, 1]
    assert graph.isolated.tolist() == ["z"]
    (tmp_path / "plain.tsv.gz").write_text("source\ttarget\na\tb\n")  # not packed in spite of its name
    assert read_graph(tmp_path / "plain.tsv.gz").n_edges == 1


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("g.tsv", b"", "cannot be read as tsv"),
        ("g.tsv", b"a\tb\nx\ty\n", "no column source, target"),
        (
            "g.csv",
            b"source,target,weight\na,b,1\na,c,much\n",
            r"column weight holds no number in row\(s\) 2: much",
        ),
        ("g.csv", b"source,target,weight\na,b,2\n", r"weights that are not in \(0, 1\]: a - b \(2.0\)"),
        ("g.csv", b"source,target,sign\na,b,3\n", "signs"),
        ("g.csv", b"source,target\na,\n", "no name in column target"),
        ("g.csv", b"source,target\na,b\nb,a\n", "more than once"),
        ("g.csv", b"source,target\na,b\nb,c,d,e\n", "cannot be read as csv"),
        ("g.tsv.gz", gzip.compress(b"source\ttarget\na\tb\n" * 50)[:-12], "cannot be read as tsv.gz"),
        ("g.parquet", b"nonsense", "cannot be read as parquet"),
        ("g.graphml", b"<graphml>", "cannot be read as graphml"),
        ("g.graphml", b"\xff\xfe", "cannot be read as graphml"),
    ],
)
def test_damaged_files_are_refused_with_their_name(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GraphError, match=message) as caught:
        read_graph(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


def test_unknown_ending_and_missing_file(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"\.parquet"):
        write_graph(small(), tmp_path / "g.pickle")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(GraphError, match="no such file"):
        read_graph(tmp_path / "g.tsv")


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "g.parquet"
    write_graph(small(), path)
    before = path.read_bytes()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", fail)
    with pytest.raises(RunFolderError, match="full"):
        write_graph(small().subset(["NA"]), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_networkx_there_and_back() -> None:
    network = to_networkx(small())
    assert (network.number_of_nodes(), network.number_of_edges()) == (5, 3)
    assert network["NA"]["peak,1"][0] == {"weight": 1.0, "sign": 1, "kind": "overlap", "distance": 0.0}
    assert as_sets(from_networkx(network)) == as_sets(small())


def test_both_directions_and_loops_are_collapsed() -> None:
    network = nx.MultiDiGraph()
    for source, target, kind in (
        ("g", "p", "fwd"),
        ("p", "g", "rev"),
        ("g", "g", "loop"),
        ("p", "p", "loop"),
    ):
        network.add_edge(source, target, weight=0.5, sign=1, type=kind, dist=7)
    network.add_edge("g", "p", weight=0.75, sign=1, type="hic")
    network.add_node("alone")
    graph = from_networkx(network)
    assert graph.vertices.tolist() == ["g", "p", "alone"]
    assert graph.to_frame().drop(columns="distance").values.tolist() == [["g", "p", 0.75, 1, "hic"]]


def test_bare_graphs_take_defaults() -> None:
    graph = from_networkx(nx.path_graph(3))
    assert graph.vertices.tolist() == ["0", "1", "2"]
    assert graph.weight.tolist() == [1, 1]


def test_networkx_with_both_signs_is_refused() -> None:
    network = nx.MultiGraph()
    network.add_edge("a", "b", sign=1)
    network.add_edge("b", "a", sign=-1)
    with pytest.raises(GraphError, match="both signs: a - b"):
        from_networkx(network)


@settings(max_examples=30, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda p: p[0] != p[1]), max_size=10
    ),
    data=st.data(),
)
def test_networkx_keeps_any_graph(pairs: list[tuple[int, int]], data: st.DataObject) -> None:
    unique = list({frozenset(pair): pair for pair in pairs}.values())
    weight = [data.draw(st.floats(2**-7, 1, width=32)) for _ in unique]
    ends = np.array(unique, dtype=np.int64).reshape(-1, 2)
    graph = GuidanceGraph(np.array(list("abcdefg"), dtype=object), ends[:, 0], ends[:, 1], np.array(weight))
    assert as_sets(from_networkx(to_networkx(graph))) == as_sets(graph)
