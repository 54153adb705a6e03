"""One modality as the arrays that training walks over, resolved once from AnnData, a setup and a graph."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
from anndata import AnnData

from omicsglue.data import checks
from omicsglue.data.encoder_input import EncoderInput, Standard, encoder_values, library, shifted
from omicsglue.data.labels import check_types, known_labels
from omicsglue.data.matrices import column_blocks, matrix_of
from omicsglue.data.missing import measured_entries
from omicsglue.data.setup import ModalitySetup
from omicsglue.data.stores import is_on_disk
from omicsglue.data.streaming import BlockShuffle, RowsOnDisk
from omicsglue.errors import InputError, OmicsGlueWarning, examples

if TYPE_CHECKING:
    from mudata import MuData


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
        Modelled data, ``(n, f)``, float32: CSR, or rows that are read from disk when they are wanted.
    inputs
        Encoder input, ``(n, d)``: float32 array, or CSR where the encoder sees log-normalised data.
    library
        Sum of the measured counts of each cell, at least 1, float32, ``(n,)``; 1 for other data.
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
    standard
        By which the encoder's input was standardised; ``None`` where it was not.
    offsets
        What was taken off the inputs of each batch, float32, ``(batches, d)``; ``None`` where batches are not
        aligned.
    """

    name: str
    cells: npt.NDArray[np.object_]
    features: npt.NDArray[np.object_]
    counts: sp.csr_matrix | RowsOnDisk
    inputs: EncoderInput
    library: npt.NDArray[np.float32]
    batch: npt.NDArray[np.int64]
    batches: tuple[str, ...]
    weight: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]
    likelihood: str
    coverage: sp.csr_matrix | None = None
    standard: Standard | None = None
    offsets: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.cells)

    @property
    def shuffle(self) -> BlockShuffle | None:
        """How cells on disk are shuffled; ``None`` for those in memory."""
        return self.counts.shuffle if isinstance(self.counts, RowsOnDisk) else None

    def walk(self) -> Iterator[tuple[npt.NDArray[np.int64], sp.csr_matrix]]:
        """Yield all cells in blocks: row numbers and modelled data; those in memory as one block."""
        if isinstance(self.counts, RowsOnDisk):
            yield from self.counts.walk()
        else:
            yield np.arange(len(self)), self.counts

    def less(self, offsets: npt.NDArray[np.float32] | None) -> ModalityData:
        """Return the same cells, with the offsets of their batches taken off the encoder's input."""
        return replace(self, inputs=shifted(self.inputs, self.batch, offsets), offsets=offsets)

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
    standard: Standard | None = None,
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
    standard
        By which the cells of training were standardised (of a saved model); by default what these give.

    Raises
    ------
    InputError
        If the data do not fit the setup, or lack a feature.
    """
    kind = checks.SUPPORT[setup.likelihood]
    if stays_on_disk(adata, setup, name):
        return _resolve_on_disk(name, adata, setup, features, batches, labels)
    counts, coverage = _modelled(name, adata, setup, features)
    inputs = None
    if not setup.representation:
        inputs, standard = encoder_values(counts, coverage, kind, standard)
    codes, names = checks.batch_codes(adata, setup.batch_key, batches, name)
    return ModalityData(
        name=name,
        cells=adata.obs_names.to_numpy(dtype=object),
        features=np.asarray(features, dtype=object),
        counts=counts,
        inputs=_representation(name, adata, setup) if inputs is None else inputs,
        library=library(counts) if kind == "counts" else np.ones(adata.n_obs, dtype=np.float32),
        batch=codes,
        batches=names,
        weight=np.ones(adata.n_obs, dtype=np.float32),
        label=_label_codes(adata, setup, labels),
        likelihood=setup.likelihood,
        coverage=coverage,
        standard=standard,
    )


def resolve_all(
    modalities: Mapping[str, AnnData],
    setups: Mapping[str, ModalitySetup],
    vertices: npt.NDArray[np.object_],
    labels: Sequence[str],
) -> dict[str, ModalityData]:
    """Resolve every modality, each with those of its features that are vertices of the guidance graph.

    Raises
    ------
    InputError
        As :func:`resolve`.
    """
    return {
        name: resolve(
            name, adata, setups[name], list(adata.var_names[adata.var_names.isin(vertices)]), labels=labels
        )
        for name, adata in modalities.items()
    }


def input_of_others(known: ModalityData, adata: AnnData, setup: ModalitySetup) -> EncoderInput:
    """Return what the encoder of a modality sees of cells that it was not trained on.

    Raises
    ------
    InputError
        As :func:`encoder_input`, if it is not as wide as in training, and where batches are aligned, if one
        is not of training.
    """
    inputs = encoder_input(known.name, adata, setup, list(known.features), known.standard)
    check_dimensions(inputs, known.inputs.shape[1], known.name)
    if known.offsets is None:
        return inputs
    with warnings.catch_warnings():  # that they are few, or of one batch, does not matter here
        warnings.simplefilter("ignore", OmicsGlueWarning)
        batch, _ = checks.batch_codes(adata, setup.batch_key, known.batches, known.name)
    return shifted(inputs, batch, known.offsets)


def encoder_input(
    name: str,
    adata: AnnData,
    setup: ModalitySetup,
    features: Sequence[str],
    standard: Standard | None = None,
) -> EncoderInput:
    """Return what the encoder sees of cells, which is all that is needed to embed them.

    Parameters
    ----------
    name, adata, setup, features
        As for :func:`resolve`; where the setup names a representation, the features are not looked at.
    standard
        By which the cells of training were standardised; by default what these cells give.

    Raises
    ------
    InputError
        As for :func:`resolve`.
    """
    if setup.representation:
        return _representation(name, adata, setup)
    checks.check_shape(adata, where=name)
    counts, coverage = _modelled(name, adata, setup, features)
    return encoder_values(counts, coverage, checks.SUPPORT[setup.likelihood], standard)[0]


def label_names(data: Mapping[str, AnnData], setups: Mapping[str, ModalitySetup]) -> tuple[str, ...]:
    """Return the cell types known in any modality, sorted; empty where no modality has labels.

    Raises
    ------
    InputError
        If a column of labels is missing, or all labels are of one type.
    """
    found: dict[str, set[str]] = {}
    for name, setup in setups.items():
        if setup.labels_key is not None:
            checks.check_key(data[name], "obs", setup.labels_key, where=name)
            found[name] = set(known_labels(data[name].obs[setup.labels_key], setup.unknown_labels).dropna())
    check_types(found)
    return tuple(sorted(set().union(*found.values())))


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


def _label_codes(adata: AnnData, setup: ModalitySetup, labels: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return codes of labels; -1 for cells without, and for all cells where the column is not there."""
    if setup.labels_key is None or setup.labels_key not in adata.obs:
        return np.full(adata.n_obs, -1, dtype=np.int64)
    known = known_labels(adata.obs[setup.labels_key], setup.unknown_labels)
    return pd.Index(labels).get_indexer(pd.Index(known)).astype(np.int64)


