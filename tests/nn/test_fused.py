"""Operations made of compiled kernels against the plain formulas, and their independence of threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import softplus

from omicsglue.data.batches import slice_rows
from omicsglue.data.tensors import CellBatch
from omicsglue.nn import fused, graph_encoder
from omicsglue.nn.compute import Compute
from omicsglue.nn.decoders import DataDecoder
from omicsglue.nn.fused import CellBlocks
from omicsglue.nn.graph_encoder import GraphEncoder, adjacency, edge_logits
from omicsglue.nn.layers import EPS, DiagonalNormal, Draw
from omicsglue.nn.likelihoods import FeatureProfile
from omicsglue.nn.randomness import Randomness

ONE = Compute(1)


@pytest.fixture
def computes() -> Iterator[list[Compute]]:
    made = [Compute(threads) for threads in (1, 2, 3)]
    yield made
    for each in made:
        each.close()


def assert_accurate(found: Tensor, exact: Tensor, rounding: float = 3e-6) -> None:
    """Check for single precision: entries, where they cancel, to that of the whole tensor."""
    assert found.dtype == torch.float32
    found, exact = found.detach(), exact.detach()
    atol = rounding * max(float(exact.abs().max()), 1e-30) if exact.numel() else 0.0
    torch.testing.assert_close(found.double(), exact.double(), rtol=1e-4, atol=atol)


class Problem(NamedTuple):
    """Data and parameters of a decoder, in single precision."""

    counts: np.ndarray
    batch: np.ndarray
    library: np.ndarray
    weight: np.ndarray
    u: np.ndarray
    v: np.ndarray
    scale: np.ndarray
    bias: np.ndarray
    log_theta: np.ndarray

    def cells(self, kind: type[np.floating]) -> CellBatch:
        counts = slice_rows(sp.csr_matrix(self.counts.astype(kind)), np.arange(len(self.counts)))
        library, weight = (torch.from_numpy(x.astype(kind)) for x in (self.library, self.weight))
        codes = torch.from_numpy(self.batch)
        return CellBatch(counts, torch.empty(len(codes), 0), library, codes, weight, codes)

    def solve(self, compute: Compute | None, dtype: torch.dtype) -> list[Tensor]:
        """Return the value and the gradients with respect to u, v, scale, bias and log_theta."""
        batches, features = self.bias.shape
        decoder = DataDecoder("nb", FeatureProfile(torch.ones(batches, features), torch.ones(batches)))
        parameters = [decoder.scale, decoder.bias, decoder.params["log_theta"]]
        with torch.no_grad():
            for parameter, start in zip(parameters, (self.scale, self.bias, self.log_theta), strict=True):
                parameter.copy_(torch.from_numpy(start))
        decoder = decoder.to(dtype)
        parameters = [decoder.scale, decoder.bias, decoder.params["log_theta"]]
        u, v = (torch.from_numpy(x).to(dtype).requires_grad_() for x in (self.u, self.v))
        cells = self.cells(np.float64 if dtype == torch.float64 else np.float32)
        value = decoder.nll(u, v, cells, cells.weight, compute)
        (3 * value).backward()
        return [value.detach(), *(x.grad for x in (u, v, *parameters))]


def make_problem(
    rng: np.random.Generator,
    cells: int,
    features: int,
    *,
    batches: int = 1,
    rate: float = 1.0,
    spread: float = 1.0,
    theta: float = 0.0,
    dim: int = 4,
) -> Problem:
    counts = rng.poisson(rate, size=(cells, features)).astype(np.float32)
    shape = batches, features
    drawn = {
        "u": rng.normal(size=(cells, dim)),
        "v": rng.normal(size=(features, dim)) * spread,
        "scale": rng.normal(size=shape),
        "bias": rng.normal(size=shape) * spread,
        "log_theta": theta + rng.normal(size=shape),
        "library": np.maximum(counts.sum(1), 1),
        "weight": rng.uniform(0.1, 2, size=cells),
    }
    single = {name: value.astype(np.float32) for name, value in drawn.items()}
    return Problem(counts=counts, batch=rng.integers(batches, size=cells), **single)


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    problem = make_problem(
        rng,
        draw(st.sampled_from([1, 2, 7, 32, 33, 70])),
        draw(st.integers(1, 12)),
        batches=draw(st.integers(1, 4)),
        rate=draw(st.sampled_from([0.0, 0.05, 1.0, 40.0, 5000.0])),
        spread=draw(st.sampled_from([0.1, 1.0, 5.0])),
        theta=draw(st.sampled_from([-5.0, 0.0, 5.0])),
    )
    counts, batch = problem.counts, problem.batch
    if draw(st.booleans()):
        counts[rng.random(len(counts)) < 0.5] = 0  # cells without counts
    if draw(st.booleans()):
        counts = np.where(counts > 0, counts + rng.uniform(0, 0.9, counts.shape), 0).astype(np.float32)
    if draw(st.booleans()):
        batch = np.full_like(batch, batch[0])
    return problem._replace(counts=counts, batch=batch, library=np.maximum(counts.sum(1), 1))


PARTS = ("value", "u", "v", "scale", "bias", "log_theta")


def sizes(problem: Problem) -> list[float]:
    """Return how large the summands of each result are, whose rounding is left where sums cancel.

    The derivative by a predictor is at most the weighted data; and as much as predictors are rounded, which
    is by their size, expectations are off.
    """
    scale = np.log1p(np.exp(problem.scale)).max()
    z, u, v = (np.abs(x).max() for x in (problem.u @ problem.v.T, problem.u, problem.v))
    predictor = 1 + scale * z + np.abs(problem.bias).max()
    data = 3 * (problem.weight * np.maximum(problem.counts, 1).sum(1)).sum() * predictor
    return [float(data * factor) for factor in (1, v * scale, u * scale, z, 1, 1)]


@given(problems())
@settings(max_examples=120, deadline=None)
def test_value_and_gradients_equal_the_plain_ones_in_double_precision(problem: Problem) -> None:
    exact, found = problem.solve(None, torch.float64), problem.solve(ONE, torch.float32)
    for name, ours, theirs, size in zip(PARTS, found, exact, sizes(problem), strict=True):
        atol = max(3e-6 * float(theirs.abs().max()), 3e-7 * size)
        torch.testing.assert_close(
            ours.double(), theirs, rtol=1e-4, atol=atol, msg=lambda text, name=name: f"{name}: {text}"
        )


@pytest.mark.parametrize("batches", [1, 3])
def test_an_ordinary_minibatch_is_accurate_to_rounding(batches: int) -> None:
    problem = make_problem(np.random.default_rng(0), 200, 300, batches=batches, rate=0.3, dim=20)
    exact = problem.solve(None, torch.float64)
    for ours, theirs in zip(problem.solve(ONE, torch.float32), exact, strict=True):
        error = (ours.double() - theirs).norm() / theirs.norm()
        assert error < 2e-6


@pytest.mark.parametrize("theta", [4.0, 8.0])
def test_gradients_of_theta_survive_counts_that_are_all_but_poisson(theta: float) -> None:
    problem = make_problem(np.random.default_rng(0), 64, 500, rate=0.01, theta=theta)
    ours, exact = problem.solve(ONE, torch.float32)[-1], problem.solve(None, torch.float64)[-1]
    assert (ours.double() - exact).norm() / exact.norm() < 1e-4


@pytest.mark.parametrize("theta", [-12.0, 12.0])
@pytest.mark.parametrize("spread", [40.0, 1e3])
def test_extremes_stay_finite(theta: float, spread: float) -> None:
    problem = make_problem(np.random.default_rng(0), 40, 50, batches=2, rate=100, spread=spread, theta=theta)
    for part in problem.solve(ONE, torch.float32):
        assert torch.isfinite(part).all()


def test_what_is_not_finite_is_not_hidden() -> None:
    problem = make_problem(np.random.default_rng(0), 5, 6)
    problem.u[2] = np.nan
    value, to_u, *_ = problem.solve(ONE, torch.float32)
    assert torch.isnan(value)
    assert torch.isnan(to_u[2]).all()


def test_a_batch_without_cells_has_no_gradient() -> None:
    problem = make_problem(np.random.default_rng(0), 40, 6, batches=3)
    problem = problem._replace(batch=np.where(problem.batch == 1, 2, problem.batch))
    _, _, _, *gradients = problem.solve(ONE, torch.float32)
    for gradient in gradients:
        assert (gradient[1] == 0).all()
        assert (gradient[[0, 2]] != 0).all()


def test_the_decoder_gives_the_same_bits_with_any_number_of_threads(
    computes: list[Compute], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fused, "FEATURES", 64)
    problem = make_problem(np.random.default_rng(0), 300, 333, batches=3, rate=0.5)
    found = [problem.solve(compute, torch.float32) for compute in computes for _ in range(3)]
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@given(st.lists(st.integers(0, 3), min_size=1, max_size=150))
@settings(deadline=None)
def test_blocks_hold_every_cell_once_and_one_batch_each(codes: list[int]) -> None:
    batch = torch.tensor(codes)
    blocks = CellBlocks(batch, 4)
    covered = torch.cat([blocks.order[span] for span in blocks.spans])
    assert covered.sort().values.tolist() == list(range(len(codes)))
    for span, code in zip(blocks.spans, blocks.batch.tolist(), strict=True):
        assert 0 < span.stop - span.start <= fused.CELLS
        assert (batch[blocks.order[span]] == code).all()


def plain_draw(parameters: Tensor, noise: Tensor) -> Draw:
    mean, raw = parameters.chunk(2, dim=1)
    std = softplus(raw) + EPS
    divergence = 0.5 * (mean.square() + std.square() - 2 * std.log() - 1).sum(1)
    return Draw(mean + std * noise, divergence)


def noise_of(value: Tensor, parameters: Tensor) -> Tensor:
    """Return the noise that made a draw."""
    mean, raw = parameters.detach().double().chunk(2, dim=1)
    return (value.detach().double() - mean) / (softplus(raw) + EPS)


def backward(draw: Draw) -> None:
    random = torch.Generator().manual_seed(9)
    up = [torch.randn(part.shape, generator=random, dtype=torch.float64) for part in draw]
    torch.autograd.backward(list(draw), [x.to(part.dtype) for x, part in zip(up, draw, strict=True)])


def randomness(compute: Compute, seed: int = 0) -> Randomness:
    return Randomness(torch.Generator().manual_seed(seed), compute)


@pytest.mark.parametrize("n", [1, 33])
def test_a_draw_of_normals_equals_the_plain_one_of_its_noise(n: int) -> None:
    random = torch.Generator().manual_seed(1)
    parameters = torch.randn(n, 18, generator=random).requires_grad_()
    draw = DiagonalNormal(parameters).draw(randomness(ONE))
    noise = noise_of(draw.value, parameters)
    exact = parameters.detach().double().requires_grad_()
    expected = plain_draw(exact, noise)
    assert_accurate(draw.divergence, expected.divergence)
    backward(draw)
    backward(expected)
    assert_accurate(parameters.grad, exact.grad)


def test_noise_of_draws_is_standard_normal_and_comes_from_the_generator() -> None:
    parameters = torch.randn(5_000, 20, generator=torch.Generator().manual_seed(1))
    one, same, other = (DiagonalNormal(parameters).draw(randomness(ONE, seed)).value for seed in (0, 0, 1))
    assert torch.equal(one, same)
    noise, another = noise_of(one, parameters), noise_of(other, parameters)
    assert abs(noise.mean()) < 0.02
    assert abs(noise.var() - 1) < 0.03
    assert abs(torch.corrcoef(torch.stack([noise.view(-1), another.view(-1)]))[0, 1]) < 0.02
    going_on = randomness(ONE)
    assert torch.equal(DiagonalNormal(parameters).draw(going_on).value, one)
    assert not torch.equal(DiagonalNormal(parameters).draw(going_on).value, one)


def guidance(vertices: int = 101) -> tuple[sp.csr_matrix, np.ndarray]:
    rng = np.random.default_rng(0)
    n = 300
    first, second = rng.integers(vertices, size=(2, n))
    ends = np.unique(np.sort(np.stack([first, second])[:, first != second], axis=0), axis=1)
    weight = rng.uniform(0.1, 1, ends.shape[1]).astype(np.float32)
    sign = rng.choice([-1, 1], ends.shape[1]).astype(np.int8)
    return adjacency(*ends, weight, sign, vertices)


def graph(dim: int = 9) -> GraphEncoder:
    encoder = GraphEncoder(*guidance(), dim)
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(generator=random)
    return encoder


def dense_parameters(*, table: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return the parameters of the normals over vertices by dense algebra."""
    matrix, degree = guidance()
    product = torch.from_numpy(matrix.toarray().astype(np.float64) / np.sqrt(degree)[:, None])
    return product @ table @ weight.T + bias


