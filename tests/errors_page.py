"""Bad inputs, each with the function that meets it, and the page of the documentation made from them.

``make errors`` writes ``docs/errors.md`` anew; a test compares the page with what the package says.
"""

from __future__ import annotations

import errno
import functools
import gzip
import os
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from command_line_cases import CASES as COMMAND_CASES
from command_line_cases import CommandCase, answer
from metacell_cases import PAGE_CASES as METACELL_CASES
from methylation_cases import PAGE_CASES as METHYLATION_CASES
from omicsglue import graph, io, tl
from omicsglue.data import checks
from omicsglue.data.groups import check_batch_options
from omicsglue.data.inputs import read_modality
from omicsglue.data.kinds import Kind
from omicsglue.data.labels import check_types
from omicsglue.data.offsets import dense
from omicsglue.data.pairing import pair_cells
from omicsglue.data.setup import ModalitySetup
from omicsglue.errors import OmicsGlueError, OmicsGlueWarning
from omicsglue.pipeline.files import source_of
from omicsglue.pipeline.sources import Sources
from omicsglue.pp.annotate import annotate_genes, annotate_peaks
from omicsglue.runs.folder import RunFolder
from omicsglue.training.checkpoint import Checkpoint
from omicsglue.training.recovery import NotFiniteError, Recovery

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"

INTRODUCTION = """\
# Bad input

What each unusable input is answered with. From Python, every refusal is a subclass of
`omicsglue.OmicsGlueError` with the attributes `what`, `where` and `remedy`. On the command line it is one
message and exit code 2, with nothing written (see [below](#from-the-command-line)). What can be lived with
is a warning (`OmicsGlueWarning`).

The messages on this page are those that the package gives to small examples; a test holds the page to them.
"""


COMMAND_LINE = """\
## From the command line

The same inputs and some more, as `omicsglue` answers them: one message on stderr (with `--json-logs` one
JSON object with `what`, `where` and `remedy`), exit code 2, and nothing written or changed. A test gives
each of these to the command line. What only warns (cells without counts, fewer cells than a batch, vertices
without edges, another genome build) is said on stderr, kept in `run.json`, and the run goes on.

A run that fails after it has started (a disk that fills up, memory, a loss that is no longer finite) ends
with exit code 3, the same kind of message and a line that says what was saved. Ctrl-C and SIGTERM end with
exit code 130, where training had begun after a checkpoint was saved. The same command with `--resume` goes
on from there, also after the process was killed: see [Faults](faults.md).
"""


def counts(n_cells: int = 6, n_features: int = 4) -> np.ndarray:
    return np.arange(1, 1 + n_cells * n_features, dtype=np.float32).reshape(n_cells, n_features) % 7 + 1


def annotated(
    values: np.ndarray | sp.spmatrix | None = None, prefix: str = "Gene", **columns: object
) -> ad.AnnData:
    values = counts() if values is None else values
    n_cells, n_features = values.shape
    return ad.AnnData(
        values,
        obs=pd.DataFrame(columns, index=[f"cell{i}" for i in range(1, n_cells + 1)]),
        var=pd.DataFrame(index=[f"{prefix}{i}" for i in range(1, n_features + 1)]),
    )


def with_value(value: float) -> ad.AnnData:
    values = counts()
    values[1, 2] = value
    return annotated(values)


def with_names(slot: str, names: list[str]) -> ad.AnnData:
    adata = annotated()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        setattr(adata, f"{slot}_names", names)
    return adata


def input_that_changes(*, was_read: bool, stays: bool = True) -> None:
    path = Path(written("rna.h5ad", b"content"))
    sources, entry = Sources({"rna": path}), {"sha256": io.sha256_of(path)}
    if was_read:
        sources.were_read({"rna": entry})
    path.write_bytes(b"more content")
    if not stays:
        path.unlink()
    sources.check() if was_read else sources.were_read({"rna": entry})


