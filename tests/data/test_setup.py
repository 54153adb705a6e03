"""The record of a setup: written with a format, read back the same, through files too."""

from __future__ import annotations

from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from omicsglue.data.setup import ModalitySetup, read_setup, write_setup
from omicsglue.errors import InputError, OptionError


@pytest.fixture
def adata() -> ad.AnnData:
    made = ad.AnnData(np.arange(1, 13, dtype=np.float32).reshape(4, 3))
    made.obsm["X_pca"] = np.zeros((4, 2))
    made.obs["donor"] = ["a", "b", "a", "b"]
    return made


def test_a_setup_survives_the_object_and_a_file(adata: ad.AnnData, tmp_path: Path) -> None:
    setup = ModalitySetup(representation="X_pca", batch_key="donor")
    write_setup(adata, setup)
    assert read_setup(adata, "rna") == setup
    adata.write_h5ad(tmp_path / "x.h5ad")
    assert read_setup(ad.read_h5ad(tmp_path / "x.h5ad"), "rna") == setup


def test_records_of_before_coverage_are_read(adata: ad.AnnData) -> None:
    write_setup(adata, ModalitySetup(representation="X_pca"))
    del adata.uns["omicsglue"]["coverage"]
    assert read_setup(adata, "rna") == ModalitySetup(representation="X_pca")


def test_the_usual_layer_of_coverage_is_recorded_where_it_is_needed(adata: ad.AnnData) -> None:
    adata.layers["coverage"] = adata.X + 2
    write_setup(adata, ModalitySetup(likelihood="betabinomial"))
    assert read_setup(adata, "meth").coverage == "coverage"
    write_setup(adata, ModalitySetup(likelihood="nb"))
    assert read_setup(adata, "rna").coverage is None


def test_what_is_not_set_up_is_said(adata: ad.AnnData) -> None:
    with pytest.raises(InputError, match=r"rna: the modality has not been set up"):
        read_setup(adata, "rna")


def test_unknown_labels_survive_and_older_records_have_none(adata: ad.AnnData, tmp_path: Path) -> None:
    setup = ModalitySetup(labels_key="donor", unknown_labels=("not known", "a,b"))
    write_setup(adata, setup)
    adata.write_h5ad(tmp_path / "x.h5ad")
    assert read_setup(ad.read_h5ad(tmp_path / "x.h5ad"), "rna") == setup
    del adata.uns["omicsglue"]["unknown_labels"]
    assert read_setup(adata, "rna") == ModalitySetup(labels_key="donor")


@pytest.mark.parametrize("record", [{}, {"format": 99, "likelihood": "nb"}])
def test_another_format_is_refused(adata: ad.AnnData, record: dict[str, object]) -> None:
    adata.uns["omicsglue"] = record
    with pytest.raises(InputError, match="format"):
        read_setup(adata, "rna")


@pytest.mark.parametrize(
    "setup",
    [
        ModalitySetup(likelihood="gauss"),
        ModalitySetup(layer="counts"),
        ModalitySetup(representation="X_lsi"),
        ModalitySetup(batch_key="plate"),
        ModalitySetup(labels_key="type"),
        ModalitySetup(coverage="total"),
        ModalitySetup(likelihood="betabinomial"),
        ModalitySetup(likelihood="beta"),
    ],
)
def test_what_is_not_there_is_refused_and_nothing_is_written(adata: ad.AnnData, setup: ModalitySetup) -> None:
    with pytest.raises((InputError, OptionError)):
        write_setup(adata, setup)
    assert "omicsglue" not in adata.uns
