"""Data encoder: one modality's cells to a diagonal normal over the cell embedding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from omicsglue.nn.layers import EPS, MLP, DiagonalNormal, Hidden


class DataEncoder(nn.Module):
    """A multilayer perceptron to the mean and the standard deviation of u.

    Parameters
    ----------
    inputs
        Width of the representation.
    dim
        Dimensions D of the embedding.
    hidden
        Shape of the hidden layers.
    """

    def __init__(self, inputs: int, dim: int, hidden: Hidden) -> None:
        super().__init__()
        self.hidden = MLP(inputs, hidden, norm=True)
        self.loc = nn.Linear(self.hidden.outputs, dim)
        self.std = nn.Linear(self.hidden.outputs, dim)

    def forward(self, x: Tensor, generator: torch.Generator | None) -> DiagonalNormal:
        """Map ``(n, inputs)`` to a normal over ``(n, D)``."""
        h = self.hidden(x, generator)
        return DiagonalNormal(self.loc(h), functional.softplus(self.std(h)) + EPS)
