"""All data encoders and their draws as one operation, so that modalities are encoded at the same time."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from omicsglue.nn.compute import Compute, arrays
from omicsglue.nn.encoders import DataEncoder
from omicsglue.nn.layers import EPS, Draw
from omicsglue.nn.randomness import Randomness, Seed
from omicsglue.nn.ranks import Floats, Ranks, track

T = TypeVar("T")
Steps = Generator[Floats, Floats, T]  # hands over sums of this process, is given those of all


class Encoded(NamedTuple):
    """Means of one modality's cell embeddings, ``(B, D)``, and a draw."""

    mean: Tensor
    draw: Draw


def encode_together(
    encoders: Mapping[str, DataEncoder],
    inputs: Mapping[str, Tensor],
    random: Randomness,
    compute: Compute,
    ranks: Ranks | None = None,
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
    ranks
        Processes over whose cells batch norm is taken, as many in each; this one alone by default.
    """
    found = side_by_side(encoder_passes(encoders, inputs, random, ranks), compute, ranks)
    return encoded(encoders, found)


def encoder_passes(
    encoders: Mapping[str, DataEncoder], inputs: Mapping[str, Tensor], random: Randomness, ranks: Ranks | None
) -> list[Pass]:
    """Return the passes of :func:`encode_together`."""
    number = 1 if ranks is None else ranks.number
    return [EncoderPass(encoder, inputs[name], random, number) for name, encoder in encoders.items()]


def encoded(names: Iterable[str], found: Sequence[tuple[Tensor, ...]]) -> dict[str, Encoded]:
    """Return what the passes of encoders have found, by modality."""
    return {
        name: Encoded(mean, Draw(value, divergence))
        for name, (mean, value, divergence) in zip(names, found, strict=True)
    }


class Pass(Protocol):
    """What is computed beside other such passes, forward and back; both ways stop where sums are exchanged.

    Attributes
    ----------
    parameters
        By which there are gradients.
    outputs
        How many tensors the way forward returns, and the way back is given gradients by.
    """

    parameters: list[Tensor]
    outputs: int

    def forward(self, kernels: Any) -> Steps[tuple[Tensor, ...]]:
        """Go forward."""

    def backward(self, kernels: Any, *ups: Tensor) -> Steps[list[Tensor | None]]:
        """Return the gradients with respect to the parameters, in their order."""


def side_by_side(passes: Sequence[Pass], compute: Compute, ranks: Ranks | None) -> list[tuple[Tensor, ...]]:
    """Return what passes compute as one operation, each by a thread of its own."""
    parameters = [parameter for each in passes for parameter in each.parameters]
    out: tuple[Tensor, ...] = _SideBySide.apply(passes, compute, ranks, *parameters)  # type: ignore[no-untyped-call]  # torch leaves it so
    return _parts(out, passes)


def _parts(tensors: Sequence[Tensor], passes: Sequence[Pass]) -> list[tuple[Tensor, ...]]:
    rest = iter(tensors)
    return [tuple(itertools.islice(rest, each.outputs)) for each in passes]


class _Layer:
    """One hidden layer in one pass: linear, leaky ReLU, batch norm, dropout.

    Both ways stop once, to hand over sums of this process's cells and be given those of all ``number``.
    """

    def __init__(self, linear: nn.Linear, norm: nn.BatchNorm1d, rate: float, seed: Seed, number: int) -> None:
        self.linear, self.norm, self.rate, self.seed, self.number = linear, norm, rate, seed, number
        self.parameters = [linear.weight, linear.bias, norm.weight, norm.bias]

    def forward(self, x: Tensor, kernels: Any) -> Steps[Tensor]:
        self.x = x
        self.a = (x @ self.linear.weight.T).numpy()
        self.normed, out = np.empty_like(self.a), torch.empty(self.a.shape)
        width = self.a.shape[1]
        moments, self.inverse = np.zeros((2, width), dtype=np.float32), np.empty(width, dtype=np.float32)
        bias, gamma, beta = arrays(*self.parameters[1:])
        kernels.hidden_moments(self.a, bias, moments)
        moments = yield moments
        kernels.hidden_forward(
            self.a, moments, gamma, beta, np.float32(self.norm.eps), self.rate, *self.seed,
            self.inverse, self.normed, out.numpy(),
        )  # fmt: skip
        track(self.norm, torch.from_numpy(moments), len(x) * self.number)
        return out

    def backward(self, to_out: Tensor, kernels: Any, *, first: bool) -> Steps[tuple[Tensor, list[Tensor]]]:
        """Return the gradients with respect to the input (none for the first layer) and the parameters."""
        width = self.a.shape[1]
        to_a, sums = np.empty_like(self.a), np.zeros((2, width), dtype=np.float32)
        to_bias = np.zeros(width, dtype=np.float32)
        (gamma,) = arrays(self.norm.weight)
        kernels.hidden_sums(to_out.numpy(), self.normed, self.rate, *self.seed, to_a, sums)
        total = yield sums
        cells = len(self.a) * self.number
        kernels.hidden_backward(self.a, self.normed, gamma, self.inverse, total, cells, to_a, to_bias)
        down = torch.from_numpy(to_a)
        to_gamma, to_beta = torch.from_numpy(sums)
        to_x = down.new_empty(0) if first else down @ self.linear.weight
        return to_x, [down.T @ self.x, torch.from_numpy(to_bias), to_gamma, to_beta]


class EncoderPass:
    """One encoder's way through a minibatch, forward and back."""

    outputs = 3

    def __init__(self, encoder: DataEncoder, inputs: Tensor, random: Randomness, number: int) -> None:
        hidden = encoder.hidden
        norms = cast(nn.ModuleList, hidden.norm)
        self.layers = [
            _Layer(cast(nn.Linear, linear), cast(nn.BatchNorm1d, norm), hidden.rate, random.seed(), number)
            for linear, norm in zip(hidden.linear, norms, strict=True)
        ]
        self.inputs, self.seed = inputs, random.seed()
        head = encoder.head
        self.heads = [head.loc.weight, head.loc.bias, head.std.weight, head.std.bias]
        self.parameters: list[Tensor] = [p for layer in self.layers for p in layer.parameters] + self.heads

    def forward(self, kernels: Any) -> Steps[tuple[Tensor, ...]]:
        """Return means, draws and divergences."""
        x = self.inputs
        for layer in self.layers:
            x = yield from layer.forward(x, kernels)
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

    def backward(self, kernels: Any, *ups: Tensor) -> Steps[list[Tensor | None]]:
        """Return the gradients by the parameters, given those by means, draws and divergences."""
        to_mean, to_value, to_divergence = ups
        down = np.empty_like(self.normal)
        up = arrays(to_value.contiguous(), to_divergence.contiguous())
        kernels.normal_gradient(self.normal, self.offset, self.noise, *up, np.float32(EPS), down)
        dim = to_mean.shape[1]
        down[:, :dim] += to_mean.numpy()
        normal = torch.from_numpy(down)
        to_weight, to_bias = normal.T @ self.x, normal.sum(0)
        found: list[Tensor | None] = [to_weight[:dim], to_bias[:dim], to_weight[dim:], to_bias[dim:]]
        to_x = normal @ self.weight
        for layer in reversed(self.layers):
            to_x, gradients = yield from layer.backward(to_x, kernels, first=layer is self.layers[0])
            found = [*gradients, *found]
        return found


def _finished(steps: list[Steps[T]], compute: Compute, ask: Callable[[Floats], Floats] | None) -> list[T]:
    """Return what the steps of all modalities come to, each by a thread of its own.

    With other processes they go side by side, so that all that is asked of these at a time is asked at once.
    """
    if ask is None:
        return compute.each(_by_itself, steps)
    answers: dict[int, Floats | None] = dict.fromkeys(range(len(steps)))
    done: dict[int, T] = {}
    while answers:
        found = compute.each(_further, [(steps[place], answer) for place, answer in answers.items()])
        sums = {}
        for place, each in zip(answers, found, strict=True):
            if isinstance(each, StopIteration):
                done[place] = each.value
            else:
                sums[place] = each
        if sums:
            told = ask(np.concatenate(list(sums.values()), axis=1))
            ends = np.cumsum([each.shape[1] for each in sums.values()])
            answers = dict(zip(sums, np.split(told, ends[:-1], axis=1), strict=True))
        else:
            answers = {}
    return [done[place] for place in range(len(steps))]


def _by_itself(steps: Steps[T]) -> T:
    found = _further((steps, None))
    while not isinstance(found, StopIteration):
        found = _further((steps, found))
    return cast(T, found.value)


def _further(item: tuple[Steps[T], Floats | None]) -> Floats | StopIteration:
    """Go on to the next sums, or to the end."""
    steps, answer = item
    try:
        return next(steps) if answer is None else steps.send(np.ascontiguousarray(answer))
    except StopIteration as end:
        return end


class _SideBySide(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, passes: Sequence[Pass], compute: Compute, ranks: Ranks | None, *parameters: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.passes, ctx.compute, ctx.ranks = passes, compute, ranks
        steps = [each.forward(compute.kernels) for each in passes]
        out = _finished(steps, compute, None if ranks is None else ranks.moments)
        return tuple(tensor for part in out for tensor in part)

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:
        kernels, ups = ctx.compute.kernels, _parts(grad_outputs, ctx.passes)
        steps = [each.backward(kernels, *up) for each, up in zip(ctx.passes, ups, strict=True)]
        out = _finished(steps, ctx.compute, None if ctx.ranks is None else ctx.ranks.total)
        return None, None, None, *(gradient for part in out for gradient in part)
