"""A small run folder made of random cells, for tests of what reads run folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

from omicsglue.runs import RunFolder

DIMENSIONS = 8


def make_modalities(
    *, cells: int = 240, types: int = 4, modalities: tuple[str, ...] = ("rna", "atac"), seed: int = 0
) -> dict[str, ad.AnnData]:
    """Return modalities whose cells of one name lie near each other; the last has a third fewer cells."""
    random = np.random.default_rng(seed)
    label = random.integers(0, types, cells)
    centre = random.normal(size=(types, DIMENSIONS)) * 2
    state = centre[label] + random.normal(size=(cells, DIMENSIONS)) * 0.5
    made = {}
    for position, name in enumerate(modalities):
        rows = random.permutation(cells)[: cells if name != modalities[-1] else cells * 2 // 3]
        here = state[rows] + random.normal(size=(len(rows), DIMENSIONS)) * 0.3
        features = 30 + 10 * position
        obs = pd.DataFrame(
            {
                "cell_type": [f"type {label[row]}" for row in rows],
                "batch": [f"plate {row % 2}" for row in rows],
                "depth": random.gamma(2, 500, len(rows)),
                "glue_weight": random.gamma(4, 0.25, len(rows)),
            },
            index=[f"cell{row}" for row in rows],
        )
        counts = sp.random(len(rows), features, 0.1, format="csr", random_state=random, dtype=np.float32)
        adata = ad.AnnData(counts, obs=obs)
        adata.var_names = [f"{name}{number}" for number in range(features)]
        adata.obsm["X_glue"] = here.astype(np.float32)
        adata.obsm["X_pca" if position == 0 else "X_lsi"] = (
            here @ random.normal(size=(DIMENSIONS, 12))
        ).astype(np.float32)
        adata.varm["X_glue"] = random.normal(size=(features, DIMENSIONS)).astype(np.float32)
        made[name] = adata
    return made


def make_history(*, epochs: int = 12, seed: int = 0) -> pd.DataFrame:
    """Return a history of two stages with every kind of loss."""
    random = np.random.default_rng(seed)
    rows = []
    for stage, rate in (("pretrain", 2e-3), ("train", 2e-4)):
        for epoch in range(1, epochs + 1):
            fall = np.exp(-epoch / 4) + random.normal() * 0.01
            rows.append(
                {
                    "stage": stage,
                    "epoch": epoch,
                    "steps": 20,
                    "seconds": 1.5,
                    "learning_rate": rate,
                    "vae_loss": 1 + fall,
                    "val_vae_loss": 1.1 + fall,
                    "data_nll_rna": 0.5 + fall,
                    "data_nll_atac": 0.3 + fall,
                    "data_kl_rna": 0.02,
                    "data_kl_atac": 0.03,
                    "graph_nll": 0.6 + fall / 2,
                    "graph_kl": 0.01,
                    "align": 0.69 - fall / 5,
                }
            )
    return pd.DataFrame(rows)


def make_edges(*, edges: int = 60, seed: int = 0) -> pd.DataFrame:
    """Return a guidance graph of two kinds of edges, one of them with distances."""
    random = np.random.default_rng(seed)
    far = np.arange(edges) % 3 > 0
    return pd.DataFrame(
        {
            "source": [f"rna{number}" for number in random.integers(0, 30, edges)],
            "target": [f"atac{number}" for number in random.integers(0, 40, edges)],
            "weight": random.uniform(0.1, 1, edges).astype(np.float32),
            "sign": np.where(np.arange(edges) % 7 == 0, -1, 1).astype(np.int8),
            "kind": pd.Categorical(np.where(far, "window", "name match")),
            "distance": np.where(far, random.integers(1, 150_000, edges), np.nan),
        }
    )


def make_record(modalities: dict[str, ad.AnnData]) -> dict[str, Any]:
    """Return the record of a run."""
    return {
        "options": {
            "batch_size": 128,
            "max_epochs": 12,
            "label_key": {},
            "window": 0,
            "train": {"noise": True},
        },
        "seeds": {"model": 0},
        "versions": {"omicsglue": "0.1.0", "python": "3.11"},
        "inputs": {
            name: {"path": f"{name}.h5ad", "sha256": "0" * 64, "cells": each.n_obs, "features": each.n_vars}
            for name, each in modalities.items()
        },
        "seconds": {"graph": 0.5, "pretrain": 18.0, "train": 17.5},
        "peak_memory_bytes": 700 * 2**20,
        "modalities": {
            name: {
                "likelihood": "nb",
                "layer": None,
                "representation": "X_pca" if name == "rna" else "X_lsi",
                "features_in_graph": each.n_vars - 3,
                "cells": each.n_obs,
                "unmatched": ["Gm1", "Gm2", "<b>odd</b>"],
            }
            for name, each in modalities.items()
        },
        "warnings": ["3 genes were not found in the annotation"],
    }


def make_run(path: Path, **options: Any) -> RunFolder:
    """Write a whole run folder; options as of :func:`make_modalities`."""
    folder = RunFolder.create(path)
    modalities = make_modalities(**options)
    folder.write_integrated(modalities)
    folder.write_history(make_history())
    folder.write_record(make_record(modalities))
    make_edges().to_parquet(folder.graph)
    return folder
