"""Every likelihood against SciPy and numerical gradients in float64; masks, samples, single precision."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from likelihood_problems import Problem, cells_of, data_for, problem, reference_nll
from omicsglue.data.tensors import CellBatch, SparseRows
from omicsglue.nn.likelihoods import LIKELIHOODS

SEEDS = st.integers(0, 2**32 - 1)
each_likelihood = pytest.mark.parametrize("name", LIKELIHOODS)


@each_likelihood
@given(seed=SEEDS, missing=st.sampled_from([0.0, 0.4]))
@settings(max_examples=40, deadline=None)
def test_value_is_that_of_scipy(name: str, seed: int, missing: float) -> None:
    drawn = problem(name, seed, missing=missing)
    np.testing.assert_allclose(drawn.nll().item(), reference_nll(drawn), rtol=1e-9, atol=1e-7)


@pytest.mark.parametrize("mu", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("theta", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("name", ["nb", "zinb", "poisson"])
def test_small_and_large_expectations(name: str, mu: float, theta: float) -> None:
    values = np.array([[0, 1, 3], [2, 0, 40]])
    cells = replace(cells_of(values), library=torch.full((2,), 1e6, dtype=torch.float64))
    eta = torch.tensor([[0.0, np.log(mu / 1e6), -3.0]] * 2, dtype=torch.float64)
    params = {
        parameter: torch.full((1, 3), {"log_theta": np.log(theta)}.get(parameter, -2.0), dtype=torch.float64)
        for parameter in LIKELIHOODS[name].parameters
    }
    made = Problem(name, eta, params, cells, torch.tensor([1.0, 0.5], dtype=torch.float64))
    np.testing.assert_allclose(made.nll().item(), reference_nll(made), rtol=1e-9)


@each_likelihood
@pytest.mark.parametrize("missing", [0.0, 0.4])
def test_gradients_are_those_of_differences(name: str, missing: float) -> None:
    drawn = problem(name, 5, extreme=False, missing=missing)
    names = list(drawn.params)
    inputs = [drawn.eta, *drawn.params.values()]
    assert torch.autograd.gradcheck(
        lambda eta, *values: drawn.nll(eta, dict(zip(names, values, strict=True))),
        [value.clone().requires_grad_() for value in inputs],
    )


def smudged(given_: Problem, factor: float) -> Problem:
    """Return the problem with other values and predictors where entries are missing."""
    cells, counts = given_.cells, given_.cells.counts
    absent = torch.ones(counts.shape, dtype=torch.bool)
    absent.view(-1)[cells.coverage.flat] = False
    value = torch.where(absent.view(-1)[counts.flat], counts.value * factor + factor, counts.value)
    eta = torch.where(absent, given_.eta + factor, given_.eta)
    return replace(given_, eta=eta, cells=replace(cells, counts=replace(counts, value=value)))


@each_likelihood
@given(seed=SEEDS)
@settings(max_examples=15, deadline=None)
def test_missing_entries_change_neither_value_nor_gradient(name: str, seed: int) -> None:
    drawn = problem(name, seed, missing=0.5)
    value, by_parameter, by_eta = drawn.gradients()
    covered = drawn.cells.coverage.dense() > 0
    assert by_eta[~covered].abs().sum() == 0
    for factor in (7.0, float("nan")):
        other = smudged(drawn, factor) if np.isfinite(factor) else drawn
        found, others, eta = other.gradients()
        assert torch.equal(found, value)
        assert torch.equal(eta, by_eta)
        for parameter, gradient in by_parameter.items():
            assert torch.equal(others[parameter], gradient)


@each_likelihood
def test_features_that_no_cell_measured_are_as_if_they_were_not_there(name: str) -> None:
    drawn = problem(name, 11, extreme=False)
    while drawn.eta.shape[1] < 4:
        drawn = problem(name, int(drawn.eta.abs().sum() * 1e6), extreme=False)
    dense = drawn.cells.counts.dense().numpy()
    coverage = np.ones(dense.shape) if drawn.cells.coverage is None else drawn.cells.coverage.dense().numpy()
    coverage[:, 1] = 0
    batch = drawn.cells.batch.numpy()
    drawn = replace(drawn, cells=cells_of(dense, batch, coverage))
    subset = drawn.columns(np.arange(dense.shape[1]) != 1)
    torch.testing.assert_close(drawn.nll(), subset.nll(), rtol=1e-12, atol=1e-12)
    complete = replace(subset, cells=replace(subset.cells, coverage=None))
    if name != "betabinomial":
        torch.testing.assert_close(subset.nll(), complete.nll(), rtol=1e-12, atol=1e-12)


@each_likelihood
def test_stored_zeros_of_the_coverage_are_missing_and_empty_cells_cost_nothing(name: str) -> None:
    drawn = problem(name, 3, extreme=False, missing=0.3)
    covered = drawn.cells.coverage
    nothing = replace(drawn, cells=replace(drawn.cells, coverage=replace(covered, value=covered.value * 0)))
    value, by_parameter, by_eta = nothing.gradients()
    assert value == 0
    assert by_eta.abs().sum() == 0
    assert all(gradient.abs().sum() == 0 for gradient in by_parameter.values())


@each_likelihood
def test_samples_have_the_mean_and_variance_that_are_promised(name: str) -> None:
    draws, rng = 40_000, np.random.default_rng(2)
    row, covered = data_for(name, (1, 3), rng)
    coverage = None if covered is None else np.tile([[6, 30, 0]], (draws, 1))
    values = np.tile([[3, 5, 2]] if name in ("nb", "zinb", "poisson", "nbmixture") else row, (draws, 1))
    cells = cells_of(np.minimum(values, coverage) if coverage is not None else values, coverage=coverage)
    eta = torch.tensor([[0.3, -0.6, 0.1]], dtype=torch.float64).expand(draws, 3)
    start = {"log_theta": 0.5, "log_sd": -0.7, "zero_logit": -0.4, "log_precision": 1.0}
    start |= {"log_background": -1.0, "foreground": 0.5}
    likelihood = LIKELIHOODS[name]
    params = {
        parameter: torch.full((1, 3), start[parameter], dtype=torch.float64)
        for parameter in likelihood.parameters
    }
    x = likelihood.sample(eta, params, cells, torch.Generator().manual_seed(0))
    mean, variance = likelihood.mean(eta, params, cells), likelihood.variance(eta, params, cells)
    torch.testing.assert_close(x.mean(0), mean[0], rtol=0.03, atol=0.01)
    torch.testing.assert_close(x.var(0), variance[0], rtol=0.08, atol=0)


def single(cells: CellBatch) -> CellBatch:
    def rows(given_: SparseRows | None) -> SparseRows | None:
        return None if given_ is None else replace(given_, value=given_.value.float())

    return replace(
        cells, counts=rows(cells.counts), coverage=rows(cells.coverage), library=cells.library.float()
    )


@each_likelihood
@given(seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_extremes_stay_finite_in_single_precision(name: str, seed: int) -> None:
    drawn = problem(name, seed, missing=0.2)
    params = {parameter: value.float() for parameter, value in drawn.params.items()}
    drawn = replace(
        drawn, eta=drawn.eta.float(), params=params, cells=single(drawn.cells), weight=drawn.weight.float()
    )
    value, by_parameter, by_eta = drawn.gradients()
    assert torch.isfinite(value)
    assert torch.isfinite(by_eta).all()
    assert all(torch.isfinite(gradient).all() for gradient in by_parameter.values())


def test_rates_are_predicted_where_coverage_is_unknown() -> None:
    likelihood = LIKELIHOODS["betabinomial"]
    cells = cells_of(np.zeros((2, 3)))
    eta = torch.tensor([[0.0, 50.0, -50.0]] * 2, dtype=torch.float64)
    params = {"log_precision": torch.zeros(1, 3, dtype=torch.float64)}
    assert torch.equal(likelihood.mean(eta, params, cells), torch.sigmoid(eta))
    drawn = likelihood.sample(eta, params, cells, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn[:, 1:], torch.sigmoid(eta)[:, 1:], rtol=0, atol=1e-12)
    with pytest.raises(ValueError, match="coverage"):
        likelihood.nll(eta, params, cells, torch.ones(2, dtype=torch.float64))


def test_foreground_exceeds_background_by_any_predictor() -> None:
    likelihood = LIKELIHOODS["nbmixture"]
    cells = cells_of(np.full((1, 3), 4))
    zero = torch.zeros(1, 3, dtype=torch.float64)
    params = {"log_background": zero - 2, "log_theta": zero, "foreground": zero}
    eta = torch.tensor([[-50.0, 0.0, 3.0]], dtype=torch.float64)
    background = 12 * np.exp(-2)
    mean = likelihood.mean(eta, params, cells)[0] / background
    expected = 1 + torch.sigmoid(eta[0]) * eta[0].exp()
    torch.testing.assert_close(mean, expected)
    assert mean[0] == 1
