"""Compiled kernels against scipy, torch in double precision and dense algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import pytest
import torch
from scipy import special, stats
from torch.nn.functional import softplus

from omicsglue.nn import kernels

F = np.float32
SEED = np.uint32(12345), np.uint32(67890)
OTHER = np.uint32(12346), np.uint32(67890)
EPS = F(1e-7)


def each(function: Any) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function of arrays; what is compiled into its callers is tested inside of one."""

    @numba.njit
    def fill(x: Any, out: Any) -> None:
        for i in range(len(x)):
            out[i] = function(x[i])

    def apply(x: np.ndarray) -> np.ndarray:
        out = np.empty_like(x)
        fill(x, out)
        return out

    return apply


def test_exp_over_its_range() -> None:
    x = np.concatenate([np.linspace(-87.3, 88.3, 300_001), np.linspace(-1, 1, 100_001)]).astype(F)
    np.testing.assert_allclose(each(kernels.exp)(x), np.exp(x.astype(np.float64)), rtol=1e-6)
    low, not_a_number = each(kernels.exp)(np.array([-np.inf, np.nan], dtype=F))
    assert 0 <= low < 1.3e-38
    assert np.isnan(not_a_number)


def test_log_over_its_range() -> None:
    x = np.concatenate([np.exp(np.linspace(-87, 88, 300_001)), np.linspace(0.5, 2, 100_001)]).astype(F)
    np.testing.assert_allclose(each(kernels.log)(x), np.log(x.astype(np.float64)), rtol=1e-6)


def test_log1p_is_exact_where_it_is_small() -> None:
    x = np.concatenate([[0], np.exp(np.linspace(-80, 80, 300_001)), np.linspace(0, 2, 100_001)]).astype(F)
    np.testing.assert_allclose(each(kernels.log1p)(x), np.log1p(x.astype(np.float64)), rtol=1e-6)


