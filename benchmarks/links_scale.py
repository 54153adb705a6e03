r"""Time ``regulatory_links`` on 6,000 genes and 250,000 peaks, about a million candidate pairs.

    python benchmarks/links_scale.py --threads 1

``links.py`` calls it, as a process of its own, so that the peak of memory is that of the links. Counts are
Poisson with a planted latent of 20 dimensions, which is the joint embedding too: nothing is trained. What is
measured goes to stdout as JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import anndata as ad
import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

import omicsglue.tl.links as inference
from omicsglue.keys import EMBEDDING
from omicsglue.tl.statistics import Null, empirical_p, null_share, stratified_q
from speed_worker import peak_memory

LATENT, TYPES = 20, 12
CHROMOSOMES, GENE_LENGTH, PEAK_LENGTH = 20, 10_000, 500
GENOME_FOR_A_PEAK = 1_800  # bases; real peaks lie as close about genes, and are rare elsewhere
COUNTS = {"rna": 4_000.0, "atac": 8_000.0}  # of a cell
FEATURES = 2_000  # simulated at a time
PARTS = (
    "candidate_pairs",
    "fit_profiles",
    "learn_prior",
    "posterior",
    "empirical_p",
    "null_share",
    "stratified_q",
    "_table",
)

Floats = npt.NDArray[np.float32]


def main() -> None:
    """Simulate, infer, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--genes", type=int, default=6_000)
    parser.add_argument("--peaks", type=int, default=250_000)
    parser.add_argument("--cells", type=int, default=3_000)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    began = time.perf_counter()
    rna, atac = simulated(options.genes, options.peaks, options.cells, np.random.default_rng(0))
    found: dict[str, Any] = {
        "genes": options.genes,
        "peaks": options.peaks,
        "cells": options.cells,
        "stored_counts": int(rna.X.nnz + atac.X.nnz),
        "threads": options.threads,
        "simulation_seconds": time.perf_counter() - began,
        "simulation_peak_bytes": peak_memory(),
    }
    seconds = timed_parts()
    began, cpu_began = time.perf_counter(), time.process_time()
    links = inference.regulatory_links(rna, atac, threads=options.threads)
    found["seconds"] = time.perf_counter() - began
    found["cpu_seconds"] = time.process_time() - cpu_began
    found["pairs"] = len(links)
    found["parts"] = seconds | {"rest": found["seconds"] - sum(seconds.values())}
    found["peak_bytes"] = peak_memory()
    found["statistics"] = statistics_alone(1_000_000)
    print(json.dumps(found))


def timed_parts() -> dict[str, float]:
    """Have the parts of the inference add up their seconds, in the dictionary that is returned."""
    seconds = dict.fromkeys(PARTS, 0.0)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*given: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*given, **options)
            finally:
                seconds[name] += time.perf_counter() - began

        return call

    for name in PARTS:
        setattr(inference, name, timed(name, getattr(inference, name)))
    return seconds


def simulated(genes: int, peaks: int, cells: int, rng: np.random.Generator) -> tuple[ad.AnnData, ad.AnnData]:
    """Return genes and peaks with counts, coordinates and the latent of the cells as their embedding."""
    length = peaks * GENOME_FOR_A_PEAK // CHROMOSOMES
    types = rng.normal(size=(TYPES, LATENT))
    made = []
    for name, number, size in (("rna", genes, GENE_LENGTH), ("atac", peaks, PEAK_LENGTH)):
        latent = types[rng.integers(TYPES, size=cells)] + 0.5 * rng.normal(size=(cells, LATENT))
        counts = drawn(latent.astype(np.float32), number, COUNTS[name], rng)
        var = places(number, size, length, "GENE" if name == "rna" else "peak", rng)
        made.append(ad.AnnData(counts, var=var, obsm={EMBEDDING: latent.astype(np.float32)}))
    return made[0], made[1]


def places(number: int, size: int, length: int, name: str, rng: np.random.Generator) -> pd.DataFrame:
    """Return features spread evenly over chromosomes, in their order on the genome."""
    table = pd.DataFrame(
        {
            "chrom": [f"chr{1 + code}" for code in np.sort(rng.integers(CHROMOSOMES, size=number))],
            "start": rng.integers(length - size, size=number),
        }
    ).sort_values(["chrom", "start"], ignore_index=True)
    table["end"] = table["start"] + size
    table["strand"] = rng.choice(["+", "-"], size=number)
    return table.set_index(pd.Index([f"{name}{i}" for i in range(number)]))


def drawn(latent: Floats, features: int, depth: float, rng: np.random.Generator) -> sp.csr_matrix:
    """Draw Poisson counts, cells x features, whose log rates are linear in the latent."""
    share = rng.lognormal(sigma=0.8, size=features)
    share *= depth / share.sum()
    blocks = []
    for start in range(0, features, FEATURES):
        here = share[start : start + FEATURES]
        slope = (0.15 * rng.normal(size=(latent.shape[1], len(here)))).astype(np.float32)
        rate = np.exp(latent @ slope) * here
        blocks.append(sp.csr_matrix(rng.poisson(rate), dtype=np.float32))
    return sp.csr_matrix(sp.hstack(blocks))


def statistics_alone(pairs: int, strata: int = 15) -> dict[str, float]:
    """Return the seconds of p- and q-values of so many pairs against as many decoys."""
    rng = np.random.default_rng(0)
    score, stratum = rng.random(pairs), rng.integers(strata, size=pairs)
    null = Null(rng.random(pairs), rng.integers(strata, size=pairs))
    began = time.perf_counter()
    p = empirical_p(score, stratum, null)
    shares = np.array([null_share(p[stratum == code]) for code in range(strata)])
    with_p = time.perf_counter()
    stratified_q(score, stratum, null, shares)
    ended = time.perf_counter()
    return {"pairs": pairs, "p_seconds": with_p - began, "q_seconds": ended - with_p}


if __name__ == "__main__":
    main()
