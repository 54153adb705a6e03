"""What a process does that trains together with a first one: it takes part in stages of training, and waits.

It is started by :func:`~omicsglue.training.team.together` as ``python -m omicsglue.worker``, or becomes one
where a launcher (torchrun, srun) has started the same command several times.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from omicsglue.data.modality import ModalityData
from omicsglue.data.pairing import Pairing
from omicsglue.errors import OmicsGlueError
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.nn.network import Network
from omicsglue.recipe import Outcome, PretrainedStore, Recipe, follow
from omicsglue.training.checkpoint import Checkpoint
from omicsglue.training.device import threads_limited
from omicsglue.training.environment import LocalEnvironment
from omicsglue.training.interrupt import CheckpointKeeper
from omicsglue.training.progress import Reporter, Silent
from omicsglue.training.shares import check_same_number
from omicsglue.training.signals import Interrupted, listening
from omicsglue.training.team import READY, RankLostError, Team, is_led, joined, together

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LOST = 3  # exit code of a process that has been left alone


@dataclass(frozen=True)
class Job:
    """A training in which other processes take part; the data are told by :func:`follow`.

    Attributes
    ----------
    network, graph, recipe, resume, pairing
        As for :func:`~omicsglue.recipe.follow`.
    pretrained
        Whether pretrained weights are shared between trainings.
    threads
        Threads of each process; ``None`` for an equal share.
    checkpoint_minutes
        Time between checkpoints.
    """

    network: Network
    graph: GuidanceGraph
    recipe: Recipe
    resume: Checkpoint | None
    pretrained: bool
    pairing: Pairing | None
    threads: int | None
    checkpoint_minutes: float


@dataclass(frozen=True)
class Place:
    """Where the first process trains, and where its checkpoints go.

    Attributes
    ----------
    fabric
        Handle on the device, where it trains alone.
    device, devices
        Kind and number of devices.
    folder, run, guard
        As of :class:`~omicsglue.training.interrupt.CheckpointKeeper`.
    """

    fabric: Fabric
    device: str
    devices: int
    folder: Path | None
    run: str
    guard: Callable[[], None] | None = None


def lead(
    job: Job,
    modalities: Mapping[str, ModalityData],
    place: Place,
    reporter: Reporter,
    pretrained: PretrainedStore | None,
) -> Outcome:
    """Train by the recipe, with other processes where there are several devices.

    Parameters
    ----------
    job
        The training.
    modalities
        The data.
    place
        Devices and checkpoints.
    reporter, pretrained
        As for :func:`~omicsglue.recipe.follow`.

    Raises
    ------
    OptionError
        If threads or devices cannot be used.
    RunFolderError
        If the checkpoint is of another number of processes.
    RankLostError
        If another process is lost.
    """
    with (
        threads_limited(job.threads),
        together(place.device, place.devices, job.threads) as team,
        threads_limited(_threads(job, team)),
        listening() as signals,
    ):
        check_same_number(job.resume, team)
        if team is not None:
            team.first(lambda: job)
        keeper = CheckpointKeeper(place.folder, signals, place.run, job.checkpoint_minutes, place.guard)
        return _train(job, modalities, place.fabric, reporter, keeper, pretrained, team)


def _train(
    job: Job,
    modalities: Mapping[str, ModalityData],
    fabric: Fabric,
    reporter: Reporter,
    keeper: CheckpointKeeper,
    pretrained: PretrainedStore | None,
    team: Team | None,
) -> Outcome:
    return follow(
        job.network,
        modalities,
        job.graph,
        job.recipe,
        fabric if team is None else team.fabric,
        reporter,
        on_step=keeper,
        resume=job.resume,
        pretrained=pretrained,
        pairing=job.pairing,
        team=team,
    )


def _threads(job: Job, team: Team | None) -> int | None:
    """Return the threads of each process: those asked for, or an equal share of what torch has here."""
    if job.threads is not None or team is None or not team.started:
        return job.threads
    return max(torch.get_num_threads() // team.number, 1)


def serve(team: Team) -> None:
    """Take part in one training after another, until the first process has no more.

    Raises
    ------
    RankLostError
        If another process is lost.
    """
    while True:
        job: Job | None = team.first(lambda: None)
        if job is None:
            return
        try:
            _take_part(team, job)
        except RankLostError:
            raise
        except (OmicsGlueError, Interrupted):  # in all processes alike; the first one tells
            continue


def _take_part(team: Team, job: Job) -> None:
    with threads_limited(job.threads), listening() as signals:
        keeper = CheckpointKeeper(None, signals, minutes=job.checkpoint_minutes)
        pretrained = PretrainedStore() if job.pretrained else None
        _train(job, {}, team.fabric, Silent(), keeper, pretrained, team)


def leave_if_led(device: str, devices: int) -> None:
    """Where a launcher has started this process to follow another one, follow it, and end the process then.

    Elsewhere, do nothing. So a script that several processes run goes on in the first one alone.

    Raises
    ------
    SystemExit
        When there is nothing more to do; with code 3 if another process is lost.
    """
    if is_led() is None:
        return
    with together(device, devices) as team:
        assert team is not None
        try:
            serve(team)
        except RankLostError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            os._exit(LOST)  # threads of the process group may wait for the lost one
    raise SystemExit(0)


def main(arguments: list[str]) -> None:
    """Take part as the process that the first one has started.

    Parameters
    ----------
    arguments
        Rank, number of processes, port and kind of device.
    """
    rank, number, port = map(int, arguments[:3])
    sys.stdout.buffer.write(READY + b"\n")
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    team = joined(arguments[3], LocalEnvironment(rank, number, port), number)
    try:
        serve(team)
    except RankLostError:
        os._exit(LOST)  # the first process tells
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
