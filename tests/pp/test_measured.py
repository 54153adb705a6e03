"""Selection and components of values that are no complete counts."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from counts_on_disk import FORMATS, backed, named, on_disk
from omicsglue.data.setup import ModalitySetup
from omicsglue.datasets import simulate
from omicsglue.errors import InputError, OmicsGlueWarning, OptionError
from omicsglue.metrics import label_transfer_accuracy
from omicsglue.pp import counts, measured
from omicsglue.pp.measured import are_complete_counts, pca_measured, select_measured

SETUP = ModalitySetup(likelihood="betabinomial")


@pytest.fixture(scope="module")
def meth() -> ad.AnnData:
    data = simulate(
        200, genes=150, types=3, rare_share=0.2, modalities=("rna", "methylation"), depth={"methylation": 0.4}
    )
    return data["methylation"]


def with_gap(adata: ad.AnnData) -> ad.AnnData:
    copy = adata.copy()
    copy.X = copy.X.toarray()
    copy.X[3, 4] = np.nan
    return copy


def test_complete_counts_are_told_from_others(meth: ad.AnnData) -> None:
    for likelihood in ("nb", "zinb", "poisson", "bernoulli", "nbmixture"):
        assert are_complete_counts(meth, ModalitySetup(likelihood=likelihood))
    assert not are_complete_counts(meth, SETUP)
    assert not are_complete_counts(meth, ModalitySetup(likelihood="normal"))
    assert not are_complete_counts(meth, ModalitySetup(coverage="coverage"))
    assert not are_complete_counts(with_gap(meth), ModalitySetup())
    sparse = with_gap(meth)
    sparse.X = sp.csc_matrix(sparse.X)
    assert not are_complete_counts(sparse, ModalitySetup())


def test_components_of_rates_tell_types_apart(meth: ad.AnnData) -> None:
    copy = meth.copy()
    found = pca_measured(copy, SETUP, 20)
    assert found is copy.obsm["X_pca"]
    assert found.dtype == np.float32
    types = copy.obs["cell_type"].to_numpy()
    half = np.arange(200) % 2 == 0
    assert label_transfer_accuracy(found[half], types[half], found[~half], types[~half]) > 0.9


def test_components_of_complete_values_are_those_of_linear_algebra() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 2)) @ (5 * rng.normal(size=(2, 12))) + rng.normal(size=(60, 12))
    adata = ad.AnnData(values.astype(np.float32))
    found = pca_measured(adata, ModalitySetup(likelihood="normal"), 5)
    scaled = (values - values.mean(0)) / values.std(0)
    scores = np.linalg.svd(scaled, full_matrices=False)[0][:, : found.shape[1]]
    overlap = np.abs(np.corrcoef(found.T, scores.T)[: found.shape[1], found.shape[1] :])
    np.testing.assert_allclose(np.diag(overlap)[:2], 1, atol=1e-3)


def test_features_are_selected_by_variance_and_only_where_they_differ() -> None:
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(50, 5)) * [3, 0, 1, 2, 0.5] + 1).astype(np.float32)
    adata = ad.AnnData(values)
    setup = ModalitySetup(likelihood="normal")
    assert select_measured(adata, setup).tolist() == [True, False, True, True, True]
    assert select_measured(adata, setup, 2).tolist() == [True, False, False, True, False]
    assert adata.var["highly_variable"].tolist() == [True, False, False, True, False]


def test_too_little_is_refused() -> None:
    adata = ad.AnnData(np.ones((5, 4), dtype=np.float32))
    with pytest.raises(InputError, match="3 features that differ, found 5 and 0"):
        pca_measured(adata, ModalitySetup(likelihood="normal"), where="x")
    with pytest.raises(OptionError, match="n_components"):
        pca_measured(adata, ModalitySetup(likelihood="normal"), 1)


@pytest.mark.parametrize("form", FORMATS)
def test_gaps_are_found_on_disk_without_loading(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "_PART", 100)
    values = np.random.default_rng(0).poisson(1.0, (60, 20)).astype(np.float32)
    with on_disk(named(values), tmp_path, form) as stored:
        assert are_complete_counts(stored, ModalitySetup())
    values[59, 19] = np.nan
    with on_disk(named(values), tmp_path, form) as stored:
        assert not are_complete_counts(stored, ModalitySetup())


def test_values_on_disk_that_take_much_memory_are_loaded_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = np.random.default_rng(0).normal(size=(60, 20)).astype(np.float32)
    setup, expected = ModalitySetup(likelihood="normal"), named(values)
    select_measured(expected, setup, 10)
    with backed(named(values), tmp_path) as stored:
        select_measured(stored, setup, 10)
        monkeypatch.setattr(counts, "MUCH", 1000)
        with pytest.warns(OmicsGlueWarning, match="gaps are filled in; this takes about"):
            select_measured(stored, setup, 10)
        assert stored.var["highly_variable"].equals(expected.var["highly_variable"])
