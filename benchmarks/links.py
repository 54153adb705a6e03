r"""Measure regulatory links, and compare them with baselines and scglue 0.4.1: ``make bench-links``.

    make bench-links                                   # 10 runs, one an ensemble: two hours on an idle core
    make bench-links BENCH_ARGS=--small                # small data, under 10 minutes
    make bench-links BENCH_ARGS="--study scale"
    python benchmarks/links.py --study auroc --run 10x-1=RUN --data 10x-1=DATA --no-train

1. auroc: score, cosine and other methods against the known links of simulated data, overall and by distance,
   over all candidate pairs, and over those for which every method has a value.
2. calibration: p-values without regulation (Kolmogorov-Smirnov), false discovery rate and power with it;
   scglue's inference on the same embeddings of features beside it.
3. guidance: edges removed from the guidance graph, and random ones in it.
4. seeds: how far the four members of an ensemble agree.
5. scale: seconds and memory for a million candidate pairs.

Runs by name: 10x-1, 10x-5, snare-3 (regulated), null-0, null-6 (not regulated), half, corrupted-50,
corrupted-90, window (all of the data 10x-1) and ensemble. What is not given is simulated and integrated in
``--work``. Everything measured goes to ``benchmarks/results/links.json`` (with ``--small`` to
``links_part.json``), where each study replaces its earlier figures; tables go to stdout.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from links_runs import DATA, RUNS, Bench
from links_studies import LEVELS, OURS, STUDIES
from omicsglue.errors import OmicsGlueError
from omicsglue.io import read_json, write_json
from speed import HERE, ROOT, machine, markdown, rival_python, rounded, say
from speed_worker import versions

Row = dict[str, Any]
AREAS = ("AUROC score, all pairs", "AUROC score, in graph", "AUROC cosine, in graph")
PACKAGES = ("omicsglue", "numpy", "scipy", "numba", "scikit-learn", "torch")


def main() -> None:
    """Run the studies."""
    options = parsed()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as scratch:
        bench = Bench(options, options.work or Path(scratch), interpreter(options))
        for study in options.study or STUDIES:
            began = time.perf_counter()
            try:
                found = STUDIES[study](bench)
            except OmicsGlueError as error:
                sys.exit(str(error))
            facts = {"machine": machine(), "versions": versions(*PACKAGES)}
            facts |= {"small": options.small, "threads": options.threads}
            facts["minutes"] = (time.perf_counter() - began) / 60
            keep(options.out, study, facts | {"found": found})
            print(f"## {study}\n\n{TABLES[study](found)}\n", flush=True)
    say(f"figures: {options.out}")


def interpreter(options: argparse.Namespace) -> Path | None:
    """Return the interpreter of scglue's environment, which is made where it is wanted and not there."""
    wanted = {"auroc", "calibration"} & set(options.study or STUDIES)
    exists = (options.rival_env / "bin" / "python").exists()
    if options.no_rival or not wanted or (options.small and not exists):
        return None
    return rival_python(options.rival_env)


def keep(out: Path, study: str, found: Row) -> None:
    """Put the figures of a study beside those of the others."""
    out.parent.mkdir(parents=True, exist_ok=True)
    studies = read_json(out) if out.is_file() else {}
    write_json(out, studies | {study: rounded(found)})


def auroc_tables(found: Row) -> str:
    """Return one table a run: AUROC of each method overall, by distance, and over the common pairs."""
    made = []
    for run, parts in found.items():
        strata = list(dict.fromkeys(row["stratum"] for row in parts["all"]["rows"]))
        header = ["method", "pairs without value", *strata, "average precision", "pairs of all methods"]
        rows = []
        for method, missing in parts["all"]["missing"].items():
            mine, common = (
                {row["stratum"]: row for row in parts[part]["rows"] if row["method"] == method}
                for part in ("all", "common")
            )
            rows.append(
                [
                    method,
                    f"{missing:,}",
                    *(number(mine[stratum]["auroc"]) for stratum in strata),
                    number(mine["all"]["average_precision"]),
                    number(common["all"]["auroc"]),
                ]
            )
        sizes = f"{parts['all']['pairs']:,} pairs, {parts['common']['pairs']:,} with a value of every method"
        made.append(f"AUROC on {run}: {sizes}\n\n{markdown(header, rows)}")
        if "scglue" in parts:
            made.append(rival_table(parts["scglue"]))
    return "\n\n".join(made)


