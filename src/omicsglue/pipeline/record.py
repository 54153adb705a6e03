"""What ``run.json`` holds: options, inputs, versions, times, memory."""

from __future__ import annotations

import hashlib
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse as sp

import omicsglue
from omicsglue.data.matrices import iter_row_blocks, matrix_of
from omicsglue.errors import RunFolderError, examples
from omicsglue.io import sha256_of

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData

    from omicsglue.graph import GuidanceGraph

PACKAGES = ("anndata", "mudata", "numpy", "pandas", "scanpy", "scikit-learn", "scipy", "torch")


def versions() -> dict[str, str]:
    """Return versions of the package, of what it computes with, and of Python."""
    found = {"omicsglue": omicsglue.__version__, "python": platform.python_version()}
    return found | {name: version(name) for name in PACKAGES}


def describe_inputs(
    given: Mapping[str, AnnData | str | Path],
    read: Mapping[str, AnnData],
    annotation: str | Path | pd.DataFrame | None,
    graph: str | Path | GuidanceGraph | None,
) -> dict[str, dict[str, Any]]:
    """Return what went in, with digests by which a resumed run knows its inputs again."""
    inputs: dict[str, dict[str, Any]] = {}
    for name, source in given.items():
        adata = read[name]
        entry: dict[str, Any] = {"cells": adata.n_obs, "features": adata.n_vars}
        if isinstance(source, str | Path):
            file = Path(str(source).split(".h5mu:")[0] + ".h5mu") if ".h5mu:" in str(source) else Path(source)
            entry |= {"path": str(source), "sha256": sha256_of(file)}
        else:
            entry |= {"path": None, "sha256": digest(adata)}
        inputs[name] = entry
    for name, source in (("annotation", annotation), ("graph", graph)):
        if isinstance(source, str | Path):
            inputs[name] = {"path": str(source), "sha256": sha256_of(source)}
        elif source is not None:
            frame = source.to_frame() if hasattr(source, "to_frame") else source
            text = frame.to_csv(index=True).encode()
            inputs[name] = {"path": None, "sha256": hashlib.sha256(text).hexdigest()}
    return inputs


def digest(adata: AnnData) -> str:
    """Return a digest of an object's names, matrix and representations."""
    total = hashlib.sha256()
    for names in (adata.obs_names, adata.var_names):
        total.update("\n".join(map(str, names)).encode())
    for layer in (None, *adata.layers):
        if layer is None and adata.X is None:
            continue
        for _, block in iter_row_blocks(matrix_of(adata, layer)):
            rows = sp.csr_matrix(block)
            for part in (rows.indptr, rows.indices, rows.data):
                total.update(np.ascontiguousarray(part).tobytes())
    for key in sorted(adata.obsm):
        total.update(np.ascontiguousarray(adata.obsm[key]).tobytes())
    return total.hexdigest()


def check_same_run(before: Mapping[str, Any], now: Mapping[str, Any], where: str) -> None:
    """Check that a resumed run has the options and inputs with which it began.

    Raises
    ------
    RunFolderError
        If it has not; the message names what differs.
    """
    old, new = before.get("options", {}), now["options"]
    differ = [f"{key} was {old.get(key)!r}, now {new[key]!r}" for key in new if old.get(key) != new[key]]
    was, is_ = (
        {name: entry.get("sha256") for name, entry in record.get("inputs", {}).items()} for record in (before, now)
    )
    differ += [f"the input {name} is another" for name in is_ if was.get(name) != is_[name]]
    differ += [f"the input {name} is gone" for name in was if name not in is_]
    if differ:
        raise RunFolderError(
            f"the run began with other options or inputs: {examples(differ)}",
            where=where,
            remedy="resume with the options and files it began with, or start again with --overwrite",
        )


def peak_memory() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
