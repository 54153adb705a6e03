"""Scores of batches: over all cells and within each modality, of one column or several."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from omicsglue import metrics
from omicsglue.errors import InputError
from omicsglue.pl.cells import gather
from omicsglue.runs import RunFolder
from omicsglue.runs.score import score_run
from synthetic_run import make_modalities


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run of random cells; only RNA has donors."""
    modalities = make_modalities()
    modalities["rna"].obs["donor"] = np.where(np.arange(240) < 120, "d1", "d2")
    folder = RunFolder.create(tmp_path_factory.mktemp("scored") / "run")
    folder.write_integrated(modalities)
    return folder


def test_batches_are_scored_over_all_cells_and_in_each_modality(run: RunFolder) -> None:
    found = score_run(run, batch_key="batch")
    u = {name: run.embedding(name).astype(np.float64) for name in ("rna", "atac")}
    batch = {name: run.obs(name)["batch"].astype(str) for name in u}
    for name in u:
        assert found[f"batch_ilisi_{name}"] == pytest.approx(metrics.ilisi(u[name], batch[name]), abs=1e-4)
    joint = metrics.ilisi(np.concatenate(list(u.values())), np.concatenate(list(batch.values())))
    assert found["batch_ilisi"] == pytest.approx(joint, abs=1e-4)


def test_one_modality_with_batches_is_enough(run: RunFolder) -> None:
    found = score_run(run, batch_key="donor")
    assert "batch_ilisi_rna" in found
    assert not {"batch_ilisi", "batch_ilisi_atac"} & set(found)
    assert "batch_ilisi_atac" in score_run(run, batch_key={"atac": "batch"})


def test_several_columns_are_scored_and_drawn_combined(run: RunFolder) -> None:
    found = score_run(run, batch_key={"rna": "batch,donor", "atac": "batch"})
    table = run.obs("rna")
    combined = table["batch"].astype(str) + table["donor"].astype(str)
    expected = metrics.ilisi(run.embedding("rna").astype(np.float64), combined)
    assert found["batch_ilisi_rna"] == pytest.approx(expected, abs=1e-4)
    column = gather(run, max_cells=10_000, seed=0).column("batch, donor")
    assert set(column.dropna()) == {f"plate {i} / d{j}" for i in (0, 1) for j in (1, 2)}
    assert int(column.isna().sum()) == 160  # ATAC has no donors


def test_a_column_that_no_modality_has_is_refused(run: RunFolder, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no modality has the obs column 'batch,plate'"):
        score_run(run, batch_key="batch,plate")
