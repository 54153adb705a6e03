"""What acts between modalities: the discriminator, forward and back at once, and the discrepancy."""

from __future__ import annotations

from itertools import combinations
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from omicsglue.nn.compute import spans
from omicsglue.nn.direct.memory import Memory, gradient_of
from omicsglue.nn.discriminator import CELLS, Discriminator
from omicsglue.nn.randomness import Seed

Floats = npt.NDArray[np.float32]


class DiscriminatorPart:
    """The discriminator of modalities, with its loss.

    Parameters
    ----------
    discriminator
        The network.
    kernels
        Compiled ones.
    """

    def __init__(self, discriminator: Discriminator, kernels: Any) -> None:
        hidden = discriminator.hidden
        linear = [cast(nn.Linear, each) for each in (*hidden.linear, discriminator.out)]
        self.weights = [each.weight.detach() for each in linear]
        self.biases = [each.bias.detach() for each in linear]
        self.gradients = [(gradient_of(each.weight), gradient_of(each.bias)) for each in linear]
        self.rate, self.kernels, self.memory = hidden.rate, kernels, Memory()

    @property
    def seeds(self) -> int:
        """Number of seeds that a pass takes."""
        return len(self.weights) - 1

    def begin(
        self, x: Tensor, truth: npt.NDArray[np.int64], weight: Floats, seeds: list[Seed], strength: float
    ) -> list[int]:
        """Make ready for a minibatch; return its blocks of cells.

        Parameters
        ----------
        x
            Embeddings of all modalities, ``(n, D)``.
        truth, weight
            Modality of each cell, and its balancing weight.
        seeds
            As many as ``seeds`` says.
        strength
            At which the gradient is turned against the encoders.
        """
        self.x, self.truth, self.weight, self.seeds_of, self.strength = x, truth, weight, seeds, strength
        self.blocks, n = spans(len(x), CELLS), len(x)
        self.kept = [self.memory(f"kept{i}", 3, n, len(w)) for i, w in enumerate(self.weights)]
        self.to_x, number = self.memory("to_x", *x.shape), len(self.blocks)
        self.parts = [
            (self.memory(f"w{i}", number, *w.shape), self.memory(f"b{i}", number, len(w)))
            for i, w in enumerate(self.weights)
        ]
        self.losses = np.zeros(number)
        return list(range(number))

    def work(self, block: int) -> None:
        """Evaluate a block of cells, and go back."""
        span, kernels, last = self.blocks[block], self.kernels, len(self.weights) - 1
        kept = [each[:, span] for each in self.kept]
        inputs = [self.x[span]]
        for (a, out, _), weight, bias, seed in zip(
            kept, self.weights, self.biases, self.seeds_of, strict=False
        ):
            torch.mm(inputs[-1], weight.T, out=a)
            kernels.activate(a.numpy(), bias.numpy(), self.rate, *seed, span.start, out.numpy())
            inputs.append(out)
        logits, _, down = kept[last]
        torch.addmm(self.biases[last], inputs[-1], self.weights[last].T, out=logits)
        self.losses[block] = kernels.cross_entropy(
            logits.numpy(), self.truth[span], self.weight[span], len(self.x), down.numpy()
        )
        for layer in range(last, -1, -1):
            to_weight, to_bias = self.parts[layer]
            torch.mm(down.T, inputs[layer], out=to_weight[block])
            torch.sum(down, 0, out=to_bias[block])
            if not layer:
                torch.mm(down, self.weights[0], out=self.to_x[span]).mul_(-self.strength)
                return
            a, _, below = kept[layer - 1]
            torch.mm(down, self.weights[layer], out=below)
            kernels.activate_backward(
                below.numpy(), a.numpy(), self.rate, *self.seeds_of[layer - 1], span.start
            )
            down = below

    def finish(self) -> None:
        """Write the gradients of the parameters."""
        for parts, gradients in zip(self.parts, self.gradients, strict=True):
            for part, gradient in zip(parts, gradients, strict=True):
                torch.sum(part, 0, out=gradient)

    def value(self) -> float:
        """Return the mean loss."""
        return float(self.losses.sum()) / len(self.x)


class DiscrepancyPart:
    """The squared maximum mean discrepancy between modalities.

    Parameters
    ----------
    scales
        Of the four kernels, in units of the mean squared distance.
    kernels
        Compiled ones.
    """

    def __init__(self, scales: tuple[float, ...], kernels: Any) -> None:
        self.scales, self.kernels, self.memory = np.array(scales, dtype=np.float32), kernels, Memory()

    def work(self, x: Tensor, weights: list[Floats], strength: float) -> float:
        """Evaluate it, and leave its gradient by the points in ``to_x``.

        Parameters
        ----------
        x
            Means of the embeddings of all modalities, one after the other, ``(n, D)``.
        weights
            Balancing weights of the cells of each modality.
        strength
            Weight of the discrepancy in the objective.
        """
        n = len(x)
        self.to_x, gram = self.memory("to_x", *x.shape), self.memory("gram", n, n)
        turn = self.memory("turn", n)
        torch.mm(x, x.T, out=gram)
        scales = self.kernels.mean_distance(x.numpy()) * self.scales
        value: float = self.kernels.four_multiquadrics(
            gram.numpy(), contrast(weights, n), scales, turn.numpy()
        )
        torch.mul(x, turn.unsqueeze(1), out=self.to_x)
        self.to_x.addmm_(gram, x, beta=2 * strength, alpha=-2 * strength)
        return value / 2


def contrast(weights: list[Floats], n: int) -> Floats:
    """Return the difference of the shares of cells between each pair of modalities, ``(pairs, n)``."""
    share = np.zeros((len(weights), n), dtype=np.float32)
    start = 0
    for row, weight in zip(share, weights, strict=True):
        row[start : start + len(weight)] = weight / max(weight.sum(), np.float32(1e-12))
        start += len(weight)
    pairs = np.array(list(combinations(range(len(weights)), 2)))
    found: Floats = share[pairs[:, 0]] - share[pairs[:, 1]]
    return found
