"""What ``run.json`` holds: options, inputs, versions, times, memory."""

from __future__ import annotations

import hashlib
import platform
import sys
import time
import warnings
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

import omicsglue
from omicsglue.data.checks import check_representation
from omicsglue.data.matrices import iter_row_blocks, matrix_of
from omicsglue.data.shards import number_held_out
from omicsglue.errors import OmicsGlueWarning, RunFolderError, examples
from omicsglue.graph import GuidanceGraph
from omicsglue.io import sha256_of
from omicsglue.keys import batch_columns
from omicsglue.pipeline.files import File, Source, files_of, paths_of
from omicsglue.pipeline.options import IntegrateOptions

if TYPE_CHECKING:
    from omicsglue.recipe import Recipe

PACKAGES: Final = ("anndata", "mudata", "numpy", "pandas", "scanpy", "scikit-learn", "scipy", "torch")

WHERE_COMPUTED: Final = ("device", "devices", "threads", "checkpoint_minutes")
"""Options that say where and how a run is computed, not what; a resumed run may have others."""

RESERVED: Final = ("annotation", "graph", "protein_genes")
"""Names of inputs that are no modalities."""

_ROUNDED: Final = ("device", "devices", "threads")  # of these, those on which the last digits depend


class Clock:
    """Seconds of each part of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str | None) -> None:
        """Give the time since the last call to a part, or to none."""
        now = time.perf_counter()
        if name is not None:
            self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self._last, 4)
        self._last = now


def versions() -> dict[str, str]:
    """Return versions of the package, of what it computes with, and of Python."""
    found = {"omicsglue": omicsglue.__version__, "python": platform.python_version()}
    return found | {name: version(name) for name in PACKAGES}


def resolved_options(
    options: IntegrateOptions, cells: Mapping[str, int], *, device: str, threads: int
) -> dict[str, Any]:
    """Return the options of a run with the values that are used.

    Parameters
    ----------
    options
        Options of the run.
    cells
        Cells of each modality, in order.
    device, threads
        What is used.

    Returns
    -------
    As the options, with ``batch_size`` (cells of each modality in a step), ``max_epochs`` (the most that a
    stage can have) and ``max_epochs_by_stage``.
    """
    recipe = options.recipe(max(cells.values()))
    epochs = allowed_epochs(recipe, list(cells.values()), options.devices)
    return options.record(cells) | {
        "batch_size": recipe.batch_size,
        "max_epochs": max(epochs.values()),
        "max_epochs_by_stage": epochs,
        "device": device,
        "threads": threads,
    }


def allowed_epochs(recipe: Recipe, cells: Iterable[int], processes: int = 1) -> dict[str, int]:
    """Return after how many epochs each stage ends at the latest.

    The same as ``Stage.epochs``, before there is a stage.

    Parameters
    ----------
    recipe
        Settings of training.
    cells
        Cells of each modality.
    processes
        How many processes train together.
    """
    most = max(number - number_held_out(number, recipe.validation) for number in cells)
    stages = {} if recipe.balancing is None else {"pretrain": recipe.pretrain}
    return {
        name: config.epochs(config.epoch_length(most, processes))
        for name, config in {**stages, "train": recipe.train}.items()
    }


def describe_inputs(
    given: Mapping[str, Source],
    read: Mapping[str, AnnData],
    annotation: str | Path | pd.DataFrame | None,
    graph: str | Path | GuidanceGraph | None,
    options: IntegrateOptions,
) -> dict[str, dict[str, Any]]:
    """Return what went in, with digests by which a resumed run knows its inputs again.

    Parameters
    ----------
    given
        Objects, files, or several files, by name.
    read
        The same, read.
    annotation, graph
        As given.
    options
        Options of the run; they say which parts of an object matter.

    Returns
    -------
    By name ``path`` (``None`` of an object), ``sha256``, and ``cells`` and ``features`` of a modality. Of
    several files ``path`` is a list, ``files`` has path and digest of each, and ``sha256`` is made of these.
    """
    inputs: dict[str, dict[str, Any]] = {}
    for name, source in given.items():
        entry: dict[str, Any] = {"path": None, "sha256": ""}
        if not isinstance(source, AnnData):
            entry = _described(source)
        else:
            entry["sha256"] = digest(read[name], name, options)
        inputs[name] = entry | {"cells": read[name].n_obs, "features": read[name].n_vars}
    # A mapping of proteins is among the options already, and a file of them an input like the others
    proteins = options.protein_genes if isinstance(options.protein_genes, str) else None
    for name, table in (("annotation", annotation), ("graph", graph), ("protein_genes", proteins)):
        if isinstance(table, str | Path):
            inputs[name] = {"path": str(table), "sha256": sha256_of(table)}
        elif table is not None:
            frame = table.to_frame() if isinstance(table, GuidanceGraph) else table
            inputs[name] = {"path": None, "sha256": hashlib.sha256(_bytes_of(frame)).hexdigest()}
    return inputs


def _described(source: File | tuple[File, ...]) -> dict[str, Any]:
    files = [
        {"path": str(file), "sha256": sha256_of(path)}
        for file, path in zip(files_of(source), paths_of(source), strict=True)
    ]
    if len(files) == 1:
        return files[0]
    joint = hashlib.sha256("\n".join(file["sha256"] for file in files).encode()).hexdigest()
    return {"path": [file["path"] for file in files], "sha256": joint, "files": files}


def digest(adata: AnnData, name: str, options: IntegrateOptions) -> str:
    """Return a digest of what a run uses of an object: its counts, names and what the options name."""
    total = hashlib.sha256()
    for _, block in iter_row_blocks(matrix_of(adata, options.layer.get(name))):
        rows = sp.csr_matrix(block)
        for part in (rows.indptr, rows.indices, rows.data):
            total.update(np.ascontiguousarray(part).tobytes())
    if name in options.representation:
        dense = check_representation(adata, options.representation[name], where=name)
        total.update(dense.tobytes())
    columns = batch_columns(options.batch_key[name], adata.obs) if name in options.batch_key else []
    columns += [options.label_key[name]] if name in options.label_key else []
    columns += [options.pairing_key] if options.pairing_key is not None else []
    for table in (adata.obs[columns], adata.var):
        total.update(_bytes_of(table))
    return total.hexdigest()


def _bytes_of(table: pd.DataFrame) -> bytes:
    """Return bytes that change with a table's index, columns and values."""
    return table.to_csv(index=True).encode()


