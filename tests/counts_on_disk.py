"""Counts that stay on disk, as tests of preparation need them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anndata as ad
import h5py
import pandas as pd
import scipy.sparse as sp
import zarr

FORMATS = ("hdf5", "zarr")


@contextmanager
def on_disk(adata: ad.AnnData, folder: Path, form: str, layer: str | None = None) -> Iterator[ad.AnnData]:
    """Write X, or a layer, as CSR and yield an object that reads it from there."""
    matrix = sp.csr_matrix(adata.X if layer is None else adata.layers[layer])
    file: h5py.File | None = h5py.File(folder / "x.h5", "w") if form == "hdf5" else None
    root = file or zarr.open_group(folder / "x.zarr", mode="w", zarr_format=3)
    group = root.create_group("X")
    group.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": matrix.shape})
    for key in ("data", "indices", "indptr"):
        write = group.create_dataset if file else group.create_array
        values = getattr(matrix, key)
        write(key, data=values, chunks=(min(4000, len(values)),))
    opened = ad.io.sparse_dataset(group)
    if layer is None:
        yield ad.AnnData(opened, obs=adata.obs, var=adata.var)
    else:
        yield ad.AnnData(obs=adata.obs, var=adata.var, layers={layer: opened})
    if file is not None:
        file.close()


@contextmanager
def backed(adata: ad.AnnData, folder: Path) -> Iterator[ad.AnnData]:
    """Write a file and yield what AnnData opens without loading X."""
    adata.write_h5ad(folder / "x.h5ad")
    opened = ad.read_h5ad(folder / "x.h5ad", backed="r")
    yield opened
    opened.file.close()


def named(counts: object, **options: object) -> ad.AnnData:
    """Return counts with names."""
    adata = ad.AnnData(sp.csr_matrix(counts), **options)
    adata.obs_names = pd.Index([f"c{i}" for i in range(adata.n_obs)])
    adata.var_names = pd.Index([f"g{i}" for i in range(adata.n_vars)])
    return adata
