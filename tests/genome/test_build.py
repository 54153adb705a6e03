"""Right and wrong genome builds, simulated and real."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from omicsglue.genome.annotation import read_annotation
from omicsglue.genome.build import BuildAgreement, build_agreement
from omicsglue.genome.matching import match_genes
from omicsglue.genome.names import parse_peak_names


def genome(
    rng: np.random.Generator, n_genes: int = 1500, n_peaks: int = 4000
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Genes at random places; a fifth of the peaks at their starts."""
    start = rng.integers(2_000_000, 100_000_000, n_genes)
    genes = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 20_000})
    genes["strand"] = rng.choice(["+", "-"], n_genes)
    tss = np.where(genes["strand"] == "+", start, start + 19_999)
    near = tss[rng.integers(n_genes, size=n_peaks // 5)] + rng.integers(-300, 300, n_peaks // 5)
    centre = np.concatenate([near, rng.integers(2_000_000, 100_000_000, n_peaks - len(near))])
    return genes, pd.DataFrame({"chrom": "1", "start": centre - 200, "end": centre + 201})


def moved(peaks: pd.DataFrame, bases: int) -> pd.DataFrame:
    return peaks.assign(start=peaks["start"] + bases, end=peaks["end"] + bases)


def test_right_build_is_trusted_and_shifted_ones_are_not() -> None:
    genes, peaks = genome(np.random.default_rng(0))
    right = build_agreement(genes, peaks)
    assert right.observed > 0.2
    assert not right.suspicious
    for bases in (33_333, -777_777, 1_500_000):
        wrong = build_agreement(genes, moved(peaks, bases))
        assert wrong.suspicious, str(wrong)
        assert wrong.ratio < 1.5


def test_shares_equal_a_plain_count() -> None:
    genes = pd.DataFrame(
        {"chrom": ["chr1"] * 2, "start": [10_000, 50_000], "end": [20_000, 60_000], "strand": ["+", "-"]}
    )
    centre = np.array([9_000, 11_000, 11_001, 20_000, 59_999, 50_000])
    peaks = pd.DataFrame({"chrom": "chr1", "start": centre - 1, "end": centre + 1})
    assert build_agreement(genes, peaks).observed == pytest.approx(3 / 6)


def test_few_features_raise_no_alarm() -> None:
    genes, peaks = genome(np.random.default_rng(1), n_genes=30, n_peaks=60)
    assert not build_agreement(genes, moved(peaks, 500_000)).suspicious


def test_tiles_of_the_genome_are_not_judged() -> None:
    genes, _ = genome(np.random.default_rng(2))
    start = np.arange(0, 100_000_000, 5000)
    tiles = pd.DataFrame({"chrom": "chr1", "start": start, "end": start + 5000})
    agreement = build_agreement(genes, tiles)
    assert not agreement.are_peaks
    assert not agreement.suspicious


def test_distal_elements_raise_no_alarm() -> None:
    genes, peaks = genome(np.random.default_rng(5), n_genes=3000, n_peaks=20_000)
    tss = np.sort(np.where(genes["strand"] == "+", genes["start"], genes["end"] - 1))
    centre = ((peaks["start"] + peaks["end"]) // 2).to_numpy()
    place = np.searchsorted(tss, centre).clip(1, len(tss) - 1)
    far = np.minimum(np.abs(tss[place] - centre), np.abs(tss[place - 1] - centre)) > 950
    agreement = build_agreement(genes, peaks[far])
    assert agreement.ratio < 0.3
    assert not agreement.suspicious
    assert build_agreement(genes, moved(peaks[far], 700_000)).suspicious


def test_gene_bodies_are_not_judged() -> None:
    genes, _ = genome(np.random.default_rng(4))
    bodies = moved(genes[["chrom", "start", "end"]], 300_000)
    assert not build_agreement(genes, bodies).suspicious


def test_no_common_chromosome() -> None:
    genes, peaks = genome(np.random.default_rng(3))
    agreement = build_agreement(genes, peaks.assign(chrom="chr2"))
    assert agreement.n_peaks == 0
    assert not agreement.suspicious
    assert "no peak" in str(agreement)


def test_report_reads_as_a_sentence() -> None:
    text = str(BuildAgreement(10, 1000, 1000, 0.1, 0.01, are_peaks=True))
    assert (
        text
        == "10.00% of 1,000 peaks lie within 1,000 bases of the TSS of one of 10 genes; 1.00% would by chance"
    )


@pytest.mark.data
@pytest.mark.parametrize("name", ["snare_mini", "snare_cortex"])
def test_real_data_on_right_and_wrong_builds(shared_data: Path, name: str) -> None:
    import anndata as ad

    genes = ad.read_h5ad(shared_data / name / "rna.h5ad", backed="r").var_names
    peaks = parse_peak_names(ad.read_h5ad(shared_data / name / "atac.h5ad", backed="r").var_names)
    mouse = read_annotation(shared_data / "annotation/mm10.genes.gtf.gz")
    human = read_annotation(shared_data / "annotation/hg38.genes.gtf.gz")
    right = match_genes(genes, mouse).coordinates
    wrong = match_genes([gene.upper() for gene in genes], human).coordinates
    assert build_agreement(right, peaks).ratio > 20
    assert not build_agreement(mouse, peaks).suspicious
    assert build_agreement(wrong, peaks).suspicious
    assert build_agreement(human, peaks).suspicious
    rng = np.random.default_rng(0)
    for n_genes, n_peaks in ((20, 50), (100, 500), (500, 2000), (1000, 4000)):
        for _ in range(10):
            some = right.iloc[rng.choice(len(right), n_genes, replace=False)]
            assert not build_agreement(
                some, peaks.iloc[rng.choice(len(peaks), n_peaks, replace=False)]
            ).suspicious


@pytest.mark.data
def test_tested_enhancers_are_distal_and_pass_on_their_own_build(shared_data: Path) -> None:
    path = shared_data / "evidence/EPCrisprBenchmark_combined_data.training_K562.GRCh38.tsv.gz"
    tested = pd.read_csv(path, sep="\t", usecols=["chrom", "chromStart", "chromEnd"]).drop_duplicates()
    tested.columns = pd.Index(["chrom", "start", "end"])
    for genome_name, alarm in (("hg38", False), ("mm10", True)):
        genes = read_annotation(shared_data / f"annotation/{genome_name}.genes.gtf.gz")
        assert build_agreement(genes, tested).suspicious is alarm
