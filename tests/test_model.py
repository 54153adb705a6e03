"""The user's object: setting up, training, embedding, saving and loading."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch

from omicsglue import GLUE
from omicsglue.datasets import simulate
from omicsglue.errors import (
    GraphError,
    InputError,
    NotTrainedError,
    OmicsGlueWarning,
    OptionError,
    RunFolderError,
)
from omicsglue.graph import GuidanceGraph, compose
from omicsglue.metrics import foscttm
from omicsglue.training.interrupt import Interrupted
from omicsglue.training.progress import Silent
from small import WEIGHTS, quick_recipe, representation, same_history, small_graph, small_modalities, trained

if TYPE_CHECKING:
    from anndata import AnnData

Pair = dict[str, "AnnData"]


def copies(pair: Mapping[str, AnnData]) -> Pair:
    return {name: adata.copy() for name, adata in pair.items()}


def embeddings(model: GLUE) -> list[np.ndarray]:
    return [model.get_latent_representation(name) for name in model.modalities]


def assert_same_model(one: GLUE, two: GLUE) -> None:
    for found, expected in zip(embeddings(one), embeddings(two), strict=True):
        assert np.array_equal(found, expected)
    assert same_history(one.history.to_dict("records"), two.history.to_dict("records"))


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


# Kinds of data


def test_three_modalities() -> None:
    data = simulate(
        150,
        genes=100,
        peaks=300,
        types=3,
        rare_share=0.2,
        coordinates=True,
        modalities=("rna", "atac", "protein"),
    )
    modalities = dict(data.modalities)
    for adata in modalities.values():
        adata.obsm["X_rep"] = representation(adata)
        GLUE.setup_anndata(adata, representation="X_rep")
    pairs = data.proteins
    vertices = np.concatenate([pairs["gene"].to_numpy(), pairs["protein"].to_numpy()]).astype(object)
    number = np.arange(len(pairs))
    graph = compose(small_graph(modalities), GuidanceGraph(vertices, number, number + len(pairs)))
    model = trained(modalities, quick_recipe(3), graph)
    assert model.modalities == ["rna", "atac", "protein"]
    assert model.network.discriminator.out.out_features == 3
    assert {"data_nll_protein", "val_data_kl_protein"} <= set(model.history)
    assert all(u.shape == (150, 8) and np.isfinite(u).all() for u in embeddings(model))
    assert len(model.get_feature_embedding("protein")) == len(pairs)


def test_negative_edges_push_features_apart(small_pair: Pair) -> None:
    graph = small_graph(small_pair)
    sign = np.where(np.arange(graph.n_edges) % 2, -1, 1).astype(np.int8)
    signed = replace(graph, sign=sign)
    model = trained(small_pair, quick_recipe(20, weights=replace(WEIGHTS, graph=2.0)), signed)
    v = model.get_feature_embedding().to_numpy()
    product = (v[signed.source] * v[signed.target]).sum(1)
    assert all(np.isfinite(u).all() for u in embeddings(model))
    assert product[sign > 0].mean() > product[sign < 0].mean() + 0.1


def label_losses(pair: Pair, weight: float) -> pd.Series:
    recipe = quick_recipe(15, weights=replace(WEIGHTS, label=weight, align=0.0))
    return trained(pair, replace(recipe, balancing=None)).history["val_label"]


def test_labels_guide_the_embedding(small_pair: Pair) -> None:
    pair = copies(small_pair)
    for name, adata in pair.items():
        adata.obs["known"] = adata.obs["cell_type"].astype(object)
        adata.obs.loc[adata.obs_names[::3], "known"] = None
        with pytest.warns(OmicsGlueWarning, match="have no label"):
            GLUE.setup_anndata(adata, representation="X_rep", labels_key="known")
        assert adata.uns["omicsglue"]["labels_key"] == "known", name
    guided, unguided = label_losses(pair, 1.0), label_losses(pair, 0.0)
    assert guided.iloc[-1] < 0.6 * guided.iloc[0]
    assert guided.iloc[-1] < unguided.iloc[-1] - 0.3


def test_labels_of_one_modality_are_enough(small_pair: Pair) -> None:
    pair = copies(small_pair)
    GLUE.setup_anndata(pair["rna"], representation="X_rep", labels_key="cell_type")
    model = trained(pair, quick_recipe(1))
    assert model.labels == ("type1", "type2", "type3")
    assert model.history["label"].notna().all()


def test_batches_have_parameters_of_their_own() -> None:
    pair = small_modalities(batches=2, batch_effect=0.5)
    for adata in pair.values():
        GLUE.setup_anndata(adata, representation="X_rep", batch_key="batch")
    model = trained(pair, quick_recipe(2))
    bias = model.network.decoders["rna"].bias
    assert bias.shape[0] == 2
    assert (bias[0] - bias[1]).abs().mean() > 0.1
    assert all(np.isfinite(u).all() for u in embeddings(model))


def test_without_a_representation_the_encoder_sees_counts(small_pair: Pair) -> None:
    pair = copies(small_pair)
    for adata in pair.values():
        GLUE.setup_anndata(adata)
    model = trained(pair, quick_recipe(2))
    rna = pair["rna"]
    modelled = [name for name in rna.var_names if name in model.graph]
    counts = rna[:, modelled].X.toarray()
    expected = np.log1p(1e4 * counts / np.maximum(counts.sum(1, keepdims=True), 1))
    np.testing.assert_allclose(model._data["rna"].inputs.toarray(), expected, rtol=1e-5)
    whole = model.get_latent_representation("rna")
    turned = rna[[7, 2]][:, rna.var_names[::-1]].copy()  # another order of features
    np.testing.assert_allclose(model.get_latent_representation("rna", turned), whole[[7, 2]], atol=1e-4)
    with pytest.raises(InputError, match="lack features"):
        model.get_latent_representation("rna", rna[:5, :50].copy())


FORMS: dict[str, Callable[[sp.csr_matrix], Any]] = {
    "csr": lambda x: x,
    "csc": sp.csc_matrix,
    "dense": lambda x: x.toarray(),
    "array": sp.csr_array,
    "float64": lambda x: x.astype(np.float64),
    "int": lambda x: x.astype(np.int32),
}


@pytest.fixture(scope="module")
def brief_model(small_pair: Pair) -> GLUE:
    return trained(small_pair, quick_recipe(1))


@pytest.mark.parametrize("form", FORMS)
def test_the_form_of_the_matrix_does_not_matter(small_pair: Pair, brief_model: GLUE, form: str) -> None:
    pair = copies(small_pair)
    for adata in pair.values():
        adata.X = FORMS[form](adata.X)
    assert_same_model(trained(pair, quick_recipe(1)), brief_model)


def test_backed_data_are_as_good_as_data_in_memory(
    small_pair: Pair, brief_model: GLUE, tmp_path: Path
) -> None:
    backed = {}
    for name, adata in small_pair.items():
        adata.write_h5ad(tmp_path / f"{name}.h5ad")
        backed[name] = ad.read_h5ad(tmp_path / f"{name}.h5ad", backed="r")
    assert_same_model(trained(backed, quick_recipe(1)), brief_model)
    for adata in backed.values():
        adata.file.close()


def test_a_layer_holds_the_counts_as_well_as_x(small_pair: Pair, brief_model: GLUE) -> None:
    pair = copies(small_pair)
    for adata in pair.values():
        adata.layers["counts"] = adata.X
        adata.X = np.log1p(adata.X.toarray())
        GLUE.setup_anndata(adata, layer="counts", representation="X_rep")
    assert_same_model(trained(pair, quick_recipe(1)), brief_model)


def test_a_mudata_is_as_good_as_a_dictionary(small_pair: Pair, brief_model: GLUE) -> None:
    from mudata import MuData, set_options

    with set_options(pull_on_update=False):
        data = MuData(dict(small_pair))
    assert_same_model(trained(data, quick_recipe(1), brief_model.graph), brief_model)


def test_the_users_objects_are_not_changed(small_pair: Pair) -> None:
    pair = copies(small_pair)
    trained(pair, quick_recipe(1))
    for name, adata in pair.items():
        before = small_pair[name]
        assert (adata.X != before.X).nnz == 0
        pd.testing.assert_frame_equal(adata.obs, before.obs)
        pd.testing.assert_frame_equal(adata.var, before.var)
        assert adata.uns == before.uns
        assert list(adata.obsm) == list(before.obsm)
        assert np.array_equal(adata.obsm["X_rep"], before.obsm["X_rep"])
        assert (list(adata.layers), list(adata.varm)) == ([], [])


# Few cells, empty cells


@pytest.mark.parametrize("cells", [2, 3, 10, 40])
def test_few_cells(cells: int) -> None:
    pair = small_modalities(160)
    few = {name: adata[:cells].copy() for name, adata in pair.items()}
    with pytest.warns(OmicsGlueWarning, match="fewer than a batch of 64"):
        model = trained(few, quick_recipe(2, batch_size=64))
    assert all(u.shape == (cells, 8) and np.isfinite(u).all() for u in embeddings(model))
    assert ("val_vae_loss" in model.history) == (cells > 2)


def test_modalities_of_very_different_size(small_pair: Pair) -> None:
    pair = {"rna": small_pair["rna"], "atac": small_pair["atac"][:20].copy()}
    with pytest.warns(OmicsGlueWarning, match="atac"):
        model = trained(pair, quick_recipe(2))
    assert [len(u) for u in embeddings(model)] == [160, 20]
    assert np.isfinite(model.history["val_vae_loss"]).all()


def test_a_cell_without_counts_is_kept(small_pair: Pair) -> None:
    pair = copies(small_pair)
    counts = pair["atac"].X.tolil()
    counts[[3, 9]] = 0
    pair["atac"].X = counts.tocsr()
    with pytest.warns(OmicsGlueWarning, match="2 of 160 cells have no counts"):
        GLUE.setup_anndata(pair["atac"], representation="X_rep")
    model = trained(pair, quick_recipe(2))
    assert all(np.isfinite(u).all() for u in embeddings(model))
    assert model._data["atac"].library[3] == 1


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
    "options", [{"max_epochs": 0}, {"device": "tpu"}, {"threads": 0}, {"devices": 3}, {"resume": True}]
)
def test_options_of_training_are_checked(small_pair: Pair, options: dict[str, Any]) -> None:
    model = GLUE(small_pair, small_graph(small_pair), quick_recipe())
    with pytest.raises(OptionError):
        model.train(**{"reporter": Silent(), **options})


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


def test_embedding_does_not_touch_generators(small_model: GLUE) -> None:
    before = torch.get_rng_state()
    embeddings(small_model)
    assert torch.equal(torch.get_rng_state(), before)
