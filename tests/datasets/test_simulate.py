from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from omicsglue.datasets import SimulatedData, demo_data, simulate

SMALL: dict[str, Any] = {"genes": 120, "peaks": 900, "types": 5}
EVERYTHING = ("rna", "atac", "methylation", "protein")


@pytest.fixture(scope="module")
def data() -> SimulatedData:
    return simulate(1_200, **SMALL, modalities=EVERYTHING, proteins=12)


def test_shapes_names_and_types(data: SimulatedData) -> None:
    assert {name: x.shape for name, x in data.modalities.items()} == {
        "rna": (1_200, 120),
        "atac": (1_200, 900),
        "methylation": (1_200, 120),
        "protein": (1_200, 12),
    }
    for x in data.modalities.values():
        assert x.obs_names.is_unique
        assert x.obs_names.equals(data.rna.obs_names)
        assert list(x.obs.columns) == ["cell_type", "batch", "branch", "pseudotime", "n_counts"]
        assert isinstance(x.X, sparse.csr_matrix)
        assert x.X.dtype == np.float32
        np.testing.assert_array_equal(x.obs["n_counts"], np.asarray(x.X.sum(axis=1)).ravel())
    features = [name for x in data.modalities.values() for name in x.var_names]
    assert len(set(features)) == len(features)
    assert not {"chrom", "start", "end"} & set(data.atac.var.columns)


def test_same_seed_same_data_and_a_prefix_stays_the_same() -> None:
    long, short = simulate(600, **SMALL, seed=3), simulate(300, **SMALL, seed=3)
    for name in ("rna", "atac"):
        a, b = long[name][:300], short[name]
        assert (a.X != b.X).nnz == 0
        assert a.obs.equals(b.obs)
    assert (simulate(300, **SMALL, seed=4).rna.X != short.rna.X).nnz > 0


def test_shares_are_met(data: SimulatedData) -> None:
    found = data.cells["cell_type"].value_counts(normalize=True, sort=False)
    np.testing.assert_allclose(found, data.truth.tree.shares, atol=0.003)
    assert found.iloc[-1] == pytest.approx(0.01, abs=0.002)


def test_continuum(data: SimulatedData) -> None:
    on = data.cells["branch"].notna()
    start, stop = data.cells["branch"].cat.categories[0].split("-")
    assert on.mean() == pytest.approx(0.15, abs=0.04)
    assert (data.cells["pseudotime"].notna() == on).all()
    line = data.cells[on]
    assert line["pseudotime"].between(0, 1).all()
    assert ((line["pseudotime"] > 0.5) == (line["cell_type"] == stop)).all()
    assert set(line["cell_type"]) == {start, stop}


def test_cells_follow_their_rates(data: SimulatedData) -> None:
    """Type means of counts follow the true log rates, and linked peaks follow their genes."""
    names = data.truth.options.type_names
    p = data.truth.counts["rna"]
    types = data.rna.obs["cell_type"].to_numpy()
    first, second = (np.asarray(data.rna.X[types == t].mean(axis=0)).ravel() for t in names[:2])
    strong = (first + second) > np.quantile(first + second, 0.6)
    change = np.log((first + 0.05) / (second + 0.05))[strong]
    assert np.corrcoef(change, (p.loadings[0] - p.loadings[1])[strong])[0, 1] > 0.8


def test_depths() -> None:
    data = simulate(1_500, **SMALL, depth_correlation=0.8)
    rna, atac = (np.log1p(data[m].obs["n_counts"]) for m in ("rna", "atac"))
    assert np.corrcoef(rna, atac)[0, 1] > 0.5
    deeper = simulate(1_500, **SMALL, depth={"atac": 2.0})
    assert deeper.atac.obs["n_counts"].median() / data.atac.obs["n_counts"].median() == pytest.approx(
        2, rel=0.1
    )
    assert deeper.rna.obs["n_counts"].median() == pytest.approx(data.rna.obs["n_counts"].median(), rel=0.1)
    apart = simulate(1_500, **SMALL, depth_correlation=0.0, signal=0.0)
    rna, atac = (np.log1p(apart[m].obs["n_counts"]) for m in ("rna", "atac"))
    assert abs(np.corrcoef(rna, atac)[0, 1]) < 0.1


