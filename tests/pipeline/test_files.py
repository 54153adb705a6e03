"""Several files of a modality: the run is that of the one file that they make."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

import omicsglue as og
from omicsglue.data.stacked import StackedRows
from omicsglue.errors import InputError, OmicsGlueError, OmicsGlueWarning, OptionError, RunFolderError
from omicsglue.io import sha256_of
from omicsglue.pipeline import read as reading
from omicsglue.pipeline.files import files_of, source_of
from omicsglue.pipeline.options import IntegrateOptions
from omicsglue.pipeline.read import read_all
from omicsglue.pipeline.sources import Sources
from omicsglue.runs.score import score_run
from whole_runs import SignalAt, assert_same_embeddings, embeddings, quick, small_data

pytestmark = pytest.mark.filterwarnings("ignore::omicsglue.errors.OmicsGlueWarning")
SIZES = (0, 70, 101, 150)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with three files of RNA, the second with genes in another order, and two of ATAC."""
    folder = tmp_path_factory.mktemp("parts")
    data = small_data()
    data.write(folder)
    rna, atac = (data.modalities[name] for name in ("rna", "atac"))
    for number, (start, end) in enumerate(itertools.pairwise(SIZES)):
        cut = rna[start:end]
        if number == 1:
            cut = cut[:, np.random.default_rng(0).permutation(rna.n_vars)]
        cut.copy().write_h5ad(folder / f"rna{number}.h5ad")
    atac[:90].copy().write_h5ad(folder / "first.h5ad")
    dense = atac[90:].copy()
    dense.X = dense.X.toarray()
    dense.write_h5ad(folder / "second.h5ad")
    og.convert(folder / "first.h5ad", folder / "first.zarr")
    return folder


def given(folder: Path) -> dict[str, Any]:
    """Return the modalities: a pattern, and a zarr folder with an h5ad file."""
    return {"rna": str(folder / "rna[0-9].h5ad"), "atac": [folder / "first.zarr", folder / "second.h5ad"]}


def guide(folder: Path) -> Path:
    return folder / "genes.gtf.gz"


@pytest.mark.usefixtures("no_report")
@pytest.mark.parametrize("backed", ["always", "never"])
def test_the_run_is_that_of_one_converted_file(parts: Path, tmp_path: Path, backed: str) -> None:
    files = given(parts)
    rna = sorted(parts.glob("rna[0-9].h5ad"))
    one = {
        "rna": og.convert(rna, tmp_path / "rna.zarr"),
        "atac": og.convert(files["atac"], tmp_path / "atac.zarr"),
    }
    options: dict[str, Any] = {
        "annotation": guide(parts),
        "backed": backed,
        "label_key": {"rna": "cell_type"},
    }
    single = quick(one, out=tmp_path / "one", **options)
    several = quick(files, out=tmp_path / "several", **options)
    assert_same_embeddings(embeddings(tmp_path / "one"), embeddings(tmp_path / "several"))
    assert isinstance(several.modalities["rna"].X, StackedRows if backed == "always" else sp.csr_matrix)
    assert several.folder is not None
    written = several.folder.modalities()
    for name, adata in written.items():
        expected = single.modalities[name]
        assert list(adata.obs_names) == list(expected.obs_names)
        assert list(adata.var_names) == list(expected.var_names)
        np.testing.assert_array_equal(adata.X.toarray(), sp.csr_matrix(expected.X[:]).toarray())
        assert adata.obs["cell_type"].dtype == "category"
    assert score_run(tmp_path / "several", label_key="cell_type") == score_run(
        tmp_path / "one", label_key="cell_type"
    )


def test_the_record_names_every_file(parts: Path, tmp_path: Path) -> None:
    run = quick(given(parts), annotation=guide(parts), out=tmp_path / "RUN", max_epochs=1)
    assert run.folder is not None
    record = json.loads((tmp_path / "RUN" / "run.json").read_text())["inputs"]["rna"]
    files = [str(path) for path in sorted(parts.glob("rna[0-9].h5ad"))]
    assert record["path"] == files
    assert record["files"] == [{"path": path, "sha256": sha256_of(path)} for path in files]
    assert record["cells"] == 150
    page = run.folder.report.read_text()
    assert all(path in page for path in files)