def rival_table(scglue: Row) -> str:
    """Return what the links of scglue's own training are worth, and how long it was trained."""
    stages = [
        f"{name}: {stage['epochs']:.0f} of at most {stage['max_epochs']} epochs in {stage['seconds']:.0f} s"
        for name, stage in scglue["stages"].items()
    ]
    return f"scglue, {'; '.join(stages)}\n\n{markdown(rate_names(), [spelled(scglue['rates'])])}"


def calibration_tables(found: Row) -> str:
    """Return distances from uniform p-values without regulation, and rates with it."""
    made = []
    if found["without"]:
        strata = list(next(iter(found["without"].values()))[OURS]["by_distance"])
        header = ["data", "inference", "pairs", "KS", *strata, *(f"links, q < {level}" for level in LEVELS)]
        rows = [
            [run, name, f"{row['pairs']:,}", number(row["ks"])]
            + [number(row["by_distance"][stratum]["ks"]) for stratum in strata]
            + [f"{row['links'][str(level)]:,}" for level in LEVELS]
            for run, both in found["without"].items()
            for name, row in both.items()
        ]
        made.append(f"KS distance without regulation\n\n{markdown(header, rows)}")
    rows = [
        [run, name, *spelled(row)] for run, both in found["regulated"].items() for name, row in both.items()
    ]
    if rows:
        made.append(markdown(["data", "inference", *rate_names()], rows))
    return "\n\n".join(made)


def guidance_tables(found: Row) -> str:
    """Return what damaged graphs change, and how removed edges are recovered."""
    header = ["graph", "edges among pairs", *AREAS, "correlation of score", "correlation of cosine"]
    header += rate_names()
    rows = [
        [
            "intact" if run == "10x-1" else run,
            f"{row['edges']:,}",
            *map(number, row["auroc"].values()),
            *(number(row["correlation"][name]) for name in ("score", "cosine")),
            *spelled(row["rates"]),
        ]
        for run, row in found.items()
    ]
    made = [markdown(header, rows)]
    if "half" in found:
        recovery = found["half"]["recovery"]
        others = ("removed false edges", "pairs without edge")
        rows = [
            [name]
            + [number(recovery[other][kind][name]) for other in others for kind in ("auroc", "like_distance")]
            for name in recovery[others[0]]["auroc"]
        ]
        header = [
            "AUROC of true removed edges against",
            *(f"{o}{k}" for o in others for k in ("", ", alike")),
        ]
        title = f"{recovery['removed_true']:,} of {recovery['removed']:,} removed edges are links"
        made.append(f"{title} (alike: among pairs of like distance)\n\n{markdown(header, rows)}")
    return "\n\n".join(made)


def seeds_tables(found: Row) -> str:
    """Return the agreement of members, and one member beside all."""
    if not found:
        return "no ensemble"
    agreement = [[f"Spearman of {name}", *spread(values)] for name, values in found["correlation"].items()]
    agreement.append(["Jaccard index of the 1,000 best", *spread(found["jaccard_top"])])
    areas, all_rates = ([*found[key]["one"], found[key]["ensemble"]] for key in ("auroc", "rates"))
    names = [*(f"{1 + i}" for i in range(found["members"])), "all"]
    rows = [
        [name, *map(number, area.values()), *spelled(each)]
        for name, area, each in zip(names, areas, all_rates, strict=True)
    ]
    header = ["member", *AREAS, *rate_names()]
    return f"{markdown(['pairs of members', 'mean', 'range'], agreement)}\n\n{markdown(header, rows)}"