def test_noise_zero_is_poisson_without_background() -> None:
    truth = simulate(10, **SMALL, noise=0.0).truth
    assert truth.counts["rna"].background == 0
    assert not truth.counts["atac"].dispersion.any()


def test_who_is_where() -> None:
    data = simulate(
        2_000,
        **SMALL,
        batches=3,
        missing={"atac": ["type2"]},
        composition={"rna": {"type1": 0.1}},
        missing_batches={"rna": ["batch3"]},
        private_types={"type4": "batch2"},
    )
    cells = data.cells
    assert "type2" not in set(data.atac.obs["cell_type"])
    assert "batch3" not in set(data.rna.obs["batch"])
    assert set(cells.loc[cells["cell_type"] == "type4", "batch"]) == {"batch2"}
    first = cells[(cells["cell_type"] == "type1") & (cells["batch"] != "batch3")]
    assert first["in_rna"].mean() == pytest.approx(0.1, abs=0.05)
    assert first["in_atac"].all()
    for name in ("rna", "atac"):
        assert data[name].obs_names.equals(cells.index[cells[f"in_{name}"]])


def test_partly_paired() -> None:
    cells = simulate(2_000, **SMALL, paired=0.25).cells
    both = cells["in_rna"] & cells["in_atac"]
    assert both.mean() == pytest.approx(0.25, abs=0.04)
    assert (cells["in_rna"] | cells["in_atac"]).all()
    assert not (simulate(500, **SMALL, paired=0.0).cells[["in_rna", "in_atac"]].all(axis=1)).any()


def test_batches_differ_within_types() -> None:
    data = simulate(1_500, **SMALL, batches=2, batch_effect=0.8, batch_shares=[3, 1])
    assert (data.rna.obs["batch"] == "batch1").mean() == pytest.approx(0.75, abs=0.04)
    means = [
        np.asarray(data.rna.X[(data.rna.obs["batch"] == b).to_numpy()].mean(axis=0)).ravel()
        for b in ("batch1", "batch2")
    ]
    strong = (means[0] > 0.3) & (means[1] > 0.3)
    p = data.truth.counts["rna"]
    change = np.log(means[1][strong] / means[0][strong])
    assert np.corrcoef(change, (p.batch[1] - p.batch[0])[strong])[0, 1] > 0.9
    assert not simulate(10, **SMALL).truth.counts["rna"].batch.any()


def test_methylation_falls_with_expression(data: SimulatedData) -> None:
    meth = data["methylation"]
    covered = meth.layers["coverage"]
    assert isinstance(covered, sparse.csr_matrix)
    assert (covered - meth.X).min() >= 0
    types = meth.obs["cell_type"].to_numpy()
    rate = np.array(
        [
            np.asarray(meth.X[types == t].sum(axis=0)).ravel()
            / np.maximum(np.asarray(covered[types == t].sum(axis=0)).ravel(), 1)
            for t in ("type1", "type2", "type3")
        ]
    )
    expression = data.truth.expression[:3]
    assert np.corrcoef((rate[0] - rate[1]), (expression[0] - expression[1]))[0, 1] < -0.6
    assert 0.5 < meth.X.sum() / covered.sum() < 0.95
    assert (meth.var_names == meth.var["gene"] + "_mCG").all()


def test_proteins_are_a_mixture_named_after_their_genes(data: SimulatedData) -> None:
    protein, p = data["protein"], data.truth.protein
    assert (data.proteins["protein"] == protein.var_names).all()
    assert (protein.var_names == "prot_" + protein.var["gene"]).all()
    counts = protein.X.toarray()
    chance = 1 / (1 + np.exp(-(p.base + p.loadings[:5])))
    types = protein.obs["cell_type"].to_numpy()
    on, off = [], []
    for j in range(12):
        means = {t: counts[types == f"type{t + 1}", j].mean() for t in range(3)}
        high, low = max(means, key=lambda t: chance[t, j]), min(means, key=lambda t: chance[t, j])
        if chance[high, j] - chance[low, j] > 0.3:
            on.append(means[high])
            off.append(means[low])
    assert len(on) >= 3
    assert all(a > b for a, b in zip(on, off, strict=True))


