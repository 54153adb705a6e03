"""Time the guidance graph of a whole genome: 30,000 genes x 250,000 peaks.

Run with ``python benchmarks/graph_build.py``; prints one line a rule. Positions are random on
chromosomes of the lengths of the human genome, gene lengths are log-normal, and a quarter of the peaks
gathers around transcription starts.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
import pandas as pd

from omicsglue.graph import from_genome

MEGABASES = (
    248,
    242,
    198,
    190,
    182,
    171,
    159,
    145,
    138,
    134,
    135,
    133,
    114,
    107,
    102,
    90,
    83,
    80,
    59,
    64,
    47,
    51,
)
T = TypeVar("T")


def genome(n_genes: int, n_peaks: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    length = np.array(MEGABASES) * 1_000_000
    chrom = rng.choice(len(length), n_genes, p=length / length.sum())
    start = (rng.random(n_genes) * length[chrom]).astype(np.int64)
    end = start + rng.lognormal(9.5, 1.5, n_genes).astype(np.int64) + 200
    strand = rng.choice(["+", "-"], n_genes)
    genes = pd.DataFrame({"chrom": chrom, "start": start, "end": end, "strand": strand})

    peak_chrom = rng.choice(len(length), n_peaks, p=length / length.sum())
    centre = (rng.random(n_peaks) * length[peak_chrom]).astype(np.int64)
    near = rng.choice(n_peaks, n_peaks // 4, replace=False)
    host = rng.integers(n_genes, size=len(near))
    tss = np.where(strand == "+", start, end)
    peak_chrom[near], centre[near] = chrom[host], tss[host] + rng.normal(0, 500, len(near)).astype(np.int64)
    centre = np.maximum(centre, 300)
    peaks = pd.DataFrame({"chrom": peak_chrom, "start": centre - 250, "end": centre + 250})
    genes["chrom"], peaks["chrom"] = (
        pd.Categorical.from_codes(t["chrom"], [f"chr{i + 1}" for i in range(22)]) for t in (genes, peaks)
    )
    genes.index = pd.Index([f"gene{i}" for i in range(n_genes)])
    peaks.index = pd.Index([f"peak{i}" for i in range(n_peaks)])
    return genes, peaks


def timed(label: str, run: Callable[[], T], repeats: int) -> T:
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - began)
    print(f"{label:<42} {min(seconds):6.2f} s best, {np.median(seconds):6.2f} s median of {repeats}")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--genes", type=int, default=30_000)
    parser.add_argument("--peaks", type=int, default=250_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    genes, peaks = genome(options.genes, options.peaks, seed=0)
    print(f"{options.genes:,} genes x {options.peaks:,} peaks")
    timed("first call (loads bioframe), overlap", lambda: from_genome(genes, peaks), 1)
    for label, window in (("gene body + 2 kb promoter, overlap", 0), ("the same, 150 kb window", 150_000)):
        graph = timed(label, lambda window=window: from_genome(genes, peaks, window=window), options.repeats)
        print(f"    {graph.n_vertices:,} vertices, {graph.n_edges:,} edges")
    timed("corrupt 90 % of these", lambda: graph.corrupt(0.9, 0), options.repeats)


if __name__ == "__main__":
    main()
