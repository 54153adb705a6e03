"""Annotations of several modalities: merged, split, renamed and wrong labels are told apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from anndata import AnnData

from omicsglue import tl
from omicsglue.errors import InputError, OptionError

PLACES = {"A": (0, 0), "B": (9, 0), "C": (0, 9), "D": (9, 9)}


def cells(spread: float = 1.0, *, seed: int, each: int = 60, width: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Return an embedding of four types and their names."""
    rng = np.random.default_rng(seed)
    types = np.repeat(list(PLACES), each)
    at = np.zeros((len(types), width))
    at[:, :2] = [PLACES[name] for name in types]
    return at + rng.normal(0, spread, at.shape), types


def annotated(seed: int, rename: dict[str, str], *, column: str = "cluster", **options: Any) -> AnnData:
    """Return cells whose types bear other names."""
    x, types = cells(seed=seed, **options)
    obs = pd.DataFrame({column: [rename.get(name, name) for name in types], "truth": types})
    obs.index = [f"cell{number}" for number in range(len(types))]
    return AnnData(np.zeros((len(types), 1), dtype=np.float32), obs=obs, obsm={"X_glue": x})


@pytest.fixture
def modalities() -> dict[str, AnnData]:
    """Return RNA with four types, ATAC that merges C and D, methylation that splits A."""
    atac = annotated(1, {"A": "c1", "B": "c2", "C": "c3", "D": "c3"})
    methylation = annotated(2, {}, column="type")
    half = (methylation.obs["type"] == "A") & (np.arange(methylation.n_obs) % 2 == 0)
    methylation.obs["type"] = methylation.obs["type"].mask(half, "A2").replace({"A": "A1"})
    return {"rna": annotated(0, {}, column="cell_type"), "atac": atac, "methylation": methylation}


KEYS = {"rna": "cell_type", "atac": "cluster", "methylation": "type"}


def test_merged_split_and_renamed_labels(modalities: dict[str, AnnData]) -> None:
    found = tl.unify_labels(modalities, KEYS)
    assert found.reference == "rna"
    table = found.conflicts.set_index(["modality", "label"])
    assert (table.loc["rna", "relation"] == "agrees").all()
    assert table.loc["atac", "relation"].to_dict() == {"c1": "renamed", "c2": "renamed", "c3": "merges"}
    assert set(table.loc[("atac", "c3"), "unified"].split(", ")) == {"C", "D"}
    relation = table.loc["methylation", "relation"].to_dict()
    assert relation == {"A1": "part of", "A2": "part of", "B": "agrees", "C": "agrees", "D": "agrees"}
    words = table["words"]
    assert words["atac", "c1"] == "atac 'c1' is what rna calls A (100%)"
    assert words["methylation", "A1"] == "methylation 'A1' is a part of A (100%) of rna, beside A2"
    assert "atac 'c3' covers " in words["atac", "c3"]


def test_every_cell_gets_a_label_of_the_reference(modalities: dict[str, AnnData]) -> None:
    found = tl.unify_labels(modalities, KEYS).cells
    truth = np.concatenate([each.obs["truth"] for each in modalities.values()])
    assert (found["unified"] == truth).all()
    assert (found["score"] > 0.9).mean() > 0.95
    assert list(found["cell"][:2]) == ["cell0", "cell1"]
    assert not found["contradictory"].any()
    some = tl.unify_labels(modalities, {"rna": "cell_type"}).cells  # a modality without labels has them then
    assert (some["unified"] == truth).all()
    assert some.loc[some["modality"] == "atac", "label"].isna().all()
    assert some.loc[some["modality"] == "atac", "contradiction"].isna().all()


def test_contradictory_cells_are_flagged(modalities: dict[str, AnnData]) -> None:
    atac = modalities["atac"]
    wrong = np.flatnonzero(atac.obs["truth"] == "B")[:6]
    atac.obs.iloc[wrong, atac.obs.columns.get_loc("cluster")] = "c1"
    found = tl.unify_labels(modalities, KEYS)
    flagged = found.cells[found.cells["contradictory"]]
    assert set(flagged["modality"]) == {"atac"}
    assert list(flagged["cell"]) == [f"cell{number}" for number in wrong]
    assert (flagged["unified"] == "B").all()
    row = found.conflicts.set_index(["modality", "label"]).loc[("atac", "c1")]
    assert row["contradictory"] == 6
    assert row["words"].endswith("6 of its cells lie elsewhere")


