"""Whether a matrix holds counts, and if not, what it seems to hold and where the counts may be."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from omicsglue.data.matrices import MatrixSurvey, Tally, matrix_of, survey_matrix
from omicsglue.errors import InputError, OmicsGlueWarning, examples

if TYPE_CHECKING:
    from anndata import AnnData

_LARGEST_LOG: Final = 20.0  # log1p of any count that fits a sequencing run stays below
_MOST: Final = 0.5  # of the values are fractional after normalisation
_PEEK_CELLS: Final = 200


def matrix_name(layer: str | None) -> str:
    """Return how messages call a matrix: ``X`` or ``layers['counts']``."""
    return "X" if layer is None else f"layers[{layer!r}]"


def check_counts(
    adata: AnnData, layer: str | None = None, *, where: str = "adata", survey: MatrixSurvey | None = None
) -> MatrixSurvey:
    """Check that a matrix holds counts: whole numbers, none negative, whatever the type they are stored as.

    Parameters
    ----------
    adata
        Annotated data, in memory or backed; the matrix is read in blocks and not changed.
    layer
        The layer to check; ``X`` if None.
    where
        Name of the modality or object.
    survey
        What a pass over the matrix has found already.

    Returns
    -------
    MatrixSurvey
        What was found, for further checks without a second pass.

    Raises
    ------
    InputError
        If an entry is NaN, infinite, negative or fractional.
    """
    survey = survey or survey_matrix(matrix_of(adata, layer, where=where))
    if survey.is_counts:
        return survey
    place = f"{where}.{matrix_name(layer)}"
    _refuse_not_finite(survey, adata, place)
    wrong = [
        described(tally, adata, survey.n_nonzero, adjective)
        for tally, adjective in ((survey.negative, "negative"), (survey.fractional, "fractional"))
        if tally.count
    ]
    raise InputError(
        f"{'; '.join(wrong)}. {_likeness(survey)}, and this likelihood needs raw counts",
        where=place,
        remedy=_where_counts_are(adata, layer),
    )


def check_finite(
    adata: AnnData, layer: str | None = None, *, where: str = "adata", survey: MatrixSurvey | None = None
) -> MatrixSurvey:
    """Check that a matrix of real values holds no NaN and nothing infinite.

    Parameters
    ----------
    adata, layer, where, survey
        As for :func:`check_counts`.

    Raises
    ------
    InputError
        If an entry is NaN or infinite.
    """
    survey = survey or survey_matrix(matrix_of(adata, layer, where=where))
    if not survey.is_finite:
        _refuse_not_finite(survey, adata, f"{where}.{matrix_name(layer)}")
    return survey


def _refuse_not_finite(survey: MatrixSurvey, adata: AnnData, place: str) -> None:
    wrong = [
        described(tally, adata, survey.n_nonzero, adjective)
        for tally, adjective in ((survey.nan, "NaN (missing)"), (survey.infinite, "infinite"))
        if tally.count
    ]
    if wrong:
        raise InputError(
            "; ".join(wrong),
            where=place,
            remedy="remove the cells or features that hold such values, or set them to 0 if 0 was measured",
        )
    if survey.is_too_large:
        raise InputError(
            f"the largest value, {survey.largest:.4g}, is too large",
            where=place,
            remedy="check how the matrix was made: values of this size do not occur in sequencing",
        )


def warn_of_empty(survey: MatrixSurvey, adata: AnnData, *, where: str = "adata") -> NDArray[np.bool_]:
    """Warn of cells and features without any count; they are kept.

    Parameters
    ----------
    survey
        Of the matrix of `adata`.
    adata, where
        As for :func:`check_counts`.

    Returns
    -------
    ndarray of bool, length cells
        Which cells are empty.

    Raises
    ------
    InputError
        If every cell is empty.
    """
    empty: NDArray[np.bool_] = survey.nonzero_per_cell == 0
    if empty.all():
        raise InputError(
            "every value is 0",
            where=where,
            remedy="check that the right matrix or layer was chosen and that counts were written to it",
        )
    if empty.any():
        names = examples(adata.obs_names[np.flatnonzero(empty)], limit=3)
        warnings.warn(
            f"{where}: {int(empty.sum()):,} of {len(empty):,} cells have no counts at all ({names}); "
            "they are kept, but their place means nothing\n  -> remove them with scanpy.pp.filter_cells",
            OmicsGlueWarning,
            stacklevel=3,
        )
    unseen = survey.nonzero_per_feature == 0
    if unseen.any():
        names = examples(adata.var_names[np.flatnonzero(unseen)], limit=3)
        warnings.warn(
            f"{where}: {int(unseen.sum()):,} of {len(unseen):,} features are 0 in every cell ({names}); "
            "they are kept, but nothing is learnt of them\n  -> remove them with scanpy.pp.filter_genes",
            OmicsGlueWarning,
            stacklevel=3,
        )
    return empty


def described(tally: Tally, adata: AnnData, n_nonzero: int, adjective: str) -> str:
    """Say how many values are what they should not be, and where the first are."""
    shown = ", ".join(
        f"{value:.4g} (cell {adata.obs_names[row]}, feature {adata.var_names[column]})"
        for row, column, value in tally.places
    )
    verb = "is" if tally.count == 1 else "are"
    return f"{tally.count:,} of {n_nonzero:,} non-zero values {verb} {adjective}, for example {shown}"


def _likeness(survey: MatrixSurvey) -> str:
    """Say what the values look like, given that some are negative or fractional."""
    if survey.negative.count:
        if survey.fractional.count:
            return "This looks like scaled or centred data"
        return "Something was subtracted from the counts"
    if survey.fractional.count < _MOST * survey.n_nonzero:
        return "This looks like counts after correction (ambient RNA, doublets or multi-mapping)"
    if survey.largest <= _LARGEST_LOG:
        return "This looks like log-normalised data"
    return "This looks like normalised data"


def _where_counts_are(adata: AnnData, layer: str | None) -> str:
    """Point to a matrix of whole numbers in the same object, judged by its first cells."""
    candidates: list[str | None] = [None] if layer is not None and adata.X is not None else []
    candidates += [name for name in adata.layers if name != layer]
    for candidate in candidates:
        if _first_cells_are_counts(adata, candidate):
            if candidate is None:
                return "X seems to hold the counts: leave out the layer"
            return f"the layer {candidate!r} seems to hold the counts: choose it with layer={candidate!r}"
    if getattr(adata, "raw", None) is not None and _first_cells_are_counts(adata.raw.to_adata(), None):
        return "adata.raw seems to hold the counts: use adata.raw.to_adata() as the modality"
    return (
        "start from the raw counts of the sequencing pipeline, rounded if a correction made them fractional"
    )


def _first_cells_are_counts(adata: AnnData, layer: str | None) -> bool:
    try:
        return survey_matrix(matrix_of(adata, layer)[:_PEEK_CELLS]).is_counts
    except InputError:
        return False
