"""Input files that change while a run is at work."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from omicsglue.errors import InputError, OmicsGlueError
from omicsglue.io import sha256_of
from omicsglue.pipeline import Integration, sources
from omicsglue.pipeline.sources import Sources
from omicsglue.runs import RunFolder
from omicsglue.training.progress import Silent
from whole_runs import assert_same_embeddings, embeddings, files_in, quick

pytestmark = [
    pytest.mark.filterwarnings("ignore::omicsglue.errors.OmicsGlueWarning"),
    pytest.mark.usefixtures("no_report"),
]


def watched(path: Path) -> Sources:
    found = Sources({"rna": path, "graph": None, "atac": object()})
    found.were_read({"rna": {"sha256": sha256_of(path)}, "atac": {"sha256": "of an object"}})
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rna.h5ad"
    path.write_bytes(b"content")
    return path


def test_what_stays_is_not_read_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = watched(file)
    monkeypatch.setattr(sources, "sha256_of", None)
    found.check()
    found.check()


def test_another_content_of_the_same_size_is_noticed(file: Path) -> None:
    found = watched(file)
    status = file.stat()
    file.write_bytes(b"Content")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(InputError, match="the input rna has changed"):
        found.check()


def test_a_file_that_was_replaced_is_noticed(file: Path) -> None:
    found = watched(file)
    status = file.stat()
    other = file.with_name("other")
    other.write_bytes(b"Content")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))  # of the same size and time
    other.replace(file)
    with pytest.raises(InputError, match="has changed"):
        found.check()


def test_a_file_that_was_touched_or_put_back_is_the_same(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = watched(file)
    os.utime(file, ns=(1, 1))
    found.check()
    file.unlink()
    with pytest.raises(InputError, match="rna is gone"):
        found.check()
    file.write_bytes(b"content")
    found.check()
    monkeypatch.setattr(sources, "sha256_of", None)  # once is enough
    found.check()


def test_a_file_that_changes_while_it_is_read_is_refused(file: Path) -> None:
    found = Sources({"rna": file})
    file.write_bytes(b"more content")
    with pytest.raises(InputError, match="rna changed while it was read"):
        found.were_read({"rna": {"sha256": sha256_of(file)}})


def test_a_folder_of_files_is_looked_at_file_by_file(tmp_path: Path) -> None:
    store = tmp_path / "rna.zarr"
    (store / "X").mkdir(parents=True)
    (store / "X" / "0").write_bytes(b"chunk")
    found = Sources({"rna": store})
    found.were_read({"rna": {"sha256": sha256_of(store)}})
    found.check()
    os.utime(store / "X" / "0", ns=(1, 1))  # touched: the content is the same
    found.check()
    (store / "X" / "0").write_bytes(b"Chunk")
    with pytest.raises(InputError, match="has changed"):
        found.check()


class ChangeAt(Silent):
    """Changes a file when a stage begins, or in the middle of training."""

    def __init__(self, path: Path, stage: str, epoch: int | None = None) -> None:
        self.path, self.at, self.wanted = path, stage, epoch

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Change it where that is due."""
        if name == self.at and self.wanted is None:
            self.change()

    def epoch(self, row: Mapping[str, float | int | str]) -> None:
        """Change it where that is due."""
        if (row["stage"], row["epoch"]) == (self.at, self.wanted):
            self.change()

    def change(self) -> None:
        """Append to the file."""
        with self.path.open("ab") as file:
            file.write(b"more")


@pytest.fixture
def inputs(folder: Path, tmp_path: Path) -> Path:
    """A copy of the inputs that may be changed."""
    return Path(shutil.copytree(folder, tmp_path / "inputs"))


def go(inputs: Path, out: Path, **options: Any) -> Integration:
    settings = {"max_epochs": 3, "checkpoint_minutes": 0} | options
    return quick(files_in(inputs), annotation=inputs / "genes.gtf.gz", out=out, **settings)


@pytest.mark.parametrize(
    ("stage", "name"), [("read", "atac.h5ad"), ("prepare", "atac.h5ad"), ("prepare", "genes.gtf.gz")]
)
def test_a_change_before_training_is_a_refusal(inputs: Path, tmp_path: Path, stage: str, name: str) -> None:
    """Annotations are read in preparation; more bytes in a compressed file are damage to it."""
    with pytest.raises(OmicsGlueError, match=r"changed|damaged") as refusal:
        go(inputs, tmp_path / "RUN", reporter=ChangeAt(inputs / name, stage))
    assert refusal.value.exit_code == 2
    assert not (tmp_path / "RUN").exists()


@pytest.mark.parametrize(
    ("stage", "epoch", "left"),
    [
        ("pretrain", 2, "0-pretrain-0000002"),
        ("train", 1, "0-pretrain-0000006"),
        ("embed", None, "1-train-0000006"),
        ("write", None, "1-train-0000006"),
    ],
)
def test_a_change_later_stops_the_run_before_anything_wrong_is_written(
    inputs: Path, tmp_path: Path, stage: str, epoch: int | None, left: str
) -> None:
    out, path = tmp_path / "RUN", inputs / "rna.h5ad"
    kept = path.read_bytes()
    with pytest.raises(OmicsGlueError, match="the input rna has changed") as stop:
        go(inputs, out, reporter=ChangeAt(path, stage, epoch))
    assert stop.value.exit_code == 3
    assert "--resume" in stop.value.__notes__[0]
    assert not (out / "integrated.h5mu").exists()
    newest = max((out / "checkpoints").iterdir(), key=lambda each: each.stat().st_mtime_ns)
    assert newest.stem == left
    with pytest.raises(OmicsGlueError, match="the input rna has another content"):
        go(inputs, out, resume=True)
    path.write_bytes(kept)
    go(inputs, out, resume=True)
    whole = go(inputs, tmp_path / "WHOLE")
    assert whole.folder is not None
    assert_same_embeddings(embeddings(out), embeddings(whole.folder))
    assert RunFolder.open(out).record()["status"] == "done"
