"""Layers: explicit randomness, and the normal against torch.distributions."""

from __future__ import annotations

import torch
from torch.distributions import Normal, kl_divergence

from omicsglue.nn.layers import MLP, DiagonalNormal, Hidden, dropout
from omicsglue.nn.randomness import Randomness


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random(seed: int = 0) -> Randomness:
    return Randomness(generator(seed))


def normal_of(mean: torch.Tensor, std: torch.Tensor) -> DiagonalNormal:
    """Return normals of a mean and a standard deviation, of which the softplus is undone."""
    return DiagonalNormal(torch.cat([mean, std + (-torch.expm1(-std)).log()], dim=1))


def test_divergence_equals_torch_distributions() -> None:
    mean, std = torch.randn(7, 3, generator=generator()), torch.rand(7, 3, generator=generator()) + 0.1
    expected = kl_divergence(Normal(mean, std), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(normal_of(mean, std).draw(random()).divergence, expected)
    torch.testing.assert_close(normal_of(mean, std).draw(None).divergence, expected)


def test_samples_have_their_mean_and_deviation_and_without_generator_are_the_mean() -> None:
    normal = normal_of(torch.full((40_000, 2), 3.0), torch.tensor([0.5, 2.0]).expand(40_000, 2))
    drawn = normal.draw(random()).value
    torch.testing.assert_close(drawn.mean(0), torch.tensor([3.0, 3.0]), atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.tensor([0.5, 2.0]), atol=0, rtol=0.03)
    assert torch.equal(normal.draw(None).value, torch.full((40_000, 2), 3.0))


def test_dropout_keeps_the_mean_and_does_nothing_without_generator() -> None:
    x = torch.ones(200, 200)
    dropped = dropout(x, 0.2, random())
    assert abs((dropped == 0).float().mean().item() - 0.2) < 0.01
    torch.testing.assert_close(dropped[dropped > 0], torch.full_like(dropped[dropped > 0], 1.25))
    assert dropout(x, 0.2, None) is x
    assert dropout(x, 0.0, random()) is x


def test_one_generator_decides_a_pass() -> None:
    layers = MLP(5, Hidden(8, 2, 0.5), norm=True).train()
    x = torch.randn(6, 5, generator=generator())
    assert torch.equal(layers(x, random(1)), layers(x, random(1)))
    assert not torch.equal(layers(x, random(1)), layers(x, random(2)))
    before = torch.get_rng_state()
    layers(x, random(1))
    assert torch.equal(torch.get_rng_state(), before)


def test_without_hidden_layers_the_input_passes() -> None:
    layers = MLP(5, Hidden(8, 0, 0.0), norm=False)
    x = torch.ones(2, 5)
    assert layers(x, None) is x
    assert layers.outputs == 5
