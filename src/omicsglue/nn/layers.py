"""Layers whose randomness comes from an explicit generator, and the diagonal normal that encoders return."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

EPS = 1e-7


class DiagonalNormal(NamedTuple):
    """Normal distributions with diagonal covariance (a tuple, which fabric's wrappers can walk through).

    Attributes
    ----------
    mean, std
        Shape ``(n, D)``.
    """

    mean: Tensor
    std: Tensor

    def sample(self, generator: torch.Generator | None) -> Tensor:
        """Draw one value each by reparameterisation, or return the mean where no generator is given."""
        if generator is None:
            return self.mean
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return torch.addcmul(self.mean, self.std, noise)

    def kl_to_standard(self) -> Tensor:
        """Return the divergence from the standard normal prior, summed over dimensions: shape ``(n,)``."""
        var = self.std.square()
        return 0.5 * (self.mean.square() + var - var.log() - 1).sum(1)


def dropout(x: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Drop entries at a rate and scale up the rest; without a generator, do nothing."""
    if generator is None or rate == 0:
        return x
    keep = torch.empty_like(x).bernoulli_(1 - rate, generator=generator)
    return x * keep.mul_(1 / (1 - rate))


class Hidden(NamedTuple):
    """Shape of hidden layers: their width, their number, and the rate of dropout."""

    width: int
    depth: int
    dropout: float


class MLP(nn.Module):
    """Hidden layers: linear, leaky ReLU of slope 0.2, batch norm (optional), dropout."""

    def __init__(self, inputs: int, hidden: Hidden, *, norm: bool) -> None:
        super().__init__()
        width, depth, self.rate = hidden
        sizes = [inputs] + [width] * depth
        self.linear = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.norm = nn.ModuleList(nn.BatchNorm1d(width) for _ in range(depth)) if norm else None
        self.outputs = sizes[-1]

    def forward(self, x: Tensor, generator: torch.Generator | None) -> Tensor:
        """Map ``(n, inputs)`` to ``(n, width)``."""
        for i, linear in enumerate(self.linear):
            x = functional.leaky_relu(linear(x), 0.2)
            if self.norm is not None:
                x = self.norm[i](x)
            x = dropout(x, self.rate, generator)
        return x