def test_digamma_of_positive_numbers() -> None:
    x = np.concatenate([10 ** np.linspace(-8, 9, 2001), np.arange(1, 40)])
    found = np.array([kernels.digamma(float(value)) for value in x])
    np.testing.assert_allclose(found, special.digamma(x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("x", [0, 1, 2, 7, 15, 16, 17, 100, 12_345, 1_000_000, 0.25, 3.7, 15.5, 400.2])
@pytest.mark.parametrize("theta", [1e-5, 0.03, 1.0, 8.5, 2e4])
@pytest.mark.parametrize("mu", [1e-4, 1.0, 3e4])
def test_terms_of_gamma_functions(x: float, theta: float, mu: float) -> None:
    r = mu + theta
    gammas = special.gammaln(x + theta) - special.gammaln(theta)
    expected = gammas - x * np.log(r), special.digamma(x + theta) - special.digamma(theta)
    # of large numbers, the reference's own differences are exact to their last digits alone
    lost = 1e-14 * (abs(special.gammaln(x + theta)) + abs(x * np.log(r)) + 10)
    np.testing.assert_allclose(kernels.gamma_terms(float(x), theta, r), expected, rtol=1e-9, atol=lost)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_mask_drops_at_its_rate_and_keeps_the_mean(rate: float) -> None:
    found = kernels.keep(200_000, rate, *SEED)
    assert found.dtype == F
    assert set(np.unique(found)) == {F(0), F(1 / (1 - rate))}
    assert abs((found == 0).mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / 200_000)
    assert np.array_equal(found, kernels.keep(200_000, rate, *SEED))
    dropped, others = found == 0, kernels.keep(200_000, rate, *OTHER) == 0
    assert abs(np.corrcoef(dropped, others)[0, 1]) < 0.01
    assert abs(np.corrcoef(dropped[1:], dropped[:-1])[0, 1]) < 0.01


def normals(n: int, seed: tuple[np.uint32, np.uint32] = SEED, begin: int = 0) -> np.ndarray:
    out = np.full(n, np.nan, dtype=F)
    kernels.normal_noise(*seed, begin, out)
    return out


@pytest.mark.parametrize("seed", [SEED, OTHER, (np.uint32(0), np.uint32(0)), (np.uint32(2**32 - 1),) * 2])
def test_noise_is_standard_normal(seed: tuple[np.uint32, np.uint32]) -> None:
    x = normals(400_001, seed).astype(np.float64)  # standard errors: 0.0016, 0.0022, 0.0077
    assert abs(x.mean()) < 0.006
    assert abs(x.var() - 1) < 0.009
    assert abs(stats.skew(x)) < 0.015
    assert abs(stats.kurtosis(x)) < 0.03
    assert stats.kstest(x, "norm").pvalue > 0.01
    assert 4 < np.abs(x).max() < 7


@pytest.mark.parametrize("n", [0, 1, 2, 3, 7])
def test_noise_of_any_length_is_filled(n: int) -> None:
    found = normals(n)
    assert np.isfinite(found).all()
    assert len(np.unique(np.abs(found))) == n


def test_noise_of_another_seed_is_another() -> None:
    one, two = normals(100_000), normals(100_000, OTHER)
    assert np.array_equal(one, normals(100_000))
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.015
    assert abs(np.corrcoef(one[1:], one[:-1])[0, 1]) < 0.015
    assert abs(np.corrcoef(one[:50_000], one[50_000:])[0, 1]) < 0.02  # the two of a pair
    assert abs(np.corrcoef(one[:50_000] ** 2, one[50_000:] ** 2)[0, 1]) < 0.02


@pytest.mark.parametrize("n", [50_000, 50_001])
def test_noise_of_a_later_block_is_another(n: int) -> None:
    one, two = normals(n), normals(n, begin=n)
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.02
    assert len(np.intersect1d(np.abs(one), np.abs(two))) < 0.02 * n


def test_a_last_odd_number_shares_nothing_with_the_next_block() -> None:
    seeds = [(np.uint32(i), np.uint32(1)) for i in range(400)]
    lasts = [abs(float(normals(7, seed)[-1])) for seed in seeds]
    radii = [float(np.linalg.norm(normals(2, seed, begin=7))) for seed in seeds]
    # made of the same bits, none of them could be larger than the radius of the pair that follows
    assert sum(last > radius for last, radius in zip(lasts, radii, strict=True)) > 20


def parameters(n: int, dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(n + dim)
    given = (rng.normal(size=(n, 2 * dim)) * 4).astype(F)
    return given, rng.normal(size=2 * dim).astype(F), normals(n * dim).reshape(n, dim)


def plain_draw(given: torch.Tensor, noise: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    mean, raw = given.chunk(2, dim=1)
    std = softplus(raw) + float(EPS)
    divergence = 0.5 * (mean.square() + std.square() - 2 * std.log() - 1).sum(1)
    return mean + std * torch.from_numpy(noise).double(), divergence


@pytest.mark.parametrize(("n", "dim"), [(1, 1), (5, 8), (40, 50), (9, 64), (3, 67)])
def test_draws_divergences_and_their_gradients(n: int, dim: int) -> None:
    given, bias, noise = parameters(n, dim)
    value, divergence = np.empty((n, dim), dtype=F), np.empty(n, dtype=F)
    kernels.normal_draw(given, bias, noise, EPS, value, divergence)
    exact = torch.from_numpy(given + bias).double().requires_grad_()
    expected = plain_draw(exact, noise)
    np.testing.assert_allclose(value, expected[0].detach(), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(divergence, expected[1].detach(), rtol=1e-5, atol=1e-5)

    rng = np.random.default_rng(0)
    up = rng.normal(size=(n, dim)).astype(F), rng.normal(size=n).astype(F)
    found = np.empty_like(given)
    kernels.normal_gradient(given, bias, noise, *up, EPS, found)
    torch.autograd.backward(expected, [torch.from_numpy(part).double() for part in up])
    np.testing.assert_allclose(found, exact.grad, rtol=2e-5, atol=2e-5)


def test_draws_of_extreme_parameters_are_finite() -> None:
    given = np.array([[0, 0, -80, 80], [1e4, -1e4, -30, 0]], dtype=F)
    value, divergence, noise = np.empty((2, 2), dtype=F), np.empty(2, dtype=F), normals(4).reshape(2, 2)
    kernels.normal_draw(given, np.zeros(4, dtype=F), noise, EPS, value, divergence)
    expected = plain_draw(torch.from_numpy(given).double(), noise)
    np.testing.assert_allclose(value, expected[0], rtol=1e-5)
    np.testing.assert_allclose(divergence, expected[1], rtol=1e-5)


def edges(n: int = 400) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    source, target = rng.integers(30, size=(2, n))  # loops and repeated edges among them
    return rng.normal(size=(30, 7)).astype(F), source, target, rng.normal(size=n).astype(F)


def test_products_of_edges_equal_the_dense_product() -> None:
    v, source, target, _ = edges()
    found = np.empty(len(source), dtype=F)
    kernels.edge_products(v, source, target, found)
    np.testing.assert_allclose(found, (v.astype(np.float64) @ v.T)[source, target], rtol=1e-5, atol=1e-5)


def test_gradient_of_edges_equals_the_dense_one_by_columns() -> None:
    v, source, target, up = edges()
    dense = np.zeros((30, 30))
    np.add.at(dense, (source, target), up)
    expected = (dense + dense.T) @ v
    found = np.zeros_like(v)
    kernels.edge_gradient(v, source, target, up, 0, 4, found)
    assert (found[:, 4:] == 0).all()
    kernels.edge_gradient(v, source, target, up, 4, 7, found)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_steps_equal_those_of_rmsprop_in_torch_and_a_plain_average() -> None:
    random = torch.Generator().manual_seed(0)
    weight = torch.randn(501, generator=random)
    parameter = weight.double().clone().requires_grad_()
    average = parameter.detach().clone()
    optimizer = torch.optim.RMSprop([parameter], lr=0.03, alpha=0.9, eps=1e-6)
    ours = [weight.numpy().copy(), np.zeros(501, dtype=F), weight.numpy().copy()]
    for step in range(8):
        grad = torch.randn(501, generator=random) * 10.0 ** (step - 5)
        kernels.rmsprop(grad.numpy(), *ours, F(0.03), F(0.9), F(1e-6), F(0.7))
        parameter.grad = grad.double()
        optimizer.step()
        average = 0.7 * average + 0.3 * parameter.detach()
        expected = [parameter.detach(), optimizer.state[parameter]["square_avg"], average]
        for found, exact in zip(ours, expected, strict=True):
            np.testing.assert_allclose(found, exact, rtol=1e-5, atol=1e-6)
