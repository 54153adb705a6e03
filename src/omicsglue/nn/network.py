"""The whole network: every modality's encoder and decoder, the graph encoder, and the discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from omicsglue.data.tensors import Batch
from omicsglue.nn.decoders import DataDecoder
from omicsglue.nn.discriminator import Discriminator, reverse_gradient
from omicsglue.nn.encoders import DataEncoder
from omicsglue.nn.graph_encoder import GraphEncoder, edge_logits
from omicsglue.nn.layers import DiagonalNormal


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the network; defaults are the published ones.

    Attributes
    ----------
    dim
        Dimensions D of the embedding.
    width, depth, dropout
        Hidden layers of the data encoders and of the discriminator.
    """

    dim: int = 50
    width: int = 256
    depth: int = 2
    dropout: float = 0.2


@dataclass(frozen=True)
class Noise:
    """Where a pass takes its randomness from, and how much of it goes to the discriminator.

    Attributes
    ----------
    generator
        Source of sampling and dropout; ``None`` makes the pass deterministic.
    discriminator
        Standard deviation of the noise on the discriminator's input, in units of the embeddings' spread.
    """

    generator: torch.Generator | None = None
    discriminator: float = 0.0


class NetworkOutput(NamedTuple):
    """What one pass computes, for the objective to judge.

    Attributes
    ----------
    u
        Cell embeddings of each modality, normals over ``(B, D)``.
    v
        Feature embeddings, normal over ``(vertices, D)``.
    nll
        Negative log-likelihood of each modality, summed over features and averaged over cells.
    edge_logits
        Log-odds of the batch's edges.
    modality_logits
        Discriminator's log-odds, ``(cells of all modalities, K)``.
    label_logits
        Classifier's log-odds, ``(cells of all modalities, types)``; ``None`` where no cell types are known.
    """

    u: dict[str, DiagonalNormal]
    v: DiagonalNormal
    nll: dict[str, Tensor]
    edge_logits: Tensor
    modality_logits: Tensor
    label_logits: Tensor | None


class Network(nn.Module):
    """All parameters of the model.

    Parameters
    ----------
    encoders, decoders
        One of each a modality, in the same order.
    graph
        Graph encoder over the vertices of all modalities.
    vertices
        Vertex indices of each modality's features, in the order of its data.
    discriminator
        Tells modalities apart.
    types
        Number of known cell types, for the classifier; 0 leaves it out.
    """

    def __init__(
        self,
        encoders: Mapping[str, DataEncoder],
        decoders: Mapping[str, DataDecoder],
        graph: GraphEncoder,
        vertices: Mapping[str, Tensor],
        discriminator: Discriminator,
        *,
        types: int = 0,
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.decoders = nn.ModuleDict(decoders)
        self.graph = graph
        self.discriminator = discriminator
        self.classifier = nn.Linear(graph.loc.out_features, types) if types else None
        for name, index in vertices.items():
            self.register_buffer(f"vertices_{name}", index, persistent=False)

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities, in order."""
        return list(self.encoders)

    def features(self, name: str, v: Tensor) -> Tensor:
        """Return the rows of ``v`` that belong to a modality's features, in the order of its data."""
        return v.index_select(0, self.get_buffer(f"vertices_{name}"))

    def forward(self, batch: Batch, noise: Noise, reversal: float = 0.0) -> NetworkOutput:
        """Compute everything that the objective needs, in one pass for both players.

        Parameters
        ----------
        batch
            Cells of every modality, and edges.
        noise
            Randomness of the pass.
        reversal
            Strength at which the discriminator's gradient is turned against the encoders.
        """
        v = self.graph()
        v_sample = v.sample(noise.generator)
        u = {name: self.encoders[name](cells.inputs, noise.generator) for name, cells in batch.cells.items()}
        nll = {name: self._reconstruct(name, u[name].sample(noise.generator), v_sample, batch) for name in u}
        edges = batch.edges
        means = torch.cat([normal.mean for normal in u.values()])
        return NetworkOutput(
            u=u,
            v=v,
            nll=nll,
            edge_logits=edge_logits(v_sample, edges.source, edges.target, edges.sign),
            modality_logits=self._discriminate(reverse_gradient(means, reversal), noise),
            label_logits=self.classifier(means) if self.classifier is not None else None,
        )

    def _reconstruct(self, name: str, u: Tensor, v: Tensor, batch: Batch) -> Tensor:
        cells, decoder = batch.cells[name], cast(DataDecoder, self.decoders[name])
        eta = decoder(u, self.features(name, v), cells.batch)
        return decoder.nll(eta, cells, torch.full_like(cells.library, 1 / len(u)))

    def _discriminate(self, u: Tensor, noise: Noise) -> Tensor:
        if noise.generator is not None and noise.discriminator > 0:
            spread = u.detach().std(0) * noise.discriminator
            u = u + torch.empty_like(u).normal_(generator=noise.generator) * spread
        out: Tensor = self.discriminator(u, noise.generator)
        return out