def test_coordinates_on_request() -> None:
    data = simulate(20, **SMALL, modalities=EVERYTHING, proteins=5, coordinates=True)
    for x in data.modalities.values():
        assert {"chrom", "start", "end", "strand"} <= set(x.var.columns)
        assert x.var["start"].dtype == np.int64
    name = data.atac.var_names[7]
    row = data.atac.var.loc[name]
    assert name == f"{row['chrom']}:{row['start']}-{row['end']}"
    assert (
        data["protein"].var["start"].iloc[0] == data.genes.loc[data["protein"].var["gene"].iloc[0], "start"]
    )


def test_presets_have_the_depth_and_sparsity_they_promise() -> None:
    snare, deep = simulate(256, preset="snare"), simulate(256, preset="10x")

    def look(data: SimulatedData, name: str) -> tuple[float, float]:
        x = data[name]
        return float(x.obs["n_counts"].median()), float(x.X.nnz / np.prod(x.shape))

    assert look(snare, "rna") == (pytest.approx(250, rel=0.2), pytest.approx(0.065, rel=0.25))
    assert look(snare, "atac") == (pytest.approx(83, rel=0.2), pytest.approx(0.0049, rel=0.25))
    assert look(deep, "rna") == (pytest.approx(2_400, rel=0.2), pytest.approx(0.2, rel=0.25))
    assert look(deep, "atac") == (pytest.approx(5_000, rel=0.2), pytest.approx(0.058, rel=0.25))


def test_demo_data() -> None:
    data = demo_data()
    assert data.rna.n_obs == data.atac.n_obs == 1_500
    assert (data.rna.obs["n_counts"] > 0).all()
    assert data.rna.obs["cell_type"].value_counts().min() >= 20


def test_two_contexts_of_methylation_are_read_from_the_same_cells() -> None:
    names = ("rna", "methylation", "methylation_ch")
    data = simulate(1_200, **SMALL, modalities=names, paired=0.0)
    cg, ch = data["methylation"], data["methylation_ch"]
    assert cg.obs_names.equals(ch.obs_names)
    assert not set(data.rna.obs_names) & set(ch.obs_names)
    assert data.rna.n_obs / 1_200 == pytest.approx(0.5, abs=0.06)  # one experiment in two, not in three
    assert list(ch.var_names) == list(ch.var["gene"] + "_mCH")
    sites = {name: data[name].layers["coverage"].sum() for name in names[1:]}
    assert sites["methylation_ch"] / sites["methylation"] == pytest.approx(20, rel=0.05)
    assert 0.01 < ch.X.sum() / sites["methylation_ch"] < 0.1
    falls = {name: getattr(data.truth, name).loadings.any(axis=0) for name in names[1:]}
    assert falls["methylation_ch"].mean() == pytest.approx(0.6, abs=0.15)
    assert (falls["methylation"] & ~falls["methylation_ch"]).any()


def test_methylation_outside_cg_falls_with_expression_where_it_should() -> None:
    data = simulate(1_200, **SMALL, modalities=("rna", "methylation_ch"), noise=0.0)
    ch, types = data["methylation_ch"], data.rna.obs["cell_type"].to_numpy()
    groups = [np.flatnonzero(types == name) for name in np.unique(types)]
    rate = np.array(
        [ch.X[rows].sum(axis=0) / ch.layers["coverage"][rows].sum(axis=0) for rows in groups]
    ).reshape(len(groups), -1)
    logit = np.log(rate / (1 - rate))
    falls = data.truth.methylation_ch.loadings.any(axis=0)
    spread = logit.std(axis=0)
    assert spread[falls].mean() > 5 * spread[~falls].mean()
