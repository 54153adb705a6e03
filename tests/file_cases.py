"""Command lines with several files of a modality that are refused, for the page of errors and the tests."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import scipy.sparse as sp


def files(*rna: str, more: tuple[str, ...] = ()) -> list[str]:
    """Return a command line with several files of RNA."""
    given = [word for file in rna for word in ("--modality", f"rna={file}")]
    return ["integrate", *given, "--modality", "atac=atac.h5ad", "--annotation", "genes.gtf", *more]


def second(*, prefix: str = "second_", column: bool = False) -> None:
    """Write another file of the same genes."""
    adata = ad.read_h5ad("rna.h5ad")
    adata.obs_names = [prefix + name for name in adata.obs_names]
    if column:
        adata.X = sp.csc_matrix(adata.X)
    adata.write_h5ad("rna2.h5ad")


def in_two_files(*more: str, prefix: str = "second_", column: bool = False) -> list[str]:
    second(prefix=prefix, column=column)
    return files("rna.h5ad", "rna2.h5ad", more=("--out", "RUN", *more))


def in_a_config(value: str) -> list[str]:
    Path("run.yaml").write_text(f"modality: {value}\nannotation: genes.gtf\nout: RUN\n")
    return ["integrate", "--config", "run.yaml"]


def resumed_without_the_second() -> list[str]:
    """A run of two files that is resumed with one."""
    Path("RUN").mkdir()
    Path("RUN/run.json").write_text(
        '{"options": {}, "inputs": {"rna": {"sha256": "1", "files": [{"sha256": "2"}, {"sha256": "3"}]}}}'
    )
    return files("rna.h5ad", more=("--out", "RUN", "--resume"))


OUT = ("--out", "RUN")
CASES = [
    (
        "files of a modality with other features",
        lambda: files("rna.h5ad", "atac.h5ad", more=OUT),
        ("rna, rna and atac", "16 features", "Gene1"),
    ),
    ("files of a modality with the same cells", lambda: in_two_files(prefix=""), ("cell1", "--file-prefix")),
    ("a file twice", lambda: files("rna.h5ad", "./rna.h5ad", more=OUT), ("--modality", "twice for rna")),
    (
        "one of several files missing",
        lambda: files("rna.h5ad", "rna3.h5ad", more=OUT),
        ("rna (rna3.h5ad)", "no such file"),
    ),
    ("a pattern that nothing matches", lambda: files("plate*.h5ad", more=OUT), ("rna", "plate*.h5ad")),
    ("no file in a list", lambda: in_a_config("{rna: [], atac: atac.h5ad}"), ("rna", "no file")),
    (
        "a list that holds no files",
        lambda: in_a_config("{rna: [1], atac: atac.h5ad}"),
        ("--config", "modality"),
    ),
    (
        "one of several files stored by column",
        lambda: in_two_files("--backed", "always", column=True),
        ("rna, rna2", "CSC", "omicsglue convert"),
    ),
    (
        "a column of files that is there",
        lambda: in_two_files("--file-key", "donor"),
        ("rna", "'donor'", "--file-key"),
    ),
    ("resumed with fewer files", resumed_without_the_second, ("RUN", "had 2 files, now 1")),
]
