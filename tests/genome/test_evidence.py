from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from omicsglue.errors import InputError, OptionError
from omicsglue.genome.evidence import read_evidence

BAITS = (
    "baitChr\tbaitStart\tbaitEnd\tbaitID\tbaitName\toeChr\toeStart\toeEnd\toeID\toeName\tdist\tMon\tnCD4\n"
)
BENCHMARK = (
    "chrom\tchromStart\tchromEnd\tEffectSize\tchrTSS\tstartTSS\tendTSS\tmeasuredGeneSymbol\t"
    "measuredGeneEnsemblId\tValidConnection\tRegulated\n"
)


def written(folder: Path, text: str, name: str = "evidence.tsv", *, packed: bool = False) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    "above",
    [
        "",
        "#chrom1\tx1\tx2\tchrom2\ty1\ty2\tname\tscore\n",
        "chrom1\tstart1\tend1\tchrom2\tstart2\tend2\tname\tscore\n",
        "track name=loops\n# made by hand\n\n",
    ],
)
def test_bedpe_with_and_without_header(tmp_path: Path, above: str, packed: bool) -> None:
    rows = "1\t10\t20\tchr1\t100\t200\ta\t3.5\nMT\t5\t6\tchrX\t1\t2\tb\t.\n"
    found = read_evidence(written(tmp_path, above + rows, packed=packed))
    assert (found.kind, found.by, len(found)) == ("bedpe", "ends", 2)
    assert found.table["chrom1"].tolist() == ["chr1", "chrM"]
    assert found.table[["start1", "end1", "start2", "end2"]].values.tolist() == [
        [10, 20, 100, 200],
        [5, 6, 1, 2],
    ]
    assert found.table["score"].iloc[0] == 3.5
    assert np.isnan(found.table["score"].iloc[1])
    assert found.table["positive"].isna().all()


def test_bedpe_of_six_columns_blanks_unknown_ends_and_threshold(tmp_path: Path) -> None:
    six = written(tmp_path, "chr1 10 20 chr1 100 200\n\nchr1 30 40 chr1 300 400\n. -1 -1 chr1 5 6\n")
    assert len(read_evidence(six)) == 2
    with pytest.raises(InputError, match="no score"):
        read_evidence(six, threshold=1)
    eight = written(tmp_path, "chr1\t1\t2\tchr1\t3\t4\ta\t2\nchr1\t1\t2\tchr1\t3\t4\tb\t9\n")
    assert read_evidence(eight, threshold=5).table["score"].tolist() == [9.0]


def test_capture_hic_counts_from_one_and_takes_the_best_cell_type(tmp_path: Path) -> None:
    text = BAITS + (
        "1\t101\t200\t7\tA;B\t1\t1001\t1100\t9\t.\t900\t6.5\t0.1\n"
        "1\t101\t200\t7\tA;B\t1\t2001\t2100\t9\tC\t1900\t1\t5\n"
        "1\t101\t200\t7\tA;B\t1\t3001\t3100\t9\t.\t2900\t4.9\tNA\n"
    )
    path = written(tmp_path, text)
    found = read_evidence(path, name="pchic")
    assert (found.name, found.kind, found.by) == ("pchic", "hic", "ends")
    assert found.table[["start1", "end1", "start2"]].values.tolist() == [[100, 200, 1000], [100, 200, 2000]]
    assert found.table["score"].tolist() == [6.5, 5.0]
    assert len(read_evidence(path, cell_types="nCD4")) == 1
    assert len(read_evidence(path, threshold=0.05)) == 3
    with pytest.raises(OptionError, match="did you mean 'nCD4'"):
        read_evidence(path, cell_types=["CD4"])
    with pytest.raises(InputError, match="no pair is left"):
        read_evidence(path, threshold=100)


def test_chicago_ibed(tmp_path: Path) -> None:
    text = (
        "bait_chr\tbait_start\tbait_end\tbait_name\totherEnd_chr\totherEnd_start\totherEnd_end\totherEnd_name\t"
        "N_reads\tscore\nchr1\t101\t200\tA\tchr1\t1001\t1100\t.\t50\t5.1\nchr1\t101\t200\tA\tchr1\t1\t9\t.\t60\t4\n"
    )
    assert read_evidence(written(tmp_path, text)).table["score"].tolist() == [5.1]


@pytest.mark.parametrize(
    ("text", "gene", "gene_id"),
    [
        ("variant_id\tgene_id\tslope\nchr1_100_A_G_b38\tENSG00000000001.4\t0.5\n", 0, "ENSG00000000001"),
        ("gene\tchrom\tpos\nACTB\t1\t100\n", "ACTB", "ACTB"),
        ("chr\tposition\tgene_id\tgene_name\nchr1\t100\tENSG00000000001\tX\n", "X", "ENSG00000000001"),
    ],
)
def test_eqtl_positions_count_from_one(tmp_path: Path, text: str, gene: object, gene_id: str) -> None:
    found = read_evidence(written(tmp_path, text))
    assert (found.kind, found.by) == ("eqtl", "gene")
    assert found.table[["chrom2", "start2", "end2"]].values.tolist() == [["chr1", 99, 100]]
    assert found.table["gene"].iloc[0] == (gene or "ENSG00000000001.4")
    assert found.table["gene_id"].iloc[0] == gene_id


