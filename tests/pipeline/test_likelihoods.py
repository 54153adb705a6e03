"""Likelihoods and gaps through the whole way from files: selection, representation, setup, training."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from omicsglue.data.setup import read_setup
from omicsglue.datasets import SimulatedData
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.prepare import Prepared, prepare, read_inputs
from whole_runs import quick, small_data

pytestmark = pytest.mark.filterwarnings("ignore::omicsglue.errors.OmicsGlueWarning")


def prepared(modalities: dict[str, ad.AnnData], folder: Path, **options: object) -> Prepared:
    chosen = IntegrateOptions.from_values(options)
    return prepare(read_inputs(modalities, chosen), folder / "genes.gtf.gz", None, chosen)


def copies(simulated: SimulatedData) -> dict[str, ad.AnnData]:
    return {name: adata.copy() for name, adata in simulated.modalities.items()}


def test_continuous_expression_is_selected_by_variance(simulated: SimulatedData, folder: Path) -> None:
    given = copies(simulated)
    counts = given["rna"].X.toarray()
    given["rna"].layers["logged"] = np.log1p(counts) - 0.5
    made = prepared(
        given, folder, likelihood={"rna": "normal"}, layer={"rna": "logged"}, n_genes=30
    ).modalities["rna"]
    deviation = np.log1p(counts).std(0)
    assert set(np.flatnonzero(made.var["highly_variable"])) == set(np.argsort(-deviation)[:30])
    setup = read_setup(made, "rna")
    assert (setup.likelihood, setup.representation) == ("normal", "X_pca")
    assert np.isfinite(made.obsm["X_pca"]).all()


def test_gaps_in_counts_are_lived_with(simulated: SimulatedData, folder: Path) -> None:
    given = copies(simulated)
    values = given["rna"].X.toarray()
    values[np.random.default_rng(0).random(values.shape) < 0.05] = np.nan
    given["rna"].X = values
    made = prepared(given, folder, n_genes=40).modalities["rna"]
    assert made.var["highly_variable"].sum() == 40
    assert np.isfinite(made.obsm["X_pca"]).all()


def test_accessibility_counts_may_be_taken_as_open_or_not(simulated: SimulatedData, folder: Path) -> None:
    with pytest.warns(match="atac.X: it holds counts up to"):
        made = prepared(copies(simulated), folder, likelihood={"atac": "bernoulli"})
    setup = read_setup(made.modalities["atac"], "atac")
    assert (setup.likelihood, setup.representation) == ("bernoulli", "X_lsi")


@pytest.mark.usefixtures("no_report")
def test_methylation_is_integrated_from_covered_counts(tmp_path: Path) -> None:
    data = small_data(modalities=("rna", "methylation"))
    folder = data.write(tmp_path / "data")
    files = {name: folder / f"{name}.h5ad" for name in ("rna", "methylation")}
    result = quick(
        files,
        annotation=folder / "genes.gtf.gz",
        out=tmp_path / "RUN",
        likelihood={"methylation": "betabinomial"},
        coverage={"methylation": "coverage"},
        sign={"methylation": -1},
    )
    embedding = result.modalities["methylation"].obsm["X_glue"]
    assert np.isfinite(embedding).all()
    assert embedding.std() > 0
    assert result.model.setups["methylation"].coverage == "coverage"
