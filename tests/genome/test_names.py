"""Spellings of chromosomes, ids and peaks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omicsglue.genome.names import chrom_keys, harmonise_chroms, is_main_chrom, parse_peak_names, unversioned


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("1", "chr1"),
        ("chr1", "chr1"),
        ("Chr1", "chr1"),
        ("x", "chrX"),
        ("MT", "chrM"),
        ("chrMT", "chrM"),
        ("M", "chrM"),
        ("2L", "chr2L"),
        ("IV", "chrIV"),
        ("NC_000001.11", "chr1"),
        ("NC_000023.11", "chrX"),
        ("NC_000024.10", "chrY"),
        ("NC_000067.6", "chr1"),
        ("NC_000086.7", "chrX"),
        ("NC_012920.1", "chrM"),
        ("NC_005089.1", "chrM"),
        ("NC_086019.1", "NC_086019.1"),  # another species: left alone
        ("GL000194.1", "GL000194.1"),
        ("chrUn_KI270302v1", "chrUn_KI270302v1"),
    ],
)
def test_chromosomes_are_spelled_alike(given_name: str, expected: str) -> None:
    assert harmonise_chroms([given_name]).tolist() == [expected]


def test_missing_chromosomes_stay_missing() -> None:
    out = harmonise_chroms(pd.Series(["1", np.nan, None], dtype=object))
    assert out[0] == "chr1"
    assert pd.isna(out[1:]).all()


def test_scaffolds_of_ucsc_and_ensembl_meet() -> None:
    assert chrom_keys(["chrUn_KI270302v1", "KI270302.1"]).tolist() == ["KI270302.1"] * 2
    assert chrom_keys(["chr4_GL456216_random", "GL456216.1"]).tolist() == ["GL456216.1"] * 2
    assert chrom_keys(["chr1_KI270706v1_random"]).tolist() == ["KI270706.1"]


def test_main_chromosomes() -> None:
    names = np.array(
        ["chr1", "chrX", "chrM", "GL000194.1", "chrUn_KI270302v1", "chr6_GL000250v2_alt"], dtype=object
    )
    assert is_main_chrom(names).tolist() == [True, True, True, False, False, False]


def test_versions_go_and_marks_stay() -> None:
    ids = [
        "ENSMUSG00000025903.14",
        "ENSG00000182378.15_PAR_Y",
        "ENSG00000182378",
        "FBgn0031081",
        "RP11-34P13.7",
    ]
    assert unversioned(ids).tolist() == [
        "ENSMUSG00000025903",
        "ENSG00000182378_PAR_Y",
        "ENSG00000182378",
        "FBgn0031081",
        "RP11-34P13.7",
    ]


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("chr1:100-600", ("chr1", 100, 600)),
        ("chr1-100-600", ("chr1", 100, 600)),
        ("chr1_100_600", ("chr1", 100, 600)),
        ("chr1:100_600", ("chr1", 100, 600)),
        ("1:100-600", ("chr1", 100, 600)),
        ("X-100-600", ("chrX", 100, 600)),
        ("chr1:1,100-2,600", ("chr1", 1100, 2600)),
        (" chr1:100..600 ", ("chr1", 100, 600)),
        ("chr1\t100\t600", ("chr1", 100, 600)),
        ("GL000194.1-100-600", ("GL000194.1", 100, 600)),
        ("GL000194.1:100-600", ("GL000194.1", 100, 600)),
        ("chrUn_KI270302v1_100_600", ("chrUn_KI270302v1", 100, 600)),
        ("chr1_KI270706v1_random_100_600", ("chr1_KI270706v1_random", 100, 600)),
        ("HLA-DRB1*15:01-100-600", ("HLA-DRB1*15:01", 100, 600)),
    ],
)
def test_peak_names(name: str, place: tuple[str, int, int]) -> None:
    assert tuple(parse_peak_names([name]).iloc[0]) == place


@pytest.mark.parametrize(
    "name",
    [
        "peak7",
        "chr1:600-100",
        "chr1:100-100",
        "chr1:-5-100",
        "chr1",
        "",
        "nan",
        "chr1:1-99999999999999999999",
    ],
)
def test_names_that_are_no_place(name: str) -> None:
    row = parse_peak_names(["chr1:1-2", name]).iloc[1]
    assert pd.isna(row["chrom"])
    assert (row["start"], row["end"]) == (-1, -1)


@given(
    chrom=st.sampled_from(["chr1", "chrX", "GL000194.1", "chrUn_KI270302v1", "chr4_GL456216_random"]),
    start=st.integers(0, 3_000_000_000),
    width=st.integers(1, 100_000),
    separators=st.sampled_from([(":", "-"), ("-", "-"), ("_", "_")]),
)
def test_every_written_peak_is_read_back(
    chrom: str, start: int, width: int, separators: tuple[str, str]
) -> None:
    name = f"{chrom}{separators[0]}{start}{separators[1]}{start + width}"
    assert tuple(parse_peak_names([name]).iloc[0]) == (chrom, start, start + width)


def test_no_names_give_an_empty_table() -> None:
    table = parse_peak_names([])
    assert list(table.columns) == ["chrom", "start", "end"]
    assert table.empty


def test_a_prefix_of_all_names_is_no_part_of_the_chromosome() -> None:
    table = parse_peak_names(["second:chr1:1-5", "peak", "second:chr2_random:5-9", "second:chr3-7-8"])
    assert table["chrom"].dropna().tolist() == ["chr1", "chr2_random", "chr3"]
    assert table["start"].tolist() == [1, -1, 5, 7]
    assert parse_peak_names(["b:1:1-5", "b:X:1-5"])["chrom"].tolist() == ["chr1", "chrX"]


def test_what_only_looks_like_a_prefix_stays() -> None:
    contig = "HLA-A*01:01:01:01"
    assert parse_peak_names([f"{contig}:1-5"])["chrom"].item() == contig
    for names in (["a:chr1:1-5", "b:chr2:1-5"], ["chr1:1-5", "a:chr2:1-5"], ["HLA:A:1-5", "HLA:B:1-5"]):
        found = parse_peak_names(names)["chrom"].tolist()
        assert found == [name.rpartition(":")[0] for name in names]
