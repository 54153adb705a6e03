"""``graph build``, ``graph check``, ``graph corrupt``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omicsglue.cli.failure import interruptible
from omicsglue.cli.runs import Many
from omicsglue.cli.values import named, numbers

graph_app = typer.Typer(rich_markup_mode=None, help="Build, check and corrupt guidance graphs.")

Graph = Annotated[Path, typer.Argument(help="Guidance graph: .parquet, .tsv, .csv or .graphml(.gz).")]
Modalities = Annotated[list[str], typer.Option(metavar="NAME=FILE", help="An .h5ad file; repeat.")]
Out = Annotated[Path, typer.Option(help="File to write: .parquet, .tsv, .csv or .graphml(.gz).")]


@graph_app.command()
@interruptible
def build(
    *,
    modality: Modalities,
    annotation: Annotated[Path, typer.Option(help="Genes: GTF, GFF3 or BED, plain or gzip.")],
    out: Out,
    rule: Annotated[
        str,
        typer.Option(metavar="combined|gene_body|promoter", help="What of a gene links it to features."),
    ] = "combined",
    promoter: Annotated[int, typer.Option(help="Promoter length in bases.")] = 2000,
    window: Annotated[int, typer.Option(help="Link features within so many bases of a gene.")] = 0,
    sign: Annotated[Many, typer.Option(metavar="NAME=SIGN", help="Sign of its edges, 1 or -1.")] = None,
    kind: Annotated[
        Many, typer.Option(metavar="NAME=KIND", help="What its features are: genes, regions or proteins.")
    ] = None,
    protein_genes: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Columns protein and gene, beyond common markers.")
    ] = None,
) -> None:
    """Build a guidance graph of all features from their places in the genome, and of proteins by name."""
    signs = numbers(named(sign, "--sign"), "--sign", int)
    files = named(modality, "--modality")
    from omicsglue.data.inputs import read_modality
    from omicsglue.graph import write_graph
    from omicsglue.pipeline.options import IntegrateOptions
    from omicsglue.pipeline.prepare import graph_of_all_features

    options = IntegrateOptions.from_values(
        {
            "rule": rule,
            "promoter": promoter,
            "window": window,
            "sign": signs,
            "kind": named(kind, "--kind"),
            "protein_genes": protein_genes,
        }
    )
    options.check_modalities(files)
    read = {name: read_modality(path, name=name) for name, path in files.items()}
    graph, matches = graph_of_all_features(read, annotation, options)
    for name, match in matches.items():
        typer.echo(f"{name}: {match}", err=True)
    write_graph(graph, out)
    typer.echo(graph)


@graph_app.command()
@interruptible
def check(graph: Graph, *, modality: Modalities) -> None:
    """Compare a guidance graph with data."""
    files = named(modality, "--modality")
    from omicsglue.data.inputs import read_modality
    from omicsglue.graph import check as compare
    from omicsglue.graph import read_graph

    edges = read_graph(graph)
    names = {name: read_modality(path, name=name, backed=True).var_names for name, path in files.items()}
    typer.echo(compare(edges, names))


@graph_app.command()
@interruptible
def corrupt(
    graph: Graph,
    *,
    out: Out,
    rate: Annotated[float, typer.Option(help="Share of edges to move to random pairs, 0 to 1.")] = 0.0,
    drop: Annotated[float, typer.Option(help="Share of edges to leave out, before that.")] = 0.0,
    flip_signs: Annotated[float, typer.Option(help="Share of edges to give the other sign, at last.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Spoil a share of the edges at random, for studies of robustness."""
    from omicsglue.graph import corrupt as move
    from omicsglue.graph import drop_edges, read_graph, write_graph
    from omicsglue.graph import flip_signs as flip

    edges = read_graph(graph)
    for spoil, share in ((drop_edges, drop), (move, rate), (flip, flip_signs)):
        edges = spoil(edges, share, seed) if share else edges
    write_graph(edges, out)
    typer.echo(out)
