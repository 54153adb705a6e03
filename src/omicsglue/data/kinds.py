"""What kind of values each likelihood is for, and whether a matrix holds values of that kind."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from omicsglue.data.counts import check_counts, check_finite, described, matrix_name
from omicsglue.data.matrices import MatrixSurvey, Tally, matrix_of, survey_matrix, tally_values
from omicsglue.errors import InputError, OmicsGlueWarning, examples

if TYPE_CHECKING:
    from anndata import AnnData

Kind = Literal["counts", "binary", "real", "non-negative", "fractions", "covered counts"]

SUPPORT: Final[Mapping[str, Kind]] = {
    "nb": "counts",
    "zinb": "counts",
    "poisson": "counts",
    "normal": "real",
    "zinormal": "real",
    "zilognormal": "non-negative",
    "bernoulli": "binary",
    "beta": "fractions",
    "betabinomial": "covered counts",
    "nbmixture": "counts",
}
"""What kind of data each likelihood is for; the same as ``Likelihood.support``, here without torch."""


def suits(survey: MatrixSurvey, kind: Kind) -> bool:
    """Return whether the values that were measured are of a kind."""
    known = survey.of_measured()
    if kind in ("counts", "binary", "covered counts"):
        return known.is_counts
    if not known.is_finite or (kind != "real" and known.negative.count):
        return False
    return kind != "fractions" or known.largest <= 1


def check_values(adata: AnnData, layer: str | None, kind: Kind, *, where: str = "adata") -> MatrixSurvey:
    """Check that a matrix holds values of a kind; NaN is a missing value.

    Parameters
    ----------
    adata
        Annotated data, in memory or backed; the matrix is read in blocks and not changed.
    layer
        The layer to check; ``X`` if None.
    kind
        What the values have to be.
    where
        Name of the modality or object.

    Returns
    -------
    MatrixSurvey
        What was found of the values that are not missing. A warning says how many are, and whether counts
        become zeros and ones.

    Raises
    ------
    InputError
        If a value is infinite or of another kind, or a cell or feature has no value at all.
    """
    survey = survey_matrix(matrix_of(adata, layer, where=where))
    place = f"{where}.{matrix_name(layer)}"
    if survey.nan.count:
        _accept_missing(survey, adata, place)
        survey = survey.of_measured()
    if kind in ("counts", "covered counts"):
        return check_counts(adata, layer, where=where, survey=survey)
    check_finite(adata, layer, where=where, survey=survey)
    if kind == "binary":
        _check_binary(survey, adata, place)
    elif kind == "non-negative" and survey.negative.count:
        raise InputError(
            f"{described(survey.negative, adata, survey.n_nonzero, 'negative')}, and this likelihood needs "
            "zeros and positive values",
            where=place,
            remedy="give the values before they were centred or scaled, or choose normal or zinormal",
        )
    elif kind == "fractions":
        _check_fractions(survey, adata, layer, place)
    return survey


def _accept_missing(survey: MatrixSurvey, adata: AnnData, place: str) -> None:
    """Warn of missing values; refuse cells and features that have no other."""
    shape = (len(survey.nan_per_cell), len(survey.nan_per_feature))
    for missing, most, names, kind in (
        (survey.nan_per_cell, shape[1], adata.obs_names, "cells"),
        (survey.nan_per_feature, shape[0], adata.var_names, "features"),
    ):
        bare = np.flatnonzero(missing == most)
        if len(bare):
            raise InputError(
                f"{len(bare):,} of {len(missing):,} {kind} {'is' if len(bare) == 1 else 'are'} NaN (missing) "
                f"throughout: {examples(names[bare])}",
                where=place,
                remedy=f"remove these {kind}: nothing was measured of them",
            )
    warnings.warn(
        f"{place}: {survey.nan.count:,} of {shape[0] * shape[1]:,} values are NaN; they are taken as missing "
        "and left out of the likelihood\n  -> write 0 instead where 0 was measured",
        OmicsGlueWarning,
        stacklevel=4,
    )


def _check_binary(survey: MatrixSurvey, adata: AnnData, place: str) -> None:
    wrong = [
        described(tally, adata, survey.n_nonzero, adjective)
        for tally, adjective in ((survey.negative, "negative"), (survey.fractional, "fractional"))
        if tally.count
    ]
    if wrong:
        raise InputError(
            f"{'; '.join(wrong)}, and this likelihood needs zeros and ones",
            where=place,
            remedy="accessibility counts can be binarised: give the raw counts, of which 1 and more are "
            "taken as open; for fractions choose beta, for other values normal",
        )
    if survey.largest > 1:
        warnings.warn(
            f"{place}: it holds counts up to {survey.largest:,.0f}; every count above 0 is taken as 1\n"
            "  -> choose nb or poisson where it matters how often a feature was seen",
            OmicsGlueWarning,
            stacklevel=4,
        )


def _check_fractions(survey: MatrixSurvey, adata: AnnData, layer: str | None, place: str) -> None:
    above = Tally()
    if survey.largest > 1:
        above = tally_values(matrix_of(adata, layer), lambda values: values > 1)
    wrong = [
        described(tally, adata, survey.n_nonzero, adjective)
        for tally, adjective in ((survey.negative, "negative"), (above, "above 1"))
        if tally.count
    ]
    if wrong:
        raise InputError(
            f"{'; '.join(wrong)}, and this likelihood needs fractions from 0 to 1",
            where=place,
            remedy="divide percentages by 100, or choose betabinomial for methylated counts with coverage "
            "and normal for values without bounds",
        )