def test_a_label_that_bears_the_name_of_another_type() -> None:
    modalities = {"rna": annotated(0, {}), "atac": annotated(1, {"A": "B", "B": "A"})}
    found = tl.unify_labels(modalities, dict.fromkeys(modalities, "cluster"))
    relation = found.conflicts.set_index(["modality", "label"])["relation"]["atac"]
    assert relation.to_dict() == {"A": "contradicts", "B": "contradicts", "C": "agrees", "D": "agrees"}
    assert found.agreement.loc["rna", "atac"] > 0.95  # names do not matter to the agreement


def test_agreement_of_annotations(modalities: dict[str, AnnData]) -> None:
    rng = np.random.default_rng(3)
    modalities["methylation"].obs["chance"] = rng.choice(["x", "y", "z"], modalities["methylation"].n_obs)
    found = tl.unify_labels(modalities, KEYS | {"methylation": "chance"}).agreement
    assert (found.to_numpy() == found.to_numpy().T).all()
    assert np.diag(found).tolist() == [1, 1, 1]
    assert 0.7 < found.loc["rna", "atac"] < 0.95  # two types are one there
    assert abs(found.loc["rna", "methylation"]) < 0.1


def test_a_cell_has_no_vote_on_itself() -> None:
    rna = annotated(0, {}, each=2, spread=0.1)
    found = tl.unify_labels({"rna": rna}, {"rna": "cluster"}, neighbours=1).cells
    assert (found["unified"] == found["label"]).all()
    lone = annotated(0, {}, each=1, spread=0.1)
    found = tl.unify_labels({"rna": lone}, {"rna": "cluster"}, neighbours=1).cells
    assert (found["unified"] != found["label"]).all()


def test_balancing_weights_count(modalities: dict[str, AnnData]) -> None:
    rna = modalities["rna"]
    rna.obs["glue_weight"] = np.where(rna.obs["cell_type"] == "A", 0.0, 1.0)
    x = modalities["atac"].obsm["X_glue"]
    x[:60, :2] = x[:60, :2] / 20 + [4.4, 0.0]  # between A and B, a little nearer to A
    found = tl.unify_labels(modalities, KEYS).cells
    between = found[found["modality"] == "atac"].iloc[:60]
    assert (between["unified"] == "B").mean() > 0.8


def test_ignored_and_missing_labels_do_not_vote(modalities: dict[str, AnnData]) -> None:
    rna = modalities["rna"]
    rna.obs["cell_type"] = rna.obs["cell_type"].replace({"D": "unknown"})
    rna.obs.iloc[:5, 0] = None
    found = tl.unify_labels(modalities, KEYS, ignore_labels=["unknown"])
    assert list(found.confusion.columns) == ["A", "B", "C"]
    assert found.cells["label"][:5].isna().all()
    assert found.conflicts.set_index(["modality", "label"]).loc[("rna", "A"), "cells"] == 55


@pytest.mark.parametrize(
    ("keys", "options", "kind", "words"),
    [
        ({}, {}, OptionError, "no annotation"),
        ({"rna": "celltype"}, {}, InputError, "'cell_type'"),
        ({"rnb": "cell_type"}, {}, OptionError, "'rna'"),
        ({"rna": "cell_type"}, {"reference": "atac"}, OptionError, "has no annotation"),
        ({"rna": "cell_type"}, {"neighbours": 0}, OptionError, "0 neighbours"),
        ({"rna": "cell_type"}, {"use_rep": "X_pca"}, InputError, "X_pca"),
        ({"rna": "cell_type"}, {"ignore_labels": list("ABCD")}, InputError, "no label"),
    ],
)
def test_refusals(
    modalities: dict[str, AnnData],
    keys: dict[str, str],
    options: dict[str, Any],
    kind: type[Exception],
    words: str,
) -> None:
    with pytest.raises(kind, match=words):
        tl.unify_labels(modalities, keys, **options)


def test_of_very_many_labelled_cells_some_vote(
    modalities: dict[str, AnnData], monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = tl.unify_labels(modalities, KEYS)
    monkeypatch.setattr("omicsglue.tl.unified._VOTERS", 60)
    some = tl.unify_labels(modalities, KEYS)
    assert (some.cells["unified"] == everybody.cells["unified"]).mean() > 0.95
    assert not some.cells["score"].equals(everybody.cells["score"])
