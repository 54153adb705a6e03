r"""Measure omicsglue and scglue 0.4.1 in turn on the same data: ``make bench-speed``.

    make bench-speed                          # under 60 minutes on 2 cores
    make bench-speed BENCH_ARGS=--small       # under 10
    make bench-speed BENCH_ARGS="--only step --repeats 3"

1. Step: time of a training step of each (128 cells of each modality, the same features, representation and
   graph), in alternating blocks, and the floor: the arithmetic that a step cannot do without, timed alone.
2. Quality: FOSCTTM and validation loss against seconds. Of omicsglue, whole runs of both stages with a
   growing share of the default steps; of scglue, its own training of one stage, recorded by the way with the
   clock stopped, until it ends by itself or its time is over ("capped").
3. Small run: ``omicsglue integrate`` on 500 simulated cells as a user meets it.

scglue gets an environment of its own, ``.venv-scglue``, made at the first run. bedtools is not needed: scglue
would call it to build the guidance graph, but is handed the one that omicsglue has built. Workers are
separate processes, of which only one computes at a time. Everything measured goes to
``benchmarks/results/speed.json`` (with ``--small`` or ``--only`` to ``speed_part.json``), tables to stdout,
and a picture beside the JSON file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent
PARTS = ("step", "quality", "small-run")
RIVAL_PINS = ("scglue==0.4.1", "numpy<2.1", "scanpy<1.12", "pynndescent<0.6", "pyarrow")
PAUSE = 0.3  # seconds between two workers' turns, in which idle threads fall asleep
ANSWER_SECONDS = 1800.0  # after which a silent worker is given up
SMALL_CELLS, LONG_CELLS = 500, 3000  # of the small run, and of the recipe that it is compared with
RESERVE_SECONDS = 60.0  # kept for scores, tables and the picture

Row = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes
    ----------
    minutes
        In which all ends; the rival's curves get what is left, at most their own caps.
    steps, repeats
        Steps of a block, and number of blocks of each worker.
    warmup, rival_warmup
        Steps before the first block.
    shares
        Shares of the default steps of which omicsglue's curve is made.
    step, quality
        Data sets of these parts; those of ``quality`` in the order in which the rival trains.
    ours_seconds
        Time for omicsglue's curve on each: a longer run that would exceed it is left out.
    rival_seconds
        Caps of the rival's training on each.
    """

    minutes: float
    steps: int
    repeats: int
    warmup: int
    rival_warmup: int
    shares: tuple[float, ...]
    step: tuple[str, ...]
    quality: tuple[str, ...]
    ours_seconds: Mapping[str, float]
    rival_seconds: Mapping[str, float]


FULL = Plan(
    minutes=57,
    steps=10,
    repeats=5,
    warmup=60,
    rival_warmup=5,
    shares=(0.05, 0.1, 0.2, 0.4, 1.0),
    step=("snare_mini", "snare_cortex", "simulated_3000"),
    quality=("simulated_500", "simulated_3000", "simulated_20000", "snare_cortex", "snare_mini"),
    ours_seconds={
        "simulated_500": 100,
        "simulated_3000": 150,
        "simulated_20000": 150,
        "snare_cortex": 200,
        "snare_mini": 200,
    },
    rival_seconds={
        "simulated_500": 60,
        "simulated_3000": 90,
        "simulated_20000": 60,
        "snare_cortex": 120,
        "snare_mini": 2000,
    },
)
SMALL = Plan(
    minutes=9,
    steps=8,
    repeats=3,
    warmup=60,
    rival_warmup=3,
    shares=(0.05, 0.1, 0.2),
    step=("snare_mini",),
    quality=("snare_mini",),
    ours_seconds={"snare_mini": 60, "demo": 60},
    rival_seconds={"snare_mini": 60, "demo": 60},
)


class WorkerError(Exception):
    """A worker failed; the message is its own."""


