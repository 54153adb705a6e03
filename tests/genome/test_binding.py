"""Sites of TFs in BED files, and the elements they fall in, against brute force."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omicsglue.errors import InputError, OmicsGlueWarning, OptionError
from omicsglue.genome import bed_sites
from omicsglue.genome.binding import BindingSites, binding_matrix, match_factors, read_binding

ELEMENTS = pd.DataFrame({"chrom": ["chr1", "chr1", "chr2"], "start": [100, 150, 100], "end": [200, 300, 200]})
SITES = (
    "chr1\t190\t195\tSPI1\nchr1\t199\t210\tGATA1\n1\t200\t210\tSPI1\nchr3\t1\t9\tPAX6\nchr2\t50\t100\tPAX6\n"
)


def written(folder: Path, text: str, *, name: str = "sites.bed", packed: bool = False) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("spaces", [False, True])
@pytest.mark.parametrize("head", ["", "# made by\ntrack name=x\n\nbrowser y\n", "chrom\tstart\tend\tname\n"])
def test_sites_are_counted_by_element_and_tf(
    tmp_path: Path, head: str, *, packed: bool, spaces: bool
) -> None:
    text = head + SITES
    path = written(tmp_path, text.replace("\t", " ") if spaces else text, packed=packed)
    found = binding_matrix(path, ELEMENTS)
    assert found.factors.tolist() == ["SPI1", "GATA1", "PAX6"] or sorted(found.factors) == [
        "GATA1",
        "PAX6",
        "SPI1",
    ]
    table = pd.DataFrame(found.counts.toarray(), columns=found.factors)
    assert table["SPI1"].tolist() == [1, 2, 0]
    assert table["GATA1"].tolist() == [1, 1, 0]
    assert table["PAX6"].tolist() == [0, 0, 0]


def test_sites_in_memory_count_as_those_of_a_file_in_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, SITES)
    whole = binding_matrix(read_binding(path), ELEMENTS)
    monkeypatch.setattr(bed_sites, "_CHUNK", 2)
    pieces = binding_matrix(path, ELEMENTS)
    again = read_binding(path)
    assert list(again.sites["tf"]) == ["SPI1", "GATA1", "SPI1", "PAX6", "PAX6"]
    assert list(again.sites["chrom"]) == ["chr1", "chr1", "chr1", "chr3", "chr2"]
    one, other = (
        pd.DataFrame(f.counts.toarray(), columns=f.factors).sort_index(axis=1) for f in (whole, pieces)
    )
    pd.testing.assert_frame_equal(one, other)


place = st.tuples(st.sampled_from(["chr1", "chr2"]), st.integers(0, 40), st.integers(1, 15))


@settings(max_examples=40, deadline=None)
@given(elements=st.lists(place, min_size=1, max_size=6), sites=st.lists(place, min_size=1, max_size=8))
def test_counts_equal_brute_force(elements: list, sites: list) -> None:
    tables = [
        pd.DataFrame(
            {"chrom": [r[0] for r in rows], "start": [r[1] for r in rows], "end": [r[1] + r[2] for r in rows]}
        )
        for rows in (elements, sites)
    ]
    names = np.array(["A", "B"])[np.arange(len(sites)) % 2]
    expected = np.zeros((len(elements), 2), dtype=int)
    for i, (chrom, start, length) in enumerate(elements):
        for j, (chrom2, start2, length2) in enumerate(sites):
            shared = set(range(start, start + length)) & set(range(start2, start2 + length2))
            expected[i, j % 2] += chrom == chrom2 and bool(shared)
    table = tables[1].assign(
        tf=pd.Categorical(names, ["A", "B"]), chrom=tables[1]["chrom"].astype("category")
    )
    binding = BindingSites(table)
    if not expected.any():
        with pytest.raises(InputError, match=r"sites are on|no site lies"):
            binding_matrix(binding, tables[0])
    else:
        assert (binding_matrix(binding, tables[0]).counts.toarray() == expected).all()


@pytest.mark.parametrize(
    ("name", "pattern", "tf"),
    [
        ("SPI1_HUMAN.H11MO.0.A", r"^([^_]+)_", "SPI1"),
        ("MA0080.5.SPI1", r"^MA\d+\.\d+\.(.+)$", "SPI1"),
        ("ENCFF002COQ|SPI1", r"\|(.+)$", "SPI1"),
        ("SPI1.x", r"^[A-Z0-9]+", "SPI1"),
        ("SPI1.x", None, "SPI1.x"),
    ],
)
def test_tf_is_found_in_the_name(tmp_path: Path, name: str, pattern: str | None, tf: str) -> None:
    path = written(tmp_path, f"chr1\t1\t9\t{name}\nchr1\t5\t9\tOTHER\n")
    assert set(read_binding(path, name_pattern=pattern).sites["tf"]) == {tf, "OTHER"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("chr1\t1\t9\n", "3 column.* where 4 are needed"),
        ("chr1\t1\t9\tA\nchr1\t5\n", "line 2 .*2 column"),
        ("chr1\t1\t9\tA\nchr1\t9\t9\tA\nchr1\t9\t8\tA\n", "line 2 .*not below end.*line 3"),
        ("chr1\t1\t9\tA\nchr1\t-4\t9\tA\n", "line 2"),
        ("chr1\t1\t9\tA\nchr1\t1.5\t9\tA\n", "line 2 .*whole number"),
        ("chr1\t1\t9\tA\nchr1\t1\t9\t\n", "line 2 .no name"),
        ("\x00\x01garbage\n", "1 column"),
        ("", "no binding site"),
        ("# only\n", "no binding site"),
    ],
)
def test_lines_that_are_no_sites_are_quoted(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read_binding(written(tmp_path, text))


def test_further_columns_do_not_matter(tmp_path: Path) -> None:
    path = written(tmp_path, 'chr1\t1\t9\tA\nchr1\t1\t9\tA#2 "x\t0\t+\tmore\nchr1\t1\t9\tNA\t1\n')
    assert list(read_binding(path).sites["tf"]) == ["A", 'A#2 "x', "NA"]


def test_damaged_and_missing_files(tmp_path: Path) -> None:
    whole = gzip.compress((SITES * 500).encode())
    (tmp_path / "cut.bed.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut short"):
        read_binding(tmp_path / "cut.bed.gz")
    with pytest.raises(InputError, match="no such file"):
        read_binding(tmp_path / "none.bed")


def test_a_file_that_names_peaks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omicsglue.genome.binding._MOST_NAMES", 10)
    path = written(tmp_path, "".join(f"chr1\t{i}\t{i + 9}\tpeak_{i}\n" for i in range(20)))
    with pytest.raises(InputError, match="does not name TFs"):
        read_binding(path)


@pytest.mark.parametrize("pattern", ["(", "zzz"])
def test_patterns_that_cannot_be_used(tmp_path: Path, pattern: str) -> None:
    with pytest.raises(OptionError, match="name_pattern"):
        read_binding(written(tmp_path, SITES), name_pattern=pattern)


def test_sites_of_another_genome_are_told(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match="no chromosome is in both: sites are on chr9, elements on chr1, chr2"
    ):
        binding_matrix(written(tmp_path, "chr9\t1\t9\tA\n"), ELEMENTS)
    with pytest.raises(InputError, match="another genome build"):
        binding_matrix(written(tmp_path, "chr1\t1\t9\tA\n"), ELEMENTS)


def test_tfs_are_matched_whatever_their_case() -> None:
    with pytest.warns(OmicsGlueWarning, match="1 of 4 TFs .*PAX6"):
        at = match_factors(["SPI1", "Gata1", "PAX6", "a"], ["A", "a", "Spi1", "GATA1"])
    assert at.tolist() == [2, 3, -1, 1]
    with pytest.raises(InputError, match="none of the 1 TFs"):
        match_factors(["SPI1_HUMAN"], ["Spi1"])
