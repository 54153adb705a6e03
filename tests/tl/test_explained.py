"""How much of expression other layers explain: what is planted is found, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData

from omicsglue import tl
from omicsglue.errors import GraphError, InputError, OmicsGlueWarning, OptionError
from omicsglue.graph import GuidanceGraph, by_name, compose
from omicsglue.tl.layers import gene_features, of_counts, of_rates

GENES, CELLS, STATES = 150, 800, 6  # states that each layer has to itself
NAMES = [f"Gene{number}" for number in range(GENES)]


class World:
    """Cells of three modalities that are not paired, in one space; layers that drive expression by plan.

    Expression is the sum of what `driver` says and of a part of its own, of equal variance.
    """

    def __init__(self, driver: str | None, *, seed: int = 0, signs: tuple[int, int] = (1, -1)) -> None:
        self.rng = np.random.default_rng(seed)
        self.centres = self.rng.normal(size=(80, STATES * 3))
        parts = {name: self._loadings(place) for place, name in enumerate(("own", "atac", "methylation"))}
        own = parts["own"] if driver is None else parts["own"] + signs[driver != "atac"] * parts[driver]
        self.modalities = {
            "rna": self._counts(own / np.sqrt(2), NAMES),
            "atac": self._counts(np.repeat(parts["atac"], 2, axis=1), [f"peak{i}" for i in range(2 * GENES)]),
            "methylation": self._rates(parts["methylation"]),
        }
        peaks = {f"peak{i}": NAMES[i // 2] for i in range(2 * GENES)}
        rates = {f"{name}_mCG": name for name in NAMES}
        self.graph = compose(
            by_name(NAMES, peaks, sign=signs[0]), by_name(NAMES, rates, sign=signs[1], kind="body")
        )

    def _loadings(self, place: int) -> np.ndarray:
        """Return loadings on states of their own, so that nothing is shared by chance."""
        loadings = np.zeros((STATES * 3, GENES))
        loadings[STATES * place : STATES * (place + 1)] = self.rng.normal(size=(STATES, GENES))
        return loadings / np.sqrt(STATES)

    def _cells(self) -> np.ndarray:
        """Return cells near one of 80 places, which are the metacells."""
        place = self.rng.permutation(np.arange(CELLS) % 80)
        return self.centres[place] + self.rng.normal(0, 0.05, size=(CELLS, STATES * 3))

    def _made(self, x: np.ndarray, names: list[str], cells: np.ndarray, **more: Any) -> AnnData:
        adata = AnnData(sp.csr_matrix(x.astype(np.float32)), var=pd.DataFrame(index=names), **more)
        adata.obs_names = [f"cell{number}" for number in range(CELLS)]
        adata.obsm["X_glue"] = cells.astype(np.float32)
        return adata

    def _counts(self, loadings: np.ndarray, names: list[str], depth: float = 9_000) -> AnnData:
        cells = self._cells()
        rate = np.exp(cells @ loadings)
        return self._made(self.rng.poisson(depth * rate / rate.sum(axis=1, keepdims=True)), names, cells)

    def _rates(self, loadings: np.ndarray) -> AnnData:
        cells = self._cells()
        rate = 1 / (1 + np.exp(-(cells @ loadings)))
        sites = self.rng.poisson(60, size=rate.shape)
        layers = {"coverage": sp.csr_matrix(sites.astype(np.float32))}
        names = [f"{name}_mCG" for name in NAMES]
        return self._made(self.rng.binomial(sites, rate), names, cells, layers=layers)

    def explained(self, **options: Any) -> tl.ExpressionExplained:
        settings: dict[str, Any] = {"metacells": 80, "permutations": 5, "drop_calm": 0.0} | options
        return tl.expression_explained(self.modalities, self.graph, **settings)


@pytest.fixture(scope="module")
def driven() -> World:
    return World("methylation")


@pytest.fixture(scope="module")
def found(driven: World) -> tl.ExpressionExplained:
    return driven.explained()


def test_independent_layers_explain_nothing() -> None:
    found = World(None).explained().summary
    assert (found["mean_r2"] < 0.03).all()
    assert (found["mean_r2"] > -0.1).all()
    assert (found["above_permuted"] < 0.2).all()


def test_the_layer_that_drives_is_found_and_the_other_adds_nothing(found: tl.ExpressionExplained) -> None:
    r2 = found.summary["mean_r2"]
    assert r2["methylation"] > 0.3  # at most half of the variance
    assert r2["methylation"] < 0.55
    assert r2["atac"] < 0.03
    assert r2["atac + methylation"] < r2["methylation"] + 0.005
    baseline = found.summary
    assert (baseline["permuted_mean"] < 0).all()
    assert (baseline["permuted_low"] <= baseline["permuted_high"]).all()
    assert (baseline["other_gene_mean"] < 0.05).all()
    assert baseline["above_permuted"]["methylation"] > 0.9


def test_what_is_returned(found: tl.ExpressionExplained) -> None:
    assert list(found.genes.columns) == ["atac", "methylation", "atac + methylation"]
    assert set(found.genes.index) <= set(NAMES)
    assert len(found.baseline) == 5 * len(found.genes)
    assert found.filters["genes"] == GENES
    assert found.filters.iloc[-1] == len(found.genes)
    np.testing.assert_allclose(found.summary["mean_r2"], found.genes.mean())


def test_the_sign_of_edges_does_not_change_what_is_explained(driven: World) -> None:
    turned = World("methylation", signs=(1, 1)).explained(layers=["methylation"]).summary
    assert turned["mean_r2"].item() > 0.3


def test_the_same_seed_gives_the_same(driven: World, found: tl.ExpressionExplained) -> None:
    again = driven.explained()
    pd.testing.assert_frame_equal(again.genes, found.genes)
    pd.testing.assert_frame_equal(again.summary, found.summary)
    other = driven.explained(seed=1)
    assert abs(other.summary["mean_r2"] - found.summary["mean_r2"]).max() < 0.05
    assert not np.array_equal(other.genes.to_numpy(), found.genes.to_numpy())


def test_contexts_of_one_modality_are_layers(driven: World) -> None:
    world = World("methylation")
    both = world.modalities["methylation"]
    mixed = AnnData(
        sp.hstack([both.X, both.X], format="csr"),
        obs=both.obs,
        obsm={"X_glue": both.obsm["X_glue"]},
        layers={"coverage": sp.hstack([both.layers["coverage"]] * 2, format="csr")},
    )
    mixed.var_names = [*both.var_names, *(f"{name}_mCH" for name in NAMES)]
    mixed.var["context"] = np.repeat(["CG", "CH"], GENES)
    world.modalities["methylation"] = mixed
    edges = pd.concat(
        [world.graph.to_frame(), pd.DataFrame({"source": NAMES, "target": mixed.var_names[GENES:]})]
    ).fillna({"weight": 1.0, "sign": -1})
    graph = edges.astype({"sign": np.int8})
    settings: dict[str, Any] = {"metacells": 80, "permutations": 1, "drop_calm": 0.0}
    names = ["methylation:CG", "methylation:CH"]
    found = tl.expression_explained(world.modalities, graph, layers=names, **settings)
    alone = tl.expression_explained(world.modalities, graph, layers=names[:1], **settings)
    assert list(found.genes.columns) == [*names, " + ".join(names)]
    np.testing.assert_allclose(found.genes[names[0]], found.genes[names[1]])
    np.testing.assert_allclose(found.genes[names[0]], alone.genes[names[0]])


def test_metacells_without_a_modality_are_dropped_and_said(driven: World) -> None:
    world = World(None)
    away = world.modalities["atac"]
    away.obsm["X_glue"] = away.obsm["X_glue"].copy()
    some = np.arange(CELLS) < 500
    away.obsm["X_glue"][some] += 40.0  # a type that the others lack
    with pytest.warns(OmicsGlueWarning, match="lack cells of a modality"):
        found = world.explained()
    assert found.dropped > 8
    assert (found.metacells["atac"][some] == -1).all()
    assert set(found.metacells["rna"]) >= set(range(20))


def test_layers_by_hand() -> None:
    edges = GuidanceGraph.from_frame(
        pd.DataFrame({"source": ["g", "g", "h"], "target": ["p", "q", "q"], "sign": [1, -1, 1]})
    ).to_frame()
    by = gene_features(edges, pd.Index(["g", "h", "i"]), pd.Index(["p", "q", "r"]), "atac")
    counts = np.array([[1.0, 2.0, 1.0], [3.0, 0.0, 1.0], [9.0, 9.0, 9.0]])
    group = np.array([0, 0, -1])
    found = of_counts(counts, group, 1, by)
    p, q = 1e4 * 4 / 8, 1e4 * 2 / 8
    np.testing.assert_allclose(found, [[np.log1p(p) - np.log1p(q), np.log1p(q), np.nan]])
    covered = counts * 2 + 1
    plain = of_rates(counts, covered, group, 1, by, least=1, log=False)
    np.testing.assert_allclose(plain, [[4 / 10 - 2 / 6, 2 / 6, np.nan]])
    level = 8 / 22
    logged = of_rates(counts, covered, group, 1, by, least=7)
    assert np.isnan(logged[0]).all()  # six sites are too few
    logged = of_rates(counts, covered, group, 1, by, least=1)
    np.testing.assert_allclose(logged[0, 1], np.log((2 + level) / 7 / level))


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"layers": ["atak"]}, OptionError, "'atac'"),
        ({"layers": ["methylation:CH"]}, OptionError, "no features of the context 'CH'"),
        ({"layers": ["atac", "atac"]}, OptionError, "once"),
        ({"expression": "gex"}, OptionError, "no modality 'gex'"),
        ({"embedding": "X_umap"}, InputError, "X_umap"),
        ({"folds": 1}, OptionError, "at least 2"),
        ({"metacells": 10}, InputError, "at least 20"),
        ({"least_mean": 50.0}, InputError, "no gene is left: 150 genes, 0 expressed"),
        ({"counts": {"atac": "raw"}}, InputError, "no layer 'raw'"),
    ],
)
def test_refusals(driven: World, options: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        driven.explained(**options)


def test_a_graph_of_other_features(driven: World) -> None:
    other = by_name(["A"], {"B": "A"})
    with pytest.raises(GraphError, match="no edge joins a gene"):
        tl.expression_explained(driven.modalities, other, metacells=40)
