"""Coverage and gaps: checked, brought together, and kept apart from zeros that were measured."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from omicsglue.data.checks import check_setup
from omicsglue.data.encoder_input import encoder_values
from omicsglue.data.missing import check_coverage, coverage_key, measured_entries
from omicsglue.data.modality import encoder_input, resolve
from omicsglue.data.setup import ModalitySetup
from omicsglue.errors import InputError, OmicsGlueWarning

METHYLATED = np.array([[0, 3, 1, 0], [2, 0, 0, 5], [1, 1, 4, 0]], dtype=np.float32)
COVERED = np.array([[0, 5, 2, 1], [2, 4, 0, 9], [3, 0, 8, 0]], dtype=np.float32)
COVERED[2, 1] = 1
SETUP = ModalitySetup(likelihood="betabinomial")


def meth(
    covered: np.ndarray | None = COVERED, form: type = sp.csr_matrix, **layers: np.ndarray
) -> ad.AnnData:
    obs = pd.DataFrame(index=["c1", "c2", "c3"])
    adata = ad.AnnData(form(METHYLATED), obs=obs, var=pd.DataFrame(index=list("wxyz")))
    if covered is not None:
        adata.layers["coverage"] = form(covered)
    for name, layer in layers.items():
        adata.layers[name] = layer
    return adata


def test_the_usual_layer_serves_where_coverage_is_needed_and_none_is_named() -> None:
    assert coverage_key(meth(), SETUP) == "coverage"
    assert (
        coverage_key(meth(total=COVERED), ModalitySetup(likelihood="betabinomial", coverage="total"))
        == "total"
    )
    assert coverage_key(meth(), ModalitySetup()) is None
    with pytest.raises(InputError, match="no coverage: betabinomial models methylated counts") as caught:
        coverage_key(meth(None, total=COVERED), SETUP, "meth")
    assert "total" in caught.value.remedy
    assert "--coverage meth=" in caught.value.remedy


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.nan, r"1 of 9 non-zero values is NaN, .*nan \(cell c2, feature x\)"),
        (np.inf, "infinite"),
        (-2.0, r"negative, for example -2 \(cell c2, feature x\)"),
        (2.5, "fractional"),
    ],
)
def test_coverage_that_cannot_be_used_is_named(form: type, value: float, words: str) -> None:
    covered = COVERED.copy()
    covered[1, 1] = value
    with pytest.raises(InputError, match=words) as caught:
        check_coverage(meth(covered, form), SETUP, "meth")
    assert caught.value.where == "meth.layers['coverage']"


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_more_methylated_than_covered_names_both_values(form: type) -> None:
    covered = COVERED.copy()
    covered[1, 3], covered[0, 1] = 4, 0
    with pytest.raises(InputError) as caught:
        check_coverage(meth(covered, form), SETUP, "meth")
    assert caught.value.what == (
        "2 counts exceed their coverage, for example 3 out of 0 (cell c1, feature x), "
        "5 out of 4 (cell c2, feature w)".replace("feature w", "feature z")
    )
    assert check_coverage(meth(COVERED, form), SETUP, "meth") is not None


def test_other_data_may_be_covered_in_part_whatever_their_values() -> None:
    setup = ModalitySetup(likelihood="nb", coverage="coverage")
    assert check_coverage(meth(COVERED * 0.5), setup) is not None
    assert check_coverage(meth(), ModalitySetup()) is None


def test_gaps_and_coverage_come_together() -> None:
    values = METHYLATED.copy()
    assert measured_entries(sp.csr_matrix(values), None)[1] is None
    values[0, 1] = np.nan
    found, coverage = measured_entries(sp.csr_matrix(values), None)
    assert np.array_equal(found.toarray(), np.nan_to_num(values))
    assert np.array_equal(coverage.toarray(), ~np.isnan(values))
    found, coverage = measured_entries(sp.csr_matrix(values), sp.csr_matrix(COVERED))
    known = np.where(np.isnan(values), 0, COVERED)
    assert np.array_equal(coverage.toarray(), known)
    assert np.array_equal(found.toarray(), np.where(known > 0, np.nan_to_num(values), 0))
    assert coverage.data.min() > 0
    assert found.has_sorted_indices
    assert coverage.has_sorted_indices


def test_resolved_covered_counts_are_in_the_order_that_is_asked_for() -> None:
    for features in (["w", "y"], ["z", "w", "y"]):
        columns = ["wxyz".index(name) for name in features]
        found = resolve("meth", meth(), SETUP, features)
        assert np.array_equal(found.counts.toarray(), METHYLATED[:, columns])
        assert np.array_equal(found.coverage.toarray(), COVERED[:, columns])
        assert found.library.tolist() == [1, 1, 1]


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix])
def test_gaps_in_counts_are_out_of_library_and_input(form: type) -> None:
    values = METHYLATED.copy()
    values[0, 1] = values[2, 2] = np.nan
    adata = meth(None)
    adata.X = form(values)
    found = resolve("rna", adata, ModalitySetup(), ["x", "y", "z"])
    assert np.array_equal(found.coverage.toarray(), ~np.isnan(values[:, 1:]))
    assert found.library.tolist() == [1, 5, 1]
    logged = np.log1p(1e4 * np.nan_to_num(values[:, 1:]) / found.library[:, None])
    assert found.inputs[0, 0] == pytest.approx(logged[1:, 0].mean())
    np.testing.assert_allclose(found.inputs[1], logged[1], rtol=1e-6)
    assert resolve("rna", meth(None), ModalitySetup(), ["x", "y"]).coverage is None


def test_counts_are_ones_for_a_likelihood_of_zeros_and_ones() -> None:
    with pytest.warns(OmicsGlueWarning, match="taken as 1"):
        check_setup(meth(), ModalitySetup(likelihood="bernoulli"), "atac")
    found = resolve("atac", meth(), ModalitySetup(likelihood="bernoulli"), list("wxyz"))
    assert np.array_equal(found.counts.toarray(), METHYLATED > 0)
    assert found.library.tolist() == [1, 1, 1]


def test_encoder_sees_rates_that_are_standardised_with_gaps_at_the_mean() -> None:
    inputs, standard = encoder_values(sp.csr_matrix(METHYLATED), sp.csr_matrix(COVERED), "covered counts")
    rates = np.where(COVERED > 0, METHYLATED / np.maximum(COVERED, 1), np.nan)
    mean, sd = np.nanmean(rates, axis=0), np.nanstd(rates, axis=0)
    np.testing.assert_allclose(standard.mean, mean, rtol=1e-6)
    sd[sd == 0] = 1
    np.testing.assert_allclose(inputs, np.nan_to_num((rates - mean) / sd), rtol=1e-4, atol=1e-6)
    assert (inputs[COVERED == 0] == 0).all()


@pytest.mark.parametrize("likelihood", ["normal", "zilognormal", "betabinomial"])
def test_other_cells_are_standardised_as_those_of_training(likelihood: str) -> None:
    setup, features = ModalitySetup(likelihood=likelihood), list("wxyz")
    data = resolve("x", meth(), setup, features)
    one = encoder_input("x", meth()[1:2].copy(), setup, features, data.standard)
    np.testing.assert_allclose(one, data.inputs[1:2], rtol=1e-6)
    assert data.inputs.std(0).max() == pytest.approx(1, rel=1e-3)


def test_features_that_do_not_differ_stay_finite() -> None:
    values = np.full((3, 2), 7.3, dtype=np.float32)
    inputs, _ = encoder_values(sp.csr_matrix(values), None, "real")
    assert np.abs(inputs).max() < 1e-4
