"""Where simulated genes and peaks lie, and which peaks regulate which genes."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

REACH: Final = 250_000  # no link is longer, base pairs
PROMOTER: Final = 2_000  # a peak so near to the TSS belongs to the promoter, base pairs
_DECAY: Final = 90_000.0  # e-folding distance of the chance of a link, base pairs
_PROMOTER_CHANCE: Final = 0.7
_BODY_FACTOR: Final = 2.0
_MOST_CHANCE: Final = 0.9
_POSITIVE: Final = 0.85
_GENE_LENGTH, _GENE_LENGTH_SD = 20_000.0, 1.1


def place_genes(number: int, spacing: float, rng: np.random.Generator) -> pd.DataFrame:
    """Place genes on chromosomes, in clusters, with log-normal lengths.

    Parameters
    ----------
    number
        Number of genes.
    spacing
        Mean distance between neighbouring transcription start sites, base pairs.
    rng
        Source of randomness.

    Returns
    -------
    One row a gene, in genomic order, indexed by name (``Sim0001``): ``gene_id``, ``chrom``, ``start``,
    ``end`` (0-based, half-open), ``strand`` and ``tss`` (position of the first transcribed base).
    """
    chromosomes = int(np.clip(round(number / 120), 2, 22))
    weights = np.linspace(1.0, 0.3, chromosomes)
    chrom = np.sort(rng.choice(chromosomes, size=number, p=weights / weights.sum()))
    gaps = 500 + rng.gamma(0.6, spacing / 0.6, size=number)
    tss = np.zeros(number, dtype=np.int64)
    for code in range(chromosomes):
        here = chrom == code
        tss[here] = REACH + np.cumsum(gaps[here]).astype(np.int64)
    length = np.exp(rng.normal(np.log(_GENE_LENGTH), _GENE_LENGTH_SD, size=number)).clip(500, 400_000)
    forward = rng.random(number) < 0.5
    start = np.where(forward, tss, np.maximum(tss + 1 - length.astype(np.int64), 1_000))
    end = np.where(forward, tss + length.astype(np.int64), tss + 1)
    order = np.lexsort((end, start, chrom))
    digits = max(4, len(str(number)))
    return pd.DataFrame(
        {
            "gene_id": [f"ENSG9{i + 1:010d}" for i in range(number)],
            "chrom": [f"chr{code + 1}" for code in chrom[order]],
            "start": start[order],
            "end": end[order],
            "strand": np.where(forward[order], "+", "-").astype(object),
            "tss": tss[order],
        },
        index=pd.Index([f"Sim{i + 1:0{digits}d}" for i in range(number)], name="gene"),
    )


def place_peaks(
    genes: pd.DataFrame, number: int, width: float, width_sd: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Place peaks at promoters, in gene bodies and between genes; sorted, none overlapping another.

    Parameters
    ----------
    genes
        As `place_genes` returns them.
    number
        Number of peaks.
    width, width_sd
        Median (base pairs) and log standard deviation of the widths.
    rng
        Source of randomness.

    Returns
    -------
    One row a peak, in genomic order, indexed by name (``chr1:100-600``): ``chrom``, ``start``, ``end``.
    """
    codes = genes["chrom"].str[3:].to_numpy().astype(np.int64)
    chrom, centre = _promoter_centres(genes, codes, number, rng)
    start, end = _spans(centre, width, width_sd, rng)
    chrom, start, end = _apart(chrom, start, end)
    while len(chrom) < number:
        more, centre = _other_centres(genes, codes, number - len(chrom), rng)
        more_start, more_end = _spans(centre, width, width_sd, rng)
        chrom, start, end = _apart(
            np.concatenate([chrom, more]),
            np.concatenate([start, more_start]),
            np.concatenate([end, more_end]),
        )
    names = [f"chr{c}:{s}-{e}" for c, s, e in zip(chrom, start, end, strict=True)]
    return pd.DataFrame(
        {"chrom": [f"chr{c}" for c in chrom], "start": start, "end": end}, index=pd.Index(names, name="peak")
    )


