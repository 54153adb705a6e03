"""A fresh network for given data: shapes and starting values, from an explicit seed."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from omicsglue.data.groups import aligned_modalities, membership, shared_batches
from omicsglue.data.modality import ModalityData
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.nn.decoders import DataDecoder
from omicsglue.nn.discriminator import Discriminator
from omicsglue.nn.encoders import DataEncoder
from omicsglue.nn.graph_encoder import GraphEncoder, adjacency
from omicsglue.nn.layers import Hidden
from omicsglue.nn.likelihoods import FeatureProfile
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
    aligned = aligned_modalities(batches, config.align_batches)
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
            batch_discriminators={
                name: Discriminator(config.dim, len(modalities[name].batches), hidden) for name in aligned
            },
        )


def feature_profile(data: ModalityData) -> FeatureProfile:
    """Return sums of the modelled data by batch and feature, and the number of cells of each batch."""
    totals = np.zeros((len(data.batches), len(data.features)), dtype=np.float32)
    for code in range(len(data.batches)):
        totals[code] = np.asarray(data.counts[data.batch == code].sum(axis=0)).ravel()
    cells = np.bincount(data.batch, minlength=len(data.batches))
    return FeatureProfile(torch.from_numpy(totals), torch.from_numpy(cells))
