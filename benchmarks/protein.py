r"""Integrate RNA and surface protein with settings of the recipe changed one by one, and score each.

    python benchmarks/protein.py --data ../shared/data/teaseq_pbmc --seeds 0,1 kl=0.5 likelihood=nbmixture
    python benchmarks/protein.py --cells 800 baseline default kl=0.5

Each setting is a list of changes with commas between them: weights of the objective in both stages
(``kl``, ``graph``, ``align``, ``discrepancy``, ``data``), ``likelihood`` of the proteins, ``clr`` (``cells``,
``features``, or with ``+scaled`` behind it columns of deviation 1), ``genes`` (so many variable genes
modelled beside those of the proteins) and ``steps`` (factor). ``default`` changes nothing. ``baseline``
trains nothing: each protein and the sum of its genes, logged, averaged over the 30 nearest cells of the same
modality, and standardised. One JSON object a run.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from anndata import AnnData
from sklearn.neighbors import NearestNeighbors

import omicsglue as og
from omicsglue.graph.proteins import protein_graph
from omicsglue.keys import HIGHLY_VARIABLE
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.prepare import Prepared, prepare, read_inputs
from omicsglue.pp.features import select_features
from omicsglue.recipe import Recipe
from omicsglue.training.progress import Silent

WEIGHTS = ("kl", "graph", "align", "discrepancy", "data")
SMOOTHED = 30  # cells


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("settings", nargs="*", default=["baseline", "default"])
    parser.add_argument("--data", type=Path, help="folder with rna.h5ad and adt.h5ad; simulated by default")
    parser.add_argument("--cells", type=int, default=800)
    parser.add_argument("--seeds", default="0,1")
    parser.add_argument("--label-key", default="cell_type")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for setting in given.settings:
        for seed in map(int, given.seeds.split(",")):
            began = time.perf_counter()
            changes = {} if "=" not in setting else dict(each.split("=") for each in setting.split(","))
            prepared = prepared_for(given, changes, seed)
            u = baseline(prepared) if setting == "baseline" else trained(prepared, changes, seed)
            labels = {name: adata.obs[given.label_key] for name, adata in prepared.modalities.items()}
            row = {"setting": setting, "seed": seed, **scores(u, labels)}
            print(json.dumps(row | {"seconds": round(time.perf_counter() - began)}), flush=True)


def prepared_for(given: argparse.Namespace, changes: Mapping[str, str], seed: int) -> Prepared:
    """Return RNA and proteins ready for the model."""
    if given.data:
        modalities: dict[str, Any] = {name: given.data / f"{name}.h5ad" for name in ("rna", "adt")}
    else:
        data = og.datasets.simulate(
            given.cells, genes=1000, types=8, modalities=("rna", "protein"), seed=5, rare_share=0.03
        )
        modalities = {"rna": data["rna"].copy(), "adt": data["protein"].copy()}
    options = IntegrateOptions.from_values(
        {
            "likelihood": {"adt": changes["likelihood"]} if "likelihood" in changes else {},
            "kind": {"adt": "proteins"},
            "seed": seed,
        }
    )
    prepared = prepare(read_inputs(modalities, options), None, None, options)
    rna, adt = prepared.modalities["rna"], prepared.modalities["adt"]
    if "genes" in changes:
        linked = rna.var[HIGHLY_VARIABLE].to_numpy().copy()
        rna.var[HIGHLY_VARIABLE] = linked | np.asarray(select_features(rna, int(changes["genes"])))
        selected = rna.var_names[rna.var[HIGHLY_VARIABLE].to_numpy()]
        prepared = replace(prepared, graph=protein_graph(selected, prepared.matches["adt"]))
    if "clr" in changes:
        axis, _, scaled = changes["clr"].partition("+")
        x = og.pp.clr(adt, axis="features" if axis == "features" else "cells")
        adt.obsm["X_clr"] = (x - x.mean(0)) / x.std(0) if scaled else x
    return prepared


def trained(prepared: Prepared, changes: Mapping[str, str], seed: int) -> dict[str, npt.NDArray[Any]]:
    """Return the embeddings of a model trained with changed settings."""
    modalities = prepared.modalities
    recipe = Recipe.for_cells(max(adata.n_obs for adata in modalities.values()), seed)
    recipe = recipe.weighted(**{name: float(changes[name]) for name in WEIGHTS if name in changes})
    factor = float(changes.get("steps", 1))
    pretrain, train = (
        replace(stage, max_steps=round(factor * stage.max_steps)) for stage in (recipe.pretrain, recipe.train)
    )
    model = og.GLUE(modalities, prepared.graph, replace(recipe, pretrain=pretrain, train=train))
    model.train(threads=1, reporter=Silent())
    return {name: model.get_latent_representation(name) for name in modalities}


def baseline(prepared: Prepared) -> dict[str, npt.NDArray[Any]]:
    """Return proteins and the sums of their genes, logged, smoothed within each modality, standardised."""
    rna, adt = prepared.modalities["rna"], prepared.modalities["adt"]
    report = prepared.matches["adt"]
    linked = {name: list(genes) for name, genes in report.genes.items()}  # type: ignore[union-attr]
    made = np.column_stack(
        [logged(rna)[:, rna.var_names.get_indexer(genes)].sum(1) for genes in linked.values()]
    )
    bound = adt.obsm["X_clr"][:, [list(kept(adt, report)).index(name) for name in linked]]
    return {
        "rna": standardised(smoothed(made, rna.obsm["X_pca"])),
        "adt": standardised(smoothed(bound, adt.obsm["X_clr"])),
    }


def kept(adt: AnnData, report: Any) -> list[str]:
    """Return the proteins that the centred log-ratio is of."""
    return [name for name in adt.var_names if name not in report.isotypes]


def logged(adata: AnnData) -> npt.NDArray[Any]:
    """Return counts scaled to the median depth and logged, dense."""
    counts = np.asarray(adata.X.toarray(), dtype=np.float64)
    depth = np.maximum(counts.sum(1, keepdims=True), 1)
    return np.log1p(counts / depth * np.median(depth))


def smoothed(x: npt.NDArray[Any], space: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the mean over the nearest cells."""
    nearest = NearestNeighbors(n_neighbors=SMOOTHED).fit(space).kneighbors(space, return_distance=False)
    return np.asarray(x[nearest].mean(axis=1))


def standardised(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return columns of mean 0 and deviation 1."""
    deviation = x.std(axis=0)
    return np.asarray((x - x.mean(axis=0)) / np.where(deviation > 0, deviation, 1))


def scores(u: Mapping[str, npt.NDArray[Any]], labels: Mapping[str, Any]) -> dict[str, float]:
    """Return how well the halves of cells and their types find each other."""
    rna, adt = u["rna"], u["adt"]
    return {
        "foscttm": round(og.metrics.foscttm(rna, adt), 4),
        "label_acc": round(og.metrics.label_transfer_accuracy(rna, labels["rna"], adt, labels["adt"]), 3),
        "mixing": round(og.metrics.seurat_alignment_score([rna, adt]), 3),
    }


if __name__ == "__main__":
    main()
