"""``graph build``, ``graph check``, ``graph corrupt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omicsglue.cli.values import named, numbers

graph_app = typer.Typer(no_args_is_help=True, help="Build, check and corrupt guidance graphs.")
Many = list[str] | None


@graph_app.command()
def build(
    modality: Annotated[list[str], typer.Option(help="NAME=FILE.h5ad; genes first.")],
    annotation: Annotated[Path, typer.Option(help="Genes: GTF, GFF3 or BED.")],
    out: Annotated[Path, typer.Option(help="File to write: .parquet, .tsv, .graphml(.gz).")],
    promoter: Annotated[int, typer.Option(help="Promoter length in bases.")] = 2000,
    window: Annotated[int, typer.Option(help="Link features within so many bases.")] = 0,
    sign: Annotated[Many, typer.Option(help="NAME=1 or NAME=-1.")] = None,
) -> None:
    """Build a guidance graph from genome coordinates."""
    from omicsglue.data.inputs import read_modality
    from omicsglue.graph import from_genome, write_graph
    from omicsglue.pp.annotate import annotate_genes, annotate_peaks

    read = {name: read_modality(path, name=name) for name, path in named(modality, "--modality").items()}
    first, *others = read.values()
    typer.echo(annotate_genes(first, annotation), err=True)
    for other in others:
        typer.echo(annotate_peaks(other), err=True)
    signs = {name: 1 for name in list(read)[1:]} | numbers(named(sign, "--sign"), "--sign")
    graph = from_genome(first, *others, promoter=promoter, window=window, signs=signs, names=list(read))
    write_graph(graph, out)
    typer.echo(graph)


@graph_app.command()
def check(
    graph: Annotated[Path, typer.Argument(help="Guidance graph.")],
    modality: Annotated[list[str], typer.Option(help="NAME=FILE.h5ad.")],
) -> None:
    """Compare a guidance graph with data."""
    from omicsglue.data.inputs import read_modality
    from omicsglue.graph import check as compare
    from omicsglue.graph import read_graph

    names = {
        name: read_modality(path, name=name, backed=True).var_names
        for name, path in named(modality, "--modality").items()
    }
    typer.echo(compare(read_graph(graph), names))


@graph_app.command()
def corrupt(
    graph: Annotated[Path, typer.Argument(help="Guidance graph.")],
    rate: Annotated[float, typer.Option(help="Share of edges to replace at random, 0 to 1.")],
    out: Annotated[Path, typer.Option(help="File to write.")],
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Replace a share of the edges by random ones, for studies of robustness."""
    from omicsglue.graph import read_graph, write_graph

    write_graph(read_graph(graph).corrupt(rate, seed), out)
    typer.echo(out)
