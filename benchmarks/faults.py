r"""What ``integrate`` survives: kill -9 at random moments, then --resume, then the same bits.

    python benchmarks/faults.py --kills 20 --cells 300 --seed 0 [--fork]

Simulated cells are integrated once without a fault, in a process of its own. Then the same command is begun
anew for every kill, watched by its --json-logs, and killed at a moment drawn from the seed: the stages are
gone through in turn, and within a stage the moment is uniform over its duration in the whole run. What the
killed process left is looked at (every file with a final name must be whole), the run is resumed, and
embeddings of cells and features, weights of cells, history and guidance graph are compared bit for bit with
those of the whole run. Prints a Markdown table, and exits with 1 if an outcome differs or a file was half
written. With ``--fork`` processes are forked from one that has loaded and compiled everything, which saves
most of their time, instead of being started from nothing.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os

os.environ |= {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "NUMBA_THREADING_LAYER": "workqueue"}

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsglue.datasets import simulate
from omicsglue.errors import OmicsGlueError
from omicsglue.io import read_json, read_parquet
from omicsglue.runs import RunFolder

PROGRAM = "from omicsglue.cli import main; main()"
STAGES = ("begin", "read", "prepare", "pretrain", "balance", "train", "embed", "write", "report")
SPOKEN = {"begin": "start of the program", "read": "reading", "prepare": "preparation"}
SPOKEN |= {"pretrain": "pretraining", "balance": "balancing", "train": "training", "embed": "embedding"}
SPOKEN |= {"write": "writing", "report": "report"}
NUMBERS = dict[str, float]
WARM: list[bool] = []


@dataclass(frozen=True)
class Kill:
    """One kill and what came of it."""

    stage: str
    share: float
    seconds: float
    left: str
    damaged: list[str]
    resumed: float
    code: int
    differs: list[str]

    @property
    def good(self) -> bool:
        """Whether nothing was lost."""
        return not self.damaged and not self.differs and self.code == 0


def main() -> None:
    """Run without a fault, then with each of the kills."""
    options = parsed()
    with workplace(options.keep) as place:
        arguments = prepared(place, options)
        if options.fork:
            warm_up([*arguments, f"--out={place / 'warm'}", "--overwrite"])
        whole = place / "whole"
        durations = timed(arguments, whole)
        print(f"{options.cells} cells, {options.max_epochs} epochs a stage; seconds of the whole run:")
        print(", ".join(f"{SPOKEN[stage]} {durations[stage]:.2f}" for stage in STAGES), flush=True)
        kills = []
        for number, (stage, share) in enumerate(moments(options.kills, options.seed)):
            kills.append(one(arguments, whole, place / f"kill-{number}", stage, share, durations))
            print(row(kills[-1]), file=sys.stderr, flush=True)
        print("\n".join(table(kills)))
    sys.exit(0 if all(kill.good for kill in kills) else 1)


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--cells", type=int, default=300)
    parser.add_argument("--genes", type=int, default=400)
    parser.add_argument("--peaks", type=int, default=2000)
    parser.add_argument("--max-epochs", type=int, default=40, help="in each stage")
    parser.add_argument("--checkpoint-minutes", type=float, default=0.0)
    parser.add_argument("--ensemble", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the data and of the moments")
    parser.add_argument("--fork", action="store_true", help="fork processes from one that is warm")
    parser.add_argument("--keep", type=Path, help="folder for the runs; removed at the end without one")
    return parser.parse_args()


@contextmanager
def workplace(keep: Path | None) -> Iterator[Path]:
    """Give a folder for the runs."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def prepared(place: Path, options: argparse.Namespace) -> list[str]:
    """Write the data, and return the command line without its run folder."""
    shape = {"genes": options.genes, "peaks": options.peaks}
    data = simulate(options.cells, **shape, seed=options.seed).write(place / "data")
    inputs = [f"--modality={name}={data / name}.h5ad" for name in ("rna", "atac")]
    settings = {"threads": 1, "max-epochs": options.max_epochs, "seed": options.seed}
    settings |= {"checkpoint-minutes": options.checkpoint_minutes, "ensemble": options.ensemble}
    more = [f"--{name}={value}" for name, value in settings.items()]
    return ["integrate", *inputs, f"--annotation={data / 'genes.gtf.gz'}", *more, "--json-logs"]


