"""One modality's encoder: forward to means and draws, and back."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from omicsglue.data.tensors import CellBatch
from omicsglue.nn.compute import arrays
from omicsglue.nn.direct.memory import Memory, gradient_of
from omicsglue.nn.encoders import DataEncoder
from omicsglue.nn.layers import EPS
from omicsglue.nn.randomness import Seed

TILE = 16  # rows over which biases of a run are repeated


class HiddenLayer:
    """Linear, leaky ReLU, batch norm, dropout.

    Parameters
    ----------
    linear, norm, rate
        Of the layer.
    kernels
        Compiled ones.
    """

    def __init__(self, linear: nn.Linear, norm: nn.BatchNorm1d, rate: float, kernels: Any) -> None:
        self.weight = linear.weight.detach()
        self.to_weight, to_bias = gradient_of(linear.weight), gradient_of(linear.bias)
        self.to_bias, self.to_gamma, self.to_beta = arrays(
            to_bias, gradient_of(norm.weight), gradient_of(norm.bias)
        )
        self.bias, self.gamma, self.beta = arrays(linear.bias, norm.weight, norm.bias)
        self.norm, self.rate, self.kernels, self.memory = norm, rate, kernels, Memory()
        width = len(self.weight)
        self.moments, self.sums = np.zeros((2, 2, width), dtype=np.float32)
        self.inverse = np.empty(width, dtype=np.float32)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        assert norm.num_batches_tracked is not None
        self.tracked = arrays(norm.running_mean, norm.running_var)
        (self.batches,) = arrays(norm.num_batches_tracked)

    def forward(self, x: Tensor, seed: Seed) -> Tensor:
        """Return what leaves the layer, in memory of its own."""
        shape = len(x), len(self.weight)
        self.x, self.seed, kernels = x, seed, self.kernels
        self.a, normed, out = (self.memory(name, *shape) for name in ("a", "normed", "out"))
        torch.mm(x, self.weight.T, out=self.a)
        a, self.normed = arrays(self.a, normed)
        self.moments[:] = 0
        kernels.hidden_moments(a, self.bias, self.moments)
        kernels.hidden_forward(
            a, self.moments, self.gamma, self.beta, np.float32(self.norm.eps), self.rate, *seed,
            self.inverse, self.normed, out.numpy(),
        )  # fmt: skip
        self._track(len(x))
        return out

    def _track(self, cells: int) -> None:
        """Bring the running statistics of the norm up to date, as torch does."""
        momentum = np.float32(self.norm.momentum)
        mean, var = self.tracked
        mean += momentum * (self.moments[0] - mean)
        var += momentum * (self.moments[1] * np.float32(cells / (cells - 1)) - var)
        self.batches += 1

    def backward(self, to_out: Tensor, *, first: bool) -> Tensor:
        """Write the gradients of the parameters; return that of the input, but for the first layer."""
        to_a = self.memory("to_a", *to_out.shape)
        a, down = arrays(self.a, to_a)
        self.sums[:] = 0
        self.kernels.hidden_sums(to_out.numpy(), self.normed, self.rate, *self.seed, down, self.sums)
        self.to_bias[:] = 0
        self.kernels.hidden_backward(
            a, self.normed, self.gamma, self.inverse, self.sums, len(a), down, self.to_bias
        )
        self.to_gamma[:], self.to_beta[:] = self.sums
        torch.mm(to_a.T, self.x, out=self.to_weight)
        if first:
            return to_a
        return torch.mm(to_a, self.weight, out=self.memory("to_x", *self.x.shape))


class NormalMaps:
    """The linear maps to means and raw deviations, of cells or of vertices; their gradients and biases."""

    def __init__(self, head: Any) -> None:
        self.loc, self.std = head.loc.weight.detach(), head.std.weight.detach()
        self.to_loc, self.to_std = gradient_of(head.loc.weight), gradient_of(head.std.weight)
        self.to_loc_bias, self.to_std_bias = gradient_of(head.loc.bias), gradient_of(head.std.bias)
        self.biases = arrays(head.loc.bias, head.std.bias)
        self.tiles = np.empty((2, TILE, len(self.loc)), dtype=np.float32)

    def biases_repeated(self) -> Any:
        """Return both biases, repeated over some rows, as runs."""
        for tile, bias in zip(self.tiles, self.biases, strict=True):
            tile[:] = bias
        return self.tiles.reshape(2, -1)


class EncoderPart:
    """An encoder in training.

    Parameters
    ----------
    encoder
        With batch norm.
    kernels
        Compiled ones.
    """

    def __init__(self, encoder: DataEncoder, kernels: Any) -> None:
        norms = cast(nn.ModuleList, encoder.hidden.norm)
        pairs = zip(encoder.hidden.linear, norms, strict=True)
        rate = encoder.hidden.rate
        self.layers = [
            HiddenLayer(cast(nn.Linear, a), cast(nn.BatchNorm1d, b), rate, kernels) for a, b in pairs
        ]
        self.maps, self.kernels, self.memory = NormalMaps(encoder.head), kernels, Memory()

    @property
    def seeds(self) -> int:
        """Number of seeds that a pass takes."""
        return len(self.layers) + 1

    def forward(self, cells: CellBatch, seeds: list[Seed], share: float, mean: Tensor) -> float:
        """Draw embeddings, ``u``; return the sum of their divergences.

        Parameters
        ----------
        cells
            The minibatch.
        seeds
            As many as ``seeds`` says.
        share
            Derivative of the objective by a cell's divergence.
        mean
            Receives the means, ``(B, D)``.
        """
        x = cells.inputs
        for layer, seed in zip(self.layers, seeds, strict=False):
            x = layer.forward(x, seed)
        self.x, self.mean, self.share, shape = x, mean, np.float32(share), tuple(mean.shape)
        self.pull, self.factor, self.u = (self.memory(name, *shape) for name in ("pull", "factor", "u"))
        torch.mm(x, self.maps.loc.T, out=mean)
        torch.mm(x, self.maps.std.T, out=self.pull)
        runs = [each.reshape(-1) for each in arrays(mean, self.pull, self.factor, self.u)]
        self.kernels.normal_noise(*seeds[-1], 0, runs[2])
        tiles = self.maps.biases_repeated()
        divergence: float = self.kernels.draw_run(
            *runs[:2], *tiles, runs[2], self.share, np.float32(EPS), runs[3]
        )
        return divergence

    def backward(self, to_u: Tensor, to_mean: Tensor) -> None:
        """Write the gradients, given those by the draws, which change, and those by the means beside."""
        maps = self.maps
        runs = [each.reshape(-1) for each in arrays(to_u, self.mean, self.factor, self.pull)]
        self.kernels.gradient_run(*runs, self.share)
        to_mean = to_u.add_(to_mean)
        for down, to_weight, to_bias in (
            (to_mean, maps.to_loc, maps.to_loc_bias),
            (self.factor, maps.to_std, maps.to_std_bias),
        ):
            torch.mm(down.T, self.x, out=to_weight)
            torch.sum(down, 0, out=to_bias)
        to_x = torch.mm(to_mean, maps.loc, out=self.memory("to_x", *self.x.shape))
        to_x.addmm_(self.factor, maps.std)
        for layer in reversed(self.layers):
            to_x = layer.backward(to_x, first=layer is self.layers[0])
