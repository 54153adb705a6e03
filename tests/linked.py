"""Simulated RNA and ATAC with a joint embedding that needs no training, for tests of what uses one."""

from __future__ import annotations

import numpy as np
from anndata import AnnData

from omicsglue.datasets import simulate
from omicsglue.datasets.simulate import SimulatedData


def linked_data(cells: int = 800, *, seed: int = 0, **options: object) -> SimulatedData:
    """Return the same cells in both modalities, embedded by the principal components of the genes."""
    settings = {"genes": 200, "peaks": 1_600, "types": 8, "coordinates": True, "depth": 2.0} | options
    data = simulate(cells, seed=seed, **settings)  # type: ignore[arg-type]
    embed(data.rna, data.atac)
    return data


def embed(rna: AnnData, atac: AnnData) -> None:
    """Write the embedding of the genes' principal components into both."""
    x = rna.X.toarray().astype(np.float64)
    x = np.log1p(1e4 * x / x.sum(axis=1, keepdims=True))
    u, s, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    for adata in (rna, atac):
        adata.obsm["X_glue"] = (u[:, :10] * s[:10]).astype(np.float32)
