"""``methylation``: from tables of calls to a file that can be integrated."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import pytest

from command_line_cases import spoken
from methylation_files import random_calls, write_allc


def test_calls_become_a_file_of_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in range(2):
        write_allc(tmp_path / f"allc_cell{seed}.tsv.gz", random_calls(seed))
    (tmp_path / "genes.bed").write_text("chr1\t1000\t9000\tGad1\t0\t+\nchr2\t0\t20000\tSst\t0\t-\n")
    (tmp_path / "cells.tsv").write_text("cell\tpath\nfirst\tallc_cell0.tsv.gz\n")
    made = ["--annotation", "genes.bed", "--context", "CH", "--out", "meth.h5ad"]
    tables = ["allc_cell0.tsv.gz", "allc_cell1.tsv.gz"]
    code, out, told = spoken(["methylation", *tables, *made])
    assert (code, told) == (0, "")
    assert "meth.h5ad: 2 cells x 2 features" in out
    found = ad.read_h5ad("meth.h5ad")
    assert found.var_names.tolist() == ["Gad1_mCH", "Sst_mCH"]
    assert found.obs_names.tolist() == ["cell0", "cell1"]
    calls = random_calls(0)
    inside = calls[(calls["chrom"] == "chr2") & ~calls["context"].str.startswith("CG")]
    assert found.X.toarray()[0, 1] == inside["mc"].sum()
    assert found.layers["coverage"].toarray()[0, 1] == inside["cov"].sum()
    code, _, told = spoken(["methylation", "--cells", "cells.tsv", *made, "--regions", "bins:5000"])
    assert (code, told) == (0, "")
    assert ad.read_h5ad("meth.h5ad").obs_names.tolist() == ["first"]
    code, _, told = spoken(["methylation", *tables, "--cells", "cells.tsv", *made])
    assert code == 2
    assert "one of both" in told
