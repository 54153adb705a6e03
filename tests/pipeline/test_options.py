"""Options are checked by name, type and range."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from omicsglue.errors import OptionError
from omicsglue.pipeline import IntegrateOptions


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n_gene": 5}, "'n_gene'; did you mean 'n_genes'"),
        ({"window": -1}, "--window: window is -1"),
        ({"window": 1.5}, "--window: window is 1.5"),
        ({"n_genes": True}, "--n-genes"),
        ({"n_components": 1}, "--n-components"),
        ({"max_epochs": 0}, "--max-epochs"),
        ({"threads": 0}, "--threads"),
        ({"devices": 0}, "--devices"),
        ({"ensemble": 0}, "--ensemble: ensemble is 0"),
        ({"ensemble": 2.5}, "--ensemble: ensemble is 2.5"),
        ({"ensemble": "four"}, "--ensemble"),
        ({"ensemble": True}, "--ensemble"),
        ({"seed": 2**32}, "--seed"),
        ({"seed": "one"}, "--seed: seed is 'one'"),
        ({"checkpoint_minutes": -0.1}, "--checkpoint-minutes"),
        ({"checkpoint_minutes": float("nan")}, "--checkpoint-minutes"),
        ({"checkpoint_minutes": "often"}, "--checkpoint-minutes"),
        ({"pairing": "barcode"}, "--pairing: there is no pairing 'barcode'"),
        ({"pairing": "obs_names", "pairing_key": "barcode"}, "--pairing-key: cells are to be paired by"),
        ({"pairing_key": {"rna": "barcode"}}, "--pairing-key: it is {'rna': 'barcode'}"),
        ({"pairing_key": ""}, "--pairing-key"),
        ({"use_pairing": "yes"}, "--use-pairing: use_pairing is 'yes'"),
        ({"use_pairing": True, "pairing": "none"}, "--use-pairing: training is to use pairs"),
        ({"sign": {"atac": 0}}, "--sign: the sign of atac is 0"),
        ({"sign": {"atac": True}}, "--sign"),
        ({"sign": -1}, "--sign: -1 names no modality"),
        ({"layer": "counts"}, "--layer: 'counts' names no modality"),
        ({"layer": {"rna": 3}}, "--layer: it is 3 for rna"),
        ({"layer": {"rna": ""}}, "--layer"),
        ({"likelihood": ["nb"]}, "--likelihood"),
    ],
)
def test_values_that_cannot_be_used_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError) as refusal:
        IntegrateOptions.from_values(values)
    assert words in str(refusal.value)
    assert refusal.value.remedy


def test_none_is_the_default_and_numpy_numbers_are_numbers() -> None:
    nothing = {each.name: None for each in fields(IntegrateOptions)}
    assert IntegrateOptions.from_values(nothing) == IntegrateOptions()
    chosen = IntegrateOptions.from_values(
        {"window": np.int64(5), "sign": {"atac": np.int8(-1), "rna": None}, "checkpoint_minutes": 0}
    )
    assert chosen.window == 5
    assert type(chosen.window) is int
    assert chosen.sign == {"atac": -1}


def test_options_name_modalities_that_are_there() -> None:
    chosen = IntegrateOptions.from_values({"batch_key": {"rma": "donor"}})
    with pytest.raises(OptionError, match=r"--batch-key: it names the modality 'rma'.*did you mean 'rna'"):
        chosen.check_modalities(["rna", "atac"])
    chosen.check_modalities(["rma"])


def test_seed_and_epochs_reach_the_recipe() -> None:
    recipe = IntegrateOptions(seed=7, max_epochs=3).recipe(150)
    assert recipe.seed == 7
    assert recipe.pretrain.max_epochs == recipe.train.max_epochs == 3
    assert IntegrateOptions().recipe(150).train.max_epochs is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"pairing": "obs_names"}, None),
        ({"pairing_key": "barcode"}, None),
        ({"use_pairing": False}, None),
        ({"use_pairing": True}, "obs_names"),
        ({"use_pairing": True, "pairing": "obs_names"}, "obs_names"),
        ({"use_pairing": True, "pairing_key": "barcode"}, "barcode"),
    ],
)
def test_training_uses_pairs_only_where_it_is_told_to(values: dict[str, Any], expected: str | None) -> None:
    assert IntegrateOptions.from_values(values).trained_pairing == expected


def test_an_ensemble_has_a_seed_for_each_member() -> None:
    assert IntegrateOptions(seed=5).seeds() == {"seed": 5}
    assert IntegrateOptions(seed=5, ensemble=3).seeds() == {"seed": 5, "ensemble": [5, 6, 7]}


def test_record_holds_every_option_and_the_likelihoods_in_use() -> None:
    record = IntegrateOptions.from_values({"likelihood": {"atac": "nb"}}).record(["rna", "atac"])
    assert set(record) == {each.name for each in fields(IntegrateOptions)} | {"modalities"}
    assert record["likelihood"] == {"rna": "nb", "atac": "nb"}
    assert record["modalities"] == ["rna", "atac"]
