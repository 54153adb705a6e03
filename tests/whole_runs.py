"""Small simulated data on disk and quick whole runs, for tests of ``integrate`` and of the command line."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from omicsglue.datasets import SimulatedData, simulate
from omicsglue.pipeline import Integration, integrate
from omicsglue.runs import RunFolder
from omicsglue.training.progress import Silent

CELLS, GENES, PEAKS = 150, 80, 400


def small_data(**options: Any) -> SimulatedData:
    """Return cells of three types, with RNA and ATAC unless told otherwise."""
    settings = {"genes": GENES, "peaks": PEAKS, "types": 3, "rare_share": 0.2} | options
    return simulate(CELLS, **settings)


def files_in(folder: Path) -> dict[str, Path]:
    """Return the modalities that were written to a folder."""
    return {name: folder / f"{name}.h5ad" for name in ("rna", "atac")}


def quick(modalities: Any, **options: Any) -> Integration:
    """Integrate with two epochs a stage, in silence."""
    return integrate(modalities, **({"max_epochs": 2, "threads": 1, "reporter": Silent()} | options))


def embeddings(run: RunFolder | Path) -> dict[str, np.ndarray]:
    """Return the embeddings in a run folder."""
    folder = run if isinstance(run, RunFolder) else RunFolder.open(run)
    return {name: folder.embedding(name) for name in folder.names()}


def assert_same_embeddings(a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray]) -> None:
    """Compare embeddings bit for bit."""
    assert list(a) == list(b)
    for name, values in a.items():
        assert values.dtype == b[name].dtype == np.float32
        assert values.tobytes() == b[name].tobytes(), name


class SignalAt(Silent):
    """Sends this process a signal when an epoch of a stage ends."""

    def __init__(self, stage: str, epoch: int, number: int = signal.SIGINT) -> None:
        self.at, self.number = (stage, epoch), number
        self.stages: list[tuple[str, int | None, int]] = []
        self.epochs: list[tuple[str, int]] = []

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Keep what was heard."""
        self.stages.append((name, epochs, done))

    def epoch(self, row: Mapping[str, float | int | str]) -> None:
        """Keep what was heard, and send the signal where it is due."""
        now = (str(row["stage"]), int(row["epoch"]))
        self.epochs.append(now)
        if now == self.at:
            signal.raise_signal(self.number)
