"""A small model trained with every likelihood on data of its kind, saved and loaded."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from anndata import AnnData

from omicsglue.data.modality import resolve
from omicsglue.data.setup import ModalitySetup
from omicsglue.errors import OmicsGlueWarning
from omicsglue.graph import GuidanceGraph, by_name
from omicsglue.model import GLUE
from omicsglue.nn.likelihoods import LIKELIHOODS
from small import copies, quick_recipe, small_modalities, trained

GENES = 60


@pytest.fixture(scope="module")
def rna() -> AnnData:
    return small_modalities(120)["rna"]


def other(name: str, rna: AnnData) -> AnnData:
    """Return features of the same cells, of the kind of a likelihood, that follow the first genes."""
    rng = np.random.default_rng(0)
    counts = rna.X[:, :GENES].toarray()
    level = np.log1p(1e3 * counts / counts.sum(1, keepdims=True))
    rate = 1 / (1 + np.exp(level.mean(0) - level))
    layers = {}
    if name == "bernoulli":
        values = rng.random(rate.shape) < rate
    elif name == "beta":
        values = rng.beta(5 * rate, 5 * (1 - rate))
    elif name == "betabinomial":
        layers["coverage"] = sp.csr_matrix(rng.poisson(4.0, size=rate.shape).astype(np.float32))
        values = rng.binomial(layers["coverage"].toarray().astype(int), rate)
    elif name == "normal":
        values = level + rng.normal(scale=0.5, size=level.shape)
    elif name == "zinormal":
        values = (level + rng.normal(scale=0.5, size=level.shape)) * (rng.random(level.shape) < 0.7)
    elif name == "zilognormal":
        values = np.exp(rng.normal(level, 0.5)) * (rng.random(level.shape) < 0.7)
    else:
        values = rng.poisson(5 * np.exp(level) * rng.gamma(4, 0.25, size=level.shape))
    made = AnnData(sp.csr_matrix(values.astype(np.float32)), obs=rna.obs[[]].copy(), layers=layers)
    made.var_names = "x_" + rna.var_names[:GENES]
    return made


def graph_of(rna: AnnData) -> GuidanceGraph:
    genes = list(rna.var_names[:GENES])
    return by_name(genes, {f"x_{gene}": gene for gene in genes})


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_training_learns_and_the_model_is_kept(name: str, rna: AnnData, tmp_path: Path) -> None:
    made = other(name, rna)
    GLUE.setup_anndata(made, likelihood=name)
    graph = graph_of(rna)
    modalities = copies({"rna": rna, "x": made})
    model = trained(modalities, quick_recipe(12), graph)
    history = model.history
    assert np.isfinite(history.select_dtypes("number").drop(columns="seconds").to_numpy()).all()
    losses = history["data_nll_x"].to_numpy()
    assert losses[-1] < losses[0]
    model.save(tmp_path / "model")
    again = GLUE.load(tmp_path / "model", modalities)
    found, expected = (each.get_latent_representation("x") for each in (again, model))
    np.testing.assert_array_equal(found, expected)
    part = model.get_latent_representation("x", made[:5].copy())
    np.testing.assert_allclose(part, expected[:5], rtol=1e-3, atol=1e-3)


def test_counts_with_gaps_train_and_start_where_complete_ones_do(rna: AnnData) -> None:
    made = other("nb", rna)
    values = made.X.toarray()
    values[np.random.default_rng(1).random(values.shape) < 0.2] = np.nan
    made.X = values
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OmicsGlueWarning)
        GLUE.setup_anndata(made)
    assert resolve("x", made, ModalitySetup(), list(made.var_names)).coverage.nnz == np.isfinite(values).sum()
    graph = graph_of(rna)
    history = trained(copies({"rna": rna, "x": made}), quick_recipe(6), graph).history
    assert np.isfinite(history["data_nll_x"]).all()
    assert history["data_nll_x"].iloc[-1] < history["data_nll_x"].iloc[0]
