r"""Labels in training: how much they help, how much wrong ones harm, by weight and loss.

    python benchmarks/labels.py --cells 1000 --scenarios none,rna,noise40 --settings 0.02:0:0,0.1:0.7:20

Simulated cells of the preset ``snare``, of both modalities and known truth. A scenario says which labels are
given: ``none``, ``rna`` (all cells of RNA), ``rna10`` (a tenth of them), ``both`` (all cells of both),
``noise20`` and ``noise40`` (RNA, with so many percent of the labels replaced by another type at random),
``both40`` (both modalities, 40 % replaced), ``lost`` (RNA, the most frequent type but one never labelled).
A setting is WEIGHT:POWER:NEIGHBOURS: weight and exponent of the loss (``ObjectiveWeights``), and the
neighbours that must support a label (``Recipe``). All scores are against the true types; ``classified`` is
the share of ATAC cells to which the classifier gives the right one. One JSON line a run.
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

import omicsglue as og
from omicsglue.recipe import Recipe
from omicsglue.training.progress import Silent

KEY, KNOWN = "cell_type", "known_type"
REPRESENTATIONS = {"rna": "X_pca", "atac": "X_lsi"}
Data = dict[str, ad.AnnData]


def main() -> None:
    """Run every scenario with every setting and seed and print one JSON line each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--peaks", type=int, help="peaks to simulate [default: as the preset]")
    parser.add_argument("--genes", type=int, help="genes to simulate [default: as the preset]")
    parser.add_argument("--scenarios", default="none,rna,rna10,both,noise20,noise40,both40,lost")
    parser.add_argument("--settings", default="default", help="WEIGHT:POWER:NEIGHBOURS[,...]")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for seed in map(int, options.seeds.split(",")):
        data, graph = prepared(options.cells, options.genes, options.peaks, seed)
        for scenario in options.scenarios.split(","):
            for setting in options.settings.split(",") if scenario != "none" else ["default"]:
                began = time.perf_counter()
                model = trained(data, graph, scenario, setting, seed, options.threads)
                row = {"scenario": scenario, "setting": setting, "seed": seed, **scores(model, data)}
                row["seconds"] = round(time.perf_counter() - began, 1)
                print(json.dumps(row), flush=True)


def prepared(
    cells: int, genes: int | None, peaks: int | None, seed: int
) -> tuple[Data, og.graph.GuidanceGraph]:
    """Return simulated modalities with representations, and their guidance graph."""
    simulated = og.datasets.simulate(
        cells, genes=genes, peaks=peaks, preset="snare", seed=seed, coordinates=True
    )
    data = dict(simulated.modalities)
    og.pp.pca(data["rna"])
    og.pp.lsi(data["atac"])
    return data, og.graph.from_genome(data["rna"], data["atac"], names=["rna", "atac"])


def trained(
    data: Data, graph: og.graph.GuidanceGraph, scenario: str, setting: str, seed: int, threads: int
) -> og.GLUE:
    """Return a model that was trained with the labels of a scenario."""
    rng = np.random.default_rng(1000 + seed)
    for name, adata in data.items():
        labels = known_types(adata.obs[KEY].astype(str).to_numpy(), name, scenario, rng)
        if labels is not None:
            adata.obs[KNOWN] = labels
        key = None if labels is None else KNOWN
        og.GLUE.setup_anndata(adata, representation=REPRESENTATIONS[name], labels_key=key)
    recipe = weighted(Recipe.for_cells(max(len(adata) for adata in data.values()), seed), setting)
    model = og.GLUE(data, graph, recipe)
    model.train(threads=threads, device="cpu", reporter=Silent())
    return model


def weighted(recipe: Recipe, setting: str) -> Recipe:
    """Return the recipe with the weight and loss of labels that a setting names."""
    if setting == "default":
        return recipe
    weight, power, neighbours = map(float, setting.split(":"))
    recipe = recipe.weighted(label=weight, label_power=power)
    return replace(recipe, label_neighbours=int(neighbours))


def known_types(
    truth: np.ndarray, modality: str, scenario: str, rng: np.random.Generator
) -> np.ndarray | None:
    """Return the labels that a scenario gives to a modality, ``None`` in place of unknown ones."""
    if scenario == "none" or (modality == "atac" and not scenario.startswith("both")):
        return None
    labels = truth.astype(object)
    types, frequency = np.unique(truth, return_counts=True)
    if scenario == "rna10":
        labels[rng.random(len(labels)) >= 0.1] = None
    elif scenario == "lost":
        labels[truth == types[np.argsort(frequency)[-2]]] = None
    elif scenario[-2:].isdigit():
        wrong = rng.random(len(labels)) < int(scenario[-2:]) / 100
        shift = rng.integers(1, len(types), size=len(labels))
        labels[wrong] = types[(np.searchsorted(types, truth) + shift) % len(types)][wrong]
    return labels


def scores(model: og.GLUE, data: Data) -> dict[str, Any]:
    """Return scores of a trained model against the truth."""
    u = {name: np.asarray(model.get_latent_representation(name)) for name in data}
    types = {name: adata.obs[KEY].astype(str).to_numpy() for name, adata in data.items()}
    found = {
        "foscttm": og.metrics.foscttm(u["rna"], u["atac"]),
        "label_acc": og.metrics.label_transfer_accuracy(u["rna"], types["rna"], u["atac"], types["atac"]),
        "mixing": og.metrics.seurat_alignment_score(list(u.values())),
    }
    if model.labels:
        predicted = model.predict_labels("atac").idxmax(axis=1).to_numpy()
        found["classified"] = float(np.mean(predicted == types["atac"]))
    return {name: round(value, 4) for name, value in found.items()}


if __name__ == "__main__":
    main()
