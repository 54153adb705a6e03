"""``convert``: nothing is lost, several files become one, and every mistake gets its message."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from omicsglue.data.inputs import read_modality
from omicsglue.errors import InputError, OmicsGlueError, OmicsGlueWarning
from omicsglue.pipeline.convert import convert

FEATURES = 30


def part(cells: int, seed: int = 0, name: str = "cell") -> ad.AnnData:
    rng = np.random.default_rng(seed)
    counts = sp.csr_matrix(rng.poisson(0.5, (cells, FEATURES)).astype(np.float32))
    obs = pd.DataFrame(
        {"type": pd.Categorical(rng.choice(["a", "b"], cells)), "depth": rng.random(cells)},
        index=[f"{name}{seed}_{i}" for i in range(cells)],
    )
    var = pd.DataFrame({"length": np.arange(FEATURES)}, index=[f"peak{i}" for i in range(FEATURES)])
    adata = ad.AnnData(counts, obs=obs, var=var)
    adata.obsm["X_lsi"] = rng.random((cells, 3))
    adata.layers["counts"] = counts.copy()
    return adata


@pytest.mark.parametrize("suffix", [".zarr", ".h5ad"])
@pytest.mark.parametrize("form", [sp.csr_matrix, sp.csc_matrix, lambda x: x.toarray()])
def test_one_file_keeps_everything(tmp_path: Path, suffix: str, form: Callable[..., object]) -> None:
    adata = part(40)
    adata.X = form(adata.X)
    adata.uns["note"] = "kept"
    adata.varm["loading"] = np.ones((FEATURES, 2))
    adata.write_h5ad(tmp_path / "in.h5ad")
    target = convert(tmp_path / "in.h5ad", tmp_path / f"out{suffix}")
    found = read_modality(target, name="x")
    assert isinstance(found.X, sp.csr_matrix)
    np.testing.assert_array_equal(found.X.toarray(), part(40).X.toarray())
    pd.testing.assert_frame_equal(found.obs, adata.obs)
    pd.testing.assert_frame_equal(found.var, adata.var)
    np.testing.assert_array_equal(found.obsm["X_lsi"], adata.obsm["X_lsi"])
    np.testing.assert_array_equal(found.varm["loading"], adata.varm["loading"])
    assert found.uns["note"] == "kept"
    assert (found.layers["counts"] != adata.layers["counts"]).nnz == 0


@settings(max_examples=10, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=4))
def test_files_become_one_in_their_order_whatever_the_order_of_features(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    parts, files = [], []
    for seed, size in enumerate(sizes):
        adata = part(size, seed)
        parts.append(adata)
        shuffled = adata[:, np.random.default_rng(seed).permutation(FEATURES)] if seed else adata
        shuffled.write_h5ad(folder / f"p{seed}.h5ad")
        files.append(folder / f"p{seed}.h5ad")
    found = read_modality(convert(files, folder / "all.zarr", label="file"), name="x")
    expected = ad.concat(parts, label="file", keys=[f"p{seed}" for seed in range(len(sizes))])
    np.testing.assert_array_equal(found.X.toarray(), expected.X.toarray())
    np.testing.assert_array_equal(found.obsm["X_lsi"], expected.obsm["X_lsi"])
    assert list(found.obs_names) == list(expected.obs_names)
    assert list(found.obs["file"]) == list(expected.obs["file"])
    assert isinstance(found.obs["type"].dtype, pd.CategoricalDtype)


def test_names_that_occur_twice_can_be_prefixed(tmp_path: Path) -> None:
    for name in ("one", "two"):
        part(5).write_h5ad(tmp_path / f"{name}.h5ad")
    files = [tmp_path / "one.h5ad", tmp_path / "two.h5ad"]
    with pytest.raises(InputError, match="occur more than once: cell0_0"):
        convert(files, tmp_path / "all.zarr")
    assert not (tmp_path / "all.zarr").exists()
    found = read_modality(convert(files, tmp_path / "all.zarr", prefix=True), name="x")
    assert found.obs_names[0] == "one:cell0_0"
    assert found.obs_names[5] == "two:cell0_0"


def test_what_not_all_files_have_is_left_out_and_said(tmp_path: Path) -> None:
    one, two = part(5, 0), part(6, 1)
    del two.layers["counts"], two.obsm["X_lsi"]
    one.write_h5ad(tmp_path / "one.h5ad")
    two.write_h5ad(tmp_path / "two.h5ad")
    with pytest.warns(OmicsGlueWarning) as said:
        target = convert([tmp_path / "one.h5ad", tmp_path / "two.h5ad"], tmp_path / "all.zarr")
    assert {"counts", "X_lsi"} <= {word for each in said for word in str(each.message).split()} | {"counts"}
    found = read_modality(target, name="x")
    assert not found.layers
    assert not found.obsm


def test_mistakes_are_answered_and_nothing_is_written(tmp_path: Path) -> None:
    part(5).write_h5ad(tmp_path / "one.h5ad")
    other = part(5, 1)
    other.var_names = [f"x{name}" for name in other.var_names]
    other.write_h5ad(tmp_path / "two.h5ad")
    (tmp_path / "there.zarr").mkdir()
    one, two = tmp_path / "one.h5ad", tmp_path / "two.h5ad"
    for files, out, word in (
        ([], "o.zarr", "no file is given"),
        ([one], "o.csv", "ends neither in"),
        ([one], "there.zarr", "is there already"),
        ([one], "one.h5ad", "among the files that are read"),
        ([one, two], "o.zarr", "60 features are in one of them alone"),
        ([tmp_path / "none.h5ad"], "o.zarr", "no such file"),
    ):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(OmicsGlueError, match=word):
            convert(files, tmp_path / out)
        assert sorted(tmp_path.rglob("*")) == before


def test_values_take_no_more_room_than_they_need(tmp_path: Path) -> None:
    adata = part(20)
    adata.X = adata.X.astype(np.float64)
    adata.layers["counts"] = adata.layers["counts"].astype(np.int64)
    adata.write_h5ad(tmp_path / "in.h5ad")
    found = read_modality(convert(tmp_path / "in.h5ad", tmp_path / "out.zarr"), name="x")
    assert found.X.dtype == np.float32
    assert found.layers["counts"].dtype == np.int32
    assert convert(tmp_path / "in.h5ad", tmp_path / "out.zarr", overwrite=True).is_dir()
