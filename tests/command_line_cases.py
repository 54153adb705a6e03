"""Command lines that are refused, each made in a folder that holds two small modalities and an annotation.

The page of errors and the tests of the command line share them.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest import mock

import anndata as ad
import numpy as np
import pandas as pd

from disk_cases import CASES as DISK_CASES
from file_cases import CASES as FILE_CASES
from metacell_cases import COMMAND_CASES as METACELL_CASES
from methylation_cases import COMMAND_CASES as METHYLATION_CASES
from omicsglue.cli.app import run
from omicsglue.data.setup import ModalitySetup, write_setup
from omicsglue.graph import from_genome, write_graph
from omicsglue.runs import RunFolder

CELLS, GENES, PEAKS = 12, 6, 10
Change = Callable[[ad.AnnData], None]


def small_rna() -> ad.AnnData:
    """Twelve cells of three types and two donors, six genes."""
    counts = np.add.outer(np.arange(CELLS), 3 * np.arange(GENES)) % 5
    obs = pd.DataFrame(
        {
            "cell_type": [f"type{i % 3}" for i in range(CELLS)],
            "donor": [f"donor{i % 2}" for i in range(CELLS)],
        },
        index=[f"cell{i + 1}" for i in range(CELLS)],
    )
    var = pd.DataFrame(index=[f"Gene{i + 1}" for i in range(GENES)])
    return ad.AnnData(counts.astype(np.float32), obs=obs, var=var)


def small_atac() -> ad.AnnData:
    """The same cells and ten peaks, each on a gene."""
    adata = small_rna()
    counts = np.add.outer(2 * np.arange(CELLS), np.arange(PEAKS)) % 3
    var = pd.DataFrame(index=[f"chr1:{place}-{place + 500}" for place in places_of_peaks()])
    return ad.AnnData(counts.astype(np.float32), obs=adata.obs.copy(), var=var)


def places_of_peaks() -> list[int]:
    """Where the peaks begin."""
    return [10_000 * (i % GENES + 1) + 1_000 * (i // GENES) for i in range(PEAKS)]


def write_gtf(name: str = "Gene", path: str = "genes.gtf") -> None:
    """Six genes of chromosome 1, one every 10,000 bases."""
    lines = [
        f"chr1\tx\tgene\t{10_000 * i}\t{10_000 * i + 4_000}\t.\t+\t.\t"
        f'gene_id "ENSG{i:05d}"; gene_name "{name}{i}";\n'
        for i in range(1, GENES + 1)
    ]
    Path(path).write_text("".join(lines), encoding="utf-8")


def write_inputs() -> None:
    """Write ``rna.h5ad``, ``atac.h5ad`` and ``genes.gtf`` to the working folder."""
    small_rna().write_h5ad("rna.h5ad")
    small_atac().write_h5ad("atac.h5ad")
    write_gtf()


def command(
    *more: str, rna: str = "rna.h5ad", out: str | None = "RUN", guide: str = "annotation"
) -> list[str]:
    """Return a command line of ``integrate`` that takes a moment."""
    guides = {"annotation": ["--annotation", "genes.gtf"], "graph": ["--graph", "edges.tsv"], "none": []}
    place = [] if out is None else ["--out", out]
    inputs = ["--modality", f"rna={rna}", "--modality", "atac=atac.h5ad"]
    return ["integrate", *inputs, *guides[guide], *place, "--max-epochs", "1", "--threads", "1", *more]


@contextmanager
def made() -> Iterator[Path]:
    """Work in a new folder that holds the inputs."""
    with TemporaryDirectory() as folder, chdir(folder):
        write_inputs()
        yield Path(folder)


def spoken(arguments: list[str]) -> tuple[int, str, str]:
    """Run a command line; return exit code, stdout and stderr."""
    out, told = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(told):
        code = run(arguments)
    return code, out.getvalue(), told.getvalue()


# Ways to spoil the inputs


def with_rna(change: Change, *more: str) -> list[str]:
    adata = small_rna()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        change(adata)
        adata.write_h5ad("rna.h5ad")
    return command(*more)


def with_value(value: float) -> list[str]:
    def change(adata: ad.AnnData) -> None:
        adata.X[1, 2] = value

    return with_rna(change)


def without_cell() -> list[str]:
    def change(adata: ad.AnnData) -> None:
        adata.X[1] = np.nan

    return with_rna(change)


def with_names(slot: str) -> list[str]:
    def change(adata: ad.AnnData) -> None:
        names = list(getattr(adata, f"{slot}_names"))
        setattr(adata, f"{slot}_names", [names[0], *names[:-1]])

    return with_rna(change)


def with_rows(cells: int) -> list[str]:
    small_rna()[:cells].copy().write_h5ad("rna.h5ad")
    return command()


def without_features() -> list[str]:
    small_rna()[:, :0].copy().write_h5ad("rna.h5ad")
    return command()


def with_representation(values: np.ndarray) -> list[str]:
    def change(adata: ad.AnnData) -> None:
        adata.obsm["X_mine"] = values

    return with_rna(change, "--representation", "rna=X_mine")


def with_column(values: list[object], option: str, *more: str) -> list[str]:
    def change(adata: ad.AnnData) -> None:
        adata.obs["mine"] = values

    return with_rna(change, option, "rna=mine", *more)


def shared_features() -> list[str]:
    adata = small_atac()[:, :GENES].copy()
    adata.var_names = small_rna().var_names
    adata.write_h5ad("atac.h5ad")
    return command()


def truncated() -> list[str]:
    content = Path("rna.h5ad").read_bytes()
    Path("rna.h5ad").write_bytes(content[: len(content) // 2])
    return command()


def text_file(name: str, content: str, arguments: list[str]) -> list[str]:
    Path(name).write_text(content, encoding="utf-8")
    return arguments


def proteins(*more: str, names: str = "CD3 CD19 CD56 CD45RA CD11c novel") -> list[str]:
    """Six proteins in place of peaks."""
    adata = small_atac()[:, :GENES].copy()
    adata.var_names = names.split()
    adata.write_h5ad("adt.h5ad")
    inputs = ["--modality", "rna=rna.h5ad", "--modality", "adt=adt.h5ad"]
    return ["integrate", *inputs, "--annotation", "genes.gtf", "--out", "RUN", *more]


def far_peaks() -> list[str]:
    adata = small_atac()
    adata.var_names = [f"chr1:{place}-{place + 500}" for place in range(5_000_000, 5_010_000, 1_000)]
    adata.write_h5ad("atac.h5ad")
    return command()


def other_genes() -> list[str]:
    write_gtf("Other")
    return command()


def edges(*rows: tuple[str, str, float, int]) -> list[str]:
    table = pd.DataFrame(rows, columns=["source", "target", "weight", "sign"])
    table.to_csv("edges.tsv", sep="\t", index=False)
    return command(guide="graph")


def unfinished() -> None:
    """Leave a run that was interrupted at once."""
    with mock.patch("omicsglue.model.GLUE.train", side_effect=KeyboardInterrupt):
        assert spoken(command())[0] == 130


def resumed(*more: str) -> list[str]:
    unfinished()
    return command("--resume", *more)


def resumed_with_other_cells() -> list[str]:
    unfinished()
    small_rna()[:-1].copy().write_h5ad("rna.h5ad")
    return command("--resume")


def resumed_without_record() -> list[str]:
    unfinished()
    Path("RUN/run.json").unlink()
    Path("RUN/history.parquet").touch()
    return command("--resume")


def input_of_the_run() -> list[str]:
    Path("RUN").mkdir()
    Path("rna.h5ad").rename("RUN/integrated.h5mu")
    return command("--overwrite", rna="RUN/integrated.h5mu")


def another_run() -> list[str]:
    unfinished()
    return command()


def config(content: str) -> list[str]:
    return text_file("run.yaml", content, command("--config", "run.yaml"))


def finished() -> None:
    """Leave a finished run with an embedding of chance."""
    modalities = {"rna": small_rna(), "atac": small_atac()}
    rng = np.random.default_rng(0)
    for name, adata in modalities.items():
        starts = [10_000 * (i + 1) for i in range(GENES)] if name == "rna" else places_of_peaks()
        ends = np.array(starts) + (4_000 if name == "rna" else 500)
        adata.var = adata.var.assign(chrom="chr1", start=starts, end=ends, strand="+")
        adata.obsm["X_glue"] = rng.normal(size=(CELLS, 3)).astype(np.float32)
        write_setup(adata, ModalitySetup(), name)
    folder = RunFolder.create("RUN")
    folder.write_integrated(modalities)
    write_graph(from_genome(modalities["rna"], modalities["atac"], check_build=False), folder.graph)


def links(*more: str) -> list[str]:
    finished()
    return ["links", "RUN", *more]


def links_with(option: str, name: str, content: str, *more: str) -> list[str]:
    return text_file(name, content, links(option, name, *more))


@dataclass(frozen=True)
class CommandCase:
    """A command line that is refused: its title, what makes it, and words that the answer must have.

    The words of some answers are not the package's own and change with the versions of others.
    """

    title: str
    make: Callable[[], list[str]]
    words: tuple[str, ...]
    ours: bool = True


NAN, INF = float("nan"), float("inf")
CASES = [
    # files
    CommandCase("missing file", lambda: command(rna="nar.h5ad"), ("rna (nar.h5ad)", "no such file")),
    CommandCase("truncated file", truncated, ("rna (rna.h5ad)", "truncated")),
    CommandCase(
        "text file",
        lambda: text_file("rna.csv", "gene,cell1\nSox2,3\n", command(rna="rna.csv")),
        ("rna (rna.csv)", "text file", "write_h5ad"),
    ),
    CommandCase(
        "annotation that is missing",
        lambda: [*command(guide="none"), "--annotation", "no.gtf"],
        ("no.gtf", "no such file"),
    ),
    CommandCase(
        "annotation that is not one", lambda: text_file("genes.gtf", "a b\n", command()), ("genes.gtf",)
    ),
    CommandCase(
        "graph that is missing",
        lambda: [*command(guide="none"), "--graph", "no.parquet"],
        ("no.parquet", "no such file"),
    ),
    # modalities
    CommandCase(
        "one modality only",
        lambda: ["integrate", "--modality", "rna=rna.h5ad", "--annotation", "genes.gtf", "--out", "RUN"],
        ("at least two", "rna"),
    ),
    CommandCase("no cells", lambda: with_rows(0), ("rna", "no cells")),
    CommandCase("no features", without_features, ("rna", "no features")),
    CommandCase("a single cell", lambda: with_rows(1), ("rna", "cell")),
    CommandCase("duplicate names of cells", lambda: with_names("obs"), ("rna.obs_names", "cell1")),
    CommandCase("duplicate names of features", lambda: with_names("var"), ("rna.var_names", "Gene1")),
    CommandCase("the same feature name in two modalities", shared_features, ("rna and atac", "Gene1")),
    CommandCase(
        "name that stands for something else",
        lambda: command("--modality", "graph=rna.h5ad"),
        ("'graph'", "another name"),
    ),
    # values
    CommandCase("negative counts", lambda: with_value(-2), ("rna.X", "negative", "cell2", "Gene3")),
    CommandCase("fractional counts", lambda: with_value(1.5), ("rna.X", "fractional", "cell2", "Gene3")),
    CommandCase(
        "a cell of which everything is missing", without_cell, ("rna.X", "NaN", "throughout", "cell2")
    ),
    CommandCase("infinite values", lambda: with_value(INF), ("rna.X", "infinite", "cell2", "Gene3")),
    # what options name
    CommandCase("unknown layer", lambda: command("--layer", "rna=raw"), ("rna.layers", "'raw'")),
    CommandCase("unknown batch key", lambda: command("--batch-key", "rna=doner"), ("'doner'", "'donor'")),
    CommandCase(
        "unknown label key", lambda: command("--label-key", "rna=celltype"), ("'celltype'", "'cell_type'")
    ),
    CommandCase("unknown likelihood", lambda: command("--likelihood", "rna=negbin"), ("'negbin'", "nb")),
    CommandCase(
        "betabinomial without coverage",
        lambda: command("--likelihood", "rna=betabinomial"),
        ("rna", "no coverage", "--coverage rna="),
    ),
    CommandCase(
        "coverage that is not there",
        lambda: command("--coverage", "rna=total"),
        ("rna.layers", "'total'"),
    ),
    CommandCase(
        "fractions above 1",
        lambda: command("--likelihood", "rna=beta"),
        ("rna.X", "above 1", "from 0 to 1"),
    ),
    CommandCase(
        "unknown representation", lambda: command("--representation", "rna=X_umap"), ("rna.obsm", "'X_umap'")
    ),
    CommandCase(
        "representation with missing values",
        lambda: with_representation(np.where(np.eye(CELLS, 3) == 1, np.nan, 1.0)),
        ("X_mine", "cell1, cell2, cell3"),
    ),
    CommandCase(
        "representation with too few dimensions",
        lambda: with_representation(np.ones((CELLS, 1))),
        ("X_mine", "1 dimension"),
    ),
    CommandCase(
        "labels missing", lambda: with_column([NAN] * CELLS, "--label-key"), ("'mine'", "no cell has a label")
    ),
    CommandCase(
        "all labels unknown",
        lambda: with_column(["?"] * CELLS, "--label-key", "--unknown-label", "?"),
        ("'mine'", "no cell has a label"),
    ),
    CommandCase("one label only", lambda: with_column(["T"] * CELLS, "--label-key"), ("one type", "T")),
    CommandCase(
        "unknown labels without a column",
        lambda: command("--unknown-label", "?"),
        ("--unknown-label", "--label-key"),
    ),
    CommandCase("unknown rule", lambda: command("--rule", "promotor"), ("'promotor'", "'promoter'")),
    CommandCase(
        "cells without a batch",
        lambda: with_column(["a", "b", "c", None] * 3, "--batch-key"),
        ("'mine'", "3 of 12 cells", "cell4"),
    ),
    CommandCase(
        "one of several batch keys unknown",
        lambda: command("--batch-key", "rna=donor,plate"),
        ("rna.obs", "'plate'"),
    ),
    CommandCase(
        "batches of an unknown modality",
        lambda: command("--batch-key", "rna=donor", "--align-batches", "rma"),
        ("--align-batches", "'rma'", "'rna'"),
    ),
    CommandCase(
        "batches to align without a batch key",
        lambda: command("--batch-key", "rna=donor", "--align-batches", "atac"),
        ("--align-batches", "atac", "--batch-key atac="),
    ),
    CommandCase(
        "no batch that is shared",
        lambda: command("--batch-key", "rna=donor", "--shared-batches"),
        ("shared_batches", "rna has donor0, donor1", "batch_key"),
    ),
    CommandCase(
        "option that names an unknown modality",
        lambda: command("--layer", "rma=raw"),
        ("--layer", "'rma'", "'rna'"),
    ),
    # genome and graph
    CommandCase("neither annotation nor graph", lambda: command(guide="none"), ("--annotation", "--graph")),
    CommandCase("no gene matched", other_genes, ("rna", "Gene1", "Other1")),
    CommandCase("no peak near a gene", far_peaks, ("no edge",)),
    CommandCase(
        "graph naming unknown features",
        lambda: edges(("Gene1", "chr1:10000-10500", 1, 1), ("Gene1", "peak1", 1, 1)),
        ("peak1", "no modality has"),
    ),
    CommandCase("graph without edges", lambda: edges(), ("no edge",)),
    CommandCase(
        "weights outside (0, 1]", lambda: edges(("Gene1", "chr1:10000-10500", 1.5, 1)), ("edges.tsv", "1.5")
    ),
    CommandCase(
        "signs other than 1 and -1", lambda: edges(("Gene1", "chr1:10000-10500", 1, 0)), ("edges.tsv", "sign")
    ),
    CommandCase(
        "signs for a graph that has its own",
        lambda: [*edges(("Gene1", "chr1:10000-10500", 1, 1)), "--sign", "atac=-1"],
        ("--sign", "atac"),
    ),
    CommandCase("sign of the genes", lambda: command("--sign", "rna=-1"), ("--sign", "rna")),
    CommandCase("sign that is no sign", lambda: command("--sign", "atac=2"), ("--sign", "atac", "2")),
    CommandCase("sign that is no number", lambda: command("--sign", "atac=minus"), ("--sign", "'minus'")),
    # options
    CommandCase(
        "not NAME=VALUE", lambda: command("--layer", "counts"), ("--layer", "'counts'", "NAME=VALUE")
    ),
    CommandCase(
        "one name twice",
        lambda: command("--layer", "rna=counts", "--layer", "rna=raw"),
        ("--layer", "'rna'", "twice"),
    ),
    CommandCase("no output folder", lambda: command(out=None), ("--out",)),
    CommandCase(
        "unknown option", lambda: command("--layers", "rna=counts"), ("--layers", "--layer"), ours=False
    ),
    CommandCase("option that is no number", lambda: command("--seed", "one"), ("--seed",), ours=False),
    CommandCase("seed below 0", lambda: command("--seed", "-1"), ("--seed", "-1")),
    CommandCase("one cell a step", lambda: command("--batch-size", "1"), ("--batch-size", "1", "at least 2")),
    CommandCase("no epochs", lambda: command("--max-epochs", "0"), ("--max-epochs", "0")),
    CommandCase("no threads", lambda: command("--threads", "0"), ("--threads", "0")),
    CommandCase(
        "unknown place of data", lambda: command("--backed", "disk"), ("--backed", "'disk'", "always")
    ),
    CommandCase("unknown device", lambda: command("--device", "gpu"), ("--device", "'gpu'", "cuda")),
    CommandCase(
        "unknown pairing", lambda: command("--pairing", "barcode"), ("--pairing", "'barcode'", "obs_names")
    ),
    CommandCase(
        "pairing by names and by a column",
        lambda: command("--pairing", "obs_names", "--pairing-key", "donor"),
        ("--pairing-key", "donor"),
    ),
    CommandCase(
        "missing column of pairs", lambda: command("--pairing-key", "barcode"), ("rna", "'barcode'", "donor")
    ),
    CommandCase(
        "cells of one key in a modality",
        lambda: command("--use-pairing", "--pairing-key", "donor"),
        ("rna", "donor1", "donor0"),
    ),
    CommandCase(
        "pairs that are not to be paired",
        lambda: command("--use-pairing", "--pairing", "none"),
        ("--use-pairing", "--pairing"),
    ),
    CommandCase(
        "--resume with --overwrite", lambda: command("--resume", "--overwrite"), ("--resume", "--overwrite")
    ),
    CommandCase("missing file of options", lambda: command("--config", "no.yaml"), ("no.yaml",)),
    CommandCase(
        "file of options that is not YAML",
        lambda: config("layer: {rna: [\n"),
        ("run.yaml", "YAML"),
        ours=False,
    ),
    CommandCase("file that is no mapping", lambda: config("- seed\n"), ("run.yaml", "mapping")),
    CommandCase("unknown option in a file", lambda: config("n_gene: 5\n"), ("'n_gene'", "'n_genes'")),
    CommandCase("option of a file without modality", lambda: config("layer: counts\n"), ("--layer", "rna=")),
    CommandCase(
        "option of a file that is no number", lambda: config("window: wide\n"), ("--window", "'wide'")
    ),
    # output
    CommandCase("the folder holds another run", another_run, ("RUN", "--resume", "--overwrite")),
    CommandCase("the output is a file", lambda: command(out="rna.h5ad"), ("rna.h5ad", "file")),
    CommandCase("the output lies in a file", lambda: command(out="rna.h5ad/RUN"), ("rna.h5ad", "file")),
    CommandCase("an input lies in the run to be replaced", input_of_the_run, ("RUN/integrated.h5mu", "RUN")),
    CommandCase("resumed with another option", lambda: resumed("--seed", "1"), ("RUN", "seed was 0, now 1")),
    CommandCase("resumed with another input", resumed_with_other_cells, ("RUN", "the input rna")),
    CommandCase("resumed without run.json", resumed_without_record, ("RUN", "run.json", "--overwrite")),
    # other commands
    *(CommandCase(*each) for each in DISK_CASES),
    *(CommandCase(*each) for each in FILE_CASES),
    CommandCase("scores of no run", lambda: ["score", "nothing"], ("nothing", "no such folder")),
    CommandCase(
        "report of a run that did not finish",
        lambda: [unfinished(), ["report", "RUN"]][1],
        ("RUN", "did not finish", "--resume"),
    ),
    CommandCase(
        "corruption beyond 1",
        lambda: [
            edges(("Gene1", "chr1:10000-10500", 1, 1)),
            ["graph", "corrupt", "edges.tsv", "--rate", "2", "--out", "x.tsv"],
        ][1],
        ("2",),
    ),
    # proteins
    CommandCase(
        "proteins whose genes are not in the data",
        proteins,
        ("adt", "none of the 6 proteins (CD3, CD19, CD56", "--protein-genes"),
    ),
    CommandCase(
        "proteins without any genes",
        lambda: proteins("--kind", "rna=proteins"),
        ("no modality holds genes", "surface proteins"),
    ),
    CommandCase(
        "table of proteins that is missing",
        lambda: proteins("--protein-genes", "no.tsv"),
        ("--protein-genes no.tsv", "no such file"),
    ),
    CommandCase(
        "table of proteins without a column",
        lambda: text_file("mine.tsv", "protein\tid\nCD3\tGene1\n", proteins("--protein-genes", "mine.tsv")),
        ("mine.tsv", "no column gene", "protein, id"),
    ),
    CommandCase(
        "table of other proteins",
        lambda: text_file(
            "mine.tsv", "protein\tgene\nCD99\tGene1\n", proteins("--protein-genes", "mine.tsv")
        ),
        ("--protein-genes", "names none of the 6 proteins", "cd99"),
    ),
    CommandCase(
        "table of proteins with genes that are not in the data",
        lambda: text_file("mine.tsv", "protein\tgene\nCD3\tCD3E\n", proteins("--protein-genes", "mine.tsv")),
        ("--protein-genes", "CD3E (of CD3)", "Gene1"),
    ),
    CommandCase(
        "unknown kind of features", lambda: proteins("--kind", "adt=protein"), ("--kind", "'proteins'")
    ),
    # links
    CommandCase("links of no run", lambda: ["links", "nothing"], ("nothing", "no such folder")),
    CommandCase(
        "links of a run that did not finish",
        lambda: [unfinished(), ["links", "RUN"]][1],
        ("RUN", "did not finish", "--resume"),
    ),
    CommandCase(
        "links in a file of unknown ending", lambda: links("--out", "links.xlsx"), ("links.xlsx", ".parquet")
    ),
    CommandCase(
        "links in a folder that is missing",
        lambda: links("--out", "no/links.tsv"),
        ("no/links.tsv", "folder"),
    ),
    CommandCase(
        "evidence that is missing",
        lambda: links("--evidence", "no.bedpe"),
        ("--evidence no.bedpe", "no such"),
    ),
    CommandCase(
        "evidence that is none",
        lambda: links_with("--evidence", "notes.txt", "some words\nand more\n"),
        ("notes.txt", "no evidence that is known"),
    ),
    CommandCase(
        "evidence of another genome build",
        lambda: links_with("--evidence", "loops.bedpe", "chr1\t5008000\t5010000\tchr1\t5020000\t5020500\n"),
        ("bedpe", "no candidate pair", "4,960,000 bases", "genome builds differ"),
    ),
    CommandCase(
        "evidence of other chromosomes",
        lambda: links_with("--evidence", "loops.bedpe", "chr7\t8000\t9000\tchr7\t20000\t20500\n"),
        ("bedpe", "no chromosome", "chr7", "chr1"),
    ),
    CommandCase(
        "evidence that names other peaks",
        lambda: links_with("--evidence", "pairs.csv", "source,target\nGene1,peak1\n"),
        ("pairs", "elements are called peak1 there and chr1:10000-10500"),
    ),
    CommandCase(
        "evidence that guides and judges",
        lambda: links_with("--evidence", "pairs.csv", "source,target\nGene1,x\n", "--guide", "./pairs.csv"),
        ("--evidence", "pairs.csv", "both guides the links and judges them"),
    ),
    CommandCase(
        "evidence without any effect",
        lambda: links_with(
            "--evidence", "pairs.csv", "source,target,positive\nGene1,chr1:10000-10500,false\n"
        ),
        ("pairs", "without effect"),
    ),
    CommandCase(
        "binding sites of factors that the data have not",
        lambda: links_with("--tf-binding", "sites.bed", "chr1\t10100\t10110\tGATA1\n"),
        ("sites.bed", "none of the 1 TFs", "GATA1", "Gene1"),
    ),
    CommandCase(
        "binding sites of another genome build",
        lambda: links_with("--tf-binding", "sites.bed", "chr1\t5010100\t5010110\tGene1\n"),
        ("sites.bed", "no site lies in any", "another genome build"),
    ),
    CommandCase("gene to draw that is unknown", lambda: links("--locus", "Gene11"), ("--locus", "'Gene1'")),
    CommandCase(
        "column of cell types that is unknown",
        lambda: links("--label-key", "celltype"),
        ("--label-key", "'celltype'", "'cell_type'"),
    ),
    CommandCase("unknown baseline", lambda: links("--baseline", "laso"), ("--baseline", "'lasso'")),
    CommandCase("unknown correction", lambda: links("--correction", "fdr"), ("--correction", "strata")),
    CommandCase("unknown modality of elements", lambda: links("--elements", "atak"), ("--elements", "atac")),
    CommandCase("links of too few genes", lambda: links(), ("6 genes", "at least 20")),
    # studies
    CommandCase("explanation of no run", lambda: ["explain", "nothing"], ("nothing", "no such folder")),
    CommandCase(
        "layer that is no modality", lambda: ["explain", links()[1], "--layers", "atak"], ("layers", "'atac'")
    ),
    CommandCase("annotations without a name", lambda: ["unify", "RUN"], ("--label-key", "no annotation")),
    CommandCase(
        "annotation of a column that is unknown",
        lambda: ["unify", links()[1], "--label-key", "rna=celltype"],
        ("rna", "'celltype'", "'cell_type'"),
    ),
    CommandCase(
        "unified labels in a file of unknown ending",
        lambda: ["unify", links()[1], "--label-key", "rna=cell_type", "--out", "labels.xlsx"],
        ("labels.xlsx", ".tsv"),
    ),
    CommandCase(
        "simulation without cells", lambda: ["simulate", "--cells", "0", "--out", "SIM"], ("cells", "0")
    ),
    *(CommandCase(*each) for each in [*METHYLATION_CASES, *METACELL_CASES]),
    CommandCase(
        "fewer than no metacells", lambda: [*command(), "--metacells", "-1"], ("--metacells", "at least 0")
    ),
]


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file and folder under a folder with what is in it."""
    found = sorted(folder.rglob("*"))
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"" for path in found}


def answer(case: CommandCase) -> tuple[int, str, str]:
    """Return exit code, message and remedy of a refused command line."""
    with made():
        arguments = case.make()
        code, _, told = spoken(arguments)
    message, _, remedy = told[told.index("error: ") :].strip().partition("\n  -> ")
    return code, message.removeprefix("error: "), remedy


def as_json(case: CommandCase) -> list[dict[str, object]]:
    """Return what a refused command line says with ``--json-logs``."""
    with made():
        arguments = [each for each in case.make() if each != "--quiet"]
        more = [] if "--json-logs" in arguments else ["--json-logs"]
        told = spoken([*arguments, *more])[2]
    return [json.loads(line) for line in told.splitlines()]
