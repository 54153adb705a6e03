"""``metacells``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omicsglue.errors import OptionError


def metacells(
    file: Annotated[
        Path,
        typer.Argument(metavar="IN.h5ad", help="Cells with a representation in obsm; it is not changed."),
    ],
    *,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The .h5ad file of metacells to write.")],
    n: Annotated[
        int | None, typer.Option("--n", metavar="N", help="Metacells. [default: one for every 20 cells]")
    ] = None,
    within: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="obs column whose values are never mixed, such as donor; may be repeated."
        ),
    ] = None,
    representation: Annotated[
        str | None,
        typer.Option(
            metavar="KEY", help="obsm key by which cells are alike. [default: X_pca, X_lsi or X_clr]"
        ),
    ] = None,
    layer: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYER", help="Layer to keep beside X; may be repeated. [default: all]"),
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the k-means.")] = 0,
) -> None:
    """Group like cells and add up their counts: fewer, deeper profiles."""
    if out.suffix != ".h5ad":
        raise OptionError(
            f"{out} is no .h5ad file", where="--out", remedy="give a file whose name ends in .h5ad"
        )
    if out.exists() and file.exists() and out.samefile(file):
        raise OptionError("it is the file of the cells", where="--out", remedy="give another file")
    from omicsglue.data.inputs import read_modality
    from omicsglue.io import atomic_path
    from omicsglue.pp.metacells import metacells as group
    from omicsglue.pp.metacells import sizes_of

    adata = read_modality(file, name="metacells", backed=True)
    found = group(
        adata, n, representation=representation, within=within or (), layer=layer or None, seed=seed
    )
    with atomic_path(out) as temporary:
        found.write_h5ad(temporary, compression="gzip", compression_opts=1)
    least, median, most = sizes_of(found)
    typer.echo(
        f"{out}: {found.n_obs:,} metacells of {least:,} to {most:,} cells (median {median:g}) out of "
        f"{adata.n_obs:,} cells; uns['metacells']['cells'] says which cell is in which"
    )
