from __future__ import annotations

from typing import Any

import pytest

from omicsglue.datasets import PRESETS, SimulationOptions, simulate
from omicsglue.errors import OptionError


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("cells", 0, "at least 1"),
        ("cells", 2.5, "whole number"),
        ("cells", True, "whole number"),
        ("genes", 3, "at least 10"),
        ("peaks", -1, "at least 10"),
        ("types", 1, "at least 2"),
        ("types", 201, "at most 200"),
        ("seed", -1, "at least 0"),
        ("preset", "smart-seq", "snare, 10x"),
        ("regulation", 1.5, "between 0 and 1"),
        ("regulation", float("nan"), "between 0 and 1"),
        ("noise", "loud", "between 0 and 5"),
        ("depth", {"rna": 0.0}, "between 0.001"),
        ("depth", {"adt": 1.0}, "rna, atac"),
        ("depth", -1.0, "between 0.001"),
        ("modalities", ("rna", "rna"), "once"),
        ("modalities", (), "once"),
        ("modalities", ("rna", "hic"), "hic"),
        ("missing", {"atac": ["typ3"]}, "typ3"),
        ("missing", {"protein": ["type3"]}, "protein"),
        ("missing_batches", {"rna": ["batch2"]}, "batch2"),
        ("composition", {"atac": {"type3": 1.2}}, "between 0 and 1"),
        ("private_types", {"type1": "batch9"}, "batch9"),
        ("batch_shares", [1.0, 2.0], "1 batches"),
        ("batch_shares", [0.0], "batch_shares"),
        ("paired", 2, "between 0 and 1"),
        ("depth_correlation", -0.1, "between 0 and 1"),
    ],
)
def test_bad_options_name_themselves_and_a_remedy(option: str, value: Any, said: str) -> None:
    with pytest.raises(OptionError) as caught:
        simulate(**{"cells": 20, "genes": 20, "peaks": 40, option: value})
    message = str(caught.value)
    assert option in message
    assert said in message
    assert caught.value.remedy


def test_a_modality_must_keep_some_cells() -> None:
    everything = [f"type{i + 1}" for i in range(3)]
    with pytest.raises(OptionError, match="no cell is left in modality 'atac'"):
        SimulationOptions(types=3, missing={"atac": tuple(everything)})
    with pytest.raises(OptionError, match="no cell is left in modality 'rna'"):
        SimulationOptions(types=3, composition={"rna": dict.fromkeys(everything, 0.0)})
    with pytest.raises(OptionError, match="no cell is left"):
        SimulationOptions(missing_batches={"rna": ("batch1",)})


def test_more_proteins_than_genes() -> None:
    with pytest.raises(OptionError, match="at most 20"):
        simulate(10, genes=20, peaks=40, modalities=("rna", "protein"), proteins=21)


@pytest.mark.parametrize("preset", PRESETS)
def test_sizes_come_from_the_preset(preset: str) -> None:
    options = SimulationOptions(preset=preset)
    assert (options.n_genes, options.n_peaks) == (PRESETS[preset].genes, PRESETS[preset].peaks)
    assert options.to_json()["genes"] == PRESETS[preset].genes