def scale_tables(found: Row) -> str:
    """Return seconds of each part, and the peak of memory."""
    rows = [[part.lstrip("_"), f"{seconds:.1f}"] for part, seconds in found["parts"].items()]
    rows.append(["**all**", f"{found['seconds']:.1f} (of the processor: {found['cpu_seconds']:.1f})"])
    alone = found["statistics"]
    title = f"{found['genes']:,} genes, {found['peaks']:,} peaks, {found['cells']:,} cells: "
    title += f"{found['pairs']:,} pairs; peak {found['peak_bytes'] / 1e9:.2f} GB"
    title += f" ({found['simulation_peak_bytes'] / 1e9:.2f} GB before the links)"
    statistic = f"p-values of {alone['pairs']:,} pairs alone: {alone['p_seconds']:.1f} s, "
    return (
        f"{title}\n\n{markdown(['part', 'seconds'], rows)}\n\n{statistic}q-values: {alone['q_seconds']:.1f} s"
    )


TABLES = {
    "auroc": auroc_tables,
    "calibration": calibration_tables,
    "guidance": guidance_tables,
    "seeds": seeds_tables,
    "scale": scale_tables,
}


def number(value: float | None) -> str:
    """Return three digits after the point, or a dash."""
    return "–" if value is None or value != value else f"{value:.3f}"


def rate_names() -> list[str]:
    """Return headings for what ``spelled`` returns."""
    return [f"q < {level}: links, FDR, power" for level in LEVELS]


def spelled(rates: Row) -> list[str]:
    """Return links, realised false discovery rate and power at each level."""
    return [f"{row['links']:,}, {number(row['fdr'])}, {number(row['power'])}" for row in rates.values()]


def spread(values: Iterable[float]) -> tuple[str, str]:
    """Return mean and range."""
    each = list(values)
    return number(statistics.mean(each)), f"{number(min(each))}–{number(max(each))}"


def named(known: Iterable[str]) -> Any:
    """Return a reader of ``NAME=PATH``."""

    def read(text: str) -> tuple[str, Path]:
        name, _, path = text.partition("=")
        if name not in known or not Path(path).exists():
            raise argparse.ArgumentTypeError(f"{text}: give NAME=PATH, NAME one of {', '.join(known)}")
        return name, Path(path)

    return read


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    repeat: Row = {"action": "append", "default": [], "metavar": "NAME=PATH"}
    add("--study", action="append", choices=STUDIES, help="only this; repeat")
    add("--small", action="store_true", help="small data, for a look")
    add("--run", type=named(RUNS), **repeat, help="a run folder that is there; repeat")
    add("--data", type=named(DATA), **repeat, help="the simulated data of a run; repeat")
    add("--links", type=named(RUNS), **repeat, help="links of a run that are there (Parquet); repeat")
    add("--no-train", action="store_true", help="leave out what has no --run")
    add("--work", type=Path, help="keep data and runs that are made here, and use those that are there")
    add("--scglue", type=named(RUNS), **repeat, help="what links_rival.py wrote for a run's pairs; repeat")
    add("--train-scglue", type=float, metavar="SECONDS", help="train scglue too, at most so long")
    add("--rival-env", type=Path, default=ROOT / ".venv-scglue", help="environment of scglue")
    add("--no-rival", action="store_true", help="leave out scglue's inference")
    add("--threads", type=int, default=1, help="CPU threads")
    add("--picture", type=Path, help="calibration picture (docs/images/link_calibration.png)")
    add("--out", type=Path, help="results (benchmarks/results/links.json)")
    options = parser.parse_args()
    for name in ("run", "data", "links", "scglue"):
        setattr(options, name, dict(getattr(options, name)))
    results = HERE / "results"
    options.out = options.out or results / ("links_part.json" if options.small else "links.json")
    pictures = results if options.small else ROOT / "docs" / "images"
    options.picture = options.picture or pictures / "link_calibration.png"
    missing = [run for run in options.run if RUNS[run].data not in options.data]
    if missing:
        sys.exit(f"give the data of {', '.join(missing)} too: --data {RUNS[missing[0]].data}=DIR")
    return options


if __name__ == "__main__":
    main()
