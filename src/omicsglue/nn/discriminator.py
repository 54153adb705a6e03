"""Discriminator: tells which modality a cell embedding comes from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from omicsglue.nn.layers import MLP, Hidden
from omicsglue.nn.randomness import Randomness


class Discriminator(nn.Module):
    """A multilayer perceptron from u to the log-odds of K modalities.

    Parameters
    ----------
    dim
        Dimensions D of the embedding.
    modalities
        Their number K.
    hidden
        Shape of the hidden layers.
    """

    def __init__(self, dim: int, modalities: int, hidden: Hidden) -> None:
        super().__init__()
        self.hidden = MLP(dim, hidden, norm=False)
        self.out = nn.Linear(self.hidden.outputs, modalities)

    def forward(self, u: Tensor, random: Randomness | None) -> Tensor:
        """Map ``(n, D)`` to ``(n, K)``."""
        out: Tensor = self.out(self.hidden(u, random))
        return out


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor, None]:
        return grad_outputs[0] * -ctx.strength, None


def reverse_gradient(x: Tensor, strength: float) -> Tensor:
    """Return ``x`` unchanged; its gradient is multiplied by ``-strength``.

    So one backward pass serves both players: the discriminator descends on its loss while the encoders
    climb it. Source: Ganin & Lempitsky 2015.
    """
    out: Tensor = _Reverse.apply(x, strength)  # type: ignore[no-untyped-call]
    return out
