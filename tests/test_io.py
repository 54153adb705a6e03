"""Files appear whole or not at all, and a refusal to write is explained."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omicsglue import io
from omicsglue.errors import InputError, RunFolderError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_file_appears_whole_under_its_name(tmp_path: Path) -> None:
    target = tmp_path / "graph.v1.tsv.gz"
    with io.atomic_path(target) as temporary:
        assert temporary.parent == tmp_path
        assert temporary.name.endswith("graph.v1.tsv.gz")
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert names(tmp_path) == ["graph.v1.tsv.gz"]


def test_mode_follows_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with io.atomic_path(tmp_path / "a.txt") as temporary:
            temporary.write_text("")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o640


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt, MemoryError])
def test_failure_keeps_the_older_file_and_leaves_nothing(
    tmp_path: Path, failure: type[BaseException]
) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write() -> None:
        with io.atomic_path(target) as temporary:
            temporary.write_text("half")
            raise failure

    with pytest.raises(failure):
        write()
    assert target.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def failing_write(target: Path, error: Exception) -> RunFolderError:
    def write() -> None:
        with io.atomic_path(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(RunFolderError) as caught:
        write()
    assert names(target.parent) == []
    return caught.value


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("Can't write data (file write failed: error message = 'No space left on device')"),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
    ids=["python", "hdf5", "safetensors"],
)
def test_full_disk_is_named_with_the_space_left(tmp_path: Path, error: Exception) -> None:
    message = str(failing_write(tmp_path / "a.bin", error))
    assert str(tmp_path / "a.bin") in message
    assert "disk is full" in message
    assert "MiB left" in message
    assert "free some space" in message


def test_full_disk_is_found_behind_another_error(tmp_path: Path) -> None:
    error = ValueError("cannot close the file")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert "disk is full" in str(failing_write(tmp_path / "a.bin", error))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_full_device_as_the_system_reports_it(tmp_path: Path) -> None:
    def write() -> None:
        with io.atomic_path(tmp_path / "a.bin"), Path("/dev/full").open("wb", buffering=0) as full:
            full.write(b"x")

    with pytest.raises(RunFolderError, match="disk is full"):
        write()


@pytest.mark.parametrize(
    ("number", "words"), [(errno.EROFS, "read-only"), (errno.EACCES, "permission denied")]
)
def test_refusal_of_the_folder_is_explained(tmp_path: Path, number: int, words: str) -> None:
    target = tmp_path / "a.txt"
    error = failing_write(target, OSError(number, os.strerror(number), str(tmp_path / ".partial")))
    assert words in str(error)
    assert "choose an output folder that you may write to" in error.remedy


def test_permission_denied_elsewhere_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    def write() -> None:
        with io.atomic_path(tmp_path / "a.txt"):
            raise PermissionError(errno.EACCES, "Permission denied", "/some/other/input.h5ad")

    with pytest.raises(PermissionError):
        write()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RunFolderError, match="permission denied"):
            io.write_json(tmp_path / "a.json", {})
    finally:
        tmp_path.chmod(0o700)


def test_missing_folder_and_folder_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="does not exist"):
        io.write_json(tmp_path / "no" / "a.json", {})
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="is a file, not a folder"):
        io.write_json(tmp_path / "file" / "a.json", {})
    (tmp_path / "folder").mkdir()
    with pytest.raises(RunFolderError, match="it is a folder"):
        io.write_json(tmp_path / "folder", {})


def test_nothing_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file was written"), io.atomic_path(tmp_path / "a.txt"):
        pass


def test_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("real.json")
    io.write_json(tmp_path / "link.json", {"a": 1})
    assert (tmp_path / "link.json").is_symlink()
    assert json.loads((tmp_path / "real.json").read_text()) == {"a": 1}


def fill(folder: Path, content: str) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "a.txt").write_text(content)


def test_directory_appears_whole_and_replaces_an_older_one(tmp_path: Path) -> None:
    target = tmp_path / "model"
    for content in ("first", "second"):
        with io.atomic_directory(target) as temporary:
            fill(temporary, content)
        assert (target / "sub" / "a.txt").read_text() == content
        assert names(tmp_path) == ["model"]


def test_failure_keeps_the_older_directory(tmp_path: Path) -> None:
    target = tmp_path / "model"
    with io.atomic_directory(target) as temporary:
        fill(temporary, "old")

    def write() -> None:
        with io.atomic_directory(target) as temporary:
            fill(temporary, "half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(RunFolderError, match="disk is full"):
        write()
    assert (target / "sub" / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["model"]


def test_older_directory_returns_if_the_swap_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "model"
    with io.atomic_directory(target) as temporary:
        fill(temporary, "old")
    rename, calls = Path.rename, []

    def second_fails(self: Path, other: Path) -> Path:
        calls.append(other)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, other)

    monkeypatch.setattr(Path, "rename", second_fails)

    def write() -> None:
        with io.atomic_directory(target) as temporary:
            fill(temporary, "new")

    with pytest.raises(RunFolderError, match="input/output"):
        write()
    assert (target / "sub" / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["model"]


def test_leavings_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".partial-0a-model").mkdir()
    (tmp_path / ".partial-0a-model" / "a").write_text("")
    (tmp_path / ".partial-0b-a.txt").write_text("")
    (tmp_path / "kept.txt").write_text("")
    assert io.remove_partial(tmp_path) == 2
    assert names(tmp_path) == ["kept.txt"]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(content=plain)
def test_json_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    io.write_json(path, content)
    assert io.read_json(path) == content


@dataclass
class Options:
    seed: int
    out: Path


def test_json_of_what_runs_hold(tmp_path: Path) -> None:
    content = {
        "nan": float("nan"),
        "array": np.array([1.5, np.inf]),
        "count": np.int64(3),
        "options": Options(0, Path("RUN")),
        "names": {"b", "a"},
        "cell": "Zürich",
    }
    io.write_json(tmp_path / "a.json", content)
    assert io.read_json(tmp_path / "a.json") == {
        "nan": None,
        "array": [1.5, None],
        "count": 3,
        "options": {"seed": 0, "out": "RUN"},
        "names": ["a", "b"],
        "cell": "Zürich",
    }
    assert "Zürich" in (tmp_path / "a.json").read_text(encoding="utf-8")


def test_json_refuses_what_it_cannot_hold_before_writing(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="Generator has no JSON form"):
        io.write_json(tmp_path / "a.json", {"rng": np.random.default_rng(0)})
    assert names(tmp_path) == []


def test_broken_and_missing_json(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no such file"):
        io.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"a": ')
    with pytest.raises(RunFolderError, match="not valid JSON"):
        io.read_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RunFolderError, match="not valid JSON"):
        io.read_json(tmp_path / "a.json")
    with pytest.raises(RunFolderError, match="cannot be read"):
        io.read_json(tmp_path)


def test_parquet_round_trip_with_metadata(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    frame = pd.DataFrame({"source": ["a", "b"], "weight": np.array([0.5, 1], dtype=np.float32)}, index=[3, 4])
    io.write_parquet(tmp_path / "g.parquet", frame, metadata={"format": "1"})
    pd.testing.assert_frame_equal(io.read_parquet(tmp_path / "g.parquet"), frame.reset_index(drop=True))
    assert list(io.read_parquet(tmp_path / "g.parquet", columns=["weight"])) == ["weight"]
    assert pq.read_schema(tmp_path / "g.parquet").metadata[b"format"] == b"1"
    assert names(tmp_path) == ["g.parquet"]


def test_parquet_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="no such file"):
        io.read_parquet(tmp_path / "g.parquet")
    (tmp_path / "g.parquet").write_text("source\ttarget\n")
    with pytest.raises(RunFolderError, match="not a readable Parquet file"):
        io.read_parquet(tmp_path / "g.parquet")
    io.write_parquet(tmp_path / "g.parquet", pd.DataFrame({"source": ["a"]}))
    with pytest.raises(RunFolderError, match="weight"):
        io.read_parquet(tmp_path / "g.parquet", columns=["source", "weight"])


@given(content=st.binary(max_size=4096))
def test_digest_is_that_of_the_whole_content(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("digest") / "a.bin"
    path.write_bytes(content)
    assert io.sha256_of(path) == hashlib.sha256(content).hexdigest()


def test_digest_of_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        io.sha256_of(tmp_path / "a.bin")