def check_same_run(before: Mapping[str, Any], now: Mapping[str, Any], where: str) -> None:
    """Check that a resumed run has the options and inputs with which it began.

    Parameters
    ----------
    before
        The record of the run.
    now
        What its record would be now.
    where
        The run folder.

    Raises
    ------
    RunFolderError
        If it has not; the message names what differs.

    Warns
    -----
    OmicsGlueWarning
        If it is computed in another way, so that its last digits may differ from an uninterrupted run's.
    """
    old, new = before.get("options", {}), now["options"]
    differ = [
        f"{key} was {old.get(key)!r}, now {new[key]!r}"
        for key in new
        if key not in WHERE_COMPUTED and old.get(key) != new[key]
    ]
    was, is_ = (
        {name: entry.get("sha256") for name, entry in record.get("inputs", {}).items()}
        for record in (before, now)
    )
    differ += [f"the input {name} was not given" for name in is_ if name not in was]
    differ += [
        _what_differs(name, before["inputs"][name], now["inputs"][name])
        for name in is_
        if was.get(name, is_[name]) != is_[name]
    ]
    differ += [f"the input {name} is not given now" for name in was if name not in is_]
    if differ:
        raise RunFolderError(
            f"the run began with other options or inputs: {'; '.join(differ)}",
            where=where,
            remedy="resume with the options and files it began with, or start again with --overwrite",
        )
    elsewhere = [f"{key} was {old.get(key)}, is {new[key]}" for key in _ROUNDED if old.get(key) != new[key]]
    elsewhere += [
        f"{name} was {before.get('versions', {}).get(name)}, is {found}"
        for name, found in now["versions"].items()
        if before.get("versions", {}).get(name) != found
    ]
    if elsewhere:
        warnings.warn(
            f"{where}: the run goes on in another way than it began ({'; '.join(elsewhere)}), so the last "
            "digits of its result may differ from those of an uninterrupted run",
            OmicsGlueWarning,
            stacklevel=2,
        )


def _what_differs(name: str, was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Say of several files of an input which they are, or which one is another."""
    old, new = (entry.get("files", [entry]) for entry in (was, now))
    if len(old) != len(new):
        return f"the input {name} had {len(old)} file{'s' * (len(old) > 1)}, now {len(new)}"
    changed = [
        str(file["path"]) for one, file in zip(old, new, strict=True) if one["sha256"] != file["sha256"]
    ]
    of_several = f" ({examples(changed)})" if len(new) > 1 else ""
    return f"the input {name} has another content{of_several}"


def peak_memory() -> int:
    """Return the largest resident size of this process so far, in bytes."""
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(peak if sys.platform == "darwin" else peak * 1024)
