"""Data decoder: one linear core for every modality; the likelihood gives it its meaning."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from omicsglue.data.tensors import CellBatch
from omicsglue.nn.compute import Compute
from omicsglue.nn.fused import FUSED_DECODERS
from omicsglue.nn.likelihoods import LIKELIHOODS, FeatureProfile


class DataDecoder(nn.Module):
    """eta = softplus(scale_b) * (u V^T) + bias_b, and the likelihood's own parameters.

    Parameters
    ----------
    likelihood
        A name of :data:`~omicsglue.nn.likelihoods.LIKELIHOODS`.
    profile
        Moments of the data, from which bias and the likelihood's parameters start.
    """

    def __init__(self, likelihood: str, profile: FeatureProfile) -> None:
        super().__init__()
        self.likelihood = LIKELIHOODS[likelihood]
        start = self.likelihood.initial(profile)
        self.bias = nn.Parameter(start.pop("bias"))
        self.scale = nn.Parameter(start.pop("scale", torch.zeros_like(self.bias)))
        self.params = nn.ParameterDict({name: nn.Parameter(value) for name, value in start.items()})

    def forward(self, u: Tensor, v: Tensor, batch: Tensor) -> Tensor:
        """Return eta, B x features, of cells ``u`` (B x D) in features ``v`` (features x D)."""
        scale = functional.softplus(self.scale)
        if len(scale) == 1:  # fold the scale into the smaller factor
            return torch.addmm(self.bias, u, (v * scale.T).T)
        bias, scale = self.bias.index_select(0, batch), scale.index_select(0, batch)
        return torch.addcmul(bias, u @ v.T, scale)

    def nll(
        self, u: Tensor, v: Tensor, cells: CellBatch, weight: Tensor, compute: Compute | None = None
    ) -> Tensor:
        """Return the negative log-likelihood of cells, summed over features and weighted over cells.

        Parameters
        ----------
        u, v
            Embeddings of the cells, B x D, and of the features, features x D.
        cells
            The data.
        weight
            Weight of each cell, shape ``(B,)``.
        compute
            Compiled kernels, where they serve; plain torch gives the same up to rounding.

        Returns
        -------
        A scalar.
        """
        params = dict(self.params.items())
        fused = FUSED_DECODERS.get(self.likelihood.name)
        if fused is not None and compute is not None and cells.coverage is None:
            return fused(u, v, functional.softplus(self.scale), self.bias, params, cells, weight, compute)
        return self.likelihood.nll(self(u, v, cells.batch), params, cells, weight)
