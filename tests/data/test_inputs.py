"""Reading a modality: every kind of wrong file gets a message of its own, and no library's error leaks."""

from __future__ import annotations

import errno
import gzip
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from omicsglue.data.inputs import read_modality, split_mudata
from omicsglue.data.stores import bytes_in_memory, in_memory, is_on_disk
from omicsglue.errors import InputError


def small(prefix: str = "gene", n_features: int = 3) -> ad.AnnData:
    counts = sp.csr_matrix(np.arange(4 * n_features, dtype=np.float32).reshape(4, n_features))
    return ad.AnnData(
        counts,
        obs=pd.DataFrame(index=[f"cell{i}" for i in range(4)]),
        var=pd.DataFrame(index=[f"{prefix}{i}" for i in range(n_features)]),
    )


@pytest.fixture
def h5ad(tmp_path: Path) -> Path:
    path = tmp_path / "rna.h5ad"
    small().write_h5ad(path)
    return path


@pytest.fixture
def h5mu(tmp_path: Path) -> Path:
    path = tmp_path / "multi.h5mu"
    with h5py.File(path, "w") as file:
        for modality, prefix in (("rna", "gene"), ("atac", "peak")):
            ad.io.write_elem(file.require_group("mod"), modality, small(prefix))
        for frame in ("obs", "var"):
            ad.io.write_elem(file, frame, pd.DataFrame(index=["a"]))
    return path


def refusal(path: Path | str, name: str = "rna") -> InputError:
    with pytest.raises(InputError) as caught:
        read_modality(path, name=name)
    message = str(caught.value)
    assert message.startswith(f"{name} (")
    assert "Traceback" not in message
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("backed", [False, True])
def test_data_come_back_as_written(h5ad: Path, *, backed: bool) -> None:
    adata = read_modality(h5ad, name="rna", backed=backed)
    assert is_on_disk(adata.X) == backed
    assert bytes_in_memory(adata) == (adata.X.group["data"].size * 8 + 5 * 4 if backed else 0)
    np.testing.assert_array_equal(in_memory(adata).X.toarray(), small().X.toarray())
    assert list(adata.var_names) == ["gene0", "gene1", "gene2"]


