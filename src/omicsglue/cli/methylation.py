"""``methylation``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omicsglue.errors import OptionError


def methylation(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="ALLC or Bismark files, one a cell, plain or gzip; or folders of them."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The .h5ad file to write.")],
    annotation: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Genes: GTF, GFF3 or BED, plain or gzip.")
    ] = None,
    regions: Annotated[
        str, typer.Option(metavar="KIND", help="gene_body, promoter, bins:100000, or a BED file.")
    ] = "gene_body",
    context: Annotated[
        str, typer.Option(metavar="PATTERN", help="Context: CG, CH, CA, CAC or another IUPAC pattern.")
    ] = "CG",
    cells: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table of columns cell and path, in place of FILES."),
    ] = None,
    flank: Annotated[int, typer.Option(metavar="BASES", help="Added to both ends of gene bodies.")] = 0,
    promoter: Annotated[int, typer.Option(metavar="BASES", help="Length of promoters.")] = 2000,
) -> None:
    """Add up methylation calls over genes, bins or regions: methylated and covered reads of each cell."""
    if bool(files) == (cells is not None):
        raise OptionError(
            "give FILES or --cells, one of both" if files else "no table of methylation calls is given",
            where="methylation",
            remedy="name the files, or a folder of them, or a table of cells with --cells",
        )
    if out.suffix != ".h5ad":
        raise OptionError(
            f"{out} is no .h5ad file", where="--out", remedy="give a file whose name ends in .h5ad"
        )
    from omicsglue.io import atomic_path
    from omicsglue.pp.methylation_counts import aggregate_methylation, read_cells

    found = aggregate_methylation(
        read_cells(cells) if cells is not None else list(files or ()),
        regions,
        annotation=annotation,
        context=context,
        flank=flank,
        promoter=promoter,
    )
    with atomic_path(out) as temporary:
        found.write_h5ad(temporary, compression="gzip", compression_opts=1)
    typer.echo(
        f"{out}: {found.n_obs:,} cells x {found.n_vars:,} features; X holds methylated reads, the layer "
        "coverage all reads"
    )
