"""``integrate``: read, prepare, train, write, report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from omicsglue.data.checks import check_modality_name
from omicsglue.data.inputs import split_mudata
from omicsglue.errors import InputError, OptionError, RunFolderError
from omicsglue.graph import GuidanceGraph, write_graph
from omicsglue.keys import BALANCING_WEIGHT, MEMBER_EMBEDDING, member_embedding
from omicsglue.pipeline.ensemble import joint_history, joint_seconds, save_ensemble, train_ensemble
from omicsglue.pipeline.failure import started
from omicsglue.pipeline.files import Source, paths_of, source_of
from omicsglue.pipeline.notices import heard, quiet
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.prepare import Prepared, check_guidance, prepare, read_inputs
from omicsglue.pipeline.proteins import DIVERGENCE
from omicsglue.pipeline.record import (
    RESERVED,
    Clock,
    check_same_run,
    describe_inputs,
    peak_memory,
    resolved_options,
    versions,
)
from omicsglue.pipeline.sources import Sources
from omicsglue.runs.folder import RunFolder
from omicsglue.training.progress import LiveBar, Reporter
from omicsglue.training.signals import Signals, listening

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

    from omicsglue.model import GLUE

RUNNING, DONE = "running", "done"


@dataclass(frozen=True)
class Integration:
    """What a run leaves.

    Attributes
    ----------
    modalities
        Copies of the inputs, with ``obsm["X_glue"]``, ``varm["X_glue"]`` and ``obs["glue_weight"]``; of
        the further members of an ensemble, with ``X_glue_1`` and so on.
    model
        The trained model; of an ensemble, member 0.
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
    modalities: Mapping[str, AnnData | str | Path | Sequence[str | Path]] | MuData,
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
        By name: AnnData or ``.h5ad`` files with counts (``file.h5mu:name`` for a modality of a MuData file),
        or lists of files or a pattern (``"plates/*.h5ad"``), which are read together; or a MuData. At least
        two modalities. None is changed.
    annotation
        Genome annotation, GTF, GFF3 or BED, from which the guidance graph is built. May be left out where
        genes have coordinates in ``var`` already.
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
        If the input or an option is wrong (nothing has been written then), or the run fails after it has
        started.

    KeyboardInterrupt
        On Ctrl-C or SIGTERM, with a note of what was saved; in the middle of training after a step.

    Warns
    -----
    OmicsGlueWarning
        Of what can be lived with; kept in ``run.json`` too.
    """
    resolved = IntegrateOptions.from_values(options)
    _follow_another(resolved)
    given = _given(modalities)
    check_guidance(annotation, graph, resolved)
    folder = RunFolder(out) if out is not None else None
    if folder is not None:
        folder.check_free(overwrite=overwrite, resume=resume)
        if overwrite and not resume:
            files = [path for each in given.values() for path in paths_of(each)]
            _check_inputs_outside(folder, [*files, annotation, graph])
    elif resume or overwrite:
        raise OptionError("resume and overwrite need a run folder", where="integrate", remedy="give out=")
    reporter = reporter or LiveBar()
    try:
        with heard() as said, listening() as signals:
            job = _Job(given, annotation, graph, resolved, folder, reporter, said, signals)
            return job.run(overwrite=overwrite, resume=resume)
    except KeyboardInterrupt as stop:
        if not getattr(stop, "__notes__", []):
            stop.add_note("stopped before anything was written")
        raise
    finally:
        reporter.close()


@dataclass
class _Job:
    """One run at work."""

    given: Mapping[str, Source]
    annotation: str | Path | pd.DataFrame | None
    graph: str | Path | GuidanceGraph | None
    options: IntegrateOptions
    folder: RunFolder | None
    reporter: Reporter
    said: list[str]
    signals: Signals

    def run(self, *, overwrite: bool, resume: bool) -> Integration:
        """Read, prepare, train, write; nothing is written before everything has been checked."""
        self.clock = Clock()
        proteins = {"protein_genes": self.options.protein_genes}
        self.sources = Sources({**self.given, "annotation": self.annotation, "graph": self.graph, **proteins})
        self.reporter.stage("read")
        read = read_inputs(self.given, self.options)
        record = self._first_record(read)
        self.sources.were_read(record["inputs"])
        self._ended("read")
        if resume and self._is_finished(record):
            return self._reopen()
        self.reporter.stage("prepare")
        prepared = prepare(read, self.annotation, self.graph, self.options)
        model = self._model(prepared)
        self._ended("prepare")
        if self.folder is not None:
            RunFolder.create(self.folder.path, overwrite=overwrite, resume=resume)
            self._begin(record)
        with started(self.folder):
            members = self._train(model, resume=resume)
            self.reporter.stage("embed")
            _annotate(prepared, members)
            self._ended("embed")
            if self.folder is not None:
                self._write(self.folder, prepared, members, record)
        return Integration(prepared.modalities, model, prepared.graph, self.folder)

    def _ended(self, stage: str) -> None:
        """Take the time of a stage; stop where that was asked, or where an input file has changed."""
        self.clock.lap(stage)
        self.signals.heed()
        if stage != "report":  # all has been written
            self.sources.check()
        self.reporter.done(stage, self.clock.seconds[stage])

    def _first_record(self, read: Mapping[str, AnnData]) -> dict[str, Any]:
        import torch

        from omicsglue.training.device import make_fabric

        cells = {name: adata.n_obs for name, adata in read.items()}
        device = make_fabric(self.options.device, self.options.devices).device.type
        threads = self.options.threads or torch.get_num_threads()
        return {
            "options": resolved_options(self.options, cells, device=device, threads=threads),
            "seeds": self.options.seeds(),
            "versions": versions(),
            "inputs": describe_inputs(self.given, read, self.annotation, self.graph, self.options),
        }

    def _is_finished(self, record: Mapping[str, Any]) -> bool:
        """Whether the run that is to be resumed is finished; it must be the same run."""
        assert self.folder is not None
        if not self.folder.run_json.exists():
            if self.folder.holds_a_run():
                raise RunFolderError(
                    "it holds a run without run.json, so that nobody can tell with what it began",
                    where=str(self.folder.path),
                    remedy="start again with --overwrite",
                )
            return False
        before = self.folder.record()
        check_same_run(before, record, str(self.folder.path))
        models = map(self.folder.member_model, range(self.options.ensemble))
        return (
            before.get("status") == DONE
            and self.folder.integrated.is_file()
            and all(model.is_dir() for model in models)
        )

    def _reopen(self) -> Integration:
        """Return a finished run as it is."""
        from omicsglue.model import GLUE

        assert self.folder is not None
        self.reporter.message(f"nothing to do: the run in {self.folder.path} is finished")
        modalities = self.folder.modalities()
        with quiet():  # its warnings are in its record
            model = GLUE.load(self.folder.model, modalities)
        return Integration(modalities, model, model.graph, self.folder)

    def _model(self, prepared: Prepared) -> GLUE:
        from omicsglue.model import GLUE

        for name, match in prepared.matches.items():
            self.reporter.message(f"{name}: {str(match).replace(chr(10), '; ')}")
        for note in prepared.notes:
            self.reporter.message(note)
        most = max(adata.n_obs for adata in prepared.modalities.values())
        recipe = self.options.recipe(most)
        if prepared.proteins_alone:
            recipe = recipe.weighted(kl=DIVERGENCE)
        model = GLUE(prepared.modalities, prepared.graph, recipe, pairing=self.options.trained_pairing)
        self.reporter.message(f"guidance graph: {str(model.graph_report).replace(chr(10), '; ')}")
        return model

    def _begin(self, record: Mapping[str, Any]) -> None:
        """Write the first record; if that fails, leave no folder behind that was not there."""
        assert self.folder is not None
        try:
            self.folder.write_record({**record, "warnings": self.said, "status": RUNNING})
        except BaseException:
            self.folder.remove_if_empty()
            raise

    def _train(self, model: GLUE, *, resume: bool) -> list[GLUE]:
        members = train_ensemble(
            model,
            self.options.ensemble,
            max_epochs=self.options.max_epochs,
            device=self.options.device,
            devices=self.options.devices,
            threads=self.options.threads,
            checkpoints=self.folder.checkpoints if self.folder is not None else None,
            checkpoint_minutes=self.options.checkpoint_minutes,
            resume=resume,
            reporter=self.reporter,
            guard=self.sources.check,
        )
        self.clock.seconds |= {name: round(seconds, 4) for name, seconds in joint_seconds(members).items()}
        self.clock.lap(None)
        return members

    def _write(
        self, folder: RunFolder, prepared: Prepared, members: Sequence[GLUE], record: dict[str, Any]
    ) -> None:
        from omicsglue.report import write_report

        self.reporter.stage("write")
        write_graph(prepared.graph, folder.graph)
        save_ensemble(members, folder)
        folder.write_history(joint_history(members))
        folder.write_integrated(prepared.modalities, guard=self.sources.check)
        self._ended("write")
        record |= _model_record(prepared, members[0])
        folder.write_record(record | self._so_far(RUNNING))
        self.reporter.stage("report")
        write_report(folder)
        self._ended("report")
        folder.write_record(record | self._so_far(DONE))
        self.reporter.message(f"done: {folder.path}")

    def _so_far(self, status: str) -> dict[str, Any]:
        return {
            "warnings": self.said,
            "seconds": self.clock.seconds,
            "peak_memory_bytes": peak_memory(),
            "status": status,
        }


def _follow_another(options: IntegrateOptions) -> None:
    """Where a launcher has started this process to train with another one, do so and end the process."""
    if {"TORCHELASTIC_RUN_ID", "SLURM_PROCID"} & set(os.environ):
        from omicsglue.worker import leave_if_led

        leave_if_led(options.device, options.devices)


def _given(modalities: Mapping[str, Any] | MuData) -> dict[str, Source]:
    """Return the inputs by name, in order, after a look at what they are."""
    found = getattr(modalities, "mod", modalities)
    if not isinstance(found, Mapping):
        raise InputError(
            f"modalities are given as {type(modalities).__name__}, not by name",
            where="integrate",
            remedy='give a dictionary such as {"rna": rna, "atac": "atac.h5ad"}, or a MuData',
        )
    if len(found) < 2:
        raise OptionError(
            f"integration needs at least two modalities, but got {', '.join(map(str, found)) or 'none'}",
            where="--modality",
            remedy="give each modality by its name, such as rna=rna.h5ad and atac=atac.h5ad",
        )
    for name in found:
        check_modality_name(name)
        if name in RESERVED:
            raise OptionError(
                f"{name!r} cannot be the name of a modality", where="--modality", remedy="choose another name"
            )
    return {str(name): source_of(str(name), given) for name, given in found.items()}


def _check_inputs_outside(folder: RunFolder, sources: list[object]) -> None:
    """Check that nothing that is read lies in the run that is to be replaced."""
    for source in sources:
        if not isinstance(source, str | Path):
            continue
        file = split_mudata(source)[0]
        if any(part.resolve() in (file.resolve(), *file.resolve().parents) for part in folder.parts):
            raise RunFolderError(
                f"the input {file} belongs to the run that is to be replaced",
                where=str(folder.path),
                remedy="give another run folder, or move the input elsewhere",
            )


def _annotate(prepared: Prepared, members: Sequence[GLUE]) -> None:
    """Write the embeddings and weights into the prepared copies, in place of those of an earlier run."""
    for name, adata in prepared.modalities.items():
        for held in (adata.obsm, adata.varm):
            for key in filter(MEMBER_EMBEDDING.fullmatch, list(held)):
                del held[key]
        adata.obs[BALANCING_WEIGHT] = members[0].balancing_weights(name)
        for number, model in enumerate(members):
            adata.obsm[member_embedding(number)] = model.get_latent_representation(name)
            features = model.get_feature_embedding(name)
            full = np.full((adata.n_vars, features.shape[1]), np.nan, dtype=np.float32)
            full[adata.var_names.get_indexer(features.index)] = features.to_numpy()
            adata.varm[member_embedding(number)] = full


def _model_record(prepared: Prepared, model: GLUE) -> dict[str, Any]:
    entries = {}
    for name, adata in prepared.modalities.items():
        setup, match = model.setups[name], prepared.matches.get(name)
        entries[name] = {
            "likelihood": setup.likelihood,
            "layer": setup.layer,
            "coverage": setup.coverage,
            "representation": setup.representation,
            "batch_key": setup.batch_key,
            "label_key": setup.labels_key,
            "cells": adata.n_obs,
            "features": adata.n_vars,
            "features_in_graph": model.graph_report.n_in_graph[name],
            "unmatched": list(match.unmatched) if match is not None else [],
        }
    return {"modalities": entries}
