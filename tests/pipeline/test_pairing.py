"""Runs that use pairs: told by name or column, kept in the record, resumed, and scored as such."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from omicsglue.datasets import SimulatedData
from omicsglue.errors import InputError, OptionError, RunFolderError
from omicsglue.model import GLUE
from omicsglue.pipeline import Integration
from omicsglue.runs import RunFolder
from omicsglue.runs.score import score_run
from whole_runs import SignalAt, assert_same_embeddings, embeddings, files_in, quick

pytestmark = [
    pytest.mark.filterwarnings("ignore::omicsglue.errors.OmicsGlueWarning"),
    pytest.mark.usefixtures("no_report"),
]


@pytest.fixture
def mosaic(simulated: SimulatedData) -> dict[str, ad.AnnData]:
    """RNA of cells 0 to 119 and ATAC of cells 30 to 149, in another order and under other names."""
    rna, atac = simulated.rna[:120].copy(), simulated.atac[::-1][:120].copy()
    for adata in (rna, atac):
        adata.obs["barcode"] = adata.obs_names
    atac.obs_names = [f"nucleus{i}" for i in range(atac.n_obs)]
    return {"rna": rna, "atac": atac}


def test_a_run_by_a_column_uses_the_pairs_and_says_so(
    mosaic: dict[str, ad.AnnData], folder: Path, tmp_path: Path
) -> None:
    options = {"annotation": folder / "genes.gtf.gz", "pairing_key": "barcode"}
    told = quick(mosaic, out=tmp_path / "told", **options)
    used = quick(mosaic, out=tmp_path / "used", use_pairing=True, **options)
    assert used.model._pairs is not None
    assert used.model._pairs.count == 90
    assert told.model._pairs is None
    assert "cosine" in used.model.history
    assert "cosine" not in told.model.history
    record = json.loads((tmp_path / "used" / "run.json").read_text())["options"]
    assert (record["pairing"], record["pairing_key"], record["use_pairing"]) == (None, "barcode", True)
    assert not np.array_equal(used.modalities["rna"].obsm["X_glue"], told.modalities["rna"].obsm["X_glue"])
    scores = {name: score_run(tmp_path / name) for name in ("told", "used")}
    assert [each["paired"] for each in scores.values()] == [90, 90]
    assert scores["used"]["notes"][-1].startswith("training used the pairs")
    assert not any("training used" in note for note in scores["told"]["notes"])
    assert "foscttm" not in score_run(tmp_path / "told", paired_by="obs_names")


def test_names_alone_change_nothing_in_training(
    run: Integration, folder: Path, simulated: SimulatedData
) -> None:
    renamed = {name: adata.copy() for name, adata in simulated.modalities.items()}
    renamed["atac"].obs_names = [f"nucleus{i}" for i in range(renamed["atac"].n_obs)]
    other = quick(renamed, annotation=folder / "genes.gtf.gz", max_epochs=5, label_key={"rna": "cell_type"})
    for name, adata in run.modalities.items():
        assert adata.obsm["X_glue"].tobytes() == other.modalities[name].obsm["X_glue"].tobytes()


def test_a_stopped_run_with_pairs_is_resumed_bit_for_bit(folder: Path, tmp_path: Path) -> None:
    options = {"annotation": folder / "genes.gtf.gz", "use_pairing": True, "max_epochs": 3}
    quick(files_in(folder), out=tmp_path / "whole", **options)
    with pytest.raises(KeyboardInterrupt):
        quick(
            files_in(folder),
            out=tmp_path / "RUN",
            reporter=SignalAt("train", 2, signal.SIGINT),
            **options,
        )
    with pytest.raises(RunFolderError, match="use_pairing was True, now False"):
        quick(files_in(folder), out=tmp_path / "RUN", resume=True, **(options | {"use_pairing": False}))
    quick(files_in(folder), out=tmp_path / "RUN", resume=True, **options)
    assert_same_embeddings(*(embeddings(RunFolder.open(tmp_path / name)) for name in ("RUN", "whole")))


def test_pairs_that_cannot_be_used_are_refused_before_anything_is_computed(
    mosaic: dict[str, ad.AnnData], folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="no two modalities share a cell"):
        quick(mosaic, annotation=folder / "genes.gtf.gz", out=tmp_path / "RUN", use_pairing=True)
    assert not (tmp_path / "RUN").exists()


def test_a_loaded_model_embeds_but_does_not_train_without_its_pairs(
    mosaic: dict[str, ad.AnnData], folder: Path, tmp_path: Path
) -> None:
    made = quick(mosaic, annotation=folder / "genes.gtf.gz", pairing_key="barcode", use_pairing=True)
    made.model.save(tmp_path / "model")
    loaded = GLUE.load(tmp_path / "model", made.modalities)
    assert loaded.pairing == "barcode"
    np.testing.assert_array_equal(
        loaded.get_latent_representation("atac"), made.modalities["atac"].obsm["X_glue"]
    )
    with pytest.raises(OptionError, match="cells paired by barcode"):
        loaded.train()
