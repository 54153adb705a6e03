"""Batches in a whole model: several columns, shared by modalities, aligned, resumed, saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from omicsglue import GLUE
from omicsglue.errors import InputError, OmicsGlueWarning
from omicsglue.recipe import PretrainedStore, Recipe
from omicsglue.training.interrupt import CheckpointKeeper
from omicsglue.training.progress import Silent
from small import assert_same_model, embeddings, quick_recipe, small_graph, small_modalities, trained

if TYPE_CHECKING:
    from anndata import AnnData

Pair = dict[str, "AnnData"]


class Stopped(Exception):  # noqa: N818
    """Training was stopped by a test."""


def recipe_with(epochs: int = 2, **shape: Any) -> Recipe:
    recipe = quick_recipe(epochs)
    return replace(recipe, network=replace(recipe.network, **shape))


BOTH = recipe_with(shared_batches=True, align_batches=("all",))


def in_batches(**options: Any) -> Pair:
    pair = small_modalities(batches=3, batch_effect=1.5, **options)
    for adata in pair.values():
        GLUE.setup_anndata(adata, representation="X_rep", batch_key="batch")
    return pair


@pytest.fixture(scope="module")
def pair() -> Pair:
    return in_batches()


@pytest.fixture(scope="module")
def model(pair: Pair) -> GLUE:
    return trained(pair, BOTH)


def test_combinations_of_columns_have_parameters_of_their_own(pair: Pair) -> None:
    rna, atac = (adata.copy() for adata in pair.values())
    rna.obs["plate"] = np.where(np.arange(rna.n_obs) < 80, "p1", "p2")
    with pytest.warns(OmicsGlueWarning, match="combinations have fewer than 20 cells"):
        GLUE.setup_anndata(rna[:100].copy(), representation="X_rep", batch_key="batch,plate")
    GLUE.setup_anndata(rna, representation="X_rep", batch_key=["batch", "plate"])
    assert rna.uns["omicsglue"]["batch_key"] == "batch,plate"
    model = trained({"rna": rna, "atac": atac}, quick_recipe(1))
    assert model._data["rna"].batches[:2] == ("batch1 / p1", "batch1 / p2")
    assert [len(model.network.decoders[name].bias) for name in ("rna", "atac")] == [6, 3]


def test_the_options_change_what_is_learned_and_what_is_recorded(pair: Pair, model: GLUE) -> None:
    plain = trained(pair, quick_recipe(2))
    assert not np.array_equal(embeddings(plain)[0], embeddings(model)[0])
    assert not any("batch" in name for name in plain.history)
    assert model.network.discriminator.hidden.linear[0].in_features == 8 + 3
    assert plain.network.discriminator.hidden.linear[0].in_features == 8
    for name, cells in model._data.items():
        assert cells.offsets.any()
        np.testing.assert_array_equal(cells.inputs + 0, pair[name].obsm["X_rep"] - cells.offsets[cells.batch])
        assert plain._data[name].offsets is None


def test_one_modality_may_be_aligned_alone(pair: Pair) -> None:
    model = trained(pair, recipe_with(1, align_batches=("atac",)))
    assert model._data["rna"].offsets is None
    assert model._data["atac"].offsets.shape == (3, 12)


def test_a_batch_that_one_modality_lacks() -> None:
    pair = in_batches(missing_batches={"atac": ("batch2",)})
    with pytest.warns(OmicsGlueWarning, match="rna: no other modality has the batches batch2"):
        model = trained(pair, BOTH)
    assert model.network.get_buffer("shared_rna").tolist() == [[1, 0], [0, 0], [0, 1]]
    assert [len(cells.offsets) for cells in model._data.values()] == [3, 2]
    assert all(np.isfinite(u).all() for u in embeddings(model))


def test_batches_of_one_modality_alone(pair: Pair) -> None:
    atac = pair["atac"].copy()
    GLUE.setup_anndata(atac, representation="X_rep")
    one = {"rna": pair["rna"], "atac": atac}
    model = trained(one, recipe_with(1, align_batches=("all",)))
    assert [name for name, cells in model._data.items() if cells.offsets is not None] == ["rna"]
    with pytest.raises(InputError, match="no batch is in two modalities"):
        GLUE(one, small_graph(one), recipe_with(shared_batches=True))


def test_a_saved_model_keeps_its_batches(pair: Pair, model: GLUE, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    loaded = GLUE.load(tmp_path / "model", pair)
    assert loaded.recipe == model.recipe
    for name in model.modalities:
        assert np.array_equal(embeddings(loaded)[0], embeddings(model)[0])
        assert np.array_equal(loaded._data[name].offsets, model._data[name].offsets)


def test_other_cells_are_seen_less_the_offsets_of_training(pair: Pair, model: GLUE, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    some = {name: adata[:70].copy() for name, adata in pair.items()}
    loaded = GLUE.load(tmp_path / "model", some)
    for name, adata in some.items():
        expected = model.get_latent_representation(name)[:70]
        for found in (model, loaded):
            np.testing.assert_allclose(found.get_latent_representation(name, adata), expected, atol=1e-5)
        np.testing.assert_allclose(loaded.get_latent_representation(name), expected, atol=1e-5)
    first = np.flatnonzero(some["rna"].obs["batch"] == "batch1")
    other = some["rna"][first].copy()
    expected = model.get_latent_representation("rna")[first]
    np.testing.assert_allclose(model.get_latent_representation("rna", other), expected, atol=1e-5)
    other.obs["batch"] = "another"
    with pytest.raises(InputError, match="does not know the batch another"):
        model.get_latent_representation("rna", other)


@pytest.mark.parametrize("steps", [3, 14])
def test_a_resumed_run_equals_an_uninterrupted_one(
    pair: Pair, model: GLUE, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    whole, left = CheckpointKeeper.__call__, [steps]

    def stopping(keeper: CheckpointKeeper, stage: Any) -> None:
        whole(keeper, stage)
        left[0] -= 1
        if left[0] == 0:
            raise Stopped

    options = {"checkpoints": tmp_path, "checkpoint_minutes": 0.0}
    with monkeypatch.context() as patch:
        patch.setattr(CheckpointKeeper, "__call__", stopping)
        with pytest.raises(Stopped):
            trained(pair, BOTH, **options)
    assert_same_model(trained(pair, BOTH, resume=True, **options), model)


def test_members_of_an_ensemble_are_aligned_alike(pair: Pair, model: GLUE, tmp_path: Path) -> None:
    store = PretrainedStore(tmp_path)
    first = trained(pair, BOTH, pretrained=store)
    assert_same_model(first, model)
    second = first.member(1)
    second.train(device="cpu", reporter=Silent(), pretrained=PretrainedStore(tmp_path))
    again = first.member(0)
    again.train(device="cpu", reporter=Silent(), pretrained=PretrainedStore(tmp_path))
    assert_same_model(again, model)
    assert not np.array_equal(embeddings(second)[0], embeddings(first)[0])
    for name in model.modalities:
        assert np.array_equal(second._data[name].offsets, first._data[name].offsets)
