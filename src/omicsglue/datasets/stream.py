"""Simulated data of any size, written as they are drawn: no more than a block of cells is in memory."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

from omicsglue.datasets.simulate import features_of, iterate_blocks, named_links, protein_genes
from omicsglue.datasets.truth import SimulationTruth
from omicsglue.datasets.write import check_folder, write_tables
from omicsglue.io import atomic_path
from omicsglue.sparsefile import CsrWriter

OBS = ["cell_type", "batch", "branch", "pseudotime"]


def write_streamed(folder: str | Path, truth: SimulationTruth) -> Path:
    """Draw the cells and counts of a truth block by block, and write them as they come.

    Parameters
    ----------
    folder
        Created where it does not exist; files of the same names are replaced.
    truth
        What `draw_truth` returned; its options say how many cells there are.

    Returns
    -------
    The folder, with the files that `SimulatedData.write` writes, and the same content.

    Raises
    ------
    OptionError
        If the path is a file.
    RunFolderError
        If the folder cannot be written to.
    """
    target = check_folder(Path(folder))
    names = truth.options.modalities
    with ExitStack() as open_files:
        writers = {
            name: _ModalityWriter(
                open_files.enter_context(atomic_path(target / f"{name}.h5ad")), features_of(truth, name)
            )
            for name in names
        }
        for table, counts in iterate_blocks(truth):
            for name, writer in writers.items():
                writer.append(table.loc[table[f"in_{name}"], OBS], counts[name])
        shapes = {name: writer.close() for name, writer in writers.items()}
    tables = {"links": named_links(truth)}
    if "protein" in names:
        tables["proteins"] = protein_genes(truth)
    write_tables(target, shapes, tables, truth)
    return target


class _ModalityWriter:
    """One modality's file at work."""

    def __init__(self, path: Path, var: pd.DataFrame) -> None:
        self.path, self.var = path, var
        self.file = h5py.File(path, "w")
        self.matrices: dict[str, CsrWriter] = {}
        self.obs: list[pd.DataFrame] = []

    def append(self, obs: pd.DataFrame, counts: Mapping[str, sparse.csr_array]) -> None:
        """Write the cells of a block."""
        total = np.asarray(counts["X"].sum(axis=1)).ravel().astype(np.float32)
        self.obs.append(obs.assign(n_counts=total))
        for layer, block in counts.items():
            if layer not in self.matrices:
                parent = self.file if layer == "X" else self.file.require_group("layers")
                self.matrices[layer] = CsrWriter(parent, layer, len(self.var))
            self.matrices[layer].append(sparse.csr_matrix(block))

    def close(self) -> ad.AnnData:
        """Write the tables, and return an AnnData of them."""
        from anndata.io import write_elem

        for writer in self.matrices.values():
            writer.close()
        tables = ad.AnnData(obs=pd.concat(self.obs), var=self.var)
        self.file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
        empty: dict[str, Any] = {}
        for slot in ("layers", "obsm", "varm", "obsp", "varp", "uns"):
            if slot not in self.file:
                write_elem(self.file, slot, empty)
        self.file["layers"].attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        write_elem(self.file, "obs", tables.obs)
        write_elem(self.file, "var", tables.var)
        self.file.close()
        return tables
