"""Worker of ``speed.py`` that runs omicsglue: prepares data, takes timed steps, trains, and scores.

Also measures the floor of a step (``speed_floor.py``), between the blocks of steps and on the same threads.
"""

from __future__ import annotations

import json
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp
import torch

import omicsglue as og
from omicsglue.datasets import demo_data, simulate
from omicsglue.graph import GuidanceGraph
from omicsglue.recipe import Recipe
from omicsglue.training.device import make_fabric
from omicsglue.training.loop import Stage
from omicsglue.training.progress import Silent
from omicsglue.training.state import Engine, StageData
from recipe_study import prepare
from speed_floor import Floor, Shape, Sizes
from speed_worker import Answer, Blocks, Ended, Port, peak_memory, versions

BATCH = 128  # cells of each modality in a timed step, scglue's default
ENDLESS = 10**9  # steps of a stage that ends when the driver says so
SCORED = 8000  # cells that are scored at most, evenly spaced; the scores of all methods are of the same ones
REPRESENTATIONS = {"rna": "X_pca", "atac": "X_lsi"}


class Ours:
    """One data set in memory, and what can be done with it."""

    def __init__(self, port: Port, threads: int) -> None:
        self.port, self.threads = port, threads
        self.data: dict[str, ad.AnnData] = {}
        self.graph: GuidanceGraph | None = None

    @property
    def cells(self) -> int:
        """Cells of the largest modality."""
        return max(adata.n_obs for adata in self.data.values())

    def prepare(self, source: dict[str, Any], raw: str, out: str) -> Answer:
        """Make (where simulated) and prepare a data set, and write it for both workers.

        Parameters
        ----------
        source
            ``folder`` and ``annotation`` of real data; or ``cells`` to simulate; or ``demo``.
        raw
            Where simulated data go, as files that ``omicsglue integrate`` reads.
        out
            Where the prepared data go: only modelled features, the representations, and the graph.
        """
        folder, annotation = _files(source, Path(raw))
        began = time.perf_counter()
        rna, atac, graph = prepare(folder, annotation)
        seconds = time.perf_counter() - began
        if list(rna.obs_names) != list(atac.obs_names):
            raise ValueError("the cells of the two modalities are not in the same order")
        data = {name: _modelled(adata, name, graph) for name, adata in (("rna", rna), ("atac", atac))}
        _write(data, graph, Path(out))
        return {
            "cells": rna.n_obs,
            "genes": data["rna"].n_vars,
            "peaks": data["atac"].n_vars,
            "edges": graph.n_edges,
            "preparation_seconds": seconds,
        }

    def load(self, folder: str) -> Answer:
        """Read prepared data."""
        self.data = {name: ad.read_h5ad(Path(folder) / f"{name}.h5ad") for name in REPRESENTATIONS}
        for name, adata in self.data.items():
            og.GLUE.setup_anndata(adata, representation=REPRESENTATIONS[name])
        with np.load(Path(folder) / "graph.npz") as stored:
            self.graph = GuidanceGraph(
                stored["vertices"].astype(object),
                *(stored[k] for k in ("source", "target", "weight", "sign")),
            )
        return {"versions": versions("omicsglue", "torch", "numpy", "scipy", "anndata")}

    def train(self, warmup: int, seed: int) -> Answer:
        """Take timed steps of the training stage in blocks, until told to end."""
        recipe = Recipe.for_cells(self.cells, seed)
        model = self._model(recipe)
        split = StageData.split(model._data, model.graph, recipe.validation, seed)
        config = replace(recipe.train, batch_size=BATCH, max_steps=ENDLESS, max_epochs=None)
        stage = Stage("train", 0, Engine.start(make_fabric("cpu"), model.network), split, config, seed)
        blocks = Blocks(self.port, warmup, {"floor": self._floor(recipe).answer})
        torch.set_num_threads(self.threads)
        try:
            stage.run(Silent(), lambda stage: blocks.step(counted=stage.state.epoch_steps > 0))
        except Ended:
            return {}
        raise RuntimeError("the training ended before the last block of steps")

    def _floor(self, recipe: Recipe) -> _FloorAnswer:
        shapes = {
            name: Shape(adata.obsm[REPRESENTATIONS[name]].shape[1], adata.n_vars)
            for name, adata in self.data.items()
        }
        assert self.graph is not None
        sizes = Sizes(BATCH, recipe.network.dim, recipe.network.width)
        return _FloorAnswer(Floor(shapes, _adjacency(self.graph), sizes))

    def run(self, share: float, seed: int, cells: int = 0) -> Answer:
        """Train by the recipe, shortened, and score the result.

        Parameters
        ----------
        share
            Share of the steps of both stages.
        seed
            Seed of the recipe.
        cells
            Number of cells whose recipe is followed; by default that of the data.
        """
        recipe = Recipe.for_cells(cells or self.cells, seed)
        recipe = replace(
            recipe, pretrain=recipe.pretrain.shortened(share), train=recipe.train.shortened(share)
        )
        model = self._model(recipe)
        model.train(device="cpu", threads=self.threads, reporter=Silent())
        history = model.history
        losses = history["val_vae_loss"].dropna() if "val_vae_loss" in history else []
        return {
            "share": share,
            "seconds": sum(model.seconds.values()),
            "by_stage": model.seconds,
            "steps": int(history["steps"].sum()),
            "foscttm": _foscttm(*(np.asarray(model.get_latent_representation(name)) for name in self.data)),
            "val_loss": float(losses.iloc[-1]) if len(losses) else None,
            "peak_bytes": peak_memory(),
        }

    def score(self, files: list[str]) -> Answer:
        """Score embeddings that the other worker wrote, by the same function."""
        scores = []
        for file in files:
            with np.load(file) as stored:
                scores.append(_foscttm(*(stored[name] for name in REPRESENTATIONS)))
        return {"foscttm": scores}

    def _model(self, recipe: Recipe) -> og.GLUE:
        assert self.graph is not None, "load comes first"
        return og.GLUE(self.data, self.graph, recipe)


