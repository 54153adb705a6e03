"""Methylation calls: the three forms of table, contexts, and what is said of bad lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from methylation_files import random_calls, write_allc, write_bismark, write_report
from omicsglue.errors import InputError
from omicsglue.genome.methylation_calls import Calls, context_mask, is_pattern, read_calls


def joined(path: Path, chunk: int) -> pd.DataFrame:
    pieces = list(read_calls(path, chunk=chunk))
    assert len(pieces) > 1 or chunk > 800
    return pd.concat([frame(each) for each in pieces], ignore_index=True)


def frame(calls: Calls) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "chrom": np.asarray(calls.chrom, dtype=object),
            "pos": calls.position,
            "context": None if calls.context is None else np.asarray(calls.context, dtype=object),
            "mc": calls.methylated,
            "cov": calls.covered,
        }
    )


@pytest.mark.parametrize(("name", "header"), [("a.tsv", False), ("a.tsv.gz", True)])
def test_an_allc_table_gives_its_calls_in_pieces(tmp_path: Path, name: str, header: bool) -> None:
    calls = random_calls(0)
    found = joined(write_allc(tmp_path / name, calls, header=header), chunk=300)
    expected = calls[["chrom", "pos", "context", "mc", "cov"]].assign(pos=calls["pos"] - 1)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_bismarks_tables_give_the_same_calls(tmp_path: Path) -> None:
    calls = random_calls(1)
    expected = calls[["chrom", "pos", "mc", "cov"]].assign(pos=calls["pos"] - 1)
    coverage = joined(write_bismark(tmp_path / "a.cov", calls), chunk=5000)
    report = joined(write_report(tmp_path / "a.CX_report.txt", calls), chunk=5000)
    assert coverage["context"].isna().all()
    pd.testing.assert_frame_equal(coverage[expected.columns], expected, check_dtype=False)
    pd.testing.assert_frame_equal(report[expected.columns], expected, check_dtype=False)
    assert (report["context"].str[:2] == calls["context"].str[:2]).all()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("CG", ["CG", "CGN", "CGAAT"]),
        ("CH", ["CAC", "CTN", "CHH", "CH"]),
        ("CA", ["CAC"]),
        ("CAC", ["CAC"]),
        ("CN", ["CG", "CGN", "CGAAT", "CAC", "CTN", "CHH", "CH", "CNN"]),
        ("CHN", ["CAC", "CTN", "CHH", "CH"]),
    ],
)
def test_contexts_match_by_what_their_letters_may_be(pattern: str, expected: list[str]) -> None:
    contexts = pd.Categorical(["CG", "CGN", "CGAAT", "CAC", "CTN", "CHH", "CH", "CNN"])
    assert contexts[context_mask(contexts, pattern)].tolist() == expected


def test_patterns_are_iupac_letters_that_begin_with_c() -> None:
    assert [is_pattern(each) for each in ("CG", "CHN", "C", "GC", "CX", "mCG")] == [True, True, *[False] * 4]


ROW = "chr1\t5\t+\tCGA\t1\t2\t1\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ROW + "chr1\t9\t+\tCGA\t3\t2\t1\n", "line 2 .3 methylated of 2 covered reads"),
        (ROW + "chr1\tx\t+\tCGA\t1\t2\t1\n", "line 2 .the position is not a whole number"),
        (ROW + "chr1\t0\t+\tCGA\t1\t2\t1\n", "line 2 .the position is not a whole number from 1"),
        (ROW + "chr1\t9\t+\tCGA\t0.5\t2\t1\n", "line 2 .counts are not whole numbers"),
        (ROW + "chr1\t9\t+\tCG\n", r"line 2 \(4 column\(s\) where 6 are needed\)"),
        ("chr1\t9\t+\tCGA\t3\t2\t1\n", "line 1 .3 methylated of 2"),
        ("chr1\t100\t200\tpeak1\n", "line 1 is no methylation call"),
        ("", "holds no rows"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "allc_a.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        list(read_calls(path))


def test_a_missing_and_a_damaged_file_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        list(read_calls(tmp_path / "absent.tsv.gz"))
    path = write_allc(tmp_path / "a.tsv.gz", random_calls(0))
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="cut short"):
        list(read_calls(path))
