from __future__ import annotations

import sys
import types

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from anndata import AnnData
from scipy.stats import spearmanr
from sklearn.linear_model import Lasso
from sklearn.metrics import roc_auc_score

from omicsglue.errors import InputError, OmicsGlueWarning, OptionError
from omicsglue.tl.baselines import baseline_scores, coaccessibility, lasso, spearman
from omicsglue.tl.baselines.regression import _path
from omicsglue.tl.metacells import aggregate, joint_metacells, log_normalised

GENES, ELEMENTS = 12, 60


def problem(seed: int = 0, cells: int = 1200) -> tuple[AnnData, AnnData, pd.DataFrame]:
    """Return unpaired cells, where element 5i goes along with gene i, and all pairs of genes and elements."""
    rng = np.random.default_rng(seed)
    activity = rng.normal(size=(ELEMENTS, 6))

    def measured(n_features: int, weights: np.ndarray, mean: float) -> AnnData:
        state = rng.normal(size=(cells, 6))
        counts = rng.poisson(mean * np.exp(0.6 * state @ weights.T - 0.18 * np.square(weights).sum(axis=1)))
        data = AnnData(sp.csr_matrix(counts.astype(np.float32)))
        data.obsm["X_glue"] = (state + rng.normal(scale=0.1, size=state.shape)).astype(np.float32)
        return data

    rna = measured(GENES, activity[::5], 3.0)
    atac = measured(ELEMENTS, activity, 0.5)
    rna.var_names = [f"g{i}" for i in range(GENES)]
    atac.var_names = [f"e{i}" for i in range(ELEMENTS)]
    gene, element = np.divmod(np.arange(GENES * ELEMENTS), ELEMENTS)
    links = pd.DataFrame(
        {
            "source": rna.var_names[gene],
            "target": atac.var_names[element],
            "source_chrom": "chr1",
            "source_start": 10_000 + 50_000 * gene,
            "source_end": 20_000 + 50_000 * gene,
            "source_strand": "+",
            "target_chrom": "chr1",
            "target_start": 10_000 * element,
            "target_end": 10_000 * element + 500,
            "distance": np.abs(50_000 * gene - 10_000 * element),
        }
    )
    return rna, atac, links.assign(true=element == 5 * gene)


