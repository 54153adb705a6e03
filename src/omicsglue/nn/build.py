"""A fresh network for given data: shapes and starting values, from an explicit seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from omicsglue.data import checks
from omicsglue.data.groups import membership, shared_batches
from omicsglue.data.modality import ModalityData
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.nn.decoders import DataDecoder
from omicsglue.nn.discriminator import Discriminator
from omicsglue.nn.encoders import DataEncoder
from omicsglue.nn.graph_encoder import GraphEncoder, adjacency
from omicsglue.nn.layers import Hidden
from omicsglue.nn.likelihoods import CoverageProfile, FeatureProfile
from omicsglue.nn.network import Network, NetworkConfig


def build_network(
    modalities: Mapping[str, ModalityData],
    graph: GuidanceGraph,
    config: NetworkConfig,
    *,
    types: int,
    seed: int,
) -> Network:
    """Return a network with fresh weights; torch's own generator is left as it was.

    Parameters
    ----------
    modalities
        The data, for their shapes and first moments.
    graph
        The guidance graph.
    config
        Shape of the network.
    types
        Number of known cell types.
    seed
        Seed of the weights.
    """
    hidden = Hidden(config.width, config.depth, config.dropout)
    batches = {name: data.batches for name, data in modalities.items()}
    shared = shared_batches(batches) if config.shared_batches else ()
    matrix, degree = adjacency(graph.source, graph.target, graph.weight, graph.sign, graph.n_vertices)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # the CPU's alone: torch.manual_seed reaches every device
        return Network(
            {
                name: DataEncoder(data.inputs.shape[1], config.dim, hidden)
                for name, data in modalities.items()
            },
            {name: DataDecoder(data.likelihood, feature_profile(data)) for name, data in modalities.items()},
            GraphEncoder(matrix, degree, config.dim),
            {name: torch.from_numpy(graph.index(data.features)) for name, data in modalities.items()},
            Discriminator(config.dim + len(shared), len(modalities), hidden),
            types=types,
            shared={
                name: torch.from_numpy(membership(data.batches, shared)) for name, data in modalities.items()
            }
            if shared
            else None,
        )


def feature_profile(data: ModalityData) -> FeatureProfile:
    """Return moments of the modelled data by batch and feature, and the number of cells of each batch."""
    found = [_moments(data, np.flatnonzero(data.batch == code)) for code in range(len(data.batches))]
    by_batch = {name: torch.from_numpy(np.stack([each[name] for each in found])) for name in found[0]}
    covered = {
        name: by_batch.pop(name)
        for name in ("trials", "inverse", "rates", "rate_squares")
        if name in by_batch
    }
    coverage = None
    if checks.SUPPORT[data.likelihood] == "covered counts":
        coverage = CoverageProfile(
            covered["trials"], covered["inverse"], covered["rates"], covered["rate_squares"]
        )
    cells = np.bincount(data.batch, minlength=len(data.batches))
    return FeatureProfile(cells=torch.from_numpy(cells), coverage=coverage, **by_batch)


def _moments(data: ModalityData, rows: npt.NDArray[np.intp]) -> dict[str, npt.NDArray[np.float32]]:
    """Return moments of some cells, each of shape ``(features,)``, as :class:`FeatureProfile` names them."""
    wanted = np.zeros(len(data), dtype=bool)
    wanted[rows] = True
    blocks = [
        _moments_of(data, counts[wanted[cells]], cells[wanted[cells]])
        for cells, counts in data.walk()
        if wanted[cells].any()
    ]
    if len(blocks) == 1:
        return blocks[0]
    return {
        name: np.stack([block[name] for block in blocks]).sum(axis=0, dtype=np.float64).astype(np.float32)
        for name in blocks[0]
    }


def _moments_of(
    data: ModalityData, counts: sp.csr_matrix, rows: npt.NDArray[np.intp]
) -> dict[str, npt.NDArray[np.float32]]:
    """Return the moments of cells whose modelled data are at hand."""
    found = {"total": _sums(counts)}
    if data.likelihood != "nb":
        logs = np.log(np.where(counts.data > 0, counts.data, 1))
        found |= {
            "squares": _sums(counts, np.square(counts.data)),
            "nonzero": _sums(counts, counts.data != 0),
            "log_total": _sums(counts, logs),
            "log_squares": _sums(counts, np.square(logs)),
            "exposure": np.full(counts.shape[1], data.library[rows].sum(), dtype=np.float32),
        }
    if data.coverage is not None:
        coverage = data.coverage[rows]
        found["measured"] = _sums(coverage, coverage.data > 0)
        found["exposure"] = _sums(coverage, np.repeat(data.library[rows], np.diff(coverage.indptr)))
        if checks.SUPPORT[data.likelihood] == "covered counts":
            inverse = sp.csr_matrix((1 / coverage.data, coverage.indices, coverage.indptr), coverage.shape)
            rates = sp.csr_matrix(counts.multiply(inverse))
            found |= {
                "trials": _sums(coverage),
                "inverse": _sums(inverse),
                "rates": _sums(rates),
                "rate_squares": _sums(rates, np.square(rates.data)),
            }
    return found


def _sums(matrix: sp.csr_matrix, values: npt.NDArray[Any] | None = None) -> npt.NDArray[np.float32]:
    """Return sums of the columns, of other values in the same places if these are given."""
    if values is None:
        return np.asarray(matrix.sum(axis=0)).ravel().astype(np.float32)
    weights = values.astype(np.float64)
    return np.bincount(matrix.indices, weights, minlength=matrix.shape[1]).astype(np.float32)
