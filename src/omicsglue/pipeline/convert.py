"""``convert``: files of one modality as one that is read fast from disk, by row, without loading any."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd

from omicsglue.data.inputs import read_modality, split_mudata
from omicsglue.data.matrices import iter_row_blocks, matrix_of
from omicsglue.errors import InputError, OmicsGlueWarning, OptionError, examples
from omicsglue.io import atomic_directory, atomic_path
from omicsglue.sparsefile import CsrWriter

if TYPE_CHECKING:
    from anndata import AnnData

ZARR, HDF5 = ".zarr", ".h5ad"
_SMALLER: Final = {"float64": np.float32, "int64": np.int32, "uint64": np.int32, "bool": np.uint8}


def convert(
    sources: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    label: str | None = None,
    prefix: bool = False,
    overwrite: bool = False,
) -> Path:
    """Write files of one modality as one AnnData whose matrices are read fast by row.

    Cells keep their order, file after file. Matrices are read and written in blocks, so that memory is that
    of the tables; a matrix stored by column is loaded as a whole.

    Parameters
    ----------
    sources
        ``.h5ad`` files, ``.zarr`` folders, or ``file.h5mu:modality``; one or several with the same features.
    out
        ``.zarr`` folder (format 3, with many chunks in a file) or ``.h5ad`` file.
    label
        ``obs`` column to add, which holds the name of the file that a cell came from.
    prefix
        Put the name of the file and a colon before the names of cells.
    overwrite
        Replace what is there.

    Returns
    -------
    Where it was written.

    Raises
    ------
    OptionError
        If ``out`` has another ending, is there already, or is one of the sources.
    InputError
        If a file cannot be read, features differ, or names of cells occur more than once.
    RunFolderError
        If the disk is full or the folder cannot be written.

    Warns
    -----
    OmicsGlueWarning
        Of what is left out: layers and representations that not all files have, ``raw``, and graphs between
        cells.
    """
    files = [sources] if isinstance(sources, str | Path) else list(sources)
    target = Path(out)
    _check_target(target, files, overwrite=overwrite)
    parts = {_stem(file, files): read_modality(file, name=str(file), backed=True) for file in files}
    _check_features(parts)
    together = _tables(parts, label=label, prefix=prefix)
    layers = _in_all({name: list(part.layers) for name, part in parts.items()}, "layers")
    with _open(target) as group, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zarr's and AnnData's own future
        from anndata.io import write_elem

        write_elem(group, "/", together)
        for layer in [None, *layers]:
            _write_matrix(group, parts, layer, together.var_names)
    return target


def _write_matrix(group: Any, parts: dict[str, AnnData], layer: str | None, features: pd.Index) -> None:
    matrices = {name: matrix_of(part, layer, where=name) for name, part in parts.items()}
    dtype = np.result_type(*(np.dtype(matrix.dtype) for matrix in matrices.values()))
    path = "X" if layer is None else f"layers/{layer}"
    if path in group:
        del group[path]
    writer = CsrWriter(group, path, len(features), _SMALLER.get(dtype.name, dtype))
    for name, matrix in matrices.items():
        order = parts[name].var_names.get_indexer(features)
        in_order = bool((order == np.arange(len(order))).all())
        for _, block in iter_row_blocks(matrix):
            writer.append(block if in_order else block[:, order])
    writer.close()


@contextmanager
def _open(target: Path) -> Iterator[Any]:
    """Open a new store beside its place, and put it there once it is complete."""
    if target.suffix == HDF5:
        import h5py

        with atomic_path(target) as temporary, h5py.File(temporary, "w") as file:
            yield file
        return
    import zarr

    with atomic_directory(target) as folder:
        yield zarr.open_group(folder, mode="w", zarr_format=3)


def _tables(parts: dict[str, AnnData], *, label: str | None, prefix: bool) -> AnnData:
    """Return everything but the matrices."""
    from anndata import AnnData

    first = next(iter(parts.values()))
    frames = []
    for name, part in parts.items():
        frame = part.obs.copy()
        if prefix:
            frame.index = [f"{name}:{cell}" for cell in frame.index]
        if label is not None:
            frame[label] = name
        frames.append(frame)
    obs = pd.concat(frames)
    if not obs.index.is_unique:
        twice = obs.index[obs.index.duplicated()].unique()
        raise InputError(
            f"names of cells occur more than once: {examples(twice)}",
            where=" and ".join(parts),
            remedy="add --prefix, which puts the name of the file before each",
        )
    for column in frames[0]:
        if isinstance(frames[0][column].dtype, pd.CategoricalDtype):
            obs[column] = obs[column].astype("category")
    keys = _in_all({name: list(part.obsm) for name, part in parts.items()}, "obsm")
    obsm = {key: np.concatenate([np.asarray(part.obsm[key]) for part in parts.values()]) for key in keys}
    _say_left_out(parts)
    return AnnData(obs=obs, var=first.var.copy(), uns=dict(first.uns), obsm=obsm, varm=dict(first.varm))


def _in_all(named: dict[str, list[str]], slot: str) -> list[str]:
    first = next(iter(named.values()))
    found = [key for key in first if all(key in keys for keys in named.values())]
    lost = sorted({key for keys in named.values() for key in keys}.difference(found))
    if lost:
        _warn(f"{slot} that not all files have are left out: {examples(lost)}")
    return found


def _say_left_out(parts: dict[str, AnnData]) -> None:
    lost = sorted({f"obsp[{key!r}]" for part in parts.values() for key in part.obsp})
    if lost:
        _warn(f"graphs between cells are left out: {examples(lost)}")


def _warn(text: str) -> None:
    warnings.warn(
        f"convert: {text}\n  -> add them afterwards where you need them", OmicsGlueWarning, stacklevel=4
    )


def _stem(file: str | Path, files: Sequence[str | Path]) -> str:
    """Return the name of a file without its ending; the whole path where another has the same name."""
    stems = [split_mudata(each)[0].stem for each in files]
    own = split_mudata(file)[0].stem
    return own if stems.count(own) == 1 else str(file)


def _check_features(parts: dict[str, AnnData]) -> None:
    (first, reference), *others = parts.items()
    if not reference.var_names.is_unique:
        twice = reference.var_names[reference.var_names.duplicated()].unique()
        raise InputError(
            f"names of features occur more than once: {examples(twice)}",
            where=first,
            remedy="call adata.var_names_make_unique() and save the file again",
        )
    for name, part in others:
        differ = reference.var_names.symmetric_difference(part.var_names)
        if len(differ) or part.n_vars != reference.n_vars:
            raise InputError(
                f"{len(differ):,} features are in one of them alone: {examples(differ)}",
                where=f"{first} and {name}",
                remedy="give files with the same features; count peaks again over one set of peaks",
            )


def _check_target(target: Path, files: Sequence[str | Path], *, overwrite: bool) -> None:
    if not files:
        raise OptionError("no file is given", where="convert", remedy="name the files of one modality")
    if target.suffix not in (ZARR, HDF5):
        raise OptionError(
            f"{target} ends neither in {ZARR} nor in {HDF5}",
            where="--out",
            remedy="give a folder whose name ends in .zarr, or a file whose name ends in .h5ad",
        )
    for file in files:
        source = split_mudata(file)[0].resolve()
        if target.resolve() in (source, *source.parents):
            raise OptionError(
                f"{target} is among the files that are read", where="--out", remedy="give another name"
            )
    if target.exists() and not overwrite:
        raise OptionError(
            f"{target} is there already", where="--out", remedy="give another name, or add --overwrite"
        )
