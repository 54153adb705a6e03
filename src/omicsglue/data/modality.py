"""One modality as the arrays that training walks over, resolved once from AnnData, a setup and a graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from omicsglue.data import checks
from omicsglue.data.setup import ModalitySetup
from omicsglue.errors import InputError, examples

if TYPE_CHECKING:
    from mudata import MuData

EncoderInput = npt.NDArray[np.float32] | sp.csr_matrix


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
    coverage
        How much of each entry was measured, CSR, ``(n, f)``, float32; entries that it does not hold are
        missing. ``None`` where everything was measured.
    batch_weight
        Weights in the alignment of the modality's batches, mean 1 over each batch, float32, ``(n,)``;
        ``None`` counts all cells alike.
    """

    name: str
    cells: npt.NDArray[np.object_]
    features: npt.NDArray[np.object_]
    counts: sp.csr_matrix
    inputs: EncoderInput
    library: npt.NDArray[np.float32]
    batch: npt.NDArray[np.int64]
    batches: tuple[str, ...]
    weight: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]
    likelihood: str
    coverage: sp.csr_matrix | None = None
    batch_weight: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.cells)

    def input_rows(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """Return the encoder's input for some cells, dense, ``(len(rows), d)``."""
        return dense_rows(self.inputs, rows)


def dense_rows(inputs: EncoderInput, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Return some rows of an encoder's input as an array, ``(len(rows), d)``."""
    block = inputs[rows]
    return block.toarray() if sp.issparse(block) else np.asarray(block)


def resolve(
    name: str,
    adata: AnnData,
    setup: ModalitySetup,
    features: Sequence[str],
    *,
    batches: Sequence[str] | None = None,
    labels: Sequence[str] = (),
) -> ModalityData:
    """Resolve one modality.

    Parameters
    ----------
    name, adata, setup
        The modality.
    features
        Names of the modelled features, in the order in which they are wanted.
    batches
        Names of the batches known already (of a saved model); by default those found in the data.
    labels
        Names of the cell types of all modalities, whose positions are the codes.

    Raises
    ------
    InputError
        If the data do not fit the setup, or lack a feature.
    """
    counts = _modelled_counts(name, adata, setup, features)
    codes, names = checks.batch_codes(adata, setup.batch_key, batches, name)
    return ModalityData(
        name=name,
        cells=adata.obs_names.to_numpy(dtype=object),
        features=np.asarray(features, dtype=object),
        counts=counts,
        inputs=_representation(name, adata, setup) if setup.representation else _log_normalised(counts),
        library=_library(counts),
        batch=codes,
        batches=names,
        weight=np.ones(adata.n_obs, dtype=np.float32),
        label=_label_codes(adata, setup.labels_key, labels),
        likelihood=setup.likelihood,
    )


def encoder_input(name: str, adata: AnnData, setup: ModalitySetup, features: Sequence[str]) -> EncoderInput:
    """Return what the encoder sees of cells, which is all that is needed to embed them.

    Parameters
    ----------
    name, adata, setup, features
        As for :func:`resolve`; where the setup names a representation, the features are not looked at.

    Raises
    ------
    InputError
        As for :func:`resolve`.
    """
    if setup.representation:
        return _representation(name, adata, setup)
    checks.check_shape(adata, where=name)
    return _log_normalised(_modelled_counts(name, adata, setup, features))


def label_names(data: Mapping[str, AnnData], setups: Mapping[str, ModalitySetup]) -> tuple[str, ...]:
    """Return the cell types known in any modality, sorted; empty where no modality has labels.

    Raises
    ------
    InputError
        If a column of labels is missing.
    """
    found: set[str] = set()
    for name, setup in setups.items():
        if setup.labels_key is not None:
            checks.check_key(data[name], "obs", setup.labels_key, where=name)
            found |= {str(label) for label in data[name].obs[setup.labels_key].dropna().unique()}
    return tuple(sorted(found))


def as_modalities(data: Mapping[str, AnnData] | MuData) -> dict[str, AnnData]:
    """Return the modalities of a mapping or a MuData, in order, after checking that they go together.

    Raises
    ------
    InputError, OptionError
        If they do not, or the data are something else.
    """
    mod = getattr(data, "mod", data)
    if not isinstance(mod, Mapping):
        raise InputError(
            f"the data are a {type(data).__name__}",
            where="GLUE",
            remedy='give modalities by name, such as {"rna": rna, "atac": atac}, or a MuData',
        )
    modalities = {str(name): adata for name, adata in mod.items()}
    checks.check_modalities(modalities)
    return modalities


def check_dimensions(inputs: EncoderInput, expected: int, where: str) -> None:
    """Check that an encoder's input is as wide as the model knows it.

    Raises
    ------
    InputError
        If it is not.
    """
    if inputs.shape[1] != expected:
        raise InputError(
            f"the representation has {inputs.shape[1]} dimensions, the model knows {expected}",
            where=where,
            remedy="project the cells with the loadings that were used for training",
        )


def check_same_modalities(expected: list[str], found: list[str], where: str) -> None:
    """Check that data are of the modalities that a model knows, in whatever order.

    Raises
    ------
    InputError
        If they are not.
    """
    if set(expected) != set(found):
        raise InputError(
            f"the model knows the modalities {examples(expected)}, the data are of {examples(found)}",
            where=where,
            remedy="give the modalities on which the model was trained, by the same names",
        )


def _label_codes(adata: AnnData, key: str | None, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return codes of labels; -1 for cells without, and for all cells where the column is not there."""
    if key is None or key not in adata.obs:
        return np.full(adata.n_obs, -1, dtype=np.int64)
    column = adata.obs[key]
    return pd.Index(labels).get_indexer(column.astype(str).where(column.notna(), None)).astype(np.int64)


def _representation(name: str, adata: AnnData, setup: ModalitySetup) -> npt.NDArray[np.float32]:
    return checks.check_representation(adata, setup.representation, where=name)


def _modelled_counts(
    name: str, adata: AnnData, setup: ModalitySetup, features: Sequence[str]
) -> sp.csr_matrix:
    at = adata.var_names.get_indexer(pd.Index(features))
    if (at < 0).any():
        missing = [feature for feature, place in zip(features, at, strict=True) if place < 0]
        raise InputError(
            f"the data lack features that are modelled: {examples(missing)}",
            where=name,
            remedy="give the features on which the model was trained",
        )
    modelled = np.zeros(adata.n_vars, dtype=bool)
    modelled[at] = True
    counts = checks.modelled_matrix(adata, setup, modelled, name)
    if (np.diff(at) < 0).any():
        counts = sp.csr_matrix(counts[:, np.searchsorted(np.sort(at), at)])
        counts.sort_indices()
    return counts


def _library(counts: sp.csr_matrix) -> npt.NDArray[np.float32]:
    return np.maximum(np.asarray(counts.sum(axis=1)).ravel(), 1).astype(np.float32)


def _log_normalised(counts: sp.csr_matrix) -> sp.csr_matrix:
    normalised = sp.diags((1e4 / _library(counts)).astype(np.float32)) @ counts
    return sp.csr_matrix(normalised.log1p(), dtype=np.float32)
