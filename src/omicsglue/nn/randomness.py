"""The randomness of a pass: one generator, and compiled kernels that draw from it where they apply."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from omicsglue.nn.compute import Compute


class Seed(NamedTuple):
    """Seed of a kernel's random numbers: two words of 32 bits."""

    first: np.uint32
    second: np.uint32


class Randomness:
    """Where a pass draws from.

    Parameters
    ----------
    generator
        Decides all of it.
    compute
        Compiled kernels, where they serve. They draw other numbers than torch, of the same distributions.
    """

    def __init__(self, generator: torch.Generator, compute: Compute | None = None) -> None:
        self.generator, self.compute = generator, compute

    def seed(self) -> Seed:
        """Draw a seed for one call of a kernel."""
        first, second = torch.randint(2**32, (2,), generator=self.generator).tolist()
        return Seed(np.uint32(first), np.uint32(second))

    def seeds(self, number: int) -> list[Seed]:
        """Draw as many seeds, the same as one after the other."""
        words = torch.randint(2**32, (number, 2), generator=self.generator).tolist()
        return [Seed(np.uint32(first), np.uint32(second)) for first, second in words]

    def normal(self, x: Tensor) -> Tensor:
        """Return standard normal numbers of the shape of ``x``."""
        return torch.empty_like(x).normal_(generator=self.generator)

    def mask(self, x: Tensor, rate: float) -> Tensor:
        """Return a mask of dropout of the shape of ``x``: 0 at a rate, elsewhere 1 / (1 - rate)."""
        if self.compute is not None:
            return torch.from_numpy(self.compute.kernels.keep(x.numel(), rate, *self.seed())).view(x.shape)
        return torch.empty_like(x).bernoulli_(1 - rate, generator=self.generator).div_(1 - rate)
