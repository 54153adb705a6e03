"""Whether genes and peaks come from one genome build: the commonest mistake with annotations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import pdtr

from omicsglue.genome.intervals import has_coordinates, nearest_distance
from omicsglue.genome.names import chrom_keys
from omicsglue.keys import CHROM, END, START, STRAND

Integers = npt.NDArray[np.int64]

# Displacements of the peaks that show what chance gives at the local density of genes: beyond the reach of a
# promoter, within a neighbourhood of like density, and no round numbers, lest a true offset be among them.
_SHIFTS = tuple(sign * size for size in (53_100, 107_900, 211_300, 397_700, 811_900) for sign in (1, -1))
# Wider features (gene bodies, tiles) are no peaks.
_WIDEST = 5000
# On real data the ratio was 6 to 62 on the right build and 0.7 to 1.3 on another genome's; how these limits
# were chosen is told in docs/guidance-graph.md.
_RIGHT, _SUSPECT, _LEVEL = 4.0, 1.7, 1e-3
# With fewer genes or peaks, the displaced peaks are too few and too dependent to say what chance gives.
_FEWEST_GENES, _FEWEST_PEAKS = 20, 100
# Sets of distal elements, from which promoters were taken out, avoid TSSs on the right build (ratio 0.2).
_AVOIDING = 0.5


@dataclass(frozen=True)
class BuildAgreement:
    """How often peaks lie near transcription start sites (TSS), and how often they would by chance.

    Attributes
    ----------
    n_genes, n_peaks
        Features on common chromosomes that were compared.
    near
        What counts as near, in bases.
    observed
        Share of peaks whose centre lies within `near` bases of a TSS.
    expected
        The same for peaks displaced by 53 to 812 kb; NaN if nothing could be compared.
    are_peaks
        Whether the features are narrow (median width at most 5 kb) and no tiles of the genome (one width,
        starts at its multiples). Gene bodies and tiles need not lie near TSSs, so they are never suspicious.
    """

    n_genes: int
    n_peaks: int
    near: int
    observed: float
    expected: float
    are_peaks: bool

    @property
    def ratio(self) -> float:
        """Observed over expected share: far above 1 on one build, about 1 on different ones."""
        return self.observed / self.expected if self.expected > 0 else math.nan

    @property
    def suspicious(self) -> bool:
        """Whether a wrong build is likely.

        True where the peaks are hardly nearer to TSSs than by chance (ratio under 1.7) and there are enough
        of them to tell: as few near peaks as were seen have a chance of under 0.001 if the true ratio is 4.
        Peaks that clearly avoid TSSs (ratio under 0.5, chance of so few under 0.001 if the true ratio is 1)
        are distal elements on the right build, and are let pass. Fewer than 20 genes or 100 peaks are never
        suspicious: they cannot tell.
        """
        if not self.are_peaks or not self.expected > 0:
            return False
        if self.n_genes < _FEWEST_GENES or self.n_peaks < _FEWEST_PEAKS:
            return False
        seen, chance = round(self.observed * self.n_peaks), self.expected * self.n_peaks
        avoiding = self.ratio < _AVOIDING and pdtr(seen, chance) < _LEVEL
        return bool(self.ratio < _SUSPECT and pdtr(seen, _RIGHT * chance) < _LEVEL and not avoiding)

    def __str__(self) -> str:
        """Return the comparison in a sentence."""
        if not self.n_peaks:
            return "no peak shares a chromosome with a gene"
        return (
            f"{self.observed:.2%} of {self.n_peaks:,} peaks lie within {self.near:,} bases of the TSS of one "
            f"of {self.n_genes:,} genes; {self.expected:.2%} would by chance"
        )


def build_agreement(genes: pd.DataFrame, peaks: pd.DataFrame, *, near: int = 1000) -> BuildAgreement:
    """Measure whether peaks gather at transcription start sites, as they do where the genome build is right.

    The share of peaks near a TSS is compared with that of the same peaks displaced along their
    chromosomes (in a circle), which keeps their number, spacing and the local density of genes.

    Parameters
    ----------
    genes
        `chrom`, `start`, `end`, `strand` (`adata.var` after `annotate_genes`); rows without coordinates
        are left out.
    peaks
        `chrom`, `start`, `end` (`adata.var` after `annotate_peaks`).
    near
        Bases between the centre of a peak and a TSS that count as near.

    Returns
    -------
    BuildAgreement
        The shares, and whether they are suspicious.
    """
    genes, peaks = genes[has_coordinates(genes)], peaks[has_coordinates(peaks)]
    names = np.concatenate([chrom_keys(table[CHROM].astype(object)) for table in (genes, peaks)])
    codes, unique = pd.factorize(names)
    gene_chrom, peak_chrom = codes[: len(genes)].astype(np.int64), codes[len(genes) :].astype(np.int64)
    on_both = np.isin(peak_chrom, gene_chrom)
    start, end = (peaks[key].to_numpy(dtype=np.int64) for key in (START, END))
    are_peaks = _are_peaks(start, end)
    centre, peak_chrom = ((start + end) // 2)[on_both], peak_chrom[on_both]
    n_genes = int(np.isin(gene_chrom, peak_chrom).sum())
    if not len(centre):
        return BuildAgreement(n_genes, 0, near, math.nan, math.nan, are_peaks)
    tss = _tss(genes)
    length = np.zeros(len(unique), dtype=np.int64)
    np.maximum.at(length, gene_chrom, tss + 1)
    np.maximum.at(length, peak_chrom, centre + 1)

    def share(shift: int) -> float:
        moved = (centre + shift) % length[peak_chrom]
        return float((nearest_distance(moved, peak_chrom, tss, gene_chrom) <= near).mean())

    expected = float(np.mean([share(shift) for shift in _SHIFTS]))
    return BuildAgreement(n_genes, len(centre), near, share(0), expected, are_peaks)


def _tss(genes: pd.DataFrame) -> Integers:
    start, end = (genes[key].to_numpy(dtype=np.int64) for key in (START, END))
    if STRAND not in genes:
        return start
    return np.asarray(
        np.where(genes[STRAND].astype(object).to_numpy() == "-", end - 1, start), dtype=np.int64
    )


def _are_peaks(start: Integers, end: Integers) -> bool:
    if not len(start):
        return False
    width = int(np.median(end - start))
    tiles = ((end - start == width) & (start % width == 0)).mean() > 0.9
    return bool(width <= _WIDEST and not tiles)
