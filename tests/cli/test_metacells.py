"""``metacells``: from a file of cells to a file of metacells."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from command_line_cases import spoken
from omicsglue.datasets import simulate


def test_cells_become_a_file_of_metacells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rna = simulate(200, genes=60, peaks=120, seed=0).rna
    rna.obsm["X_pca"] = np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)
    rna.layers["coverage"] = rna.X.copy()
    rna.obs["donor"] = np.random.default_rng(1).choice(["a", "b"], 200)
    rna.write_h5ad("cells.h5ad")
    before = Path("cells.h5ad").read_bytes()
    told = ["metacells", "cells.h5ad", "--out", "meta.h5ad", "--n", "20", "--within", "donor"]
    code, out, said = spoken(told)
    assert (code, said) == (0, "")
    assert "meta.h5ad: 20 metacells of " in out
    assert "out of 200 cells" in out
    assert Path("cells.h5ad").read_bytes() == before
    found = ad.read_h5ad("meta.h5ad")
    assert found.shape == (20, 60)
    assert found.X.sum() == found.layers["coverage"].sum() == rna.X.sum()
    member = found.uns["metacells"]["cells"]["metacell"]
    assert member.index.tolist() == rna.obs_names.tolist()
    assert (found.obs.loc[member.to_numpy(), "donor"].to_numpy() == rna.obs["donor"].to_numpy()).all()
    assert spoken([*told, "--layer", "coverage", "--seed", "3"])[0] == 0
