"""``integrate``: read, prepare, train, write, report."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsglue.errors import OmicsGlueWarning, OptionError, TrainingError
from omicsglue.graph import GuidanceGraph, write_graph
from omicsglue.keys import BALANCING_WEIGHT, EMBEDDING
from omicsglue.model import GLUE
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.prepare import Prepared, prepare, read_inputs
from omicsglue.pipeline.record import check_same_run, describe_inputs, peak_memory, versions
from omicsglue.report import write_report
from omicsglue.runs.folder import RunFolder
from omicsglue.training.progress import LiveBar, Reporter

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData


@dataclass(frozen=True)
class Integration:
    """What a run leaves.

    Attributes
    ----------
    modalities
        Copies of the inputs, with ``obsm["X_glue"]``, ``varm["X_glue"]`` and ``obs["glue_weight"]``.
    model
        The trained model.
    graph
        The guidance graph.
    folder
        The run folder; ``None`` where nothing was written.
    """

    modalities: dict[str, AnnData]
    model: GLUE
    graph: GuidanceGraph
    folder: RunFolder | None


def integrate(
    modalities: Mapping[str, AnnData | str | Path] | MuData,
    *,
    annotation: str | Path | pd.DataFrame | None = None,
    graph: str | Path | GuidanceGraph | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    reporter: Reporter | None = None,
    **options: Any,
) -> Integration:
    """Integrate modalities end to end.

    Parameters
    ----------
    modalities
        By name: AnnData or ``.h5ad`` files with counts; or a MuData. At least two. None is changed.
    annotation
        Genome annotation, GTF, GFF3 or BED, from which the guidance graph is built.
    graph
        A guidance graph, or its file, instead.
    out
        Run folder to write; nothing is written without one.
    overwrite, resume
        Replace a run that is there, or go on with it from its newest checkpoint.
    reporter
        Hears of the progress; a live bar by default.
    **options
        See :class:`~omicsglue.pipeline.options.IntegrateOptions`.

    Returns
    -------
    Integration

    Raises
    ------
    OmicsGlueError
        If the input or an option is wrong (nothing has been written then), or training fails.
    """
    clock = _Clock()
    reporter = reporter or LiveBar()
    resolved = IntegrateOptions.from_values(options)
    given = dict(getattr(modalities, "mod", modalities))
    folder = RunFolder(out) if out is not None else None
    if folder is not None:
        folder.check_free(overwrite=overwrite, resume=resume)
    elif resume or overwrite:
        raise OptionError("resume and overwrite need a run folder", where="integrate", remedy="give out=")
    try:
        with _collected(reporter) as said:
            reporter.stage("read")
            read = read_inputs(given, resolved)
            record = _first_record(given, read, annotation, graph, resolved)
            clock.lap("read")
            if resume and folder is not None and folder.run_json.exists():
                check_same_run(folder.record(), record, str(folder.path))
            reporter.stage("prepare")
            prepared = prepare(read, annotation, graph, resolved)
            model = GLUE(prepared.modalities, prepared.graph, resolved.recipe())
            clock.lap("prepare")
        if folder is not None:
            folder = RunFolder.create(folder.path, overwrite=overwrite, resume=resume)
            folder.write_record({**record, "warnings": said, "status": "running"})
        _train(model, resolved, folder, reporter, resume=resume)
        clock.seconds |= model.seconds
        clock.lap(None)
        _annotate(prepared, model)
        if folder is not None:
            reporter.stage("write")
            record |= _model_record(prepared, model) | {"warnings": said}
            _write(folder, prepared, model, record, clock)
            reporter.message(f"done: {folder.path}")
    finally:
        reporter.close()
    return Integration(prepared.modalities, model, prepared.graph, folder)


def _train(
    model: GLUE, options: IntegrateOptions, folder: RunFolder | None, reporter: Reporter, *, resume: bool
) -> None:
    try:
        model.train(
            options.max_epochs,
            device=options.device,
            devices=options.devices,
            threads=options.threads,
            checkpoints=folder.checkpoints if folder is not None else None,
            checkpoint_minutes=options.checkpoint_minutes,
            resume=resume,
            reporter=reporter,
        )
    except TrainingError as error:
        if folder is not None:
            error.add_note(f"what was saved is in {folder.checkpoints}; go on with --resume")
        raise


def _annotate(prepared: Prepared, model: GLUE) -> None:
    """Write the embeddings and weights into the prepared copies."""
    for name, adata in prepared.modalities.items():
        adata.obsm[EMBEDDING] = model.get_latent_representation(name)
        adata.obs[BALANCING_WEIGHT] = model.balancing_weights(name)
        features = model.get_feature_embedding(name)
        full = np.full((adata.n_vars, features.shape[1]), np.nan, dtype=np.float32)
        full[adata.var_names.get_indexer(features.index)] = features.to_numpy()
        adata.varm[EMBEDDING] = full


def _write(
    folder: RunFolder, prepared: Prepared, model: GLUE, record: dict[str, Any], clock: _Clock
) -> None:
    write_graph(prepared.graph, folder.graph)
    model.save(folder.model)
    folder.write_history(model.history)
    folder.write_integrated(prepared.modalities)
    clock.lap("write")
    record |= {"seconds": clock.seconds, "peak_memory_bytes": peak_memory(), "status": "done"}
    folder.write_record(record)
    write_report(folder)
    clock.lap("report")
    folder.write_record(record | {"seconds": clock.seconds, "peak_memory_bytes": peak_memory()})


def _first_record(
    given: Mapping[str, AnnData | str | Path],
    read: Mapping[str, AnnData],
    annotation: str | Path | pd.DataFrame | None,
    graph: str | Path | GuidanceGraph | None,
    options: IntegrateOptions,
) -> dict[str, Any]:
    recipe = options.recipe()
    resolved = options.record() | {"batch_size": recipe.train.batch_size, "modalities": list(given)}
    return {
        "options": resolved,
        "seeds": {"seed": options.seed},
        "versions": versions(),
        "inputs": describe_inputs(given, read, annotation, graph),
    }


def _model_record(prepared: Prepared, model: GLUE) -> dict[str, Any]:
    entries = {}
    for name, adata in prepared.modalities.items():
        setup, match = model.setups[name], prepared.matches.get(name)
        entries[name] = {
            "likelihood": setup.likelihood,
            "layer": setup.layer,
            "representation": setup.representation,
            "cells": adata.n_obs,
            "features": adata.n_vars,
            "features_in_graph": model.graph_report.n_in_graph[name],
            "unmatched": list(match.unmatched) if match is not None else [],
        }
    return {"modalities": entries}


class _Clock:
    """Seconds of each part of a run."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str | None) -> None:
        """Give the time since the last call to a part, or to none."""
        now = time.perf_counter()
        if name is not None:
            self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


@contextmanager
def _collected(reporter: Reporter) -> Iterator[list[str]]:
    """Collect the package's own warnings, tell them to the reporter, and pass on those of others."""
    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OmicsGlueWarning)
        try:
            yield said
        finally:
            mine = [str(each.message) for each in caught if issubclass(each.category, OmicsGlueWarning)]
            said.extend(dict.fromkeys(mine))
            for text in said:
                reporter.message(f"warning: {text}")
    for each in caught:
        if not issubclass(each.category, OmicsGlueWarning):
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)