def test_a_draw_of_the_graph_equals_the_plain_one_of_its_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_encoder, "VERTICES", 32)
    encoder = graph()
    draw = encoder.draw(randomness(ONE), ONE)
    exact = {
        "table": encoder.table,
        "weight": torch.cat([encoder.head.loc.weight, encoder.head.std.weight]),
        "bias": torch.cat([encoder.head.loc.bias, encoder.head.std.bias]),
    }
    exact = {name: value.detach().double().requires_grad_() for name, value in exact.items()}
    parameters = dense_parameters(**exact)
    noise = noise_of(draw.value, parameters)
    assert abs(noise.mean()) < 0.15
    assert abs(noise.var() - 1) < 0.2
    assert len(noise.view(-1).unique()) == noise.numel()  # blocks do not share their noise
    expected = plain_draw(parameters, noise)
    assert_accurate(draw.divergence, expected.divergence)
    backward(draw)
    backward(expected)
    head = encoder.head
    assert_accurate(encoder.table.grad, exact["table"].grad)
    assert_accurate(torch.cat([head.loc.weight.grad, head.std.weight.grad]), exact["weight"].grad)
    assert_accurate(torch.cat([head.loc.bias.grad, head.std.bias.grad]), exact["bias"].grad)


def test_without_randomness_the_graph_gives_its_means() -> None:
    encoder = graph()
    found, normal = encoder.draw(None, ONE), encoder()
    assert torch.equal(found.value, normal.mean)
    assert torch.equal(found.divergence, normal.draw(None).divergence)


