"""Which values suit which kind of data, and what is said of those that do not."""

from __future__ import annotations

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from omicsglue.data.kinds import Kind, check_values, suits
from omicsglue.data.matrices import survey_matrix
from omicsglue.errors import InputError, OmicsGlueWarning

COUNTS = np.array([[0, 1, 4], [2, 0, 1], [1, 1, 0]], dtype=np.float32)


def annotated(values: np.ndarray | sp.spmatrix) -> ad.AnnData:
    obs, var = (pd.DataFrame(index=[f"{kind}{i}" for i in range(3)]) for kind in ("cell", "gene"))
    return ad.AnnData(values, obs=obs, var=var)


GOOD: list[tuple[Kind, np.ndarray]] = [
    ("counts", COUNTS),
    ("covered counts", COUNTS),
    ("binary", (COUNTS > 0).astype(np.float32)),
    ("real", COUNTS - 2.5),
    ("non-negative", COUNTS * 0.3),
    ("fractions", COUNTS / 4),
]


@pytest.mark.parametrize(("kind", "values"), GOOD)
@pytest.mark.parametrize("form", [np.asarray, sp.csr_matrix, sp.csc_matrix])
def test_values_of_the_kind_pass(kind: Kind, values: np.ndarray, form: type) -> None:
    survey = check_values(annotated(form(values)), None, kind)
    assert survey.n_nonzero == np.count_nonzero(values)
    assert suits(survey, kind)


@pytest.mark.parametrize(
    ("kind", "value", "words", "remedy"),
    [
        ("counts", 0.5, "fractional", "raw counts"),
        ("covered counts", -1.0, "negative", "raw counts"),
        ("binary", 0.5, "fractional.*zeros and ones", "binarised"),
        ("binary", -1.0, "negative.*zeros and ones", "binarised"),
        ("non-negative", -0.5, "negative.*positive values", "normal or zinormal"),
        ("fractions", 1.5, "above 1.*from 0 to 1", "divide percentages by 100"),
        ("fractions", -0.5, "negative.*from 0 to 1", "betabinomial"),
        ("real", np.inf, "infinite", "remove"),
        ("fractions", np.inf, "infinite", "remove"),
    ],
)
def test_a_value_of_another_kind_is_named(kind: Kind, value: float, words: str, remedy: str) -> None:
    values = dict(GOOD)[kind].copy()
    values[1, 2] = value
    adata = annotated(values)
    assert not suits(survey_matrix(adata.X), kind)
    with pytest.raises(InputError, match=f"(?s)^x.X: 1 of .*{words}|1 of .*{words}") as caught:
        check_values(adata, None, kind, where="x")
    assert caught.value.where == "x.X"
    assert f"{value:.4g} (cell cell1, feature gene2)" in caught.value.what
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(("kind", "values"), GOOD)
def test_gaps_are_counted_and_accepted(kind: Kind, values: np.ndarray) -> None:
    values = values.astype(np.float32)
    values[[0, 2], [0, 1]] = np.nan
    with pytest.warns(OmicsGlueWarning, match=r"x.X: 2 of 9 values are NaN; they are taken as missing"):
        survey = check_values(annotated(values), None, kind, where="x")
    assert survey.nan.count == 0
    assert survey.n_nonzero == np.count_nonzero(np.nan_to_num(values))
    assert suits(survey_matrix(values), kind)


@pytest.mark.parametrize(
    ("place", "words"),
    [((1, slice(None)), "1 of 3 cells is NaN.*cell1"), ((slice(None), 2), "1 of 3 features is NaN.*gene2")],
)
def test_cells_and_features_without_any_value_are_refused(place: tuple, words: str) -> None:
    values = COUNTS.copy()
    values[place] = np.nan
    with pytest.raises(InputError, match=words):
        check_values(annotated(values), None, "counts")


def test_counts_become_zeros_and_ones_with_a_warning() -> None:
    with pytest.warns(OmicsGlueWarning, match="counts up to 4; every count above 0 is taken as 1"):
        check_values(annotated(COUNTS), None, "binary")
