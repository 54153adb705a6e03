"""Time of one forward and backward pass of every likelihood, beside a dense form by torch.distributions.

    python benchmarks/likelihood_speed.py [--cells 128] [--features 20000] [--density 0.03] [--repeats 7]

prints one JSON object a likelihood: median milliseconds by the sparse form and by the dense one.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor
from torch import distributions as dist

from omicsglue.data.batches import slice_rows
from omicsglue.data.tensors import CellBatch
from omicsglue.nn.likelihoods import LIKELIHOODS

START = {"log_theta": 0.3, "log_sd": 0.1, "zero_logit": -1.0, "log_precision": 2.0}
START |= {"log_background": -6.0, "foreground": -1.0}

Params = dict[str, Tensor]


def batch_for(name: str, cells: int, features: int, density: float) -> CellBatch:
    rng = np.random.default_rng(0)
    matrix = sp.random(cells, features, density, format="csr", dtype=np.float32, rng=rng)
    matrix.data[:] = rng.poisson(1.0, size=matrix.nnz) + 1
    coverage = None
    if name == "bernoulli":
        matrix.data[:] = 1
    if name == "beta":
        matrix.data[:] = rng.random(matrix.nnz)
    if name == "betabinomial":
        covered = matrix.copy()
        covered.data += rng.poisson(2.0, size=matrix.nnz)
        coverage = slice_rows(covered, np.arange(cells))
    library = torch.from_numpy(np.asarray(matrix.sum(1)).ravel().astype(np.float32))
    rows = slice_rows(matrix, np.arange(cells))
    codes = torch.zeros(cells, dtype=torch.int64)
    return CellBatch(rows, library[:, None], library, codes, torch.ones(cells), codes, coverage)


def with_zeros(x: Tensor, p: Params, of_nonzero: Callable[[Tensor], Tensor]) -> Tensor:
    chance = dist.Bernoulli(logits=p["zero_logit"])
    some = of_nonzero(torch.where(x > 0, x, torch.ones_like(x)))
    return torch.where(
        x > 0, chance.log_prob(torch.zeros_like(x)) + some, chance.log_prob(torch.ones_like(x))
    )


def negative_binomial(x: Tensor, mu: Tensor, log_theta: Tensor) -> Tensor:
    return dist.NegativeBinomial(log_theta.exp(), logits=(mu + 1e-8).log() - log_theta).log_prob(x)


def dense_form(name: str, x: Tensor, eta: Tensor, p: Params, cells: CellBatch) -> Tensor:
    """Return log-densities as one would write them with torch.distributions, dense."""
    mu = eta.softmax(1) * cells.library[:, None] if LIKELIHOODS[name].support == "counts" else eta
    match name:
        case "nb":
            return negative_binomial(x, mu, p["log_theta"])
        case "zinb":
            drawn = negative_binomial(x, mu, p["log_theta"])
            chance = dist.Bernoulli(logits=p["zero_logit"])
            lost, kept = chance.log_prob(torch.ones_like(x)), chance.log_prob(torch.zeros_like(x))
            return torch.where(x == 0, torch.logaddexp(lost, kept + drawn), kept + drawn)
        case "poisson":
            return dist.Poisson(mu + 1e-8).log_prob(x)
        case "normal":
            return dist.Normal(eta, p["log_sd"].exp()).log_prob(x)
        case "zinormal":
            return with_zeros(x, p, dist.Normal(eta, p["log_sd"].exp()).log_prob)
        case "zilognormal":
            return with_zeros(x, p, dist.LogNormal(eta, p["log_sd"].exp()).log_prob)
        case "bernoulli":
            return dist.Bernoulli(logits=eta).log_prob(x)
        case "beta":
            precision, rate = p["log_precision"].exp(), eta.sigmoid()
            return dist.Beta(rate * precision, (1 - rate) * precision).log_prob(x.clamp(1e-4, 1 - 1e-4))
        case "betabinomial":
            n, precision = cells.coverage.dense(), p["log_precision"].exp()
            a, b = eta.sigmoid() * precision, (1 - eta.sigmoid()) * precision
            gammas = torch.lgamma(x + a) + torch.lgamma(n - x + b) - torch.lgamma(n + a + b)
            gammas = gammas + torch.lgamma(a + b) - torch.lgamma(a) - torch.lgamma(b)
            choose = torch.lgamma(n + 1) - torch.lgamma(x + 1) - torch.lgamma(n - x + 1)
            return torch.where(n > 0, choose + gammas, 0)
    background = cells.library[:, None] * p["log_background"].exp()
    chance = torch.sigmoid(eta + p["foreground"])
    return torch.logaddexp(
        (1 - chance).log() + negative_binomial(x, background, p["log_theta"]),
        chance.log() + negative_binomial(x, background * (1 + eta.exp()), p["log_theta"]),
    )


def milliseconds(
    loss: Callable[[Tensor, Params], Tensor], eta: Tensor, params: Params, repeats: int
) -> float:
    times = []
    for _ in range(repeats + 1):
        e = eta.clone().requires_grad_()
        p = {name: value.clone().requires_grad_() for name, value in params.items()}
        start = time.perf_counter()
        loss(e, p).backward()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def measure(name: str, given: argparse.Namespace) -> dict[str, object]:
    likelihood = LIKELIHOODS[name]
    cells = batch_for(name, given.cells, given.features, given.density)
    eta = torch.randn(given.cells, given.features, generator=torch.Generator().manual_seed(0)) * 0.5
    params = {key: torch.full((1, given.features), START[key]) for key in likelihood.parameters}
    weight = torch.full((given.cells,), 1 / given.cells)

    def ours(e: Tensor, p: Params) -> Tensor:
        return likelihood.nll(e, p, cells, weight)

    def dense(e: Tensor, p: Params) -> Tensor:
        return -(dense_form(name, cells.counts.dense(), e, p, cells).sum(1) @ weight)

    with torch.no_grad():
        values = {"nll": float(ours(eta, params)), "dense_nll": float(dense(eta, params))}
    times = {
        "ms": round(milliseconds(ours, eta, params, given.repeats), 1),
        "dense_ms": round(milliseconds(dense, eta, params, given.repeats), 1),
    }
    return {"likelihood": name, **times, **values}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=128)
    parser.add_argument("--features", type=int, default=20_000)
    parser.add_argument("--density", type=float, default=0.03)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--likelihoods", nargs="*", default=list(LIKELIHOODS))
    given = parser.parse_args()
    torch.set_num_threads(1)
    for name in given.likelihoods:
        print(json.dumps(measure(name, given)), flush=True)


if __name__ == "__main__":
    main()
