"""Exponential average of the weights: what a stage returns, steadier than the last step's weights."""

from __future__ import annotations

from collections.abc import Collection

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

    def next_decay(self) -> float:
        """Count a step, and return its decay."""
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        return decay

    def update(self) -> None:
        """Take one step towards the module's weights."""
        self.update_others((), self.next_decay())

    @torch.no_grad()
    def update_others(self, done: Collection[str], decay: float) -> None:
        """Move the averages towards the module's weights, but for those that someone else has moved."""
        names = [name for name in self.live if name not in done]
        average, live = ([values[name] for name in names] for values in (self.average, self.live))
        torch._foreach_lerp_(average, live, 1 - decay)

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the module's weights and the average; a second call undoes the first."""
        for name, value in self.live.items():
            kept = value.detach().clone()
            value.copy_(self.average[name])
            self.average[name].copy_(kept)
