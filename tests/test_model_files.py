"""A model and its files: checkpoints, resuming, saving and loading."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from omicsglue import GLUE
from omicsglue.errors import (
    InputError,
    NotTrainedError,
    RunFolderError,
)
from omicsglue.training.progress import Silent
from omicsglue.training.signals import Interrupted
from small import assert_same_model, copies, embeddings, quick_recipe, small_graph, trained

if TYPE_CHECKING:
    from anndata import AnnData

Pair = dict[str, "AnnData"]


# Checkpoints


class StopAfter(Silent):
    """Sends a signal after so many epochs."""

    def __init__(self, epochs: int, number: signal.Signals) -> None:
        self.left, self.number = epochs, number

    def epoch(self, row: Mapping[str, float | int | str]) -> None:
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(self.number)


@pytest.mark.parametrize(("epochs", "number"), [(1, signal.SIGINT), (2, signal.SIGTERM), (3, signal.SIGINT)])
def test_an_interrupted_run_is_resumed_as_if_nothing_had_happened(
    small_pair: Pair, tmp_path: Path, epochs: int, number: signal.Signals
) -> None:
    recipe, graph = quick_recipe(2), small_graph(small_pair)
    before = signal.getsignal(number)
    model = GLUE(small_pair, graph, recipe)
    with pytest.raises(Interrupted):
        model.train(device="cpu", checkpoints=tmp_path, reporter=StopAfter(epochs, number))
    assert signal.getsignal(number) is before
    assert not model.is_trained
    assert list(tmp_path.glob("*.safetensors"))
    resumed = GLUE(small_pair, graph, recipe)
    resumed.train(device="cpu", checkpoints=tmp_path, resume=True, reporter=Silent())
    assert_same_model(resumed, trained(small_pair, recipe))


def test_checkpoints_do_not_change_the_result_and_are_few(small_pair: Pair, tmp_path: Path) -> None:
    model = trained(small_pair, quick_recipe(2), checkpoints=tmp_path, checkpoint_minutes=0)
    assert_same_model(model, trained(small_pair, quick_recipe(2)))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "1-train-0000005.safetensors",
        "1-train-0000010.safetensors",
    ]
    again = GLUE(small_pair, small_graph(small_pair), quick_recipe(2))
    again.train(device="cpu", checkpoints=tmp_path, resume=True, reporter=Silent())
    assert_same_model(again, model)


def test_resume_without_checkpoints_starts(small_pair: Pair, brief_model: GLUE, tmp_path: Path) -> None:
    model = trained(small_pair, quick_recipe(1), checkpoints=tmp_path / "none", resume=True)
    assert_same_model(model, brief_model)


def test_checkpoints_of_other_runs_are_not_mixed(small_pair: Pair, tmp_path: Path) -> None:
    trained(small_pair, quick_recipe(1), checkpoints=tmp_path)
    with pytest.raises(RunFolderError, match="earlier run"):
        trained(small_pair, quick_recipe(1), checkpoints=tmp_path)
    with pytest.raises(RunFolderError, match="other data or settings"):
        trained(small_pair, quick_recipe(1, seed=1), checkpoints=tmp_path, resume=True)


def test_training_again_starts_afresh(small_pair: Pair, brief_model: GLUE) -> None:
    model = GLUE(small_pair, small_graph(small_pair), quick_recipe(1))
    for _ in range(2):
        model.train(device="cpu", reporter=Silent())
    assert_same_model(model, brief_model)


def test_a_failed_training_leaves_no_model(small_pair: Pair) -> None:
    model = GLUE(small_pair, small_graph(small_pair), quick_recipe(1))
    model.train(device="cpu", reporter=Silent())
    with pytest.raises(Interrupted):
        model.train(device="cpu", reporter=StopAfter(1, signal.SIGINT))
    with pytest.raises(NotTrainedError):
        model.get_latent_representation("rna")


def test_an_option_limits_the_epochs_of_both_stages(small_pair: Pair) -> None:
    model = GLUE(small_pair, small_graph(small_pair), quick_recipe(5))
    model.train(1, device="cpu", reporter=Silent())
    assert model.history["epoch"].tolist() == [1, 1]


# Saving and loading


def test_a_loaded_model_gives_the_same_bits(small_pair: Pair, small_model: GLUE, tmp_path: Path) -> None:
    small_model.save(tmp_path / "model")
    loaded = GLUE.load(tmp_path / "model", small_pair)
    assert_same_model(loaded, small_model)
    assert loaded.is_trained
    assert loaded.recipe == small_model.recipe
    assert loaded.seconds == small_model.seconds
    pd.testing.assert_frame_equal(loaded.get_feature_embedding(), small_model.get_feature_embedding())
    for name in small_model.modalities:
        assert np.array_equal(loaded.balancing_weights(name), small_model.balancing_weights(name))
        found, expected = (
            m.get_latent_representation(name, return_std=True)[1] for m in (loaded, small_model)
        )
        assert np.array_equal(found, expected)
    for key in ("source", "target", "weight", "sign", "kind_codes", "distance", "vertices"):
        np.testing.assert_array_equal(getattr(loaded.graph, key), getattr(small_model.graph, key))
    assert loaded.graph.kind_names == small_model.graph.kind_names


def test_a_loaded_model_takes_other_cells_in_any_order(
    small_pair: Pair, small_model: GLUE, tmp_path: Path
) -> None:
    small_model.save(tmp_path)
    rows = [9, 4, 100]
    others = {
        "atac": small_pair["atac"][rows][:, small_pair["atac"].var_names[::-1]].copy(),
        "rna": small_pair["rna"][rows].copy(),
    }
    loaded = GLUE.load(tmp_path, others)
    assert loaded.modalities == ["rna", "atac"]
    for name in loaded.modalities:
        found, expected = (model.get_latent_representation(name) for model in (loaded, small_model))
        np.testing.assert_allclose(found, expected[rows], atol=1e-5)
        assert (loaded._data[name].counts != small_model._data[name].counts[rows]).nnz == 0


def test_a_loaded_model_standardises_other_cells_as_those_of_training(
    small_pair: Pair, tmp_path: Path
) -> None:
    pair = copies(small_pair)
    pair["rna"].X = np.log1p(pair["rna"].X.toarray())
    GLUE.setup_anndata(pair["rna"], likelihood="normal")
    model = trained(pair, quick_recipe(1))
    model.save(tmp_path)
    rows = [9, 4, 100]
    loaded = GLUE.load(tmp_path, {name: adata[rows].copy() for name, adata in pair.items()})
    expected = model.get_latent_representation("rna")[rows]
    np.testing.assert_allclose(loaded.get_latent_representation("rna"), expected, atol=1e-5)
    others = loaded.get_latent_representation("rna", pair["rna"][rows[:1]].copy())
    np.testing.assert_allclose(others, expected[:1], atol=1e-5)


def test_other_features_or_modalities_are_refused(
    small_pair: Pair, small_model: GLUE, tmp_path: Path
) -> None:
    small_model.save(tmp_path)
    fewer = {"rna": small_pair["rna"][:, :80].copy(), "atac": small_pair["atac"]}
    with pytest.raises(InputError, match="rna: the data lack features"):
        GLUE.load(tmp_path, fewer)
    renamed = {"rna": small_pair["rna"], "peaks": small_pair["atac"]}
    with pytest.raises(InputError, match=r"rna, atac.*rna, peaks"):
        GLUE.load(tmp_path, renamed)
    narrow = copies(small_pair)
    narrow["rna"].obsm["X_rep"] = narrow["rna"].obsm["X_rep"][:, :3]
    with pytest.raises(InputError, match="3 dimensions"):
        GLUE.load(tmp_path, narrow)


def test_unlabelled_cells_can_be_loaded_and_unknown_batches_not(small_pair: Pair, tmp_path: Path) -> None:
    pair = copies(small_pair)
    for adata in pair.values():
        adata.obs["donor"] = np.where(np.arange(adata.n_obs) % 2, "a", "b")
        GLUE.setup_anndata(adata, representation="X_rep", labels_key="cell_type", batch_key="donor")
    model = trained(pair, quick_recipe(1))
    model.save(tmp_path)
    for adata in pair.values():
        del adata.obs["cell_type"]
    loaded = GLUE.load(tmp_path, pair)
    assert loaded.labels == model.labels
    assert np.array_equal(embeddings(loaded)[0], embeddings(model)[0])
    pair["rna"].obs["donor"] = pair["rna"].obs["donor"].replace("b", "c")
    with pytest.raises(InputError, match="does not know the batch c"):
        GLUE.load(tmp_path, pair)
