r"""Measure what reading by blocks costs in quality: one JSON line a run.

    python benchmarks/shuffling.py --cells 4000 --seeds 0,1

Simulated cells are sorted by type, the worst order that a file can have, and written to disk. They are
integrated in memory, where every pass is a full shuffle, and from disk with buffers of a half, a quarter and
an eighth of the cells (`--buffers 2,4,8`), in blocks of 16 consecutive cells or more. Scores are those of
`omicsglue score`: FOSCTTM of the true pairs, label accuracy, mixing; and the steps in a second.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import warnings
from pathlib import Path

import anndata as ad
import numpy as np

import omicsglue as og
from omicsglue import metrics
from omicsglue.data import streaming
from omicsglue.datasets import simulate
from omicsglue.pipeline import Integration
from omicsglue.training.progress import Silent


def main() -> None:
    """Run every seed in memory and with every buffer."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=int, default=4000)
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--buffers", default="2,4,8")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    for seed in map(int, options.seeds.split(",")):
        with tempfile.TemporaryDirectory() as folder:
            files = sorted_by_type(Path(folder), options.cells, seed)
            for parts in (0, *map(int, options.buffers.split(","))):
                say(seed, parts, run(files, parts, options.cells, seed, options.threads))


def sorted_by_type(folder: Path, cells: int, seed: int) -> dict[str, Path]:
    """Write simulated modalities whose cells are sorted by type."""
    data = simulate(cells, seed=seed)
    data.write(folder)
    files = {}
    for name in ("rna", "atac"):
        adata = data[name]
        order = np.argsort(adata.obs["cell_type"].astype(str).to_numpy(), kind="stable")
        files[name] = folder / f"{name}.h5ad"
        adata[order].copy().write_h5ad(files[name])
    return files


def run(files: dict[str, Path], parts: int, cells: int, seed: int, threads: int) -> Integration:
    """Integrate in memory (0 parts), or from disk with a buffer of a part of the cells."""
    buffer = streaming.BUFFER_CELLS
    streaming.BUFFER_CELLS = max(cells // max(parts, 1), streaming.FEWEST)
    try:
        return og.integrate(
            files,
            annotation=files["rna"].with_name("genes.gtf.gz"),
            backed="always" if parts else "never",
            seed=seed,
            threads=threads,
            reporter=Silent(),
        )
    finally:
        streaming.BUFFER_CELLS = buffer


def say(seed: int, parts: int, done: Integration) -> None:
    """Print the scores of a run."""
    rna, atac = (done.modalities[name] for name in ("rna", "atac"))
    x, y = embedding(rna), embedding(atac)
    label = rna.obs["cell_type"].to_numpy()
    history = done.model.history
    found = {
        "seed": seed,
        "buffer": f"1/{parts}" if parts else "memory",
        "foscttm": round(metrics.foscttm(x, y), 5),
        "label_acc": round(metrics.label_transfer_accuracy(x, label, y, label), 4),
        "mixing": round(metrics.seurat_alignment_score([x, y]), 4),
        "steps_per_second": round(float(history["steps"].sum() / history["seconds"].sum()), 2),
    }
    print(json.dumps(found), flush=True)


def embedding(adata: ad.AnnData) -> np.ndarray:
    """Return the embedding of cells; their order is the same in both modalities."""
    return np.asarray(adata.obsm["X_glue"])


if __name__ == "__main__":
    main()