@pytest.mark.usefixtures("no_report")
def test_more_than_one_buffer_is_resumed_bit_for_bit(
    parts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omicsglue.data.streaming.BLOCKS", 2)
    monkeypatch.setattr("omicsglue.data.streaming.BUFFER_CELLS", 32)
    settings: dict[str, Any] = {"annotation": guide(parts), "backed": "always", "checkpoint_minutes": 0}
    quick(given(parts), out=tmp_path / "whole", **settings)
    with pytest.raises(KeyboardInterrupt):
        quick(given(parts), out=tmp_path / "cut", reporter=SignalAt("train", 1), **settings)
    quick(given(parts), out=tmp_path / "cut", resume=True, **settings)
    assert_same_embeddings(embeddings(tmp_path / "whole"), embeddings(tmp_path / "cut"))


def test_a_run_is_not_resumed_with_other_files(parts: Path, tmp_path: Path) -> None:
    shutil.copytree(parts, tmp_path / "in")
    files = given(tmp_path / "in")
    settings: dict[str, Any] = {"annotation": guide(parts), "out": tmp_path / "RUN", "max_epochs": 1}
    with pytest.raises(KeyboardInterrupt):
        quick(files, reporter=SignalAt("train", 1), **settings)
    with pytest.raises(RunFolderError, match="rna had 3 files, now 2"):
        quick({**files, "rna": sorted((tmp_path / "in").glob("rna[01].h5ad"))}, resume=True, **settings)
    second = ad.read_h5ad(files["atac"][1])
    second.X[0, 0] += 1
    second.write_h5ad(files["atac"][1])
    with pytest.raises(RunFolderError, match=r"atac has another content \([^ ]*second.h5ad\)"):
        quick(files, resume=True, **settings)


def test_the_file_of_each_cell_is_a_batch_where_that_is_asked(parts: Path) -> None:
    options = {"file_key": "plate", "batch_key": {"rna": "plate"}, "file_prefix": True, "backed": "always"}
    run = quick(
        {**given(parts), "atac": parts / "atac.h5ad"}, annotation=guide(parts), max_epochs=1, **options
    )
    rna, atac = run.modalities["rna"], run.modalities["atac"]
    assert list(rna.obs["plate"]) == ["rna0"] * 70 + ["rna1"] * 31 + ["rna2"] * 49
    assert set(atac.obs["plate"]) == {"atac"}
    assert all(name.startswith("rna1:") for name in rna.obs_names[70:101])
    assert all(name.startswith("atac:") for name in atac.obs_names)
    assert run.model.setups["rna"].batch_key == "plate"


def test_the_size_of_all_files_decides_where_nothing_is_said(
    parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {name: source_of(name, each) for name, each in given(parts).items()}
    assert isinstance(read_all(files, IntegrateOptions())["rna"].X, sp.csr_matrix)
    monkeypatch.setattr(reading, "MOST_BYTES", 1000)
    assert isinstance(read_all(files, IntegrateOptions())["rna"].X, StackedRows)


def test_files_by_column_are_read_into_memory_and_refused_on_disk(parts: Path, tmp_path: Path) -> None:
    second = ad.read_h5ad(parts / "rna1.h5ad")
    second.X = sp.csc_matrix(second.X)
    second.write_h5ad(tmp_path / "rna1.h5ad")
    files = {"rna": (parts / "rna0.h5ad", tmp_path / "rna1.h5ad"), "atac": parts / "atac.h5ad"}
    assert read_all(files, IntegrateOptions(backed="never"))["rna"].shape == (101, 80)
    with pytest.raises(InputError, match="stored by column"):
        read_all(files, IntegrateOptions(backed="always"))


def test_what_not_all_files_have_is_left_out_and_said(parts: Path, tmp_path: Path) -> None:
    second = ad.read_h5ad(parts / "rna1.h5ad")
    second.layers["counts"] = second.X.copy()
    second.obsm["X_rep"] = np.zeros((second.n_obs, 3))
    second.write_h5ad(tmp_path / "rna1.h5ad")
    files = {"rna": (parts / "rna0.h5ad", tmp_path / "rna1.h5ad"), "atac": parts / "atac.h5ad"}
    with pytest.warns(OmicsGlueWarning) as said:
        found = read_all(files, IntegrateOptions(backed="always"))["rna"]
    assert {str(each.message).partition("\n")[0] for each in said} == {
        "rna: layers that not all files have are left out: counts",
        "rna: obsm that not all files have are left out: X_rep",
    }
    assert not list(found.layers)


def test_a_change_of_one_of_several_files_is_noticed(tmp_path: Path) -> None:
    files = tuple(tmp_path / f"{number}.h5ad" for number in range(3))
    for file in files:
        file.write_bytes(b"content" + file.name.encode())
    watched = Sources({"rna": files, "graph": None})
    watched.were_read({"rna": {"sha256": "", "files": [{"sha256": sha256_of(file)} for file in files]}})
    watched.check()
    files[1].write_bytes(b"other")
    with pytest.raises(InputError, match="the input rna has changed") as refused:
        watched.check()
    assert refused.value.where == str(files[1])


def test_patterns_and_lists_become_files_in_order(tmp_path: Path) -> None:
    for name in ("b.h5ad", "a.h5ad", "c.txt", ".hidden.h5ad", "x[1].h5ad"):
        (tmp_path / name).touch()
    (tmp_path / "m.h5mu").touch()
    a, b, odd = (str(tmp_path / name) for name in ("a.h5ad", "b.h5ad", "x[1].h5ad"))
    assert source_of("rna", f"{tmp_path}/[ab].h5ad") == (a, b)
    assert source_of("rna", [tmp_path / "b.h5ad", a]) == (tmp_path / "b.h5ad", a)
    assert source_of("rna", [a]) == source_of("rna", f"{tmp_path}/a*.h5ad") == a
    assert source_of("rna", odd) == odd
    assert source_of("rna", f"{tmp_path}/*.h5mu:rna") == f"{tmp_path}/m.h5mu:rna"
    assert files_of(source_of("rna", f"{tmp_path}/*.h5ad")) == (a, b, odd)
    assert source_of("rna", "missing.h5ad") == "missing.h5ad"  # told when it is read


@pytest.mark.parametrize(
    ("given", "kind", "words"),
    [
        ([], InputError, "no file is given"),
        (["no*.h5ad"], InputError, "no file matches"),
        (["a.h5ad", "./a.h5ad"], OptionError, "twice"),
        (["a.h5mu:rna", "a.h5mu:rna"], OptionError, "twice"),
        ([ad.AnnData(np.ones((2, 2)))], InputError, "holds a AnnData"),
        (7, InputError, "neither AnnData nor the path"),
        ({"a": "b"}, InputError, "neither AnnData nor the path"),
    ],
)
def test_what_are_no_files_is_refused(given: object, kind: type[OmicsGlueError], words: str) -> None:
    with pytest.raises(kind, match=words) as refused:
        source_of("rna", given)
    assert refused.value.remedy


def test_two_modalities_of_one_file_are_no_file_twice() -> None:
    assert source_of("rna", ["a.h5mu:rna", "a.h5mu:rna2"]) == ("a.h5mu:rna", "a.h5mu:rna2")
