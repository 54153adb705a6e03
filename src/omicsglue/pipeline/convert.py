"""``convert``: files of one modality as one that is read fast from disk, by row, without loading any."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from omicsglue.data.inputs import read_modality, split_mudata
from omicsglue.data.matrices import matrix_of
from omicsglue.data.stores import take_from_disk, write_stacked
from omicsglue.errors import OptionError
from omicsglue.io import atomic_directory, atomic_path
from omicsglue.pipeline.together import names_of, together

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
    parts = {
        name: read_modality(file, name=str(file), backed=True)
        for name, file in zip(names_of(files), files, strict=True)
    }
    for name, part in parts.items():
        matrix_of(part, None, where=name)
    joined = together(parts, who="convert", prefix_with="--prefix", label=label, prefix=prefix)
    matrices = take_from_disk(joined)
    with _open(target) as group, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zarr's and AnnData's own future
        from anndata.io import write_elem

        write_elem(group, "/", joined)
        for path, matrix in matrices.items():
            write_stacked(matrix, group, path, _SMALLER.get(matrix.dtype.name, matrix.dtype))
    return target


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
