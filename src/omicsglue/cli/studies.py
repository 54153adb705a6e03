"""``explain`` and ``unify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omicsglue.cli.runs import IgnoreLabel, JsonLogs, Many, Quiet, Run
from omicsglue.cli.values import named, reporter
from omicsglue.errors import OptionError


def explain(
    run: Run,
    *,
    expression: Annotated[str, typer.Option(metavar="NAME", help="Modality of expression.")] = "rna",
    layers: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,NAME",
            help="Modalities that explain it; NAME:CONTEXT for features of one var['context']. "
            "[default: all others]",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=".tsv or .csv; further files lie beside it. [default: RUN/explained.tsv]"
        ),
    ] = None,
    metacells: Annotated[
        int | None, typer.Option(metavar="N", help="[default: ten cells of a modality each, at most 200]")
    ] = None,
    plain_rates: Annotated[
        bool, typer.Option("--plain-rates", help="Take methylation rates as they are, not their logarithm.")
    ] = False,
    least_mean: Annotated[float, typer.Option(help="Leave out genes below this mean log expression.")] = 0.1,
    least_covered: Annotated[
        float, typer.Option(metavar="SITES", help="Sites of a gene that a metacell must cover.")
    ] = 10.0,
    drop_calm: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Share of the genes of least spread to leave out, by layer."),
    ] = 0.25,
    folds: Annotated[int, typer.Option(help="Of the cross-validation.")] = 5,
    penalty: Annotated[float, typer.Option(help="Of the ridge regression.")] = 1e-3,
    permutations: Annotated[int, typer.Option(help="Of the baseline.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
    quiet: Quiet = False,
    json_logs: JsonLogs = False,
) -> None:
    """Tell how much of expression the other layers of a run explain."""
    speaker = reporter(quiet=quiet, json_logs=json_logs)
    from omicsglue.pipeline.studies import explain_run, parts

    found, files = explain_run(
        run,
        out=out,
        reporter=speaker,
        expression=expression,
        layers=parts(layers),
        metacells=metacells,
        log_rates=not plain_rates,
        least_mean=least_mean,
        least_covered=least_covered,
        drop_calm=drop_calm,
        folds=folds,
        penalty=penalty,
        permutations=permutations,
        seed=seed,
    )
    for path in files:
        typer.echo(path)
    columns = ["genes", "mean_r2", "permuted_mean", "permuted_high", "above_permuted", "other_gene_mean"]
    typer.echo(found.summary[columns].to_string(float_format="{:.3f}".format))


def unify(
    run: Run,
    *,
    label_key: Annotated[
        Many, typer.Option(metavar="NAME=COLUMN", help="obs column of an annotation; repeat.")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Modality whose labels are carried over. [default: the first]"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help=".tsv or .csv; further files lie beside it. [default: RUN/unified.tsv]"
        ),
    ] = None,
    neighbours: Annotated[int, typer.Option(help="Neighbours that vote.")] = 15,
    ignore_label: IgnoreLabel = None,
    quiet: Quiet = False,
    json_logs: JsonLogs = False,
) -> None:
    """Unify the annotations of a run's modalities, and tell where they disagree."""
    speaker = reporter(quiet=quiet, json_logs=json_logs)
    keys = named(label_key, "--label-key")
    if not keys:
        raise OptionError(
            "no annotation is named", where="--label-key", remedy="add --label-key rna=cell_type"
        )
    from omicsglue.pipeline.studies import unify_run

    found, files = unify_run(
        run,
        keys,
        out=out,
        reporter=speaker,
        reference=reference,
        neighbours=neighbours,
        ignore_labels=ignore_label or (),
    )
    for path in files:
        typer.echo(path)
    for words in found.conflicts["words"]:
        typer.echo(words)
