"""The average of weights against a plain loop."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from omicsglue.training.averaging import WeightAverage


def module() -> nn.Module:
    made = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        for value in made.parameters():
            value.normal_(generator=torch.Generator().manual_seed(0))
    return made


@pytest.mark.parametrize("decay", [0.0, 0.3, 0.99])
def test_average_equals_a_plain_loop(decay: float) -> None:
    network, random = module(), torch.Generator().manual_seed(1)
    average = WeightAverage(network, decay)
    expected = network[0].weight.detach().clone().double()
    for step in range(30):
        with torch.no_grad():
            network[0].weight.add_(torch.randn(2, 3, generator=random))
        average.update()
        d = min(decay, (1 + step) / (10 + step))
        expected = d * expected + (1 - d) * network[0].weight.detach().double()
    torch.testing.assert_close(average.average["0.weight"].double(), expected, rtol=1e-5, atol=1e-5)


def test_running_statistics_are_averaged_and_counters_are_not() -> None:
    average = WeightAverage(module(), 0.9)
    assert {"1.running_mean", "1.running_var", "0.weight", "1.bias"} <= set(average.average)
    assert "1.num_batches_tracked" not in average.average


def test_two_swaps_undo_each_other_and_one_puts_the_average_in_place() -> None:
    network = module()
    average = WeightAverage(network, 0.5)
    start = network[0].weight.detach().clone()
    with torch.no_grad():
        network[0].weight.add_(1.0)
    live = network[0].weight.detach().clone()
    parameter = network[0].weight
    average.swap()
    assert network[0].weight is parameter  # the optimiser's view of it stays right
    assert torch.equal(network[0].weight, start)
    average.swap()
    assert torch.equal(network[0].weight, live)
    assert torch.equal(average.average["0.weight"], start)
