"""Data for tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from whole_runs import small_data


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``rna.h5ad``, ``atac.h5ad`` and ``genes.gtf.gz``; not to be changed."""
    return small_data().write(tmp_path_factory.mktemp("data"))


@pytest.fixture
def arguments(folder: Path, tmp_path: Path) -> list[str]:
    """Return a command line of ``integrate`` of two epochs that writes to ``RUN``."""
    inputs = [f"--modality={name}={folder / name}.h5ad" for name in ("rna", "atac")]
    guide = ["--annotation", str(folder / "genes.gtf.gz"), "--out", str(tmp_path / "RUN")]
    return ["integrate", *inputs, *guide, "--max-epochs", "2", "--threads", "1"]


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the report, which takes a second."""
    monkeypatch.setattr("omicsglue.report.write_report", lambda folder: folder.report.touch())