class _FloorAnswer:
    """The floor as an answer to a command."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor

    def answer(self, rounds: int) -> Answer:
        """Measure it."""
        return {"ms": self.floor.measure(rounds)}


def _files(source: dict[str, Any], raw: Path) -> tuple[Path, Path]:
    """Return folder and annotation of a data set, simulated first where asked for."""
    if "folder" in source:
        return Path(source["folder"]), Path(source["annotation"])
    simulated = demo_data(source["seed"]) if "demo" in source else simulate(**source)
    folder = simulated.write(raw)
    return folder, folder / "genes.gtf.gz"


def _modelled(adata: ad.AnnData, name: str, graph: GuidanceGraph) -> ad.AnnData:
    """Return counts of the modelled features and the representation, and nothing else."""
    kept = adata.var_names.isin(graph.vertices)
    key = REPRESENTATIONS[name]
    return ad.AnnData(
        X=sp.csr_matrix(adata.X[:, kept], dtype=np.float32),
        obs=pd.DataFrame(index=adata.obs_names),
        var=pd.DataFrame(index=adata.var_names[kept]),
        obsm={key: np.asarray(adata.obsm[key], dtype=np.float32)},
    )


def _write(data: dict[str, ad.AnnData], graph: GuidanceGraph, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    for name, adata in data.items():
        adata.write_h5ad(out / f"{name}.h5ad")
    np.savez(
        out / "graph.npz",
        vertices=graph.vertices.astype(str),
        source=graph.source,
        target=graph.target,
        weight=graph.weight,
        sign=graph.sign,
    )
    (out / "representations.json").write_text(json.dumps(REPRESENTATIONS), encoding="utf-8")


def _adjacency(graph: GuidanceGraph) -> sp.csr_matrix:
    """Return the signed, weighted adjacency of both directions with self-loops."""
    edges = (graph.weight * graph.sign, (graph.source, graph.target))
    one_way = sp.csr_matrix(edges, shape=(graph.n_vertices, graph.n_vertices))
    return sp.csr_matrix(one_way + one_way.T + sp.eye(graph.n_vertices), dtype=np.float32)


def _foscttm(x: npt.NDArray[np.float32], y: npt.NDArray[np.float32]) -> float:
    rows = (
        np.unique(np.linspace(0, len(x) - 1, SCORED).round().astype(int)) if len(x) > SCORED else slice(None)
    )
    return og.metrics.foscttm(x[rows], y[rows])


def main() -> None:
    """Answer commands; the argument is the number of threads."""
    port = Port()
    warnings.simplefilter("ignore")
    torch.set_num_threads(int(sys.argv[1]))
    ours = Ours(port, int(sys.argv[1]))
    names = ("prepare", "load", "train", "run", "score")
    port.serve({name: getattr(ours, name) for name in names})


if __name__ == "__main__":
    main()
