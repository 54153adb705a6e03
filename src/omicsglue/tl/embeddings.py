"""Embeddings of several modalities in one space, as everybody may make them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from omicsglue.errors import InputError

REMEDY = "integrate the modalities first; their embedding is obsm['X_glue']"


def checked_embeddings(
    embeddings: Mapping[str, npt.NDArray[np.floating]],
) -> dict[str, npt.NDArray[np.float64]]:
    """Return embeddings in double precision, after checking that they are of one space.

    Parameters
    ----------
    embeddings
        Embedding of the cells of each modality, ``(cells, D)``.

    Raises
    ------
    InputError
        If values are not finite, or embeddings differ in width.
    """
    found = {name: np.asarray(each, dtype=np.float64) for name, each in embeddings.items()}
    widths = {each.shape[1] for each in found.values()}
    if len(widths) != 1:
        raise InputError(
            f"embeddings have {' and '.join(map(str, sorted(widths)))} dimensions",
            where=" and ".join(found),
            remedy=REMEDY,
        )
    for name, each in found.items():
        if not np.isfinite(each).all():
            raise InputError("the embedding holds values that are not finite", where=name, remedy=REMEDY)
    return found
