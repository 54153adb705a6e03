"""The sparse negative binomial against torch.distributions and numerical gradients, in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.distributions import NegativeBinomial as Reference

from omicsglue.data.batches import slice_rows
from omicsglue.data.tensors import CellBatch
from omicsglue.nn.likelihoods import FeatureProfile, NegativeBinomial


def cells_of(counts: np.ndarray, batch: list[int] | None = None) -> CellBatch:
    matrix = sp.csr_matrix(counts.astype(np.float64))
    rows = slice_rows(matrix, np.arange(len(counts)))
    library = torch.from_numpy(np.maximum(counts.sum(1), 1).astype(np.float64))
    codes = torch.tensor(batch or [0] * len(counts))
    ones = torch.ones(len(counts), dtype=torch.float64)
    return CellBatch(rows, rows.dense(), library, codes, ones, torch.full_like(codes, -1))


def reference_nll(eta: Tensor, log_theta: Tensor, cells: CellBatch, weight: Tensor) -> Tensor:
    mu = eta.softmax(1) * cells.library[:, None]
    theta = log_theta.exp()[cells.batch]
    logits = (mu + 1e-300).log() - theta.log()
    density = Reference(total_count=theta, logits=logits).log_prob(cells.counts.dense())
    return -(density.sum(1) * weight).sum()


@st.composite
def problems(draw: st.DrawFn) -> tuple[Tensor, Tensor, CellBatch, Tensor]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cells, features, batches = draw(st.integers(1, 6)), draw(st.integers(1, 8)), draw(st.integers(1, 3))
    counts = rng.poisson(draw(st.sampled_from([0.05, 1.0, 40.0])), size=(cells, features))
    spread = draw(st.sampled_from([0.1, 2.0, 8.0]))
    eta = torch.from_numpy(rng.normal(scale=spread, size=(cells, features)))
    log_theta = torch.from_numpy(
        rng.normal(scale=draw(st.sampled_from([0.1, 3.0])), size=(batches, features))
    )
    batch = rng.integers(batches, size=cells).tolist()
    weight = torch.from_numpy(rng.uniform(0, 2, size=cells))
    return eta, log_theta, cells_of(counts, batch), weight


@given(problems())
@settings(max_examples=60, deadline=None)
def test_value_and_gradients_equal_torch_distributions(
    problem: tuple[Tensor, Tensor, CellBatch, Tensor],
) -> None:
    eta, log_theta, cells, weight = problem
    found, expected = [], []
    for nll, results in (
        (lambda e, t: NegativeBinomial().nll(e, {"log_theta": t}, cells, weight), found),
        (lambda e, t: reference_nll(e, t, cells, weight), expected),
    ):
        e, t = eta.clone().requires_grad_(), log_theta.clone().requires_grad_()
        value = nll(e, t)
        value.backward()
        results += [value.detach(), e.grad, t.grad]
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-8)


def test_gradcheck() -> None:
    rng = np.random.default_rng(0)
    cells = cells_of(rng.poisson(1.0, size=(4, 5)), [0, 1, 0, 1])
    eta = torch.from_numpy(rng.normal(size=(4, 5))).requires_grad_()
    log_theta = torch.from_numpy(rng.normal(size=(2, 5))).requires_grad_()
    weight = torch.tensor([1.0, 0.5, 2.0, 1.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda e, t: NegativeBinomial().nll(e, {"log_theta": t}, cells, weight), (eta, log_theta)
    )


def test_extremes_stay_finite_in_single_precision() -> None:
    cells = cells_of(np.array([[0, 0, 100000], [1, 0, 0]]))
    cells = CellBatch(
        replace(cells.counts, value=cells.counts.value.float()),
        cells.inputs.float(),
        cells.library.float(),
        cells.batch,
        cells.weight.float(),
        cells.label,
    )
    eta = torch.tensor([[80.0, -80.0, 0.0], [-80.0, 80.0, 0.0]], requires_grad=True)
    log_theta = torch.tensor([[10.0, -10.0, 0.0]], requires_grad=True)
    nll = NegativeBinomial().nll(eta, {"log_theta": log_theta}, cells, torch.ones(2))
    nll.backward()
    assert torch.isfinite(nll)
    assert torch.isfinite(eta.grad).all()
    assert torch.isfinite(log_theta.grad).all()


def test_samples_have_the_mean_and_variance_that_are_promised() -> None:
    draws = 40_000
    cells = cells_of(np.tile([[3, 5, 2]], (draws, 1)))
    eta = torch.zeros(draws, 3, dtype=torch.float64)
    params = {"log_theta": torch.tensor([[0.0, 0.7, -0.5]], dtype=torch.float64)}
    likelihood = NegativeBinomial()
    x = likelihood.sample(eta, params, cells, torch.Generator().manual_seed(0))
    torch.testing.assert_close(x.mean(0), likelihood.mean(eta, params, cells)[0], rtol=0.03, atol=0)
    torch.testing.assert_close(x.var(0), likelihood.variance(eta, params, cells)[0], rtol=0.06, atol=0)


def test_start_is_the_mean_profile_of_each_batch() -> None:
    totals = torch.tensor([[10.0, 30.0, 60.0], [1.0, 1.0, 8.0]])
    start = NegativeBinomial().initial(FeatureProfile(totals, torch.tensor([5, 6])))
    expected = (totals + 0.5) / (totals + 0.5).sum(1, keepdim=True)
    torch.testing.assert_close(start["bias"].softmax(1), expected)
