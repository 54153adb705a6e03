"""The compiled step against torch's RMSprop followed by the average of the weights."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from omicsglue.nn.compute import Compute
from omicsglue.training import optimiser
from omicsglue.training.averaging import WeightAverage
from omicsglue.training.optimiser import CompiledStep


class Trained(NamedTuple):
    module: nn.Module
    optimizer: torch.optim.RMSprop
    average: WeightAverage

    def tensors(self) -> dict[str, Tensor]:
        """Return weights, averages and what the optimiser keeps."""
        found = {f"weight {name}": value for name, value in self.module.state_dict().items()}
        found |= {f"average {name}": value for name, value in self.average.average.items()}
        for name, parameter in self.module.named_parameters():
            found |= {f"{key} {name}": value for key, value in self.optimizer.state[parameter].items()}
        return found


def trained(decay: float = 0.9) -> Trained:
    """Return a module with pieces of many sizes, running statistics and a parameter that is never used."""
    module = nn.Sequential(nn.Linear(30, 70), nn.BatchNorm1d(70), nn.Linear(70, 3), nn.Linear(2, 2))
    random = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(generator=random)
    optimizer = torch.optim.RMSprop(module.parameters(), lr=0.01, foreach=True)
    return Trained(module, optimizer, WeightAverage(module, decay))


def columns_first(parameter: Tensor, random: torch.Generator) -> Tensor:
    """Return a gradient whose numbers do not lie in the order of the parameter's."""
    drawn = torch.randn(parameter.shape, generator=random)
    return drawn.T.contiguous().T if drawn.dim() == 2 else drawn


def gradients(each: Trained, step: int) -> None:
    random = torch.Generator().manual_seed(step)
    each.optimizer.param_groups[0]["lr"] = 0.01 / (1 + step)
    for name, parameter in each.module.named_parameters():
        if not name.startswith("3"):
            parameter.grad = columns_first(parameter, random)
    with torch.no_grad():
        each.module[1].running_mean.add_(torch.randn(70, generator=random))


def take(each: Trained, steps: range) -> None:
    for step in steps:
        gradients(each, step)
        each.optimizer.step()
        each.average.update()


def take_compiled(each: Trained, steps: range, threads: int = 1) -> None:
    compute = Compute(threads)
    try:
        compiled = CompiledStep(each.optimizer, each.average, compute)
        for step in steps:
            gradients(each, step)
            compiled.take()
    finally:
        compute.close()


def assert_close(one: Trained, two: Trained) -> None:
    found, expected = one.tensors(), two.tensors()
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=2e-5, atol=2e-6, msg=name)


@pytest.mark.parametrize("numbers", [64, 1 << 16])
def test_steps_equal_those_of_torch(numbers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimiser, "NUMBERS", numbers)
    ours, theirs = trained(), trained()
    start = {name: value.clone() for name, value in theirs.tensors().items()}
    take_compiled(ours, range(12))
    take(theirs, range(12))
    assert_close(ours, theirs)
    after = ours.tensors()
    assert ours.average.steps == theirs.average.steps == 12
    for name in ("weight 0.weight", "average 0.weight", "average 1.running_mean", "weight 2.bias"):
        assert not torch.equal(after[name], start[name])
    assert torch.equal(after["weight 3.weight"], start["weight 3.weight"])


def test_compiled_steps_and_those_of_torch_follow_each_other() -> None:
    ours, theirs = trained(), trained()
    take(ours, range(3))
    take_compiled(ours, range(3, 6))
    take(ours, range(6, 9))
    take(theirs, range(9))
    assert_close(ours, theirs)


@pytest.mark.parametrize("threads", [2, 3])
def test_bits_do_not_depend_on_the_number_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimiser, "NUMBERS", 64)
    one, several = trained(), trained()
    take_compiled(one, range(5))
    take_compiled(several, range(5), threads)
    expected = one.tensors()
    assert all(torch.equal(value, expected[name]) for name, value in several.tensors().items())


def test_without_decay_the_average_is_the_weights() -> None:
    ours = trained(0.0)
    take_compiled(ours, range(2))
    for name, value in ours.average.average.items():
        torch.testing.assert_close(value, ours.module.state_dict()[name], rtol=1e-6, atol=1e-7)


def test_gradients_that_change_in_place_are_looked_at_anew() -> None:
    ours, theirs = trained(), trained()
    gradients(ours, 0)
    gradients(theirs, 0)  # some of them not in the order of the parameter's numbers
    compiled = CompiledStep(ours.optimizer, ours.average, Compute(1))
    for step in range(3):
        for each in (ours, theirs):
            for parameter in each.module.parameters():
                if parameter.grad is not None:
                    parameter.grad.mul_(1 + step)
        compiled.take()
        theirs.optimizer.step()
        theirs.average.update()
    assert_close(ours, theirs)
