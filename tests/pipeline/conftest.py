"""Data for tests of whole runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from omicsglue.datasets import SimulatedData
from omicsglue.pipeline import Integration
from whole_runs import files_in, quick, small_data


@pytest.fixture(scope="session")
def simulated() -> SimulatedData:
    """Return simulated RNA and ATAC; not to be changed."""
    return small_data()


@pytest.fixture(scope="session")
def folder(simulated: SimulatedData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with ``rna.h5ad``, ``atac.h5ad`` and ``genes.gtf.gz``; not to be changed."""
    return simulated.write(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Integration:
    """Return a finished run of five epochs a stage; its folder is not to be changed."""
    out = tmp_path_factory.mktemp("run") / "RUN"
    options = {"max_epochs": 5, "label_key": {"rna": "cell_type"}, "pairing": "obs_names"}
    return quick(files_in(folder), annotation=folder / "genes.gtf.gz", out=out, **options)


@pytest.fixture
def no_report(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the report, which takes a second."""
    monkeypatch.setattr("omicsglue.report.write_report", lambda folder: folder.report.touch())
