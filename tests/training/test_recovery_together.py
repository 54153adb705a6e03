"""Processes that train together go back to a good state as one does, also after they were resumed."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor

from omicsglue import GLUE
from omicsglue.nn.common_memory import meet_on_this_machine
from omicsglue.nn.ranks import Ranks
from omicsglue.training import loop, recovery
from omicsglue.training.checkpoint import load_checkpoint, save_checkpoint
from omicsglue.training.device import make_fabric
from omicsglue.training.loop import Stage
from omicsglue.training.progress import Silent
from omicsglue.training.state import Engine, StageData
from omicsglue.training.team import Team
from processes import on_ranks, told
from small import quick_recipe, small_graph, small_modalities

pytestmark = pytest.mark.slow
POISONED, STOPPED, GOOD = 8, 7, 4  # steps
Found = tuple[dict[str, Tensor], list[str]]


class Stopped(Exception):  # noqa: N818  (no error: a test stops a stage)
    """A stage was stopped by a test."""


def made(ranks: Ranks) -> Stage:
    """Return a process's part in a stage."""
    modalities = small_modalities()
    model = GLUE(modalities, small_graph(modalities), quick_recipe(4))
    split = StageData.split(model._data, model.graph, 0.1, 0)
    fabric = make_fabric("cpu")
    engine = Engine.start(fabric, model.network, Team(fabric, ranks, None))
    return Stage("train", 0, engine, split, replace(quick_recipe(4).train, batch_size=16), 0)


def poison(stage: Stage) -> None:
    """Make a weight infinite once, in the first process alone."""
    if stage.state.step == POISONED and not stage.state.rollbacks and stage.engine.rank == 0:
        with torch.no_grad():
            stage.network.encoders["rna"].head.loc.weight[0, 0] = math.inf


def found(stage: Stage) -> Found:
    """Run a stage to its end; return its weights, and what it says befell it."""
    stage.run(Silent(), poison)
    weights = {name: value.clone() for name, value in stage.network.state_dict().items()}
    return weights, stage.state.notes


def case(ranks: Ranks, folder: Path) -> tuple[Found, Found, bool]:
    """Return what comes of a stage, also when it was stopped, and whether a good state was saved."""
    loop.FINITE_EVERY, recovery.APART = 2, GOOD  # type: ignore[misc]  # processes of this test alone
    ranks.memory = meet_on_this_machine(ranks.rank, ranks.number, told, 60)
    path = folder / f"0-train-{STOPPED:07d}.safetensors"

    def stop(stage: Stage) -> None:
        if stage.state.step == STOPPED:
            checkpoint = stage.checkpoint()
            if ranks.rank == 0:
                save_checkpoint(folder, checkpoint)
            dist.barrier()
            raise Stopped

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole = found(made(ranks))
        with pytest.raises(Stopped):
            made(ranks).run(Silent(), stop)
        saved = load_checkpoint(path)
        resumed = made(ranks)
        resumed.restore(saved)
        return whole, found(resumed), "good" in saved.state


def test_a_resumed_run_of_several_processes_goes_back_to_the_same_state(tmp_path: Path) -> None:
    ranks = on_ranks(case, 2, tmp_path)
    for whole, resumed, saved in ranks:
        assert saved
        assert len(whole[1]) == 1
        assert f"went back to step {GOOD}" in whole[1][0]
        assert whole[1] == resumed[1] == ranks[0][0][1]
        for name, value in whole[0].items():
            assert torch.isfinite(value).all()
            assert torch.equal(value, resumed[0][name]), name
            assert torch.equal(value, ranks[0][0][0][name]), name
