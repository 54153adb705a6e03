"""Generated problems for every likelihood, in float64, and their densities by SciPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
import torch
from scipy import special, stats
from torch import Tensor

from omicsglue.data.batches import slice_rows
from omicsglue.data.tensors import CellBatch
from omicsglue.nn.likelihoods import LIKELIHOODS
from omicsglue.nn.likelihoods.fractions import EDGE

Array = np.ndarray
COUNTS = ("nb", "zinb", "poisson", "nbmixture")


def cells_of(values: Array, batch: Array | None = None, coverage: Array | None = None) -> CellBatch:
    """Return a minibatch of given data, in float64; the library is that of what was measured."""
    rows = np.arange(len(values))
    counts = slice_rows(sp.csr_matrix(values.astype(np.float64)), rows)
    known = values if coverage is None else np.where(coverage > 0, values, 0)
    codes = torch.from_numpy(np.zeros(len(values), dtype=np.int64) if batch is None else batch)
    covered = None if coverage is None else slice_rows(sp.csr_matrix(coverage.astype(np.float64)), rows)
    ones = torch.ones(len(values), dtype=torch.float64)
    return CellBatch(
        counts=counts,
        inputs=ones.unsqueeze(1),
        library=torch.from_numpy(np.maximum(known.sum(1), 1).astype(np.float64)),
        batch=codes,
        weight=ones,
        label=torch.full_like(codes, -1),
        coverage=covered,
    )


@dataclass(frozen=True)
class Problem:
    """A predictor, parameters (batches x features) and data."""

    name: str
    eta: Tensor
    params: dict[str, Tensor]
    cells: CellBatch
    weight: Tensor

    def nll(self, eta: Tensor | None = None, params: dict[str, Tensor] | None = None) -> Tensor:
        eta, params = self.eta if eta is None else eta, self.params if params is None else params
        return LIKELIHOODS[self.name].nll(eta, params, self.cells, self.weight)

    def gradients(self) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Return value, gradients by parameter, and gradient by eta."""
        eta = self.eta.clone().requires_grad_()
        params = {name: value.clone().requires_grad_() for name, value in self.params.items()}
        value = self.nll(eta, params)
        value.backward()
        return value.detach(), {name: p.grad for name, p in params.items()}, eta.grad

    def columns(self, kept: Array) -> Problem:
        """Return the problem of some features alone; the library stays."""

        def part(rows: object) -> object:
            dense = rows.dense()[:, kept].numpy()
            return slice_rows(sp.csr_matrix(dense), np.arange(len(dense)))

        covered = None if self.cells.coverage is None else part(self.cells.coverage)
        cells = replace(self.cells, counts=part(self.cells.counts), coverage=covered)
        params = {name: value[:, kept] for name, value in self.params.items()}
        return replace(self, eta=self.eta[:, kept], params=params, cells=cells)


def data_for(name: str, shape: tuple[int, int], rng: np.random.Generator) -> tuple[Array, Array | None]:
    """Return data of the kind of a likelihood, zeros among them, and the coverage where it needs one."""
    coverage = None
    if name in COUNTS:
        values = rng.poisson(rng.choice([0.2, 3.0, 500.0], size=shape))
    elif name == "bernoulli":
        values = rng.integers(2, size=shape)
    elif name == "beta":
        values = rng.beta(0.5, 0.5, size=shape)
        values[rng.random(shape) < 0.2] = 0
        values[rng.random(shape) < 0.2] = 1
    elif name == "betabinomial":
        coverage = rng.poisson(rng.choice([0.5, 20.0], size=shape))
        values = rng.binomial(coverage, rng.random(shape))
    elif name == "zilognormal":
        values = np.exp(rng.normal(scale=3, size=shape)) * (rng.random(shape) < 0.5)
    else:
        values = rng.normal(scale=3, size=shape) * (rng.random(shape) < 0.6)
    return values, coverage


RANGES = {
    "log_theta": (np.log(1e-3), np.log(1e4)),
    "log_sd": (-3.0, 4.0),
    "zero_logit": (-50.0, 50.0),
    "log_precision": (-3.0, np.log(1e4)),
    "log_background": (-8.0, 0.0),
    "foreground": (-10.0, 10.0),
}


def problem(name: str, seed: int, *, extreme: bool = True, missing: float = 0.0) -> Problem:
    """Draw a problem; extreme ones have predictors and parameters at the ends of what can occur."""
    rng = np.random.default_rng(seed)
    cells, features, batches = int(rng.integers(1, 7)), int(rng.integers(1, 9)), int(rng.integers(1, 4))
    shape = (cells, features)
    values, coverage = data_for(name, shape, rng)
    if missing:
        known = rng.random(shape) >= missing
        coverage = known.astype(float) if coverage is None else coverage * known
    spread = rng.choice([0.3, 3.0, 50.0]) if extreme else 1.0
    eta = rng.uniform(-spread, spread, size=shape)
    params = {}
    for parameter in LIKELIHOODS[name].parameters:
        low, high = RANGES[parameter] if extreme else (-1.0, 1.0)
        params[parameter] = torch.from_numpy(rng.uniform(low, high, size=(batches, features)))
    batch = rng.integers(batches, size=cells)
    weight = torch.from_numpy(rng.uniform(0, 2, size=cells))
    return Problem(name, torch.from_numpy(eta), params, cells_of(values, batch, coverage), weight)