def same_bits(results: Callable[[Compute], list[Tensor]], computes: list[Compute]) -> bool:
    found = [results(compute) for compute in computes for _ in range(3)]
    return all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


def test_the_graph_gives_the_same_bits_with_any_number_of_threads(
    computes: list[Compute], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_encoder, "VERTICES", 16)

    def results(compute: Compute) -> list[Tensor]:
        encoder = graph()
        draw = encoder.draw(randomness(compute), compute)
        backward(draw)
        return [*(part.detach() for part in draw), *(p.grad for p in encoder.parameters())]

    assert same_bits(results, computes)


def edges(dim: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(0)
    v = torch.randn(40, dim, generator=random)
    source, target = torch.randint(0, 40, (2, 700), generator=random)
    return v, source, target, torch.randint(0, 2, (700,), generator=random) * 2.0 - 1


@pytest.mark.parametrize("dim", [1, 8, 9])
def test_logits_of_edges_equal_the_plain_ones(dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph_encoder, "EDGES", 100)
    v, *ends = edges(dim)
    ours, exact = v.clone().requires_grad_(), v.double().requires_grad_()
    found, expected = edge_logits(ours, *ends, ONE), edge_logits(exact, *ends)
    assert_accurate(found, expected)
    found.sigmoid().sum().backward()
    expected.sigmoid().sum().backward()
    assert_accurate(ours.grad, exact.grad)


def test_edges_give_the_same_bits_with_any_number_of_threads(
    computes: list[Compute], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph_encoder, "EDGES", 64)

    def results(compute: Compute) -> list[Tensor]:
        v, *ends = edges(9)
        v.requires_grad_()
        logits = edge_logits(v, *ends, compute)
        logits.sigmoid().sum().backward()
        return [logits.detach(), v.grad]

    assert same_bits(results, computes)
