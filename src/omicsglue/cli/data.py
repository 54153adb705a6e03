"""``simulate`` and ``demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omicsglue.cli.runs import JsonLogs, Many, Quiet
from omicsglue.cli.values import named, numbers, reporter

Out = Annotated[Path, typer.Option(help="Folder to write.")]


def simulate(
    *,
    out: Out,
    cells: Annotated[int, typer.Option(help="Number of cells.")] = 3000,
    genes: Annotated[int | None, typer.Option(help="Number of genes. [default: the preset's]")] = None,
    peaks: Annotated[int | None, typer.Option(help="Number of peaks. [default: the preset's]")] = None,
    types: Annotated[int, typer.Option(help="Number of cell types.")] = 10,
    preset: Annotated[str, typer.Option(help="snare or 10x.")] = "10x",
    modality: Annotated[
        Many,
        typer.Option(
            metavar="NAME",
            help="rna, atac, methylation, methylation_ch or protein; repeat. [default: rna and atac]",
        ),
    ] = None,
    regulation: Annotated[float, typer.Option(help="Strength of regulation, 0 to 1; 0 for none.")] = 0.8,
    links_per_gene: Annotated[float, typer.Option(help="Mean number of true links of a gene.")] = 4.0,
    signal: Annotated[float, typer.Option(help="Factor on differences between cell states.")] = 1.0,
    noise: Annotated[float, typer.Option(help="Factor on overdispersion and background.")] = 1.0,
    depth: Annotated[
        Many, typer.Option(metavar="NAME=FACTOR", help="Factor on the counts of a cell; repeat.")
    ] = None,
    rare_share: Annotated[float, typer.Option(help="Share of the rarest type.")] = 0.01,
    continuum: Annotated[float, typer.Option(help="Share of cells between two types.")] = 0.15,
    batches: Annotated[int, typer.Option(help="Number of batches.")] = 1,
    batch_effect: Annotated[float, typer.Option(help="Strength of batch effects.")] = 0.3,
    missing: Annotated[
        Many, typer.Option(metavar="NAME=TYPE,TYPE", help="Types not measured in a modality; repeat.")
    ] = None,
    paired: Annotated[float, typer.Option(help="Share of cells measured in all modalities.")] = 1.0,
    proteins: Annotated[int, typer.Option(help="Number of proteins.")] = 30,
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
) -> None:
    """Write simulated multi-omics cells with known types and regulatory links, as they are drawn."""
    from omicsglue.datasets import SimulationOptions, draw_truth, write_streamed

    modalities = tuple(modality or ("rna", "atac"))
    factors = numbers(named(depth, "--depth"), "--depth", float)
    absent = {name: tuple(value.split(",")) for name, value in named(missing, "--missing").items()}
    options = SimulationOptions(
        cells=cells,
        genes=genes,
        peaks=peaks,
        types=types,
        preset=preset,
        seed=seed,
        modalities=modalities,
        regulation=regulation,
        links_per_gene=links_per_gene,
        signal=signal,
        noise=noise,
        depth=factors,
        rare_share=rare_share,
        continuum=continuum,
        batches=batches,
        batch_effect=batch_effect,
        missing=absent,
        paired=paired,
        proteins=proteins,
    )
    typer.echo(write_streamed(out, draw_truth(options)))


def demo(
    *,
    out: Out = Path("demo"),
    seed: Annotated[int, typer.Option(help="Seed.")] = 0,
    max_epochs: Annotated[int | None, typer.Option(help="At most so many epochs in each stage.")] = None,
    threads: Annotated[int | None, typer.Option(help="CPU threads of the training.")] = None,
    quiet: Quiet = False,
    json_logs: JsonLogs = False,
) -> None:
    """Simulate a small data set, integrate it, and write its report; an earlier demo there is replaced."""
    speaker = reporter(quiet=quiet, json_logs=json_logs)
    from omicsglue.datasets import demo_data
    from omicsglue.pipeline import integrate as work
    from omicsglue.runs import RunFolder

    RunFolder(out).check_free(overwrite=True)
    speaker.stage("simulate")
    folder = demo_data(seed).write(out / "data")
    done = work(
        {name: folder / f"{name}.h5ad" for name in ("rna", "atac")},
        annotation=folder / "genes.gtf.gz",
        out=out,
        overwrite=True,
        seed=seed,
        max_epochs=max_epochs,
        threads=threads,
        reporter=speaker,
    )
    assert done.folder is not None
    typer.echo(f"report: {done.folder.report}")
