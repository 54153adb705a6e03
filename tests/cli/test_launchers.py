"""``integrate`` under torchrun on two machines, and under srun: two processes that are started apart."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from omicsglue.metrics import foscttm
from whole_runs import assert_same_embeddings, embeddings

pytestmark = pytest.mark.slow
OMICSGLUE = str(Path(sys.executable).with_name("omicsglue"))
ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}


def finished(commands: list[list[str]], variables: list[dict[str, str]]) -> list[tuple[int, str, str]]:
    """Run commands at the same time; return their exit codes, and what they say on both streams."""
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    started = [
        subprocess.Popen(
            command, env={**os.environ, **path, **ONE_THREAD, **more}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for command, more in zip(commands, variables, strict=True)
    ]  # fmt: skip
    said = [process.communicate(timeout=600) for process in started]
    return [(process.returncode, *each) for process, each in zip(started, said, strict=True)]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def two_nodes(integrate: list[str]) -> list[tuple[int, str, str]]:
    """Run by torchrun on two machines, one process each; both are this one."""
    launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"]
    meeting = ["--rdzv-backend", "c10d", "--rdzv-endpoint", f"127.0.0.1:{free_port()}", "--rdzv-id", "7"]
    command = [*launch, *meeting, "--local-addr", "127.0.0.1", OMICSGLUE, *integrate]
    return finished([command, command], [{}, {}])


def by_srun(integrate: list[str]) -> list[tuple[int, str, str]]:
    """Run two processes with the variables that srun sets, on one machine."""
    job = {
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NAME": "run",
        "SLURM_NODELIST": "127.0.0.1",
        "SLURM_NNODES": "1",
        "SLURM_NTASKS": "2",
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_STEP_NUM_NODES": "1",
        "SLURM_NODEID": "0",
        "MASTER_PORT": str(free_port()),  # which fabric makes of the number of the job, where it is not set
    }
    ranks = [job | {"SLURM_PROCID": rank, "SLURM_LOCALID": rank} for rank in ("0", "1")]
    return finished([[OMICSGLUE, *integrate]] * 2, ranks)


def test_processes_of_launchers_train_the_run_of_devices(arguments: list[str], tmp_path: Path) -> None:
    out = arguments.index("--out") + 1
    runs, scores = {}, {}
    for name in ("devices", "torchrun", "srun"):
        place = [*arguments[:out], str(tmp_path / name), *arguments[out + 1 :], "--device", "cpu"]
        if name == "devices":
            done = finished([[OMICSGLUE, *place, "--devices", "2"]], [{}])
        else:
            done = two_nodes(place) if name == "torchrun" else by_srun(place)
        assert [code for code, *_ in done] == [0] * len(done), done
        runs[name] = embeddings(tmp_path / name)
        scores[name] = foscttm(*runs[name].values())
    assert_same_embeddings(runs["srun"], runs["devices"])  # on one machine to the last bit
    for modality, values in runs["devices"].items():  # between machines but for rounding
        assert np.abs(runs["torchrun"][modality] - values).max() < 0.01 * values.std()
    assert scores["torchrun"] == pytest.approx(scores["devices"], abs=0.005)
