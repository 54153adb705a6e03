r"""Measure what comes after training, at up to a million cells: one JSON line a step and size.

    python benchmarks/after_training.py
    python benchmarks/after_training.py --cells 10000,100000 --step score

Steps: `score`, all of ``omicsglue score`` with cell types and batches; `balance`, the balancing weights;
`labels`, which labels the neighbours bear out; `pairs`, the cells that modalities share; `report`, the page.
``exact`` scores are those without estimates (``--exact``).

Cells are half RNA, half ATAC, all paired: 20 types, each a cloud along 8 directions of a space of 50, with
noise. Each step runs in a process of its own; seconds are those of the processor and of the clock, memory is
the peak of the process.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import scipy.sparse as sp

STEPS = ("score", "exact", "balance", "labels", "pairs", "report")
TYPES, AXES, DIMS = 20, 8, 50


def main() -> None:
    """Run every step at every size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", default="10000,100000,1000000", help="cells of both modalities together")
    parser.add_argument("--step", action="append", choices=STEPS)
    parser.add_argument("--child", nargs=2, metavar=("STEP", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measured(options.child[0], Path(options.child[1]))))
        return
    for cells in map(int, options.cells.split(",")):
        with tempfile.TemporaryDirectory() as directory:
            folder = Path(directory) / "RUN"
            subprocess.run([sys.executable, "-c", WRITE, str(folder), str(cells)], check=True)
            for step in options.step or STEPS:
                if step == "exact" and cells > 50_000 and not options.step:
                    continue
                line = [sys.executable, __file__, "--child", step, str(folder)]
                found = subprocess.run(line, check=True, stdout=subprocess.PIPE, text=True)
                row = json.loads(found.stdout.splitlines()[-1])
                print(json.dumps({"step": step, "cells": cells} | row), flush=True)


WRITE = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parent)!r})
from after_training import write
write(Path(sys.argv[1]), int(sys.argv[2]))
"""


def write(path: Path, cells: int) -> None:
    """Write a run of so many cells, without a model."""
    from omicsglue.runs import RunFolder

    rng = np.random.default_rng(0)
    kind = rng.choice(TYPES, cells // 2, p=rng.dirichlet(np.full(TYPES, 2.0)))
    centres, axes = rng.normal(size=(TYPES, DIMS)), rng.normal(size=(AXES, DIMS)) / 2
    place = centres[kind] + rng.normal(size=(len(kind), AXES)) @ axes
    names = [f"cell{number}" for number in range(len(kind))]
    modalities = {}
    for name, key in (("rna", "X_pca"), ("atac", "X_lsi")):
        obs = pd.DataFrame(
            {
                "cell_type": pd.Categorical.from_codes(kind, [f"type{i}" for i in range(TYPES)]),
                "donor": pd.Categorical.from_codes(rng.integers(0, 4, len(kind)), list("abcd")),
                "glue_weight": np.ones(len(kind), dtype=np.float32),
            },
            index=names,
        )
        noisy = [place + scale * rng.normal(size=place.shape) for scale in (0.4, 0.5)]
        modalities[name] = ad.AnnData(
            sp.csr_matrix((len(kind), 3), dtype=np.float32),
            obs=obs,
            var=pd.DataFrame(index=[f"{name}{i}" for i in range(3)]),
            obsm={"X_glue": noisy[0].astype(np.float32), key: noisy[1].astype(np.float32)},
        )
    folder = RunFolder.create(path)
    folder.write_integrated(modalities)
    folder.write_record({"options": {}, "modalities": {}})


def measured(step: str, path: Path) -> dict[str, Any]:
    """Return what one step takes."""
    warnings.simplefilter("ignore")
    began, used = time.perf_counter(), time.process_time()
    facts = globals()[f"do_{step}"](path)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {
        "cpu_seconds": round(time.process_time() - used, 1),
        "seconds": round(time.perf_counter() - began, 1),
        "peak_gb": round(peak / 1e9, 2),
    } | facts


def do_score(path: Path) -> dict[str, Any]:
    """Score the run."""
    from omicsglue.runs import score_run

    found = score_run(path, label_key="cell_type", batch_key="donor")
    return {name: value for name, value in found.items() if name not in ("modalities", "cells")}


def do_exact(path: Path) -> dict[str, Any]:
    """Score the run on all cells."""
    from omicsglue.runs import score_run

    found = score_run(path, label_key="cell_type", batch_key="donor", exact=True)
    return {name: value for name, value in found.items() if name not in ("modalities", "cells")}


def do_balance(path: Path) -> dict[str, Any]:
    """Compute balancing weights."""
    from omicsglue.balancing import BalancingConfig, balancing_weights
    from omicsglue.runs import RunFolder

    folder = RunFolder.open(path)
    weights = balancing_weights(
        {name: folder.embedding(name) for name in folder.names()}, BalancingConfig(), 0
    )
    return {"largest": round(max(float(each.max()) for each in weights.values()), 2)}


def do_labels(path: Path) -> dict[str, Any]:
    """Look which labels are borne out, a tenth of them wrong."""
    from omicsglue.data.labels import supported_labels
    from omicsglue.runs import RunFolder

    folder, rng, kept, wrong_kept = RunFolder.open(path), np.random.default_rng(0), [], []
    for name, key in (("rna", "X_pca"), ("atac", "X_lsi")):
        truth = folder.obs(name)["cell_type"].cat.codes.to_numpy().astype(np.int64)
        wrong = rng.random(len(truth)) < 0.1
        codes = np.where(wrong, rng.integers(0, TYPES, len(truth)), truth)
        found = supported_labels(codes, folder.embedding(name, key), 20)
        kept.append((found[codes == truth] >= 0).mean())
        wrong_kept.append((found[codes != truth] >= 0).mean())
    return {"right_kept": round(float(np.mean(kept)), 4), "wrong_kept": round(float(np.mean(wrong_kept)), 4)}


def do_pairs(path: Path) -> dict[str, Any]:
    """Pair cells by name."""
    from omicsglue.data.pairing import match_keys
    from omicsglue.runs import RunFolder

    folder = RunFolder.open(path)
    pairing = match_keys({name: folder.obs(name).index.to_numpy(dtype=object) for name in folder.names()})
    return {"pairs": pairing.count}


def do_report(path: Path) -> dict[str, Any]:
    """Write the page."""
    from omicsglue.report import write_report

    return {"bytes": write_report(path, batch_key="donor").stat().st_size}


if __name__ == "__main__":
    main()
