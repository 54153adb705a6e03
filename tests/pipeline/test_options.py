"""Options are checked by name, type and range."""

from __future__ import annotations

from dataclasses import fields, replace
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
        ({"batch_size": 1}, "--batch-size"),
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
        ({"rule": "promotor"}, "--rule: there is no rule 'promotor'; did you mean 'promoter'"),
        ({"rule": "gene_body", "promoter": 500}, "--rule: the rule gene_body leaves promoters out"),
        ({"label_weight": -1}, "--label-weight: label_weight is -1"),
        ({"label_weight": "much"}, "--label-weight"),
        ({"label_neighbours": -1}, "--label-neighbours"),
        ({"unknown_labels": ["?"]}, "--unknown-label: it names ?, but no column of labels is given"),
        ({"unknown_labels": 5, "label_key": {"rna": "x"}}, "--unknown-label: it is 5"),
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
        ({"batch_key": {"rna": ["donor", 3]}}, "--batch-key: it is ['donor', 3]"),
        ({"batch_key": {"rna": 3}}, "--batch-key: it is 3 for rna"),
        ({"align_batches": True}, "--align-batches: it is True"),
        ({"align_batches": "rna,"}, "--align-batches: a name is missing in 'rna,'"),
        ({"shared_batches": "yes"}, "--shared-batches: shared_batches is 'yes'"),
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
    assert IntegrateOptions(batch_size=40).recipe(150).batch_size == 40
    assert IntegrateOptions(batch_size=40).recipe(150).pretrain.batch_size == 40


def test_weight_and_neighbours_of_labels_reach_the_recipe() -> None:
    plain = IntegrateOptions().recipe(100)
    recipe = IntegrateOptions.from_values({"label_weight": 0.3, "label_neighbours": 0}).recipe(100)
    assert recipe.label_neighbours == 0
    assert recipe.pretrain.weights == replace(plain.pretrain.weights, label=0.3)
    assert recipe.train.weights == replace(plain.train.weights, label=0.3)
    assert replace(recipe, pretrain=plain.pretrain, train=plain.train, label_neighbours=20) == plain


def test_unknown_labels_are_one_text_or_several() -> None:
    for given in ("no type", ["no type"], ("no type", "no type")):
        options = IntegrateOptions.from_values({"unknown_labels": given, "label_key": {"rna": "x"}})
        assert options.unknown_labels == ("no type",)
    assert options.record(["rna"])["unknown_labels"] == ["no type"]


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


def test_names_of_columns_and_modalities_may_be_lists() -> None:
    chosen = IntegrateOptions.from_values(
        {
            "batch_key": {"rna": ["donor", "plate"], "atac": "donor"},
            "align_batches": ["rna", "atac"],
            "shared_batches": True,
        }
    )
    assert chosen.batch_key == {"rna": "donor,plate", "atac": "donor"}
    assert chosen.align_batches == "rna,atac"
    chosen.check_modalities(["rna", "atac"])
    network = chosen.recipe(100).network
    assert network.align_batches == ("rna", "atac")
    assert network.shared_batches
    spaced = IntegrateOptions.from_values({"align_batches": "atac, rna"})
    assert spaced.recipe(100).network.align_batches == ("atac", "rna")


@pytest.mark.parametrize(
    ("align", "words"),
    [
        ("rma", "--align-batches: it names the modality 'rma', which is not given; did you mean 'rna'"),
        ("rna,atac", "--align-batches: atac has no column of batches to align"),
    ],
)
def test_modalities_that_cannot_be_aligned(align: str, words: str) -> None:
    chosen = IntegrateOptions.from_values({"batch_key": {"rna": "donor"}, "align_batches": align})
    with pytest.raises(OptionError) as refusal:
        chosen.check_modalities(["rna", "atac"])
    assert words in str(refusal.value)


def test_all_batches_need_a_column() -> None:
    with pytest.raises(OptionError, match="no modality has a column of batches"):
        IntegrateOptions(align_batches="all").check_modalities(["rna", "atac"])
    IntegrateOptions(align_batches="all", batch_key={"rna": "donor"}).check_modalities(["rna", "atac"])
