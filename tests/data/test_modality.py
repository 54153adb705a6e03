"""One modality resolved: the right features in the right order, and what the encoder sees."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from omicsglue.data.modality import encoder_input, label_names, resolve
from omicsglue.data.setup import ModalitySetup
from omicsglue.errors import InputError

COUNTS = np.array([[1, 0, 2, 0], [0, 0, 0, 5], [3, 1, 0, 0]], dtype=np.float32)
SETUP = ModalitySetup(representation="X_pca")


@pytest.fixture
def adata() -> ad.AnnData:
    made = ad.AnnData(
        sp.csr_matrix(COUNTS),
        obs=pd.DataFrame(
            {"type": pd.Categorical(["b", None, "a"]), "number": [1.0, 2.0, np.nan]}, index=["c1", "c2", "c3"]
        ),
        var=pd.DataFrame(index=list("wxyz")),
    )
    made.obsm["X_pca"] = np.arange(6).reshape(3, 2)
    return made


def test_features_come_in_the_order_that_is_asked_for(adata: ad.AnnData) -> None:
    for features in (["w", "y", "z"], ["z", "w", "y"], ["y"]):
        found = resolve("rna", adata, SETUP, features)
        expected = COUNTS[:, ["wxyz".index(name) for name in features]]
        assert np.array_equal(found.counts.toarray(), expected)
        assert found.counts.has_sorted_indices
        assert list(found.features) == features
        assert found.library.tolist() == np.maximum(expected.sum(1), 1).tolist()
    assert list(found.cells) == ["c1", "c2", "c3"]
    assert found.batches == ("all",)
    assert len(found) == 3


def test_missing_features_are_named(adata: ad.AnnData) -> None:
    with pytest.raises(InputError, match="rna: the data lack features that are modelled: q"):
        resolve("rna", adata, SETUP, ["w", "q"])


def test_no_feature_at_all_is_refused(adata: ad.AnnData) -> None:
    with pytest.raises(InputError, match="guidance graph"):
        resolve("rna", adata, SETUP, [])


def test_labels_have_codes_and_unknown_ones_have_none(adata: ad.AnnData) -> None:
    setup = ModalitySetup(representation="X_pca", labels_key="type")
    names = label_names({"rna": adata}, {"rna": setup})
    assert names == ("a", "b")
    assert resolve("rna", adata, setup, ["w"], labels=names).label.tolist() == [1, -1, 0]
    assert resolve("rna", adata, setup, ["w"], labels=("b",)).label.tolist() == [0, -1, -1]
    assert resolve("rna", adata, SETUP, ["w"], labels=names).label.tolist() == [-1] * 3


def test_named_unknown_labels_have_no_code(adata: ad.AnnData) -> None:
    other = adata.copy()
    other.obs["type"] = ["Unassigned", "b", ""]
    data = {"x": adata, "y": other}
    setup = ModalitySetup(labels_key="type", representation="X_pca", unknown_labels=("Unassigned",))
    names = label_names(data, {"x": setup, "y": setup})
    assert names == ("a", "b")
    assert resolve("y", other, setup, ["w"], labels=names).label.tolist() == [-1, 1, -1]


def test_labels_may_be_numbers(adata: ad.AnnData) -> None:
    setup = ModalitySetup(representation="X_pca", labels_key="number")
    names = label_names({"rna": adata}, {"rna": setup})
    assert names == ("1.0", "2.0")
    assert resolve("rna", adata, setup, ["w"], labels=names).label.tolist() == [0, 1, -1]


def test_labels_of_all_modalities_are_united(adata: ad.AnnData) -> None:
    other = adata.copy()
    other.obs["type"] = ["c", "b", "b"]
    setup = ModalitySetup(labels_key="type")
    assert label_names({"x": adata, "y": other}, {"x": setup, "y": setup}) == ("a", "b", "c")
    assert label_names({"x": adata}, {"x": ModalitySetup()}) == ()
    with pytest.raises(InputError, match="nothing"):
        label_names({"x": adata}, {"x": ModalitySetup(labels_key="nothing")})


def test_a_representation_enters_as_it_is(adata: ad.AnnData) -> None:
    found = resolve("rna", adata, SETUP, ["w"])
    assert found.inputs.dtype == np.float32
    assert np.array_equal(found.inputs, adata.obsm["X_pca"])
    assert np.array_equal(found.input_rows(np.array([2, 0])), adata.obsm["X_pca"][[2, 0]])
    assert np.array_equal(encoder_input("rna", adata, SETUP, ["nowhere"]), adata.obsm["X_pca"])


def test_without_one_counts_enter_log_normalised_over_modelled_features(adata: ad.AnnData) -> None:
    found = resolve("rna", adata, ModalitySetup(), ["w", "y"])
    expected = np.log1p(1e4 * COUNTS[:, [0, 2]] / np.array([[3], [1], [3]]))
    np.testing.assert_allclose(found.inputs.toarray(), expected, rtol=1e-6)
    np.testing.assert_allclose(found.input_rows(np.array([1, 0])), expected[[1, 0]], rtol=1e-6)
    again = encoder_input("rna", adata, ModalitySetup(), ["w", "y"])
    np.testing.assert_allclose(again.toarray(), expected, rtol=1e-6)


def test_no_cells_are_refused_where_counts_are_needed(adata: ad.AnnData) -> None:
    with pytest.raises(InputError, match="no cells"):
        encoder_input("rna", adata[:0].copy(), ModalitySetup(), ["w"])
