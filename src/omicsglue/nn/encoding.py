"""All data encoders and their draws as one operation, so that modalities are encoded at the same time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from omicsglue.nn.compute import Compute, arrays
from omicsglue.nn.encoders import DataEncoder
from omicsglue.nn.layers import EPS, Draw
from omicsglue.nn.randomness import Randomness, Seed


class Encoded(NamedTuple):
    """Means of one modality's cell embeddings, ``(B, D)``, and a draw."""

    mean: Tensor
    draw: Draw


def encode_together(
    encoders: Mapping[str, DataEncoder], inputs: Mapping[str, Tensor], random: Randomness, compute: Compute
) -> dict[str, Encoded]:
    """Encode a minibatch of every modality in training, each by a thread of its own.

    Parameters
    ----------
    encoders
        One a modality, in training mode; running statistics of their batch norms are brought up to date.
    inputs
        What each sees, ``(B, inputs)``.
    random
        Source of dropout and of the draws.
    compute
        Compiled kernels and threads.
    """
    passes = [_Pass(encoder, inputs[name], random) for name, encoder in encoders.items()]
    parameters = [parameter for each in passes for parameter in each.parameters]
    out = _FusedEncoders.apply(passes, compute, *parameters)  # type: ignore[no-untyped-call]  # torch leaves it so
    return {
        name: Encoded(mean, Draw(value, divergence))
        for name, (mean, value, divergence) in zip(encoders, zip(*[iter(out)] * 3, strict=True), strict=True)
    }


class _Layer:
    """One hidden layer in one pass: linear, leaky ReLU, batch norm, dropout."""

    def __init__(self, linear: nn.Linear, norm: nn.BatchNorm1d, rate: float, seed: Seed) -> None:
        self.linear, self.norm, self.rate, self.seed = linear, norm, rate, seed
        self.parameters = [linear.weight, linear.bias, norm.weight, norm.bias]

    def forward(self, x: Tensor, kernels: Any) -> Tensor:
        self.x = x
        self.a = (x @ self.linear.weight.T).numpy()
        self.normed, out = np.empty_like(self.a), torch.empty(self.a.shape)
        self.moments = np.zeros((3, self.a.shape[1]), dtype=np.float32)
        bias, gamma, beta = arrays(*self.parameters[1:])
        kernels.hidden_forward(
            self.a, bias, gamma, beta, np.float32(self.norm.eps), self.rate, *self.seed,
            self.normed, self.moments, out.numpy(),
        )  # fmt: skip
        self._track(len(x))
        return out

    def backward(self, to_out: Tensor, kernels: Any, *, first: bool) -> tuple[Tensor, list[Tensor]]:
        """Return the gradients with respect to the input (none for the first layer) and the parameters."""
        to_a, sums = np.empty_like(self.a), np.zeros((3, self.a.shape[1]), dtype=np.float32)
        (gamma,) = arrays(self.norm.weight)
        kernels.hidden_backward(
            to_out.numpy(), self.a, self.normed, gamma, self.moments[2], self.rate, *self.seed, to_a, sums
        )
        down = torch.from_numpy(to_a)
        to_bias, to_gamma, to_beta = torch.from_numpy(sums)
        to_x = down.new_empty(0) if first else down @ self.linear.weight
        return to_x, [down.T @ self.x, to_bias, to_gamma, to_beta]

    def _track(self, cells: int) -> None:
        """Bring the running statistics up to date, as torch does."""
        mean, var, momentum = self.norm.running_mean, self.norm.running_var, self.norm.momentum
        if mean is None or var is None or momentum is None or self.norm.num_batches_tracked is None:
            return
        seen = torch.from_numpy(self.moments)
        mean.lerp_(seen[0], momentum)
        var.lerp_(seen[1] * (cells / (cells - 1)), momentum)
        self.norm.num_batches_tracked += 1


class _Pass:
    """One encoder's way through a minibatch, forward and back."""

    def __init__(self, encoder: DataEncoder, inputs: Tensor, random: Randomness) -> None:
        hidden = encoder.hidden
        norms = cast(nn.ModuleList, hidden.norm)
        self.layers = [
            _Layer(cast(nn.Linear, linear), cast(nn.BatchNorm1d, norm), hidden.rate, random.seed())
            for linear, norm in zip(hidden.linear, norms, strict=True)
        ]
        self.inputs, self.seed = inputs, random.seed()
        head = encoder.head
        self.heads = [head.loc.weight, head.loc.bias, head.std.weight, head.std.bias]
        self.parameters = [p for layer in self.layers for p in layer.parameters] + self.heads

    def forward(self, kernels: Any) -> tuple[Tensor, Tensor, Tensor]:
        """Return means, draws and divergences."""
        x = self.inputs
        for layer in self.layers:
            x = layer.forward(x, kernels)
        loc, loc_bias, std, std_bias = (p.detach() for p in self.heads)
        self.x, self.weight = x, torch.cat([loc, std])
        self.normal = torch.addmm(torch.cat([loc_bias, std_bias]), x, self.weight.T).numpy()
        value, self.noise = np.empty((2, len(x), len(loc)), dtype=np.float32)
        divergence = np.empty(len(x), dtype=np.float32)
        self.offset = np.zeros(2 * len(loc), dtype=np.float32)
        kernels.normal_noise(*self.seed, 0, self.noise.reshape(-1))
        kernels.normal_draw(self.normal, self.offset, self.noise, np.float32(EPS), value, divergence)
        mean = torch.from_numpy(self.normal[:, : len(loc)].copy())
        return mean, torch.from_numpy(value), torch.from_numpy(divergence)

    def backward(
        self, kernels: Any, to_mean: Tensor, to_value: Tensor, to_divergence: Tensor
    ) -> list[Tensor]:
        """Return the gradients with respect to the parameters, in their order."""
        down = np.empty_like(self.normal)
        up = arrays(to_value.contiguous(), to_divergence.contiguous())
        kernels.normal_gradient(self.normal, self.offset, self.noise, *up, np.float32(EPS), down)
        dim = to_mean.shape[1]
        down[:, :dim] += to_mean.numpy()
        normal = torch.from_numpy(down)
        to_weight, to_bias = normal.T @ self.x, normal.sum(0)
        found = [to_weight[:dim], to_bias[:dim], to_weight[dim:], to_bias[dim:]]
        to_x = normal @ self.weight
        for layer in reversed(self.layers):
            to_x, gradients = layer.backward(to_x, kernels, first=layer is self.layers[0])
            found = gradients + found
        return found


class _FusedEncoders(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, passes: list[_Pass], compute: Compute, *parameters: Tensor) -> tuple[Tensor, ...]:
        ctx.passes, ctx.compute = passes, compute
        out = compute.each(lambda each: each.forward(compute.kernels), passes)
        return tuple(tensor for part in out for tensor in part)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        kernels = ctx.compute.kernels
        ups = list(zip(ctx.passes, zip(*[iter(grad_outputs)] * 3, strict=True), strict=True))
        out = ctx.compute.each(lambda item: item[0].backward(kernels, *item[1]), ups)
        return None, None, *(gradient for part in out for gradient in part)
