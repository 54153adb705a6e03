"""Simulated data on disk."""

from __future__ import annotations

import gzip
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd

from omicsglue import __version__
from omicsglue.datasets.truth import SimulationTruth
from omicsglue.errors import OptionError
from omicsglue.io import atomic_path, write_json, write_parquet


def write_simulation(
    folder: Path,
    modalities: Mapping[str, ad.AnnData],
    tables: Mapping[str, pd.DataFrame],
    truth: SimulationTruth,
) -> Path:
    """Write ``<modality>.h5ad``, ``<table>.parquet``, ``genes.gtf.gz`` and ``truth.json``, each atomically.

    ``truth.json`` is written last: where it is, the rest is complete.

    Parameters
    ----------
    folder
        Created where it does not exist; files of the same names are replaced.
    modalities
        The data by name.
    tables
        Tables by name, the true links among them.
    truth
        What the data were drawn from.

    Returns
    -------
    The folder.

    Raises
    ------
    OptionError
        If the path is a file.
    RunFolderError
        If the folder cannot be written to.
    """
    check_folder(folder)
    for name, data in modalities.items():
        with atomic_path(folder / f"{name}.h5ad") as temporary:
            data.write_h5ad(temporary, compression="gzip", compression_opts=1)
    write_tables(folder, modalities, tables, truth)
    return folder


def check_folder(folder: Path) -> Path:
    """Return a folder, made where it does not exist.

    Raises
    ------
    OptionError
        If the path is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise OptionError("it is a file", where=str(folder), remedy="Give the name of a folder.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def write_tables(
    folder: Path,
    modalities: Mapping[str, ad.AnnData],
    tables: Mapping[str, pd.DataFrame],
    truth: SimulationTruth,
) -> None:
    """Write what goes with the modalities; of these themselves no more than the tables is looked at."""
    write_gtf(folder / "genes.gtf.gz", truth.genes)
    for name, table in tables.items():
        write_parquet(folder / f"{name}.parquet", table)
    write_json(folder / "truth.json", summary(modalities, truth))


def summary(modalities: Mapping[str, ad.AnnData], truth: SimulationTruth) -> dict[str, Any]:
    """Return what ``truth.json`` holds: options, states, cells by modality, pairing and versions."""
    options, tree = truth.options, truth.tree
    names = options.type_names
    return {
        "format": "omicsglue simulation",
        "format_version": 1,
        "options": options.to_json(),
        "seed": options.seed,
        "types": dict(zip(names, tree.shares, strict=True)),
        "tree": {
            "parents": tree.parents,
            "strength": tree.strength,
            "leaves": dict(zip(names, tree.leaves, strict=True)),
            "continuum": [names[code] for code in tree.continuum],
        },
        "batches": options.batch_names,
        "modalities": {
            name: {
                "cells": data.n_obs,
                "features": data.n_vars,
                "missing_types": options.missing.get(name, ()),
                "missing_batches": options.missing_batches.get(name, ()),
                "cells_by_type": data.obs["cell_type"].value_counts(sort=False).to_dict(),
            }
            for name, data in modalities.items()
        },
        "pairing": {"by": "obs_names", "cells_in_all": len(_shared_cells(modalities))},
        "links": len(truth.links),
        "versions": {"omicsglue": __version__, "anndata": _version("anndata"), "numpy": np.__version__},
    }


def _shared_cells(modalities: Mapping[str, ad.AnnData]) -> set[str]:
    return set.intersection(*(set(data.obs_names) for data in modalities.values()))


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)


def write_gtf(path: Path, genes: pd.DataFrame) -> None:
    """Write genes as a compressed GTF file (1-based, closed): a gene, a transcript and an exon line for each.

    Parameters
    ----------
    path
        Where to write.
    genes
        As `place_genes` returns them.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("wb") as raw,
        # no name and no time in the header: the same genes give the same bytes
        gzip.GzipFile(filename="", fileobj=raw, mode="wb", mtime=0) as packed,
        io.TextIOWrapper(packed, encoding="ascii") as out,
    ):
        out.write("##description: simulated genes\n##format: gtf\n")
        for name, gene in zip(genes.index, genes.itertuples(index=False), strict=True):
            out.write(_gene_lines(str(name), gene))


def _gene_lines(name: str, gene: Any) -> str:
    place = f"{gene.start + 1}\t{gene.end}\t.\t{gene.strand}\t."
    transcript = "ENST" + gene.gene_id[4:]
    of_gene = f'gene_id "{gene.gene_id}.1"; gene_type "protein_coding"; gene_name "{name}";'
    of_transcript = f'gene_id "{gene.gene_id}.1"; transcript_id "{transcript}.1"; gene_name "{name}";'
    return (
        f"{gene.chrom}\tSIM\tgene\t{place}\t{of_gene}\n"
        f"{gene.chrom}\tSIM\ttranscript\t{place}\t{of_transcript}\n"
        f"{gene.chrom}\tSIM\texon\t{place}\t{of_transcript} exon_number 1;\n"
    )
