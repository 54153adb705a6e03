"""Labels: what counts as unknown, what modalities must share, and which labels neighbours bear out."""

from __future__ import annotations

import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from omicsglue.data.labels import check_labels, check_types, known_labels, supported_labels
from omicsglue.errors import InputError, OmicsGlueWarning


def adata(labels: list[object]) -> ad.AnnData:
    obs = pd.DataFrame({"type": labels}, index=[f"c{i}" for i in range(len(labels))])
    return ad.AnnData(np.ones((len(labels), 2), dtype=np.float32), obs=obs)


@pytest.mark.parametrize("categorical", [False, True])
def test_unknown_labels_empty_text_and_missing_values_are_no_types(categorical: bool) -> None:
    column = pd.Series(["T", "Unassigned", "", None, "B"], dtype="category" if categorical else object)
    assert known_labels(column, ["Unassigned"]).tolist() == ["T", None, None, None, "B"]
    assert known_labels(column).tolist() == ["T", "Unassigned", None, None, "B"]


def test_named_unknown_labels_are_left_out_of_the_types() -> None:
    data = adata(["T", "B", "T", "B", "doublet", "?"])
    with pytest.warns(OmicsGlueWarning, match="2 of 6 cells"):
        labels = check_labels(data, "type", unknown=("doublet", "?"))
    assert list(labels.categories) == ["B", "T"]
    assert labels.codes.tolist() == [1, 0, 1, 0, -1, -1]
    with pytest.raises(InputError, match="no cell has a label"):
        check_labels(adata(["Unknown"] * 6), "type", unknown=("Unknown",))


def test_labels_that_seem_to_mean_unknown_are_warned_of() -> None:
    with pytest.warns(OmicsGlueWarning, match=r"Unknown \(2 cells\).*\n.*--unknown-label"):
        check_labels(adata(["T", "B", "T", "B", "Unknown", "Unknown"]), "type")


def test_modalities_that_share_no_type_are_warned_of_with_both_lists() -> None:
    with pytest.warns(OmicsGlueWarning, match="rna has T, B|rna has B, T") as said:
        check_types({"rna": {"T", "B"}, "atac": {"T cell", "B cell"}})
    assert "atac has B cell, T cell" in str(said[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_types({"rna": {"T", "B"}, "atac": {"B", "NK"}})
        check_types({})


def test_one_type_teaches_nothing() -> None:
    with pytest.raises(InputError, match="rna and atac: all labels are of one type"):
        check_types({"rna": {"T"}, "atac": {"T"}})
    check_types({"rna": {"T"}, "atac": {"T", "B"}})


def groups(rng: np.random.Generator, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return types and inputs that tell them apart."""
    truth = np.repeat(np.arange(len(sizes)), sizes).astype(np.int64)
    inputs = np.eye(8)[truth] * 4 + rng.normal(size=(len(truth), 8))
    return truth, inputs.astype(np.float32)


@pytest.mark.parametrize("sparse", [False, True])
def test_wrong_labels_go_and_right_ones_stay(sparse: bool) -> None:
    rng = np.random.default_rng(0)
    truth, inputs = groups(rng, [200, 150, 100, 50])
    wrong = rng.random(500) < 0.4
    given = np.where(wrong, (truth + rng.integers(1, 4, 500)) % 4, truth)
    given[::7] = -1
    kept = supported_labels(given, sp.csr_matrix(inputs) if sparse else inputs, 20)
    assert (kept[given < 0] == -1).all()
    assert set(np.unique(np.where(kept >= 0, kept == given, True))) == {True}
    there = given >= 0
    assert (kept[there & ~wrong] >= 0).mean() > 0.98
    assert (kept[there & wrong] >= 0).mean() < 0.1


def test_right_labels_of_a_rare_type_stay() -> None:
    truth, inputs = groups(np.random.default_rng(1), [300, 290, 10])
    assert (supported_labels(truth, inputs, 20) == truth).mean() > 0.99
    assert (supported_labels(truth, inputs, 20)[truth == 2] == 2).all()


def test_few_labels_and_no_neighbours_change_nothing() -> None:
    truth, inputs = groups(np.random.default_rng(2), [100, 100])
    few = np.full_like(truth, -1)
    few[[3, 5, 150]] = [1, 0, 0]
    assert supported_labels(few, inputs, 20) is few
    assert supported_labels(truth, inputs, 0) is truth
