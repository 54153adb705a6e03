"""The graph itself: what it refuses, and its small methods."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from omicsglue.errors import GraphError
from omicsglue.graph import GuidanceGraph, compose, from_table


def small() -> GuidanceGraph:
    return GuidanceGraph(
        np.array(["g1", "g2", "g3", "p1", "p2", "m1"], dtype=object),
        source=np.array([0, 0, 1, 1]),
        target=np.array([3, 4, 4, 5]),
        weight=np.array([1.0, 0.5, 0.25, 1.0]),
        sign=np.array([1, 1, 1, -1]),
        kind_codes=np.array([0, 1, 1, 2]),
        kind_names=("overlap", "window", "name"),
        distance=np.array([0, 10, 20, np.nan]),
    )


def test_types_and_defaults() -> None:
    graph = GuidanceGraph(["a", "b"], [0], [1])  # type: ignore[arg-type]
    assert (graph.n_vertices, graph.n_edges) == (2, 1)
    found = {f.name: getattr(graph, f.name) for f in dataclasses.fields(graph)}
    types = {name: value.dtype for name, value in found.items() if isinstance(value, np.ndarray)}
    assert types == {
        "vertices": object,
        "source": np.int64,
        "target": np.int64,
        "weight": np.float32,
        "sign": np.int8,
        "kind_codes": np.int16,
        "distance": np.float64,
    }
    assert graph.weight.tolist() == graph.sign.tolist() == [1]
    assert np.isnan(graph.distance).all()
    assert graph.kind.tolist() == ["edge"]


def test_it_cannot_be_changed() -> None:
    weight = np.array([0.5])
    graph = GuidanceGraph(np.array(["a", "b"], dtype=object), np.array([0]), np.array([1]), weight)
    weight[0] = 0.1
    assert graph.weight[0] == 0.5
    with pytest.raises(ValueError, match="read-only"):
        graph.weight[0] = 0.1
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.weight = weight  # type: ignore[misc]


def test_vertices_alone_and_nothing_at_all() -> None:
    assert GuidanceGraph(["a"], [], []).isolated.tolist() == ["a"]  # type: ignore[arg-type]
    empty = GuidanceGraph([], [], [])  # type: ignore[arg-type]
    assert (empty.n_vertices, empty.n_edges, len(empty.to_frame())) == (0, 0, 0)
    assert "0 edges" in repr(empty)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": [0, 1]}, r"weights that are not in \(0, 1\]: a - b \(0"),
        ({"weight": [1.5, -1]}, r"weights .* \(2 in all\)"),
        ({"weight": [np.nan, 1]}, "weights"),
        ({"weight": [np.inf, 1]}, "weights"),
        ({"weight": [1e-60, 1]}, "weights"),  # would be 0 in float32
        ({"weight": ["x", 1]}, "not numbers"),
        ({"sign": [0, 1]}, r"signs that are neither \+1 nor -1: a - b"),
        ({"sign": [2, 1]}, "signs"),
        ({"sign": [257, 1]}, "signs"),  # would be 1 in int8
        ({"sign": [0.5, 1]}, "signs"),
        ({"distance": [-1, 1]}, "distances"),
        ({"distance": [np.inf, 1]}, "distances"),
        ({"kind_codes": [0, 1]}, "kind codes"),
        ({"source": [0, 3]}, "points outside the 3 vertices: 3"),
        ({"target": [-1, 2]}, "points outside"),
        ({"source": [0.5, 1.0]}, "instead of positions"),
        ({"source": ["a", "b"]}, "instead of positions"),
        ({"source": [0, 2]}, r"self-loops: c - c"),
        ({"source": [0, 1], "target": [1, 0]}, "more than once"),
        ({"weight": [1]}, "differ in length"),
        ({"vertices": ["a", "b", "a"]}, "named more than once: a"),
        ({"vertices": ["a", "b", None]}, "1 vertices have no name"),
    ],
)
def test_what_is_no_guidance_graph_is_refused(change: dict, message: str) -> None:
    arguments = {"vertices": ["a", "b", "c"], "source": [0, 1], "target": [1, 2]} | change
    with pytest.raises(GraphError, match=message) as caught:
        GuidanceGraph(**arguments)
    assert "->" in str(caught.value)


def test_messages_show_the_first_few_and_the_count() -> None:
    names = [f"v{i}" for i in range(9)]
    with pytest.raises(GraphError, match=r"v0 - v1 \(2.0\), .*v4 - v5 .*, … \(8 in all\)"):
        GuidanceGraph(names, np.arange(8), np.arange(1, 9), np.full(8, 2.0))  # type: ignore[arg-type]


def test_a_pair_may_have_both_signs_in_one_graph() -> None:
    graph = GuidanceGraph(["a", "b"], [0, 1], [1, 0], sign=[1, -1])  # type: ignore[arg-type]
    assert graph.n_edges == 2


def test_index_degree_and_neighbours() -> None:
    graph = small()
    assert graph.index(["p1", "g1"]).tolist() == [3, 0]
    assert "p1" in graph
    assert "x" not in graph
    with pytest.raises(GraphError, match="not in the graph: x"):
        graph.index(["g1", "x"])
    assert graph.degree().tolist() == [2, 2, 0, 1, 2, 1]
    assert graph.degree(weighted=True).tolist() == [1.5, 1.25, 0, 1, 0.75, 1]
    assert graph.isolated.tolist() == ["g3"]
    assert graph.connected_to(["g1", "not there"]).tolist() == ["p1", "p2"]
    assert graph.connected_to(["p2"]).tolist() == ["g1", "g2"]
    assert graph.connected_to([]).tolist() == []
    assert graph.connected_to(["g1", "p1"]).tolist() == ["g1", "p1", "p2"]


def test_frame_there_and_back() -> None:
    graph = small()
    frame = graph.to_frame()
    assert list(frame.columns) == ["source", "target", "weight", "sign", "kind", "distance"]
    assert frame["source"].tolist() == ["g1", "g1", "g2", "g2"]
    assert GuidanceGraph.from_frame(frame, graph.vertices).equals(graph)
    assert from_table(frame).n_vertices == 5  # g3 has no edge


def test_minimal_table() -> None:
    graph = from_table(pd.DataFrame({"source": ["a", "a"], "target": ["b", "c"]}))
    assert graph.vertices.tolist() == ["a", "b", "c"]
    assert graph.kind.tolist() == ["edge", "edge"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"from": ["a"], "to": ["b"]}, "no column source, target; there are from, to"),
        ({"source": ["a", None], "target": ["b", "c"]}, r"no name in column source, row\(s\) 2"),
        (
            {"source": ["a"], "target": ["b"], "weight": ["high"]},
            r"column weight holds no number in row\(s\) 1: high",
        ),
        ({"source": ["a"], "target": ["b"], "sign": [None]}, "column sign holds no number"),
        ({"source": ["a"], "target": ["b"], "distance": ["far"]}, "column distance"),
        ({"source": ["a"], "target": ["b"], "weight": [0.0]}, "weights"),
        ({"source": ["a"], "target": ["a"]}, "self-loops"),
    ],
)
def test_bad_tables_are_refused(columns: dict, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        GuidanceGraph.from_frame(pd.DataFrame(columns))


def test_table_with_names_that_are_not_vertices() -> None:
    with pytest.raises(GraphError, match="column target names features that are not vertices: b"):
        from_table(pd.DataFrame({"source": ["a"], "target": ["b"]}), ["a"])


def test_subset_keeps_the_edges_among_the_rest() -> None:
    part = small().subset(["p2", "g1", "g3"])
    assert part.vertices.tolist() == ["g1", "g3", "p2"]
    assert part.to_frame()[["source", "target", "weight", "kind", "distance"]].values.tolist() == [
        ["g1", "p2", 0.5, "window", 10.0]
    ]
    with pytest.raises(GraphError, match="x"):
        small().subset(["x"])


def test_compose_unites_and_keeps_the_higher_weight() -> None:
    other = from_table(
        pd.DataFrame(
            {
                "source": ["p2", "p1", "q"],
                "target": ["g2", "g1", "g3"],
                "weight": [0.75, 0.1, 1],
                "kind": ["hic"] * 3,
            }
        )
    )
    union = compose(small(), other)
    assert union.vertices.tolist() == ["g1", "g2", "g3", "p1", "p2", "m1", "q"]
    pairs = {
        frozenset(p): (w, k) for *p, w, k in union.to_frame()[["source", "target", "weight", "kind"]].values
    }
    assert pairs == {
        frozenset(["g1", "p1"]): (1.0, "overlap"),
        frozenset(["g1", "p2"]): (0.5, "window"),
        frozenset(["g2", "p2"]): (0.75, "hic"),
        frozenset(["g2", "m1"]): (1.0, "name"),
        frozenset(["q", "g3"]): (1.0, "hic"),
    }


def test_compose_with_itself_or_alone_changes_nothing() -> None:
    assert compose(small(), small()).equals(small())
    assert compose(small()).equals(small())
    with pytest.raises(GraphError, match="no graph"):
        compose()


def test_compose_refuses_both_signs() -> None:
    other = from_table(pd.DataFrame({"source": ["m1"], "target": ["g2"]}))
    with pytest.raises(GraphError, match=r"1 pair\(s\) linked with both signs: g2 - m1"):
        compose(small(), other)


def test_add_edges_gives_a_new_graph() -> None:
    graph = small()
    more = graph.add_edges(pd.DataFrame({"source": ["g3"], "target": ["p9"], "weight": [0.5]}))
    assert (graph.n_edges, more.n_edges, more.n_vertices) == (4, 5, 7)
    assert more.to_frame().iloc[-1, :3].tolist() == ["g3", "p9", 0.5]


def test_repr_says_what_is_in_it() -> None:
    text = repr(small())
    assert "6 vertices and 4 edges" in text
    assert "2 window" in text
    assert "1 negative" in text
    assert "without edges: 1" in text
