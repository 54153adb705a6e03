"""``integrate`` with data that stay on disk: the same run as in memory, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from anndata.abc import CSRDataset

import omicsglue as og
from omicsglue.data import streaming
from omicsglue.datasets import SimulatedData
from omicsglue.errors import InputError, OptionError
from omicsglue.pipeline import convert as converting
from omicsglue.pipeline import read as reading
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.read import read_all
from omicsglue.runs import RunFolder
from whole_runs import SignalAt, assert_same_embeddings, embeddings, files_in, quick, small_data

pytestmark = pytest.mark.filterwarnings("ignore::omicsglue.errors.OmicsGlueWarning")


@pytest.fixture(scope="module")
def data() -> SimulatedData:
    return small_data()


@pytest.fixture
def files(data: SimulatedData, tmp_path: Path) -> dict[str, Path]:
    data.write(tmp_path / "in")
    return files_in(tmp_path / "in")


def annotation(files: dict[str, Path]) -> Path:
    return files["rna"].with_name("genes.gtf.gz")


def as_zarr(files: dict[str, Path]) -> dict[str, Path]:
    return {name: og.convert(path, path.with_suffix(".zarr")) for name, path in files.items()}


@pytest.mark.parametrize("kind", ["h5ad", "zarr"])
def test_data_on_disk_and_in_memory_give_the_same_run(
    files: dict[str, Path], tmp_path: Path, kind: str
) -> None:
    guide = annotation(files)
    sources = files if kind == "h5ad" else as_zarr(files)
    held = quick(files, annotation=guide, out=tmp_path / "held", backed="never")
    streamed = quick(sources, annotation=guide, out=tmp_path / "streamed", backed="always")
    assert held.folder is not None
    assert streamed.folder is not None
    assert_same_embeddings(embeddings(held.folder), embeddings(streamed.folder))
    for name, adata in streamed.modalities.items():
        assert isinstance(adata.X, CSRDataset)
        written = streamed.folder.modalities()[name]
        assert isinstance(written.X, sp.csr_matrix)
        assert (written.X != held.modalities[name].X).nnz == 0
        assert set(written.obsm) == set(held.modalities[name].obsm)


def test_a_run_on_more_than_one_buffer_is_resumed_bit_for_bit(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streaming, "BLOCKS", 2)
    monkeypatch.setattr(streaming, "BUFFER_CELLS", 32)
    guide = annotation(files)
    settings: dict[str, Any] = {"annotation": guide, "backed": "always", "checkpoint_minutes": 0}
    whole = quick(files, out=tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        quick(files, out=tmp_path / "parts", reporter=SignalAt("train", 1), **settings)
    quick(files, out=tmp_path / "parts", resume=True, **settings)
    assert whole.folder is not None
    assert_same_embeddings(embeddings(whole.folder), embeddings(tmp_path / "parts"))
    held = quick(files, annotation=guide, out=tmp_path / "held", backed="never")
    assert held.folder is not None
    different = embeddings(held.folder)["rna"] != embeddings(whole.folder)["rna"]
    assert different.any()  # cells come in another order: the buffer is smaller than the data


def test_objects_that_are_backed_stay_on_disk_and_are_not_changed(
    files: dict[str, Path], tmp_path: Path
) -> None:
    rna, atac = (ad.read_h5ad(files[name], backed="r") for name in ("rna", "atac"))
    before = list(rna.obs), list(rna.var), list(rna.obsm)
    done = quick({"rna": rna, "atac": atac}, annotation=annotation(files), out=tmp_path / "run")
    assert isinstance(done.modalities["rna"].X, CSRDataset)
    assert (list(rna.obs), list(rna.var), list(rna.obsm)) == before
    assert RunFolder.open(tmp_path / "run").modalities()["atac"].shape == atac.shape


def test_what_cannot_stay_on_disk_is_loaded(files: dict[str, Path]) -> None:
    real = read_all(files, IntegrateOptions(likelihood={"rna": "normal"}, backed="always"))
    assert isinstance(real["rna"].X, sp.csr_matrix)
    assert isinstance(real["atac"].X, CSRDataset)


def test_size_decides_where_nothing_is_said(files: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(read_all(files, IntegrateOptions())["rna"].X, sp.csr_matrix)
    monkeypatch.setattr(reading, "MOST_BYTES", 1000)
    assert isinstance(read_all(files, IntegrateOptions())["rna"].X, CSRDataset)
    assert isinstance(read_all(files, IntegrateOptions(backed="never"))["rna"].X, sp.csr_matrix)


def test_a_matrix_by_column_is_refused_with_the_way_out(files: dict[str, Path]) -> None:
    rna = ad.read_h5ad(files["rna"])
    rna.X = sp.csc_matrix(rna.X)
    rna.write_h5ad(files["rna"])
    with pytest.raises(InputError, match=r"stored by column.*\n.*omicsglue convert"):
        read_all(files, IntegrateOptions(backed="always"))
    converted = og.convert(files["rna"], files["rna"].with_suffix(".zarr"))
    again = read_all({**files, "rna": converted}, IntegrateOptions(backed="always"))
    assert (again["rna"].X.to_memory() != rna.X).nnz == 0


def test_a_word_that_is_no_choice_is_refused() -> None:
    with pytest.raises(OptionError, match="did you mean 'always'"):
        IntegrateOptions.from_values({"backed": "alway"})


def test_a_model_on_disk_needs_a_representation(files: dict[str, Path]) -> None:
    rna = ad.read_h5ad(files["rna"], backed="r")
    atac = ad.read_h5ad(files["atac"])
    og.pp.annotate_genes(rna, annotation(files))
    og.pp.annotate_peaks(atac)
    graph = og.graph.from_genome(rna.var, atac.var, names=["rna", "atac"])
    for adata in (rna, atac):
        og.GLUE.setup_anndata(adata)
    with pytest.raises(InputError, match="stay on disk"):
        og.GLUE({"rna": rna, "atac": atac}, graph)


def test_the_run_folder_writes_zarr_matrices_and_layers_whole(files: dict[str, Path], tmp_path: Path) -> None:
    from omicsglue.data.inputs import read_modality

    rna = ad.read_h5ad(files["rna"])
    rna.layers["counts"] = rna.X.copy()
    rna.layers["dense"] = rna.X.toarray()
    rna.write_h5ad(files["rna"])
    store = converting.convert(files["rna"], tmp_path / "rna.zarr")
    lazy = read_modality(store, name="rna", backed=True)
    folder = RunFolder.create(tmp_path / "run")
    folder.write_integrated({"rna": lazy, "atac": ad.read_h5ad(files["atac"])})
    found = folder.modalities()["rna"]
    for matrix in (found.X, found.layers["counts"], found.layers["dense"]):
        np.testing.assert_array_equal(matrix.toarray(), rna.X.toarray())
    assert isinstance(lazy.X, CSRDataset)
