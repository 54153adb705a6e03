"""Exponential average of the weights: what a stage returns, steadier than the last step's weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class WeightAverage:
    """Average of a module's floating-point parameters and running statistics.

    In step t, counted from 0, the decay is min(decay, (1 + t) / (10 + t)): the start is soon forgotten.

    Parameters
    ----------
    module
        Module to follow.
    decay
        Decay of one step; 0 makes the average equal to the weights.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        state = module.state_dict(keep_vars=True)
        self.live: dict[str, Tensor] = {
            name: value for name, value in state.items() if value.is_floating_point()
        }
        self.average = {name: value.detach().clone() for name, value in self.live.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take one step towards the module's weights."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        torch._foreach_lerp_(list(self.average.values()), list(self.live.values()), 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the module's weights and the average; a second call undoes the first."""
        for name, value in self.live.items():
            kept = value.detach().clone()
            value.copy_(self.average[name])
            self.average[name].copy_(kept)