class Worker:
    """A process that answers one command at a time; a context manager that ends it.

    Parameters
    ----------
    name
        What to call it.
    python
        Interpreter of its environment.
    threads
        CPU threads that it may use.
    log
        File for what it says.
    """

    def __init__(self, name: str, python: Path, threads: int, log: Path) -> None:
        self.name, self.log = name, log
        limits = {f"{library}_NUM_THREADS": str(threads) for library in ("OMP", "MKL", "OPENBLAS", "NUMBA")}
        with log.open("w", encoding="utf-8") as stderr:
            self.process = subprocess.Popen(
                [python, "-u", HERE / f"speed_{name}.py", str(threads)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                text=True,
                env={**os.environ, **limits, "CUDA_VISIBLE_DEVICES": ""},
                start_new_session=True,
            )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        """End the process, and what it has started."""
        assert self.process.stdin is not None
        with suppress(OSError):
            self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=0 if exception[0] else 10)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ask(self, do: str, patience: float = ANSWER_SECONDS, **values: Any) -> Row:
        """Return the answer to a command.

        Parameters
        ----------
        do, **values
            The command.
        patience
            Seconds after which the worker is given up.

        Raises
        ------
        WorkerError
            If the worker fails, dies, or stays silent for too long.
        """
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps({"do": do, **values}) + "\n")
            self.process.stdin.flush()
        except OSError as error:
            raise self._failure("it has died") from error
        answer: Row = json.loads(self._line(do, patience))
        if "error" in answer:
            raise self._failure(answer["error"])
        return answer

    def _line(self, do: str, patience: float) -> str:
        assert self.process.stdout is not None
        limit = time.monotonic() + patience
        while time.monotonic() < limit:
            if select.select([self.process.stdout], [], [], 1.0)[0]:
                line = self.process.stdout.readline()
                if line:
                    return line
                raise self._failure("it has died")
            if self.process.poll() is not None:
                raise self._failure("it has died")
        raise self._failure(f"no answer to {do!r} in time")

    def _failure(self, what: str) -> WorkerError:
        said = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return WorkerError("\n".join([f"worker {self.name}: {what}", *said[-15:]]))


