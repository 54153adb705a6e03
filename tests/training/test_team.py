"""Processes that train together: they meet, resume, refuse, and do not wait for the dead."""

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
import torch

from omicsglue import GLUE
from omicsglue.errors import OptionError, RunFolderError
from omicsglue.recipe import PretrainedStore
from omicsglue.training import team as teams
from omicsglue.training.interrupt import Interrupted
from omicsglue.training.progress import Silent
from omicsglue.training.team import RankLostError, Team, together
from small import assert_same_model, embeddings, quick_recipe, same_history, small_graph
from whole_runs import SignalAt

if TYPE_CHECKING:
    from anndata import AnnData

pytestmark = pytest.mark.slow
Pair = Mapping[str, "AnnData"]
EPOCHS = 3


@pytest.fixture(scope="module")
def team() -> Iterator[Team]:
    with together("cpu", 2, 1) as found:
        assert found is not None
        yield found


def trained(pair: Pair, reporter: Silent | None = None, **options: object) -> GLUE:
    model = GLUE(pair, small_graph(pair), quick_recipe(EPOCHS))
    settings = {"device": "cpu", "devices": 2, "threads": 1} | options
    model.train(reporter=reporter or Silent(), **settings)  # type: ignore[arg-type]
    return model


def test_the_same_seeds_give_the_same_run_and_a_resumed_run_is_the_same(
    team: Team, small_pair: Pair, tmp_path: Path
) -> None:
    whole = trained(small_pair)
    rows = whole.history.to_dict("records")
    assert [row["steps"] for row in rows] == [3] * (2 * EPOCHS)  # 144 cells, 2 x 32 a step
    assert np.isfinite(whole.history["val_vae_loss"]).any()
    for at in (("pretrain", 2), ("train", 1)):
        folder = tmp_path / at[0]
        with pytest.raises(Interrupted):
            trained(small_pair, SignalAt(*at, signal.SIGTERM), checkpoints=folder)
        assert_same_model(trained(small_pair, checkpoints=folder, resume=True), whole)
        with pytest.raises(RunFolderError, match="trained by 2 processes, not by 1"):
            alone(small_pair, folder)


def alone(pair: Pair, folder: Path) -> None:
    """Try to go on by oneself."""
    held, teams._OPEN[:] = list(teams._OPEN), []
    try:
        trained(pair, devices=1, checkpoints=folder, resume=True)
    finally:
        teams._OPEN[:] = held
