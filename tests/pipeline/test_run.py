"""``integrate``: what it takes, what it leaves, and that it changes nothing of the user's."""

from __future__ import annotations

import copy
import json
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

import omicsglue as og
from omicsglue.datasets import SimulatedData
from omicsglue.errors import InputError, OmicsGlueWarning, OptionError, TrainingError
from omicsglue.graph import read_graph
from omicsglue.io import sha256_of
from omicsglue.pipeline import IntegrateOptions, Integration
from omicsglue.pipeline.record import allowed_epochs
from omicsglue.runs import RunFolder, score_run
from whole_runs import SignalAt, assert_same_embeddings, embeddings, files_in, quick

pytestmark = pytest.mark.filterwarnings("ignore::omicsglue.errors.OmicsGlueWarning")

PARTS = {
    "integrated.h5mu",
    "graph.parquet",
    "model",
    "checkpoints",
    "history.parquet",
    "run.json",
    "report.html",
}


def as_plain(adata: ad.AnnData) -> dict[str, Any]:
    """Everything in an object, copied."""
    dense = adata.X.toarray() if sp.issparse(adata.X) else np.array(adata.X)
    return {
        "X": dense,
        "obs": adata.obs.copy(),
        "var": adata.var.copy(),
        "obsm": {key: np.array(value) for key, value in adata.obsm.items()},
        "varm": sorted(adata.varm),
        "layers": {key: value.toarray() for key, value in adata.layers.items()},
        "uns": copy.deepcopy(dict(adata.uns)),
    }


def assert_same_content(a: dict[str, Any], b: dict[str, Any]) -> None:
    np.testing.assert_array_equal(a["X"], b["X"])
    for table in ("obs", "var"):
        pd.testing.assert_frame_equal(a[table], b[table])
    for part in ("obsm", "layers"):
        assert list(a[part]) == list(b[part])
        for key, values in a[part].items():
            np.testing.assert_array_equal(values, b[part][key])
    assert a["uns"] == b["uns"]
    assert a["varm"] == b["varm"]


def test_a_run_leaves_every_part_of_the_folder(run: Integration, folder: Path) -> None:
    assert run.folder is not None
    assert {path.name for path in run.folder.path.iterdir()} == PARTS
    assert not list(run.folder.path.rglob(".partial-*"))
    assert {path.name for path in run.folder.model.iterdir()} == {"weights.safetensors", "model.json"}
    edges = run.folder.edges()
    assert list(edges) == ["source", "target", "weight", "sign", "kind", "distance"]
    assert len(edges) == read_graph(run.folder.graph).n_edges == run.graph.n_edges
    history = run.folder.history()
    assert list(history["stage"]) == ["pretrain"] * 5 + ["train"] * 5
    assert {"stage", "epoch", "steps", "seconds", "learning_rate", "vae_loss", "val_vae_loss"} <= set(history)


