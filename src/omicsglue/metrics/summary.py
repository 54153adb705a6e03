"""The GLUE paper's summaries of its six scores."""

from __future__ import annotations

from omicsglue.errors import InputError

BIOLOGY_SHARE = 0.6


def biology_summary(
    *, mean_average_precision: float, cell_type_asw: float, neighbour_conservation: float
) -> float:
    """Mean of the three scores of biology.

    Parameters
    ----------
    mean_average_precision, cell_type_asw, neighbour_conservation
        What the functions of these names return, each 0 to 1.

    Returns
    -------
    float
        0 to 1, 1 the best.

    References
    ----------
    Cao & Gao 2022, doi 10.1038/s41587-022-01284-4.
    """
    return _mean(
        mean_average_precision=mean_average_precision,
        cell_type_asw=cell_type_asw,
        neighbour_conservation=neighbour_conservation,
    )


def mixing_summary(
    *, omics_layer_asw: float, graph_connectivity: float, seurat_alignment_score: float
) -> float:
    """Mean of the three scores of mixing.

    Parameters
    ----------
    omics_layer_asw, graph_connectivity, seurat_alignment_score
        What the functions of these names return, each 0 to 1.

    Returns
    -------
    float
        0 to 1, 1 the best.

    References
    ----------
    Cao & Gao 2022, doi 10.1038/s41587-022-01284-4.
    """
    return _mean(
        omics_layer_asw=omics_layer_asw,
        graph_connectivity=graph_connectivity,
        seurat_alignment_score=seurat_alignment_score,
    )


def overall_score(*, biology: float, mixing: float) -> float:
    """Weighted mean of the two summaries: 0.6 biology + 0.4 mixing.

    The paper scales each score to 0..1 over the methods it compares before taking means; one run alone has
    nothing to be scaled against, so the scores enter as they are.

    Examples
    --------
    >>> round(overall_score(biology=0.5, mixing=1.0), 3)
    0.7
    """
    _mean(biology=biology, mixing=mixing)
    return BIOLOGY_SHARE * biology + (1 - BIOLOGY_SHARE) * mixing


def _mean(**scores: float) -> float:
    for name, value in scores.items():
        if not -1e-9 <= value <= 1 + 1e-9:
            raise InputError(
                f"{value!r} does not lie in 0..1",
                where=name,
                remedy="give the score as this package computes it",
            )
    return sum(scores.values()) / len(scores)
