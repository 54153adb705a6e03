"""The whole network: every modality's encoder and decoder, the graph encoder, and the discriminator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from omicsglue.data.tensors import Batch
from omicsglue.nn.compute import Compute
from omicsglue.nn.decoders import DataDecoder
from omicsglue.nn.discriminator import Discriminator, reverse_gradient
from omicsglue.nn.encoders import DataEncoder
from omicsglue.nn.encoding import Encoded, encode_together
from omicsglue.nn.graph_encoder import GraphEncoder, edge_logits
from omicsglue.nn.layers import Draw
from omicsglue.nn.pairs import NO_PAIRS, Paired, PairOutput, reconstruct_pairs
from omicsglue.nn.randomness import Randomness
from omicsglue.nn.ranks import Everyone, Ranks, meet
from omicsglue.nn.sharing import embed_together


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the network; defaults are the published ones.

    Attributes
    ----------
    dim
        Dimensions D of the embedding.
    width, depth, dropout
        Hidden layers of the data encoders and of the discriminators.
    shared_batches
        Whether the discriminator is told the batch of a cell, so that modalities are compared within the
        batches that they share.
    align_batches
        Modalities whose batches are aligned with each other; ``("all",)`` for all that have several. It is
        done in what their encoders see: :mod:`omicsglue.data.offsets`.
    """

    dim: int = 50
    width: int = 256
    depth: int = 2
    dropout: float = 0.2
    shared_batches: bool = False
    align_batches: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conduct:
    """How a pass is run.

    Attributes
    ----------
    random
        Source of sampling and dropout; ``None`` makes the pass deterministic.
    noise
        Standard deviation of the noise on the discriminator's input, in units of the embeddings' spread.
    compute
        Compiled kernels, where they serve.
    paired
        Which reconstructions of joint cells to compute, where the batch names some.
    ranks
        Processes that train together; in training the pass is then one over the cells of all of them.
    shared
        Source of what is drawn alike in all processes: the feature embeddings; ``random`` by default.
    """

    random: Randomness | None = None
    noise: float = 0.0
    compute: Compute | None = None
    paired: Paired = NO_PAIRS
    ranks: Ranks | None = None
    shared: Randomness | None = None


