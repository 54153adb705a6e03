"""The user's object: what it gives, what it takes, and what it says where something is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import torch

from omicsglue import GLUE
from omicsglue.errors import (
    GraphError,
    InputError,
    NotTrainedError,
    OptionError,
)
from omicsglue.graph import GuidanceGraph
from omicsglue.metrics import foscttm
from omicsglue.training.progress import Silent
from small import copies, embeddings, quick_recipe, small_graph, trained

if TYPE_CHECKING:
    from anndata import AnnData

Pair = dict[str, "AnnData"]


# What it does


def test_cells_find_their_counterparts(small_pair: Pair, small_model: GLUE) -> None:
    untrained = trained(small_pair, quick_recipe(1, learning_rate=1e-9, ema=0.0))
    assert foscttm(*embeddings(untrained)) > 0.4
    assert foscttm(*embeddings(small_model)) < 0.25


def test_history_and_seconds(small_model: GLUE) -> None:
    history = small_model.history
    assert isinstance(history, pd.DataFrame)
    assert list(history["stage"].unique()) == ["pretrain", "train"]
    assert history.groupby("stage")["epoch"].max().tolist() == [40, 40]
    assert set(small_model.seconds) == {"pretrain", "balance", "train"}
    last = history.iloc[-1]
    assert last["val_vae_loss"] < history.iloc[0]["val_vae_loss"]


def test_weights_have_mean_one(small_model: GLUE) -> None:
    for name in small_model.modalities:
        weight = small_model.balancing_weights(name)
        assert weight.shape == (160,)
        assert weight.dtype == np.float32
        assert weight.mean() == pytest.approx(1, abs=1e-5)


def test_features_are_named_and_linked_ones_lie_together(small_pair: Pair, small_model: GLUE) -> None:
    graph = small_model.graph
    table = small_model.get_feature_embedding()
    assert list(table.index) == list(graph.vertices)
    assert table.shape == (graph.n_vertices, 8)
    rna = small_model.get_feature_embedding("rna")
    assert list(rna.index) == [name for name in small_pair["rna"].var_names if name in graph]
    assert rna.loc[rna.index[3]].equals(table.loc[rna.index[3]])
    v = table.to_numpy()
    linked = (v[graph.source] * v[graph.target]).sum(1).mean()
    shuffled = np.random.default_rng(0).permutation(graph.target)
    assert linked > (v[graph.source] * v[shuffled]).sum(1).mean() + 0.05


def test_deviations_are_positive_and_of_the_same_shape(small_model: GLUE) -> None:
    mean, std = small_model.get_latent_representation("rna", return_std=True)
    assert mean.shape == std.shape == (160, 8)
    assert mean.dtype == std.dtype == np.float32
    assert (std > 0).all()
    assert np.array_equal(mean, small_model.get_latent_representation("rna"))


def test_other_cells_are_embedded_like_those_of_training(small_pair: Pair, small_model: GLUE) -> None:
    some = small_pair["atac"][[5, 80, 3]].copy()
    expected = small_model.get_latent_representation("atac")[[5, 80, 3]]
    np.testing.assert_allclose(small_model.get_latent_representation("atac", some), expected, atol=1e-5)
    bare = ad.AnnData(obsm={"X_rep": some.obsm["X_rep"]})  # all that the encoder looks at
    np.testing.assert_allclose(small_model.get_latent_representation("atac", bare), expected, atol=1e-5)
    assert small_model.get_latent_representation("atac", bare[:0].copy()).shape == (0, 8)


def test_other_cells_of_another_width_are_refused(small_pair: Pair, small_model: GLUE) -> None:
    other = small_pair["rna"][:4].copy()
    other.obsm["X_rep"] = other.obsm["X_rep"][:, :5]
    with pytest.raises(InputError, match="5 dimensions, the model knows 12"):
        small_model.get_latent_representation("rna", other)
    del other.obsm["X_rep"]
    with pytest.raises(InputError, match="X_rep"):
        small_model.get_latent_representation("rna", other)


def test_embedding_does_not_touch_generators(small_model: GLUE) -> None:
    before = torch.get_rng_state()
    embeddings(small_model)
    assert torch.equal(torch.get_rng_state(), before)


# What is wrong is said


def test_what_was_not_set_up_is_named(small_pair: Pair) -> None:
    pair = copies(small_pair)
    del pair["atac"].uns["omicsglue"]
    with pytest.raises(InputError, match=r"atac.*setup_anndata|atac: the modality has not been set up"):
        GLUE(pair, small_graph(pair), quick_recipe())


@pytest.mark.parametrize(
    ("slot", "key", "setup"),
    [
        ("obsm", "X_rep", {"representation": "X_rep"}),
        ("obs", "batch", {"batch_key": "batch"}),
        ("obs", "cell_type", {"labels_key": "cell_type"}),
        ("layers", "counts", {"layer": "counts"}),
    ],
)
def test_what_is_gone_since_the_setup_is_named(
    small_pair: Pair, slot: str, key: str, setup: dict[str, str]
) -> None:
    pair = copies(small_pair)
    rna = pair["rna"]
    rna.layers["counts"] = rna.X
    rna.obs["batch"] = np.where(np.arange(rna.n_obs) % 2, "a", "b")
    GLUE.setup_anndata(rna, **setup)
    del getattr(rna, slot)[key]
    with pytest.raises(InputError, match=key):
        GLUE(pair, small_graph(pair), quick_recipe())


def test_a_representation_that_went_bad_is_refused(small_pair: Pair) -> None:
    pair = copies(small_pair)
    pair["rna"].obsm["X_rep"][4, 2] = np.nan
    with pytest.raises(InputError, match="NaN or infinite for 1 of 160"):
        GLUE(pair, small_graph(pair), quick_recipe())


def test_what_are_no_modalities_is_refused(small_pair: Pair) -> None:
    graph = small_graph(small_pair)
    with pytest.raises(InputError, match="list"):
        GLUE(list(small_pair.values()), graph)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="at least two"):
        GLUE({"rna": small_pair["rna"]}, graph)


def test_a_graph_of_other_features_is_refused(small_pair: Pair) -> None:
    graph = GuidanceGraph(np.array(["x", "y"], dtype=object), np.array([0]), np.array([1]))
    with pytest.raises(GraphError, match="no modality has"):
        GLUE(small_pair, graph)


def test_results_are_not_given_before_training(small_pair: Pair, tmp_path: Path) -> None:
    model = GLUE(small_pair, small_graph(small_pair), quick_recipe())
    assert not model.is_trained
    for ask in (
        lambda: model.get_latent_representation("rna"),
        model.get_feature_embedding,
        lambda: model.balancing_weights("rna"),
        lambda: model.history,
        lambda: model.seconds,
        lambda: model.save(tmp_path / "m"),
    ):
        with pytest.raises(NotTrainedError):
            ask()
    assert not (tmp_path / "m").exists()


def test_an_unknown_modality_is_refused(small_model: GLUE) -> None:
    for ask in (
        lambda: small_model.get_latent_representation("prot"),
        lambda: small_model.get_feature_embedding("prot"),
        lambda: small_model.balancing_weights("prot"),
    ):
        with pytest.raises(OptionError, match="rna, atac"):
            ask()


@pytest.mark.parametrize(
    "options", [{"max_epochs": 0}, {"device": "tpu"}, {"threads": 0}, {"devices": 0}, {"resume": True}]
)
def test_options_of_training_are_checked(small_pair: Pair, options: dict[str, Any]) -> None:
    model = GLUE(small_pair, small_graph(small_pair), quick_recipe())
    with pytest.raises(OptionError):
        model.train(**{"reporter": Silent(), **options})
