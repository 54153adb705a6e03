"""Compare simulated with real data, and how hard both are for a plain method; update docs/simulation.md.

usage: python benchmarks/simulation_fidelity.py [--data ../shared/data] [--docs docs]

Needs the SNARE-seq data of mouse cortex (Chen et al. 2019): <data>/snare_cortex, <data>/snare_mini and
<data>/annotation/mm10.genes.bed.gz. Takes about four minutes on one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds
from scipy.stats import rankdata

from omicsglue.datasets import SimulatedData, simulate
from omicsglue.datasets.layout import candidate_pairs
from omicsglue.metrics import foscttm

HERE = Path(__file__).resolve().parent
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pair:
    """Two modalities of the same cells with the places of their features."""

    rna: sparse.csr_matrix
    atac: sparse.csr_matrix
    cell_type: NDArray[np.object_]
    genes: pd.DataFrame
    peaks: pd.DataFrame

    def subset(self, cells: int, seed: int = 0) -> Pair:
        """Return a random subset of the cells."""
        if cells >= self.rna.shape[0]:
            return self
        rows = np.sort(np.random.default_rng(seed).choice(self.rna.shape[0], cells, replace=False))
        return Pair(self.rna[rows], self.atac[rows], self.cell_type[rows], self.genes, self.peaks)


def read_real(folder: Path, bed: Path) -> Pair:
    rna, atac = ad.read_h5ad(folder / "rna.h5ad"), ad.read_h5ad(folder / "atac.h5ad")
    names = ["chrom", "start", "end", "name", "score", "strand"]
    table = pd.read_csv(bed, sep="\t", header=None).iloc[:, :6].set_axis(names, axis=1)
    genes = table.drop_duplicates("name").set_index("name").reindex(rna.var_names)
    parts = atac.var_names.str.extract(r"(.+):(\d+)-(\d+)")
    peaks = pd.DataFrame(
        {"chrom": parts[0], "start": parts[1].astype(np.int64), "end": parts[2].astype(np.int64)}
    )
    rows = atac.obs_names.get_indexer(rna.obs_names)
    types = rna.obs["cell_type"].astype(str).to_numpy(dtype=object)
    return Pair(sparse.csr_matrix(rna.X), sparse.csr_matrix(atac.X)[rows], types, genes, peaks)


def as_pair(data: SimulatedData) -> Pair:
    types = data.rna.obs["cell_type"].astype(str).to_numpy(dtype=object)
    return Pair(data.rna.X, data.atac.X, types, data.genes, data.truth.peaks)


# what one modality looks like -----------------------------------------------------------------------------


def moments(counts: sparse.csr_matrix) -> tuple[Floats, Floats]:
    mean = np.asarray(counts.mean(axis=0)).ravel().astype(np.float64)
    square = np.asarray(counts.multiply(counts).mean(axis=0)).ravel()
    return mean, square - mean**2


def over_types(counts: sparse.csr_matrix, types: NDArray[np.object_], features: int) -> tuple[Floats, Floats]:
    """Return, for the strongest features, the variance of type means and the dispersion within types.

    Both are freed of the part that Poisson noise and unequal depth bring. Types of 150 cells or more count.
    """
    depth = np.asarray(counts.sum(axis=1)).ravel()
    names = [name for name in np.unique(types) if (types == name).sum() >= 150 and name != "Mis"]
    top = np.argsort(-np.asarray(counts.sum(axis=0)).ravel())[:features]
    chosen = counts[:, top].astype(np.float64)
    totals = np.array([np.asarray(chosen[types == name].sum(axis=0)).ravel() for name in names])
    depths = np.array([depth[types == name].sum() for name in names])[:, None]
    expected = totals.sum(axis=0) / depths.sum() * depths
    between = ((totals / expected - 1.0) ** 2 - 1.0 / expected).mean(axis=0)
    within = []
    for name in names:
        mean, variance = moments(chosen[types == name])
        size = depth[types == name] / depth[types == name].mean()
        spread = (size**2).mean()
        with np.errstate(invalid="ignore", divide="ignore"):
            within.append((variance - mean - mean**2 * (spread - 1.0)) / (mean**2 * spread))
    return between, np.nanmedian(np.array(within), axis=0)


def describe(counts: sparse.csr_matrix, types: NDArray[np.object_], *, strongest: int) -> dict[str, str]:
    depth = np.asarray(counts.sum(axis=1)).ravel().astype(np.float64)
    detected = np.diff(counts.indptr)
    rate = np.asarray((counts > 0).mean(axis=0)).ravel()
    mean, variance = moments(counts)
    seen = mean > 0
    between, within = over_types(counts, types, strongest)
    kinds = np.bincount(counts.data.astype(np.int64), minlength=4) / counts.nnz
    slope = np.polyfit(np.log(mean[seen]), np.log(variance[seen]), 1)[0]
    return {
        "counts per cell": spell(np.quantile(depth, QUANTILES), 0),
        "log deviation of counts per cell": f"{np.log(depth + 1).std():.2f}",
        "features seen per cell": spell(np.quantile(detected, QUANTILES), 0),
        "entries that are not zero": f"{100 * counts.nnz / np.prod(counts.shape):.2f} %",
        "of these 1 / 2 / 3 or more": " / ".join(f"{100 * x:.1f}" for x in (*kinds[1:3], kinds[3:].sum()))
        + " %",
        "mean of a feature": spell(np.quantile(mean, QUANTILES), 4),
        "cells in which a feature is seen (%)": spell(100 * np.quantile(rate, QUANTILES), 2),
        "share of the strongest feature": f"{100 * mean.max() / mean.sum():.1f} %",
        "slope of log variance on log mean": f"{slope:.2f}",
        "variance over mean": spell(np.quantile(variance[seen] / mean[seen], QUANTILES), 2),
        "dispersion within types *": spell(np.nanquantile(within, QUANTILES[1:4]), 2),
        "relative variance between types *": spell(np.quantile(between, QUANTILES[1:4]), 2),
    }


def spell(values: Iterable[float], digits: int) -> str:
    return ", ".join(f"{value:,.{digits}f}" for value in values)


def depth_correlation(pair: Pair) -> float:
    logs = [np.log1p(np.asarray(x.sum(axis=1)).ravel()) for x in (pair.rna, pair.atac)]
    return float(np.corrcoef(*logs)[0, 1])


# how hard the data are ------------------------------------------------------------------------------------


def guidance(genes: pd.DataFrame, peaks: pd.DataFrame, promoter: int = 2_000) -> sparse.csr_matrix:
    """Return which peaks overlap the body or promoter of which genes (peaks x genes)."""
    forward = (genes["strand"] == "+").to_numpy()
    start = genes["start"].to_numpy(dtype=np.float64) - promoter * forward
    end = genes["end"].to_numpy(dtype=np.float64) + promoter * ~forward
    chrom = genes["chrom"].to_numpy(dtype=object)
    rows, columns = [], []
    for name in pd.unique(peaks["chrom"]):
        here = np.flatnonzero((peaks["chrom"] == name).to_numpy())
        here = here[np.argsort(peaks["start"].to_numpy()[here])]
        which = np.flatnonzero(chrom == name)
        first = np.searchsorted(peaks["end"].to_numpy()[here], start[which], side="right")
        stop = np.searchsorted(peaks["start"].to_numpy()[here], end[which], side="left")
        for gene, a, b in zip(which, first, stop, strict=True):
            rows.append(here[a:b])
            columns.append(np.full(max(b - a, 0), gene))
    at = np.concatenate(rows), np.concatenate(columns)
    return sparse.csr_matrix((np.ones(len(at[0])), at), shape=(len(peaks), len(genes)))


def standardised(counts: sparse.csr_matrix) -> NDArray[np.float32]:
    depth = np.asarray(counts.sum(axis=1)).ravel()
    scaled = sparse.diags_array(1e4 / np.maximum(depth, 1)) @ counts
    dense = np.log1p(scaled.toarray()).astype(np.float32)
    dense -= dense.mean(axis=0)
    deviation = dense.std(axis=0)
    return np.clip(dense / np.where(deviation > 0, deviation, 1), -10, 10)


def cca_foscttm(pair: Pair, dimensions: tuple[int, ...] = (5, 10, 20)) -> list[float]:
    """Return FOSCTTM of a diagonal CCA of expression with gene activity, at several numbers of dimensions."""
    rule = guidance(pair.genes, pair.peaks)
    used = np.flatnonzero(np.asarray(rule.sum(axis=0)).ravel() > 0)
    a = standardised(pair.rna[:, used])
    b = standardised(sparse.csr_matrix(pair.atac @ rule[:, used]))
    operator = LinearOperator(
        (len(a), len(b)),
        matvec=lambda v: a @ (b.T @ v),
        rmatvec=lambda v: b @ (a.T @ v),
        matmat=lambda v: a @ (b.T @ v),
        dtype=np.float32,
    )
    u, _, vt = svds(operator, k=max(dimensions), v0=np.ones(len(a), dtype=np.float32))
    left, right = u[:, ::-1], vt.T[:, ::-1]
    return [foscttm(left[:, :k], right[:, :k]) for k in dimensions]


def auroc(score: Floats, positive: NDArray[np.bool_]) -> float:
    rank = rankdata(score)[positive]
    n, m = positive.sum(), (~positive).sum()
    return float((rank.sum() - n * (n + 1) / 2) / (n * m))


def describe_links(data: SimulatedData) -> dict[str, str]:
    truth = data.truth
    gene, peak, distance = candidate_pairs(truth.genes, truth.peaks, 150_000)
    key = gene * len(truth.peaks) + peak
    linked = np.isin(key, truth.links["gene"] * len(truth.peaks) + truth.links["peak"])
    nearest = np.full(len(truth.peaks), np.iinfo(np.int64).max)
    np.minimum.at(nearest, peak, distance)
    rule = guidance(truth.genes, truth.peaks).tocsr()
    guided = np.asarray(rule[peak, gene]).ravel() > 0
    near = distance < 20_000
    a, g = truth.accessibility[:, peak], truth.expression[:, gene]
    a, g = a - a.mean(axis=0), g - g.mean(axis=0)
    correlation = (a * g).sum(axis=0) / np.sqrt((a**2).sum(axis=0) * (g**2).sum(axis=0))
    return {
        "links, all": f"{len(truth.links):,} ({len(truth.links) / len(truth.genes):.1f} a gene)",
        "positive": f"{100 * (truth.links['sign'] > 0).mean():.0f} %",
        "distance from the TSS (bp)": spell(np.quantile(truth.links["distance"], QUANTILES), 0),
        "links whose peak has a nearer gene": f"{100 * (distance > nearest[peak])[linked].mean():.0f} %",
        "pairs within 20 kb that are linked": f"{100 * linked[near].mean():.0f} %",
        "guidance edges that are links (precision)": f"{100 * linked[guided].mean():.0f} %",
        "links that are guidance edges (recall)": f"{100 * guided[linked].mean():.0f} %",
        "AUROC of distance, pairs within 150 kb": f"{auroc(-distance.astype(np.float64), linked):.3f}",
        "the same of the true profiles' absolute correlation": f"{auroc(np.abs(correlation), linked):.3f}",
    }


# report ---------------------------------------------------------------------------------------------------


def table(columns: dict[str, dict[str, str]]) -> list[str]:
    names = list(columns)
    lines = ["| | " + " | ".join(names) + " |", "| --- |" + " --- |" * len(names)]
    rows = next(iter(columns.values()))
    lines += [f"| {row} | " + " | ".join(columns[name][row] for name in names) + " |" for row in rows]
    return [*lines, ""]


def draw(real: Pair, simulated: Pair, path: Path) -> None:
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 3, figsize=(10, 5.6), layout="constrained")
    for row, modality in enumerate(("rna", "atac")):
        for pair, name, colour in ((real, "SNARE-seq", "#1f6f8b"), (simulated, "simulated", "#d1495b")):
            counts = getattr(pair, modality)
            depth = np.log10(np.asarray(counts.sum(axis=1)).ravel())
            rate = np.asarray((counts > 0).mean(axis=0)).ravel()
            mean, variance = moments(counts)
            seen = mean > 0
            axes[row, 0].hist(depth, bins=60, histtype="step", density=True, color=colour, label=name)
            axes[row, 1].plot(
                np.linspace(0, 1, len(rate)), np.sort(np.maximum(rate, 1e-5)), color=colour, label=name
            )
            order = np.argsort(mean[seen])
            bins = np.array_split(order, 40)
            x = [np.median(mean[seen][part]) for part in bins]
            ratio = (variance / np.maximum(mean, 1e-12))[seen]
            for level, style in ((0.25, ":"), (0.5, "-"), (0.75, ":")):
                axes[row, 2].plot(
                    x, [np.quantile(ratio[part], level) for part in bins], style, color=colour, label=name
                )
        axes[row, 0].set(xlabel=f"log10 {modality.upper()} counts of a cell", ylabel="density of cells")
        axes[row, 1].set(xlabel="features, ranked", ylabel="share of cells with it", yscale="log")
        axes[row, 2].set(xlabel="mean of a feature", ylabel="variance / mean (quartiles)", xscale="log")
    axes[0, 2].set_yscale("log", base=2)
    axes[0, 1].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=80)
    plt.close(figure)


def replace_between(path: Path, name: str, lines: list[str]) -> None:
    """Replace what stands between ``<!-- name:begin -->`` and ``<!-- name:end -->`` in a page."""
    text = path.read_text(encoding="utf-8")
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    head, rest = text.split(begin)
    tail = rest.split(end)[1]
    path.write_text(head + begin + "\n" + "\n".join(lines) + end + tail, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=HERE.parent / ".." / "shared" / "data")
    parser.add_argument("--docs", type=Path, default=HERE.parent / "docs")
    options = parser.parse_args()
    page = options.docs / "simulation.md"
    bed = options.data / "annotation" / "mm10.genes.bed.gz"
    real = read_real(options.data / "snare_cortex", bed)
    cells, genes, peaks = real.rna.shape[0], real.rna.shape[1], real.atac.shape[1]

    simulated = as_pair(simulate(cells, genes=genes, peaks=peaks, preset="snare", types=20))
    deep = simulate(3_000, preset="10x")
    columns = {
        f"{title}, {modality.upper()}": describe(
            getattr(pair, modality), pair.cell_type, strongest=400 if modality == "rna" else 1_000
        )
        for modality in ("rna", "atac")
        for title, pair in (("SNARE-seq", real), ("`snare`", simulated), ("`10x`", as_pair(deep)))
    }
    lines = table(columns)
    correlations = [depth_correlation(pair) for pair in (real, simulated, as_pair(deep))]
    lines += [
        "Correlation of the log counts of a cell in the two modalities: "
        f"{correlations[0]:.2f} (SNARE-seq), {correlations[1]:.2f} (`snare`), {correlations[2]:.2f} (`10x`).",
        "",
    ]
    print("\n".join(lines))
    replace_between(page, "fidelity", lines)
    draw(real, simulated, options.docs / "images" / "simulation_fidelity.png")

    tests: dict[str, Pair] = {
        "SNARE-seq, `snare_mini`, 3,000 cells": read_real(options.data / "snare_mini", bed).subset(3_000),
        "SNARE-seq, 3,000 cells, all peaks": real.subset(3_000),
    }
    lines = ["| data | 5 dimensions | 10 | 20 |", "| --- | --- | --- | --- |"]
    for name, pair in tests.items():
        lines.append(f"| {name} | " + " | ".join(f"{x:.3f}" for x in cca_foscttm(pair)) + " |")
    for preset in ("snare", "10x"):
        for seed in range(3):
            scores = cca_foscttm(as_pair(simulate(3_000, preset=preset, seed=seed)))
            lines.append(f"| `{preset}`, seed {seed} | " + " | ".join(f"{x:.3f}" for x in scores) + " |")
    null = cca_foscttm(as_pair(simulate(3_000, preset="10x", regulation=0.0)))
    lines.append("| `10x`, no regulation | " + " | ".join(f"{x:.3f}" for x in null) + " |")
    lines.append("")
    print("\n".join(lines))
    replace_between(page, "difficulty", lines)

    lines = table(
        {
            "`10x`": describe_links(deep),
            "`snare`": describe_links(simulate(500, preset="snare")),
        }
    )
    print("\n".join(lines))
    replace_between(page, "links", lines)

    lines = ["| simulation | cells | seconds |", "| --- | --- | --- |"]
    for preset, number in (("10x", 3_000), ("snare", 3_000)):
        begin = time.perf_counter()
        simulate(number, preset=preset)
        lines.append(f"| `{preset}` | {number:,} | {time.perf_counter() - begin:.1f} |")
    lines.append("")
    print("\n".join(lines))
    replace_between(page, "speed", lines)


if __name__ == "__main__":
    main()
