"""``convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    files: Annotated[
        list[str], typer.Argument(help="Files of one modality: .h5ad, .zarr or FILE.h5mu:MODALITY.")
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="A .zarr folder or .h5ad file to write.")],
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="obs column to add, with the file of each cell.")
    ] = None,
    prefix: Annotated[
        bool, typer.Option("--prefix", help="Put the name of the file before the names of cells.")
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
) -> None:
    """Write files of one modality as one that is read fast from disk, without loading them."""
    from omicsglue.pipeline.convert import convert as work

    typer.echo(work(files, out, label=label, prefix=prefix, overwrite=overwrite))
