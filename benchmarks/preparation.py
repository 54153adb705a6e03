r"""Measure preparation of counts on disk: peak memory and seconds beside cells, one JSON line a measurement.

    python benchmarks/preparation.py
    python benchmarks/preparation.py --cells 25000,50000,100000 --steps select,lsi
    python benchmarks/preparation.py --features 20000 --counts 3000 --steps select,pca

Cells are mixtures of what all have, a type and some programmes, and their counts are drawn feature by
feature; they are written block by block, the largest number first, of which the smaller ones are the first.
Each step runs in a process of its own, which reports the seconds of the clock and of the processor and its
highest resident memory; ``open`` is what it takes
to import all and open the file. The folder holds 8 bytes for each non-zero count (4 GB for 100,000 cells of
5,000 peaks, less where zarr packs them), and as much again for the smaller numbers of cells.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
import zarr

BLOCK = 1000
TYPES, PROGRAMMES = 15, 20
CHUNK = 2**18
PARTS = ("data", "indices", "indptr")


def main() -> None:
    """Write counts and measure every step at every size."""
    options = parsed()
    if options.measure:
        print(json.dumps(measured(Path(options.measure), options.steps)), flush=True)
        return
    sizes = sorted(map(int, options.cells.split(",")), reverse=True)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        largest = Path(folder) / f"{sizes[0]}.{options.format}"
        begun = time.perf_counter()
        write(largest, sizes[0], options.features, options.counts, options.seed)
        print(json.dumps({"written": sizes[0], "seconds": round(time.perf_counter() - begun, 1)}), flush=True)
        for cells in sizes:
            path = Path(folder) / f"{cells}.{options.format}"
            if cells != sizes[0]:
                copy_first(largest, path, cells)
            for step in ["open", *options.steps.split(",")]:
                command = [sys.executable, __file__, "--measure", str(path), "--steps", step]
                said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                print(said.strip(), flush=True)
            if cells != sizes[0]:
                remove(path)


def measured(path: Path, step: str) -> dict[str, Any]:
    """Run a step on a file and return what it took."""
    from omicsglue.pp import detection, lsi, pca, select_features

    with Opened(path, "r") as opened:
        matrix = ad.io.sparse_dataset(opened.root["X"])
        cells, features = matrix.shape
        names = (
            pd.DataFrame(index=[f"{kind}{i}" for i in range(n)])
            for kind, n in zip("cf", matrix.shape, strict=True)
        )
        adata = ad.AnnData(matrix, *names)
        begun, worked, found = time.perf_counter(), time.process_time(), None
        if step == "select":
            found = select_features(adata, None if features > 50_000 else 2000)
        elif step == "detection":
            found = detection(adata)
        elif step == "lsi":
            found = lsi(adata)
        elif step == "pca":
            chosen = np.zeros(features, dtype=bool)
            chosen[np.random.default_rng(0).choice(features, 2000, replace=False)] = True
            found = pca(adata, features=chosen)
        seconds, worked = time.perf_counter() - begun, time.process_time() - worked
        return {
            "step": step,
            "cells": cells,
            "features": features,
            "nonzeros": int(matrix.group["data"].shape[0]),
            "seconds": round(seconds, 1),
            "processor": round(worked, 1),
            "peak_gb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
            "shape": None if found is None else list(found.shape),
        }


# The simulated counts


def drawer(features: int, seed: int) -> Callable[[int, int, np.random.Generator], sp.csr_matrix]:
    """Return what draws counts of some cells."""
    rng = np.random.default_rng(seed)
    base = rng.lognormal(0, 1.2, features)
    shares = np.tile(base, (1 + TYPES + PROGRAMMES, 1))
    for profile in shares[1:]:
        raised = rng.random(features) < 0.04
        profile[raised] *= rng.lognormal(1.2, 0.6, int(raised.sum()))
    sums = np.cumsum(shares, axis=1)
    types = rng.dirichlet(np.full(TYPES, 1.5))

    def draw(cells: int, counts: int, rng: np.random.Generator) -> sp.csr_matrix:
        depth = np.maximum(rng.lognormal(np.log(counts), 0.4, cells), 20).astype(np.int64)
        mixture = np.zeros((cells, len(sums)))
        mixture[:, 0] = 0.4
        mixture[np.arange(cells), 1 + rng.choice(TYPES, cells, p=types)] = 0.35
        mixture[:, 1 + TYPES :] = 0.25 * rng.dirichlet(np.full(PROGRAMMES, 0.2), cells)
        parts = rng.multinomial(depth, mixture / mixture.sum(axis=1, keepdims=True))
        columns = [
            np.searchsorted(sums[k], rng.random(number) * sums[k, -1])
            for k, number in enumerate(parts.sum(axis=0))
        ]
        rows = [np.repeat(np.arange(cells, dtype=np.int32), part) for part in parts.T]
        places = np.concatenate(rows), np.minimum(np.concatenate(columns), features - 1).astype(np.int32)
        drawn = sp.coo_matrix((np.ones(len(places[0]), np.float32), places), shape=(cells, features)).tocsr()
        drawn.sum_duplicates()
        return drawn

    return draw


# The file


class Opened:
    """A CSR matrix X in an HDF5 file or a zarr folder, opened."""

    def __init__(self, path: Path, mode: str) -> None:
        self.file = h5py.File(path, mode) if path.suffix == ".h5ad" else None
        self.root: Any = self.file or zarr.open_group(path, mode=mode, zarr_format=3)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        if self.file is not None:
            self.file.close()

    def begin(self, shape: tuple[int, int]) -> dict[str, Any]:
        """Return empty arrays that can grow."""
        group = self.root.create_group("X")
        group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
        kinds = zip(PARTS, ("float32", "int32", "int64"), strict=True)
        if self.file is not None:
            return {
                key: group.create_dataset(key, (0,), dtype=kind, maxshape=(None,), chunks=(CHUNK,))
                for key, kind in kinds
            }
        return {key: group.create_array(key, shape=(0,), dtype=kind, chunks=(CHUNK,)) for key, kind in kinds}


def append(array: Any, values: np.ndarray) -> None:
    """Write values behind those that are there."""
    size = array.shape[0]
    array.resize((size + len(values),))
    array[size:] = values


def write(path: Path, cells: int, features: int, counts: int, seed: int) -> None:
    """Write simulated counts, block by block."""
    draw, rng = drawer(features, seed), np.random.default_rng(seed + 1)
    with Opened(path, "w") as opened:
        arrays, stored = opened.begin((cells, features)), 0
        append(arrays["indptr"], np.zeros(1, dtype=np.int64))
        for first in range(0, cells, BLOCK):
            block = draw(min(BLOCK, cells - first), counts, rng)
            append(arrays["data"], block.data)
            append(arrays["indices"], block.indices)
            append(arrays["indptr"], block.indptr[1:].astype(np.int64) + stored)
            stored += block.nnz


def copy_first(source: Path, target: Path, cells: int) -> None:
    """Write the first cells of a file into another."""
    with Opened(source, "r") as whole, Opened(target, "w") as part:
        group = whole.root["X"]
        arrays = part.begin((cells, int(group.attrs["shape"][1])))
        append(arrays["indptr"], group["indptr"][: cells + 1])
        stored = int(group["indptr"][cells])
        for first in range(0, stored, 16 * CHUNK):
            end = min(first + 16 * CHUNK, stored)
            append(arrays["data"], group["data"][first:end])
            append(arrays["indices"], group["indices"][first:end])


def remove(path: Path) -> None:
    """Remove a file or folder."""
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def parsed() -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", default="25000,50000,100000", help="sizes, commas between them")
    parser.add_argument("--features", type=int, default=150_000)
    parser.add_argument("--counts", type=int, default=5500, help="median counts of a cell")
    parser.add_argument("--steps", default="select,lsi", help="of select, detection, lsi and pca")
    parser.add_argument("--format", choices=("h5ad", "zarr"), default="zarr")
    parser.add_argument("--folder", help="where the file is written and removed again")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
