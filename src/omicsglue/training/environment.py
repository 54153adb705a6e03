"""How the processes that train together come to be: by this package, by torchrun, or by Slurm's srun."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from omicsglue.errors import OptionError

_LOOPBACK: Final = "127.0.0.1"


@dataclass
class LocalEnvironment(ClusterEnvironment):
    """Processes on this machine, all of them started by omicsglue.

    Attributes
    ----------
    rank, number
        Which process this is, and how many there are.
    port
        Where the first process listens, on the loopback interface.
    """

    rank: int
    number: int
    port: int

    @property
    def creates_processes_externally(self) -> bool:
        """Whether fabric has nothing to start."""
        return True

    @property
    def main_address(self) -> str:
        """Address of the first process."""
        return _LOOPBACK

    @property
    def main_port(self) -> int:
        """Port of the first process."""
        return self.port

    @staticmethod
    def detect() -> bool:
        """Whether the surroundings say so; they never do."""
        return False

    def world_size(self) -> int:
        """Return the number of processes."""
        return self.number

    def set_world_size(self, size: int) -> None:
        """Keep the number."""

    def global_rank(self) -> int:
        """Return the number of this process."""
        return self.rank

    def set_global_rank(self, rank: int) -> None:
        """Keep the number."""

    def local_rank(self) -> int:
        """Return the number of this process."""
        return self.rank

    def node_rank(self) -> int:
        """Return the number of this machine."""
        return 0


@dataclass(frozen=True)
class Surroundings:
    """Processes that a launcher has started, this one among them.

    Attributes
    ----------
    name
        The launcher: ``torchrun`` or ``srun``.
    rank, number
        Which process this is, and how many there are on all machines.
    local, nodes
        Processes on each machine, and the number of machines.
    environment
        What fabric is told.
    """

    name: str
    rank: int
    number: int
    local: int
    nodes: int
    environment: ClusterEnvironment

    def check(self, devices: int) -> None:
        """Check that as many devices are asked for as there are processes on a machine; 1 asks for nothing.

        Raises
        ------
        OptionError
            If not.
        """
        if devices not in (1, self.local):
            raise OptionError(
                f"devices is {devices}, but {self.name} has started {self.local} on this machine",
                where="--devices",
                remedy=f"leave out --devices, or tell {self.name} how many to start",
            )


def surroundings() -> Surroundings | None:
    """Return what a launcher has started, or ``None`` where this process is alone.

    Raises
    ------
    OptionError
        If machines have different numbers of processes.
    """
    found: tuple[str, int, int, ClusterEnvironment]
    if torch.distributed.is_available() and TorchElasticEnvironment.detect():
        number, local = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
        found = ("torchrun", number, local, TorchElasticEnvironment())
    elif "SLURM_PROCID" in os.environ and int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        number = int(os.environ["SLURM_STEP_NUM_TASKS"])
        local = number // int(os.environ.get("SLURM_STEP_NUM_NODES", "1"))
        os.environ["SLURM_NTASKS"] = str(number)  # fabric looks at these, which the batch script may lack
        os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(local))
        found = ("srun", number, local, SLURMEnvironment(auto_requeue=False))
    else:
        return None
    name, number, local, environment = found
    if number == 1:
        return None
    if number % local:
        raise OptionError(
            f"{name} has started {number} processes, not equally many on every machine",
            where=name,
            remedy="start equally many processes on every machine",
        )
    return Surroundings(name, environment.global_rank(), number, local, number // local, environment)