def losses_that_are_not_finite() -> None:
    stage = mock.Mock()
    stage.configure_mock(name="train")
    stage.state.step, stage.state.rollbacks, stage.config.learning_rate = 1200, 3, 2e-3
    recovery = Recovery()
    recovery.kept = Checkpoint(1, "train", 1100, {}, {})
    recovery.go_back(stage, NotFiniteError(["data_nll_rna", "vae_loss"], "stage train, step 1200"))


def few_of_a_combination() -> None:
    adata = annotated(counts(n_cells=60), donor=["a", "b"] * 30, plate=["1"] * 55 + ["2"] * 5)
    checks.check_batch_key(adata, "donor,plate", where="rna")


def with_obsm(values: np.ndarray) -> ad.AnnData:
    adata = annotated()
    adata.obsm["X_pca"] = values
    return adata


def peaks(*names: str) -> ad.AnnData:
    adata = annotated(counts(n_features=len(names)))
    adata.var_names = list(names)
    return adata


def edges(**changes: object) -> pd.DataFrame:
    return pd.DataFrame({"source": ["Gene1"], "target": ["peak1"], "weight": [1.0], "sign": [1]} | changes)


def gtf(path: str = "genes.gtf", name: str = "Sox2") -> str:
    Path(path).write_text(f'chr3\tx\tgene\t101\t900\t.\t+\t.\tgene_id "ENSG1"; gene_name "{name}";\n')
    return path


def written(name: str, content: bytes) -> str:
    Path(name).write_bytes(content)
    return name


def h5ad_bytes() -> bytes:
    annotated().write_h5ad("whole.h5ad")
    content = Path("whole.h5ad").read_bytes()
    Path("whole.h5ad").unlink()
    return content


def hdf5(name: str, group: str) -> str:
    with h5py.File(name, "w") as file:
        file.create_group(group)
    return name


def read(path: str) -> None:
    read_modality(path, name="rna")


def read_near_name() -> None:
    written("rna.h5ad", b"")
    read("rna.h5da")


def read_folder() -> None:
    Path("matrices").mkdir()
    written("matrices/rna.h5ad", b"")
    read("matrices")


def read_refused() -> None:
    written("rna.h5ad", b"")
    with mock.patch.object(Path, "open", side_effect=PermissionError(errno.EACCES, "Permission denied")):
        read("rna.h5ad")


def read_newer() -> None:
    written("rna.h5ad", h5ad_bytes())
    with h5py.File("rna.h5ad", "r+") as file:
        file["X"].attrs["encoding-version"] = "99.0"
    read("rna.h5ad")


def check_counts(adata: ad.AnnData) -> None:
    checks.check_counts(adata, where="rna")


def check_kind(kind: Kind, adata: ad.AnnData) -> None:
    checks.check_values(adata, None, kind, where="rna")


def all_missing() -> ad.AnnData:
    values = counts()
    values[1] = np.nan
    return annotated(values)


def check_covered(coverage: np.ndarray | None) -> None:
    adata = annotated()
    if coverage is not None:
        adata.layers["coverage"] = coverage
    checks.check_coverage(adata, ModalitySetup(likelihood="betabinomial"), "meth")


def check_log_normalised() -> None:
    adata = annotated(np.log1p(counts()))
    adata.layers["counts"] = counts()
    check_counts(adata)


def check_empty(adata: ad.AnnData) -> None:
    checks.warn_of_empty(checks.check_counts(adata, where="rna"), adata, where="rna")


def without(rows: int | slice, columns: int | slice) -> ad.AnnData:
    values = counts()
    values[rows, columns] = 0
    return annotated(values)


def pair(rna: list[str], atac: list[str], *keys: list[int]) -> dict[str, ad.AnnData]:
    columns = [{"key": values} for values in keys] or [{}, {}]
    tables = [pd.DataFrame(each, index=names) for each, names in zip(columns, (rna, atac), strict=True)]
    return {name: ad.AnnData(obs=obs) for name, obs in zip(("rna", "atac"), tables, strict=True)}


