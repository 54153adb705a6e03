"""Processes that are stopped: interrupted, terminated, killed, or out of disk; and how they go on."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from command_line_cases import spoken
from omicsglue.runs import RunFolder
from whole_runs import assert_same_embeddings, embeddings

pytestmark = pytest.mark.slow
EPOCHS = ["--max-epochs", "40", "--checkpoint-minutes", "0"]


def begin(
    arguments: list[str], *more: str, before: Callable[[], None] | None = None
) -> subprocess.Popen[str]:
    """Start a process of its own."""
    program = "import sys; from omicsglue.cli.app import run; sys.exit(run(sys.argv[1:]))"
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments, *more],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=before,
    )


def wait_for(process: subprocess.Popen[str], stage: str, epoch: int) -> None:
    """Read JSON lines until an epoch of a stage has ended."""
    assert process.stderr is not None
    for line in process.stderr:
        said = json.loads(line)
        if said["event"] == "error":
            raise AssertionError(said)
        if said["event"] == "epoch" and (said["stage"], said["epoch"]) == (stage, epoch):
            return
    raise AssertionError("the process ended before that epoch")


@pytest.fixture(autouse=True)
def _no_report(no_report: None) -> None:
    """Leave out the report of the runs in this process."""


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The embeddings of a run that was not stopped."""
    out = tmp_path_factory.mktemp("whole") / "RUN"
    inputs = [f"--modality={name}={folder / name}.h5ad" for name in ("rna", "atac")]
    guide = ["--annotation", str(folder / "genes.gtf.gz"), "--out", str(out), "--threads", "1"]
    assert spoken(["integrate", *inputs, *guide, *EPOCHS, "--quiet"]) == (0, "", "")
    return embeddings(out)


@pytest.mark.parametrize(("number", "stage"), [(signal.SIGINT, "pretrain"), (signal.SIGTERM, "train")])
def test_an_interrupted_process_saves_a_checkpoint_and_goes_on(
    number: int, stage: str, arguments: list[str], whole: dict[str, np.ndarray], tmp_path: Path
) -> None:
    process = begin([*arguments, *EPOCHS], "--json-logs")
    wait_for(process, stage, 4)
    process.send_signal(number)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    last = json.loads(rest.splitlines()[-1])
    assert last["event"] == "interrupted"
    assert last["exit_code"] == 130
    assert "saved: " in last["what"]
    assert list((tmp_path / "RUN" / "checkpoints").glob(f"*-{stage}-*.safetensors"))
    assert not (tmp_path / "RUN" / "integrated.h5mu").exists()
    assert spoken(["score", str(tmp_path / "RUN")])[0] == 2
    assert spoken([*arguments, *EPOCHS, "--resume", "--quiet"]) == (0, "", "")
    assert_same_embeddings(embeddings(tmp_path / "RUN"), whole)


def test_a_process_interrupted_before_it_starts_writes_nothing(arguments: list[str], tmp_path: Path) -> None:
    process = begin(arguments, "--json-logs")
    assert process.stderr is not None
    assert json.loads(process.stderr.readline())["stage"] == "read"
    process.send_signal(signal.SIGTERM)
    _, rest = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "before anything was written" in json.loads(rest.splitlines()[-1])["what"]
    assert not (tmp_path / "RUN").exists()


def test_a_killed_process_goes_on_from_where_it_was(
    arguments: list[str], whole: dict[str, np.ndarray], tmp_path: Path
) -> None:
    random = np.random.default_rng()
    moments = [("pretrain", 3), ("train", 12)]
    for stage, epoch in moments:
        process = begin([*arguments, *EPOCHS], "--json-logs", "--resume")
        wait_for(process, stage, epoch)
        time.sleep(random.uniform(0, 0.05))
        process.kill()
        process.communicate(timeout=60)
    assert spoken([*arguments, *EPOCHS, "--resume", "--quiet"]) == (0, "", "")
    assert_same_embeddings(embeddings(tmp_path / "RUN"), whole)
    assert not list((tmp_path / "RUN").rglob(".partial-*"))


def test_a_killed_ensemble_goes_on_with_the_member_at_work(
    arguments: list[str], tmp_path: Path, no_report: None
) -> None:
    options = [*EPOCHS, "--ensemble", "2"]
    process = begin([*arguments, *options], "--json-logs")
    for epoch in (40, 7):  # the last of member 0, and one of member 1
        wait_for(process, "train", epoch)
    process.kill()
    process.communicate(timeout=60)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "RUN" / "checkpoints").glob("1-train*")}
    assert spoken([*arguments, *options, "--resume", "--quiet"]) == (0, "", "")
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "RUN" / "checkpoints").glob("1-train*")}
    assert after == kept  # member 0 was not trained again
    resumed = RunFolder.open(tmp_path / "RUN")
    found = {key: resumed.embedding("atac", key) for key in resumed.members()}
    assert spoken([*arguments, *options, "--overwrite", "--quiet"]) == (0, "", "")
    assert_same_embeddings(found, {key: resumed.embedding("atac", key) for key in resumed.members()})


def test_a_disk_that_takes_no_more_is_a_failure_that_can_be_mended(
    arguments: list[str], tmp_path: Path
) -> None:
    def small_files_only() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    process = begin(arguments, "--json-logs", before=small_files_only)
    _, told = process.communicate(timeout=120)
    assert process.returncode == 3, told
    last = json.loads(told.splitlines()[-1])
    assert last["event"] == "error"
    assert "cannot be written" in last["what"]
    assert "--resume" in last["notes"][0]
    assert "Traceback" not in told
    assert spoken([*arguments, "--resume", "--quiet"]) == (0, "", "")
