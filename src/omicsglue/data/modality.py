"""One modality as the arrays that training walks over, resolved once from AnnData, a setup and a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from omicsglue.data import checks
from omicsglue.data.setup import ModalitySetup


@dataclass(frozen=True)
class ModalityData:
    """Cells of one modality, ready to be cut into minibatches.

    Attributes
    ----------
    name
        Name of the modality.
    cells
        Names of the cells, shape ``(n,)``.
    features
        Names of the modelled features (those in the guidance graph), shape ``(f,)``.
    counts
        Modelled data, CSR, ``(n, f)``, float32.
    inputs
        Encoder input, ``(n, d)``: float32 array, or CSR where the encoder sees log-normalised data.
    library
        Sum of the modelled data of each cell, at least 1, float32, ``(n,)``.
    batch
        Codes of experimental batches, int64, ``(n,)``; all 0 without a batch key.
    batches
        Names of the batches.
    weight
        Balancing weights, mean 1, float32, ``(n,)``.
    label
        Codes of known cell types, -1 where unknown, int64, ``(n,)``.
    likelihood
        Name of the likelihood.
    """

    name: str
    cells: npt.NDArray[np.object_]
    features: npt.NDArray[np.object_]
    counts: sp.csr_matrix
    inputs: npt.NDArray[np.float32] | sp.csr_matrix
    library: npt.NDArray[np.float32]
    batch: npt.NDArray[np.int64]
    batches: tuple[str, ...]
    weight: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]
    likelihood: str

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.cells)

    def input_rows(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the encoder's input for some cells, dense, ``(len(rows), d)``."""
        block = self.inputs[rows]
        return block.toarray() if sp.issparse(block) else np.asarray(block)


def resolve(
    name: str,
    adata: AnnData,
    setup: ModalitySetup,
    vertices: Sequence[str],
    batches: Sequence[str] | None = None,
    labels: Sequence[str] = (),
) -> ModalityData:
    """Resolve one modality.

    Parameters
    ----------
    name, adata, setup
        The modality.
    vertices
        Vertices of the guidance graph; features among them are modelled.
    batches
        Names of the batches known already (of a saved model); by default those found in the data.
    labels
        Names of the cell types of all modalities, whose positions are the codes.

    Raises
    ------
    InputError
        If the data do not fit the setup.
    """
    modelled = adata.var_names.isin(np.asarray(vertices))
    counts = checks.modelled_matrix(adata, setup, modelled, name)
    library = np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1).astype(np.float32)
    codes, names = checks.batch_codes(adata, setup.batch_key, batches, name)
    return ModalityData(
        name=name,
        cells=adata.obs_names.to_numpy(dtype=object),
        features=adata.var_names[modelled].to_numpy(dtype=object),
        counts=counts,
        inputs=_inputs(adata, setup, counts, library),
        library=library,
        batch=codes,
        batches=names,
        weight=np.ones(adata.n_obs, dtype=np.float32),
        label=_label_codes(adata, setup.labels_key, labels),
        likelihood=setup.likelihood,
    )


def label_names(data: Mapping[str, AnnData], setups: Mapping[str, ModalitySetup]) -> tuple[str, ...]:
    """Return the cell types known in any modality, sorted; empty where no modality has labels."""
    keyed = {name: setup.labels_key for name, setup in setups.items() if setup.labels_key is not None}
    found = {str(label) for name, key in keyed.items() for label in data[name].obs[key].dropna().unique()}
    return tuple(sorted(found))


def _label_codes(adata: AnnData, key: str | None, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    if key is None:
        return np.full(adata.n_obs, -1, dtype=np.int64)
    column = adata.obs[key]
    return pd.Index(labels).get_indexer(column.astype(str).where(column.notna(), None)).astype(np.int64)


def _inputs(
    adata: AnnData, setup: ModalitySetup, counts: sp.csr_matrix, library: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32] | sp.csr_matrix:
    if setup.representation is not None:
        return np.ascontiguousarray(adata.obsm[setup.representation], dtype=np.float32)
    normalised = sp.diags((1e4 / library).astype(np.float32)) @ counts
    return sp.csr_matrix(normalised.log1p(), dtype=np.float32)