def few_pairs() -> None:
    names = [[f"{letter}{number}" for number in range(199)] + ["AAGG"] for letter in "rp"]
    pair_cells(pair(*names))


def shared_object() -> None:
    adata = annotated()
    checks.check_modalities({"rna": adata, "atac": adata})


def wrong_build() -> None:
    rng = np.random.default_rng(0)
    n_genes, n_peaks = 2000, 4000
    starts = np.sort(rng.choice(100_000_000, n_genes, replace=False))
    places = rng.choice(100_000_000, n_peaks, replace=False)
    rna = annotated(counts(2, n_genes))
    rna.var = rna.var.assign(chrom="chr1", start=starts, end=starts + 10_000, strand="+")
    atac = peaks(*[f"chr1:{place}-{place + 500}" for place in places])
    annotate_peaks(atac)
    graph.from_genome(rna, atac)


def evidence_of_another_build() -> None:
    genes = [f"Gene{i}" for i in range(1, 7)]
    start = 100_000 * np.arange(1, 7)
    places = {
        "source_chrom": "chr1",
        "source_start": start,
        "source_end": start + 5_000,
        "source_strand": "+",
    }
    ends = {"target_chrom": "chr1", "target_start": start + 9_000, "target_end": start + 9_500}
    links = pd.DataFrame({"source": genes, "target": [f"peak{i}" for i in range(1, 7)]} | places | ends)
    columns = "chrom chromStart chromEnd EffectSize chrTSS startTSS endTSS measuredGeneSymbol Regulated"
    rows = [
        f"chr1\t{at + 59_000}\t{at + 59_500}\t-0.3\tchr1\t{at + 50_000}\t{at + 50_001}\t{gene}\tTRUE\n"
        for gene, at in zip(genes, start, strict=True)
    ]
    text = columns.replace(" ", "\t") + "\n" + "".join(rows)
    tl.match_evidence(links, tl.read_evidence(written("screen.tsv", text.encode())))


def another_run() -> None:
    Path("RUN").mkdir()
    written("RUN/run.json", b"{}")
    RunFolder.create("RUN")


def write_and_fail(number: int) -> None:
    with io.atomic_path("RUN.parquet") as temporary:
        raise OSError(number, os.strerror(number), str(temporary.resolve()))


@dataclass(frozen=True)
class Case:
    """A bad input: its title, and a function that gives it to the package in an empty folder."""

    title: str
    give: Callable[[], object]


def another_number() -> None:
    from omicsglue.training.checkpoint import Checkpoint
    from omicsglue.training.shares import check_same_number

    check_same_number(Checkpoint(0, "pretrain", 40, {}, {"ranks": [{}, {}]}), None)


def few_cells_for_processes() -> None:
    from omicsglue.data.shards import shards

    shards({"rna": np.arange(300), "atac": np.arange(5)}, 3)


def no_devices() -> None:
    from omicsglue.training.device import accelerator_of

    accelerator_of("cpu", 0)


def more_than_launched() -> None:
    from omicsglue.training.environment import LocalEnvironment, Surroundings

    Surroundings("torchrun", 0, 4, 2, 2, LocalEnvironment(0, 4, 0)).check(4)


