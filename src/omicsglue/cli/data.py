"""``simulate`` and ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omicsglue.cli.values import reporter


def simulate(
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    cells: Annotated[int, typer.Option(help="Number of cells.")] = 3000,
    genes: Annotated[int | None, typer.Option(help="Number of genes; the preset's by default.")] = None,
    peaks: Annotated[int | None, typer.Option(help="Number of peaks; the preset's by default.")] = None,
    types: Annotated[int, typer.Option(help="Number of cell types.")] = 10,
    preset: Annotated[str, typer.Option(help="snare or 10x.")] = "10x",
    modality: Annotated[list[str] | None, typer.Option(help="rna, atac, methylation, protein; repeat.")] = None,
    batches: Annotated[int, typer.Option(help="Number of batches.")] = 1,
    regulation: Annotated[float, typer.Option(help="Strength of regulation; 0 for none.")] = 0.8,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Write simulated multi-omics cells with known types and regulatory links."""
    from omicsglue.datasets import simulate as draw

    data = draw(
        cells,
        genes=genes,
        peaks=peaks,
        types=types,
        preset=preset,
        modalities=tuple(modality or ("rna", "atac")),
        batches=batches,
        regulation=regulation,
        seed=seed,
    )
    data.write(out)
    typer.echo(out)


def demo(
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say nothing.")] = False,
) -> None:
    """Simulate a small data set, integrate it, and write its report."""
    from omicsglue.datasets import demo_data
    from omicsglue.pipeline import integrate as work

    folder = out / "data"
    demo_data(seed).write(folder)
    files = {name: folder / f"{name}.h5ad" for name in ("rna", "atac")}
    speaker = reporter(quiet=quiet, json_logs=False)
    work(files, annotation=folder / "genes.gtf.gz", out=out, overwrite=True, seed=seed, reporter=speaker)
    typer.echo(f"report: {out / 'report.html'}")
