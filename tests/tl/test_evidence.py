from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omicsglue.errors import InputError, OptionError
from omicsglue.genome.annotation import read_annotation
from omicsglue.genome.evidence import Evidence, read_evidence
from omicsglue.graph import GuidanceGraph
from omicsglue.tl.evidence import evidence_edges, match_evidence

Interval = tuple[str, int, int]


def pairs(rows: list[dict[str, object]]) -> pd.DataFrame:
    """Return a table of evidence; what is not told is not known."""
    blank = {"chrom1": np.nan, "start1": -1, "end1": -1, "gene": np.nan, "gene_id": np.nan, "score": np.nan}
    table = pd.DataFrame([blank | row for row in rows])
    table["positive"] = pd.array([row.get("positive", pd.NA) for row in rows], dtype="boolean")
    return table.astype({"gene": object, "gene_id": object, "chrom1": object})


def between(first: Interval, second: Interval, kind: str = "bedpe") -> Evidence:
    one = dict(zip(("chrom1", "start1", "end1"), first, strict=True))
    two = dict(zip(("chrom2", "start2", "end2"), second, strict=True))
    by = "domain" if kind == "tad" else "ends"
    return Evidence("x", kind, by, pairs([one | two]))  # type: ignore[arg-type]


def of_genes(rows: list[tuple[str, int, int, str]], kind: str = "eqtl", **more: list[object]) -> Evidence:
    table = [
        {"chrom2": c, "start2": s, "end2": e, "gene": g, "gene_id": g} | {k: v[i] for k, v in more.items()}
        for i, (c, s, e, g) in enumerate(rows)
    ]
    return Evidence("x", kind, "gene", pairs(table))  # type: ignore[arg-type]


def candidates(genes: dict[str, tuple[str, int, int, str]], elements: dict[str, Interval]) -> pd.DataFrame:
    """Return the table of all pairs of genes and elements."""
    rows = [
        {"source": g, "target": e}
        | {f"source_{k}": v for k, v in zip(("chrom", "start", "end", "strand"), of, strict=True)}
        | {f"target_{k}": v for k, v in zip(("chrom", "start", "end"), at, strict=True)}
        for g, of in genes.items()
        for e, at in elements.items()
    ]
    return pd.DataFrame(rows)


# promoters: A 8,000-10,001; B 59,999-62,000
GENES = {"A": ("chr1", 10_000, 20_000, "+"), "B": ("chr1", 50_000, 60_000, "-")}
ELEMENTS = {"near": ("chr1", 9_000, 9_500), "far": ("chr1", 30_000, 30_500), "else": ("chr2", 100, 600)}
LINKS = candidates(GENES, ELEMENTS)


def supported(evidence: Evidence, links: pd.DataFrame = LINKS, **options: object) -> list[str]:
    found = match_evidence(links, evidence, **options)  # type: ignore[arg-type]
    assert found.index.equals(links.index)
    assert found.name == f"evidence_{evidence.name}"
    hit = found.fillna(value=False).to_numpy(dtype=bool)
    return (links["source"] + "-" + links["target"])[hit].tolist()


def test_ends_match_either_way_round_and_within_slack() -> None:
    forth = between(("chr1", 5_000, 7_500), ("chr1", 31_000, 32_000))
    back = between(("chr1", 31_000, 32_000), ("chr1", 5_000, 7_500))
    assert supported(forth) == supported(back) == ["A-far"]
    with pytest.raises(InputError, match="meets no candidate pair"):
        match_evidence(LINKS, forth, slack=100)


def test_the_promoter_of_the_other_strand_is_downstream() -> None:
    assert supported(between(("chr1", 61_000, 61_100), ("chr1", 30_000, 30_100)), slack=0) == ["B-far"]
    with pytest.raises(InputError):
        match_evidence(LINKS, between(("chr1", 50_000, 50_100), ("chr1", 30_000, 30_100)), slack=0)


def test_one_fragment_counts_only_on_request() -> None:
    wide = between(("chr1", 8_000, 12_000), ("chr1", 30_000, 30_100))
    assert supported(wide) == ["A-far"]
    assert supported(wide, same_fragment=True) == ["A-near", "A-far"]


