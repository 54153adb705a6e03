from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData
from scipy import stats
from sklearn.metrics import roc_auc_score

from linked import linked_data
from omicsglue.datasets.simulate import SimulatedData
from omicsglue.errors import InputError, OptionError
from omicsglue.graph import from_genome
from omicsglue.tl import regulatory_links
from omicsglue.tl.statistics import benjamini_hochberg, storey


def is_true(links: pd.DataFrame, data: SimulatedData) -> np.ndarray:
    truth = data.truth.links
    known = set(zip(data.rna.var_names[truth["gene"]], data.atac.var_names[truth["peak"]], strict=True))
    return np.array([pair in known for pair in zip(links["source"], links["target"], strict=True)])


def strata_of(links: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(links.attrs["strata"])


@pytest.fixture(scope="module")
def data() -> SimulatedData:
    return linked_data(genes=400, peaks=4_000)


@pytest.fixture(scope="module")
def small() -> tuple[AnnData, AnnData]:
    data = linked_data(300, genes=60, peaks=600)
    return data.rna, data.atac


@pytest.fixture(scope="module")
def links(data: SimulatedData) -> pd.DataFrame:
    return regulatory_links(data.rna, data.atac, threads=1)


def test_the_table_tells_pairs_and_places(links: pd.DataFrame, data: SimulatedData) -> None:
    assert list(links) == [
        "source", "target", "source_chrom", "source_start", "source_end", "source_strand", "target_chrom",
        "target_start", "target_end", "distance", "modality", "cosine", "score", "score_sd", "effect", "sign",
        "p_value", "q_value",
    ]  # fmt: skip
    assert (links["source_chrom"] == links["target_chrom"]).all()
    assert links["distance"].between(0, 149_999).all()
    assert links["score"].between(0, 1).all()
    assert links["p_value"].between(0, 1, inclusive="right").all()
    assert not links.duplicated(["source", "target"]).any()
    assert (links["sign"] == np.where(links["effect"] < 0, -1, 1)).all()
    assert links["score_sd"].isna().all()  # one member has no deviation
    assert links["cosine"].isna().all()  # no feature embeddings were given
    place = data.atac.var.loc[links["target"]]
    np.testing.assert_array_equal(links["target_start"], place["start"])


def test_true_links_score_higher_than_distance_alone_would_say(
    links: pd.DataFrame, data: SimulatedData
) -> None:
    true = is_true(links, data)
    assert roc_auc_score(true, links["score"]) > roc_auc_score(true, -links["distance"]) + 0.01
    near = links["distance"] < 50_000
    assert roc_auc_score(true[near], links["score"][near]) > 0.65


def test_rates_of_false_discoveries_hold(links: pd.DataFrame, data: SimulatedData) -> None:
    true = is_true(links, data)
    found = links["q_value"] < 0.2
    assert found.sum() >= 20
    assert 1 - true[found].mean() < 0.25


def test_effects_have_the_true_sign(links: pd.DataFrame, data: SimulatedData) -> None:
    truth = data.truth.links
    names = [data.rna.var_names[truth["gene"]], data.atac.var_names[truth["peak"]]]
    sign = pd.Series(truth["sign"].to_numpy(), index=pd.MultiIndex.from_arrays(names))
    sure = links[(links["score"] > 0.8) & is_true(links, data)].set_index(["source", "target"])
    assert len(sure) > 30
    assert (sure["sign"] == sign.loc[sure.index]).mean() > 0.95


@pytest.mark.slow
def test_p_values_are_uniform_where_nothing_is_regulated() -> None:
    data = linked_data(genes=400, peaks=4_000, regulation=0.0, seed=1)
    links = regulatory_links(data.rna, data.atac, threads=1)
    assert stats.kstest(links["p_value"], "uniform").statistic < 0.03
    for _, part in links.groupby(pd.cut(links["distance"], [-1, 5_000, 50_000, 150_000]), observed=True):
        assert stats.kstest(part["p_value"], "uniform").statistic < 0.06
    assert not (links["q_value"] < 0.1).any()


def test_threads_change_nothing(small: tuple[AnnData, AnnData]) -> None:
    one, two = (regulatory_links(*small, threads=threads) for threads in (1, 2))
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.slow
def test_the_seed_changes_little(links: pd.DataFrame, data: SimulatedData) -> None:
    other = regulatory_links(data.rna, data.atac, seed=1, threads=1)
    assert not other["score"].equals(links["score"])
    assert stats.spearmanr(links["score"], other["score"]).statistic > 0.9


def test_the_ensemble_is_averaged(small: tuple[AnnData, AnnData]) -> None:
    rna, atac = (adata.copy() for adata in small)
    rng = np.random.default_rng(0)
    for adata in (rna, atac):
        adata.obsm["X_glue_1"] = adata.obsm["X_glue"] @ np.linalg.qr(rng.normal(size=(10, 10)))[0]
        for key in ("X_glue", "X_glue_1"):
            adata.varm[key] = np.random.default_rng(len(key)).normal(size=(adata.n_vars, 5))
    together = regulatory_links(rna, atac, threads=1, embeddings=("X_glue", "X_glue_1"))
    first, second = (
        regulatory_links(rna, atac, threads=1, embeddings=(key,), seed=seed)
        for seed, key in enumerate(("X_glue", "X_glue_1"))
    )
    np.testing.assert_allclose(together["score"], (first["score"] + second["score"]) / 2)
    np.testing.assert_allclose(together["score_sd"], np.abs(first["score"] - second["score"]) / np.sqrt(2))
    np.testing.assert_allclose(together["cosine"], (first["cosine"] + second["cosine"]) / 2, atol=1e-6)


def test_the_cosine_is_that_of_feature_embeddings(small: tuple[AnnData, AnnData]) -> None:
    rna, atac = (adata.copy() for adata in small)
    rng = np.random.default_rng(0)
    for adata in (rna, atac):
        adata.varm["X_glue"] = rng.normal(size=(adata.n_vars, 5)).astype(np.float32)
    atac.varm["X_glue"][3] = np.nan  # outside the graph
    links = regulatory_links(rna, atac, threads=1)
    g = rna.varm["X_glue"][rna.var_names.get_indexer(links["source"])]
    e = atac.varm["X_glue"][atac.var_names.get_indexer(links["target"])]
    expected = (g * e).sum(axis=1) / np.linalg.norm(g, axis=1) / np.linalg.norm(e, axis=1)
    np.testing.assert_allclose(links["cosine"], expected, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def guided(data: SimulatedData, links: pd.DataFrame) -> pd.DataFrame:
    near = links[links["distance"] < 20_000]
    guides = near[["source", "target"]].iloc[::3].assign(kind="hic")
    return regulatory_links(data.rna, data.atac, from_genome(data.rna, data.atac), guides, threads=1)


@pytest.mark.slow
def test_edges_and_guides_form_strata(guided: pd.DataFrame) -> None:
    found = strata_of(guided)
    assert set(found["guidance"]) == {"none", "overlap", "hic"}
    assert found["pairs"].sum() == len(guided)
    assert found["null_share"].between(0, 1).all()


@pytest.mark.slow
def test_edges_by_distance_alone_form_none(data: SimulatedData) -> None:
    by_distance = from_genome(data.rna, data.atac, window=50_000)
    found = regulatory_links(data.rna, data.atac, by_distance, window=50_000, threads=1)
    assert set(strata_of(found)["guidance"]) == {"none", "overlap"}


@pytest.mark.slow
def test_where_links_are_likely_is_learned(guided: pd.DataFrame) -> None:
    strata = strata_of(guided)
    near = strata[strata["nearest"] == 0]["prior"].max()
    far = strata[strata["nearest"] >= 75_000]["prior"].max()
    assert near > 3 * far


@pytest.mark.parametrize("correction", ["bh", "storey"])
def test_other_corrections_are_of_the_p_values(small: tuple[AnnData, AnnData], correction: str) -> None:
    links = regulatory_links(*small, threads=1, correction=correction)
    order = np.argsort(links["p_value"].to_numpy())
    assert (np.diff(links["q_value"].to_numpy()[order]) >= 0).all()
    expected = {"bh": benjamini_hochberg, "storey": storey}[correction](links["p_value"])
    np.testing.assert_array_equal(links["q_value"], expected)


def test_negative_signs_expect_elements_to_fall(small: tuple[AnnData, AnnData]) -> None:
    up, down = (regulatory_links(*small, threads=1, sign=sign) for sign in (1, -1))
    assert up["effect"].mean() > 0 > down["effect"].mean()


def test_counts_may_be_in_a_layer_and_have_batches(small: tuple[AnnData, AnnData]) -> None:
    rna, atac = (adata.copy() for adata in small)
    expected = regulatory_links(rna, atac, threads=1)
    rna.layers["counts"], rna.X = rna.X, rna.X * 0
    pd.testing.assert_frame_equal(regulatory_links(rna, atac, threads=1, layers=("counts", None)), expected)
    rna.obs["plate"] = "one"
    pd.testing.assert_frame_equal(
        regulatory_links(rna, atac, threads=1, layers=("counts", None), batch_keys=("plate", None)), expected
    )


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"embeddings": ("X_scvi",)}, InputError, "obsm has no X_scvi"),
        ({"embeddings": ()}, OptionError, "no embedding is named"),
        ({"layers": ("counts", None)}, InputError, "no layer 'counts'"),
        ({"batch_keys": (None, "plate")}, InputError, "obs has no column 'plate'"),
        ({"correction": "fdr"}, OptionError, "no correction 'fdr'"),
        ({"sign": 0}, OptionError, "sign is 0"),
        ({"window": -5}, OptionError, "window is -5"),
    ],
)
def test_what_cannot_be_done_is_told(
    small: tuple[AnnData, AnnData], options: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        regulatory_links(*small, **options)  # type: ignore[arg-type]
