"""One process's part in a stage: its cells, its randomness, and its place in the checkpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from omicsglue.data.batches import Rows
from omicsglue.data.shards import shards
from omicsglue.errors import RunFolderError
from omicsglue.training.checkpoint import Checkpoint, flatten, unflatten
from omicsglue.training.state import Engine, StageData
from omicsglue.training.team import Team


class Seeds(NamedTuple):
    """Sources of randomness of a stage.

    Attributes
    ----------
    rng
        Of the cells and edges that are drawn.
    generator
        Of what is drawn of cells in the network.
    shared
        Of what all processes draw alike; the same as `generator` where there is one process.
    """

    rng: np.random.Generator
    generator: torch.Generator
    shared: torch.Generator

    @classmethod
    def of(cls, engine: Engine, seed: int, order: int) -> Seeds:
        """Return the sources of one process for the stage at a position in the run."""
        device = engine.fabric.device
        shared = torch.Generator(device).manual_seed(seed * 1000 + order)
        if engine.team is None:
            return cls(np.random.default_rng([seed, 2, order]), shared, shared)
        words = np.random.SeedSequence([seed, 4, order, engine.rank]).generate_state(1, np.uint64)
        own = torch.Generator(device).manual_seed(int(words[0]))
        return cls(np.random.default_rng([seed, 2, order, engine.rank]), own, shared)


def share_of_cells(
    engine: Engine, data: StageData, batch_size: int
) -> tuple[dict[str, Rows], int | dict[str, int]]:
    """Return the rows of each modality on which a process trains, and how many make a minibatch.

    All processes take equally many, also where their shares differ by a cell.
    """
    rows = {name: split.train for name, split in data.splits.items()}
    if engine.team is None:
        return rows, batch_size
    found = shards(rows, engine.number, data.pairing)
    sizes = {name: min(batch_size, *(len(each[name]) for each in found)) for name in rows}
    return found[engine.rank], sizes


def collected(team: Team, mine: Checkpoint) -> Checkpoint:
    """Return what the first process saves: its own state, and of each other one its place in the data.

    All processes must call this at the same time; those after the first return nothing of use.
    """
    own = unflatten("order", mine.tensors), mine.tensors["generator"], mine.state["rng"]
    tensors, states = dict(mine.tensors), []
    for rank, (order, generator, state) in enumerate(team.collected(own)):
        states.append(state)
        if rank:
            tensors |= flatten(f"rank{rank}/order", order)
            tensors[f"rank{rank}/generator"] = generator
    return replace(mine, tensors=tensors, state={**mine.state, "ranks": states})


def part_of(checkpoint: Checkpoint, engine: Engine) -> Checkpoint:
    """Return a checkpoint with this process's order, generator and random state in place."""
    if engine.team is None:
        return checkpoint
    tensors = checkpoint.tensors
    if engine.rank:
        own = unflatten(f"rank{engine.rank}", tensors)
        tensors = {k: v for k, v in tensors.items() if not k.startswith("order/")} | own
    state = {**checkpoint.state, "rng": checkpoint.state["ranks"][engine.rank]}
    return replace(checkpoint, tensors=tensors, state=state)


def check_same_number(checkpoint: Checkpoint | None, team: Team | None) -> None:
    """Check that a run goes on with as many processes as it had.

    Raises
    ------
    RunFolderError
        If not: the order of the data and the random states belong to the processes.
    """
    if checkpoint is None:
        return
    before, now = len(checkpoint.state.get("ranks", "1")), 1 if team is None else team.number
    if before != now:
        raise RunFolderError(
            f"the run was trained by {before} process{'es' if before > 1 else ''}, not by {now}: "
            "the order of its cells and its random numbers belong to that number",
            where=checkpoint.filename,
            remedy=f"resume with {before} (--devices), or start again with --overwrite",
        )
