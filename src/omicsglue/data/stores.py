"""AnnData on disk, HDF5 or zarr: opened without loading its matrices, and its matrices known again."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import h5py
from anndata.abc import CSCDataset, CSRDataset

from omicsglue.data.stacked import Columns, StackedRows
from omicsglue.sparsefile import CsrWriter, copy_matrix, is_zarr

if TYPE_CHECKING:
    from anndata import AnnData

_TABLES: Final = ("obs", "var", "uns", "obsm", "varm", "obsp", "varp")
_LAYERS: Final = "layers/"
_SPARSE: Final = ("csr_matrix", "csc_matrix")


class Place(NamedTuple):
    """Where a matrix on disk lies: its file or folder, and its path in there."""

    file: str
    path: str


class StackedPlace(NamedTuple):
    """Where matrices that are read as one lie, and in which order their columns are."""

    parts: tuple[Place, ...]
    columns: tuple[Columns | None, ...]


def is_on_disk(matrix: Any) -> bool:
    """Return whether a matrix stays on disk and is read when it is cut."""
    if isinstance(matrix, CSRDataset | CSCDataset | h5py.Dataset):
        return True
    return is_zarr(matrix)


def lazy_anndata(group: Any) -> AnnData:
    """Return an AnnData whose ``X`` and layers stay on disk; its tables are read.

    Parameters
    ----------
    group
        Open HDF5 file or group, or zarr group, that holds an AnnData; it has to stay open.

    Returns
    -------
    anndata.AnnData
        Matrices in the form of :class:`anndata.abc.CSRDataset` and the like; ``raw`` is left out.
    """
    from anndata import AnnData
    from anndata.io import read_elem

    tables = {name: read_elem(group[name]) for name in _TABLES if name in group}
    layers = {str(name): _matrix(group["layers"][name]) for name in group.get("layers", ())}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return AnnData(X=_matrix(group["X"]) if "X" in group else None, layers=layers, **tables)


def bytes_in_memory(adata: AnnData) -> int:
    """Return how many bytes the matrices that are on disk would take in memory."""
    return bytes_of(_on_disk(adata))


def bytes_of(matrices: Mapping[str, Any]) -> int:
    """Return how many bytes matrices on disk would take in memory."""
    return sum(map(_size, matrices.values()))


def take_from_disk(adata: AnnData) -> dict[str, Any]:
    """Take matrices that are on disk out of an AnnData, in place.

    Returns
    -------
    The matrices by their path in a file, such as ``X`` or ``layers/counts``.
    """
    found = _on_disk(adata)
    for path in found:
        if path == "X":
            adata.X = None
        else:
            del adata.layers[path.removeprefix(_LAYERS)]
    return found


def copy_all(matrices: Mapping[str, Mapping[str, Any]], file: Path) -> None:
    """Copy matrices on disk into a MuData file, without loading them.

    Parameters
    ----------
    matrices
        By modality what :func:`take_from_disk` returned.
    file
        MuData file that holds the rest.
    """
    with h5py.File(file, "r+") as target:
        for name, found in matrices.items():
            for path, matrix in found.items():
                if isinstance(matrix, StackedRows):
                    write_stacked(matrix, target["mod"][name], path, matrix.dtype)
                else:
                    copy_matrix(stored_group(matrix), target["mod"][name], path)


def write_stacked(matrix: StackedRows, parent: Any, path: str, dtype: Any) -> None:
    """Write matrices of several files as one, a block of rows at a time.

    Parameters
    ----------
    matrix
        The matrices.
    parent
        Open HDF5 or zarr (format 3) group.
    path
        What the copy is called there; what is there by that name is replaced.
    dtype
        Type of the values.
    """
    if path in parent:
        del parent[path]
    writer = CsrWriter(parent, path, matrix.shape[1], dtype)
    for block in matrix.walk():
        writer.append(block)
    writer.close()


def _on_disk(adata: AnnData) -> dict[str, Any]:
    matrices = {"X": adata.X} | {_LAYERS + str(name): layer for name, layer in adata.layers.items()}
    return {path: matrix for path, matrix in matrices.items() if is_on_disk(matrix)}


def in_memory(adata: AnnData) -> AnnData:
    """Load matrices that are on disk, in place, and return the same object."""
    if is_on_disk(adata.X):
        adata.X = _loaded(adata.X)
    for name in list(adata.layers):
        if is_on_disk(adata.layers[name]):
            adata.layers[name] = _loaded(adata.layers[name])
    return adata


def is_by_column(matrix: Any) -> bool:
    """Return whether a sparse matrix on disk, or one of those that are read as one, is stored by column."""
    if isinstance(matrix, StackedRows):
        return any(map(is_by_column, matrix.parts))
    return isinstance(matrix, CSCDataset)


def stored_entries(matrix: Any) -> int:
    """Return how many entries of a sparse matrix on disk are stored."""
    return matrix.stored if isinstance(matrix, StackedRows) else int(matrix.group["data"].shape[0])


def stored_group(matrix: Any) -> Any:
    """Return the HDF5 group or dataset, or zarr group or array, in which a matrix on disk lies."""
    return matrix.group if isinstance(matrix, CSRDataset | CSCDataset) else matrix


def location(matrix: Any) -> Place | StackedPlace:
    """Return where a matrix on disk lies, from where it can be reopened."""
    if isinstance(matrix, StackedRows):
        return StackedPlace(tuple(map(_place, matrix.parts)), matrix.places)
    return _place(matrix)


def _place(matrix: Any) -> Place:
    node = stored_group(matrix)
    if is_zarr(node):
        return Place(str(node.store.root), str(node.path))
    return Place(str(node.file.filename), str(node.name))


def reopened(place: Place | StackedPlace) -> Any:
    """Return the matrix at a :func:`location`."""
    if isinstance(place, StackedPlace):
        return StackedRows([reopened(part) for part in place.parts], place.columns)
    file, path = place
    if Path(file).is_dir():
        import zarr

        return _matrix(zarr.open_group(file, mode="r")[path])
    return _matrix(h5py.File(file, "r")[path])


def _matrix(element: Any) -> Any:
    from anndata.io import sparse_dataset

    if element.attrs.get("encoding-type") in _SPARSE:
        return sparse_dataset(element)
    return element


def _loaded(matrix: Any) -> Any:
    return matrix.to_memory() if isinstance(matrix, CSRDataset | CSCDataset) else matrix[...]


def _size(matrix: Any) -> int:
    if isinstance(matrix, StackedRows):
        return sum(map(_size, matrix.parts)) + matrix.wider
    group = stored_group(matrix)
    arrays = [group[name] for name in ("data", "indices", "indptr")] if matrix is not group else [group]
    return sum(int(array.dtype.itemsize) * int(array.size) for array in arrays)