def _promoter_centres(
    genes: pd.DataFrame, codes: NDArray[np.int64], number: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    count = min(int(0.75 * len(genes)), number // 3)
    chosen = np.sort(rng.choice(len(genes), size=count, replace=False))
    centre = genes["tss"].to_numpy()[chosen] + rng.integers(-300, 300, size=count)
    return codes[chosen], centre


def _other_centres(
    genes: pd.DataFrame, codes: NDArray[np.int64], number: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return centres in gene bodies (a fifth), near genes (Laplace, half) and anywhere (the rest)."""
    gene = rng.integers(len(genes), size=number)
    start, end, tss = (genes[column].to_numpy()[gene] for column in ("start", "end", "tss"))
    lengths = np.zeros(codes.max() + 1, dtype=np.int64)
    np.maximum.at(lengths, codes, genes["end"].to_numpy())
    last = lengths[codes[gene]] + REACH
    body = start + rng.random(number) * (end - start)
    near = tss + rng.laplace(0.0, 80_000.0, size=number)
    anywhere = rng.random(number) * last
    kind = rng.random(number)
    centre = np.where(kind < 0.2, body, np.where(kind < 0.7, near, anywhere))
    return codes[gene], np.clip(centre, 2_000, last).astype(np.int64)


def _spans(
    centre: NDArray[np.int64], width: float, width_sd: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    drawn = np.exp(rng.normal(np.log(width / 2.0), width_sd, size=len(centre)))
    half = drawn.clip(40, 1_000).astype(np.int64)
    return centre - half, centre + half


def _apart(
    chrom: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Sort intervals and leave out those that overlap or touch the one kept before."""
    order = np.lexsort((start, chrom))
    chrom, start, end = chrom[order], start[order], end[order]
    keep = np.ones(len(chrom), dtype=bool)
    last_chrom, last_end = -1, -1
    for i, (c, s, e) in enumerate(zip(chrom.tolist(), start.tolist(), end.tolist(), strict=True)):
        if c == last_chrom and s <= last_end:
            keep[i] = False
        else:
            last_chrom, last_end = c, e
    return chrom[keep], start[keep], end[keep]


def distance_to_tss(
    tss: NDArray[np.int64], start: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return base pairs between a TSS and the nearest base of an interval (0 where it covers the TSS)."""
    distance: NDArray[np.int64] = np.maximum(np.maximum(start - tss, tss - (end - 1)), 0)
    return distance


def _rows_by_chromosome(table: pd.DataFrame) -> dict[str, NDArray[np.int64]]:
    chrom = table["chrom"].to_numpy()
    return {str(name): np.flatnonzero(chrom == name) for name in pd.unique(chrom)}


def candidate_pairs(
    genes: pd.DataFrame, peaks: pd.DataFrame, reach: int = REACH
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return all gene-peak pairs within reach of the TSS.

    Parameters
    ----------
    genes, peaks
        As `place_genes` and `place_peaks` return them.
    reach
        Longest distance, base pairs.

    Returns
    -------
    Positions of the genes, positions of the peaks, distances in base pairs (each int64, pairs).
    """
    found: list[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]] = []
    peak_rows = _rows_by_chromosome(peaks)
    for chrom, gene_rows in _rows_by_chromosome(genes).items():
        if chrom not in peak_rows:
            continue
        rows = peak_rows[chrom]
        start, end = peaks["start"].to_numpy()[rows], peaks["end"].to_numpy()[rows]
        tss = genes["tss"].to_numpy()[gene_rows]
        first = np.searchsorted(end - 1, tss - reach, side="left")
        stop = np.searchsorted(start, tss + reach, side="right")
        count = stop - first
        gene = np.repeat(np.arange(len(gene_rows)), count)
        peak = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
        distance = distance_to_tss(tss[gene], start[peak], end[peak])
        found.append((gene_rows[gene], rows[peak], distance))
    if not found:
        empty = np.empty(0, dtype=np.int64)
        return empty, empty, empty
    genes_at, peaks_at, distances = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((peaks_at, genes_at))
    return genes_at[order], peaks_at[order], distances[order]


def draw_links(
    genes: pd.DataFrame, peaks: pd.DataFrame, per_gene: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Draw regulatory links among the pairs within reach.

    The chance of a link is 0.7 at the promoter and falls as ``exp(-distance / 90 kb)`` elsewhere, twice as
    high within the gene body, scaled so that a gene has `per_gene` links on average (no chance above 0.9).

    Parameters
    ----------
    genes, peaks
        As `place_genes` and `place_peaks` return them.
    per_gene
        Mean number of links of a gene.
    rng
        Source of randomness.

    Returns
    -------
    One row a link: ``gene`` and ``peak`` (positions), ``sign`` (int8; 85 % of the distal links and all
    promoter links are positive), ``raw`` (positive weight before scaling) and ``distance`` (base pairs from
    the TSS).
    """
    gene, peak, distance = candidate_pairs(genes, peaks)
    centre = (peaks["start"].to_numpy()[peak] + peaks["end"].to_numpy()[peak]) // 2
    in_body = (centre >= genes["start"].to_numpy()[gene]) & (centre < genes["end"].to_numpy()[gene])
    promoter = distance < PROMOTER
    chance = np.exp(-distance / _DECAY) * np.where(in_body, _BODY_FACTOR, 1.0)
    chance[promoter] = 0.0
    wanted = max(per_gene * len(genes) - _PROMOTER_CHANCE * promoter.sum(), 0.0)
    chance = np.minimum(chance * wanted / max(chance.sum(), 1e-12), _MOST_CHANCE)
    affordable = per_gene * len(genes) / max(promoter.sum(), 1)
    chance[promoter] = min(_PROMOTER_CHANCE, affordable)
    linked = rng.random(len(chance)) < chance
    sign = np.where((rng.random(len(chance)) < _POSITIVE) | promoter, 1, -1)
    raw = rng.gamma(4.0, 0.25, size=len(chance)) * np.where(promoter, 1.5, 1.0)
    return pd.DataFrame(
        {
            "gene": gene[linked],
            "peak": peak[linked],
            "sign": sign[linked].astype(np.int8),
            "raw": raw[linked],
            "distance": distance[linked],
        }
    )
