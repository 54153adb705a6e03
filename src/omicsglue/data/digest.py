"""A digest of all that training takes from the data, by which the checkpoints of a run are known again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.data.modality import ModalityData
from omicsglue.data.pairing import Pairing

if TYPE_CHECKING:
    from hashlib import _Hash


def update_digest(
    digest: _Hash, modalities: Mapping[str, ModalityData], pairing: Pairing | None = None
) -> None:
    """Take names, matrices, batches, labels and pairs into a digest.

    Of counts that stay on disk the sum of each cell stands for the whole.

    Parameters
    ----------
    digest
        Of :mod:`hashlib`; changed.
    modalities, pairing
        The data.
    """
    for cells in modalities.values():
        names = [cells.name, cells.likelihood, *cells.batches, *cells.features, *cells.cells]
        digest.update("\0".join(names).encode())
        counts = cells.library if cells.shuffle is not None else cells.counts
        for matrix in (counts, cells.inputs, cells.coverage):
            for array in _arrays(matrix):
                digest.update(np.ascontiguousarray(array).data)
        digest.update(cells.batch.data)
        digest.update(cells.label.data)
    if pairing is not None:
        for name, joint in pairing.joint.items():
            digest.update(name.encode() + joint.tobytes())


def _arrays(matrix: Any) -> tuple[npt.NDArray[Any], ...]:
    if sp.issparse(matrix):
        held: Any = matrix
        return held.indptr, held.indices, held.data
    return () if matrix is None else (matrix,)
