"""Layers whose randomness is explicit, and the diagonal normal that encoders return."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from omicsglue.nn.compute import Compute, arrays
from omicsglue.nn.randomness import Randomness, Seed
from omicsglue.nn.ranks import Ranks, joint_norm

EPS = 1e-7


class Draw(NamedTuple):
    """One draw from normal distributions.

    Attributes
    ----------
    value
        What was drawn, shape ``(n, D)``.
    divergence
        Divergence of each row from the standard normal prior, summed over dimensions, shape ``(n,)``.
    """

    value: Tensor
    divergence: Tensor


class DiagonalNormal(NamedTuple):
    """Normal distributions with diagonal covariance (a tuple, which fabric's wrappers can walk through).

    Attributes
    ----------
    parameters
        Means, and beside them what the standard deviations are the softplus of, shape ``(n, 2 D)``.
    """

    parameters: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean, shape ``(n, D)``."""
        return self.parameters[:, : self.parameters.shape[1] // 2]

    @property
    def std(self) -> Tensor:
        """Standard deviation, shape ``(n, D)``."""
        return functional.softplus(self.parameters[:, self.parameters.shape[1] // 2 :]) + EPS

    def draw(self, random: Randomness | None) -> Draw:
        """Draw one value each by reparameterisation; without randomness, the mean is drawn."""
        if random is not None and random.compute is not None:
            value, divergence = _FusedDraw.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
                self.parameters, random.seed(), random.compute
            )
            return Draw(value, divergence)
        mean, std = self.mean, self.std
        variance = std.square()
        divergence = 0.5 * (mean.square() + variance - variance.log() - 1).sum(1)
        if random is None:
            return Draw(mean, divergence)
        return Draw(torch.addcmul(mean, std, random.normal(std)), divergence)


class _FusedDraw(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, parameters: Tensor, seed: Seed, compute: Compute) -> tuple[Tensor, Tensor]:
        n, width = parameters.shape
        value, noise = parameters.new_empty(2, n, width // 2)
        divergence = parameters.new_empty(n)
        given, drawn, shocks, losses = arrays(parameters, value, noise, divergence)
        compute.kernels.normal_noise(*seed, 0, shocks.reshape(-1))
        compute.kernels.normal_draw(given, _no_bias(width), shocks, np.float32(EPS), drawn, losses)
        ctx.save_for_backward(parameters, noise)
        ctx.compute = compute
        return value, divergence

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor, None, None]:
        parameters, noise = arrays(*ctx.saved_tensors)
        up = arrays(*(x.contiguous() for x in grad_outputs))
        down = np.empty_like(parameters)
        bias = _no_bias(parameters.shape[1])
        ctx.compute.kernels.normal_gradient(parameters, bias, noise, *up, np.float32(EPS), down)
        return torch.from_numpy(down), None, None


def _no_bias(width: int) -> npt.NDArray[np.float32]:
    return np.zeros(width, dtype=np.float32)


class NormalHead(nn.Module):
    """Two linear maps, to the mean and to the raw standard deviation of normals, in one product."""

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.loc = nn.Linear(inputs, dim)
        self.std = nn.Linear(inputs, dim)

    def forward(self, x: Tensor) -> DiagonalNormal:
        """Map ``(n, inputs)`` to normals over ``(n, D)``."""
        return DiagonalNormal(functional.linear(x, *self.joined()))

    def joined(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of both maps as of one, ``(2 D, inputs)`` and ``(2 D,)``."""
        weight = torch.cat([self.loc.weight, self.std.weight])
        return weight, torch.cat([self.loc.bias, self.std.bias])


def dropout(x: Tensor, rate: float, random: Randomness | None) -> Tensor:
    """Drop entries at a rate and scale up the rest; without randomness, do nothing."""
    return x if random is None or rate == 0 else x * random.mask(x, rate)


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

    def forward(self, x: Tensor, random: Randomness | None, ranks: Ranks | None = None) -> Tensor:
        """Map ``(n, inputs)`` to ``(n, width)``; in training, batch norm is over the cells of all ranks."""
        for i, linear in enumerate(self.linear):
            x = functional.leaky_relu(linear(x), 0.2)
            if self.norm is not None:
                norm = cast(nn.BatchNorm1d, self.norm[i])
                x = joint_norm(x, norm, ranks) if ranks is not None and self.training else norm(x)
            x = dropout(x, self.rate, random)
        return x
