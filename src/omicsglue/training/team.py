"""Processes that train one network together: how they meet, what they tell each other, and how they part.

The first process does everything that is done once: it reads, prepares, balances and writes. The others wait
for the stages of training, take part in them, and wait again (``omicsglue.worker``).
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import torch
import torch.distributed as dist
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor

from omicsglue.errors import OptionError, TrainingError
from omicsglue.nn.common_memory import meet_on_this_machine
from omicsglue.nn.ranks import Ranks
from omicsglue.training.device import accelerator_of
from omicsglue.training.environment import LocalEnvironment, Surroundings, surroundings

T = TypeVar("T")
PATIENCE: Final = timedelta(days=2)  # while the first process does what is done once
MEETING: Final = timedelta(minutes=30)  # until all processes of a launcher are there
STEP_SECONDS: Final = 180.0  # within a stage of training
_WORKER: Final = "omicsglue.worker"
READY: Final = b"ready"


class RankLostError(TrainingError):
    """Another process has ended, or does not answer."""


@dataclass
class Team:
    """A process and those that train with it.

    Attributes
    ----------
    fabric
        Lightning-fabric's handle on this process's device.
    ranks
        What is told within a step: to be answered within three minutes.
    patient
        Process group in which the others wait for the first process, however long it takes.
    prompt
        Process group on the CPU for what is to be answered as within a step.
    started
        Processes that this one has started, in the order of their ranks, from 1.
    broken
        Whether a process has been lost, or the first one has left in the middle of something.
    question
        What each process is asked in every step, to be answered by yes or no; nothing by default.
    agreed
        For each answer whether any process said yes in the latest step.
    """

    fabric: Fabric
    ranks: Ranks
    patient: Any
    prompt: Any = None
    started: Sequence[subprocess.Popen[bytes]] = ()
    broken: bool = False
    question: Callable[[], tuple[bool, ...]] = tuple
    agreed: tuple[bool, ...] = ()
    flat: Tensor | None = field(default=None, repr=False)

    @property
    def rank(self) -> int:
        """Which process this is, from 0."""
        return self.ranks.rank

    @property
    def number(self) -> int:
        """How many processes there are."""
        return self.ranks.number

    def first(self, make: Callable[[], T]) -> T:
        """Return in every process what the first makes, however long it takes; the others make nothing."""
        held: list[Any] = [make() if self.rank == 0 else None]
        self._waiting(lambda: dist.broadcast_object_list(held, src=0, group=self.patient))
        made: T = held[0]
        return made

    def collected(self, mine: T) -> list[T]:
        """Return in the first process what all hold, in the order of ranks; elsewhere an empty list."""
        held: list[Any] | None = [None] * self.number if self.rank == 0 else None
        self._waiting(lambda: dist.gather_object(mine, held, dst=0, group=self.prompt))
        return held or []

    def wait(self) -> None:
        """Wait for the first process, however long it takes; it waits for nobody."""
        self.first(lambda: None)

    def average(self, parameters: Sequence[torch.nn.Parameter], values: Tensor) -> Tensor:
        """Replace gradients by their mean over all processes and return that of some values, at one go.

        The answers to `question` go with them. Gradients in memory that all processes see are means already.

        Parameters
        ----------
        parameters
            With gradients; where one has none, it counts as 0.
        values
            Numbers, shape ``(n,)``.
        """
        answers = self.question()
        own = [parameter for parameter in parameters if not self.ranks.holds(parameter.grad)]
        sizes = [*(parameter.numel() for parameter in own), len(values), len(answers)]
        if self.flat is None or len(self.flat) != sum(sizes):
            self.flat = values.new_empty(sum(sizes), dtype=parameters[0].dtype)
        *parts, tail, votes = torch.split(self.flat, sizes)
        for part, parameter in zip(parts, own, strict=True):
            if parameter.grad is None:
                part.zero_()
            else:
                part.copy_(parameter.grad.view(-1))
        tail.copy_(values)
        votes.copy_(torch.tensor(answers, dtype=votes.dtype))
        self.ranks.add(self.flat).div_(self.number)
        for part, parameter in zip(parts, own, strict=True):
            parameter.grad = part.view(parameter.shape)
        self.agreed = tuple((votes > 0).tolist())
        found: Tensor = tail.to(values.dtype, copy=True)
        return found

    def added(self, sums: Tensor | None, total: int, length: int) -> tuple[Tensor, int]:
        """Return sums, shape ``(length,)``, and totals of all processes; a process may have no sums."""
        mine = torch.zeros(length + 1, dtype=torch.float64, device=self.fabric.device)
        if sums is not None:
            mine[:-1] = sums
        mine[-1] = total
        self.ranks.add(mine)
        return mine[:-1].float(), int(mine[-1])

    def _waiting(self, ask: Callable[[], object]) -> None:
        try:
            ask()
        except RuntimeError as error:
            raise self.lost(error) from error

    def lost(self, error: Exception) -> RankLostError:
        """Return what to say of a process that is lost."""
        self.broken = True
        deadline = time.monotonic() + 2
        while (ended := self._ended()) is None and self.started and time.monotonic() < deadline:
            time.sleep(0.05)
        silent = f"another of {self.number} processes has ended or is silent ({_first_line(error)})"
        remedy = "look for what that process said, and whether memory ran out; then go on with --resume"
        return RankLostError(ended or silent, where="training", remedy=remedy)

    def _ended(self) -> str | None:
        """Return which of the processes that were started here has ended, and how."""
        for rank, process in enumerate(self.started, start=1):
            code = process.poll()
            if code is not None:
                how = f"was killed by signal {-code}" if code < 0 else f"has ended with code {code}"
                return f"process {rank} of {self.number} {how}"
        return None

    def close(self, *, well: bool) -> None:
        """Let the others go, or end them where something has failed."""
        if well and not self.broken and self.rank == 0:
            with suppress(RankLostError):
                self.first(lambda: None)
        else:
            _end(self.started)
        for process in self.started:
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
        _end(self.started)
        if self.ranks.memory is not None:
            self.ranks.memory.close()
        if dist.is_initialized():
            with suppress(RuntimeError):
                dist.destroy_process_group()


_OPEN: list[Team] = []


@contextmanager
def together(device: str, devices: int, threads: int | None = None) -> Iterator[Team | None]:
    """Yield the processes that train together, ``None`` where there is one.

    Processes are started where they are not there yet. Inside another such block its processes are yielded.
    Those of a launcher are kept until this process ends.

    Parameters
    ----------
    device
        As of :func:`~omicsglue.training.device.make_fabric`.
    devices
        Number of processes on this machine, one a device.
    threads
        Threads of each process; by default an equal share of this one's.

    Raises
    ------
    OptionError
        If a device is not there, or torch's process group is in use for something else.
    TrainingError
        If a process cannot be started.
    """
    if _OPEN:
        yield _OPEN[-1]
        return
    around = surroundings()
    if around is not None:
        around.check(devices)
        team = joined(device, around.environment, around.local, around.nodes)
        _OPEN.append(team)
        atexit.register(team.close, well=True)
        yield team
        return
    if devices == 1:
        yield None
        return
    accelerator_of(device, devices)
    if dist.is_initialized():
        raise OptionError(
            "this process already takes part in torch.distributed",
            where="--devices",
            remedy="destroy its process group first, or use devices=1",
        )
    team = _started(device, devices, threads)
    _OPEN.append(team)
    try:
        yield team
    except BaseException:
        team.broken = True
        raise
    finally:
        _OPEN.remove(team)
        team.close(well=not team.broken)


def joined(
    device: str,
    environment: ClusterEnvironment,
    local: int,
    nodes: int = 1,
    started: Sequence[subprocess.Popen[bytes]] = (),
) -> Team:
    """Meet the other processes.

    Parameters
    ----------
    device
        Kind of device.
    environment
        How to find the others.
    local, nodes
        Processes on each machine, and the number of machines.
    started
        Processes that this one has started.
    """
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    accelerator = accelerator_of(device, local)
    backend = "nccl" if accelerator == "cuda" else "gloo"
    threads = torch.get_num_threads()
    strategy = DDPStrategy(timeout=MEETING, process_group_backend=backend)
    fabric = Fabric(
        accelerator=accelerator, strategy=strategy, devices=local, num_nodes=nodes, plugins=[environment]
    )
    fabric.launch()
    torch.set_num_threads(threads)
    step = dist.new_group(timeout=timedelta(seconds=STEP_SECONDS), backend=backend)
    patient = dist.new_group(timeout=PATIENCE, backend="gloo")
    prompt = step
    if backend != "gloo":
        prompt = dist.new_group(timeout=timedelta(seconds=STEP_SECONDS), backend="gloo")
    ranks = Ranks(fabric.global_rank, fabric.world_size, step)
    if nodes == 1 and accelerator == "cpu":
        ranks.memory = meet_on_this_machine(ranks.rank, ranks.number, partial(_told, prompt), STEP_SECONDS)
    team = Team(fabric, ranks, patient, prompt, started)
    ranks.lost = team.lost
    return team


def _told(group: Any, mine: object) -> list[object]:
    """Return an object of each process, in their order."""
    held: list[object] = [None] * dist.get_world_size(group)
    dist.all_gather_object(held, mine, group=group)
    return held


def _started(device: str, number: int, threads: int | None) -> Team:
    """Start processes on this machine and meet them."""
    port = _free_port()
    share = threads or max(torch.get_num_threads() // number, 1)
    own = {name: str(share) for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")}
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **own, "PYTHONPATH": path}
    started: list[subprocess.Popen[bytes]] = []
    try:
        for rank in range(1, number):
            command = [sys.executable, "-m", _WORKER, str(rank), str(number), str(port), device]
            # in a session of its own: Ctrl-C goes to the first process, which tells the others
            started.append(
                subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, start_new_session=True)
            )
        _heard(started)
        return joined(device, LocalEnvironment(0, number, port), number, started=started)
    except BaseException:
        _end(started)
        raise


def _end(started: Sequence[subprocess.Popen[bytes]]) -> None:
    """Kill processes that have not ended."""
    for process in started:
        process.kill()
        process.wait()


def _heard(started: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait until processes say that they are about to join.

    Raises
    ------
    TrainingError
        If one ends instead.
    """
    for rank, process in enumerate(started, start=1):
        assert process.stdout is not None
        with process.stdout as said:
            if said.readline().strip() != READY:
                raise TrainingError(
                    f"process {rank} of {len(started) + 1} could not be started",
                    where="--devices",
                    remedy="look for what it said above; memory may be too little for so many processes",
                )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def is_led() -> Surroundings | None:
    """Return the surroundings of a process that a launcher has started to follow another one."""
    around = surroundings()
    return around if around is not None and around.rank > 0 else None
