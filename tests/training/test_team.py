"""Processes that train together: they meet, resume, and refuse."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from omicsglue import GLUE
from omicsglue.errors import RunFolderError
from omicsglue.recipe import PretrainedStore
from omicsglue.training import team as teams
from omicsglue.training.interrupt import Interrupted
from omicsglue.training.progress import Silent
from omicsglue.training.team import Team, together
from small import assert_same_model, quick_recipe, same_history, small_graph
from whole_runs import SignalAt

if TYPE_CHECKING:
    from anndata import AnnData

pytestmark = pytest.mark.slow
Pair = Mapping[str, "AnnData"]
EPOCHS = 3
SCRIPT = Path(__file__).resolve().parents[1] / "trained_by_launcher.py"


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    with together("cpu", 2, 1) as found:
        assert found is not None
        yield found


@pytest.fixture(scope="module")
def whole(team: Team, small_pair: Pair) -> GLUE:
    return trained(small_pair)


def trained(pair: Pair, reporter: Silent | None = None, **options: object) -> GLUE:
    model = GLUE(pair, small_graph(pair), quick_recipe(EPOCHS))
    settings = {"device": "cpu", "devices": 2, "threads": 1} | options
    model.train(reporter=reporter or Silent(), **settings)  # type: ignore[arg-type]
    return model


def alone(pair: Pair, folder: Path) -> None:
    """Try to go on by oneself."""
    held, teams._OPEN[:] = list(teams._OPEN), []
    try:
        trained(pair, devices=1, checkpoints=folder, resume=True)
    finally:
        teams._OPEN[:] = held


@pytest.mark.parametrize("at", [("pretrain", 2), ("train", 1)])
def test_a_resumed_run_is_the_same_and_needs_as_many_processes(
    whole: GLUE, small_pair: Pair, tmp_path: Path, at: tuple[str, int]
) -> None:
    rows = whole.history.to_dict("records")
    assert [row["steps"] for row in rows] == [3] * (2 * EPOCHS)  # 144 cells, 2 x 32 a step
    assert np.isfinite(whole.history["val_vae_loss"]).any()
    with pytest.raises(Interrupted):
        trained(small_pair, SignalAt(*at, signal.SIGTERM), checkpoints=tmp_path)
    assert list(tmp_path.iterdir())
    with pytest.raises(RunFolderError, match="trained by 2 processes, not by 1"):
        alone(small_pair, tmp_path)
    assert_same_model(trained(small_pair, checkpoints=tmp_path, resume=True), whole)


def test_members_of_an_ensemble_share_pretraining(whole: GLUE, small_pair: Pair) -> None:
    kept = PretrainedStore()
    first = trained(small_pair, pretrained=kept)
    assert_same_model(first, whole)
    second = first.member(1)
    second.train(device="cpu", devices=2, threads=1, reporter=Silent(), pretrained=kept)
    stages = [model.history[model.history["stage"] == "pretrain"] for model in (first, second)]
    assert same_history(*(stage.to_dict("records") for stage in stages))
    one, two = (model.get_latent_representation("rna") for model in (first, second))
    assert not np.array_equal(one, two)


def test_a_launcher_starts_the_very_same_run(whole: GLUE, tmp_path: Path) -> None:
    out = tmp_path / "embedding.npy"
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    paths = os.pathsep.join([*sys.path, str(SCRIPT.parent)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, str(SCRIPT), str(EPOCHS), str(out)], env=environment, capture_output=True, timeout=300
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.decode().split() == ["trained"]  # the second process does not come back
    assert np.array_equal(np.load(out), whole.get_latent_representation("rna"))
