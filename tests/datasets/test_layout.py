from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omicsglue.datasets.layout import (
    REACH,
    candidate_pairs,
    distance_to_tss,
    draw_links,
    place_genes,
    place_peaks,
)


def genome(genes: int, peaks: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    table = place_genes(genes, max(100_000.0, 5_000.0 * peaks / genes), rng)
    return table, place_peaks(table, peaks, 500.0, 0.4, rng)


@settings(deadline=None, max_examples=25)
@given(genes=st.integers(10, 300), peaks=st.integers(10, 3_000), seed=st.integers(0, 100))
def test_places_are_sound(genes: int, peaks: int, seed: int) -> None:
    g, p = genome(genes, peaks, seed)
    assert len(g) == genes
    assert len(p) == peaks
    assert g.index.is_unique
    assert p.index.is_unique
    assert (g["start"] >= 0).all()
    assert (g["start"] < g["end"]).all()
    assert (g["tss"] == np.where(g["strand"] == "+", g["start"], g["end"] - 1)).all()
    for table in (g, p):
        order = np.lexsort((table["start"], table["chrom"].str[3:].astype(int)))
        assert (order == np.arange(len(table))).all()
    apart = (p["chrom"].to_numpy()[1:] != p["chrom"].to_numpy()[:-1]) | (
        p["start"].to_numpy()[1:] > p["end"].to_numpy()[:-1]
    )
    assert apart.all()
    width = p["end"] - p["start"]
    assert width.between(50, 2_000).all()
    assert (p["start"] >= 0).all()


def test_peak_names_spell_their_places() -> None:
    _, p = genome(50, 400, 0)
    expected = p["chrom"] + ":" + p["start"].astype(str) + "-" + p["end"].astype(str)
    assert (expected == p.index).all()


def test_distance_to_tss() -> None:
    tss = np.array([100, 100, 100, 100])
    start, end = np.array([101, 50, 90, 200]), np.array([110, 100, 101, 300])
    # bases 50..99 end one base before the TSS; 90..100 cover it
    assert distance_to_tss(tss, start, end).tolist() == [1, 1, 0, 100]


def test_candidate_pairs_agree_with_all_pairs() -> None:
    g, p = genome(40, 300, 3)
    gene, peak, distance = candidate_pairs(g, p, 80_000)
    expected = {
        (i, j): d
        for i, (chrom, tss) in enumerate(zip(g["chrom"], g["tss"], strict=True))
        for j, (c, s, e) in enumerate(p.itertuples(index=False))
        if c == chrom and (d := max(s - tss, tss - (e - 1), 0)) <= 80_000
    }
    assert (
        dict(zip(zip(gene.tolist(), peak.tolist(), strict=True), distance.tolist(), strict=True)) == expected
    )


def test_links_thin_out_with_distance_but_many_skip_a_gene() -> None:
    g, p = genome(1_500, 20_000, 1)
    links = draw_links(g, p, 5.0, np.random.default_rng(2))
    assert len(links) / len(g) == pytest.approx(5.0, rel=0.1)
    assert links["distance"].between(0, REACH).all()
    assert not links.duplicated(["gene", "peak"]).any()
    gene, peak, distance = candidate_pairs(g, p)
    linked = np.isin(gene * len(p) + peak, links["gene"] * len(p) + links["peak"])
    share = [
        linked[(distance >= a) & (distance < b)].mean() for a, b in ((2e3, 4e4), (4e4, 1e5), (1e5, 2.5e5))
    ]
    assert share[0] > 1.5 * share[1] > 2 * share[2] > 0
    assert share[0] < 0.6  # distance alone does not tell
    nearest = pd.Series(distance).groupby(peak).transform("min").to_numpy()
    assert (distance > nearest)[linked].mean() > 0.25
    distal = links["distance"] >= 2_000
    assert (links.loc[~distal, "sign"] == 1).all()
    assert (links.loc[distal, "sign"] == -1).mean() == pytest.approx(0.15, abs=0.03)


def test_few_links_are_possible() -> None:
    g, p = genome(500, 5_000, 1)
    links = draw_links(g, p, 0.2, np.random.default_rng(2))
    assert len(links) / len(g) == pytest.approx(0.2, abs=0.1)
