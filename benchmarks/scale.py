r"""Measure how cost grows with cells whose counts stay on disk: one run a size, a table, and the growth.

    python benchmarks/scale.py --out scale            # 2,500 to 250,000 cells a modality; about two hours
    python benchmarks/scale.py --out scale --small    # 1,000 and 4,000 cells a modality; minutes

For each size (cells of RNA, and as many of ATAC, the same cells, trained as unpaired) the simulator writes
`rna.h5ad` and `atac.h5ad` as it draws them (2,000 genes, 30,000 peaks), `omicsglue convert` writes them as
zarr (`--form h5ad` leaves that out), and `omicsglue integrate --backed always` runs in a process of its own.
What is there from an earlier call is not done again. Written to `--out`: data and runs by size, `scale.json`
and `scale.md`.

Columns: seconds of each stage, cells that training takes in a second (of both modalities, validation left
out), the largest resident memory, and FOSCTTM, label accuracy and mixing of 10,000 cells drawn at random (of
all where there are fewer). The growth is the exponent of a power law fitted to the sizes: 1 is linear.
`--memory` adds, for sizes up to its number of cells, a run with the same data in memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsglue import metrics
from omicsglue.runs import RunFolder

SIZES = (2_500, 10_000, 25_000, 100_000, 250_000)
SMALL = (1_000, 4_000)
SCORED = 10_000
COMMAND = "import sys; from omicsglue.cli import main; sys.argv[0] = 'omicsglue'; sys.exit(main())"


def main() -> None:
    """Run every size, then write the table."""
    options = parsed()
    rows = []
    for cells in options.cells or (SMALL if options.small else SIZES):
        folder = options.out / str(cells)
        made = simulated(folder, cells)
        sources, converted = stored(folder, options.form)
        for backed in ("always", "never") if cells <= options.memory else ("always",):
            run = folder / f"run-{options.form}-{backed}-{options.seed}"
            integrated(run, sources, folder / "genes.gtf.gz", backed, options)
            rows.append(
                {"cells": 2 * cells, "backed": backed, "simulate": made, "convert": converted, **facts(run)}
            )
            print(json.dumps(rows[-1]), flush=True)
    found = {"rows": rows, "growth": growth(rows), "form": options.form, "threads": options.threads}
    (options.out / "scale.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    (options.out / "scale.md").write_text(table(rows), encoding="utf-8")
    print(table(rows))
    print(json.dumps(found["growth"]))


def parsed() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--out", type=Path, required=True)
    add("--cells", type=int, nargs="+", help="cells of each modality")
    add("--small", action="store_true")
    add("--form", choices=["zarr", "h5ad"], default="zarr")
    add("--memory", type=int, default=0, help="run sizes up to this in memory too")
    add("--threads", type=int, default=2)
    add("--seed", type=int, default=0)
    add("--max-epochs", type=int)
    return parser.parse_args()


def omicsglue(*arguments: object) -> float:
    """Run a command of the package in a process of its own; return its seconds."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", COMMAND, *map(str, arguments)], check=True)
    return round(time.perf_counter() - began, 1)


def simulated(folder: Path, cells: int) -> float | None:
    """Write simulated data, unless they are there; return the seconds that it took."""
    if (folder / "truth.json").exists():  # is written last
        return None
    return omicsglue("simulate", "--cells", cells, "--out", folder)


def stored(folder: Path, form: str) -> tuple[dict[str, Path], float | None]:
    """Return the files that are read, converted where zarr is asked for, and the seconds of that."""
    files = {name: folder / f"{name}.{form}" for name in ("rna", "atac")}
    if form == "h5ad" or all(path.exists() for path in files.values()):
        return files, None
    return files, sum(
        omicsglue("convert", folder / f"{name}.h5ad", "--out", path, "--overwrite")
        for name, path in files.items()
    )


def integrated(
    run: Path, sources: dict[str, Path], annotation: Path, backed: str, options: argparse.Namespace
) -> None:
    """Integrate, unless a finished run is there; go on with one that was interrupted."""
    record = run / "run.json"
    if record.exists() and json.loads(record.read_text())["status"] == "done":
        return
    more: list[object] = [] if options.max_epochs is None else ["--max-epochs", options.max_epochs]
    inputs = [word for name, path in sources.items() for word in ("--modality", f"{name}={path}")]
    omicsglue(
        "integrate", *inputs, "--annotation", annotation, "--out", run, "--backed", backed, "--resume",
        "--threads", options.threads, "--seed", options.seed, "--json-logs", *more,
    )  # fmt: skip


def facts(run: Path) -> dict[str, Any]:
    """Return cost and scores of a finished run."""
    folder = RunFolder.open(run)
    record, history = folder.record(), folder.history()
    steps, seconds = int(history["steps"].sum()), float(history["seconds"].sum())
    batch = record["options"]["batch_size"]
    return {
        "seconds": record["seconds"] | {"all": round(sum(record["seconds"].values()), 1)},
        "steps": steps,
        "step_ms": round(1000 * seconds / steps, 2),
        "cells_per_second": round(2 * batch * steps / seconds),
        "peak_gb": round(record["peak_memory_bytes"] / 2**30, 2),
        **scores(folder),
    }


def scores(folder: RunFolder) -> dict[str, float]:
    """Return the scores of some cells, the same in both modalities."""
    first, second = folder.names()
    names = folder.obs(first).index
    chosen = np.sort(np.random.default_rng(0).permutation(len(names))[:SCORED])
    at = folder.obs(second).index.get_indexer(names[chosen])
    x, y = folder.embedding(first)[chosen], folder.embedding(second)[at]
    label = folder.obs(first)["cell_type"].to_numpy()[chosen]
    return {
        "foscttm": round(metrics.foscttm(x, y), 5),
        "label_acc": round(metrics.label_transfer_accuracy(x, label, y, label), 4),
        "mixing": round(metrics.seurat_alignment_score([x, y]), 4),
    }


def growth(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the exponents of power laws of cost in cells, fitted to the runs on disk."""
    on_disk = [row for row in rows if row["backed"] == "always"]
    if len(on_disk) < 2:
        return {}
    cells = np.log([row["cells"] for row in on_disk])
    values = {
        "seconds": [row["seconds"]["all"] for row in on_disk],
        "prepare": [row["seconds"]["prepare"] for row in on_disk],
        "step": [row["step_ms"] for row in on_disk],
        "memory": [row["peak_gb"] for row in on_disk],
    }
    return {name: round(float(np.polyfit(cells, np.log(each), 1)[0]), 3) for name, each in values.items()}


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return a table in Markdown."""
    frame = pd.DataFrame(
        [
            {
                "cells": f"{row['cells']:,}",
                "backed": row["backed"],
                **{name: f"{row['seconds'].get(name, 0):,.0f}" for name in STAGES},
                "steps": f"{row['steps']:,}",
                "ms a step": row["step_ms"],
                "cells/s": f"{row['cells_per_second']:,}",
                "GB": row["peak_gb"],
                "FOSCTTM": row["foscttm"],
                "label": row["label_acc"],
                "mixing": row["mixing"],
            }
            for row in rows
        ]
    )
    head = [f"| {' | '.join(frame)} |", f"| {' | '.join('---' for _ in frame)} |"]
    return "\n".join([*head, *(f"| {' | '.join(map(str, row))} |" for row in frame.to_numpy())]) + "\n"


STAGES = ("read", "prepare", "pretrain", "balance", "train", "embed", "write", "report", "all")

if __name__ == "__main__":
    main()