def _representation(name: str, adata: AnnData, setup: ModalitySetup) -> npt.NDArray[np.float32]:
    return checks.check_representation(adata, setup.representation, where=name)


def can_stay_on_disk(adata: AnnData, setup: ModalitySetup, name: str) -> bool:
    """Return whether training can read a modality from disk: counts, or zeros and ones, all measured."""
    measured = checks.coverage_key(adata, setup, name) is None
    return measured and checks.SUPPORT.get(setup.likelihood) in ("counts", "binary")


def stays_on_disk(adata: AnnData, setup: ModalitySetup, name: str) -> bool:
    """Return whether training reads a modality from disk."""
    on_disk = is_on_disk(matrix_of(adata, setup.layer, where=name))
    return on_disk and can_stay_on_disk(adata, setup, name)


def _resolve_on_disk(
    name: str,
    adata: AnnData,
    setup: ModalitySetup,
    features: Sequence[str],
    batches: Sequence[str] | None,
    labels: Sequence[str],
) -> ModalityData:
    """Resolve a modality whose counts stay on disk, in one pass over them."""
    if not setup.representation:
        raise InputError(
            "the data stay on disk, where the encoder cannot see log-normalised counts of all cells",
            where=name,
            remedy="compute a representation, such as og.pp.pca or og.pp.lsi, and name it in the setup, or "
            "load the data with adata.to_memory()",
        )
    at = _places(name, adata, features)
    kind = checks.SUPPORT[setup.likelihood]
    matrix = matrix_of(adata, setup.layer, where=name)
    counts = RowsOnDisk(matrix, at.astype(np.int64), binary=kind == "binary")
    sums = np.concatenate([np.asarray(block.sum(axis=1)).ravel() for _, block in counts.walk()])
    if not np.isfinite(sums).all() or (sums < 0).any():
        checks.check_values(adata, setup.layer, kind, where=name)
    codes, names = checks.batch_codes(adata, setup.batch_key, batches, name)
    library = np.maximum(sums, 1).astype(np.float32) if kind == "counts" else np.ones_like(sums)
    return ModalityData(
        name=name,
        cells=adata.obs_names.to_numpy(dtype=object),
        features=np.asarray(features, dtype=object),
        counts=counts,
        inputs=_representation(name, adata, setup),
        library=library.astype(np.float32),
        batch=codes,
        batches=names,
        weight=np.ones(adata.n_obs, dtype=np.float32),
        label=_label_codes(adata, setup, labels),
        likelihood=setup.likelihood,
    )


def _modelled(
    name: str, adata: AnnData, setup: ModalitySetup, features: Sequence[str]
) -> tuple[sp.csr_matrix, sp.csr_matrix | None]:
    """Return the modelled data and their coverage, of the features in the order that is wanted."""
    at = _places(name, adata, features)
    modelled = np.zeros(adata.n_vars, dtype=bool)
    modelled[at] = True
    counts, coverage = checks.modelled_matrix(adata, setup, modelled, name), None
    key = checks.coverage_key(adata, setup, name)
    if key is not None:
        checks.check_coverage(adata, setup, name)
        coverage = column_blocks(matrix_of(adata, key, where=name), np.flatnonzero(modelled))
    counts, coverage = measured_entries(counts, coverage)
    return _in_order(counts, at), None if coverage is None else _in_order(coverage, at)


def _places(name: str, adata: AnnData, features: Sequence[str]) -> npt.NDArray[np.intp]:
    """Return where the modelled features are among those of the data."""
    at: npt.NDArray[np.intp] = adata.var_names.get_indexer(pd.Index(features))
    if (at < 0).any():
        missing = [feature for feature, place in zip(features, at, strict=True) if place < 0]
        raise InputError(
            f"the data lack features that are modelled: {examples(missing)}",
            where=name,
            remedy="give the features on which the model was trained",
        )
    return at


def _in_order(matrix: sp.csr_matrix, at: npt.NDArray[np.intp]) -> sp.csr_matrix:
    if (np.diff(at) < 0).any():
        matrix = sp.csr_matrix(matrix[:, np.searchsorted(np.sort(at), at)])
        matrix.sort_indices()
    return matrix
