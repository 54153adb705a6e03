"""``integrate`` with several processes: one of them prepares and writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from omicsglue.runs import RunFolder
from whole_runs import assert_same_embeddings, embeddings, files_in, quick, small_data

pytestmark = pytest.mark.slow


def test_two_processes_train_one_ensemble_and_one_writes(tmp_path: Path) -> None:
    data = small_data(coordinates=True)
    options = {"devices": 2, "device": "cpu", "ensemble": 2, "batch_key": {}}
    first = quick(data.modalities, out=tmp_path / "one", **options)
    assert first.folder is not None
    record = first.folder.record()
    assert record["status"] == "done"
    assert record["options"]["devices"] == 2
    assert not [
        path for path in (tmp_path / "one").rglob("*") if "tmp" in path.name or "partial" in path.name
    ]
    again = quick(data.modalities, out=tmp_path / "two", **options)
    assert again.folder is not None
    assert_same_embeddings(embeddings(first.folder), embeddings(RunFolder.open(tmp_path / "two")))


def test_processes_read_data_on_disk_for_themselves(tmp_path: Path) -> None:
    small_data().write(tmp_path / "in")
    files = files_in(tmp_path / "in")
    options = {"devices": 2, "device": "cpu", "annotation": tmp_path / "in/genes.gtf.gz"}
    found = [
        quick(files, out=tmp_path / backed, backed=backed, **options).folder for backed in ("never", "always")
    ]
    assert found[0] is not None
    assert found[1] is not None
    assert_same_embeddings(embeddings(found[0]), embeddings(found[1]))