class NetworkOutput(NamedTuple):
    """What one pass computes, for the objective to judge.

    Attributes
    ----------
    u
        Cell embeddings of each modality, ``(B, D)``.
    means
        Means of the cell embeddings of each modality, ``(B, D)``.
    v
        Feature embeddings, ``(vertices, D)``.
    nll
        Negative log-likelihood of each modality, summed over features and averaged over cells.
    edge_logits
        Log-odds of the batch's edges.
    modality_logits
        Discriminator's log-odds, ``(cells of all modalities, K)``.
    label_logits
        Classifier's log-odds, ``(cells of all modalities, types)``; ``None`` where no cell types are known.
    compute
        Compiled kernels with which the pass was run, if any.
    pairs
        Reconstructions of joint cells; ``None`` where the batch names none.
    everyone
        What other processes that train together hold; ``None`` where there are none.
    """

    u: dict[str, Draw]
    means: dict[str, Tensor]
    v: Draw
    nll: dict[str, Tensor]
    edge_logits: Tensor
    modality_logits: Tensor
    label_logits: Tensor | None
    compute: Compute | None = None
    pairs: PairOutput | None = None
    everyone: Everyone | None = None


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
    shared
        Which shared batch each batch of a modality is, ``(batches, S)``, where the discriminator sees it
        beside the embedding; a batch that is not shared has a row of zeros.
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
        shared: Mapping[str, Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.decoders = nn.ModuleDict(decoders)
        self.graph = graph
        self.discriminator = discriminator
        self.shares_batches = shared is not None
        for name, rows in (shared or {}).items():
            self.register_buffer(f"shared_{name}", rows, persistent=False)
        self.classifier = nn.Linear(graph.table.shape[1], types) if types else None
        for name, index in vertices.items():
            self.register_buffer(f"vertices_{name}", index, persistent=False)
        rows = torch.cat(list(vertices.values()))
        self.in_turn = torch.equal(rows, torch.arange(len(graph.table), device=rows.device))

    @property
    def modalities(self) -> list[str]:
        """Names of the modalities, in order."""
        return list(self.encoders)

    def features(self, v: Tensor) -> dict[str, Tensor]:
        """Return the rows of ``v`` that belong to each modality's features, in the order of its data."""
        index = {name: self.get_buffer(f"vertices_{name}") for name in self.modalities}
        if self.in_turn:
            sizes = [len(rows) for rows in index.values()]
            return dict(zip(index, torch.split(v, sizes), strict=True))
        return {name: v.index_select(0, rows) for name, rows in index.items()}

    def forward(self, batch: Batch, conduct: Conduct, reversal: float = 0.0) -> NetworkOutput:
        """Compute everything that the objective needs, in one pass for both players.

        Parameters
        ----------
        batch
            Cells of every modality, and edges.
        conduct
            Randomness and kernels of the pass.
        reversal
            Strength at which the discriminator's gradient is turned against the encoders.
        """
        compute = conduct.compute
        v, encoded = self._embed({name: cells.inputs for name, cells in batch.cells.items()}, conduct)
        u = {name: each.draw for name, each in encoded.items()}
        mean_of = {name: each.mean for name, each in encoded.items()}
        met = None if conduct.ranks is None else meet(mean_of, batch, conduct.ranks)
        features = self.features(v.value)
        nll = {
            name: self._reconstruct(name, draw.value, features[name], batch, compute)
            for name, draw in u.items()
        }
        pairs = None
        if batch.joint is not None:
            decoders = {name: cast(DataDecoder, self.decoders[name]) for name in u}
            values = {name: draw.value for name, draw in u.items()}
            pairs = reconstruct_pairs(decoders, values, features, batch, conduct.paired, compute)
        edges = batch.edges
        everyone = None if met is None else met()
        means = torch.cat(list(mean_of.values()))
        return NetworkOutput(
            u=u,
            means=mean_of,
            v=v,
            nll=nll,
            edge_logits=edge_logits(v.value, edges.source, edges.target, edges.sign, compute),
            modality_logits=self._discriminate(reverse_gradient(means, reversal), conduct, batch, everyone),
            label_logits=self.classifier(means) if self.classifier is not None else None,
            compute=compute,
            pairs=pairs,
            everyone=everyone,
        )

    def _embed(self, inputs: Mapping[str, Tensor], conduct: Conduct) -> tuple[Draw, dict[str, Encoded]]:
        """Draw the embeddings of features and cells."""
        random, compute, ranks = conduct.random, conduct.compute, conduct.ranks
        shared = conduct.shared or random
        encoders = {name: cast(DataEncoder, self.encoders[name]) for name in inputs}
        if not self.training or random is None or shared is None or compute is None:
            v = self.graph.draw(shared, compute)
            normals = {name: encoder(inputs[name], random, ranks) for name, encoder in encoders.items()}
            return v, {name: Encoded(each.mean, each.draw(random)) for name, each in normals.items()}
        if ranks is not None and ranks.memory is not None:
            return embed_together(self.graph, encoders, inputs, (shared, random), compute, ranks)
        v = self.graph.draw(shared, compute)
        return v, encode_together(encoders, inputs, random, compute, ranks)

    def _reconstruct(self, name: str, u: Tensor, v: Tensor, batch: Batch, compute: Compute | None) -> Tensor:
        cells, decoder = batch.cells[name], cast(DataDecoder, self.decoders[name])
        return decoder.nll(u, v, cells, torch.full_like(cells.library, 1 / len(u)), compute)

    def _discriminate(
        self, u: Tensor, conduct: Conduct, batch: Batch, everyone: Everyone | None = None
    ) -> Tensor:
        u = _noisy(u, conduct, everyone, list(batch.cells))
        if self.shares_batches:
            of = [self.get_buffer(f"shared_{name}")[cells.batch] for name, cells in batch.cells.items()]
            u = torch.cat([u, torch.cat(of).to(u.dtype)], dim=1)
        out: Tensor = self.discriminator(u, conduct.random, conduct.compute)
        return out


def _noisy(u: Tensor, conduct: Conduct, everyone: Everyone | None, names: list[str]) -> Tensor:
    """Return embeddings of modalities with noise in units of their spread, where the pass is to have some."""
    if conduct.random is None or conduct.noise <= 0:
        return u
    spread = u.detach().std(0) if everyone is None else everyone.spread(names)
    return u + conduct.random.normal(u) * (spread * conduct.noise)
