"""Embeddings of cells by scglue 0.4.1 on given edges, in an environment of its own; ``guidance.py`` calls it.

The steps are those of ``links_rival.py``: PCA and LSI, NB decoders, ``fit_SCGLUE`` with scglue's own
defaults and a limit of its time. The graph is the given one: both directions of each edge, and a self-loop
of weight 1 at each feature. Features without an edge are not modelled.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import scglue
import torch

from links_rival import MODALITIES, Data, Limit, bounded_model, prepared


def guidance(edges: pd.DataFrame) -> nx.MultiDiGraph:
    """Return edges as scglue wants them."""
    graph = nx.MultiDiGraph()
    for row in edges.itertuples():
        for one, other in ((row.source, row.target), (row.target, row.source)):
            graph.add_edge(one, other, weight=row.weight, sign=row.sign, type="given")
    for name in list(graph):
        graph.add_edge(name, name, weight=1.0, sign=1, type="loop")
    return graph


def embedded(
    data: Data, graph: nx.MultiDiGraph, seconds: float, seed: int
) -> tuple[list[np.ndarray], list[Limit]]:
    """Train scglue; return the embeddings of the cells of each modality, and what each stage took.

    There are no embeddings where scglue's losses became NaN, as they do where its balancing matches no
    clusters.
    """
    for adata in data.values():
        adata.var["highly_variable"] = adata.var_names.isin(list(graph))
    scglue.models.configure_dataset(
        data["rna"], "NB", use_highly_variable=True, use_layer="counts", use_rep="X_pca"
    )
    scglue.models.configure_dataset(data["atac"], "NB", use_highly_variable=True, use_rep="X_lsi")
    limits: list[Limit] = []
    with tempfile.TemporaryDirectory() as directory:
        model = scglue.models.fit_SCGLUE(
            data,
            graph,
            model=bounded_model(seconds, limits),
            init_kws={"random_seed": seed},
            fit_kws={"directory": directory},
        )
    if any(limit.ended == "NaN" for limit in limits):
        return [], limits
    return [model.encode_data(name, data[name]) for name in MODALITIES], limits


def main() -> None:
    """Train, and write ``rna.npy``, ``atac.npy`` and ``facts.json``."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of rna.h5ad and atac.h5ad")
    add("--annotation", type=Path, required=True, help="GTF file of the genes")
    add("--edges", type=Path, required=True, help="source, target, weight and sign (TSV)")
    add("--out", type=Path, required=True, help="folder to write to")
    add("--max-seconds", type=float, required=True, help="limit of the training's time")
    add("--threads", type=int, default=1)
    add("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    scglue.config.CPU_ONLY = True
    data = prepared(options.data, options.annotation)
    graph = guidance(pd.read_csv(options.edges, sep="\t"))
    began = time.perf_counter()
    found, limits = embedded(data, graph, options.max_seconds, options.seed)
    for name, values in zip(MODALITIES, found, strict=False):
        np.save(options.out / f"{name}.npy", values)
    facts = {
        "seconds": round(time.perf_counter() - began, 1),
        "steps": [limit.steps for limit in limits],
        "ended": [limit.ended for limit in limits],
    }
    (options.out / "facts.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
