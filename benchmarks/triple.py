"""Three assays of different cells: RNA, accessibility, and methylation in two contexts.

Simulates, integrates, scores, unifies annotations and asks how much of expression each layer explains, with
the command line as a user meets it; prints one JSON row a result. The truth is that of the simulation: which
genes follow their elements, and whose methylation follows their expression.

    python benchmarks/triple.py --cells 1500 --work triple
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from omicsglue.datasets import simulate
from omicsglue.datasets.simulate import SimulatedData
from omicsglue.runs import RunFolder

COMMAND = Path(sys.executable).with_name("omicsglue")
CONTEXTS = ("methylation", "methylation_ch")
MODALITIES = ("rna", "atac", *CONTEXTS)
KEYS = {"rna": "cell_type", "atac": "merged", "methylation": "split"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, default=1_500, help="of each assay, about")
    parser.add_argument("--genes", type=int, default=1_000)
    parser.add_argument("--peaks", type=int, default=10_000)
    parser.add_argument("--types", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--max-epochs", type=int)
    parser.add_argument(
        "--same-cells",
        action="store_true",
        help="the same cells in all assays: scores say how near pairs lie, training does not know them",
    )
    parser.add_argument("--nb", action="store_true", help="methylated reads as counts, without coverage")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("triple"))
    options = parser.parse_args()
    data = made(options)
    run = integrated(options, data)
    show("score", **scored(run, "obs_names" if options.same_cells else "none"))
    show("unify", **unified(options, run))
    explained(options, run, data)


def made(options: argparse.Namespace) -> SimulatedData:
    """Simulate cells that are measured by one assay each, and write them with annotations that differ."""
    data = simulate(
        options.cells * (1 if options.same_cells else 3),
        genes=options.genes,
        peaks=options.peaks,
        types=options.types,
        rare_share=0.03,
        paired=float(options.same_cells),
        seed=options.seed,
        modalities=MODALITIES,
    )
    types = data.atac.obs["cell_type"].astype(str)
    data.atac.obs["merged"] = types.replace({"type1": "type1 or 2", "type2": "type1 or 2"})
    meth = data["methylation"]
    even = np.arange(meth.n_obs) % 2 == 0
    types = meth.obs["cell_type"].astype(str)
    meth.obs["split"] = types.where(types != "type3", np.where(even, "type3a", "type3b"))
    data.write(options.work / "data")
    return data


def integrated(options: argparse.Namespace, data: SimulatedData) -> Path:
    """Integrate all layers; methylation falls as its gene rises."""
    run, folder = options.work / "run", options.work / "data"
    more = [] if options.max_epochs is None else [f"--max-epochs={options.max_epochs}"]
    likelihood = "nb" if options.nb else "betabinomial"
    begun = time.perf_counter()
    called(
        "integrate",
        *(f"--modality={name}={folder / name}.h5ad" for name in MODALITIES),
        *(f"--sign={name}=-1" for name in CONTEXTS),
        *(f"--likelihood={name}={likelihood}" for name in CONTEXTS),
        f"--annotation={folder / 'genes.gtf.gz'}",
        f"--n-genes={options.genes}",
        f"--threads={options.threads}",
        f"--seed={options.seed}",
        f"--out={run}",
        "--pairing=none",
        "--overwrite",
        "--quiet",
        *more,
    )
    record = RunFolder.open(run).record()
    seconds = {name: round(value, 1) for name, value in record["seconds"].items()}
    cells = {name: each.n_obs for name, each in data.modalities.items()}
    show("integrate", cells=cells, wall=round(time.perf_counter() - begun, 1), seconds=seconds)
    return run


def scored(run: Path, paired_by: str) -> dict[str, Any]:
    """Return scores over all modalities and, of pairs, mixing and accuracy of labels."""
    scores = json.loads(called("score", run, "--label-key=cell_type", f"--paired-by={paired_by}"))
    names = ("mixing", "foscttm", "label_acc", "mean_average_precision", "graph_connectivity")
    found = {name: scores.get(name) for name in names}
    return found | {pair: {name: each.get(name) for name in names} for pair, each in scores["pairs"].items()}


def unified(options: argparse.Namespace, run: Path) -> dict[str, Any]:
    """Return how many cells get their true type, and what is said of the labels that were changed."""
    place = options.work / "unified.tsv"
    keys = [f"--label-key={name}={column}" for name, column in KEYS.items()]
    called("unify", run, *keys, f"--out={place}", "--quiet")
    cells = pd.read_csv(place, sep="\t", index_col=["modality", "cell"])
    conflicts = pd.read_csv(place.with_name("unified.conflicts.tsv"), sep="\t")
    folder = RunFolder.open(run)
    right = {
        name: float((cells.loc[name, "unified"] == folder.obs(name)["cell_type"].astype(str)).mean())
        for name in MODALITIES
    }
    relations = conflicts.groupby(["modality", "relation"]).size()
    planted = conflicts[conflicts["label"].isin(["type1 or 2", "type3a", "type3b"])]
    return {
        "right": {name: round(share, 3) for name, share in right.items()},
        "relations": {" ".join(map(str, key)): int(number) for key, number in relations.items()},
        "planted": dict(zip(planted["label"], planted["words"], strict=True)),
        "contradictory": round(float(cells["contradictory"].mean()), 4),
    }


def explained(options: argparse.Namespace, run: Path, data: SimulatedData) -> None:
    """Show R2 of each combination over all genes, and over those that follow the layer or do not."""
    place = options.work / "explained.tsv"
    called("explain", run, f"--layers={','.join(MODALITIES[1:])}", f"--out={place}", "--quiet")
    genes = pd.read_csv(place, sep="\t", index_col="gene")
    summary = pd.read_csv(place.with_name("explained.summary.tsv"), sep="\t", index_col="layers")
    for name, row in summary.iterrows():
        show("explain", layers=name, **{key: round(float(value), 4) for key, value in row.items()})
    follows = {"atac": data.genes.index.isin(data.links["source"])} | {
        name: getattr(data.truth, name).loadings.any(axis=0) for name in CONTEXTS
    }
    for name, truth in follows.items():
        true = pd.Series(truth, index=data.genes.index)[genes.index].to_numpy()
        parts = {"follows": genes.loc[true, name], "does not": genes.loc[~true, name]}
        means = {key: None if part.empty else round(float(part.mean()), 4) for key, part in parts.items()}
        show("truth", layer=name, genes={key: len(part) for key, part in parts.items()}, mean_r2=means)


def called(command: str, *arguments: object) -> str:
    """Run one omicsglue command and return what it prints; a failure ends the benchmark."""
    words = [str(COMMAND), command, *map(str, arguments)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"omicsglue {command} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def show(step: str, **values: object) -> None:
    """Print one row."""
    print(json.dumps({"step": step, **values}), flush=True)


if __name__ == "__main__":
    main()
