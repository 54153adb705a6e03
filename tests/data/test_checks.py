"""Checks of what the user gives: what passes, what warns, what is refused, and with which words."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from omicsglue.data import checks, matrices
from omicsglue.data.setup import ModalitySetup
from omicsglue.errors import InputError, OmicsGlueWarning, OptionError


def annotated(matrix: Any, **columns: Any) -> ad.AnnData:
    n_cells, n_features = matrix.shape
    return ad.AnnData(
        matrix,
        obs=pd.DataFrame(columns, index=[f"cell{i}" for i in range(n_cells)]),
        var=pd.DataFrame(index=[f"gene{i}" for i in range(n_features)]),
    )


def counts(n_cells: int = 12, n_features: int = 5) -> np.ndarray:
    return np.random.default_rng(0).poisson(2.0, (n_cells, n_features)).astype(np.float32) + np.float32(1)


def backed(adata: ad.AnnData, folder: Path) -> ad.AnnData:
    adata.write_h5ad(folder / "backed.h5ad")
    return ad.read_h5ad(folder / "backed.h5ad", backed="r")


Holder = Callable[[np.ndarray, Path], ad.AnnData]
HOLDERS: dict[str, Holder] = {
    "dense": lambda m, _: annotated(m),
    "integer": lambda m, _: annotated(np.nan_to_num(m).astype(np.int32)),
    "csr": lambda m, _: annotated(sp.csr_matrix(m)),
    "csr_array": lambda m, _: annotated(sp.csr_array(m)),
    "csc": lambda m, _: annotated(sp.csc_matrix(m)),
    "backed dense": lambda m, folder: backed(annotated(m), folder),
    "backed csr": lambda m, folder: backed(annotated(sp.csr_matrix(m)), folder),
    "backed csc": lambda m, folder: backed(annotated(sp.csc_matrix(m)), folder),
}
FLOATS = [name for name in HOLDERS if name != "integer"]


@pytest.fixture(params=list(HOLDERS))
def holder(request: pytest.FixtureRequest) -> Holder:
    return HOLDERS[request.param]


@pytest.fixture(params=FLOATS)
def float_holder(request: pytest.FixtureRequest) -> Holder:
    return HOLDERS[request.param]


# Matrices


def test_blocks_put_together_are_the_matrix(holder: Holder, tmp_path: Path) -> None:
    values = counts()
    values[3] = 0
    matrix = checks.matrix_of(holder(values, tmp_path), None)
    starts, blocks = zip(*checks.iter_row_blocks(matrix, 5), strict=True)
    assert starts == (0, 5, 10)
    dense = [block.toarray() if sp.issparse(block) else block for block in blocks]
    np.testing.assert_array_equal(np.vstack(dense), values)


def test_survey_counts_what_is_there(float_holder: Holder, tmp_path: Path) -> None:
    values = counts()
    values[2], values[:, 4] = 0, 0
    values[0, 0], values[5, 1], values[7, 3], values[8, 0] = np.nan, np.inf, -2, 1.5
    survey = checks.survey_matrix(checks.matrix_of(float_holder(values, tmp_path), None))
    np.testing.assert_array_equal(survey.nonzero_per_cell, (values != 0).sum(axis=1))
    np.testing.assert_array_equal(survey.nonzero_per_feature, (values != 0).sum(axis=0))
    assert (survey.nan.count, survey.infinite.count, survey.negative.count, survey.fractional.count) == (
        1,
        1,
        1,
        1,
    )
    assert survey.negative.places == [(7, 3, -2.0)]
    assert survey.fractional.places == [(8, 0, 1.5)]
    assert survey.largest == values[np.isfinite(values)].max()


@settings(deadline=None)
@given(
    values=hnp.arrays(
        np.float32,
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=8),
        elements=st.sampled_from([0.0, 0.0, 1.0, 2.0, 0.5, -1.0, np.nan, np.inf, -np.inf]),
    ),
    block=st.integers(1, 64),
)
def test_survey_does_not_depend_on_storage_or_block(values: np.ndarray, block: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(matrices, "_DENSE_BLOCK", block)
        patch.setattr(matrices, "_SPARSE_BLOCK", block)
        found = [checks.survey_matrix(form(values)) for form in (np.asarray, sp.csr_matrix, sp.csc_matrix)]
    finite = values[np.isfinite(values)]
    for survey in found:
        np.testing.assert_array_equal(survey.nonzero_per_cell, (values != 0).sum(axis=1))
        assert survey.nan.count == np.isnan(values).sum()
        assert survey.infinite.count == np.isinf(values).sum()
        assert survey.negative.count == (finite < 0).sum()
        assert survey.fractional.count == (finite % 1 != 0).sum()


def test_wide_backed_data_are_never_loaded_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adata = backed(annotated(sp.csr_matrix(counts(200, 50))), tmp_path)
    monkeypatch.setattr(matrices, "_SPARSE_BLOCK", 500)
    largest = max(block.shape[0] for _, block in checks.iter_row_blocks(checks.matrix_of(adata, None)))
    assert largest == 10


def test_matrix_that_is_not_there() -> None:
    adata = annotated(counts())
    adata.layers["counts"] = counts()
    assert checks.matrix_of(adata, "counts") is adata.layers["counts"]
    with pytest.raises(InputError, match="layers there are: counts"):
        checks.matrix_of(adata, "raw", where="rna")
    with pytest.raises(InputError, match="there is no matrix X"):
        checks.matrix_of(ad.AnnData(obs=adata.obs, var=adata.var), None)


def test_matrix_of_other_kinds() -> None:
    adata = annotated(sp.coo_matrix(counts()).tocsr())
    adata.layers["text"] = np.full(adata.shape, "a", dtype=object)
    with pytest.raises(InputError, match="not numbers"):
        checks.matrix_of(adata, "text", where="rna")


# Counts


def test_counts_pass_however_they_are_held(holder: Holder, tmp_path: Path) -> None:
    adata = holder(counts(), tmp_path)
    assert checks.check_counts(adata).is_counts


def refused_counts(adata: ad.AnnData, layer: str | None = None) -> InputError:
    with pytest.raises(InputError) as caught:
        checks.check_counts(adata, layer, where="rna")
    return caught.value


@pytest.mark.parametrize(
    ("value", "words"), [(-1.0, "negative"), (0.5, "fractional"), (np.nan, "NaN"), (np.inf, "infinite")]
)
def test_one_wrong_value_is_found_and_named(
    float_holder: Holder, tmp_path: Path, value: float, words: str
) -> None:
    values = counts()
    values[7, 3] = value
    error = refused_counts(float_holder(values, tmp_path))
    assert error.where == "rna.X"
    assert f"1 of 60 non-zero values is {words}" in error.what
    assert "(cell cell7, feature gene3)" in error.what


def test_log_normalised_data_are_recognised_and_the_counts_layer_is_pointed_to() -> None:
    raw = counts()
    adata = annotated(np.log1p(1e4 * raw / raw.sum(axis=1, keepdims=True)))
    error = refused_counts(adata)
    assert "looks like log-normalised data" in error.what
    assert "sequencing pipeline" in error.remedy
    adata.layers["spliced"] = raw
    assert "layer='spliced'" in refused_counts(adata).remedy


def test_counts_in_raw_or_in_x_are_pointed_to() -> None:
    adata = annotated(counts())
    adata.raw = adata.copy()
    adata.X = np.log1p(adata.X)
    assert "adata.raw" in refused_counts(adata).remedy
    adata.layers["log"], adata.X = adata.X.copy(), counts()
    assert "leave out the layer" in refused_counts(adata, "log").remedy


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: (m - m.mean()) / m.std(), "scaled or centred"),
        (lambda m: m - 4, "subtracted"),
        (lambda m: m * 1000.25, "normalised data"),
    ],
)
def test_other_transformations_are_recognised(change: Callable[[np.ndarray], np.ndarray], words: str) -> None:
    assert words in refused_counts(annotated(change(counts()))).what


def test_corrected_counts_are_recognised() -> None:
    values = counts(40, 20)
    values[0, 0] = 1.25
    assert "after correction" in refused_counts(annotated(values)).what


def test_real_values_may_be_anything_finite() -> None:
    assert checks.check_finite(annotated(counts() - 2.5)).negative.count
    with pytest.raises(InputError, match="NaN"):
        checks.check_finite(annotated(np.array([[1.0, np.nan]], dtype=np.float32)))


def test_empty_cells_and_features_warn_and_stay(holder: Holder, tmp_path: Path) -> None:
    values = counts()
    values[2], values[9], values[:, 1] = 0, 0, 0
    adata = holder(values, tmp_path)
    survey = checks.check_counts(adata)
    with pytest.warns(OmicsGlueWarning) as caught:
        empty = checks.warn_of_empty(survey, adata, where="rna")
    assert np.flatnonzero(empty).tolist() == [2, 9]
    messages = [str(warning.message) for warning in caught]
    assert "2 of 12 cells have no counts at all (cell2, cell9)" in messages[0]
    assert "1 of 5 features are 0 in every cell (gene1)" in messages[1]
    assert adata.n_obs == 12


def test_nothing_but_zeros_is_refused() -> None:
    adata = annotated(np.zeros((3, 2), dtype=np.float32))
    with pytest.raises(InputError, match="every value is 0"):
        checks.warn_of_empty(checks.check_counts(adata), adata)


# Modalities


@pytest.mark.parametrize(("shape", "kind"), [((0, 3), "cells"), ((3, 0), "features")])
def test_empty_modality(shape: tuple[int, int], kind: str) -> None:
    with pytest.raises(InputError, match=f"there are no {kind}"):
        checks.check_shape(annotated(np.zeros(shape, dtype=np.float32)), where="rna")


@pytest.mark.parametrize("slot", ["obs", "var"])
def test_repeated_names(slot: str) -> None:
    adata = annotated(counts(8, 8))
    checks.check_unique_names(adata)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        setattr(adata, f"{slot}_names", ["a", "a", "b", "b", "c", "d", "e", "f"])
    with pytest.raises(InputError, match="more than once: a, b\n") as caught:
        checks.check_unique_names(adata, where="rna")
    assert f"{slot}_names_make_unique" in caught.value.remedy


def test_modalities_that_fit() -> None:
    atac = annotated(counts())
    atac.var_names = [f"peak{i}" for i in range(5)]
    checks.check_modalities({"rna": annotated(counts()), "atac": atac})


def test_modalities_that_do_not() -> None:
    rna, protein = annotated(counts()), annotated(counts())
    protein.var_names = ["gene3", "CD4", "CD8", "gene1", "CD19"]
    with pytest.raises(OptionError, match="at least two modalities, but got rna"):
        checks.check_modalities({"rna": rna})
    with pytest.raises(InputError, match="same object is given as 'rna' and as 'atac'"):
        checks.check_modalities({"rna": rna, "atac": rna})
    with pytest.raises(
        InputError, match="rna and protein: the same feature names occur in both: gene1, gene3"
    ) as caught:
        checks.check_modalities({"rna": rna, "protein": protein})
    assert "'protein:' + protein.var_names" in caught.value.remedy


@pytest.mark.parametrize("name", ["", "1rna", "r/na", "../x", "rna ", "a.b", "é"])
def test_names_that_cannot_be_used(name: str) -> None:
    with pytest.raises(OptionError, match="cannot be the name of a modality"):
        checks.check_modality_name(name)


def test_batch_size_that_cells_can_fill() -> None:
    assert checks.check_enough_cells(1000, 128) == 128
    with pytest.warns(OmicsGlueWarning, match="100 cells to train on, fewer than a batch of 128"):
        assert checks.check_enough_cells(100, 128) == 100
    for few in (0, 1):
        with pytest.raises(InputError, match="to train on"):
            checks.check_enough_cells(few, 128, where="rna")
    with pytest.raises(OptionError, match="batch size is 1"):
        checks.check_enough_cells(1000, 1)


# Keys


@pytest.mark.parametrize("slot", ["obs", "var", "obsm", "layers"])
def test_key_that_is_not_there(slot: checks.Slot) -> None:
    adata = annotated(counts())
    values: Any = {"obs": 0, "var": 0, "obsm": np.zeros((12, 2)), "layers": counts()}[slot]
    getattr(adata, slot)["X_pca"] = values
    assert checks.check_key(adata, slot, "X_pca") == "X_pca"
    with pytest.raises(InputError, match=r"'x_pcs'; did you mean 'X_pca'\?") as caught:
        checks.check_key(adata, slot, "x_pcs", where="rna")
    assert caught.value.where == f"rna.{slot}"
    assert caught.value.remedy.endswith("X_pca")


def test_likelihood_that_is_not_known() -> None:
    assert checks.check_likelihood("nb") == "nb"
    with pytest.raises(OptionError, match="choose one of: bernoulli, beta"):
        checks.check_likelihood("negbin", where="rna")


def test_support_is_that_of_the_likelihoods() -> None:
    from omicsglue.nn.likelihoods import LIKELIHOODS

    assert dict(checks.SUPPORT) == {name: likelihood.support for name, likelihood in LIKELIHOODS.items()}


@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, pd.DataFrame], ids=["array", "sparse", "frame"])
def test_representation_as_a_float_array(form: Callable[[np.ndarray], Any]) -> None:
    adata, values = annotated(counts()), np.random.default_rng(0).normal(size=(12, 3))
    held = form(values)
    if isinstance(held, pd.DataFrame):
        held.index, held.columns = adata.obs_names, ["a", "b", "c"]
    adata.obsm["X_pca"] = held
    found = checks.check_representation(adata, "X_pca")
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, values, rtol=1e-6)


def test_representation_that_cannot_be_used() -> None:
    adata = annotated(counts())
    values = np.ones((12, 3))
    with pytest.raises(InputError, match="no key 'X_pca'"):
        checks.check_representation(adata, "X_pca")
    with pytest.raises(InputError, match=r"shape \(11, 3\), but there are 12 cells"):
        checks.check_representation(adata, values[:11])
    with pytest.raises(InputError, match="1 dimension, fewer than 2"):
        checks.check_representation(adata, values[:, :1])
    with pytest.raises(InputError, match="not numbers"):
        checks.check_representation(adata, values.astype(str))
    values[[3, 8], 1] = np.nan, np.inf
    with pytest.raises(InputError, match="2 of 12 cells: cell3, cell8"):
        checks.check_representation(adata, values)


# Columns


def test_batches_in_the_order_of_the_column() -> None:
    donors = pd.Categorical(["b", "a"] * 6, categories=["b", "a", "unused"])
    adata = annotated(counts(), donor=donors, plate=[2, 10] * 6)
    assert list(checks.check_batch_key(adata, "donor").categories) == ["b", "a"]
    codes, names = checks.batch_codes(adata, "plate")
    assert names == ("10", "2")
    assert codes.tolist() == [1, 0] * 6
    codes, names = checks.batch_codes(adata, "donor", ("a", "c", "b"))
    assert codes.tolist() == [2, 0] * 6
    assert codes.dtype == np.int64


def test_several_columns_are_combined() -> None:
    donors = pd.Categorical(["b", "a", "a"] * 20, categories=["b", "a"])
    adata = annotated(counts(60), donor=donors, plate=[1, 2, 1] * 20)
    codes, names = checks.batch_codes(adata, "donor, plate")
    assert names == ("b / 1", "a / 1", "a / 2")
    assert codes.tolist() == [0, 2, 1] * 20
    codes, _ = checks.batch_codes(adata, "donor,plate", ("a / 2", "b / 1", "a / 1"))
    assert codes.tolist() == [1, 0, 2] * 20
    adata.obs["donor,plate"] = "x"
    adata.obs.loc["cell1", "donor,plate"] = "y"  # a column of this very name is meant by it
    assert list(checks.check_batch_key(adata, "donor,plate").categories) == ["x", "y"]


def test_columns_that_cannot_be_combined() -> None:
    adata = annotated(
        counts(), holes=["a", None] * 6, row=[*"abcd"] * 3, column=[*"aaaabbbbcccc"], donor=["a", "b"] * 6
    )
    with pytest.raises(InputError, match="there is no column 'plate'"):
        checks.check_batch_key(adata, "donor,plate")
    with pytest.raises(InputError, match=r"\['holes'\].*6 of 12 cells have no batch"):
        checks.check_batch_key(adata, "donor,holes")
    with pytest.raises(InputError, match=r"\['row', 'column'\].*a batch of its own \(a / a, a / b"):
        checks.check_batch_key(adata, "row,column")
    with pytest.warns(OmicsGlueWarning, match=r"4 of 4 combinations have fewer than 20 cells \(a / a: 3"):
        checks.check_batch_key(adata, "row,donor")


def test_no_batch_key_is_one_batch() -> None:
    codes, names = checks.batch_codes(annotated(counts()), None)
    assert names == ("all",)
    assert codes.tolist() == [0] * 12


def test_batches_that_cannot_be_used() -> None:
    adata = annotated(
        counts(),
        holes=["a", None] * 6,
        barcode=[str(i) for i in range(12)],
        one=["a"] * 12,
        donor=["a", "b"] * 6,
    )
    with pytest.raises(InputError, match="6 of 12 cells have no batch: cell1, cell3"):
        checks.check_batch_key(adata, "holes")
    with pytest.raises(InputError, match="a batch of its own"):
        checks.check_batch_key(adata, "barcode")
    with pytest.warns(OmicsGlueWarning, match=r"one batch \(a\)"):
        checks.check_batch_key(adata, "one")
    with pytest.raises(InputError, match="does not know the batch b"):
        checks.batch_codes(adata, "donor", ("a", "c"))


def test_labels_and_their_gaps() -> None:
    adata = annotated(
        counts(),
        full=["T", "B"] * 6,
        gaps=["T", "B", np.nan] * 4,
        none=[np.nan] * 12,
        barcode=[str(i) for i in range(12)],
    )
    assert list(checks.check_labels(adata, "full").categories) == ["B", "T"]
    with pytest.warns(OmicsGlueWarning, match=r"4 of 12 cells \(33.3%\) have no label"):
        labels = checks.check_labels(adata, "gaps")
    assert labels.codes.tolist() == [1, 0, -1] * 4
    with pytest.raises(InputError, match="no cell has a label"):
        checks.check_labels(adata, "none")
    with pytest.raises(InputError, match="12 different labels for 12 cells"):
        checks.check_labels(adata, "barcode")


# Setup


def test_setup_of_usable_data_changes_nothing(holder: Holder, tmp_path: Path) -> None:
    adata = holder(counts(), tmp_path)
    adata.obs["donor"] = ["a", "b"] * 6
    adata.obsm["X_pca"] = np.random.default_rng(0).normal(size=(12, 3))
    before = adata.to_memory().copy()
    checks.check_setup(adata, ModalitySetup(representation="X_pca", batch_key="donor", labels_key="donor"))
    after = adata.to_memory()
    pd.testing.assert_frame_equal(after.obs, before.obs)
    assert set(after.obsm) == set(before.obsm)
    assert dict(after.uns) == dict(before.uns)
    assert type(after.X) is type(before.X)
    assert after.X.dtype == before.X.dtype


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        (ModalitySetup(likelihood="nbb"), "no likelihood 'nbb'"),
        (ModalitySetup(layer="raw"), "no layer 'raw'"),
        (ModalitySetup(representation="X_pca"), "no key 'X_pca'"),
        (ModalitySetup(batch_key="donor"), "no column 'donor'"),
        (ModalitySetup(labels_key="type"), "no column 'type'"),
    ],
)
def test_setup_that_names_what_is_not_there(setup: ModalitySetup, words: str) -> None:
    with pytest.raises((InputError, OptionError), match=words):
        checks.check_setup(annotated(counts()), setup, "rna")


def test_modelled_columns_whatever_holds_them(holder: Holder, tmp_path: Path) -> None:
    values = counts()
    values[3] = 0
    modelled = np.array([True, False, True, False, True])
    matrix = checks.modelled_matrix(holder(values, tmp_path), ModalitySetup(), modelled)
    assert isinstance(matrix, sp.csr_matrix)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix.toarray(), values[:, modelled])


def test_modelled_columns_that_cannot_be_used() -> None:
    adata = annotated(counts() + np.float32(0.5))
    with pytest.raises(InputError, match="none of its 5 features is in the guidance graph"):
        checks.modelled_matrix(adata, ModalitySetup(), np.zeros(5, dtype=bool), "rna")
    with pytest.raises(InputError, match="fractional"):
        checks.modelled_matrix(adata, ModalitySetup(), np.ones(5, dtype=bool), "rna")
    with pytest.raises(InputError, match="too large"):
        checks.modelled_matrix(annotated(np.full((2, 2), 1e300)), ModalitySetup(), np.ones(2, dtype=bool))


@pytest.mark.data
def test_real_counts_pass(shared_data: Path) -> None:
    adata = ad.read_h5ad(shared_data / "snare_mini" / "atac.h5ad")
    survey = checks.check_counts(adata, where="atac")
    assert survey.n_nonzero == adata.X.nnz
