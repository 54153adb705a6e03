"""The data decoder: its linear core by the formula, with one batch and with several."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch.nn.functional import softplus

from omicsglue.data.batches import slice_rows
from omicsglue.data.tensors import CellBatch
from omicsglue.nn.compute import Compute
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


def test_missing_entries_go_round_the_compiled_kernel() -> None:
    made, (u, v) = decoder(3), ends()
    rng = np.random.default_rng(0)
    values = rng.poisson(2.0, size=(9, 6)).astype(np.float32)
    known = (rng.random((9, 6)) < 0.6).astype(np.float32)
    rows, ones = np.arange(9), torch.ones(9)
    cells = CellBatch(
        slice_rows(sp.csr_matrix(values), rows),
        u,
        torch.from_numpy(np.maximum((values * known).sum(1), 1)),
        torch.arange(9) % 3,
        ones,
        torch.full((9,), -1),
        slice_rows(sp.csr_matrix(known), rows),
    )
    complete = CellBatch(cells.counts, u, cells.library, cells.batch, ones, cells.label)
    plain = made.nll(u, v, cells, ones)
    assert torch.equal(made.nll(u, v, cells, ones, Compute(1)), plain)
    assert made.nll(u, v, complete, ones, Compute(1)) > plain
