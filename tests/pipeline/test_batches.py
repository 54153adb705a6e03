"""Options of batches in whole runs, from the command line to the run folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from omicsglue.cli.app import run as command
from omicsglue.errors import OmicsGlueWarning
from omicsglue.runs import RunFolder
from omicsglue.tl.links import _batch_codes
from whole_runs import assert_same_embeddings, embeddings, files_in, quick, small_data


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Cells of two batches, one of which ATAC lacks in part."""
    data = small_data(batches=2, batch_effect=0.5)
    for adata in data.modalities.values():
        adata.obs["half"] = ["first" if number < 75 else "second" for number in range(adata.n_obs)]
    return data.write(tmp_path_factory.mktemp("data"))


@pytest.mark.usefixtures("no_report")
def test_options_of_batches_reach_the_run_from_anywhere(folder: Path, tmp_path: Path) -> None:
    places = {"annotation": folder / "genes.gtf.gz", "out": tmp_path / "python"}
    found = quick(
        files_in(folder),
        batch_key={"rna": ["batch", "half"], "atac": ["batch", "half"]},
        shared_batches=True,
        align_batches=["rna"],
        **places,
    )
    assert found.model._data["rna"].batches == tuple(
        f"batch{i} / {half}" for i in (1, 2) for half in ("first", "second")
    )
    options = RunFolder.open(tmp_path / "python").record()["options"]
    assert options["batch_key"]["rna"] == "batch,half"
    assert (options["align_batches"], options["shared_batches"]) == ("rna", True)
    offsets = [found.model._data[name].offsets for name in ("rna", "atac")]
    assert offsets[0].shape[0] == 4
    assert offsets[1] is None
    config = tmp_path / "options.yaml"
    config.write_text("batch-key: {rna: [batch, half]}\nalign_batches: rna\nmax_epochs: 2\nthreads: 1\n")
    arguments = ["integrate", "--quiet", "--config", str(config), "--batch-key", "atac=batch,half"]
    for name, path in files_in(folder).items():
        arguments += ["--modality", f"{name}={path}"]
    arguments += ["--annotation", str(folder / "genes.gtf.gz"), "--out", str(tmp_path / "words")]
    assert command([*arguments, "--shared-batches"]) == 0
    assert_same_embeddings(embeddings(tmp_path / "words"), embeddings(tmp_path / "python"))
    assert command([*arguments, "--shared-batches", "--resume"]) == 0  # it is the same run, and finished
    assert command([*arguments, "--no-shared-batches", "--resume"]) == 2


@pytest.mark.usefixtures("no_report")
def test_a_run_without_the_options_is_not_changed_by_them(folder: Path) -> None:
    keys = {"batch_key": {"rna": "batch", "atac": "batch"}}
    plain = quick(files_in(folder), annotation=folder / "genes.gtf.gz", **keys)
    off = quick(
        files_in(folder), annotation=folder / "genes.gtf.gz", shared_batches=False, align_batches=None, **keys
    )
    for name, adata in plain.modalities.items():
        assert adata.obsm["X_glue"].tobytes() == off.modalities[name].obsm["X_glue"].tobytes()


@pytest.mark.filterwarnings("ignore:atac. there are 100 cells to train on")
@pytest.mark.usefixtures("no_report")
def test_batches_that_are_not_shared_are_in_the_record(tmp_path: Path) -> None:
    data = small_data(batches=3, batch_effect=0.5, missing_batches={"atac": ("batch3",)})
    source = data.write(tmp_path / "data")
    with pytest.warns(OmicsGlueWarning, match="no other modality has the batches batch3"):
        quick(
            files_in(source),
            annotation=source / "genes.gtf.gz",
            out=tmp_path / "RUN",
            batch_key={"rna": "batch", "atac": "batch"},
            shared_batches=True,
            align_batches="all",
        )
    said = RunFolder.open(tmp_path / "RUN").record()["warnings"]
    assert sum("batch3" in each for each in said) == 1


def test_links_take_combinations_of_columns() -> None:
    rna = small_data(batches=2).rna
    rna.obs["half"] = ["first" if number < 75 else "second" for number in range(rna.n_obs)]
    codes = _batch_codes(rna, "batch,half")
    assert codes is not None
    expected = 2 * (rna.obs["batch"] == "batch2").to_numpy() + (rna.obs["half"] == "second").to_numpy()
    assert codes.tolist() == expected.tolist()