@dataclass
class Bench:
    """Where things are, what is measured, and what has been found."""

    options: argparse.Namespace
    plan: Plan
    rival: Path
    scratch: Path
    began: float
    results: Row
    known: dict[str, Row]
    warmed: bool = False

    @property
    def left(self) -> float:
        """Seconds until all is to end."""
        return self.began + 60 * self.options.minutes - time.monotonic()

    @contextmanager
    def workers(self, *names: str, data: str | None = None) -> Iterator[list[Worker]]:
        """Start workers, with a data set loaded where one is named."""
        with ExitStack() as stack:
            started = []
            for name in names:
                python = Path(sys.executable) if name == "ours" else self.rival
                log = self.scratch / f"{name}.log"
                worker = stack.enter_context(Worker(name, python, self.options.threads, log))
                if data is not None:
                    loaded = worker.ask("load", folder=str(self.scratch / data / "prepared"))
                    self.results["versions"][name] = loaded["versions"]
                started.append(worker)
            yield started

    def facts(self, data: str) -> Row | None:
        """Return the sizes of a data set, prepared where it has not been; nothing where it is missing."""
        if data not in self.known:
            source = source_of(data, self.options)
            if source is None:
                return None
            say(f"prepare {data}")
            with self.workers("ours") as (worker,):
                place = self.scratch / data
                self.known[data] = worker.ask(
                    "prepare", source=source, raw=str(place / "raw"), out=str(place / "prepared")
                )
            self.results["data"][data] = self.known[data]
        return self.known[data]

    def warm(self, data: str) -> None:
        """Train for a moment, so that whatever is compiled once for each installation is compiled already."""
        if not self.warmed:
            with self.workers("ours", data=data) as (worker,):
                worker.ask("run", share=0.001, seed=self.options.seed)
        self.warmed = True

    def save(self) -> None:
        """Write what has been found so far."""
        out: Path = self.options.out
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(rounded(self.results), indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run the benchmark."""
    options = parsed()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the workers are ended too
    began = time.monotonic()
    rival = rival_python(options.rival_env)
    with tempfile.TemporaryDirectory() as scratch:
        results: Row = {"settings": settings(options), "machine": machine(), "versions": {}, "data": {}}
        bench = Bench(options, options.plan, rival, Path(scratch), began, results, {})
        try:
            measure(bench)
        except (WorkerError, KeyboardInterrupt) as error:
            sys.exit(f"{str(error) or 'stopped'}\nWhat was measured before is in {options.out}")
        finally:
            results["minutes"] = (time.monotonic() - began) / 60
            bench.save()
    print(tables(results))
    if results.get("quality"):
        picture(results, options.out.with_suffix(".svg"))
        say(f"picture: {options.out.with_suffix('.svg')}")


def measure(bench: Bench) -> None:
    """Measure all parts that were asked for; quality last, because the rival's curves take what is left."""
    parts = bench.options.only or PARTS
    if "step" in parts:
        bench.results["step"] = {}
        for data in present(bench, bench.plan.step):
            bench.results["step"][data] = step_times(bench, data)
            bench.save()
    if "small-run" in parts:
        bench.results["small_run"] = small_run(bench)
        bench.save()
    if "quality" in parts:
        bench.results["quality"] = {}
        names = present(bench, bench.plan.quality)
        bench.warm(names[0])
        for data in names:
            bench.results["quality"][data] = {"ours": our_curve(bench, data)}
            bench.save()
        for data in names:
            add_rival_curve(bench, data)
            bench.save()


def present(bench: Bench, names: tuple[str, ...]) -> list[str]:
    """Return the data sets that are there; the simulated demo stands in where a small run finds none."""
    found = [name for name in names if bench.facts(name) is not None]
    if not found and bench.facts("demo") is not None:
        found = ["demo"]
    return found


def source_of(data: str, options: argparse.Namespace) -> Row | None:
    """Return where a data set comes from; nothing, with the reason said, where it is missing."""
    if data == "demo":
        return {"demo": True, "seed": options.seed}
    if data.startswith("simulated_"):
        return {"cells": int(data.removeprefix("simulated_")), "preset": "10x", "seed": options.seed}
    folder = options.data / data
    annotation = options.data / "annotation" / "mm10.genes.gtf.gz"
    for needed in (folder / "rna.h5ad", folder / "atac.h5ad", annotation):
        if not needed.is_file():
            say(f"{data} is left out: there is no {needed} (see --data)")
            return None
    return {"folder": str(folder), "annotation": str(annotation)}


def step_times(bench: Bench, data: str) -> Row:
    """Time steps of both, and the floor, in alternating blocks."""
    say(f"step time on {data}")
    plan, options = bench.plan, bench.options
    blocks: list[Row] = []
    with bench.workers("ours", "rival", data=data) as (ours, rival):
        ours.ask("train", warmup=plan.warmup, seed=options.seed)
        directory = bench.scratch / data / "steps"
        first = rival.ask("train", warmup=plan.rival_warmup, seed=options.seed, directory=str(directory))
        for _ in range(options.repeats):
            block: Row = {}
            for name, worker in (("ours", ours), ("rival", rival)):
                time.sleep(PAUSE)
                answer = worker.ask("block", steps=options.steps)
                block[name] = [1e3 * value for value in answer["times"]]
                block[f"{name}_peak_bytes"] = answer["peak_bytes"]
            time.sleep(PAUSE)
            block["floor"] = ours.ask("floor", rounds=options.steps)["ms"]
            blocks.append(block)
        for worker in (ours, rival):
            worker.ask("end")
    return summary(blocks) | {"rival_budget_steps": first["budget_steps"]}


def summary(blocks: list[Row]) -> Row:
    """Return medians, ratios of each repeat, and the parts of the floor, in ms."""
    row: Row = {"blocks": blocks}
    for name in ("ours", "rival"):
        steps = [value for block in blocks for value in block[name]]
        row[name] = {
            "median_ms": statistics.median(steps),
            "mean_ms": statistics.mean(steps),
            "peak_bytes": blocks[-1][f"{name}_peak_bytes"],
        }
    ratios = [statistics.median(block["rival"]) / statistics.median(block["ours"]) for block in blocks]
    row["ratio"] = {"median": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
    parts = {part: statistics.median(block["floor"][part] for block in blocks) for part in blocks[0]["floor"]}
    row["floor"] = {"parts_ms": parts, "ms": sum(parts.values())}
    row["floors"] = row["ours"]["median_ms"] / row["floor"]["ms"]
    return row


def our_curve(bench: Bench, data: str) -> list[Row]:
    """Train with growing shares of the default steps, each from the start, as long as there is time."""
    allowed, points = bench.plan.ours_seconds[data], []
    with bench.workers("ours", data=data) as (worker,):
        for share in bench.plan.shares:
            expected = points[-1]["seconds"] * share / points[-1]["share"] if points else 0.0
            spent = sum(point["seconds"] for point in points)
            if points and spent + expected > allowed:
                say(f"{data}: {share:.0%} of the steps are left out, they take about {expected:.0f} s")
                break
            point = worker.ask("run", share=share, seed=bench.options.seed)
            say(f"{data}, omicsglue: {point['seconds']:.0f} s, FOSCTTM {point['foscttm']:.4f}")
            points.append(point)
    return points


def add_rival_curve(bench: Bench, data: str) -> None:
    """Train scglue on a data set, have its records scored, and compare."""
    result, place = bench.results["quality"][data], bench.scratch / data
    with bench.workers("rival", data=data) as (worker,):
        seconds, wall = rival_limits(bench, data)
        if seconds < 1:
            say(f"{data}: no time is left for scglue")
            return
        say(f"{data}, scglue: at most {seconds:.0f} s")
        curve = worker.ask(
            "curve",
            patience=wall + ANSWER_SECONDS,
            seconds=seconds,
            wall_seconds=wall,
            seed=bench.options.seed,
            directory=str(place / "curve"),
            out=str(place / "embeddings"),
        )
    with bench.workers("ours") as (worker,):
        scores = worker.ask("score", files=[point.pop("file") for point in curve["points"]])["foscttm"]
    for point, score in zip(curve["points"], scores, strict=True):
        point["foscttm"] = score
    result["rival"] = curve
    result["comparison"] = comparison(result["ours"], curve)
    if bench.options.recorded is not None and data == "snare_mini":
        recorded = json.loads(bench.options.recorded.read_text(encoding="utf-8"))
        result["recorded"] = [{k: point[k] for k in ("seconds", "foscttm")} for point in recorded["curve"]]


def rival_limits(bench: Bench, data: str) -> tuple[float, float]:
    """Return the limits of scglue's training: of its own time, and of the time with the records."""
    given = bench.options.rival_seconds.get(data)
    if given is not None:
        return given, 2 * given + 60
    left = bench.left - RESERVE_SECONDS
    return min(bench.plan.rival_seconds[data], left), left


def comparison(ours: list[Row], rival: Row) -> Row:
    """Return when each reaches the rival's quality: what it converged to, or its best within its time."""
    points = rival["points"]
    target = points[-1]["foscttm"] if rival["converged"] else min(point["foscttm"] for point in points)
    row: Row = {
        "rival_foscttm": target,
        "rival_seconds": first_reached(points, target),
        "rival_seconds_in_all": rival["seconds"],
        "capped": not rival["converged"],
        "ours_seconds": first_reached(ours, target),
    }
    if row["ours_seconds"] is not None:
        row["ratio"] = row["rival_seconds"] / row["ours_seconds"]
        row["ratio_in_all"] = row["rival_seconds_in_all"] / row["ours_seconds"]
    return row


def first_reached(points: list[Row], target: float) -> float | None:
    """Return the seconds of the first point that is as good as the target."""
    good = [point["seconds"] for point in points if point["foscttm"] <= target]
    return min(good) if good else None


def small_run(bench: Bench) -> Row:
    """Integrate 500 simulated cells from the command line, and set long training and scglue beside it."""
    data = f"simulated_{SMALL_CELLS}"
    bench.facts(data)
    bench.warm(data)
    say(f"omicsglue integrate on {SMALL_CELLS} cells")
    row: Row = integrated(bench, bench.scratch / data / "raw")
    if not bench.options.small:
        say(f"the same data with the steps of {LONG_CELLS} cells")
        with bench.workers("ours", data=data) as (worker,):
            row["long"] = worker.ask("run", share=1.0, seed=bench.options.seed, cells=LONG_CELLS)
    with bench.workers("rival", data=data) as (worker,):
        directory = str(bench.scratch / data / "small")
        warmup = bench.plan.rival_warmup
        first = worker.ask("train", warmup=warmup, seed=bench.options.seed, directory=directory)
        times = worker.ask("block", steps=bench.options.steps)["times"]
        worker.ask("end")
    mean = statistics.mean(times)
    row["rival"] = {
        "step_ms": 1e3 * mean,
        "budget_steps": first["budget_steps"],
        "extrapolated_seconds": mean * first["budget_steps"],
        "note": "extrapolated: step time x the most steps of one stage, before any early stopping",
    }
    return row


def integrated(bench: Bench, folder: Path) -> Row:
    """Return wall time and score of ``omicsglue integrate`` on a folder of data."""
    from run import called

    out = bench.scratch / "integrated"
    files = [f"--modality={name}={folder / name}.h5ad" for name in ("rna", "atac")]
    rest = [f"--annotation={folder / 'genes.gtf.gz'}", f"--seed={bench.options.seed}", f"--out={out}"]
    began = time.perf_counter()
    called([*files, *rest, f"--threads={bench.options.threads}"])
    wall = time.perf_counter() - began
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    return {
        "cells": SMALL_CELLS,
        "wall_seconds": wall,
        "by_stage": record["seconds"],
        "peak_bytes": record["peak_memory_bytes"],
        "foscttm": json.loads(called([str(out)], "score"))["foscttm"],
    }


def rival_python(env: Path) -> Path:
    """Return the interpreter of scglue's environment, which is made where it is not there."""
    python = env / "bin" / "python"
    torch = re.search(r"^torch==\S+$", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    pins = [*RIVAL_PINS, torch.group() if torch else "torch"]
    if not _imports_scglue(python):
        say(f"making {env.name} with {', '.join(pins)} (takes some minutes)")
        _checked([sys.executable, "-m", "venv", "--without-pip", "--clear", env])
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
        _checked([*pip, "install", "--quiet", *pins])
        if not _imports_scglue(python):
            sys.exit(f"scglue cannot be imported in {env}; remove that folder and try again")
    return python


def _imports_scglue(python: Path) -> bool:
    if not python.exists():
        return False
    done = subprocess.run([python, "-c", "import scglue"], capture_output=True, check=False)
    return done.returncode == 0


def _checked(command: list[Any]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command[1:4]))} failed:\n{done.stderr}{done.stdout}")


def settings(options: argparse.Namespace) -> Row:
    """Return the settings that are kept with the results."""
    names = ("threads", "seed", "steps", "repeats", "minutes", "small")
    return {name: getattr(options, name) for name in names} | {"parts": list(options.only or PARTS)}


def machine() -> Row:
    """Return date and processor."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        named = re.search(r"^model name\s*:\s*(.+)$", info.read_text(encoding="utf-8"), re.MULTILINE)
        model = named.group(1) if named else model
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
    }


def rounded(value: Any) -> Any:
    """Return nested results with five significant digits."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def tables(results: Row) -> str:
    """Return all tables as Markdown."""
    made = []
    if results.get("step"):
        made.append(step_table(results))
    if results.get("quality"):
        made.append(quality_table(results))
    if results.get("small_run"):
        made.append(small_table(results["small_run"]))
    return "\n\n".join(made)


def markdown(header: list[str], rows: list[list[str]]) -> str:
    """Return one table."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, ["---"] * len(header), *rows))


def step_table(results: Row) -> str:
    """Return step times, ratios and floors."""
    header = ["data", "genes + peaks", "omicsglue ms", "scglue ms", "ratio (range)", "floor ms"]
    header += ["step / floor", "omicsglue GB", "scglue GB"]
    rows = []
    for data, row in results["step"].items():
        sizes, ratio = results["data"][data], row["ratio"]
        rows.append(
            [
                data,
                f"{sizes['genes']:,} + {sizes['peaks']:,}",
                f"{row['ours']['median_ms']:.1f}",
                f"{row['rival']['median_ms']:.0f}",
                f"{ratio['median']:.1f} ({ratio['min']:.1f}-{ratio['max']:.1f})",
                " + ".join(f"{part} {ms:.1f}" for part, ms in row["floor"]["parts_ms"].items())
                + f" = {row['floor']['ms']:.1f}",
                f"{row['floors']:.2f}",
                *(f"{row[name]['peak_bytes'] / 1e9:.2f}" for name in ("ours", "rival")),
            ]
        )
    return markdown(header, rows)


def quality_table(results: Row) -> str:
    """Return times to the rival's quality."""
    header = ["data", "cells", "preparation s", "scglue FOSCTTM", "scglue s", "omicsglue s", "ratio"]
    header += ["ratio to scglue's whole time", "omicsglue, longest run"]
    rows = []
    for data, row in results["quality"].items():
        sizes, last = results["data"][data], row["ours"][-1]
        cells = [data, f"{sizes['cells']:,}", f"{sizes['preparation_seconds']:.1f}"]
        cells += compared(row["comparison"]) if "comparison" in row else ["not run"] * 5
        cells.append(
            f"{last['foscttm']:.4f} after {last['seconds']:.0f} s ({last['share']:.0%} of the steps)"
        )
        rows.append(cells)
    return markdown(header, rows)


def compared(row: Row) -> list[str]:
    """Return the cells of a comparison."""
    state = "capped" if row["capped"] else "converged"
    reached = row["ours_seconds"] is not None
    return [
        f"{row['rival_foscttm']:.4f} ({state})",
        f"{row['rival_seconds']:.0f} of {row['rival_seconds_in_all']:.0f}",
        f"{row['ours_seconds']:.1f}" if reached else "not reached",
        f"{row['ratio']:.1f}" if reached else "",
        f"{row['ratio_in_all']:.1f}" if reached else "",
    ]


def small_table(row: Row) -> str:
    """Return the small run."""
    rival = row["rival"]
    rows = [outcome("`omicsglue integrate`, everything", row, row["wall_seconds"])]
    if "long" in row:
        title = f"training with the steps of {LONG_CELLS:,} cells"
        rows.append(outcome(title, row["long"], row["long"]["seconds"]))
    title = f"scglue, one stage of {rival['budget_steps']:,} steps (extrapolated)"
    rows.append([title, f"{rival['extrapolated_seconds']:.0f}", "", ""])
    return markdown([f"{row['cells']} cells", "seconds", "FOSCTTM", "peak GB"], rows)


def outcome(title: str, row: Row, seconds: float) -> list[str]:
    """Return the cells of one run."""
    return [title, f"{seconds:.1f}", f"{row['foscttm']:.4f}", f"{row['peak_bytes'] / 1e9:.2f}"]


def picture(results: Row, out: Path) -> None:
    """Draw FOSCTTM and validation loss against seconds, one column a data set."""
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    quality = results["quality"]
    shape: Row = {"squeeze": False, "sharex": "col", "layout": "constrained"}
    figure, axes = plt.subplots(2, len(quality), figsize=(3.6 * len(quality) + 0.6, 5.2), **shape)
    for column, (data, row) in zip(axes.T, quality.items(), strict=True):
        for axis, value in zip(column, ("foscttm", "val_loss"), strict=True):
            draw(axis, row, value)
            axis.set_xscale("log")
            axis.grid(alpha=0.3)
        column[0].set_title(f"{data}: {results['data'][data]['cells']:,} cells", fontsize=10)
        column[1].set_xlabel("seconds of training")
    axes[0, 0].set_ylabel("FOSCTTM")
    axes[1, 0].set_ylabel("validation loss (each its own)")
    axes[0, 0].legend(fontsize=8)
    plt.rcParams["svg.hashsalt"] = "speed"
    figure.savefig(out, metadata={"Date": None})
    plt.close(figure)


def draw(axis: Any, row: Row, value: str) -> None:
    """Draw the curves of both methods, and the recorded one where there is any."""
    curves = [("omicsglue: whole runs", row["ours"], "o-", "#0072b2")]
    if "rival" in row:
        state = "converged" if row["rival"]["converged"] else "capped"
        curves.append((f"scglue 0.4.1 ({state})", row["rival"]["points"], "s-", "#d55e00"))
    if "recorded" in row:
        curves.append(("scglue, recorded earlier", row["recorded"], ":", "#999999"))
    for label, points, style, colour in curves:
        shown = [(point["seconds"], point[value]) for point in points if point.get(value) is not None]
        if shown:
            axis.plot(*zip(*shown, strict=True), style, color=colour, label=label, markersize=4)


def say(text: str) -> None:
    """Tell how far the benchmark is, on stderr."""
    print(text, file=sys.stderr, flush=True)


def parsed() -> argparse.Namespace:
    """Return the options, with the plan that they ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--small", action="store_true", help="the setting that ends in under 10 minutes")
    add("--only", action="append", choices=PARTS, help="measure this part; may be repeated")
    add("--data", type=Path, default=Path("../shared/data"), help="folder of the real data sets")
    add("--rival-env", type=Path, default=ROOT / ".venv-scglue", help="environment with scglue")
    add("--threads", type=int, default=2)
    add("--seed", type=int, default=0)
    add("--steps", type=int, help="steps of a block")
    add("--repeats", type=int, help="blocks of each method")
    add("--minutes", type=float, help="time in which all ends; scglue's curves get what is left")
    add(
        "--rival-seconds",
        action="append",
        default=[],
        metavar="[DATA=]SECONDS",
        help="time of scglue's training on a data set, or on each; may be repeated",
    )
    add("--recorded", type=Path, help="JSON with a curve of scglue on snare_mini, drawn for context")
    add("--out", type=Path, help="JSON file to write")
    options = parser.parse_args()
    options.plan = SMALL if options.small else FULL
    for name in ("steps", "repeats", "minutes"):
        if getattr(options, name) is None:
            setattr(options, name, getattr(options.plan, name))
    name = "speed_part.json" if options.small or options.only else "speed.json"
    options.out = options.out or HERE / "results" / name
    options.rival_seconds = rival_seconds(options.rival_seconds, options.plan)
    return options


def rival_seconds(given: list[str], plan: Plan) -> dict[str, float]:
    """Return the caps that were given, by data set."""
    caps: dict[str, float] = {}
    for text in given:
        name, _, seconds = text.rpartition("=")
        caps |= {name: float(seconds)} if name else dict.fromkeys(plan.rival_seconds, float(seconds))
    return caps


if __name__ == "__main__":
    main()