def test_domains_hold_promoter_and_element() -> None:
    domain = between(("chr1", 7_000, 31_000), ("chr1", 7_000, 31_000), "tad")
    assert supported(domain) == ["A-near", "A-far"]
    cut = between(("chr1", 8_500, 31_000), ("chr1", 8_500, 31_000), "tad")
    with pytest.raises(InputError):
        match_evidence(LINKS, cut)
    assert supported(cut, slack=500) == ["A-near", "A-far"]


def test_eqtl_by_name_and_by_id() -> None:
    named = of_genes(
        [("chr1", 9_100, 9_101, "B"), ("chr1", 9_499, 9_500, "A"), ("chr1", 30_500, 30_501, "A")]
    )
    assert supported(named) == ["A-near", "B-near"]
    by_id = of_genes([("chr1", 9_100, 9_101, "ENSG00000000002")])
    assert supported(by_id, gene_ids={"A": "ENSG00000000001.3", "B": "ENSG00000000002.9"}) == ["B-near"]
    with pytest.raises(InputError, match="ENSG00000000002") as caught:
        match_evidence(LINKS, by_id)
    assert "gene_ids" in caught.value.remedy


def test_screens_tell_negatives_from_what_was_not_tested() -> None:
    screen = of_genes(
        [("chr1", 9_100, 9_200, "A"), ("chr1", 9_300, 9_400, "A"), ("chr1", 30_000, 30_100, "A")],
        "crispri",
        positive=[False, True, False],
    )
    found = match_evidence(LINKS, screen)
    assert found.dtype == "boolean"
    assert found.isna().tolist() == [False, False, True, True, True, True]
    assert found.iloc[:2].tolist() == [True, False]


def test_spellings_of_chromosomes_do_not_matter() -> None:
    links = LINKS.assign(source_chrom="1", target_chrom=LINKS["target_chrom"].str.removeprefix("chr"))
    assert supported(between(("chr1", 9_000, 9_100), ("chr1", 30_000, 30_100)), links) == ["A-far"]


def test_index_and_categories_of_the_links_are_kept() -> None:
    links = LINKS.sample(frac=1, random_state=0).astype({"source": "category", "target_chrom": "category"})
    found = match_evidence(links, between(("chr1", 9_000, 9_100), ("chr1", 30_000, 30_100)))
    assert found.index.equals(links.index)
    assert links[found]["target"].tolist() == ["far"]


