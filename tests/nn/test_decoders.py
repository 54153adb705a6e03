"""The data decoder: its linear core by the formula, with one batch and with several."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import softplus

from omicsglue.nn.decoders import DataDecoder
from omicsglue.nn.likelihoods import FeatureProfile


def decoder(batches: int, features: int = 6) -> DataDecoder:
    totals = torch.rand(batches, features, generator=torch.Generator().manual_seed(0)) * 50
    made = DataDecoder("nb", FeatureProfile(totals, torch.full((batches,), 10)))
    with torch.no_grad():
        made.scale.normal_(generator=torch.Generator().manual_seed(1))
    return made


def ends() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(2)
    return torch.randn(9, 4, generator=random), torch.randn(6, 4, generator=random)


@pytest.mark.parametrize("batches", [1, 3])
def test_eta_is_scale_times_product_plus_bias_of_the_batch(batches: int) -> None:
    made, (u, v) = decoder(batches), ends()
    batch = torch.arange(9) % batches
    expected = softplus(made.scale)[batch] * (u @ v.T) + made.bias[batch]
    torch.testing.assert_close(made(u, v, batch), expected)


def test_several_batches_of_equal_parameters_are_as_one() -> None:
    one, several, (u, v) = decoder(1), decoder(3), ends()
    with torch.no_grad():
        several.bias.copy_(one.bias.expand_as(several.bias))
        several.scale.copy_(one.scale.expand_as(several.scale))
    codes = torch.arange(9) % 3
    torch.testing.assert_close(several(u, v, codes), one(u, v, torch.zeros_like(codes)))


def test_gradients_of_a_batch_come_from_its_cells_alone() -> None:
    made, (u, v) = decoder(3), ends()
    batch = torch.tensor([0, 0, 2, 2, 0, 2, 0, 0, 2])
    made(u, v, batch).sum().backward()
    torch.testing.assert_close(made.bias.grad[:, 0], torch.tensor([5.0, 0.0, 4.0]))
    assert made.scale.grad[1].abs().max() == 0
