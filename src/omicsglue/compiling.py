"""How loops over arrays are compiled: by numba, on first use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

F, INT, U = np.float32, np.int32, np.uint32
# Reassociation and fused multiply-adds let loops be vectorised; infinities and NaN keep their meaning.
FAST = {"contract", "reassoc", "nsz", "arcp"}


def compiled(function: Callable[..., Any], **options: Any) -> Any:
    """Compile on first call; the machine code is kept on disk where there is a folder for it."""
    try:
        return numba.njit(cache=True, nogil=True, error_model="numpy", **options)(function)
    except RuntimeError:  # no folder can be written: compile in every process
        return numba.njit(nogil=True, error_model="numpy", **options)(function)