def moments(kills: int, seed: int) -> list[tuple[str, float]]:
    """Draw stages, all in turn in an order of chance, and where in each, as a share of its duration."""
    random = np.random.default_rng(seed)
    stages: list[str] = []
    while len(stages) < kills:
        stages += [str(stage) for stage in random.permutation(STAGES)]
    return [(stage, float(random.uniform())) for stage in stages[:kills]]


def begin(arguments: list[str], out: Path, *more: str) -> Process:
    """Start the command in a process of its own."""
    complete = [*arguments, f"--out={out}", *more]
    if WARM:
        return Forked(complete)
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *complete], stderr=subprocess.PIPE, text=True)


def warm_up(arguments: list[str]) -> None:
    """Load and compile everything in this process."""
    from omicsglue.cli.app import run

    with Path(os.devnull).open("w", encoding="utf-8") as nowhere, contextlib.redirect_stderr(nowhere):
        if run([*arguments, "--max-epochs=2"]) != 0:
            raise SystemExit("the run that warms up failed")
    WARM.append(True)


class Forked:
    """The command in a process that begins as a copy of this one.

    Parameters
    ----------
    arguments
        The command line.
    """

    def __init__(self, arguments: list[str]) -> None:
        self.returncode = 0
        ours, theirs = os.pipe()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._work(arguments, theirs)
        os.close(theirs)
        self.stderr = os.fdopen(ours, encoding="utf-8")

    @staticmethod
    def _work(arguments: list[str], told: int) -> None:
        from omicsglue.cli import main

        code = 1
        try:
            os.dup2(told, 2)
            sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)
            sys.argv[1:] = arguments
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            sys.stderr.flush()
            os._exit(code)

    def send_signal(self, number: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait(self) -> int:
        """Wait for its end."""
        self.stderr.close()
        self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.returncode

    def communicate(self) -> None:
        """Hear it out."""
        self.stderr.read()
        self.wait()


Process = subprocess.Popen[str] | Forked


def said(process: Process) -> Iterator[dict[str, Any]]:
    """Yield what a process says."""
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("{"):
            yield json.loads(line)
        else:
            print(line, end="", file=sys.stderr)


def timed(arguments: list[str], out: Path) -> NUMBERS:
    """Run without a fault, and return the seconds between the stages as they were said."""
    began, stage, durations = time.monotonic(), "begin", dict.fromkeys(STAGES, 0.0)
    process = begin(arguments, out, "--overwrite")
    for event in said(process):
        if event["event"] == "stage":
            now = time.monotonic()
            durations[stage] += now - began
            began, stage = now, event["stage"]
        if event["event"] == "error":
            raise SystemExit(event)
    durations[stage] += time.monotonic() - began
    if process.wait() != 0:
        raise SystemExit(f"the run without a fault ended with {process.returncode}")
    return durations


def one(arguments: list[str], whole: Path, out: Path, stage: str, share: float, durations: NUMBERS) -> Kill:
    """Kill one run, look at what it left, resume it and compare."""
    shutil.rmtree(out, ignore_errors=True)
    seconds = killed(arguments, out, stage, share * durations[stage])
    left, damaged = contents(out), half_written(out)
    began = time.monotonic()
    process = begin(arguments, out, "--resume")
    for event in said(process):
        if event["event"] == "error":
            print(event, file=sys.stderr)
    process.wait()
    took = time.monotonic() - began
    differs = differences(whole, out) if process.returncode == 0 else ["no result"]
    shutil.rmtree(out, ignore_errors=True)
    return Kill(stage, share, seconds, left, damaged, took, process.returncode, differs)


def killed(arguments: list[str], out: Path, stage: str, delay: float) -> float:
    """Kill a run so many seconds after a stage began, and return how long it had run."""
    began = time.monotonic()
    process = begin(arguments, out)
    if stage != "begin":
        for event in said(process):
            if event["event"] == "stage" and event["stage"] == stage:
                break
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    seconds = time.monotonic() - began
    process.communicate()
    return seconds


def contents(out: Path) -> str:
    """Return in words what a killed run left."""
    run = RunFolder(out)
    found = [part.name for part in run.parts if part.exists() and part != run.checkpoints]
    checkpoints = sorted(path.stem for path in run.checkpoints.rglob("*.safetensors"))
    found += checkpoints[-1:]
    if any(out.rglob(".partial-*")):
        found.append("a hidden unfinished file")
    return ", ".join(found) or "nothing"


def half_written(out: Path) -> list[str]:
    """Return what has a final name and cannot be read as a whole."""
    run = RunFolder(out)
    bad = []
    for path in sorted(each for each in out.rglob("*") if each.is_file() and not hidden(each, out)):
        try:
            read(run, path)
        except (OmicsGlueError, OSError, ValueError, KeyError) as error:
            bad.append(f"{path.name}: {error}")
    return bad


def hidden(path: Path, out: Path) -> bool:
    """Whether a file, or a folder that it is in, is one that is being written."""
    return any(part.startswith(".partial-") for part in path.relative_to(out).parts)


def read(run: RunFolder, path: Path) -> None:
    """Read a file in full; raises where it is not whole."""
    from omicsglue.modelfile import read_model
    from omicsglue.training.checkpoint import load_checkpoint

    if path == run.integrated:
        run.modalities()
    elif run.checkpoints in path.parents:
        load_checkpoint(path)
    elif path.suffix == ".json" and path.name != "model.json":
        read_json(path)
    elif path.suffix == ".parquet":
        read_parquet(path)
    elif path.suffix == ".html":
        if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
            raise ValueError("it has no end")
    elif path.name in ("model.json", "weights.safetensors"):
        read_model(path.parent)
    else:
        raise ValueError("nobody knows this file")


def differences(whole: Path, out: Path) -> list[str]:
    """Return what of a run is not equal bit for bit to the whole run, times aside."""
    one, two = RunFolder.open(whole), RunFolder.open(out)
    found = [] if two.record()["status"] == "done" else ["status"]
    members = one.members()
    for name in one.names():
        for key in members:
            pairs = {
                "cells": (one.embedding(name, key), two.embedding(name, key)),
                "features": (one.feature_embedding(name, key), two.feature_embedding(name, key)),
            }
            found += [f"{what} of {name}" for what, (a, b) in pairs.items() if a.tobytes() != b.tobytes()]
        weights = (run.obs(name)["glue_weight"].to_numpy().tobytes() for run in (one, two))
        found += [f"weights of {name}"] if len(set(weights)) > 1 else []
    found += [] if timeless(one).equals(timeless(two)) else ["history"]
    found += [] if one.edges().equals(two.edges()) else ["graph"]
    left = [path.name for path in out.rglob(".partial-*")]
    return found + [f"{name} was left" for name in left]


def timeless(run: RunFolder) -> pd.DataFrame:
    """Return the history without times."""
    return read_parquet(run.history_file).drop(columns="seconds")


def row(kill: Kill) -> str:
    """Return a row of the table."""
    outcome = "yes" if kill.good else f"NO: exit {kill.code}, {'; '.join([*kill.damaged, *kill.differs])}"
    where = f"{SPOKEN[kill.stage]}, {kill.share:.0%}"
    return f"| {kill.seconds:.1f} | {where} | {kill.left} | {kill.resumed:.1f} | {outcome} |"


def table(kills: list[Kill]) -> list[str]:
    """Return the table in Markdown, in the order of the moments."""
    ordered = sorted(kills, key=lambda kill: (STAGES.index(kill.stage), kill.share))
    head = "| killed after (s) | stage, and how far in it | what was there | resumed in (s) | equal |"
    good = sum(kill.good for kill in kills)
    rule = "| ---: | --- | --- | ---: | --- |"
    return [head, rule, *map(row, ordered), "", f"{good} of {len(kills)} ended as the whole run did."]


if __name__ == "__main__":
    main()
