"""``integrate``, ``score``, ``report``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from omicsglue.cli.values import named, numbers, read_config, reporter
from omicsglue.errors import OptionError

Many = list[str] | None


def integrate(
    modality: Annotated[Many, typer.Option(help="NAME=FILE.h5ad; at least two.")] = None,
    annotation: Annotated[Path | None, typer.Option(help="Genes: GTF, GFF3 or BED, plain or gzip.")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder to write.")] = None,
    graph: Annotated[Path | None, typer.Option(help="Guidance graph instead of an annotation.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file of options; the command line wins.")] = None,
    likelihood: Annotated[Many, typer.Option(help="NAME=LIKELIHOOD.")] = None,
    layer: Annotated[Many, typer.Option(help="NAME=LAYER with the counts.")] = None,
    representation: Annotated[Many, typer.Option(help="NAME=OBSM KEY for the encoder.")] = None,
    batch_key: Annotated[Many, typer.Option(help="NAME=OBS COLUMN of batches.")] = None,
    label_key: Annotated[Many, typer.Option(help="NAME=OBS COLUMN of known types to guide training.")] = None,
    sign: Annotated[Many, typer.Option(help="NAME=1 or NAME=-1: sign of its edges.")] = None,
    promoter: Annotated[int | None, typer.Option(help="Promoter length in bases. [default: 2000]")] = None,
    window: Annotated[int | None, typer.Option(help="Link features within so many bases. [default: 0]")] = None,
    n_genes: Annotated[int | None, typer.Option(help="Variable genes to model. [default: 2000]")] = None,
    max_epochs: Annotated[int | None, typer.Option(help="At most so many epochs in each stage.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random. [default: 0]")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu or cuda. [default: auto]")] = None,
    devices: Annotated[int | None, typer.Option(help="Number of devices. [default: 1]")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads.")] = None,
    checkpoint_minutes: Annotated[float | None, typer.Option(help="Time between checkpoints. [default: 1]")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is there.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing.")] = False,
    json_logs: Annotated[bool, typer.Option("--json-logs", help="One JSON object a line on stderr.")] = False,
) -> None:
    """Integrate modalities end to end and write a run folder."""
    given = {
        "likelihood": named(likelihood, "--likelihood"),
        "layer": named(layer, "--layer"),
        "representation": named(representation, "--representation"),
        "batch_key": named(batch_key, "--batch-key"),
        "label_key": named(label_key, "--label-key"),
        "sign": numbers(named(sign, "--sign"), "--sign"),
        "promoter": promoter,
        "window": window,
        "n_genes": n_genes,
        "max_epochs": max_epochs,
        "seed": seed,
        "device": device,
        "devices": devices,
        "threads": threads,
        "checkpoint_minutes": checkpoint_minutes,
    }
    files = named(modality, "--modality")
    options = read_config(config)
    files = {**options.pop("modality", {}), **files}
    annotation = annotation or options.pop("annotation", None)
    graph = graph or options.pop("graph", None)
    out = out or options.pop("out", None)
    options |= {name: value for name, value in given.items() if value not in (None, {})}
    if out is None:
        raise OptionError("no run folder is given", where="--out", remedy="add --out RUN")
    if len(files) < 2:
        raise OptionError(
            f"{len(files)} modalities are given, at least 2 are needed",
            where="--modality",
            remedy="add --modality rna=rna.h5ad --modality atac=atac.h5ad",
        )
    speaker = reporter(quiet=quiet, json_logs=json_logs)
    from omicsglue.pipeline import integrate as work

    work(files, annotation=annotation, graph=graph, out=out, overwrite=overwrite, resume=resume, reporter=speaker, **options)


def score(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    paired_by: Annotated[str, typer.Option(help="obs_names, or none.")] = "obs_names",
    label_key: Annotated[str | None, typer.Option(help="obs column of cell types.")] = None,
    batch_key: Annotated[str | None, typer.Option(help="obs column of batches.")] = None,
    ignore_label: Annotated[Many, typer.Option(help="Label to leave out; may be repeated.")] = None,
) -> None:
    """Print scores of a run as one JSON object."""
    from omicsglue.runs.score import score_run

    scores = score_run(
        run, paired_by=paired_by, label_key=label_key, batch_key=batch_key, ignore_labels=ignore_label or ()
    )
    typer.echo(json.dumps(scores))


def report(
    run: Annotated[Path, typer.Argument(help="Run folder.")],
    label_key: Annotated[str | None, typer.Option(help="obs column of cell types.")] = None,
    batch_key: Annotated[str | None, typer.Option(help="obs column of batches.")] = None,
    ignore_label: Annotated[Many, typer.Option(help="Label to leave out; may be repeated.")] = None,
) -> None:
    """Write RUN/report.html."""
    from omicsglue.report import write_report

    typer.echo(write_report(run, label_key=label_key, batch_key=batch_key, ignore_labels=ignore_label or ()))
