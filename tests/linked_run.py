"""A small finished run that was never trained, for tests of ``links``: embedded cells, graph and record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from linked import linked_data
from omicsglue.data.setup import ModalitySetup, write_setup
from omicsglue.datasets.simulate import SimulatedData
from omicsglue.graph import from_genome, write_graph
from omicsglue.graph.rules import coordinates
from omicsglue.keys import member_embedding
from omicsglue.pipeline.link_evidence import candidate_table
from omicsglue.runs import RunFolder


def small_linked_data(**options: object) -> SimulatedData:
    """Return few cells and genes with strong links, so that some are significant."""
    strong = {"regulation": 1.0, "links_per_gene": 2.0, "depth": 5.0, "types": 10}
    settings: dict[str, object] = {"cells": 300, "genes": 100, "peaks": 600, **strong} | options
    return linked_data(**settings)  # type: ignore[arg-type]


def linked_run(
    path: Path,
    data: SimulatedData,
    *,
    members: int = 1,
    setups: Mapping[str, ModalitySetup] | None = None,
) -> RunFolder:
    """Write a run folder of simulated data whose first modality is embedded; the data are not changed.

    Methylation is expected to fall as its gene rises. Members of an ensemble see turned axes.
    """
    rng = np.random.default_rng(0)
    names = [name for name in data.modalities if name != "rna"]
    modalities = {name: adata.copy() for name, adata in data.modalities.items()}
    cells = data.rna.obsm["X_glue"]
    turns = [np.eye(cells.shape[1]), *(np.linalg.qr(rng.normal(size=(10, 10)))[0] for _ in range(members))]
    for name, adata in modalities.items():
        for member in range(members):
            key = member_embedding(member)
            adata.obsm[key] = (cells @ turns[member]).astype(np.float32)
            adata.varm[key] = rng.normal(size=(adata.n_vars, 5)).astype(np.float32)
        write_setup(adata, (setups or {}).get(name, ModalitySetup()), name)
    folder = RunFolder.create(path)
    folder.write_integrated(modalities)
    signs = [-1 if name.startswith("methylation") else 1 for name in names]
    graph = from_genome(data.rna, *(data[name] for name in names), signs=signs, check_build=False)
    write_graph(graph, folder.graph)
    folder.write_record({"status": "done"})
    return folder


def bedpe_of(data: SimulatedData, path: Path, *, shift: int = 0, chrom: str | None = None) -> Path:
    """Write the true links as chromatin contacts, moved along the genome or to another chromosome."""
    links = data.links
    gene, peak = data.genes.loc[links["source"]], data.atac.var.loc[links["target"]]
    start = gene["tss"].to_numpy() + shift
    rows = zip(
        gene["chrom"] if chrom is None else [chrom] * len(gene),
        start,
        start + 100,
        peak["chrom"] if chrom is None else [chrom] * len(peak),
        peak["start"] + shift,
        peak["end"] + shift,
        strict=True,
    )
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return path


def sites_of(data: SimulatedData, path: Path, *, factors: list[str]) -> Path:
    """Write sites of factors in a third of the peaks each, in its own for every one."""
    peaks = data.atac.var
    lines = [
        f"{chrom}\t{start + 20}\t{start + 32}\t{factor}\n"
        for number, factor in enumerate(factors)
        for chrom, start in zip(peaks["chrom"][number % 3 :: 3], peaks["start"][number % 3 :: 3], strict=True)
    ]
    path.write_text("".join(lines), encoding="utf-8")
    return path


def stand_in_links(true: pd.DataFrame, heard: list[dict[str, Any]]) -> Callable[..., pd.DataFrame]:
    """Return what stands for ``regulatory_links`` where its statistics do not matter, and takes no time.

    True pairs get a q-value of 0.01, all others of 1. What it was given is kept in ``heard``.
    """
    known = pd.MultiIndex.from_frame(true[["source", "target"]])

    def infer(
        genes: AnnData, elements: AnnData, graph: object, guides: object, **options: Any
    ) -> pd.DataFrame:
        heard.append({"genes": genes, "elements": elements, "graph": graph, "guides": guides, **options})
        near = {name: options[name] for name in ("window", "promoter")}
        name = options["names"][1]
        table = candidate_table(coordinates(genes, "rna"), {name: coordinates(elements, name)}, **near)
        hit = pd.MultiIndex.from_frame(table[["source", "target"]]).isin(known)
        score = 0.9 * hit + 0.1 * np.random.default_rng(0).random(len(table))
        q_value = np.where(hit, 0.01, 1.0)
        more = {"score_sd": np.nan, "effect": score, "sign": np.int8(1), "p_value": q_value}
        table = table.assign(
            distance=1_000, modality=name, cosine=np.nan, score=score, **more, q_value=q_value
        )
        table.attrs["strata"] = [{"guidance": "none", "pairs": len(table)}]
        return table

    return infer