def log_softmax(eta: Array) -> Array:
    return eta - special.logsumexp(eta, axis=1, keepdims=True)


def negative_binomial(x: Array, log_mu: Array, theta: Array) -> Array:
    """Return the log-density by its textbook form, with logarithms of sums."""
    log_theta = np.log(theta)
    log_r = np.logaddexp(log_mu, log_theta)
    gamma = special.gammaln(x + theta) - special.gammaln(theta) - special.gammaln(x + 1)
    return gamma + x * (log_mu - log_r) + theta * (log_theta - log_r)


def _zeros(x: Array, logit: Array, rest: Array) -> Array:
    return np.where(x == 0, special.log_expit(logit), special.log_expit(-logit) + rest)


def _nb(x: Array, eta: Array, p: dict[str, Array], library: Array, n: Array) -> Array:
    return negative_binomial(x, log_softmax(eta) + np.log(library), np.exp(p["log_theta"]))


def _zinb(x: Array, eta: Array, p: dict[str, Array], library: Array, n: Array) -> Array:
    drawn = special.log_expit(-p["zero_logit"]) + _nb(x, eta, p, library, n)
    return np.where(x == 0, np.logaddexp(special.log_expit(p["zero_logit"]), drawn), drawn)


def _poisson(x: Array, eta: Array, p: dict[str, Array], library: Array, n: Array) -> Array:
    log_mu = log_softmax(eta) + np.log(library)
    return x * log_mu - np.exp(log_mu) - special.gammaln(x + 1)


def _nbmixture(x: Array, eta: Array, p: dict[str, Array], library: Array, n: Array) -> Array:
    theta, low = np.exp(p["log_theta"]), np.log(library) + p["log_background"]
    logit = eta + p["foreground"]
    background = special.log_expit(-logit) + negative_binomial(x, low, theta)
    foreground = special.log_expit(logit) + negative_binomial(x, low + np.logaddexp(0, eta), theta)
    return np.logaddexp(background, foreground)


def _beta(x: Array, eta: Array, p: dict[str, Array], library: Array, n: Array) -> Array:
    precision = np.exp(p["log_precision"])
    a, b = special.expit(eta) * precision, special.expit(-eta) * precision
    return stats.beta.logpdf(np.clip(x, EDGE, 1 - EDGE), a, b)


def _betabinomial(x: Array, eta: Array, p: dict[str, Array], library: Array, n: Array) -> Array:
    precision = np.exp(p["log_precision"])
    a, b = special.expit(eta) * precision, special.expit(-eta) * precision
    return (
        special.betaln(x + a, n - x + b)
        - special.betaln(a, b)
        - np.log(n + 1)
        - special.betaln(n - x + 1, x + 1)
    )


Density = Callable[[Array, Array, dict[str, Array], Array, Array], Array]
DENSITIES: dict[str, Density] = {
    "nb": _nb,
    "zinb": _zinb,
    "poisson": _poisson,
    "normal": lambda x, eta, p, *_: stats.norm.logpdf(x, eta, np.exp(p["log_sd"])),
    "zinormal": lambda x, eta, p, *_: _zeros(
        x, p["zero_logit"], stats.norm.logpdf(x, eta, np.exp(p["log_sd"]))
    ),
    "zilognormal": lambda x, eta, p, *_: _zeros(
        x,
        p["zero_logit"],
        stats.norm.logpdf(np.log(np.where(x > 0, x, 1)), eta, np.exp(p["log_sd"]))
        - np.log(np.where(x > 0, x, 1)),
    ),
    "bernoulli": lambda x, eta, p, *_: np.where(x == 1, special.log_expit(eta), special.log_expit(-eta)),
    "beta": _beta,
    "betabinomial": _betabinomial,
    "nbmixture": _nbmixture,
}
"""Log-density of every entry as if all were measured, of data, predictor, parameters by cell, library, n."""


def reference_nll(given: Problem) -> float:
    """Return the negative log-likelihood by SciPy, entries that are missing left out."""
    batch, cells = given.cells.batch.numpy(), given.cells
    params = {name: value.numpy()[batch] for name, value in given.params.items()}
    x, library = cells.counts.dense().numpy(), cells.library.numpy()[:, None]
    covered = np.ones(x.shape) if cells.coverage is None else cells.coverage.dense().numpy()
    eta = given.eta.numpy()
    if given.name in ("nb", "zinb", "poisson"):
        eta = np.where(covered > 0, eta, -np.inf)
        eta[(covered == 0).all(1)] = 0
    with np.errstate(invalid="ignore", divide="ignore"):
        density = DENSITIES[given.name](x, eta, params, library, covered)
    return float(-(np.where(covered > 0, density, 0).sum(1) * given.weight.numpy()).sum())
