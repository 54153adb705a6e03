"""What a model can be made of: kinds, forms and sizes of data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from omicsglue import GLUE
from omicsglue.datasets import simulate
from omicsglue.errors import (
    InputError,
    OmicsGlueWarning,
    OptionError,
)
from omicsglue.graph import GuidanceGraph, compose
from small import (
    WEIGHTS,
    assert_same_model,
    copies,
    embeddings,
    quick_recipe,
    representation,
    small_graph,
    small_modalities,
    trained,
)

if TYPE_CHECKING:
    from anndata import AnnData

Pair = dict[str, "AnnData"]


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


def test_types_are_predicted_for_the_modality_without_labels(small_pair: Pair) -> None:
    pair = copies(small_pair)
    GLUE.setup_anndata(pair["rna"], representation="X_rep", labels_key="cell_type")
    model = trained(pair, quick_recipe(20, weights=replace(WEIGHTS, label=0.5)))
    for name, adata in pair.items():
        found = model.predict_labels(name)
        assert list(found.columns) == ["type1", "type2", "type3"]
        assert list(found.index) == list(adata.obs_names)
        assert np.allclose(found.sum(axis=1), 1, atol=1e-5)
    right = model.predict_labels("rna").idxmax(axis=1) == pair["rna"].obs["cell_type"].astype(str)
    assert right.mean() > 0.8
    assert model.predict_labels("atac", pair["atac"][:7]).equals(model.predict_labels("atac").iloc[:7])


def test_without_labels_no_types_are_predicted(brief_model: GLUE) -> None:
    with pytest.raises(OptionError, match="trained without labels"):
        brief_model.predict_labels("rna")


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


@pytest.mark.parametrize("cells", [2, 3, 10, 40])
def test_few_cells(small_pair: Pair, cells: int) -> None:
    few = {name: adata[:cells].copy() for name, adata in small_pair.items()}
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
