"""Data encoder: one modality's cells to a diagonal normal over the cell embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from omicsglue.nn.layers import EPS, MLP, DiagonalNormal


class DataEncoder(nn.Module):
    """A multilayer perceptron to the mean and the standard deviation of u.

    Parameters
    ----------
    inputs
        Width of the representation.
    dim
        Dimensions D of the embedding.
    width, depth, dropout
        Hidden layers.
    """

    def __init__(self, inputs: int, dim: int, *, width: int, depth: int, dropout: float) -> None:
        super().__init__()
        self.hidden = MLP(inputs, width, depth, dropout, norm=True)
        self.loc = nn.Linear(self.hidden.outputs, dim)
        self.std = nn.Linear(self.hidden.outputs, dim)

    def forward(self, x: Tensor, generator: torch.Generator | None) -> DiagonalNormal:
        """Map ``(n, inputs)`` to a normal over ``(n, D)``."""
        h = self.hidden(x, generator)
        return DiagonalNormal(self.loc(h), F.softplus(self.std(h)) + EPS)
