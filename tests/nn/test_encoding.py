"""Encoders in one operation against the modules in double precision, with the same masks and noise."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, softplus

from omicsglue.nn.compute import Compute
from omicsglue.nn.encoders import DataEncoder
from omicsglue.nn.encoding import Encoded, encode_together
from omicsglue.nn.layers import EPS, Hidden
from omicsglue.nn.randomness import Randomness

SIZES = {"rna": (23, 7), "atac": (40, 12)}
DIM = 5


@pytest.fixture
def computes() -> Iterator[list[Compute]]:
    made = [Compute(threads) for threads in (1, 2, 3)]
    yield made
    for each in made:
        each.close()


def encoders(rate: float, depth: int = 2) -> dict[str, DataEncoder]:
    random = torch.Generator().manual_seed(0)
    made = {name: DataEncoder(inputs, DIM, Hidden(9, depth, rate)) for name, (_, inputs) in SIZES.items()}
    with torch.no_grad():
        for encoder in made.values():
            for parameter in encoder.parameters():
                parameter.normal_(std=0.5, generator=random)
    return {name: encoder.train() for name, encoder in made.items()}


def inputs() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(1)
    return {name: torch.randn(*size, generator=random) for name, size in SIZES.items()}


def encode(made: dict[str, DataEncoder], compute: Compute, seed: int = 2) -> dict[str, Encoded]:
    return encode_together(made, inputs(), Randomness(torch.Generator().manual_seed(seed), compute), compute)


def ups(encoded: dict[str, Encoded]) -> dict[str, list[Tensor]]:
    random = torch.Generator().manual_seed(3)
    return {
        name: [torch.randn(x.shape, generator=random) for x in (mean, *draw)]
        for name, (mean, draw) in encoded.items()
    }


def plain(encoder: DataEncoder, x: Tensor, masks: list[Tensor]) -> Tensor:
    """Return the parameters of the normals with given masks of dropout, module by module."""
    for linear, norm, mask in zip(encoder.hidden.linear, encoder.hidden.norm, masks, strict=True):
        x = norm(leaky_relu(linear(x), 0.2)) * mask
    return encoder.head(x).parameters


def masks_of(encoders: dict[str, DataEncoder], compute: Compute, rate: float) -> dict[str, list[Tensor]]:
    """Return the masks that the seeds of a pass stand for: one a layer, and then one seed for the draw."""
    random, found = Randomness(torch.Generator().manual_seed(2), compute), {}
    for name, encoder in encoders.items():
        size = SIZES[name][0], 9
        found[name] = [random.mask(torch.empty(size), rate).double() for _ in encoder.hidden.linear]
        random.seed()
    return found


@pytest.mark.parametrize("rate", [0.0, 0.3])
@pytest.mark.parametrize("depth", [1, 2])
def test_values_and_gradients_equal_those_of_the_modules(
    rate: float, depth: int, computes: list[Compute]
) -> None:
    made, compute = encoders(rate, depth), computes[0]
    exact = {name: copy.deepcopy(encoder).double() for name, encoder in made.items()}
    found = encode(made, compute)
    outputs = [x for mean, draw in found.values() for x in (mean, *draw)]
    torch.autograd.backward(outputs, [x for each in ups(found).values() for x in each])
    masks = masks_of(made, compute, rate)
    for name, encoder in exact.items():
        mean, raw = plain(encoder, inputs()[name].double(), masks[name]).chunk(2, dim=1)
        std = softplus(raw) + EPS
        noise = ((found[name].draw.value.double() - mean) / std).detach()
        assert abs(noise.mean()) < 0.3
        assert abs(noise.var() - 1) < 0.45
        divergence = 0.5 * (mean.square() + std.square() - 2 * std.log() - 1).sum(1)
        close(found[name].mean, mean)
        close(found[name].draw.divergence, divergence)
        up = [x.double() for x in ups(found)[name]]
        torch.autograd.backward([mean, mean + std * noise, divergence], up)
        theirs = dict(encoder.named_parameters())
        for part, parameter in made[name].named_parameters():
            close(parameter.grad, theirs[part].grad)
        buffers = dict(encoder.named_buffers())
        for part, buffer in made[name].named_buffers():
            close(buffer, buffers[part])


def close(found: Tensor, exact: Tensor) -> None:
    found, exact = found.detach().double(), exact.detach().double()
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=5e-6 * max(float(exact.abs().max()), 1.0))


def test_bits_do_not_depend_on_the_number_of_threads(computes: list[Compute]) -> None:
    results = []
    for compute in [*computes, *computes]:
        made = encoders(0.2)
        found = encode(made, compute)
        outputs = [x for mean, draw in found.values() for x in (mean, *draw)]
        torch.autograd.backward(outputs, [x for each in ups(found).values() for x in each])
        state = [x for encoder in made.values() for x in (*encoder.parameters(), *encoder.buffers())]
        grads = [p.grad for encoder in made.values() for p in encoder.parameters()]
        results.append([*(x.detach() for x in (*outputs, *state)), *grads])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_one_generator_decides_a_pass(computes: list[Compute]) -> None:
    one, same, other = (encode(encoders(0.3), computes[0], seed) for seed in (2, 2, 4))
    assert torch.equal(one["rna"].draw.value, same["rna"].draw.value)
    assert not torch.equal(one["rna"].mean, other["rna"].mean)
    assert not torch.equal(one["atac"].draw.value, other["atac"].draw.value)