CASES: dict[str, list[Case]] = {
    "Files": [
        Case("missing file", lambda: read("rna.h5ad")),
        Case("missing file, another name is near", read_near_name),
        Case("missing folder", lambda: read("data/rna.h5ad")),
        Case("a folder", read_folder),
        Case("unreadable file", read_refused),
        Case("empty file", lambda: read(written("rna.h5ad", b""))),
        Case("truncated file", lambda: read(written("rna.h5ad", h5ad_bytes()[:5000]))),
        Case("compressed file", lambda: read(written("rna.h5ad.gz", gzip.compress(h5ad_bytes())))),
        Case("text file", lambda: read(written("rna.csv", b"gene,cell1\nSox2,3\n"))),
        Case("neither HDF5 nor text", lambda: read(written("rna.h5ad", bytes(range(200))))),
        Case("HDF5 of another kind", lambda: read(hdf5("rna.h5", "weights"))),
        Case("Cell Ranger file", lambda: read(hdf5("rna.h5", "matrix/barcodes"))),
        Case("Loom file", lambda: read(hdf5("rna.loom", "row_attrs"))),
        Case("MuData file without the modality", lambda: read(hdf5("both.h5mu", "mod/atac") + ":rna")),
        Case("file of a newer AnnData", read_newer),
    ],
    "Modalities": [
        Case("fewer than two", lambda: checks.check_modalities({"rna": annotated()})),
        Case("name that cannot be used", lambda: checks.check_modality_name("r/na")),
        Case("one object given twice", shared_object),
        Case("a list of objects", lambda: source_of("rna", [annotated(donor="a")])),
        Case("what is no file", lambda: source_of("rna", 7)),
        Case("no cells", lambda: checks.check_shape(annotated(np.zeros((0, 3))), where="rna")),
        Case("no features", lambda: checks.check_shape(annotated(np.zeros((3, 0))), where="rna")),
        Case(
            "duplicate names of cells",
            lambda: checks.check_unique_names(with_names("obs", [*"aabcde"]), where="rna"),
        ),
        Case(
            "duplicate names of features",
            lambda: checks.check_unique_names(with_names("var", [*"aabb"]), where="rna"),
        ),
        Case(
            "the same feature name in two modalities",
            lambda: checks.check_modalities({"rna": annotated(), "adt": annotated()}),
        ),
        Case("pairs: one key for two cells", lambda: pair_cells(pair(["a", "b"], ["b"], [5, 5], [5]), "key")),
        Case("pairs: no name in common", lambda: pair_cells(pair(["AACC-1", "AAGG-1"], ["AACC", "TTGG"]))),
        Case("pairs: few names in common", few_pairs),
        Case("fewer cells than a batch", lambda: checks.check_enough_cells(90, 128, where="rna")),
        Case("a single cell", lambda: checks.check_enough_cells(1, 128, where="rna")),
    ],
    "Values": [
        Case("negative counts", lambda: check_counts(with_value(-2))),
        Case("fractional counts", lambda: check_counts(with_value(1.5))),
        Case("log-normalised data", check_log_normalised),
        Case("missing values", lambda: check_kind("counts", with_value(np.nan))),
        Case("a cell of which everything is missing", lambda: check_kind("counts", all_missing())),
        Case("counts where fractions belong", lambda: check_kind("fractions", annotated())),
        Case("negative values for a log-normal", lambda: check_kind("non-negative", with_value(-2))),
        Case("fractions where zeros and ones belong", lambda: check_kind("binary", with_value(0.5))),
        Case("counts where zeros and ones belong", lambda: check_kind("binary", annotated())),
        Case("covered counts without coverage", lambda: check_covered(None)),
        Case("more methylated than covered", lambda: check_covered(counts() - 1)),
        Case("negative coverage", lambda: check_covered(-counts())),
        Case("coverage that is NaN", lambda: check_covered(counts() * np.nan)),
        Case("infinite values", lambda: check_counts(with_value(np.inf))),
        Case("no counts at all", lambda: check_empty(annotated(np.zeros((3, 2))))),
        Case("cells without counts", lambda: check_empty(without(1, slice(None)))),
        Case("features without counts", lambda: check_empty(without(slice(None), 2))),
    ],
    "Methylation": [Case(title, make) for title, make in METHYLATION_CASES],
    "Metacells": [Case(title, make) for title, make in METACELL_CASES],
    "Keys and options": [
        Case("no devices", no_devices),
        Case("too few cells for so many processes", few_cells_for_processes),
        Case("another number of devices than torchrun has started", more_than_launched),
        Case("unknown layer", lambda: checks.check_key(annotated(), "layers", "counts", where="rna")),
        Case(
            "unknown representation",
            lambda: checks.check_representation(with_obsm(np.ones((6, 3))), "X_pac", where="rna"),
        ),
        Case("unknown column", lambda: checks.check_key(annotated(donor="a"), "obs", "doner", where="rna")),
        Case("unknown likelihood", lambda: checks.check_likelihood("negbin", where="rna")),
        Case(
            "representation with missing values",
            lambda: checks.check_representation(with_obsm(np.full((6, 3), np.nan)), "X_pca", where="rna"),
        ),
        Case(
            "representation with too few dimensions",
            lambda: checks.check_representation(with_obsm(np.ones((6, 1))), "X_pca", where="rna"),
        ),
        Case(
            "representation with other rows",
            lambda: checks.check_representation(annotated(), np.ones((5, 3)), where="rna"),
        ),
        Case(
            "cells without a batch",
            lambda: checks.check_batch_key(annotated(donor=["a", "b", None] * 2), "donor", where="rna"),
        ),
        Case(
            "a batch for each cell",
            lambda: checks.check_batch_key(annotated(barcode=[*"abcdef"]), "barcode", where="rna"),
        ),
        Case(
            "several columns, one unknown",
            lambda: checks.check_batch_key(annotated(donor="a"), "donor,plate", where="rna"),
        ),
        Case("few cells of a combination", few_of_a_combination),
        Case(
            "batches of one modality alone",
            lambda: check_batch_options({"rna": "ab", "atac": "b"}, shared=True, align=()),
        ),
        Case(
            "no batch in two modalities",
            lambda: check_batch_options({"rna": "ab", "atac": "AB"}, shared=True, align=()),
        ),
        Case(
            "one batch to align",
            lambda: check_batch_options({"rna": "ab", "atac": "b"}, shared=False, align=("atac",)),
        ),
        Case("batches to align without a representation", lambda: dense(sp.csr_matrix((2, 2)), "rna")),
        Case("only one batch", lambda: checks.check_batch_key(annotated(donor="a"), "donor", where="rna")),
        Case(
            "labels missing altogether",
            lambda: checks.check_labels(annotated(cell_type=[np.nan] * 6), "cell_type", where="rna"),
        ),
        Case(
            "labels missing in part",
            lambda: checks.check_labels(
                annotated(cell_type=["T", "B", np.nan] * 2), "cell_type", where="rna"
            ),
        ),
        Case(
            "labels that seem to mean unknown",
            lambda: checks.check_labels(
                annotated(cell_type=["T", "B", "Unknown"] * 2), "cell_type", where="rna"
            ),
        ),
        Case("only one label", lambda: check_types({"rna": {"T"}})),
        Case(
            "modalities that share no label",
            lambda: check_types({"rna": {"T", "B"}, "atac": {"T cell", "B cell"}}),
        ),
        Case(
            "a label for each cell",
            lambda: checks.check_labels(annotated(barcode=[*"abcdef"]), "barcode", where="rna"),
        ),
    ],
    "Genome and graph": [
        Case("no gene matched", lambda: annotate_genes(annotated(), gtf())),
        Case("few genes matched", lambda: annotate_genes(annotated(), gtf(name="Gene1"))),
        Case("no coordinates in the names of peaks", lambda: annotate_peaks(peaks("peak1", "peak2"))),
        Case(
            "annotation that is not one", lambda: annotate_genes(annotated(), written("genes.gtf", b"a b\n"))
        ),
        Case("another genome build", wrong_build),
        Case(
            "a graph without edges",
            lambda: graph.check(
                graph.from_table(edges().iloc[:0], ["Gene1", "peak1"]), {"rna": ["Gene1"], "atac": ["peak1"]}
            ),
        ),
        Case(
            "vertices without edges",
            lambda: graph.check(
                graph.from_table(edges(), ["Gene1", "Gene2", "peak1"]),
                {"rna": ["Gene1", "Gene2"], "atac": ["peak1"]},
            ),
        ),
        Case(
            "a graph naming unknown features",
            lambda: graph.check(graph.from_table(edges()), {"rna": ["Gene1"], "atac": ["peak2"]}),
        ),
        Case("weights outside (0, 1]", lambda: graph.from_table(edges(weight=[1.5]))),
        Case("signs other than 1 and -1", lambda: graph.from_table(edges(sign=[0]))),
        Case(
            "no feature of a modality in the graph",
            lambda: checks.modelled_matrix(
                annotated(), mock.Mock(layer=None), np.zeros(4, dtype=bool), "rna"
            ),
        ),
    ],
    "Regulatory links": [
        Case("no embedding", lambda: tl.regulatory_links(annotated(), peaks("peak1"))),
        Case("evidence of another genome build", evidence_of_another_build),
        Case(
            "evidence that is neither true nor false",
            lambda: tl.read_evidence(written("pairs.tsv", b"source\ttarget\tpositive\nSox2\tpeak1\tmaybe\n")),
        ),
        Case(
            "text that is no evidence",
            lambda: tl.read_evidence(written("notes.txt", b"some words\nand more\n")),
        ),
    ],
    "While a run is at work": [
        Case("an input file that changes", lambda: input_that_changes(was_read=True)),
        Case("an input file that is still being copied", lambda: input_that_changes(was_read=False)),
        Case("an input file that is removed", lambda: input_that_changes(was_read=True, stays=False)),
        Case("losses that are not finite, again and again", losses_that_are_not_finite),
    ],
    "Output": [
        Case("the folder holds another run", another_run),
        Case("resumed by another number of processes", another_number),
        Case("the folder of the output is missing", lambda: io.write_json("no/such/file.json", {})),
        Case("disk full", lambda: write_and_fail(errno.ENOSPC)),
        Case("no permission to write", lambda: write_and_fail(errno.EACCES)),
        Case("read-only disk", lambda: write_and_fail(errno.EROFS)),
    ],
}


