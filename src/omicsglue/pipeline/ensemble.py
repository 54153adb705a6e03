"""An ensemble: models that share everything but the randomness of the second stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from omicsglue.runs.folder import RunFolder
from omicsglue.training.progress import Reporter

if TYPE_CHECKING:
    from omicsglue.model import GLUE


def train_ensemble(
    model: GLUE, members: int, *, checkpoints: Path | None, reporter: Reporter, **settings: Any
) -> list[GLUE]:
    """Train a model, and further members that begin with its pretrained weights and balancing weights.

    Parameters
    ----------
    model
        Member 0; its training is that of a model alone.
    members
        How many, with member 0.
    checkpoints
        Folder for checkpoints of member 0; those of the others, and the pretrained weights, go to folders in
        it. None are written without one.
    reporter
        Hears of the progress.
    **settings
        As :meth:`GLUE.train` takes them.

    Returns
    -------
    list of GLUE
        The trained members, in order.

    Raises
    ------
    OmicsGlueError, Interrupted
        As :meth:`GLUE.train`.
    """
    if members == 1:
        model.train(checkpoints=checkpoints, reporter=reporter, **settings)
        return [model]
    from omicsglue.recipe import PretrainedStore
    from omicsglue.training.team import together

    pretrained = PretrainedStore(_within(checkpoints, "pretrained"))
    trained: list[GLUE] = []
    with together(settings.get("device", "auto"), settings.get("devices", 1), settings.get("threads")):
        for number in range(members):
            reporter.message(f"member {number + 1} of {members}")
            member = model.member(number) if number else model
            place = _within(checkpoints, f"member-{number}") if number else checkpoints
            member.train(checkpoints=place, reporter=reporter, pretrained=pretrained, **settings)
            trained.append(member)
    return trained


def save_ensemble(members: Sequence[GLUE], folder: RunFolder) -> None:
    """Save member 0 to ``model``, and further members to ``ensemble/1`` and so on.

    Raises
    ------
    RunFolderError
        If the disk is full or the folder cannot be written.
    """
    if len(members) > 1:
        folder.ensemble.mkdir(exist_ok=True)
    for number, model in enumerate(members):
        model.save(folder.member_model(number))


def joint_history(members: Sequence[GLUE]) -> pd.DataFrame:
    """Return the histories of all members, the stages that they share once, as of member 0.

    Returns
    -------
    pandas.DataFrame
        One row a member, epoch and stage; the number of the member in the column ``member`` (int64).
    """
    from omicsglue.recipe import TRAIN

    tables = []
    for number, model in enumerate(members):
        table = model.history
        table.insert(0, "member", number)
        tables.append(table[table["stage"] == TRAIN] if number else table)
    return pd.concat(tables, ignore_index=True)


def joint_seconds(members: Sequence[GLUE]) -> dict[str, float]:
    """Return the seconds of each stage; of the second, the sum over the members."""
    from omicsglue.recipe import TRAIN

    return {**members[0].seconds, TRAIN: sum(model.seconds[TRAIN] for model in members)}


def _within(folder: Path | None, name: str) -> Path | None:
    return folder / name if folder is not None else None