def brute(links: pd.DataFrame, evidence: Evidence, slack: int) -> list[bool]:
    def near(a: Interval, b: Interval) -> bool:
        return a[0] == b[0] and a[1] < b[2] + slack and b[1] - slack < a[2]

    out = []
    for row in links.itertuples():
        tss = row.source_start if row.source_strand == "+" else row.source_end - 1
        low, high = (tss - 2_000, tss + 1) if row.source_strand == "+" else (tss, tss + 1 + 2_000)
        promoter = (row.source_chrom, max(low, 0), high)
        element = (row.target_chrom, row.target_start, row.target_end)
        ends = [
            ((e.chrom1, e.start1, e.end1), (e.chrom2, e.start2, e.end2)) for e in evidence.table.itertuples()
        ]
        out.append(
            any(
                (near(promoter, a) and near(element, b)) or (near(promoter, b) and near(element, a))
                for a, b in ends
            )
        )
    return out


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), slack=st.sampled_from([0, 1, 700, 5_000]))
def test_ends_agree_with_a_search_pair_by_pair(seed: int, slack: int) -> None:
    rng = np.random.default_rng(seed)

    def place(width: int) -> Interval:
        start = int(rng.integers(0, 40_000))
        return str(rng.choice(["chr1", "chr2"])), start, start + int(rng.integers(1, width))

    genes = {f"g{i}": (*place(5_000), str(rng.choice(["+", "-"]))) for i in range(5)}
    links = candidates(genes, {f"e{i}": place(900) for i in range(8)})  # type: ignore[arg-type]
    evidence = [between(place(4_000), place(4_000)).table for _ in range(12)]
    loops = Evidence("x", "bedpe", "ends", pd.concat(evidence, ignore_index=True))
    expected = brute(links, loops, slack)
    if any(expected):
        assert match_evidence(links, loops, slack=slack).tolist() == expected
    else:
        with pytest.raises(InputError):
            match_evidence(links, loops, slack=slack)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_domains_agree_with_a_search_pair_by_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    starts, widths = rng.integers(0, 40_000, 15), rng.integers(1, 30_000, 15)
    chroms = rng.choice(["chr1", "chr2"], 15)
    rows = [
        between((c, s, s + w), (c, s, s + w), "tad").table
        for c, s, w in zip(chroms, starts, widths, strict=True)
    ]
    domains = Evidence("x", "tad", "domain", pd.concat(rows, ignore_index=True))
    genes = {
        f"g{i}": (str(c), int(s), int(s) + 500, "+")
        for i, (c, s) in enumerate(zip(chroms, starts[::-1], strict=True))
    }
    links = candidates(
        genes, {f"e{i}": ("chr1", int(s), int(s) + 100) for i, s in enumerate(rng.integers(0, 40_000, 8))}
    )
    expected = []
    for row in links.itertuples():
        low = min(max(row.source_start - 2_000, 0), row.target_start)
        high = max(row.source_start + 1, row.target_end)
        inside = (domains.table["start1"] <= low) & (domains.table["end1"] >= high)
        expected.append(
            bool((inside & (domains.table["chrom1"] == "chr1")).any() and row.source_chrom == "chr1")
        )
    if any(expected):
        assert match_evidence(links, domains).tolist() == expected


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    starts = rng.integers(0, 60_000, (2, 50))
    rows = [
        between(("chr1", a, a + 9_000), ("chr1", b, b + 9_000)).table for a, b in zip(*starts, strict=True)
    ]
    loops = Evidence("x", "bedpe", "ends", pd.concat(rows, ignore_index=True))
    genes = {f"g{i}": ("chr1", 2_000 * i, 2_000 * i + 500, "+") for i in range(30)}
    links = candidates(genes, {f"e{i}": ("chr1", 1_500 * i, 1_500 * i + 500) for i in range(40)})
    whole = match_evidence(links, loops)
    monkeypatch.setattr("omicsglue.tl.evidence_pairs._BLOCK", 64)
    pd.testing.assert_series_equal(match_evidence(links, loops), whole)
    assert 0 < whole.sum() < len(links)


def test_evidence_without_common_chromosome() -> None:
    with pytest.raises(InputError, match="shares no chromosome") as caught:
        match_evidence(LINKS, between(("chr7", 1, 2), ("chr7", 5, 6)))
    assert "species" in caught.value.remedy


def test_names_of_another_species() -> None:
    with pytest.raises(InputError, match="genes are called a there") as caught:
        match_evidence(LINKS, of_genes([("chr1", 9_100, 9_101, "a")]))
    assert "case only" in caught.value.remedy


def test_no_overlap_tells_distances_and_the_build() -> None:
    shifted = of_genes([("chr1", 900_100, 900_101, "A")])
    with pytest.raises(
        InputError, match=r"nearest element it is 869,850 bases .*genes found for 1 of 1"
    ) as caught:
        match_evidence(LINKS, shifted)
    assert "genome builds differ" in caught.value.remedy
    with pytest.raises(InputError, match="promoters lie on 1 first and 0 second ends of 1"):
        match_evidence(LINKS, between(("chr1", 9_000, 9_100), ("chr1", 900_000, 900_100)))


def line_of_genes(shift: int) -> tuple[pd.DataFrame, Evidence]:
    genes = {f"g{i}": ("chr1", 100_000 * (i + 1), 100_000 * (i + 1) + 5_000, "+") for i in range(8)}
    elements = {f"e{i}": ("chr1", 100_000 * i + 30_000, 100_000 * i + 30_500) for i in range(8)}
    rows = [
        {"chrom1": "chr1", "start1": of[1] + shift, "end1": of[1] + shift + 1, "gene": g, "gene_id": g}
        | {"chrom2": "chr1", "start2": 30_000, "end2": 30_100, "positive": True}
        for g, of in genes.items()
    ]
    return candidates(genes, elements), Evidence("screen", "crispri", "gene", pairs(rows))


def test_promoters_at_other_places_betray_another_build() -> None:
    links, same = line_of_genes(500)
    assert match_evidence(links, same).sum() == 8
    links, moved = line_of_genes(40_000)
    with pytest.raises(InputError, match=r"promoters of 8 genes .* at least 39,999 bases away") as caught:
        match_evidence(links, moved)
    assert "lift" in caught.value.remedy


