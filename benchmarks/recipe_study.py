r"""Vary settings of the recipe and score each: the command behind ``docs/experiments.md``.

    D=../shared/data; A=$D/annotation/mm10.genes.gtf.gz
    python benchmarks/recipe_study.py --data $D/snare_mini --annotation $A --ignore-label Mis \
        --set weights.kl=1 --set weights.kl=4 --seeds 0,1

``--set`` names a field of ``StageConfig`` (both stages), with ``pretrain.`` or ``train.`` before it for one
of them, ``network.`` for the network, or ``balancing=none``; several joined by commas vary together.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np

import omicsglue as og
from omicsglue.recipe import Recipe
from omicsglue.training.config import StageConfig
from omicsglue.training.progress import Silent


def main() -> None:
    """Run every setting with every seed and print one JSON line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="folder with rna.h5ad and atac.h5ad")
    parser.add_argument("--annotation", type=Path, required=True)
    parser.add_argument("--set", action="append", default=[], help="setting=value[,setting=value...]")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--label-key", default="cell_type")
    parser.add_argument("--ignore-label", action="append", default=[])
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rna, atac, graph = prepare(options.data, options.annotation)
    for setting in options.set or [""]:
        for seed in map(int, options.seeds.split(",")):
            recipe = varied(replace(Recipe(), seed=seed), setting)
            began = time.perf_counter()
            model = og.GLUE({"rna": rna, "atac": atac}, graph, recipe)
            model.train(threads=options.threads, reporter=Silent())
            row = {
                "setting": setting or "default",
                "seed": seed,
                "seconds": round(time.perf_counter() - began, 1),
            }
            row |= scores(model, rna, atac, options.label_key, options.ignore_label)
            print(json.dumps(row), flush=True)


def prepare(data: Path, annotation: Path) -> tuple[ad.AnnData, ad.AnnData, og.graph.GuidanceGraph]:
    """Return both modalities, set up, and their guidance graph."""
    rna, atac = (ad.read_h5ad(data / f"{name}.h5ad") for name in ("rna", "atac"))
    og.pp.annotate_genes(rna, annotation)
    og.pp.annotate_peaks(atac)
    og.pp.pca(rna)
    og.pp.lsi(atac)
    for adata, key in ((rna, "X_pca"), (atac, "X_lsi")):
        og.GLUE.setup_anndata(adata, representation=key)
    return rna, atac, og.graph.from_genome(rna, atac, names=["rna", "atac"])


def varied(recipe: Recipe, setting: str) -> Recipe:
    """Return the recipe with some settings changed."""
    for part in filter(None, setting.split(",")):
        name, _, text = part.partition("=")
        if name == "balancing":
            recipe = replace(recipe, balancing=None)
            continue
        value = json.loads(text)
        where, _, field = name.rpartition(".")
        if where == "network":
            recipe = replace(recipe, network=replace(recipe.network, **{field: value}))
            continue
        stages = [
            stage
            for stage in ("pretrain", "train")
            if not where.startswith(("pretrain", "train")) or where.startswith(stage)
        ]
        inner = where.split(".")[-1] if where.split(".")[-1] in ("weights", "plateau") else ""
        recipe = replace(
            recipe, **{stage: changed(getattr(recipe, stage), inner, field, value) for stage in stages}
        )
    return recipe


def changed(stage: StageConfig, inner: str, field: str, value: Any) -> StageConfig:
    """Return a stage's settings with one of them, or one of its weights or plateau rules, changed."""
    if inner:
        return replace(stage, **{inner: replace(getattr(stage, inner), **{field: value})})
    return replace(stage, **{field: value})


def scores(
    model: og.GLUE, rna: ad.AnnData, atac: ad.AnnData, label_key: str, ignored: list[str]
) -> dict[str, float]:
    """Return FOSCTTM, label accuracy and mixing of a trained model."""
    u, v = (np.asarray(model.get_latent_representation(name)) for name in ("rna", "atac"))
    kept = ~rna.obs[label_key].astype(str).isin(ignored).to_numpy()
    there = ~atac.obs[label_key].astype(str).isin(ignored).to_numpy()
    labels = (
        rna.obs[label_key].astype(str).to_numpy()[kept],
        atac.obs[label_key].astype(str).to_numpy()[there],
    )
    accuracy = og.metrics.label_transfer_accuracy(u[kept], labels[0], v[there], labels[1])
    return {
        "foscttm": round(og.metrics.foscttm(u, v), 4),
        "label_acc": round(accuracy, 4),
        "mixing": round(og.metrics.seurat_alignment_score([u, v]), 4),
    }


if __name__ == "__main__":
    main()