def test_spearman_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.poisson(1.0, (30, 5)).astype(float), rng.poisson(1.0, (30, 7)).astype(float)
    x[:, 2] = 4.0  # does not vary
    gene, element = (each.ravel() for each in np.meshgrid(np.arange(5), np.arange(7)))
    found = spearman(sp.csr_matrix(x), sp.csr_matrix(y), gene, element)
    expected = [
        0.0 if i == 2 else spearmanr(x[:, i], y[:, j]).statistic for i, j in zip(gene, element, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_path_is_that_of_sklearn() -> None:
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(80, 6)), rng.normal(size=80)
    penalties = np.array([0.2, 0.05])
    path = _path(x, y, penalties)
    for at, penalty in enumerate(penalties):
        expected = Lasso(alpha=penalty, fit_intercept=False, tol=1e-8).fit(x, y).coef_
        np.testing.assert_allclose(path[:, at], expected, atol=2e-3)


def test_lasso_tells_the_cause_from_what_goes_along_with_it() -> None:
    rng = np.random.default_rng(2)
    cause = rng.normal(size=300)
    values = np.column_stack([cause, 0.7 * cause + rng.normal(size=300), rng.normal(size=300), np.ones(300)])
    response = np.column_stack([2 * cause + rng.normal(size=300), np.zeros(300), -values[:, 2] + 3])
    gene = np.repeat([2, 0, 1], 4)  # in any order
    found = lasso(sp.csr_matrix(response), sp.csr_matrix(values), gene, np.tile(np.arange(4), 3)).reshape(
        3, 4
    )
    assert found[1, 0] > 0.7
    assert np.abs(found[1, 1:]).max() < 0.15
    assert found[0, 2] < -0.8
    assert not found[2].any()
    again = lasso(sp.csr_matrix(response), sp.csr_matrix(values), gene, np.tile(np.arange(4), 3))
    np.testing.assert_array_equal(found.ravel(), again)


def test_metacells_hold_all_cells_and_add_them_up() -> None:
    rna, atac, _ = problem()
    group = joint_metacells({"rna": rna.obsm["X_glue"], "atac": atac.obsm["X_glue"]}, 40, seed=1)
    everyone = np.concatenate(list(group.values()))
    assert set(everyone) == set(range(everyone.max() + 1))
    totals = aggregate(rna.X, group["rna"], 40)
    expected = pd.DataFrame(rna.X.toarray()).groupby(group["rna"]).sum()
    np.testing.assert_allclose(totals.toarray()[expected.index], expected)
    np.testing.assert_allclose(aggregate(rna.X.toarray(), group["rna"], 40).toarray(), totals.toarray())
    normal = log_normalised(totals).toarray()
    np.testing.assert_allclose(np.expm1(normal).sum(axis=1)[expected.index], 1e4)
    again = joint_metacells({"rna": rna.obsm["X_glue"], "atac": atac.obsm["X_glue"]}, 40, seed=1)
    np.testing.assert_array_equal(group["atac"], again["atac"])


def test_true_pairs_stand_out_of_unpaired_cells() -> None:
    rna, atac, links = problem()
    links.index = links.index[::-1]
    found = baseline_scores(links, rna, atac, metacells=60, methods=["distance", "spearman", "lasso"])
    assert found.index.equals(links.index)
    assert found.columns.tolist() == ["distance", "spearman", "lasso"]
    assert found["distance"].tolist() == (-links["distance"]).tolist()
    for method in ("spearman", "lasso"):
        assert roc_auc_score(links["true"], found[method]) > 0.9
    shuffled = links.sample(frac=1, random_state=0)
    again = baseline_scores(shuffled, rna, atac, metacells=60, methods=["spearman"])
    pd.testing.assert_frame_equal(again.loc[links.index], found[["spearman"]])


def test_counts_may_be_in_a_layer() -> None:
    rna, atac, links = problem(cells=300)
    expected = baseline_scores(links, rna, atac, metacells=20, methods="spearman")
    for data in (rna, atac):
        data.layers["counts"] = data.X
        data.X = sp.csr_matrix(data.shape, dtype=np.float32)
    found = baseline_scores(links, rna, atac, metacells=20, methods="spearman", layers=("counts", "counts"))
    pd.testing.assert_frame_equal(found, expected)


def test_modalities_that_do_not_mix_are_told_of() -> None:
    rna, atac, links = problem(cells=300)
    apart = atac.copy()
    apart.obsm["X_glue"] = atac.obsm["X_glue"] + 100
    with pytest.raises(InputError, match=r"^metacells: 0 of \d+ metacells hold cells of both"):
        baseline_scores(links, rna, apart, metacells=40, methods=["spearman"])
    far = 100 + 5 * atac.obsm["X_glue"]
    apart.obsm["X_glue"] = np.where(np.arange(300)[:, None] < 100, atac.obsm["X_glue"], far)
    with pytest.warns(OmicsGlueWarning, match=r"only 1\d of \d+ metacells"):
        baseline_scores(links, rna, apart, metacells=40, methods=["spearman"])


def test_refusals() -> None:
    rna, atac, links = problem(cells=60)
    with pytest.raises(OptionError, match="did you mean 'spearman'"):
        baseline_scores(links, rna, atac, methods=["spearmann"])
    with pytest.raises(OptionError, match="no baseline is named"):
        baseline_scores(links, rna, atac, methods=[])
    with pytest.raises(OptionError, match="0 metacells"):
        baseline_scores(links, rna, atac, methods=["lasso"], metacells=0)
    with pytest.raises(InputError, match="did you mean 'X_glue'"):
        baseline_scores(links, rna, atac, methods=["lasso"], embedding="X_glu")
    with pytest.raises(InputError, match="features of the pairs are not in the data: e0, e1"):
        baseline_scores(links, rna, rna, methods=["lasso"])
    with pytest.raises(InputError, match="no layer 'counts'"):
        baseline_scores(links, rna, atac, methods=["lasso"], layers=("counts", None))
    with pytest.raises(InputError, match="no column distance"):
        baseline_scores(links.drop(columns="distance"), rna, atac, methods=["distance"])
    narrow = atac.copy()
    narrow.obsm["X_glue"] = atac.obsm["X_glue"][:, :3]
    with pytest.raises(InputError, match="3 and 6 dimensions"):
        baseline_scores(links, rna, narrow, methods=["lasso"])
    narrow.obsm["X_glue"] = np.full((60, 6), np.nan, dtype=np.float32)
    with pytest.raises(InputError, match="not finite"):
        baseline_scores(links, rna, narrow, methods=["lasso"])


def test_coaccessibility_asks_for_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    rna, atac, links = problem(cells=100)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OptionError, match="circe-py, which is not installed") as caught:
        baseline_scores(links, rna, atac, methods=["coaccessibility"])
    assert "pip install circe-py" in caught.value.remedy
    assert baseline_scores(links, rna, atac, metacells=15).columns.tolist() == [
        "distance",
        "spearman",
        "lasso",
    ]


