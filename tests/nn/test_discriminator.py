"""The discriminator as one compiled operation against the plain one."""

from __future__ import annotations

import copy

import pytest
import torch

from omicsglue.nn import discriminator as module
from omicsglue.nn.compute import Compute
from omicsglue.nn.discriminator import Discriminator
from omicsglue.nn.layers import Hidden
from omicsglue.nn.randomness import Randomness


def discriminator(depth: int, rate: float) -> Discriminator:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Discriminator(6, 3, Hidden(16, depth, rate))


def pass_through(made: Discriminator, threads: int, seed: int = 1) -> tuple[torch.Tensor, list[torch.Tensor]]:
    u = torch.randn(50, 6, generator=torch.Generator().manual_seed(2)).requires_grad_()
    compute = Compute(threads)
    random = Randomness(torch.Generator().manual_seed(seed), compute) if threads else None
    logits = made(u, random, compute)
    (logits * torch.randn(50, 3, generator=torch.Generator().manual_seed(3))).sum().backward()
    compute.close()
    return logits.detach(), [u.grad, *(parameter.grad for parameter in made.parameters())]


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("cells", [16, 128])
def test_values_and_gradients_equal_the_plain_layers(
    depth: int, cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CELLS", cells)
    made = discriminator(depth, 0.0)
    plain = copy.deepcopy(made)
    found, gradients = pass_through(made, threads=2)
    u = torch.randn(50, 6, generator=torch.Generator().manual_seed(2)).requires_grad_()
    expected = plain(u, None)
    (expected * torch.randn(50, 3, generator=torch.Generator().manual_seed(3))).sum().backward()
    torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(gradients, [u.grad, *(p.grad for p in plain.parameters())], strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_dropout_comes_from_the_seed_whatever_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CELLS", 16)
    one, two, other = (discriminator(2, 0.3) for _ in range(3))
    first, second = pass_through(one, 1), pass_through(two, 2)
    assert torch.equal(first[0], second[0])
    assert all(torch.equal(a, b) for a, b in zip(first[1], second[1], strict=True))
    assert not torch.equal(first[0], pass_through(other, 1, seed=9)[0])


def test_dropout_drops_at_its_rate_and_keeps_the_gradient_consistent() -> None:
    made = discriminator(1, 0.3)
    compute = Compute(1)

    def logits(u: torch.Tensor) -> torch.Tensor:
        return made(u, Randomness(torch.Generator().manual_seed(4), compute), compute)

    u = torch.randn(40, 6, generator=torch.Generator().manual_seed(5)).requires_grad_()
    direction = torch.randn(40, 6, generator=torch.Generator().manual_seed(6))
    logits(u).sum().backward()
    with torch.no_grad():
        step = (logits(u + 1e-3 * direction).sum() - logits(u - 1e-3 * direction).sum()) / 2e-3
    assert step.item() == pytest.approx((u.grad * direction).sum().item(), rel=2e-2, abs=1e-2)
    weight = made.out.weight
    with torch.no_grad():
        made.hidden.linear[0].weight.zero_()
        made.hidden.linear[0].bias.fill_(1.0)
        weight.fill_(1.0)
        made.out.bias.zero_()
    kept = logits(u.detach()).mean().item() / 16  # mean of 0 and 1 / 0.7 at their shares
    assert kept == pytest.approx(1, abs=0.1)
