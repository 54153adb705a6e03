"""``links``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omicsglue.cli.runs import JsonLogs, Many, Quiet, Run
from omicsglue.cli.values import reporter

Files = list[Path] | None


def links(
    run: Run,
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=".parquet, .tsv, .csv, .bedpe or .interact; further files lie beside it. "
            "[default: RUN/links.parquet]",
        ),
    ] = None,
    window: Annotated[int, typer.Option(metavar="BASES", help="Pair elements so near a promoter.")] = 150_000,
    promoter: Annotated[int, typer.Option(metavar="BASES", help="Length of promoters.")] = 2_000,
    elements: Annotated[
        Many,
        typer.Option(metavar="NAME", help="Modality of elements; repeat. [default: all with coordinates]"),
    ] = None,
    evidence: Annotated[
        Files,
        typer.Option(
            metavar="FILE",
            help="Judge links by it: BEDPE, capture Hi-C, eQTL, CRISPRi, TADs or named pairs; repeat.",
        ),
    ] = None,
    guide: Annotated[
        Files, typer.Option(metavar="FILE", help="The same, as known beforehand: it judges nothing; repeat.")
    ] = None,
    tf_binding: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="BED of motif hits or ChIP peaks: makes a network of factors."),
    ] = None,
    tf_pattern: Annotated[
        str | None, typer.Option(metavar="REGEX", help="Finds the factor in the names of sites.")
    ] = None,
    tf_top: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Take so many best links of a gene for it. [default: those at q < 0.1]"
        ),
    ] = None,
    label_key: Annotated[
        str | None, typer.Option(help="obs column of cell types: tells in which of them links act.")
    ] = None,
    baseline: Annotated[
        Many,
        typer.Option(
            metavar="NAME",
            help="Compared with where there is evidence: distance, spearman, lasso, coaccessibility; repeat. "
            "[default: the first three]",
        ),
    ] = None,
    correction: Annotated[
        str, typer.Option(metavar="strata|bh|storey", help="How q-values are made.")
    ] = "strata",
    locus: Annotated[
        Many, typer.Option(metavar="GENE", help="Draw the links of a gene, as PNG beside the table; repeat.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    threads: Annotated[int | None, typer.Option(help="CPU threads. [default: all]")] = None,
    quiet: Quiet = False,
    json_logs: JsonLogs = False,
) -> None:
    """Infer which elements regulate which genes in a run."""
    speaker = reporter(quiet=quiet, json_logs=json_logs)
    from omicsglue.pipeline.links import BASELINES, links_of_run

    found = links_of_run(
        run,
        out=out,
        window=window,
        promoter=promoter,
        elements=elements or (),
        evidence=evidence or (),
        guide=guide or (),
        tf_binding=tf_binding,
        tf_pattern=tf_pattern,
        tf_top=tf_top,
        label_key=label_key,
        baselines=baseline or BASELINES,
        correction=correction,
        loci=locus or (),
        seed=seed,
        threads=threads,
        reporter=speaker,
    )
    for path in found.files:
        typer.echo(path)
    if found.evaluation is not None:
        overall = found.evaluation[found.evaluation["stratum"] == "all"]
        columns = ["evidence", "modality", "method", "n", "positives", "auroc", "average_precision"]
        typer.echo(overall[columns].to_string(index=False, float_format="{:.3f}".format))