def stand_in(network: np.ndarray | None) -> types.ModuleType:
    """Return a module that puts a known network of the elements in their order on the genome into place."""
    module = types.ModuleType("circe")

    def compute_atac_network(data: AnnData, *, key: str, **options: object) -> None:
        print("on the terminal")
        if network is None:
            raise RuntimeError("No informative windows found")
        starts = data.var["start"].to_numpy()
        assert (np.diff(starts) >= 0).all()
        data.varp[key] = sp.csr_matrix(network)

    module.compute_atac_network = compute_atac_network  # type: ignore[attr-defined]
    return module


def test_coaccessibility_is_the_highest_with_an_element_of_the_promoter(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # on the genome: b, d, a, c; the promoter of the first gene holds b and d, that of the second none
    elements = pd.DataFrame(
        {"chrom": "chr1", "start": [500, 100, 900, 150], "end": [600, 200, 1000, 250]}, index=list("abcd")
    )
    elements.loc["e"] = [np.nan, -1, -1]
    promoters = pd.DataFrame({"chrom": "chr1", "start": [90, 2000], "end": [300, 2100]})
    network = np.array([[1, 0.2, 0.3, 0.1], [0.2, 1, 0.5, -0.4], [0.3, 0.5, 1, 0], [0.1, -0.4, 0, 1]])
    monkeypatch.setattr("omicsglue.tl.baselines.cicero.is_installed", lambda: True)
    monkeypatch.setitem(sys.modules, "circe", stand_in(network))
    gene, element = np.array([0, 0, 0, 0, 1]), np.array([0, 1, 2, 3, 0])
    values = sp.csr_matrix(np.ones((3, 5)))
    found = coaccessibility(values, elements, promoters, gene, element)
    np.testing.assert_allclose(found, [0.5, 1.0, 0.1, 1.0, np.nan])
    assert capsys.readouterr().out == ""
    monkeypatch.setitem(sys.modules, "circe", stand_in(None))
    with pytest.raises(InputError, match="No informative windows"):
        coaccessibility(values, elements, promoters, gene, element)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_coaccessibility_by_the_package_itself() -> None:
    pytest.importorskip("circe")
    rng = np.random.default_rng(0)
    shared = rng.normal(size=(100, 1))
    values = np.exp(rng.normal(size=(100, 200)))
    values[:, [20, 24]] = np.exp(2 * shared + 0.1 * rng.normal(size=(100, 2)))
    elements = pd.DataFrame({"chrom": "chr1", "start": 10_000 * np.arange(1, 201)})
    elements["end"] = elements["start"] + 500
    promoters = elements.iloc[[20]].reset_index(drop=True)
    near = np.arange(15, 30)
    found = coaccessibility(sp.csr_matrix(values), elements, promoters, np.zeros(15, dtype=np.int64), near)
    assert near[np.argsort(found)[-2:]].tolist() == [24, 20]