def answers(case: Case) -> Iterator[tuple[str, str, str]]:
    """Give one bad input to the package in an empty folder; yield kind, message and remedy of each answer."""
    with (
        tempfile.TemporaryDirectory() as folder,
        chdir(folder),
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", OmicsGlueWarning)
        try:
            case.give()
        except OmicsGlueError as error:
            yield type(error).__name__, str(error).rpartition("\n  -> ")[0], error.remedy
            return
    for warning in caught:
        message, _, remedy = str(warning.message).partition("\n  -> ")
        yield warning.category.__name__, message, remedy


@functools.cache
def refusal(case: CommandCase) -> tuple[str, str]:
    """Give a bad command line to the package; return message and remedy."""
    code, message, remedy = answer(case)
    assert code == 2, message
    return message, remedy


def _cell(text: str) -> str:
    text = re.sub(r"\([0-9,]+ MiB left", "(… MiB left", text)
    return re.sub(r"([\\|`*_<>\[\]$])", r"\\\1", text).replace("\n", "<br>")


def render() -> str:
    """Return the page."""
    lines = [INTRODUCTION]
    for heading, cases in CASES.items():
        lines += [f"## {heading}", "", "| input | kind | message | what to do |", "| --- | --- | --- | --- |"]
        for case in cases:
            lines += [
                f"| {_cell(case.title)} | {kind} | {_cell(message)} | {_cell(remedy)} |"
                for kind, message, remedy in answers(case)
            ]
        lines.append("")
    lines += [COMMAND_LINE, "| input | message | what to do |", "| --- | --- | --- |"]
    lines += [
        f"| {_cell(case.title)} | {' | '.join(_cell(text) for text in refusal(case))} |"
        for case in COMMAND_CASES
        if case.ours
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
