"""Rates of methylation: by hand, on real cells, and what they tell of simulated types."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.stats import betabinom, binom
from sklearn.model_selection import KFold, cross_val_score
from sklearn.neighbors import KNeighborsClassifier

from omicsglue import pp
from omicsglue.datasets import simulate
from omicsglue.errors import InputError, OptionError
from omicsglue.pp.methylation_reads import holds_rates, methylated_reads


def reads(methylated: object, covered: object) -> ad.AnnData:
    adata = ad.AnnData(sp.csr_matrix(np.asarray(methylated, dtype=np.float32)))
    adata.layers["coverage"] = sp.csr_matrix(np.asarray(covered, dtype=np.float32))
    return adata


def beta_binomial(concentration: float, seed: int = 0, shape: tuple[int, int] = (60, 400)) -> ad.AnnData:
    """Cells of different levels, each of whose features varies around the level."""
    rng = np.random.default_rng(seed)
    level = rng.uniform(0.2, 0.8, size=shape[0])[:, None]
    covered = rng.poisson(6, size=shape)
    rate = rng.beta(concentration * level, concentration * (1 - level), size=shape)
    return reads(rng.binomial(covered, rate), covered)


@pytest.fixture(scope="module")
def shallow() -> tuple[ad.AnnData, np.ndarray, np.ndarray]:
    """Methylation of 400 cells of eight types, read at few sites, with types and the genes that follow."""
    data = simulate(
        400, seed=0, genes=500, types=8, modalities=("rna", "methylation"), depth={"methylation": 0.1}
    )
    adata = data.modalities["methylation"]
    following = np.abs(data.truth.methylation.loadings).sum(axis=0) > 0
    return adata, adata.obs["cell_type"].to_numpy(), following


def accuracy(z: np.ndarray, types: np.ndarray) -> float:
    folds = KFold(5, shuffle=True, random_state=0)
    return float(cross_val_score(KNeighborsClassifier(15), z, types, cv=folds).mean())


def test_reads_are_aligned_and_levels_are_shares() -> None:
    found = methylated_reads(reads([[0, 2, 0], [1, 0, 0]], [[3, 4, 0], [1, 0, 5]]), None, "coverage", "test")
    assert found.row.tolist() == [0, 0, 1, 1]
    assert found.column.tolist() == [0, 1, 0, 2]
    assert found.methylated.tolist() == [0, 2, 1, 0]
    assert found.covered.tolist() == [3, 4, 1, 5]
    level = 3.25 / 13.5
    assert found.level() == pytest.approx(level)
    assert found.cell_level() == pytest.approx([(2 + level / 2) / 7.5, (1 + level / 2) / 6.5])
    assert found.feature_level() == pytest.approx(
        [(1 + level / 2) / 4.5, (2 + level / 2) / 4.5, level / 2 / 5.5]
    )
    assert np.array_equal(found.matrix(found.covered).toarray(), [[3, 4, 0], [1, 0, 5]])


@pytest.mark.parametrize("concentration", [3.0, 12.0])
def test_rates_are_posterior_means_of_the_beta_distribution_that_made_them(concentration: float) -> None:
    adata = beta_binomial(concentration)
    rate = pp.methylation_rate(adata, normalise=False)
    level = np.asarray(adata.X.sum(axis=1) / adata.layers["coverage"].sum(axis=1))
    methylated, covered = adata.X.toarray(), adata.layers["coverage"].toarray()
    ideal = (methylated + concentration * level) / (covered + concentration)
    # the concentration is estimated from 400 features of each cell
    assert np.abs(rate - ideal).mean() < 0.03
    assert np.abs(rate - np.where(covered > 0, methylated / np.maximum(covered, 1), level)).mean() > 0.06
    missing = covered == 0
    assert missing.sum() > 20
    assert rate[missing] == pytest.approx(np.broadcast_to(level, rate.shape)[missing], abs=2e-3)
    relative = pp.methylation_rate(adata)
    assert relative[missing] == pytest.approx(np.ones(missing.sum()))
    assert (relative * level)[~missing] == pytest.approx(rate[~missing], rel=0.01)


def test_binomial_reads_are_pulled_all_the_way_to_their_level() -> None:
    rng = np.random.default_rng(0)
    covered = rng.poisson(8, size=(20, 500))
    rate = pp.methylation_rate(reads(rng.binomial(covered, 0.7), covered), normalise=False)
    assert np.abs(rate - 0.7).max() < 0.15


def test_layers_of_rates_are_left_out_where_nothing_was_read() -> None:
    adata = beta_binomial(5.0)
    pp.rate_layer(adata)
    pp.rate_layer(adata, log=True, key_added="log_rate")
    covered = adata.layers["coverage"].toarray() > 0
    dense = pp.methylation_rate(adata)
    assert adata.layers["rate"].toarray()[covered] == pytest.approx(dense[covered])
    assert adata.layers["log_rate"].toarray()[covered] == pytest.approx(np.log(dense[covered]), abs=1e-6)
    assert adata.layers["rate"].nnz == covered.sum()
    assert (adata.layers["rate"].toarray()[~covered] == 0).all()


def test_scores_of_hypomethylation_are_binomial_tails() -> None:
    adata = reads([[0, 9, 8, 0], [5, 5, 0, 0]], [[9, 10, 9, 0], [10, 10, 0, 0]])
    pp.hypomethylation_score(adata)
    level = methylated_reads(adata, None, "coverage", "test").cell_level()
    score = adata.layers["hypomethylation"].toarray()
    assert score[0, 0] == pytest.approx(-np.log10((1 - level[0]) ** 9), rel=1e-5)
    assert score[1, 0] == pytest.approx(-np.log10(binom.cdf(5, 10, level[1])), rel=1e-5)
    assert score[0, 3] == score[1, 2] == 0
    pp.hypomethylation_score(adata, cutoff=2, key_added="low")
    assert np.array_equal(adata.layers["low"].toarray(), [[1, 0, 0, 0], [0, 0, 0, 0]])
    with pytest.raises(OptionError, match="cutoff is 0"):
        pp.hypomethylation_score(adata, cutoff=0)


def test_features_that_vary_beyond_the_binomial_are_selected() -> None:
    rng = np.random.default_rng(1)
    covered = rng.poisson(np.where(np.arange(200) % 2, 6, 12), size=(150, 200))
    varying = np.arange(200) < 30
    rate = np.where(varying, rng.choice([0.2, 0.8], size=(150, 200)), rng.uniform(0.1, 0.9, size=200))
    adata = reads(betabinom.rvs(covered, 40 * rate, 40 * (1 - rate), random_state=2), covered)
    mask = pp.select_methylation(adata, 30)
    assert mask.sum() == 30
    assert mask[varying].mean() > 0.9
    assert np.array_equal(adata.var["highly_variable"], mask)


def test_features_that_few_cells_cover_are_not_selected() -> None:
    covered = np.full((40, 4), 5)
    covered[1:, 2] = 0
    adata = reads(np.tile([1, 4, 0, 2], (40, 1)) * (covered > 0), covered)
    assert pp.select_methylation(adata, None).tolist() == [True, True, False, True]
    assert pp.select_methylation(adata, None, min_share=0).all()
    with pytest.raises(OptionError, match="n_top=0"):
        pp.select_methylation(adata, 0)


def test_selection_finds_the_genes_whose_methylation_follows(
    shallow: tuple[ad.AnnData, np.ndarray, np.ndarray],
) -> None:
    adata, _, following = shallow
    found = pp.select_methylation(adata.copy(), 100)
    assert following.mean() < 0.85
    assert following[found].mean() > 0.9


def test_components_of_rates_tell_types_apart(shallow: tuple[ad.AnnData, np.ndarray, np.ndarray]) -> None:
    adata, types, _ = shallow
    adata = adata.copy()
    by_rate = accuracy(pp.methylation_pca(adata), types)
    assert adata.obsm["X_pca"].dtype == np.float32
    by_count = accuracy(pp.pca(adata, key_added="X_counts"), types)
    chance = pd.Series(types).value_counts(normalize=True).max()
    assert by_rate > chance + 0.3
    assert by_rate > by_count + 0.1


def test_components_do_not_follow_coverage(shallow: tuple[ad.AnnData, np.ndarray, np.ndarray]) -> None:
    adata, types, _ = shallow
    adata = adata.copy()
    depth = np.log(np.asarray(adata.layers["coverage"].sum(axis=1)).ravel())
    # within a type, so that types of their own depth do not matter
    depth -= pd.Series(depth).groupby(types).transform("mean").to_numpy()
    z = pd.DataFrame(pp.methylation_pca(adata))
    z -= z.groupby(types).transform("mean")
    assert max(abs(np.corrcoef(z[column], depth)[0, 1]) for column in z) < 0.25


def test_the_same_seed_gives_the_same_components(shallow: tuple[ad.AnnData, np.ndarray, np.ndarray]) -> None:
    adata = shallow[0].copy()
    mask = pp.select_methylation(adata, 200)
    one, two = (pp.methylation_pca(adata, 20, features=mask, seed=3) for _ in range(2))
    assert np.array_equal(one, two)


def test_unusable_reads_are_refused() -> None:
    adata = reads([[3, 1], [0, 2]], [[2, 1], [1, 2]])
    adata.var_names, adata.obs_names = ["Gad1", "Sst"], ["cell1", "cell2"]
    said = r"methylated than covered in 1 entries: cell cell1, feature Gad1 has 3 in X and 2 in layers"
    with pytest.raises(InputError, match=said):
        pp.methylation_rate(adata)
    assert not holds_rates(adata, None)
    with pytest.raises(InputError, match="there is no layer 'covered' of covered reads"):
        pp.methylation_rate(adata, coverage="covered")
    with pytest.raises(InputError, match="no read covers any feature"):
        pp.methylation_pca(reads(np.zeros((4, 4)), np.zeros((4, 4))))
    with pytest.raises(OptionError, match="n_components is 1"):
        pp.methylation_pca(adata, 1)
    with pytest.raises(InputError, match="at least 3 cells and 3 features"):
        pp.methylation_pca(reads([[1, 1], [0, 2]], [[2, 1], [1, 2]]))
    with pytest.raises(InputError, match="no rate differs"):
        pp.methylation_pca(reads(np.zeros((5, 5)), np.ones((5, 5))))


@pytest.mark.data
def test_real_cells_have_rates_and_components(shared_data: Path) -> None:
    adata = ad.read_h5ad(shared_data / "methylation" / "mouse30_gene_mCG.h5ad")
    rate = pp.methylation_rate(adata, normalise=False)
    assert rate.shape == (30, 6456)
    assert 0 <= rate.min() < 0.1
    assert 0.8 < rate.max() <= 1
    # levels of gene bodies rise and fall with those of the genome
    assert np.corrcoef(rate.mean(axis=1), adata.obs["global_mCG"])[0, 1] > 0.7
    mask = pp.select_methylation(adata, 2000)
    assert mask.sum() == 2000
    assert pp.methylation_pca(adata, 20, features=mask).shape[0] == 30
    adata.X, adata.layers["coverage"] = adata.layers["coverage"], adata.X
    with pytest.raises(InputError, match="not swapped"):
        pp.methylation_rate(adata)
