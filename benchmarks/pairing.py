r"""How integration gains from paired cells: the share of cells that training knows as pairs goes from 0 to 1.

    python benchmarks/pairing.py --cells 1500 --unseen 0.5 --shares 0,0.05,0.1,0.25,0.5,1 --seeds 0

Simulated cells with the counts of SNARE-seq. Some of them (``--unseen``) are kept out of training
altogether; of the others a share has a value in the column by which cells are paired. Each run prints one
JSON line with FOSCTTM of three kinds of cells: ``unseen`` (kept out), ``unpaired`` (trained on, but not as
pairs) and ``paired`` (trained on as pairs); and the accuracy of cell types transferred from RNA to ATAC for
all cells that were not kept out. ``--set`` changes weights of the objective in both stages, such as
``cosine=0.1,joint=0``, or in one (``train.cosine=0``), or the network (``network.dropout=0.5``); ``--sparse``
measures the cells that are not paired in one modality only, so that the data are a mosaic.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import replace
from typing import Any

import anndata as ad
import numpy as np
import numpy.typing as npt

import omicsglue as og
from omicsglue.datasets import simulate
from omicsglue.recipe import Recipe
from omicsglue.training.progress import Silent

KEYS = {"rna": "X_pca", "atac": "X_lsi"}


def main() -> None:
    """Run every share with every seed and setting."""
    options = parsed()
    warnings.simplefilter("ignore")
    for seed in map(int, options.seeds.split(",")):
        data, graph = prepared(options, seed)
        for setting in options.set or [""]:
            for share in map(float, options.shares.split(",")):
                row = one(data, graph, options, setting, share, seed)
                print(json.dumps(row), flush=True)


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--genes", type=int, help="by default the preset's")
    parser.add_argument("--peaks", type=int, help="by default the preset's")
    parser.add_argument("--preset", default="snare")
    parser.add_argument("--types", type=int, default=5)
    parser.add_argument(
        "--regulation", type=float, default=0.8, help="0: nothing near a gene is related to it"
    )
    parser.add_argument("--max-epochs", type=int, help="at most so many epochs in each stage")
    parser.add_argument("--unseen", type=float, default=0.2, help="share of the cells kept out of training")
    parser.add_argument("--shares", default="0,0.05,0.1,0.25,0.5,1")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--set", action="append", default=[], help="weight=value[,weight=value...]")
    parser.add_argument("--sparse", action="store_true", help="measure unpaired cells in one modality only")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def prepared(options: argparse.Namespace, seed: int) -> tuple[dict[str, ad.AnnData], og.graph.GuidanceGraph]:
    """Return both modalities of all cells, set up, and their guidance graph."""
    drawn = simulate(
        options.cells,
        genes=options.genes,
        peaks=options.peaks,
        types=options.types,
        preset=options.preset,
        regulation=options.regulation,
        seed=seed,
        coordinates=True,
    )
    data = dict(drawn.modalities)
    og.pp.pca(data["rna"])
    og.pp.lsi(data["atac"])
    for name, adata in data.items():
        og.GLUE.setup_anndata(adata, representation=KEYS[name])
    return data, og.graph.from_genome(data["rna"], data["atac"], names=list(data))


def one(
    data: dict[str, ad.AnnData],
    graph: og.graph.GuidanceGraph,
    options: argparse.Namespace,
    setting: str,
    share: float,
    seed: int,
) -> dict[str, Any]:
    """Train with a share of the cells as pairs, and score."""
    cells = data["rna"].n_obs
    order = np.random.default_rng(seed).permutation(cells)
    unseen, rest = np.split(order, [round(options.unseen * cells)])
    paired, unpaired = np.split(rest, [round(share * len(rest))])
    parts = {"rna": unpaired, "atac": unpaired}
    if options.sparse:
        parts = dict(zip(data, np.array_split(unpaired, 2), strict=True))
    seen = {}
    for name, adata in data.items():
        seen[name] = adata[np.sort(np.r_[paired, parts[name]])].copy()
        names = adata.obs_names[paired]
        seen[name].obs["pair"] = seen[name].obs_names.where(seen[name].obs_names.isin(names), None)
    recipe = varied(Recipe.for_cells(max(adata.n_obs for adata in seen.values()), seed), setting)
    recipe = recipe.limited(options.max_epochs)
    began = time.perf_counter()
    model = og.GLUE(seen, graph, recipe, pairing="pair" if share else None)
    model.train(device="cpu", threads=options.threads, reporter=Silent())
    seconds = time.perf_counter() - began
    u = {name: embedded(model, name, adata) for name, adata in data.items()}
    row: dict[str, Any] = {"setting": setting or "default", "share": share, "seed": seed}
    for kind, rows in (("unseen", unseen), ("unpaired", unpaired), ("paired", paired)):
        score = og.metrics.foscttm(u["rna"][rows], u["atac"][rows]) if len(rows) else None
        row[kind] = score if score is None else round(score, 4)
    types = data["rna"].obs["cell_type"].astype(str).to_numpy()
    row["label_acc"] = round(
        og.metrics.label_transfer_accuracy(u["rna"][rest], types[rest], u["atac"][rest], types[rest]), 4
    )
    mixing = [u[name][np.r_[paired, parts[name]]] for name in data]
    row["mixing"] = round(og.metrics.seurat_alignment_score(mixing), 4)
    return row | {"seconds": round(seconds, 1)}


def embedded(model: og.GLUE, name: str, adata: ad.AnnData) -> npt.NDArray[np.float32]:
    """Return the embedding of all cells, seen or not."""
    return np.asarray(model.get_latent_representation(name, adata))


def varied(recipe: Recipe, setting: str) -> Recipe:
    """Return the recipe with some weights changed in both stages."""
    given = dict(part.split("=") for part in setting.split(",") if part)
    for name, value in given.items():
        where, _, field = name.rpartition(".")
        if where == "network":
            recipe = replace(recipe, network=replace(recipe.network, **{field: float(value)}))
            continue
        for stage in (where,) if where else ("pretrain", "train"):
            config = getattr(recipe, stage)
            weights = replace(config.weights, **{field: float(value)})
            recipe = replace(recipe, **{stage: replace(config, weights=weights)})
    return recipe


if __name__ == "__main__":
    main()