@pytest.mark.parametrize("backed", [False, True])
@pytest.mark.parametrize("form", [2, 3])
def test_zarr_stores_of_both_formats_are_read(tmp_path: Path, form: int, *, backed: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ad.io.write_elem(zarr.open_group(tmp_path / "rna.zarr", mode="w", zarr_format=form), "/", small())
    adata = read_modality(tmp_path / "rna.zarr", name="rna", backed=backed)
    assert is_on_disk(adata.X) == backed
    np.testing.assert_array_equal(in_memory(adata).X.toarray(), small().X.toarray())


def test_modality_of_a_mudata_store(tmp_path: Path) -> None:
    root = zarr.open_group(tmp_path / "both.zarr", mode="w", zarr_format=3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for modality, prefix in (("rna", "gene"), ("atac", "peak")):
            ad.io.write_elem(root.require_group("mod"), modality, small(prefix))
        ad.io.write_elem(root, "obs", pd.DataFrame(index=["a"]))
    assert read_modality(f"{tmp_path}/both.zarr:atac", name="x").var_names[0] == "peak0"
    assert "has no modality 'protein'" in str(refusal(f"{tmp_path}/both.zarr:protein"))


def test_a_damaged_store_is_called_damaged(tmp_path: Path) -> None:
    (tmp_path / "rna.zarr").mkdir()
    (tmp_path / "rna.zarr/zarr.json").write_text("")
    assert "damaged" in refusal(tmp_path / "rna.zarr").what


@pytest.mark.parametrize(("suffix", "name"), [(":atac", "peaks"), ("", "atac")])
def test_modality_of_a_mudata_file(h5mu: Path, suffix: str, name: str) -> None:
    adata = read_modality(f"{h5mu}{suffix}", name=name)
    assert list(adata.var_names) == ["peak0", "peak1", "peak2"]


def test_modality_written_by_mudata(tmp_path: Path) -> None:
    mudata = pytest.importorskip("mudata")
    with mudata.set_options(pull_on_update=False):
        mudata.MuData({"rna": small("gene"), "atac": small("peak")}).write(tmp_path / "m.h5mu")
    assert list(read_modality(f"{tmp_path}/m.h5mu:rna", name="rna").var_names) == ["gene0", "gene1", "gene2"]


def test_modality_that_a_mudata_file_lacks(h5mu: Path) -> None:
    error = refusal(f"{h5mu}:atca")
    assert "did you mean 'atac'?" in str(error)
    assert "atac, rna" in error.remedy
    assert "has no modality 'protein'" in str(refusal(h5mu, name="protein"))


def test_modality_asked_of_a_file_without_any(h5ad: Path) -> None:
    renamed = h5ad.rename(h5ad.with_suffix(".h5mu"))
    assert "has no modalities" in str(refusal(f"{renamed}:rna"))


def test_colon_in_the_name_of_a_real_file(tmp_path: Path) -> None:
    path = tmp_path / "a.h5mu:rna"
    path.write_text("")
    assert split_mudata(path) == (path, None)


def test_missing_file_with_a_near_name(h5ad: Path) -> None:
    error = refusal(h5ad.with_name("rnaa.h5ad"))
    assert "no such file" in error.what
    assert "did you mean 'rna.h5ad'?" in error.remedy


def test_missing_file_without_a_near_name(h5ad: Path) -> None:
    assert "rna.h5ad" in refusal(h5ad.with_name("expression_of_genes.h5ad")).remedy
    assert "does not exist" in refusal(h5ad.parent / "elsewhere" / "rna.h5ad").remedy


def test_folder(h5ad: Path, tmp_path: Path) -> None:
    assert "rna.h5ad" in refusal(tmp_path).remedy
    for name, word in (
        ("matrix.mtx.gz", "read_10x_mtx"),
        ("integrated.h5mu", "run"),
    ):
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir()
        (folder / name).write_text("")
        error = refusal(folder)
        assert "is a folder" in error.what
        assert word in error.remedy


def test_permission(h5ad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(h5ad))

    monkeypatch.setattr(Path, "open", refuse)
    error = refusal(h5ad)
    assert "permission denied" in error.what
    assert "chmod u+r" in error.remedy


@pytest.mark.parametrize(
    ("content", "words", "remedy"),
    [
        (b"", "empty", "again"),
        (b"gene,cell1,cell2\nGapdh,1,2\n", "text file", "write_h5ad"),
        (b"PK\x03\x04rest", "zip", "unzip"),
        (b"%%MatrixMarket matrix coordinate integer general\n", "Matrix Market", "read_10x_mtx"),
        (b"<!DOCTYPE html><html></html>", "web page", "download"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS", "git lfs pull"),
        (bytes(range(256)) * 8, "not an HDF5 file", "again"),
    ],
    ids=["empty", "csv", "zip", "mtx", "html", "lfs", "noise"],
)
def test_files_of_other_kinds(tmp_path: Path, content: bytes, words: str, remedy: str) -> None:
    path = tmp_path / "rna.h5ad"
    path.write_bytes(content)
    error = refusal(path)
    assert words in error.what
    assert remedy in error.remedy


def test_compressed_h5ad(h5ad: Path) -> None:
    path = h5ad.with_name("rna.h5ad.gz")
    path.write_bytes(gzip.compress(h5ad.read_bytes()))
    error = refusal(path)
    assert "gzip" in error.what
    assert f"gunzip {path}" in error.remedy


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_truncated_file(h5ad: Path, share: float) -> None:
    content = h5ad.read_bytes()
    h5ad.write_bytes(content[: int(len(content) * share)])
    error = refusal(h5ad)
    assert "truncated" in error.what
    assert "again" in error.remedy


def test_damage_anywhere_gives_data_or_one_error(h5ad: Path) -> None:
    content = h5ad.read_bytes()
    rng = np.random.default_rng(0)
    for start in rng.integers(64, len(content) - 256, size=60):
        damaged = bytearray(content)
        damaged[start : start + 256] = rng.bytes(256)
        h5ad.write_bytes(damaged)
        try:
            read_modality(h5ad, name="rna")
        except InputError as error:
            assert "rna.h5ad" in str(error)  # noqa: PT017 (most damage is harmless)


def write_hdf5(path: Path, fill: Callable[[h5py.File], object]) -> Path:
    with h5py.File(path, "w") as file:
        fill(file)
    return path


@pytest.mark.parametrize(
    ("group", "words", "remedy"),
    [
        ("matrix/barcodes", "Cell Ranger", "read_10x_h5"),
        ("row_attrs", "Loom", "read_loom"),
        ("weights", "without obs and var (it holds: weights)", "write_h5ad"),
        ("mod/rna", "MuData", ".h5mu"),
    ],
)
def test_hdf5_of_other_kinds(tmp_path: Path, group: str, words: str, remedy: str) -> None:
    path = write_hdf5(tmp_path / "x.h5ad", lambda file: file.create_group(group))
    error = refusal(path)
    assert words in error.what
    assert remedy in error.remedy


def test_file_of_a_newer_anndata(h5ad: Path) -> None:
    with h5py.File(h5ad, "r+") as file:
        file["X"].attrs["encoding-version"] = "99.0"
    error = refusal(h5ad)
    assert "newer version of AnnData" in error.what
    assert "pip install --upgrade anndata" in error.remedy


def test_file_of_an_old_anndata_is_read_without_warning(tmp_path: Path) -> None:
    def fill(file: h5py.File) -> None:
        file["X"] = np.eye(2, dtype=np.float32)
        for name, label in (("obs", "cell"), ("var", "gene")):
            file[name] = np.array([(f"{label}{i}".encode(),) for i in range(2)], dtype=[("index", "S8")])

    adata = read_modality(write_hdf5(tmp_path / "old.h5ad", fill), name="rna")
    assert list(adata.obs_names) == ["cell0", "cell1"]
    np.testing.assert_array_equal(np.asarray(adata.X), np.eye(2))


def test_repeated_names_are_left_to_the_checks(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="not unique"):
        repeated = ad.AnnData(np.eye(2, dtype=np.float32), var=pd.DataFrame(index=["a", "a"]))
    repeated.obs_names = ["x", "y"]
    repeated.write_h5ad(tmp_path / "r.h5ad")
    assert list(read_modality(tmp_path / "r.h5ad", name="rna").var_names) == ["a", "a"]


@pytest.mark.data
def test_real_data(shared_data: Path) -> None:
    adata = read_modality(shared_data / "snare_mini" / "rna.h5ad", name="rna")
    assert adata.shape == (3000, 1677)