def test_integrated_file_holds_the_inputs_and_the_results(run: Integration, folder: Path) -> None:
    assert run.folder is not None
    with h5py.File(run.folder.integrated) as file:
        assert list(file["mod"].attrs["mod-order"]) == ["rna", "atac"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        together = mudata.read_h5mu(run.folder.integrated)
    assert list(together.mod) == ["rna", "atac"]
    vertices = set(run.graph.vertices)
    for name, path in files_in(folder).items():
        found, given = together.mod[name], ad.read_h5ad(path)
        assert (found.X != given.X).nnz == 0
        assert list(found.obs_names) == list(given.obs_names)
        assert list(found.var_names) == list(given.var_names)
        assert list(found.obs["cell_type"]) == list(given.obs["cell_type"])
        cells, features = found.obsm["X_glue"], found.varm["X_glue"]
        assert cells.dtype == features.dtype == np.float32
        assert cells.shape == (given.n_obs, features.shape[1])
        assert np.isfinite(cells).all()
        outside = [feature not in vertices for feature in found.var_names]
        np.testing.assert_array_equal(np.isnan(features).all(axis=1), outside)
        np.testing.assert_array_equal(np.isnan(features).any(axis=1), outside)
        assert found.obs["glue_weight"].mean() == pytest.approx(1, abs=1e-4)
        assert {"chrom", "start", "end", "strand"} <= set(found.var)
    assert any(outside)
    assert len(vertices) > 50


def test_record_says_how_the_run_was_made(run: Integration, folder: Path) -> None:
    assert run.folder is not None
    record = run.folder.record()
    options = record["options"]
    assert options["max_epochs"] == 5
    assert options["max_epochs_by_stage"] == {"pretrain": 5, "train": 5}
    assert options["batch_size"] == run.model.recipe.batch_size
    assert options["likelihood"] == {"rna": "nb", "atac": "nb"}
    assert options["label_key"] == {"rna": "cell_type"}
    assert options["device"] in ("cpu", "cuda")
    assert options["threads"] == 1
    assert record["seeds"] == {"seed": 0}
    assert record["versions"]["omicsglue"] == og.__version__
    for name, path in [*files_in(folder).items(), ("annotation", folder / "genes.gtf.gz")]:
        assert record["inputs"][name]["path"] == str(path)
        assert record["inputs"][name]["sha256"] == sha256_of(path)
    assert record["inputs"]["rna"]["cells"] == run.modalities["rna"].n_obs
    stages = ("read", "prepare", "pretrain", "balance", "train", "embed", "write", "report")
    assert list(record["seconds"]) == list(stages)
    assert all(seconds >= 0 for seconds in record["seconds"].values())
    assert 50e6 < record["peak_memory_bytes"] < 50e9
    assert record["status"] == "done"
    assert record["modalities"]["rna"]["representation"] == "X_pca"
    assert record["modalities"]["atac"]["representation"] == "X_lsi"
    assert record["modalities"]["atac"]["features_in_graph"] < run.modalities["atac"].n_vars


def test_allowed_epochs_are_those_of_the_stages(folder: Path) -> None:
    heard = SignalAt("none", 0)
    quick(files_in(folder), annotation=folder / "genes.gtf.gz", max_epochs=3, reporter=heard)
    said = {name: epochs for name, epochs, _ in heard.stages if epochs is not None}
    assert said == allowed_epochs(IntegrateOptions(max_epochs=3).recipe(150), [150, 150])
    from omicsglue.training.loop import Stage

    free = IntegrateOptions().recipe(150)
    stage = type("Fake", (), {"config": free.train, "epoch_length": -(-135 // free.train.batch_size)})
    assert allowed_epochs(free, [150, 90])["train"] == Stage.epochs.fget(stage)  # type: ignore[attr-defined]


def test_returned_objects_are_those_of_the_folder(run: Integration) -> None:
    assert run.folder is not None
    for name, values in embeddings(run.folder).items():
        np.testing.assert_array_equal(values, run.modalities[name].obsm["X_glue"])
        np.testing.assert_array_equal(values, run.model.get_latent_representation(name))
    model = og.GLUE.load(run.folder.model, run.folder.modalities())
    np.testing.assert_array_equal(
        model.get_latent_representation("atac"), run.modalities["atac"].obsm["X_glue"]
    )


def test_the_pairing_that_a_run_was_told_is_the_default_of_its_scores(
    run: Integration, tmp_path: Path
) -> None:
    assert run.folder is not None
    assert score_run(run.folder)["paired"] == run.modalities["rna"].n_obs
    folder = RunFolder.create(tmp_path / "RUN")
    folder.write_integrated(run.folder.modalities())
    folder.write_record({"options": {"pairing": "none"}})
    assert "foscttm" not in score_run(folder)
    assert "foscttm" in score_run(folder, paired_by="obs_names")


@pytest.mark.parametrize("form", ["csr", "csc", "dense", "backed", "view", "path", "mudata", "text path"])
def test_every_form_of_input_gives_the_same_and_is_left_as_it_was(
    form: str, simulated: SimulatedData, folder: Path
) -> None:
    objects: dict[str, Any] = {name: adata.copy() for name, adata in simulated.modalities.items()}
    if form == "csc":
        objects = {name: ad.AnnData(sp.csc_matrix(o.X), o.obs, o.var) for name, o in objects.items()}
    if form == "dense":
        objects = {name: ad.AnnData(o.X.toarray(), o.obs, o.var) for name, o in objects.items()}
    if form == "backed":
        objects = {name: ad.read_h5ad(path, backed="r") for name, path in files_in(folder).items()}
    if form == "view":
        objects = {name: adata[:, :] for name, adata in objects.items()}
    if form == "path":
        objects = dict(files_in(folder))
    if form == "text path":
        objects = {name: str(path) for name, path in files_in(folder).items()}
    given: Any = objects
    if form == "mudata":
        with mudata.set_options(pull_on_update=False):
            given = mudata.MuData(objects)
        objects = dict(given.mod)
    keep = form in ("path", "text path", "backed")
    before = {} if keep else {name: as_plain(adata) for name, adata in objects.items()}
    result = quick(given, annotation=folder / "genes.gtf.gz", max_epochs=1)
    assert list(result.modalities) == ["rna", "atac"]
    assert result.folder is None
    for name, content in before.items():
        assert_same_content(content, as_plain(objects[name]))
    if form == "backed":
        assert all(adata.isbacked for adata in objects.values())
        assert all("X_glue" not in adata.obsm for adata in objects.values())
    if form == "view":
        assert all(adata.is_view for adata in objects.values())
    reference = quick(files_in(folder), annotation=folder / "genes.gtf.gz", max_epochs=1)
    for name, adata in result.modalities.items():
        np.testing.assert_array_equal(adata.obsm["X_glue"], reference.modalities[name].obsm["X_glue"])


@pytest.mark.usefixtures("no_report")
def test_a_modality_of_a_mudata_file_is_read_and_its_file_digested(
    simulated: SimulatedData, folder: Path, tmp_path: Path
) -> None:
    path = tmp_path / "both.h5mu"
    with mudata.set_options(pull_on_update=False), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mudata.MuData({name: adata.copy() for name, adata in simulated.modalities.items()}).write(path)
    given = {"rna": f"{path}:rna", "atac": path}
    result = quick(given, annotation=folder / "genes.gtf.gz", out=tmp_path / "RUN", max_epochs=1)
    assert result.folder is not None
    inputs = result.folder.record()["inputs"]
    assert inputs["rna"]["sha256"] == inputs["atac"]["sha256"] == sha256_of(path)
    assert inputs["rna"]["path"].endswith(".h5mu:rna")


@pytest.mark.usefixtures("no_report")
def test_two_runs_with_one_seed_are_equal_and_another_seed_differs(folder: Path, tmp_path: Path) -> None:
    runs = [
        quick(files_in(folder), annotation=folder / "genes.gtf.gz", out=tmp_path / str(i), seed=seed)
        for i, seed in enumerate((3, 3, 4))
    ]
    first, second, other = (embeddings(run.folder) for run in runs if run.folder is not None)
    assert_same_embeddings(first, second)
    assert first["rna"].tobytes() != other["rna"].tobytes()


@pytest.mark.usefixtures("no_report")
def test_warnings_are_python_warnings_and_stay_in_the_record(
    simulated: SimulatedData, folder: Path, tmp_path: Path
) -> None:
    rna = simulated.rna.copy()
    rna.X = sp.csr_matrix(sp.diags((np.arange(rna.n_obs) != 5).astype(np.float32)) @ rna.X)
    with pytest.warns(OmicsGlueWarning, match="1 of 150 cells have no counts"):
        result = quick(
            {"rna": rna, "atac": simulated.atac},
            annotation=folder / "genes.gtf.gz",
            out=tmp_path / "RUN",
            max_epochs=1,
        )
    assert result.folder is not None
    said = result.folder.record()["warnings"]
    assert len(said) == len(set(said))
    assert any("have no counts" in text for text in said)
    assert result.modalities["rna"].n_obs == 150
    assert np.isfinite(result.modalities["rna"].obsm["X_glue"]).all()


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ([1, 2], InputError, "not by name"),
        ({"rna": 3, "atac": "atac.h5ad"}, InputError, "neither AnnData nor the path"),
        ({"rna": "rna.h5ad"}, OptionError, "at least two modalities, but got rna"),
        ({}, OptionError, "got none"),
        ({"r/na": "rna.h5ad", "atac": "atac.h5ad"}, OptionError, "cannot be the name"),
        ({"annotation": "rna.h5ad", "atac": "atac.h5ad"}, OptionError, "cannot be the name"),
    ],
)
def test_what_is_no_set_of_modalities_is_refused(given: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        quick(given, annotation=None)


def test_overwrite_and_resume_need_a_folder(folder: Path) -> None:
    for option in ("overwrite", "resume"):
        with pytest.raises(OptionError, match="need a run folder"):
            quick(files_in(folder), annotation=folder / "genes.gtf.gz", **{option: True})


@pytest.mark.usefixtures("no_report")
def test_the_raw_part_of_an_object_is_kept(simulated: SimulatedData, folder: Path, tmp_path: Path) -> None:
    rna = simulated.rna.copy()
    rna.raw = rna.copy()
    result = quick(
        {"rna": rna, "atac": simulated.atac},
        annotation=folder / "genes.gtf.gz",
        out=tmp_path / "RUN",
        max_epochs=1,
    )
    assert result.folder is not None
    kept = result.folder.modalities()["rna"].raw
    assert kept is not None
    assert (kept.X != rna.X).nnz == 0


def test_a_failure_of_training_has_exit_code_3_and_says_what_was_saved(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from omicsglue.training.loop import Stage

    def burst(self: Any, losses: Any) -> None:
        if self.name == "train":
            raise TrainingError("the loss is no longer a finite number", where="train", remedy="look")

    monkeypatch.setattr(Stage, "_check_finite", burst)
    with pytest.raises(TrainingError) as failure:
        quick(files_in(folder), annotation=folder / "genes.gtf.gz", out=tmp_path / "RUN")
    assert failure.value.exit_code == 3
    (note,) = failure.value.__notes__
    assert "0-pretrain" in note
    assert "--resume" in note


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (OSError(28, "No space left on device"), "disk"),
        (MemoryError(), "memory is exhausted"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), "memory is exhausted"),
    ],
)
def test_a_failure_of_the_machine_has_exit_code_3(
    cause: Exception, words: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise cause

    monkeypatch.setattr(og.GLUE, "save", fail)
    with pytest.raises(og.OmicsGlueError, match=words) as failure:
        quick(files_in(folder), annotation=folder / "genes.gtf.gz", out=tmp_path / "RUN", max_epochs=1)
    assert failure.value.exit_code == 3
    assert "1-train" in failure.value.__notes__[0]
    monkeypatch.undo()
    again = quick(
        files_in(folder),
        annotation=folder / "genes.gtf.gz",
        out=tmp_path / "RUN",
        max_epochs=1,
        resume=True,
        reporter=(heard := SignalAt("none", 0)),
    )
    assert again.folder is not None
    assert again.folder.record()["status"] == "done"
    assert heard.epochs == []  # nothing is trained again


def test_record_is_read_by_everyone(run: Integration) -> None:
    assert run.folder is not None
    assert json.loads(run.folder.run_json.read_text(encoding="utf-8"))["format"] == 1
