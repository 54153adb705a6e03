"""What launchers leave in the environment of the processes that they start."""

from __future__ import annotations

import pytest

from omicsglue.errors import OptionError
from omicsglue.training.environment import LocalEnvironment, surroundings
from omicsglue.training.team import is_led

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none", "WORLD_SIZE": "4", "LOCAL_WORLD_SIZE": "2", "RANK": "3", "LOCAL_RANK": "1",
    "GROUP_RANK": "1", "MASTER_ADDR": "node0", "MASTER_PORT": "29400",
}  # fmt: skip
SRUN = {
    "SLURM_PROCID": "2", "SLURM_LOCALID": "0", "SLURM_NODEID": "1", "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_STEP_NUM_NODES": "2", "SLURM_NTASKS": "4", "SLURM_JOB_ID": "77", "SLURM_NODELIST": "node[0-1]",
    "SLURM_NTASKS_PER_NODE": "2",
}  # fmt: skip


@pytest.fixture
def around(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in {*TORCHRUN, *SRUN}:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_process_alone_has_no_surroundings(around: pytest.MonkeyPatch) -> None:
    assert surroundings() is None
    assert is_led() is None
    around.setenv("SLURM_PROCID", "0")  # a batch script without srun
    assert surroundings() is None


@pytest.mark.parametrize(
    ("variables", "name", "rank", "address"),
    [(TORCHRUN, "torchrun", 3, "node0"), (SRUN, "srun", 2, "node0")],
)
def test_launchers_are_recognised(
    around: pytest.MonkeyPatch, variables: dict[str, str], name: str, rank: int, address: str
) -> None:
    for key, value in variables.items():
        around.setenv(key, value)
    found = surroundings()
    assert found is not None
    assert (found.name, found.rank, found.number, found.local, found.nodes) == (name, rank, 4, 2, 2)
    assert found.environment.main_address == address
    assert found.environment.creates_processes_externally
    assert is_led() is not None
    found.check(1)
    found.check(2)
    with pytest.raises(OptionError, match=f"{name} has started 2"):
        found.check(4)


def test_the_first_process_leads(around: pytest.MonkeyPatch) -> None:
    for key, value in (TORCHRUN | {"RANK": "0"}).items():
        around.setenv(key, value)
    assert is_led() is None


def test_unequal_machines_are_refused(around: pytest.MonkeyPatch) -> None:
    for key, value in (TORCHRUN | {"WORLD_SIZE": "5"}).items():
        around.setenv(key, value)
    with pytest.raises(OptionError, match="not equally many"):
        surroundings()


def test_processes_on_this_machine_meet_on_the_loopback_interface() -> None:
    found = LocalEnvironment(1, 3, 4242)
    assert (found.global_rank(), found.local_rank(), found.node_rank(), found.world_size()) == (1, 1, 0, 3)
    assert (found.main_address, found.main_port) == ("127.0.0.1", 4242)
