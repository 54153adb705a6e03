r"""Train every likelihood that suits a modality with the same recipe and representation, and score each.

    python benchmarks/likelihoods.py --modality atac methylation protein rna --cells 1000 --seeds 0,1

The modality is paired with RNA counts (RNA with ATAC counts) of simulated cells whose pairing and types are
known. Between the runs of a modality nothing but its likelihood and what this needs (a logarithm, zeros and
ones, a rate in place of counts and coverage) differs. As in ``omicsglue integrate``, the encoder of proteins
sees the centred log-ratio, and beside them only the genes that make them are modelled. One JSON object a run.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import scipy.sparse as sp
from anndata import AnnData

import omicsglue as og
from omicsglue.data.setup import ModalitySetup
from omicsglue.pp.measured import pca_measured
from omicsglue.recipe import Recipe
from omicsglue.training.progress import Silent

REPRESENTATIONS = {"rna": "X_pca", "atac": "X_lsi", "methylation": "X_pca", "protein": "X_clr"}
SUITABLE: Mapping[str, tuple[str, ...]] = {
    "rna": ("nb", "zinb", "poisson", "normal", "zinormal", "zilognormal"),
    "atac": ("nb", "zinb", "poisson", "bernoulli"),
    "methylation": ("betabinomial", "beta", "normal", "nb"),
    "protein": ("nbmixture", "nb", "zinb", "poisson", "normal"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--modality", nargs="+", default=list(SUITABLE), choices=list(SUITABLE))
    parser.add_argument("--likelihood", nargs="*", help="only these")
    parser.add_argument("--cells", type=int, default=1000)
    parser.add_argument("--genes", type=int, default=2000)
    parser.add_argument("--peaks", type=int, default=30_000)
    parser.add_argument("--preset", default="10x")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--max-epochs", type=int)
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    for modality in given.modality:
        for seed in map(int, given.seeds.split(",")):
            modalities, graph = prepare(modality, given, seed)
            chosen = given.likelihood or SUITABLE[modality]
            for likelihood in (name for name in SUITABLE[modality] if name in chosen):
                row = run(modality, likelihood, modalities, graph, given, seed)
                print(json.dumps(row), flush=True)


def prepare(
    modality: str, given: argparse.Namespace, seed: int
) -> tuple[dict[str, AnnData], og.graph.GuidanceGraph]:
    """Return the modality and its partner, with representations, and their guidance graph."""
    partner = "atac" if modality == "rna" else "rna"
    names = sorted({modality, partner}, key=["rna", "atac", "methylation", "protein"].index)
    data = og.datasets.simulate(
        given.cells,
        genes=given.genes,
        peaks=given.peaks,
        preset=given.preset,
        seed=seed,
        modalities=names,
        coordinates=True,
    )
    modalities = {name: data[name] for name in names}
    for name, adata in modalities.items():
        if name == "atac":
            og.pp.lsi(adata)
        elif name == "methylation":
            pca_measured(adata, ModalitySetup("betabinomial"))
        elif name == "protein":
            og.pp.clr(adata)
        else:
            og.pp.pca(adata)
    rna, other = modalities.values()
    if "atac" in modalities:
        return modalities, og.graph.from_genome(rna, other, names=names)
    genes = other.var["gene"]
    linked = list(rna.var_names[rna.var_names.isin(genes)])
    sign = -1 if modality == "methylation" else 1
    return modalities, og.graph.by_name(linked, genes.to_dict(), sign=sign)


def run(
    modality: str,
    likelihood: str,
    modalities: dict[str, AnnData],
    graph: og.graph.GuidanceGraph,
    given: argparse.Namespace,
    seed: int,
) -> dict[str, object]:
    """Train one model; return its scores."""
    for name, adata in modalities.items():
        key = REPRESENTATIONS[name]
        if name == modality:
            layer = values_for(adata, modality, likelihood)
            og.GLUE.setup_anndata(adata, likelihood=likelihood, layer=layer, representation=key)
        else:
            og.GLUE.setup_anndata(adata, representation=key)
    began = time.perf_counter()
    recipe = replace(Recipe.for_cells(given.cells, seed), seed=seed).limited(given.max_epochs)
    model = og.GLUE(modalities, graph, recipe)
    model.train(threads=given.threads, reporter=Silent())
    steps, seconds = model.history["steps"].sum(), model.history["seconds"].sum()
    u = {name: model.get_latent_representation(name) for name in modalities}
    labels = {name: adata.obs["cell_type"].to_numpy() for name, adata in modalities.items()}
    partner = next(name for name in modalities if name != modality)
    return {
        "modality": modality,
        "likelihood": likelihood,
        "cells": given.cells,
        "seed": seed,
        "foscttm": round(og.metrics.foscttm(*u.values()), 5),
        "label_accuracy": round(
            og.metrics.label_transfer_accuracy(u[partner], labels[partner], u[modality], labels[modality]), 4
        ),
        "ms_per_step": round(1000 * float(seconds / steps), 1),
        "seconds": round(time.perf_counter() - began, 1),
    }


def values_for(adata: AnnData, modality: str, likelihood: str) -> str | None:
    """Write a layer with the data as a likelihood needs them; return its name, ``None`` for the counts."""
    if likelihood in ("nb", "zinb", "poisson", "bernoulli", "betabinomial", "nbmixture"):
        return None
    counts = sp.csr_matrix(adata.X)
    if modality == "methylation":
        coverage = adata.layers["coverage"].toarray()
        values = np.full(coverage.shape, np.nan, dtype=np.float32)
        np.divide(counts.toarray(), coverage, out=values, where=coverage > 0)
    else:
        depth = np.maximum(np.asarray(counts.sum(1)).ravel(), 1)
        values = sp.csr_matrix(sp.diags(np.median(depth) / depth) @ counts, dtype=np.float32)
        if likelihood != "zilognormal":
            values.data = np.log1p(values.data)
    adata.layers["modelled"] = values
    return "modelled"


if __name__ == "__main__":
    main()
