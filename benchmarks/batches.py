r"""Measure what the options for batches do: one JSON line a setting.

    python benchmarks/batches.py --study simulated
    python benchmarks/batches.py --study simulated --setting decoder --setting align --effect 2 --seeds 0,1
    D=../shared/data; python benchmarks/batches.py --study snare --data $D/snare_cortex \
        --annotation $D/annotation/mm10.genes.gtf.gz

`simulated`: cells of three batches with a strong effect; a common type is in one batch only. `partial`: the
same, and one batch not measured in ATAC. With `--type-effect S` a batch changes each feature of each type by
a factor of its own as well (log sd S, by leaving out counts), which no decoder parameter of a batch takes up.
`snare`: cells of mouse cortex, drawn at random; batches are plates.

Settings: `none` (no batch key), `decoder` (batch key: decoder parameters by batch), `shared` (the
discriminator is told the batch too), `align` (batches of both modalities are aligned), `both`.

Scores: FOSCTTM, label accuracy, mixing of modalities; iLISI of batches in each modality; of the cells of the
private type, the share of the 15 nearest neighbours (of both modalities) that are of this type, and the share
of the other cells' neighbours that are of it, each the mean over cells.
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
import scipy.sparse as sp

import omicsglue as og
from omicsglue.datasets import simulate
from omicsglue.metrics.neighbours import neighbour_blocks
from omicsglue.recipe import Recipe
from omicsglue.training.progress import Silent

Modalities = dict[str, ad.AnnData]
SETTINGS: dict[str, dict[str, Any]] = {
    "none": {},
    "decoder": {"key": True},
    "shared": {"key": True, "shared_batches": True},
    "align": {"key": True, "align_batches": ("all",)},
    "both": {"key": True, "shared_batches": True, "align_batches": ("all",)},
}
BATCH, LABEL = "batch", "cell_type"
PRIVATE, WHERE = "type3", "batch2"
NEIGHBOURS = 15


def main() -> None:
    """Train every setting with every seed and print one JSON line each."""
    options = parsed()
    warnings.simplefilter("ignore")
    for seed in map(int, options.seeds.split(",")):
        modalities, graph = prepared(options, seed)
        for name in options.setting or SETTINGS:
            began = time.perf_counter()
            model = trained(modalities, graph, SETTINGS[name], options, seed)
            row: dict[str, Any] = {"study": options.study, "setting": name, "seed": seed}
            row |= {"set": options.set} if options.set else {}
            row |= scores(model, modalities) | {"seconds": time.perf_counter() - began}
            print(
                json.dumps({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}),
                flush=True,
            )


def parsed() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--study", choices=("simulated", "partial", "snare"), required=True)
    parser.add_argument("--setting", action="append", choices=list(SETTINGS))
    parser.add_argument("--set", action="append", default=[], help="[train.|pretrain.]weight=value")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--cells", type=int, default=1200)
    parser.add_argument("--genes", type=int, default=1500)
    parser.add_argument("--peaks", type=int, default=10_000)
    parser.add_argument("--effect", type=float, default=0.6)
    parser.add_argument("--type-effect", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--data", type=Path, help="folder with rna.h5ad and atac.h5ad")
    parser.add_argument("--annotation", type=Path)
    return parser.parse_args()


def prepared(options: argparse.Namespace, seed: int) -> tuple[Modalities, og.graph.GuidanceGraph]:
    """Return both modalities with their representations, and the guidance graph."""
    if options.study == "snare":
        modalities = {name: ad.read_h5ad(options.data / f"{name}.h5ad") for name in ("rna", "atac")}
        known = np.flatnonzero((modalities["rna"].obs[LABEL] != "Mis").to_numpy())
        drawn = np.sort(np.random.default_rng(seed).choice(known, options.cells, replace=False))
        names = modalities["rna"].obs_names[drawn]
        modalities = {name: adata[names].copy() for name, adata in modalities.items()}
        og.pp.annotate_genes(modalities["rna"], options.annotation)
        og.pp.annotate_peaks(modalities["atac"])
    else:
        data = simulate(
            options.cells,
            genes=options.genes,
            peaks=options.peaks,
            batches=3,
            batch_effect=options.effect,
            private_types={PRIVATE: WHERE},
            missing_batches={"atac": ["batch3"]} if options.study == "partial" else {},
            seed=seed,
            coordinates=True,
        )
        modalities = dict(data.modalities)
        if options.type_effect:
            thin_by_type(modalities, options.type_effect, seed)
    rna, atac = modalities["rna"], modalities["atac"]
    og.pp.pca(rna)
    og.pp.lsi(atac)
    return modalities, og.graph.from_genome(rna, atac, names=["rna", "atac"])


def thin_by_type(modalities: Modalities, sd: float, seed: int) -> None:
    """Keep a share of the counts that is drawn for each batch, type and feature: log-normal, 1 at most."""
    for number, adata in enumerate(modalities.values()):
        rng = np.random.default_rng([seed, 77, number])
        batch, kind = (adata.obs[key].astype("category").cat.codes.to_numpy() for key in (BATCH, LABEL))
        factor = np.exp(rng.normal(0, sd, (batch.max() + 1, kind.max() + 1, adata.n_vars)))
        kept = np.clip(factor / np.exp(sd), 0, 1)
        x = adata.X.tocoo()
        counts = rng.binomial(x.data.astype(int), kept[batch[x.row], kind[x.row], x.col])
        adata.X = sp.csr_matrix((counts.astype(x.dtype), (x.row, x.col)), x.shape)
        adata.X.eliminate_zeros()


def trained(
    modalities: Modalities,
    graph: og.graph.GuidanceGraph,
    setting: dict[str, Any],
    options: argparse.Namespace,
    seed: int,
) -> og.GLUE:
    """Return a model trained in one setting."""
    shape = dict(setting)
    key = BATCH if shape.pop("key", False) else None
    for adata, representation in zip(modalities.values(), ("X_pca", "X_lsi"), strict=True):
        og.GLUE.setup_anndata(adata, representation=representation, batch_key=key)
    recipe = Recipe.for_cells(max(map(len, modalities.values())), seed)
    recipe = replace(recipe, network=replace(recipe.network, **shape))
    for each in options.set:
        name, _, value = each.partition("=")
        stage, _, weight = name.rpartition(".")
        for which in [stage] if stage else ["pretrain", "train"]:
            config = getattr(recipe, which)
            changed = replace(config, weights=replace(config.weights, **{weight: float(value)}))
            recipe = replace(recipe, **{which: changed})
    model = og.GLUE(modalities, graph, recipe)
    model.train(threads=options.threads, reporter=Silent())
    return model


def scores(model: og.GLUE, modalities: Modalities) -> dict[str, float]:
    """Return every score of a trained model."""
    u = {name: np.asarray(model.get_latent_representation(name)) for name in modalities}
    obs = {name: adata.obs for name, adata in modalities.items()}
    labels = {name: table[LABEL].astype(str).to_numpy() for name, table in obs.items()}
    both = obs["rna"].index.intersection(obs["atac"].index)
    pair = [u[name][table.index.get_indexer(both)] for name, table in obs.items()]
    found = {
        "foscttm": og.metrics.foscttm(*pair),
        "label_acc": og.metrics.label_transfer_accuracy(u["rna"], labels["rna"], u["atac"], labels["atac"]),
        "mixing": og.metrics.seurat_alignment_score(list(u.values())),
    }
    for name, table in obs.items():
        found[f"batch_ilisi_{name}"] = og.metrics.ilisi(u[name], table[BATCH].astype(str))
        found[f"label_map_{name}"] = og.metrics.mean_average_precision(u[name], labels[name])
    if PRIVATE in labels["rna"]:
        found |= private_type(np.concatenate(list(u.values())), np.concatenate(list(labels.values())))
    return found


def private_type(u: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return the share of the private type among neighbours of its cells, and of all others."""
    own = labels == PRIVATE
    share = np.empty(len(u))
    for rows, indices, _ in neighbour_blocks(u, NEIGHBOURS):
        share[rows] = own[indices].mean(axis=1)
    return {"private_own": float(share[own].mean()), "private_intruding": float(share[~own].mean())}


if __name__ == "__main__":
    main()
