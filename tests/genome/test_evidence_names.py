from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from omicsglue.errors import InputError, OptionError
from omicsglue.genome.evidence import read_evidence

ROWS = [("Sox2", "peak1", "true"), ("ENSG00000000001.4", "peak2", "0"), ("Pax6", "peak1", "NA")]


def text(separator: str, *, quoted: bool = False, rows: list[tuple[str, ...]] = ROWS) -> str:
    lines = [("source", "target", "positive"), *rows]
    return "".join(
        separator.join(f'"{field}"' if quoted else field for field in line) + "\n" for line in lines
    )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("quoted", [False, True])
@pytest.mark.parametrize("separator", ["\t", ",", " "])
def test_pairs_in_text(tmp_path: Path, separator: str, quoted: bool, packed: bool) -> None:
    content = text(separator, quoted=quoted).encode()
    path = tmp_path / "my.pairs.csv"
    path.write_bytes(gzip.compress(content) if packed else content)
    found = read_evidence(path)
    assert (found.name, found.kind, found.by) == ("my", "pairs", "names")
    assert found.table["gene"].tolist() == ["Sox2", "ENSG00000000001.4"]
    assert found.table["gene_id"].tolist() == ["Sox2", "ENSG00000000001"]
    assert found.table["element"].tolist() == ["peak1", "peak2"]
    assert found.table["positive"].tolist() == [True, False]
    assert found.table[["chrom1", "chrom2"]].isna().all(axis=None)
    assert str(found) == "my (pairs): 2 pairs, 1 of them without effect"


@pytest.mark.parametrize("dtype", ["bool", "boolean", "int64", "float64"])
def test_pairs_in_parquet(tmp_path: Path, dtype: str) -> None:
    table = pd.DataFrame({"target": ["peak1", "peak2"], "source": ["Sox2", "Pax6"], "score": 1.0})
    table["positive"] = pd.Series([1, 0]).astype(dtype)
    table.astype({"source": "category"}).to_parquet(tmp_path / "links.parquet")
    found = read_evidence(tmp_path / "links.parquet", name="mine")
    assert found.name == "mine"
    assert found.table["gene"].tolist() == ["Sox2", "Pax6"]
    assert found.table["positive"].tolist() == [True, False]
    table.drop(columns="positive").to_parquet(tmp_path / "links.parquet")
    assert read_evidence(tmp_path / "links.parquet", kind="pairs").table["positive"].isna().all()


def test_pairs_without_a_name_or_an_outcome_tell_nothing(tmp_path: Path) -> None:
    table = pd.DataFrame({"source": ["A", None, "B", "C"], "target": ["x", "y", "", "z"]})
    table["positive"] = pd.array([True, True, True, pd.NA], dtype="boolean")
    table.to_parquet(tmp_path / "links.parquet")
    assert read_evidence(tmp_path / "links.parquet").table["gene"].tolist() == ["A"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (text(",", rows=[]), "a header and no row"),
        (text("\t", rows=[]), "a header and no row"),
        (text("\t", rows=[("A", "x", "maybe"), ("B", "y", "true")]), "positive is maybe in 1 of 2 rows"),
        (text("\t", rows=[("A", "x", "NA")]), "no pair is left"),
        ("gene,peak\nA,x\n", "no evidence that is known"),
    ],
)
def test_text_that_is_no_table_of_pairs(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "pairs.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_evidence(path)
    assert caught.value.where == str(path)
    assert caught.value.remedy


def test_parquet_that_is_no_table_of_pairs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.parquet"
    pd.DataFrame({"gene": ["A"], "target": ["x"]}).to_parquet(path)
    with pytest.raises(InputError, match="no column source; columns are gene, target"):
        read_evidence(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a readable Parquet file"):
        read_evidence(path)
    path.write_bytes(whole)
    with pytest.raises(InputError, match="binary file"):
        read_evidence(path, kind="bedpe")


def test_options_that_do_not_fit_pairs(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text(","))
    with pytest.raises(OptionError, match="'pairs' has no threshold"):
        read_evidence(path, threshold=1)
    with pytest.raises(OptionError, match="'pairs' has no cell types"):
        read_evidence(path, cell_types="Mon")
    with pytest.raises(InputError, match="no column source"):
        read_evidence(_other(tmp_path), kind="pairs")


def _other(folder: Path) -> Path:
    path = folder / "other.tsv"
    path.write_text("gene\ttarget\nA\tx\n")
    return path