def test_what_links_must_hold() -> None:
    evidence = between(("chr1", 9_000, 9_100), ("chr1", 30_000, 30_100))
    with pytest.raises(InputError, match="no column source_strand"):
        match_evidence(LINKS.drop(columns="source_strand"), evidence)
    with pytest.raises(InputError, match="no pairs"):
        match_evidence(LINKS.iloc[:0], evidence)
    with pytest.raises(OptionError, match="-1 bases"):
        match_evidence(LINKS, evidence, slack=-1)
    with pytest.raises(OptionError, match="where baits lie"):
        match_evidence(LINKS, of_genes([("chr1", 1, 2, "A")]), same_fragment=True)


def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    genes = pd.DataFrame.from_dict(GENES, orient="index", columns=["chrom", "start", "end", "strand"])
    elements = pd.DataFrame.from_dict(ELEMENTS, orient="index", columns=["chrom", "start", "end"])
    return genes, elements.assign(strand=".")


def test_edges_of_contacts_join_a_guidance_graph() -> None:
    genes, elements = tables()
    edges = evidence_edges(between(("chr1", 9_000, 9_100), ("chr1", 30_000, 30_100), "hic"), genes, elements)
    assert edges[["source", "target", "kind"]].values.tolist() == [["A", "far", "hic"]]
    assert edges["distance"].tolist() == [30_000 - 10_001]
    graph = GuidanceGraph.from_frame(pd.DataFrame({"source": ["A"], "target": ["near"]})).add_edges(edges)
    assert graph.n_edges == 2
    assert set(graph.to_frame()["kind"]) == {"edge", "hic"}


def test_edges_leave_out_negatives_and_long_pairs() -> None:
    genes, elements = tables()
    screen = of_genes(
        [("chr1", 9_100, 9_200, "A"), ("chr1", 30_000, 30_100, "A"), ("chr2", 100, 101, "B")],
        "crispri",
        positive=[False, True, True],
    )
    edges = evidence_edges(screen, genes, elements, weight=0.5)
    assert edges["target"].tolist() == ["far", "else"]
    assert edges["weight"].tolist() == [0.5, 0.5]
    assert np.isnan(edges["distance"].iloc[1])
    assert len(evidence_edges(screen, genes, elements, max_distance=20_000)) == 1
    with pytest.raises(InputError, match="longer than 10 bases"):
        evidence_edges(screen, genes, elements, max_distance=10)
    with pytest.raises(OptionError, match="every element"):
        evidence_edges(between(("chr1", 1, 2), ("chr1", 1, 2), "tad"), genes, elements)
    with pytest.raises(OptionError, match="weight"):
        evidence_edges(screen, genes, elements, weight=0)
    with pytest.raises(InputError, match="meets no candidate pair"):
        evidence_edges(of_genes([("chr1", 500_000, 500_001, "A")]), genes, elements)


@pytest.mark.data
def test_published_screens_on_both_builds(shared_data: Path) -> None:
    genes = read_annotation(shared_data / "annotation" / "hg38.genes.bed.gz")
    genes = genes.drop_duplicates("gene_name").set_index("gene_name")
    file = "EPCrisprBenchmark_combined_data.training_K562.GRCh38.tsv.gz"
    screens = read_evidence(shared_data / "evidence" / file)
    table = screens.table
    known = table["gene"].isin(genes.index).to_numpy()
    of = genes.loc[table["gene"][known]]
    links = pd.DataFrame(
        {
            "source": table["gene"][known].to_numpy(),
            "target": (table["chrom2"] + ":" + table["start2"].astype(str))[known].to_numpy(),
            **{f"source_{k}": of[k].to_numpy() for k in ("chrom", "start", "end", "strand")},
            **{f"target_{k}": table[f"{k}2"][known].to_numpy() for k in ("chrom", "start", "end")},
        }
    )
    found = match_evidence(links, screens)
    assert found.notna().all()
    assert (found.to_numpy(dtype=bool) == table["positive"][known].to_numpy(dtype=bool)).mean() > 0.98
    shift = {f"source_{k}": links[f"source_{k}"] + 300_000 for k in ("start", "end")}
    with pytest.raises(InputError, match="half of them lie at least"):
        match_evidence(links.assign(**shift), screens)
