"""``integrate``, ``score``, ``report``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from omicsglue.cli.stopping import last_words
from omicsglue.cli.values import named, numbers, read_config, reporter, several
from omicsglue.errors import OptionError

Many = list[str] | None
Quiet = Annotated[bool, typer.Option("--quiet", help="Say nothing but errors.")]
JsonLogs = Annotated[bool, typer.Option("--json-logs", help="One JSON object a line on stderr.")]
Run = Annotated[Path, typer.Argument(help="Run folder.")]
IgnoreLabel = Annotated[Many, typer.Option(help="Label to leave out; may be repeated.")]


def integrate(
    *,
    modality: Annotated[
        Many,
        typer.Option(
            metavar="NAME=FILE",
            help="An .h5ad file, .zarr folder, or FILE.h5mu:MODALITY; at least two modalities. Several files "
            "of one: repeat the name, or quote a pattern, such as 'rna=plates/*.h5ad'.",
        ),
    ] = None,
    annotation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Genes: GTF, GFF3 or BED, plain or gzip.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="RUN", help="Run folder to write.")] = None,
    graph: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Guidance graph (.parquet, .tsv, .csv, .graphml) instead of an annotation."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="YAML file of options; the command line wins.")
    ] = None,
    likelihood: Annotated[
        Many, typer.Option(metavar="NAME=LIKELIHOOD", help="What the data are. [default: nb]")
    ] = None,
    layer: Annotated[
        Many, typer.Option(metavar="NAME=LAYER", help="Layer with the counts. [default: X]")
    ] = None,
    representation: Annotated[
        Many,
        typer.Option(
            metavar="NAME=KEY", help="obsm key for the encoder. [default: PCA, LSI or CLR is computed]"
        ),
    ] = None,
    batch_key: Annotated[
        Many,
        typer.Option(metavar="NAME=COLUMN[,COLUMN]", help="obs column of batches; several are combined."),
    ] = None,
    shared_batches: Annotated[
        bool | None,
        typer.Option(
            "--shared-batches/--no-shared-batches",
            help="Compare modalities within the batches that they share. [default: no]",
        ),
    ] = None,
    align_batches: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,NAME]|all",
            help="Modalities whose batches are aligned with each other, not only modalities. [default: none]",
        ),
    ] = None,
    label_key: Annotated[
        Many,
        typer.Option(metavar="NAME=COLUMN", help="obs column of known cell types, which guide the training."),
    ] = None,
    coverage: Annotated[
        Many,
        typer.Option(
            metavar="NAME=LAYER",
            help="Layer of how often each entry was covered; what was not is missing. "
            "[default: coverage, for betabinomial]",
        ),
    ] = None,
    unknown_label: Annotated[
        Many,
        typer.Option(metavar="LABEL", help="Label that means that the type is not known; may be repeated."),
    ] = None,
    label_weight: Annotated[
        float | None,
        typer.Option(metavar="WEIGHT", help="Weight of known cell types in training. [default: 0.02]"),
    ] = None,
    label_neighbours: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Nearest labelled cells that must bear out a label; 0 trusts all labels. [default: 20]",
        ),
    ] = None,
    pairing: Annotated[
        str | None,
        typer.Option(
            metavar="obs_names|none",
            help="Whether cells of one name are one cell. For scores and report; training uses it with "
            "--use-pairing only. [default: obs_names where modalities share names]",
        ),
    ] = None,
    pairing_key: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN", help="obs column of all modalities that pairs cells instead of names."
        ),
    ] = None,
    use_pairing: Annotated[
        bool,
        typer.Option("--use-pairing", help="Let training use the pairs. [default: all cells as unpaired]"),
    ] = False,
    sign: Annotated[
        Many,
        typer.Option(
            metavar="NAME=SIGN",
            help="Sign of its edges, 1 or -1. [default: column sign of var, -1 for methylation, else 1]",
        ),
    ] = None,
    kind: Annotated[
        Many,
        typer.Option(
            metavar="NAME=KIND",
            help="What its features are: genes, regions or proteins. [default: told by the data]",
        ),
    ] = None,
    protein_genes: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Columns protein and gene: which gene makes which protein, beyond common surface markers.",
        ),
    ] = None,
    rule: Annotated[
        str | None,
        typer.Option(
            metavar="combined|gene_body|promoter",
            help="What of a gene links it to features. [default: combined, body and promoter]",
        ),
    ] = None,
    promoter: Annotated[
        int | None, typer.Option(metavar="BASES", help="Length of promoters. [default: 2000]")
    ] = None,
    window: Annotated[
        int | None,
        typer.Option(metavar="BASES", help="Link features within so many bases of a gene. [default: 0]"),
    ] = None,
    n_genes: Annotated[
        int | None, typer.Option(metavar="N", help="Variable genes to model. [default: 2000]")
    ] = None,
    n_components: Annotated[
        int | None,
        typer.Option(metavar="N", help="Dimensions of the PCA and LSI that are computed. [default: 100]"),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(metavar="N", help="Cells of each modality in a step, of each process. [default: 128]"),
    ] = None,
    max_epochs: Annotated[
        int | None,
        typer.Option(metavar="N", help="At most so many epochs in each stage: passes, or 500 steps."),
    ] = None,
    metacells: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Pretrain on so many metacells of each modality, at most; 0 for cells. [default: 0]",
        ),
    ] = None,
    ensemble: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Models to train from one pretraining, each with another seed, for links that hold up. "
            "[default: 1]",
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Seed of everything random. [default: 0]")
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="auto|cpu|cuda", help="Where to train. [default: auto]")
    ] = None,
    devices: Annotated[
        int | None, typer.Option(metavar="N", help="Processes that train, a device each. [default: 1]")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="CPU threads of the training. [default: torch's]")
    ] = None,
    checkpoint_minutes: Annotated[
        float | None,
        typer.Option(
            metavar="MINUTES", help="Time between checkpoints; 0 for one after every epoch. [default: 1]"
        ),
    ] = None,
    backed: Annotated[
        str | None,
        typer.Option(
            metavar="auto|always|never",
            help="Whether matrices stay on disk and are read when needed. [default: auto, above 4 GB]",
        ),
    ] = None,
    file_key: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="obs column to add, with the file of each cell. [default: none]"),
    ] = None,
    file_prefix: Annotated[
        bool, typer.Option("--file-prefix", help="Put the name of its file before the name of each cell.")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the newest checkpoint, or begin where there is none.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is there.")] = False,
    quiet: Quiet = False,
    json_logs: JsonLogs = False,
) -> None:
    """Integrate modalities end to end and write a run folder."""
    speaker = reporter(quiet=quiet, json_logs=json_logs)
    told = {
        "likelihood": named(likelihood, "--likelihood"),
        "layer": named(layer, "--layer"),
        "representation": named(representation, "--representation"),
        "batch_key": named(batch_key, "--batch-key"),
        "label_key": named(label_key, "--label-key"),
        "coverage": named(coverage, "--coverage"),
        "unknown_labels": unknown_label,
        "label_weight": label_weight,
        "label_neighbours": label_neighbours,
        "rule": rule,
        "sign": numbers(named(sign, "--sign"), "--sign", int),
        "kind": named(kind, "--kind"),
        "protein_genes": None if protein_genes is None else str(protein_genes),
        "shared_batches": shared_batches,
        "align_batches": align_batches,
        "pairing": pairing,
        "pairing_key": pairing_key,
        "use_pairing": use_pairing or None,
        "promoter": promoter,
        "window": window,
        "n_genes": n_genes,
        "n_components": n_components,
        "batch_size": batch_size,
        "max_epochs": max_epochs,
        "metacells": metacells,
        "ensemble": ensemble,
        "seed": seed,
        "device": device,
        "devices": devices,
        "threads": threads,
        "checkpoint_minutes": checkpoint_minutes,
        "backed": backed,
        "file_key": file_key,
        "file_prefix": file_prefix or None,
    }
    files = several(modality, "--modality")
    options = _merged(read_config(config), told)
    sources = _modalities(options.pop("modality", None)) | files
    places = {
        name: value or _path(name, options.pop(name, None))
        for name, value in (("annotation", annotation), ("graph", graph), ("out", out))
    }
    if places["out"] is None:
        raise OptionError("no run folder is given", where="--out", remedy="add --out RUN")
    if resume and overwrite:
        raise OptionError(
            "--resume and --overwrite exclude each other", where="integrate", remedy="give one of them"
        )
    from omicsglue.pipeline import integrate as work
    from omicsglue.pipeline.failure import saved
    from omicsglue.runs import RunFolder

    with last_words(partial(saved, RunFolder(places["out"]))):
        work(sources, **places, overwrite=overwrite, resume=resume, reporter=speaker, **options)


def _merged(options: dict[str, Any], told: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a file with those of the command line, which win, modality by modality."""
    merged = dict(options)
    for name, value in told.items():
        if isinstance(value, dict) and isinstance(merged.get(name), dict):
            merged[name] = merged[name] | value
        elif value not in (None, {}):
            merged[name] = value
    return merged


