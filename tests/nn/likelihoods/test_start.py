"""Where parameters start: at the moments of the data, batch by batch, missing entries left out."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from likelihood_problems import cells_of
from omicsglue.data import checks
from omicsglue.data.modality import ModalityData
from omicsglue.nn.build import feature_profile
from omicsglue.nn.decoders import DataDecoder
from omicsglue.nn.likelihoods import LIKELIHOODS, FeatureProfile

CELLS, FEATURES = 600, 5
BATCH = np.repeat([0, 1], [350, 250])


def data_of(name: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray | None]:
    """Return data of which a batch is higher than the other, and the coverage of covered counts."""
    rng = np.random.default_rng(seed)
    shape, shift = (CELLS, FEATURES), np.where(BATCH == 0, 0.0, 0.7)[:, None]
    level, coverage = np.linspace(0.2, 2.0, FEATURES) + shift, None
    if name == "bernoulli":
        values = rng.random(shape) < level / 4
    elif name == "beta":
        values = rng.beta(level * 2, 3.0, size=shape)
    elif name == "betabinomial":
        coverage = rng.poisson(8.0, size=shape)
        values = rng.binomial(coverage, rng.beta(level * 2, 3.0, size=shape))
    elif name == "normal":
        values = 50 * rng.normal(level, 0.5, size=shape)
    elif name == "zinormal":
        values = rng.normal(level, 0.5, size=shape) * (rng.random(shape) < 0.4)
    elif name == "zilognormal":
        values = np.exp(rng.normal(level, 0.5, size=shape)) * (rng.random(shape) < 0.4)
    else:
        values = rng.poisson(np.exp(level) * rng.gamma(2, 0.5, size=shape) * 20)
    return values.astype(np.float32), coverage


def modality(name: str, values: np.ndarray, coverage: np.ndarray | None) -> ModalityData:
    counted = checks.SUPPORT[name] == "counts"
    return ModalityData(
        name="x",
        cells=np.array([f"c{i}" for i in range(len(values))], dtype=object),
        features=np.array([f"f{i}" for i in range(values.shape[1])], dtype=object),
        counts=sp.csr_matrix(values),
        inputs=np.zeros((len(values), 2), dtype=np.float32),
        library=(values.sum(1) if counted else np.ones(len(values))).astype(np.float32),
        batch=BATCH,
        batches=("a", "b"),
        weight=np.ones(len(values), dtype=np.float32),
        label=np.full(len(values), -1),
        likelihood=name,
        coverage=None if coverage is None else sp.csr_matrix(coverage.astype(np.float32)),
    )


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("missing", [False, True])
def test_mean_at_the_start_is_that_of_the_data(name: str, *, missing: bool) -> None:
    values, coverage = data_of(name)
    if missing:
        known = np.random.default_rng(1).random(values.shape) < 0.7
        coverage = known * (1.0 if coverage is None else coverage)
        values = np.where(known, values, 0).astype(np.float32)
    decoder = DataDecoder(name, feature_profile(modality(name, values, coverage)))
    cells = cells_of(values, BATCH, coverage)
    eta = decoder(torch.zeros(CELLS, 3), torch.zeros(FEATURES, 3), cells.batch)
    with torch.no_grad():
        params = {key: value.detach() for key, value in decoder.params.items()}
        expected = decoder.likelihood.mean(eta, params, cells).numpy()
    known = np.ones(values.shape, dtype=bool) if coverage is None else coverage > 0
    for batch in (0, 1):
        of_batch = known & (batch == BATCH)[:, None]
        number = of_batch.sum(0)
        found = np.where(of_batch, expected, 0).sum(0) / number
        truth = np.where(of_batch, values, 0).sum(0) / number
        # shares of cells of which parts are missing are right on average alone; 2 % of zinb's counts are lost
        np.testing.assert_allclose(found, truth, rtol=0.06 if missing else 0.025)


@pytest.mark.parametrize("name", ["normal", "beta", "betabinomial", "zinormal", "zilognormal", "nbmixture"])
def test_variance_at_the_start_is_near_that_of_the_data(name: str) -> None:
    values, coverage = data_of(name)
    decoder = DataDecoder(name, feature_profile(modality(name, values, coverage)))
    cells = cells_of(values, BATCH, coverage)
    eta = decoder(torch.zeros(CELLS, 3), torch.zeros(FEATURES, 3), cells.batch).detach()
    params = {key: value.detach() for key, value in decoder.params.items()}
    within = decoder.likelihood.variance(eta, params, cells)
    total = within + (decoder.likelihood.mean(eta, params, cells) - cells.counts.dense().mean(0)).square()
    found = np.array([total[batch == BATCH].mean(0).numpy() for batch in (0, 1)])
    truth = np.array([values[batch == BATCH].var(0) for batch in (0, 1)])
    ratio = np.median(found / truth)
    assert 0.5 < ratio < 2


def test_the_product_of_embeddings_counts_in_deviations_of_real_values() -> None:
    values, _ = data_of("normal")
    decoder = DataDecoder("normal", feature_profile(modality("normal", values, None)))
    scale = torch.nn.functional.softplus(decoder.scale)
    torch.testing.assert_close(scale, np.log(2) * decoder.params["log_sd"].exp(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_constant_and_unmeasured_features_start_finite(name: str) -> None:
    values, coverage = data_of(name)
    values[:, 0] = 0
    coverage = np.ones(values.shape) if coverage is None else np.maximum(coverage, values)
    coverage[:, 1], values[:, 1] = 0, 0
    coverage[BATCH == 1, 2] = 0
    values[BATCH == 1, 2] = 0
    decoder = DataDecoder(name, feature_profile(modality(name, values, coverage)))
    assert all(torch.isfinite(value).all() for value in decoder.state_dict().values())
    assert set(decoder.params) == set(LIKELIHOODS[name].parameters)
    assert decoder.bias.shape == decoder.scale.shape == (2, FEATURES)


def test_a_moment_that_was_not_given_is_said() -> None:
    profile = FeatureProfile(torch.ones(1, 3), torch.ones(1))
    with pytest.raises(ValueError, match="lacks a moment"):
        LIKELIHOODS["normal"].initial(profile)
    with pytest.raises(ValueError, match="covered counts"):
        LIKELIHOODS["betabinomial"].initial(profile)
