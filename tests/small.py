"""Small simulated data, quick recipes and a trained model, for tests of the network and its training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from anndata import AnnData

from omicsglue.balancing import BalancingConfig
from omicsglue.datasets import simulate
from omicsglue.graph import GuidanceGraph, from_genome
from omicsglue.model import GLUE
from omicsglue.nn.network import NetworkConfig
from omicsglue.objective import ObjectiveWeights
from omicsglue.recipe import Recipe
from omicsglue.training.config import StageConfig
from omicsglue.training.progress import Silent
from omicsglue.training.stopping import PlateauConfig

NETWORK = NetworkConfig(dim=8, width=32, depth=2, dropout=0.2)


WEIGHTS = ObjectiveWeights(data=1.0, kl=1.0, graph=0.02, align=0.05, label=0.02)
# Every setting is spelled out: what is tested here does not depend on which defaults serve real data best
SETTINGS: dict[str, Any] = {
    "batch_size": 32,
    "max_steps": 2000,
    "learning_rate": 2e-3,
    "warmup": 0,
    "decay": 0.0,
    "burn_in": 20,
    "burn_in_noise": 1.5,
    "ema": 0.99,
    "negatives": 10,
    "graph_share": 0.1,
    "validate_every": 1,
    "plateau": PlateauConfig(grace=0, plateau=400, factor=0.1, patience=800, tolerance=1e-4),
    "weights": WEIGHTS,
}


def quick_recipe(epochs: int = 2, *, seed: int = 0, **stage: Any) -> Recipe:
    """Return a recipe of a few epochs on a small network; further settings are those of both stages."""
    config = StageConfig(**{**SETTINGS, "max_epochs": epochs, **stage})
    return Recipe(
        network=NETWORK,
        pretrain=replace(config, keep_noise=True),
        train=config,
        balancing=BalancingConfig(resolution=1.0, neighbours=10, cutoff=0.5, power=4.0),
        validation=0.1,
        seed=seed,
    )


def representation(adata: AnnData, dimensions: int = 12) -> np.ndarray:
    """Return principal components of log counts, by plain linear algebra."""
    x = np.log1p(adata.X.toarray().astype(np.float64))
    x = x / np.maximum(x.sum(axis=1, keepdims=True), 1) * 100
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    scores = u[:, :dimensions] * s[:dimensions]
    return (scores / scores.std()).astype(np.float32)


def small_modalities(cells: int = 160, *, seed: int = 0, **options: Any) -> dict[str, AnnData]:
    """Return set-up RNA (100 genes) and ATAC (300 peaks) of the same simulated cells, with coordinates."""
    settings = {"types": 3, "rare_share": 0.2, "genes": 100, "peaks": 300, "coordinates": True} | options
    data = simulate(cells, seed=seed, **settings)
    for adata in data.modalities.values():
        adata.obsm["X_rep"] = representation(adata)
        GLUE.setup_anndata(adata, representation="X_rep")
    return dict(data.modalities)


def small_graph(modalities: Mapping[str, AnnData]) -> GuidanceGraph:
    """Return the guidance graph of RNA and ATAC within 50 kb."""
    return from_genome(modalities["rna"], modalities["atac"], names=["rna", "atac"], window=50_000)


def trained(
    modalities: Mapping[str, AnnData], recipe: Recipe, graph: GuidanceGraph | None = None, **options: Any
) -> GLUE:
    """Return a trained model of modalities that are set up."""
    model = GLUE(modalities, small_graph(modalities) if graph is None else graph, recipe)
    model.train(device="cpu", reporter=Silent(), **options)
    return model


def same_history(one: list[dict[str, Any]], two: list[dict[str, Any]]) -> bool:
    """Return whether two histories are the same but for the time that they took."""
    return [{**row, "seconds": 0} for row in one] == [{**row, "seconds": 0} for row in two]


def copies(pair: Mapping[str, AnnData]) -> dict[str, AnnData]:
    """Return modalities that may be changed."""
    return {name: adata.copy() for name, adata in pair.items()}


def embeddings(model: GLUE) -> list[np.ndarray]:
    """Return the cell embeddings of all modalities."""
    return [model.get_latent_representation(name) for name in model.modalities]


def assert_same_model(one: GLUE, two: GLUE) -> None:
    """Check that two models give the same bits and had the same course."""
    for found, expected in zip(embeddings(one), embeddings(two), strict=True):
        assert np.array_equal(found, expected)
    assert same_history(one.history.to_dict("records"), two.history.to_dict("records"))