def _modalities(value: object) -> dict[str, list[str]]:
    """Return the files of each modality in a file of options: one, or a list."""
    if value is None:
        return {}
    entries = value.items() if isinstance(value, dict) else [("", None)]
    listed: dict[str, list[str]] = {}
    for name, files in entries:
        found = [files] if isinstance(files, str) else files
        if not isinstance(found, list) or not all(isinstance(file, str) for file in found):
            raise OptionError(
                "modality is no mapping of names to files",
                where="--config",
                remedy="write it as modality: {rna: [plate1.h5ad, plate2.h5ad], atac: atac.h5ad}",
            )
        listed[str(name)] = found
    return listed


def _path(name: str, value: object) -> Path | None:
    if value is not None and not isinstance(value, str):
        raise OptionError(
            f"{name} is {value!r}", where="--config", remedy="give the path of a file or folder"
        )
    return None if value is None else Path(value)


def score(
    run: Run,
    *,
    paired_by: Annotated[
        str | None,
        typer.Option(help="obs_names or none. [default: what --pairing said, else obs_names]"),
    ] = None,
    label_key: Annotated[str | None, typer.Option(help="obs column of cell types.")] = None,
    batch_key: Annotated[str | None, typer.Option(help="obs column of batches.")] = None,
    ignore_label: IgnoreLabel = None,
    max_cells: Annotated[
        int | None, typer.Option(help="Score about so many cells, drawn at random. [default: all]")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the drawing.")] = 0,
    exact: Annotated[
        bool,
        typer.Option("--exact", help="Score all cells. [default: over 50,000, estimates from some of them]"),
    ] = False,
) -> None:
    """Print scores of a run as one JSON object."""
    from omicsglue.runs.score import score_run

    scores = score_run(
        run,
        paired_by=paired_by,
        label_key=label_key,
        batch_key=batch_key,
        ignore_labels=ignore_label or (),
        max_cells=max_cells,
        seed=seed,
        exact=exact,
    )
    typer.echo(json.dumps(scores, allow_nan=False))


def report(
    run: Run,
    *,
    label_key: Annotated[str | None, typer.Option(help="obs column of cell types.")] = None,
    batch_key: Annotated[str | None, typer.Option(help="obs column of batches.")] = None,
    ignore_label: IgnoreLabel = None,
) -> None:
    """Write RUN/report.html."""
    from omicsglue.report import write_report

    page = write_report(run, label_key=label_key, batch_key=batch_key, ignore_labels=ignore_label or ())
    typer.echo(page)
