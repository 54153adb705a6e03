"""Edges from coordinates and names."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omicsglue.errors import GraphError, OmicsGlueWarning, OptionError
from omicsglue.graph import by_name, from_genome
from omicsglue.graph.rules import distance_weight, gene_regions
from omicsglue.pp.annotate import annotate_genes, annotate_peaks

GENES = pd.DataFrame(
    {
        "chrom": ["chr1", "chr1", "chr2", np.nan],
        "start": [10_000, 50_000, 1_000, -1],
        "end": [20_000, 60_000, 2_000, -1],
        "strand": ["+", "-", "+", "."],
    },
    index=["plus", "minus", "edge", "nowhere"],
)


def peaks(*places: tuple[str, int, int]) -> pd.DataFrame:
    index = [f"{chrom}:{start}-{end}" for chrom, start, end in places]
    return pd.DataFrame(places, columns=["chrom", "start", "end"], index=index)


def linked(*places: tuple[str, int, int], **options: object) -> set[tuple[str, str]]:
    graph = from_genome(GENES, peaks(*places), **options)  # type: ignore[arg-type]
    return set(graph.to_frame()[["source", "target"]].itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("start", "end", "gene"),
    [
        (7_900, 8_000, None),
        (7_900, 8_001, "plus"),  # the first base of the promoter
        (19_999, 20_100, "plus"),
        (20_000, 20_100, None),  # downstream
        (49_900, 50_000, None),  # downstream of the minus gene
        (49_900, 50_001, "minus"),
        (61_999, 62_100, "minus"),  # promoter of the minus gene
        (62_000, 62_100, None),
    ],
)
def test_gene_body_and_promoter_by_strand(start: int, end: int, gene: str | None) -> None:
    place = ("chr1", start, end)
    sure = ("chr2", 1_500, 1_600)
    expected = {("edge", "chr2:1500-1600")} | ({(gene, f"chr1:{start}-{end}")} if gene else set())
    assert linked(place, sure) == expected


def test_attributes_and_order() -> None:
    graph = from_genome(GENES, peaks(("chr2", 1_100, 1_200), ("chr1", 100, 200), ("chr1", 11_000, 11_100)))
    assert graph.vertices.tolist() == ["plus", "minus", "edge", "chr2:1100-1200", "chr1:11000-11100"]
    frame = graph.to_frame()
    assert frame["source"].tolist() == ["plus", "edge"]
    assert frame["weight"].tolist() == [1, 1]
    assert frame["sign"].tolist() == [1, 1]
    assert frame["kind"].tolist() == ["overlap", "overlap"]
    assert frame["distance"].tolist() == [0, 0]
    assert graph.isolated.tolist() == ["minus"]


def test_isolated_features_are_kept_on_demand() -> None:
    places = peaks(("chr1", 100, 200), ("chr1", 11_000, 11_100))
    assert from_genome(GENES, places, keep_isolated=True).isolated.tolist() == [
        "minus",
        "edge",
        "chr1:100-200",
    ]


@settings(max_examples=40, deadline=None)
@given(
    window=st.integers(1, 30_000),
    anchor=st.sampled_from(["gene", "promoter"]),
    starts=st.lists(st.integers(0, 90_000), min_size=1, max_size=8, unique=True),
)
def test_windows_equal_brute_force(window: int, anchor: str, starts: list[int]) -> None:
    table = peaks(*(("chr1", start, start + 500) for start in starts), ("chr2", 1_000, 1_500))
    graph = from_genome(GENES, table, window=window, anchor=anchor)  # type: ignore[arg-type]
    regions = {
        "gene": {"plus": (8_000, 20_000), "minus": (50_000, 62_000), "edge": (0, 2_000)},
        "promoter": {"plus": (8_000, 10_001), "minus": (59_999, 62_000), "edge": (0, 1_001)},
    }[anchor]
    expected = {}
    for gene, (low, high) in regions.items():
        for name, (chrom, start, end) in table[["chrom", "start", "end"]].T.items():
            if chrom == GENES.loc[gene, "chrom"] and start < high + window and end > low - window:
                gap = max(0, start - high, low - end)
                overlap = start < high and end > low
                expected[gene, name] = (gap, "overlap" if overlap else "window")
    frame = graph.to_frame().set_index(["source", "target"])
    assert {key: (row.distance, row.kind) for key, row in frame.iterrows()} == expected
    assert np.allclose(frame["weight"], [((d + 1000) / 1000) ** -0.75 for d in frame["distance"]])


def test_distance_weight() -> None:
    assert distance_weight(np.array([0, 1000, 149_000])).tolist() == pytest.approx([1, 2**-0.75, 150**-0.75])


def test_unstranded_genes_have_promoters_on_both_ends() -> None:
    genes = GENES.iloc[[0]].assign(strand=".")
    assert gene_regions(genes).iloc[0].tolist() == ["chr1", 8_000, 22_000]
    with pytest.raises(GraphError, match="without a strand have no promoter: plus"):
        gene_regions(genes, anchor="promoter")


def test_spelling_of_chromosomes_does_not_matter() -> None:
    assert linked(("1", 11_000, 11_100)) == {("plus", "1:11000-11100")}
    scaffold = GENES.iloc[[0]].assign(chrom="chrUn_KI270302v1")
    assert from_genome(scaffold, peaks(("KI270302.1", 11_000, 11_100))).n_edges == 1


def test_three_modalities_with_signs() -> None:
    atac = peaks(("chr1", 11_000, 11_100))
    meth = GENES.iloc[:2].rename(index="meth:{}".format)
    for signs in ([1, -1], {"meth": -1}):
        graph = from_genome(GENES, atac, meth, signs=signs, names=["rna", "atac", "meth"])  # type: ignore[arg-type]
        frame = graph.to_frame()
        assert dict(zip(frame["target"], frame["sign"], strict=True)) == {
            "chr1:11000-11100": 1,
            "meth:plus": -1,
            "meth:minus": -1,
        }


def test_anndata_and_its_var_give_the_same() -> None:
    table = peaks(("chr1", 11_000, 11_100))
    rna, atac = (ad.AnnData(np.ones((1, len(var))), var=var) for var in (GENES, table))
    assert from_genome(rna, atac).equals(from_genome(GENES, table))


def test_categorical_coordinates() -> None:
    genes = GENES.astype({"chrom": "category", "strand": "category"})
    assert from_genome(genes, peaks(("chr1", 11_000, 11_100)).astype({"chrom": "category"})).n_edges == 1


@pytest.mark.parametrize(
    ("genes", "features", "message"),
    [
        (GENES.drop(columns="chrom"), peaks(("chr1", 1, 2)), "rna: no coordinates: var lacks chrom"),
        (GENES, peaks(("chr1", 1, 2)).drop(columns="end"), "modality 2: no coordinates: var lacks end"),
        (GENES.iloc[[3]], peaks(("chr1", 1, 2)), "none of the 1 features has coordinates"),
        (GENES, peaks(("chr9", 1, 2)), "no chromosome is in both: rna has chr1, chr2; modality 2 has chr9"),
        (GENES, peaks(("chr1", 11_000, 11_100)).rename(index=lambda _: "plus"), "named more than once: plus"),
    ],
)
def test_what_cannot_be_linked(genes: pd.DataFrame, features: pd.DataFrame, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        from_genome(genes, features)


@pytest.mark.parametrize(
    "options",
    [
        {"promoter": -1},
        {"window": -1},
        {"anchor": "tss"},
        {"signs": [1, -1]},
        {"signs": {"atac": 1}},
        {"names": ["rna"]},
    ],
)
def test_impossible_options(options: dict) -> None:
    with pytest.raises(OptionError):
        from_genome(GENES, peaks(("chr1", 11_000, 11_100)), **options)


def test_genes_alone_and_wrong_signs() -> None:
    with pytest.raises(OptionError, match="nothing to link"):
        from_genome(GENES)
    with pytest.raises(GraphError, match="signs"):
        from_genome(GENES, peaks(("chr1", 11_000, 11_100)), signs=[0])


def test_by_name_with_prefix_and_mapping() -> None:
    graph = by_name(["CD4", "CD8A", "X"], ["adt:CD4", "adt:none"], prefix="adt:")
    assert graph.to_frame()[["source", "target"]].values.tolist() == [["CD4", "adt:CD4"]]
    assert graph.vertices.tolist() == ["CD4", "CD8A", "X", "adt:CD4"]
    mapped = by_name(
        ["CD8A", "CD8B"], {"CD8": ["CD8A", "CD8B"], "q": "?"}, sign=-1, kind="protein", keep_isolated=True
    )
    assert mapped.to_frame()[["source", "target", "sign", "kind"]].values.tolist() == [
        ["CD8A", "CD8", -1, "protein"],
        ["CD8B", "CD8", -1, "protein"],
    ]
    assert mapped.isolated.tolist() == ["q"]


def test_by_name_failures() -> None:
    with pytest.raises(GraphError, match="no name is on both sides"):
        by_name(["a"], ["b"])
    with pytest.raises(GraphError, match="no name is on both sides"):
        by_name(["a"], [])
    with pytest.raises(GraphError, match="named more than once: CD4"):
        by_name(["CD4"], ["CD4"])
    with pytest.raises(GraphError, match="named more than once: a"):
        by_name(["a", "a"], {"x": "a"})


@pytest.mark.data
@pytest.mark.parametrize(("name", "n_peaks"), [("snare_mini", 4_161), ("snare_cortex", 16_650)])
def test_real_data(shared_data: Path, name: str, n_peaks: int) -> None:
    rna, atac = (ad.read_h5ad(shared_data / name / f"{m}.h5ad") for m in ("rna", "atac"))
    annotate_genes(rna, shared_data / "annotation/mm10.genes.gtf.gz")
    annotate_peaks(atac)
    graph = from_genome(rna, atac)
    assert np.isin(graph.vertices, rna.var_names).sum() == 1597
    assert len(np.unique(graph.target)) == n_peaks == graph.n_vertices - 1597
    shifted = atac.var.assign(start=atac.var["start"] + 654_321, end=atac.var["end"] + 654_321)
    with pytest.warns(OmicsGlueWarning, match="different genome builds"):
        from_genome(rna, shifted, names=["rna", "atac"])
    assert from_genome(rna, shifted, check_build=False).n_edges > 0
