"""Calls added up over regions, against sums by brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from methylation_files import random_calls, write_allc, write_bismark
from omicsglue.errors import AnnotationError, InputError, OptionError
from omicsglue.pp.methylation_counts import aggregate_methylation, cell_files, read_cells

GENES = pd.DataFrame(
    {
        "chrom": ["chr1", "chr1", "chr1", "chr2", "chr3"],
        "start": [1_000, 3_000, 15_000, 0, 50],
        "end": [9_000, 4_500, 15_200, 30_000, 90],
        "strand": ["+", "-", "-", "+", "+"],
        "gene_id": [f"ENSMUSG{i}" for i in range(5)],
        "gene_name": ["A", "B", "C", "D", "B"],
        "gene_type": "protein_coding",
    }
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(3):
        calls = random_calls(seed)
        if seed == 1:  # unsorted, and spelled in another way
            calls = calls.sample(frac=1, random_state=0).replace({"chrom": {"chr1": "1", "chr2": "2"}})
        write_allc(tmp_path / f"allc_cell{seed}.tsv.gz", calls)
    (tmp_path / "allc_cell0.tsv.gz.tbi").write_bytes(b"index")
    return tmp_path


def brute_force(context: tuple[str, ...], regions: pd.DataFrame, which: str) -> np.ndarray:
    found = np.zeros((3, len(regions)))
    for seed in range(3):
        calls = random_calls(seed)
        calls = calls[calls["context"].isin(context)]
        for number, region in enumerate(regions.itertuples()):
            inside = (calls["pos"] - 1 >= region.start) & (calls["pos"] - 1 < region.end)
            found[seed, number] = calls.loc[inside & (calls["chrom"] == region.chrom), which].sum()
    return found


@pytest.mark.parametrize(
    ("context", "held"),
    [("CG", ("CGA", "CGT")), ("CH", ("CAC", "CTT", "CCG", "CHN")), ("CAC", ("CAC",))],
)
@pytest.mark.parametrize("flank", [0, 2_000])
def test_gene_bodies_hold_the_reads_inside_them(
    folder: Path, context: str, held: tuple[str, ...], flank: int
) -> None:
    found = aggregate_methylation(folder, annotation=GENES, context=context, flank=flank)
    wide = GENES.assign(start=np.maximum(GENES["start"] - flank, 0), end=GENES["end"] + flank)
    assert np.array_equal(found.X.toarray(), brute_force(held, wide, "mc"))
    assert np.array_equal(found.layers["coverage"].toarray(), brute_force(held, wide, "cov"))
    mark = f"m{context}"
    names = ["A", "B_ENSMUSG1", "C", "D", "B_ENSMUSG4"]
    assert found.var_names.tolist() == [f"{name}_{mark}" for name in names]
    assert found.obs_names.tolist() == ["cell0", "cell1", "cell2"]
    assert (found.var["context"] == mark).all()
    assert (found.var["region"] == "gene_body").all()
    assert found.X.dtype == found.layers["coverage"].dtype == np.float32


def test_promoters_lie_before_their_genes(folder: Path) -> None:
    found = aggregate_methylation(folder, "promoter", annotation=GENES, promoter=1_500)
    expected = GENES.assign(start=[0, 4_500, 15_200, 0, 0], end=[1_000, 6_000, 16_700, 0, 50])
    expected = expected[expected["end"] > expected["start"]]
    assert np.array_equal(found.X.toarray(), brute_force(("CGA", "CGT"), expected, "mc"))
    assert found.var_names[0] == "A_promoter_mCG"


def test_bins_cover_what_the_calls_reach(folder: Path) -> None:
    found = aggregate_methylation(folder, "bins:1500")
    assert found.n_vars == 28
    assert found.var_names[0] == "chr1:0-1500_mCG"
    plain = pd.DataFrame({key: np.asarray(found.var[key]) for key in ("chrom", "start", "end")})
    assert np.array_equal(found.X.toarray(), brute_force(("CGA", "CGT"), plain, "mc"))
    assert np.array_equal(found.layers["coverage"].toarray(), brute_force(("CGA", "CGT"), plain, "cov"))
    calls = random_calls(2)
    calls = calls[calls["context"].str.startswith("CG")]
    assert found.obs.loc["cell2", "n_covered"] == calls["cov"].sum()
    assert found.obs.loc["cell2", "global_level"] == pytest.approx(calls["mc"].sum() / calls["cov"].sum())


def test_a_bed_file_of_regions_and_a_file_of_bismark(tmp_path: Path) -> None:
    calls = random_calls(5)
    path = write_bismark(tmp_path / "one.bismark.cov", calls)
    bed = tmp_path / "regions.bed"
    bed.write_text("1\t100\t900\tleft\nchr2\t0\t20000\n".replace("20000\n", "20000\tright\n"))
    found = aggregate_methylation({"one": path}, bed)
    assert found.var_names.tolist() == ["left_mCG", "right_mCG"]
    assert found.layers["coverage"].toarray()[0, 1] == calls.loc[calls["chrom"] == "chr2", "cov"].sum()
    assert cell_files(path) == {"one": path}


def test_pieces_of_a_file_add_up(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from omicsglue.genome import methylation_calls
    from omicsglue.pp import methylation_counts

    whole = {
        kind: aggregate_methylation(folder, kind, annotation=GENES) for kind in ("gene_body", "bins:700")
    }
    monkeypatch.setattr(
        methylation_counts, "read_calls", lambda path: methylation_calls.read_calls(path, chunk=37)
    )
    for kind, before in whole.items():
        found = aggregate_methylation(folder, kind, annotation=GENES)
        assert (found.X != before.X).nnz == 0
        assert (found.layers["coverage"] != before.layers["coverage"]).nnz == 0
        pd.testing.assert_frame_equal(found.obs, before.obs)


def test_cells_can_be_named_by_a_table(folder: Path) -> None:
    table = folder / "cells.txt"
    table.write_text("cell\tpath\nfirst\tallc_cell2.tsv.gz\n")
    found = aggregate_methylation(read_cells(table), annotation=GENES)
    assert found.obs_names.tolist() == ["first"]
    table.write_text("cell\tpath\nfirst\ta\nfirst\tb\n")
    with pytest.raises(InputError, match="named twice: first"):
        read_cells(table)


def test_refusals_say_what_was_there(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no read is of context CTA; contexts there are: CAC, CCG, CGA"):
        aggregate_methylation(folder, annotation=GENES, context="CTA")
    with pytest.raises(OptionError, match="'XG' is no context"):
        aggregate_methylation(folder, annotation=GENES, context="xg")
    with pytest.raises(OptionError, match="there is no annotation"):
        aggregate_methylation(folder)
    with pytest.raises(OptionError, match="neither a kind of region nor a file"):
        aggregate_methylation(folder, "genebody", annotation=GENES)
    with pytest.raises(OptionError, match="how long bins are"):
        aggregate_methylation(folder, "bins:10k")
    other = GENES.assign(chrom="scaffold_9")
    with pytest.raises(
        InputError, match=r"no chromosome of the tables .chr1, chr2. has a region .scaffold_9"
    ):
        aggregate_methylation(folder, annotation=other)
    with pytest.raises(AnnotationError, match="no gene has a strand"):
        aggregate_methylation(folder, "promoter", annotation=GENES.assign(strand="."))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no file in this folder"):
        aggregate_methylation(tmp_path / "empty", annotation=GENES)
    with pytest.raises(InputError, match="no table of methylation calls"):
        cell_files([])
    with pytest.raises(InputError, match="of one cell by their names: a"):
        cell_files([tmp_path / "a.tsv", tmp_path / "allc_a.tsv.gz"])
