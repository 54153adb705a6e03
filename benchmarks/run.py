"""Integrate data sets from the command line with several seeds, score the runs, and write a table.

    D=../shared/data
    make bench BENCH_ARGS="--data $D/snare_mini --annotation $D/annotation/mm10.genes.gtf.gz"

Without ``--data`` the simulated demo is used. Each run is a process of its own, so that time and peak memory
are those of ``omicsglue integrate`` as a user meets it; scores are those of ``omicsglue score``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

COMMAND = Path(sys.executable).with_name("omicsglue")
SCORES = ("foscttm", "label_acc", "mixing")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data", type=Path, action="append", default=[], help="folder with rna.h5ad, atac.h5ad"
    )
    parser.add_argument("--annotation", type=Path)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--label-key", default="cell_type")
    parser.add_argument("--ignore-label", action="append", default=[])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("results") / "quality.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        rows = [
            row
            for data, genes in folders(options, Path(scratch))
            for row in runs(data, genes, options, Path(scratch))
        ]
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


def folders(options: argparse.Namespace, scratch: Path) -> list[tuple[Path, Path]]:
    """Return folders of data with their annotation."""
    if options.data:
        if options.annotation is None:
            sys.exit("--data needs --annotation")
        return [(data, options.annotation) for data in options.data]
    from omicsglue.datasets import demo_data

    folder = demo_data(0).write(scratch / "demo")
    return [(folder, folder / "genes.gtf.gz")]


def runs(data: Path, annotation: Path, options: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    """Integrate one data set with every seed and return a row for each."""
    rows = []
    for seed in map(int, options.seeds.split(",")):
        out = scratch / f"{data.name}-{seed}"
        files = [f"--modality={name}={data / name}.h5ad" for name in ("rna", "atac")]
        called(
            [
                *files,
                f"--annotation={annotation}",
                f"--seed={seed}",
                f"--threads={options.threads}",
                f"--out={out}",
            ]
        )
        ignored = [f"--ignore-label={label}" for label in options.ignore_label]
        scores = json.loads(called([str(out), f"--label-key={options.label_key}", *ignored], "score"))
        record = json.loads((out / "run.json").read_text(encoding="utf-8"))
        seconds = record["seconds"]
        rows.append(
            {"data": data.name, "seed": seed}
            | {name: scores[name] for name in SCORES}
            | {
                "seconds": round(sum(seconds.values()), 1),
                "by_stage": {k: round(v, 1) for k, v in seconds.items()},
            }
            | {"peak_gb": round(record["peak_memory_bytes"] / 1e9, 2), "threads": options.threads}
        )
        print(json.dumps(rows[-1]), flush=True)
    return rows


def called(arguments: list[str], command: str = "integrate") -> str:
    """Run one omicsglue command and return what it prints."""
    quiet = ["--quiet"] if command == "integrate" else []
    done = subprocess.run([COMMAND, command, *arguments, *quiet], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"omicsglue {command} failed:\n{done.stderr}")
    return done.stdout


def table(rows: list[dict[str, Any]]) -> str:
    """Return means and ranges over seeds as a Markdown table."""
    lines = ["| data | seeds | FOSCTTM | label_acc | mixing | seconds | peak GB |", "| --- " * 7 + "|"]
    for data in dict.fromkeys(row["data"] for row in rows):
        mine = [row for row in rows if row["data"] == data]
        cells = [data, str(len(mine))]
        for name, digits in (*((score, 4) for score in SCORES), ("seconds", 0), ("peak_gb", 2)):
            values = [row[name] for row in mine]
            cells.append(
                f"{statistics.mean(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"
            )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
