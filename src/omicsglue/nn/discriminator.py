"""Discriminator: tells which modality a cell embedding comes from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from omicsglue.nn.compute import Compute, arrays, spans
from omicsglue.nn.layers import MLP, Hidden
from omicsglue.nn.randomness import Randomness, Seed

CELLS = 128  # in a block of work


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

    def forward(self, u: Tensor, random: Randomness | None, compute: Compute | None = None) -> Tensor:
        """Map ``(n, D)`` to ``(n, K)``."""
        out: Tensor
        if random is not None and compute is not None:
            linear = [*self.hidden.linear, self.out]
            seeds = [random.seed() for _ in self.hidden.linear]
            parameters = [parameter for each in linear for parameter in each.parameters()]
            out = _FusedDiscriminator.apply(  # type: ignore[no-untyped-call]  # torch leaves it untyped
                u, self.hidden.rate, seeds, compute, *parameters
            )
        else:
            out = self.out(self.hidden(u, random))
        return out


class _FusedDiscriminator(torch.autograd.Function):
    """All layers in one operation, block by block of cells."""

    @staticmethod
    def forward(
        ctx: Any, u: Tensor, rate: float, seeds: list[Seed], compute: Compute, *parameters: Tensor
    ) -> Tensor:
        weights, biases = parameters[::2], parameters[1::2]
        layers = [(u.new_empty(2, len(u), len(weight)), weight) for weight in weights[:-1]]
        logits = u.new_empty(len(u), len(weights[-1]))

        def work(span: slice) -> None:
            x = u[span]
            for (kept, weight), bias, seed in zip(layers, arrays(*biases[:-1]), seeds, strict=True):
                a, out = kept[:, span]
                torch.mm(x, weight.T, out=a)
                compute.kernels.activate(a.numpy(), bias, rate, *seed, span.start, out.numpy())
                x = out
            torch.addmm(biases[-1], x, weights[-1].T, out=logits[span])

        compute.each(work, spans(len(u), CELLS))
        ctx.save_for_backward(u, *weights, *(kept for kept, _ in layers))
        ctx.rate, ctx.seeds, ctx.compute = rate, seeds, compute
        return logits

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        depth = len(ctx.seeds)
        u, *saved = ctx.saved_tensors
        weights, kept = saved[: depth + 1], saved[depth + 1 :]
        to_logits, to_u = grad_outputs[0], torch.empty_like(u)

        def work(span: slice) -> list[Tensor]:
            down, found = to_logits[span], []
            for layer in range(depth, -1, -1):
                x = kept[layer - 1][1, span] if layer else u[span]
                found += [down.sum(0), down.T @ x]
                down = down @ weights[layer]
                if layer:
                    a = kept[layer - 1][0, span].numpy()
                    ctx.compute.kernels.activate_backward(
                        down.numpy(), a, ctx.rate, *ctx.seeds[layer - 1], span.start
                    )
            to_u[span] = down
            return found[::-1]

        parts = ctx.compute.each(work, spans(len(u), CELLS))
        return to_u, None, None, None, *(torch.stack(part).sum(0) for part in zip(*parts, strict=True))


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
    out: Tensor = _Reverse.apply(x, strength)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return out
