"""Room on the disk, made sure of before HDF5 writes: when a disk fills up under it, HDF5 ends the process."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import scipy.sparse as sp

if TYPE_CHECKING:
    from anndata import AnnData

_MARGIN: Final = 1.05
_OVERHEAD: Final = 2**20  # bytes of a file that holds next to nothing, generously
_CELL: Final = 32  # bytes of a cell in the tables that join the modalities


def room_for(modalities: Mapping[str, AnnData]) -> int:
    """Return how many bytes a MuData file of these modalities takes at most, without compression.

    Parameters
    ----------
    modalities
        By name, in memory.
    """
    total = 0
    for adata in modalities.values():
        names = int(adata.obs_names.memory_usage(deep=True) + adata.var_names.memory_usage(deep=True))
        total += names + _CELL * (adata.n_obs + adata.n_vars) * len(modalities)
        parts = [adata.X, adata.obs, adata.var, adata.uns, adata.raw.X if adata.raw is not None else None]
        slots = (adata.layers, adata.obsm, adata.varm, adata.obsp, adata.varp)
        total += sum(map(_size, [*parts, *(each for slot in slots for each in dict(slot).values())]))
    return int(total * _MARGIN) + _OVERHEAD


def reserve(path: Path, size: int) -> None:
    """Make sure that a file of so many bytes can be written, and leave an empty one.

    Parameters
    ----------
    path
        Of the file.
    size
        In bytes.

    Raises
    ------
    OSError
        If there is no room for it: the disk is full, a quota used up, or the file too large.
    """
    if shutil.disk_usage(path.parent).free < size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    with path.open("wb") as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        file.truncate(0)


def _size(part: Any) -> int:
    """Return the bytes of an array, a table, or a mapping of such."""
    if part is None:
        return 0
    if isinstance(part, pd.DataFrame | pd.Series):
        return int(np.sum(part.memory_usage(index=True, deep=True)))
    if sp.issparse(part):
        arrays = (getattr(part, name, None) for name in ("data", "indices", "indptr", "row", "col"))
        return sum(int(array.nbytes) for array in arrays if array is not None)
    if isinstance(part, Mapping):
        return sum(1024 + _size(value) for value in part.values())
    if isinstance(part, np.ndarray):
        return int(part.nbytes) + (64 * part.size if part.dtype.hasobject else 0)
    return 1024 + len(str(part)) if isinstance(part, str | int | float | bool) else 4096
