from __future__ import annotations

import gzip

import pandas as pd
import pytest

from links_table import make_links
from omicsglue.errors import InputError, OptionError, RunFolderError
from omicsglue.pl.palette import COLOURS
from omicsglue.runs.link_files import (
    _BLUE,
    _VERMILION,
    check_ending,
    read_links,
    write_bedpe,
    write_interact,
    write_links,
)

INTERACT = [
    *("chrom", "chromStart", "chromEnd", "name", "score", "value", "exp", "color"),
    *(f"source{name}" for name in ("Chrom", "Start", "End", "Name", "Strand")),
    *(f"target{name}" for name in ("Chrom", "Start", "End", "Name", "Strand")),
]


def lines_of(path) -> list[list[str]]:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    return [line.split("\t") for line in text.splitlines()]


@pytest.mark.parametrize("ending", [".parquet", ".tsv", ".tsv.gz", ".csv", ".csv.gz"])
def test_what_is_written_is_read(tmp_path, ending):
    links = make_links()
    links["evidence_crispr"] = pd.array([True, None, False, None, None, None, None], dtype="boolean")
    write_links(links, tmp_path / f"links{ending}")
    pd.testing.assert_frame_equal(read_links(tmp_path / f"links{ending}"), links, check_exact=True)


def test_bedpe_holds_promoter_and_element_by_position(tmp_path):
    links = make_links()
    write_links(links.sample(frac=1, random_state=0), tmp_path / "a.bedpe")
    header, *rows = lines_of(tmp_path / "a.bedpe")
    assert header[0] == "#chrom1"
    assert len(header) == 10
    assert " ".join(rows[1]) == "chr10 29999 32000 chr10 31000 31500 B_gene|chr10:31000-31500 750 - ."
    place = [(row[0], int(row[1]), int(row[4])) for row in rows]
    assert place == sorted(place)
    assert len(rows) == len(links)
    forward = next(row for row in rows if row[6] == "NA|chr2:5000-5500")
    assert forward[1:3] == ["0", "1001"]  # cut at the chromosome's begin
    assert forward[7] == "0"


def test_interact_follows_the_format(tmp_path):
    links = make_links()
    write_interact(links.sample(frac=1, random_state=1), tmp_path / "a.interact", track_name='my "links"')
    track, header, *rows = lines_of(tmp_path / "a.interact")
    assert track[0].startswith("track type=interact name=\"my 'links'\"")
    assert header == ["#chrom", *INTERACT[1:]]
    table = pd.DataFrame(rows, columns=INTERACT)
    whole = [name for name in INTERACT if name.endswith(("Start", "End"))] + ["score"]
    table[whole] = table[whole].astype(int)
    assert (table["chromStart"] == table[["sourceStart", "targetStart"]].min(axis=1)).all()
    assert (table["chromEnd"] == table[["sourceEnd", "targetEnd"]].max(axis=1)).all()
    assert table["score"].between(0, 1000).all()
    assert (table["chrom"] == table["sourceChrom"]).all()
    assert table.equals(table.sort_values(["chrom", "chromStart"], kind="stable"))  # chr10 before chr2
    assert not table.map(lambda value: " " in str(value)).any(axis=None)
    rgb = table["color"].str.split(",", expand=True).astype(int)
    assert rgb.map(lambda value: 0 <= value <= 255).all(axis=None)
    negative = table["name"] == "B_gene|chr10:31000-31500"
    assert (rgb.loc[negative, 0] > rgb.loc[negative, 2]).all()
    assert (rgb.loc[~negative, 2] > rgb.loc[~negative, 0]).all()
    tss = table.set_index("targetName")["targetStart"]
    assert set(tss["NA"]) == {1000}
    assert set(tss["B_gene"]) == {29_999}


def test_a_bare_interact_file_suits_bigbed(tmp_path):
    write_interact(make_links(), tmp_path / "a.interact.gz", track_name=None)
    rows = lines_of(tmp_path / "a.interact.gz")
    assert {len(row) for row in rows} == {18}
    assert rows[0][0] == "chr10"


def test_one_table_gives_one_packed_file(tmp_path):
    for name in ("a", "b"):
        write_bedpe(make_links(), tmp_path / f"{name}.bedpe.gz")
    assert (tmp_path / "a.bedpe.gz").read_bytes() == (tmp_path / "b.bedpe.gz").read_bytes()


def test_colours_are_those_of_the_pictures():
    found = ["#{:02X}{:02X}{:02X}".format(*each) for each in (_BLUE, _VERMILION)]
    assert found == [COLOURS[0], COLOURS[3]]


def test_empty_tables_are_written(tmp_path):
    for ending in (".parquet", ".tsv", ".bedpe", ".interact"):
        write_links(make_links().iloc[:0], tmp_path / f"none{ending}")
    assert len(read_links(tmp_path / "none.parquet")) == len(read_links(tmp_path / "none.tsv")) == 0
    assert len(lines_of(tmp_path / "none.bedpe")) == 1


def test_the_longest_ending_counts():
    assert [check_ending(name) for name in ("a.TSV.gz", "b.parquet", "a.csv.interact")] == [
        ".tsv.gz",
        ".parquet",
        ".interact",
    ]


def test_refusals(tmp_path):
    links = make_links()
    with pytest.raises(OptionError, match=r"tells no format of links[\s\S]*\.bedpe"):
        write_links(links, tmp_path / "links.xlsx")
    with pytest.raises(OptionError, match=r"tells no format"):
        read_links(tmp_path / "links.bedpe")
    with pytest.raises(InputError, match="no such file"):
        read_links(tmp_path / "links.tsv")
    with pytest.raises(InputError, match="no column score, q_value"):
        write_links(links.drop(columns=["score", "q_value"]), tmp_path / "links.csv")
    with pytest.raises(InputError, match="no column source_strand"):
        write_bedpe(links.drop(columns="source_strand"), tmp_path / "links.bedpe")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RunFolderError, match="does not exist"):
        write_links(links, tmp_path / "missing" / "links.tsv.gz")
    links.astype({"score": object}).assign(score="high").to_csv(tmp_path / "a.tsv", sep="\t")
    with pytest.raises(InputError, match=r"a\.tsv: column score holds"):
        read_links(tmp_path / "a.tsv")
    (tmp_path / "b.parquet").write_bytes(b"no table")
    (tmp_path / "b.tsv.gz").write_bytes(gzip.compress(b"source\ttarget\n" * 100)[:-20])
    for name in ("b.parquet", "b.tsv.gz"):
        with pytest.raises(InputError, match="cannot be read"):
            read_links(tmp_path / name)
