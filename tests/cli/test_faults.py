"""A disk that fills up at any file, damaged checkpoints, and kills: what is said, and how it goes on."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from command_line_cases import spoken
from omicsglue import io
from omicsglue.training.checkpoint import load_checkpoint
from whole_runs import assert_same_embeddings, embeddings

pytestmark = pytest.mark.slow
OPTIONS = ["--checkpoint-minutes", "0", "--quiet"]


@pytest.fixture(scope="module")
def whole(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """The embeddings of a run without a fault."""
    out = tmp_path_factory.mktemp("whole") / "RUN"
    inputs = [f"--modality={name}={folder / name}.h5ad" for name in ("rna", "atac")]
    guide = ["--annotation", str(folder / "genes.gtf.gz"), "--out", str(out), "--threads", "1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("omicsglue.report.write_report", lambda run: run.report.touch())
        assert spoken(["integrate", *inputs, *guide, "--max-epochs", "2", *OPTIONS]) == (0, "", "")
    return embeddings(out)


def refusing(patch: pytest.MonkeyPatch, name: str, number: int, after: int) -> None:
    """Let the disk refuse files whose temporary name holds a word, after so many of them."""
    flush, met = io._flush, []

    def refuse(path: Path) -> None:
        if name in str(path):
            met.append(path)
            if len(met) > after:
                raise OSError(number, os.strerror(number), str(path))
        flush(path)

    patch.setattr(io, "_flush", refuse)


def saved(out: Path) -> list[str]:
    """Return the checkpoints, after a look that all are whole."""
    paths = sorted((out / "checkpoints").glob("*.safetensors"))
    return [load_checkpoint(path).filename.partition(".")[0] for path in paths]


SITES = [
    ("0-pretrain", errno.ENOSPC, 1, ["0-pretrain-0000002"]),
    ("1-train", errno.EDQUOT, 1, ["0-pretrain-0000004", "1-train-0000002"]),
    ("1-train", errno.EROFS, 0, ["0-pretrain-0000002", "0-pretrain-0000004"]),
    ("graph.parquet", errno.ENOSPC, 0, ["1-train-0000002", "1-train-0000004"]),
    ("-model", errno.ENOSPC, 1, ["1-train-0000002", "1-train-0000004"]),
    ("history.parquet", errno.ENOSPC, 0, ["1-train-0000002", "1-train-0000004"]),
    ("integrated.h5mu", errno.ENOSPC, 0, ["1-train-0000002", "1-train-0000004"]),
    ("run.json", errno.ENOSPC, 1, ["1-train-0000002", "1-train-0000004"]),
]


@pytest.mark.parametrize(("name", "number", "after", "left"), SITES, ids=[f"{s[0]}-{s[1]}" for s in SITES])
def test_a_disk_that_refuses_a_file_costs_nothing_that_was_complete(
    name: str,
    number: int,
    after: int,
    left: list[str],
    arguments: list[str],
    whole: dict[str, np.ndarray],
    tmp_path: Path,
    no_report: None,
) -> None:
    out = tmp_path / "RUN"
    with pytest.MonkeyPatch.context() as patch:
        refusing(patch, name, number, after)
        code, _, told = spoken([*arguments, *OPTIONS])
    assert code == 3, told
    assert told.count("error:") == 1
    for words in ("cannot be written: ", name.removeprefix("-"), "saved: ", left[-1], "--resume"):
        assert words in told
    assert "Traceback" not in told
    assert saved(out) == left
    assert not list(out.rglob(".partial-*"))
    assert json.loads((out / "run.json").read_text())["status"] == "running"
    assert spoken([*arguments, *OPTIONS, "--resume"]) == (0, "", "")
    assert_same_embeddings(embeddings(out), whole)


def test_a_report_that_cannot_be_written_is_all_that_is_missing(
    arguments: list[str], whole: dict[str, np.ndarray], tmp_path: Path
) -> None:
    out = tmp_path / "RUN"
    with pytest.MonkeyPatch.context() as patch:
        refusing(patch, "report.html", errno.ENOSPC, 0)
        code, _, told = spoken([*arguments, *OPTIONS])
    assert code == 3
    assert "report.html: cannot be written: the disk is full" in told
    assert_same_embeddings(embeddings(out), whole)
    assert not (out / "report.html").exists()
    assert spoken([*arguments, *OPTIONS, "--resume"]) == (0, "", "")
    assert (out / "report.html").stat().st_size > 10_000


def test_a_folder_that_becomes_read_only_before_a_run_is_resumed_is_a_refusal(
    arguments: list[str], whole: dict[str, np.ndarray], tmp_path: Path, no_report: None
) -> None:
    out = tmp_path / "RUN"
    with pytest.MonkeyPatch.context() as patch:
        refusing(patch, "1-train", errno.ENOSPC, 0)
        assert spoken([*arguments, *OPTIONS])[0] == 3
    before = saved(out)
    access = os.access
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: mode != os.W_OK | os.X_OK and access(path, mode))
        code, _, told = spoken([*arguments, *OPTIONS, "--resume"])
    assert code == 2
    assert "you may not write to" in told
    assert saved(out) == before
    assert spoken([*arguments, *OPTIONS, "--resume"]) == (0, "", "")
    assert_same_embeddings(embeddings(out), whole)


def cut(raw: bytes) -> bytes:
    return raw[: len(raw) * 2 // 3]


def flip(raw: bytes) -> bytes:
    spoiled = bytearray(raw)
    spoiled[len(raw) // 2] ^= 0b100
    return bytes(spoiled)


def nothing(raw: bytes) -> bytes:
    return b""


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("spoil", [cut, flip, nothing])
def test_a_damaged_checkpoint_is_said_and_the_one_before_used(
    spoil: Callable[[bytes], bytes],
    both: bool,
    arguments: list[str],
    whole: dict[str, np.ndarray],
    tmp_path: Path,
    no_report: None,
) -> None:
    out = tmp_path / "RUN"
    with pytest.MonkeyPatch.context() as patch:
        refusing(patch, "1-train", errno.ENOSPC, 1)
        assert spoken([*arguments, *OPTIONS])[0] == 3
    assert saved(out) == ["0-pretrain-0000004", "1-train-0000002"]
    paths = sorted((out / "checkpoints").iterdir())
    for path in paths if both else paths[1:]:
        path.write_bytes(spoil(path.read_bytes()))
    code, _, told = spoken([*arguments, *OPTIONS[:-1], "--resume", "--json-logs"])
    said = [json.loads(line) for line in told.splitlines()]
    warned = [each["text"] for each in said if each["event"] == "warning" and "damaged" in each["text"]]
    assert code == 0
    assert len(warned) == (2 if both else 1)
    assert "1-train-0000002.safetensors" in warned[0]
    assert "passed over" in warned[0]
    began = [(each["stage"], each["done"]) for each in said if each["event"] == "stage" and each["epochs"]]
    assert began == [("pretrain", 0 if both else 2), ("train", 0)]
    assert any("damaged" in text for text in json.loads((out / "run.json").read_text())["warnings"])
    assert_same_embeddings(embeddings(out), whole)


def test_kills_at_random_moments(tmp_path: Path) -> None:
    """Three of the kills of ``benchmarks/faults.py``; it tells more."""
    harness = Path(__file__).resolve().parents[2] / "benchmarks" / "faults.py"
    size = ["--cells", "150", "--genes", "100", "--peaks", "500", "--max-epochs", "6"]
    done = subprocess.run(
        [sys.executable, str(harness), "--kills", "3", "--seed", "2", "--fork", *size],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 ended as the whole run did." in done.stdout