def test_deletions_span_what_they_delete(tmp_path: Path) -> None:
    found = read_evidence(written(tmp_path, "variant_id\tgene_id\n1_100_ACGT_A_b37\tENSG00000000001\n"))
    assert found.table[["start2", "end2"]].values.tolist() == [[99, 103]]


def test_crispri_keeps_negatives_and_drops_what_tells_nothing(tmp_path: Path) -> None:
    rows = [
        "chr1\t100\t600\t-0.4\tchr1\t5000\t5001\tA\tENSG00000000001\tTRUE\tTRUE",
        "chr1\t100\t600\t0.1\tchr1\t0\t0\tB\tENSG00000000002\tTRUE\tFALSE",
        "chr1\t100\t600\tNA\tchr1\tNA\tNA\tC\tENSG00000000003\tTRUE\tNA",
        "chr1\t100\t600\t0.1\tchr1\t1\t2\tD\tENSG00000000004\toverlaps promoter\tTRUE",
    ]
    found = read_evidence(written(tmp_path, BENCHMARK + "\n".join(rows)))
    assert found.kind == "crispri"
    assert found.table["positive"].tolist() == [True, False]
    assert found.table["start1"].tolist() == [5000, -1]
    assert str(found) == "crispri (crispri): 2 pairs, 1 of them without effect"


def test_domains(tmp_path: Path) -> None:
    found = read_evidence(written(tmp_path, "chr1\t0\t1000000\tdomain1\t5\t+\n", "tads.bed"))
    assert (found.kind, found.by) == ("tad", "domain")
    assert found.table[["start1", "end1", "start2", "end2"]].values.tolist() == [[0, 1_000_000] * 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows"),
        ("chrom1\tstart1\tend1\tchrom2\tstart2\tend2\n", "a header and no row"),
        ("chr1\t1\t2\tchr1\t3\t4\nchr1\t1\tx\tchr1\t3\t4\n", r"line 2: chr1 \| 1 \| x"),
        ("#c\nchr1\t1\t2\tchr1\t3\t4\nchr1\t9\t2\tchr1\t3\t4\n", r"not an interval in 1 of 2 lines \(line 3"),
        ("chr1\t1\t2\tchr1\t3\t4\nchr1\t1\t2\tchr1\n", "line 2"),
        ("gene\ttarget\tmode\nA\tB\tC\n", "no evidence that is known"),
        ("variant_id\tgene_id\nrs123\tENSG00000000001\n", "variant's name is not a"),
        (BAITS[: BAITS.index("Mon")] + "x\n1\t1\t2\t7\tA\t1\t5\t6\t9\t.\t4\ty\n", "no column of scores"),
        ("a\0b\n", "binary"),
    ],
)
def test_refusals_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_evidence(written(tmp_path, text))
    assert caught.value.where == str(tmp_path / "evidence.tsv")


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_evidence(tmp_path / "none.bedpe")
    whole = gzip.compress(b"chr1\t1\t2\tchr1\t3\t4\n" * 1000)
    path = tmp_path / "cut.bedpe.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="cut short or damaged"):
        read_evidence(path)


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"kind": "crispr"}, "kind"),
        ({"threshold": float("nan")}, "threshold"),
        ({"kind": "tad", "threshold": 1}, "threshold"),
        ({"cell_types": ["Mon"]}, "cell_types"),
        ({"cell_types": [""]}, "cell_types"),
    ],
)
def test_options_that_do_not_fit(tmp_path: Path, options: dict[str, object], where: str) -> None:
    path = written(tmp_path, "chr1\t1\t2\tchr1\t3\t4\n")
    with pytest.raises(OptionError) as caught:
        read_evidence(path, **options)  # type: ignore[arg-type]
    assert caught.value.where == where


def test_a_kind_that_is_named_asks_for_its_columns(tmp_path: Path) -> None:
    path = written(tmp_path, "gene\tchrom\tposs\nA\t1\t100\n")
    with pytest.raises(InputError, match="no column pos; did you mean 'poss'"):
        read_evidence(path, kind="eqtl")
    with pytest.raises(InputError, match="BEDPE has 6"):
        read_evidence(path, kind="bedpe")


@pytest.mark.data
def test_published_tables(shared_data: Path) -> None:
    folder = shared_data / "evidence"
    screens = read_evidence(folder / "EPCrisprBenchmark_combined_data.training_K562.GRCh38.tsv.gz")
    assert screens.kind == "crispri"
    assert int(screens.table["positive"].sum()) == 471
    assert len(screens) == 10_356
    contacts = read_evidence(folder / "pchic_javierre2016_chr22_hg19.tsv.gz")
    assert (contacts.kind, contacts.by) == ("hic", "gene")
    assert (contacts.table["score"] >= 5).all()
    assert len(contacts.table.drop_duplicates(["start2", "end2", "gene"])) == pytest.approx(6_949, rel=0.01)
    monocytes = read_evidence(folder / "pchic_javierre2016_chr22_hg19.tsv.gz", cell_types="Monocytes")
    assert len(monocytes) == 1_389
