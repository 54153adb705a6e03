"""Reading a modality from a file or zarr store, with a plain word on everything that can be wrong with it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import h5py

from omicsglue.data.stores import lazy_anndata
from omicsglue.errors import InputError
from omicsglue.io import PathLike
from omicsglue.suggest import did_you_mean, listed, near

if TYPE_CHECKING:
    from anndata import AnnData

_MUDATA_MARKS: Final = (".h5mu:", ".zarr:")
_ZARR_FILES: Final = ("zarr.json", ".zgroup")
_SIGNATURES: Final = (
    (b"\x1f\x8b", "is compressed with gzip", "unpack it first: gunzip {path}"),
    (b"PK\x03\x04", "is a zip archive", "unpack it first: unzip {path}"),
    (b"BZh", "is compressed with bzip2", "unpack it first: bunzip2 {path}"),
    (b"version https://git-lfs", "is a Git LFS pointer, not the data", "fetch the data first: git lfs pull"),
    (
        b"<!DOCTYPE html",
        "is a web page, not data",
        "download the file again; a login page may have been saved",
    ),
    (b"<html", "is a web page, not data", "download the file again; a login page may have been saved"),
    (
        b"%%MatrixMarket",
        "is a Matrix Market file",
        "read it with scanpy.read_10x_mtx and save with .write_h5ad",
    ),
)
_TO_H5AD: Final = "save the data with AnnData.write_h5ad and give that file"


def read_modality(path: PathLike, *, name: str, backed: bool = False) -> AnnData:
    """Read one modality.

    Parameters
    ----------
    path
        An ``.h5ad`` file or ``.zarr`` folder, or one modality of a MuData file as ``file.h5mu:rna``
        (``file.h5mu`` alone means the modality called `name`).
    name
        Name of the modality, for messages.
    backed
        Leave ``X`` and the layers on disk, from where they are read when they are needed, and leave out
        ``raw``.

    Returns
    -------
    anndata.AnnData
        The data as stored. Files of older AnnData versions are read without a warning.

    Raises
    ------
    InputError
        If the file is missing, not readable, damaged, or of another kind. The message says which.
    """
    file, modality = split_mudata(path)
    _check_file(file, name)
    with _explained(file, name), _quiet():
        root = _opened(file)
        if modality is None and "mod" in root and "obs" in root and file.suffix in (".h5mu", ".zarr"):
            modality = name
        group = _modality_group(root, modality, file, name) if modality is not None else root
        _check_is_anndata(group, file, name)
        if backed:
            return lazy_anndata(group)
        try:
            return _read(group, file if modality is None else None)
        finally:
            if isinstance(root, h5py.File):
                root.close()


def split_mudata(path: PathLike) -> tuple[Path, str | None]:
    """Split ``file.h5mu:rna`` into the file and its modality.

    Examples
    --------
    >>> split_mudata("a/multi.h5mu:rna")
    (PosixPath('a/multi.h5mu'), 'rna')
    >>> split_mudata("a/rna.h5ad")
    (PosixPath('a/rna.h5ad'), None)
    """
    text = str(path)
    if any(mark in text for mark in _MUDATA_MARKS) and not Path(text).exists():
        front, _, modality = text.rpartition(":")
        return Path(front), modality
    return Path(text), None


def is_zarr_store(path: Path) -> bool:
    """Return whether a path is a folder that zarr wrote."""
    return any((path / name).is_file() for name in _ZARR_FILES)


def _where(file: Path, name: str) -> str:
    return f"{name} ({file})"


def _check_file(file: Path, name: str) -> None:
    """Raise unless there is a file that may be read and that begins as HDF5 does."""
    where = _where(file, name)
    try:
        if is_zarr_store(file):
            return
        if file.is_dir():
            raise InputError("is a folder, not a file", where=where, remedy=_remedy_for_folder(file))
        with file.open("rb") as handle:
            head = handle.read(64)
    except FileNotFoundError as error:
        raise InputError("no such file", where=where, remedy=_remedy_for_missing(file)) from error
    except PermissionError as error:
        raise InputError(
            "may not be read: permission denied",
            where=where,
            remedy=f"give yourself access: chmod u+r {file}",
        ) from error
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=where, remedy="check the path and the disk it is on"
        ) from error
    if not head:
        raise InputError("is empty (0 bytes)", where=where, remedy="copy or download the file again")
    if h5py.is_hdf5(file):
        return
    for signature, what, remedy in _SIGNATURES:
        if head.startswith(signature):
            raise InputError(f"{what}, not an .h5ad file", where=where, remedy=remedy.format(path=file))
    if _is_text(head):
        raise InputError("is a text file, not an .h5ad file", where=where, remedy=_TO_H5AD)
    raise InputError(
        "is not an HDF5 file, as every .h5ad file is, or its beginning is damaged",
        where=where,
        remedy=f"copy or download the file again; if it is of another kind, {_TO_H5AD}",
    )


def _is_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\r\n" for byte in head)


def _remedy_for_folder(folder: Path) -> str:
    if (folder / "integrated.h5mu").is_file():
        return f"this is a run folder; give one of its modalities as {folder / 'integrated.h5mu'}:NAME"
    if any(folder.glob("matrix.mtx*")):
        return "read it with scanpy.read_10x_mtx and save it with .write_h5ad"
    files = [entry.name for entry in sorted(folder.iterdir()) if entry.suffix in {".h5ad", ".h5mu"}]
    return f"give the file itself; there are: {listed(files)}" if files else "give the .h5ad file itself"


def _remedy_for_missing(file: Path) -> str:
    folder = file.parent
    if not folder.is_dir():
        return f"check the path: the folder {folder} does not exist"
    try:
        names = [entry.name for entry in folder.iterdir() if entry.is_file()]
    except OSError:
        names = []
    if near(file.name, names):
        return f"check the path{did_you_mean(file.name, names)}"
    files = [entry for entry in names if entry.endswith((".h5ad", ".h5mu"))]
    return f"check the path; .h5ad and .h5mu files in that folder: {listed(files)}"


def _modality_group(handle: Any, modality: str, file: Path, name: str) -> Any:
    if "mod" not in handle:
        raise InputError(
            "is not a MuData file: it has no modalities",
            where=_where(file, name),
            remedy=f"give the file without ':{modality}' if it is an .h5ad file",
        )
    known = list(handle["mod"])
    if modality not in known:
        raise InputError(
            f"has no modality {modality!r}{did_you_mean(modality, known)}",
            where=_where(file, name),
            remedy=f"name one of its modalities ({listed(known)}) after a colon, such as {file.name}:rna",
        )
    return handle["mod"][modality]


def _check_is_anndata(group: Any, file: Path, name: str) -> None:
    """Raise if an HDF5 file is of another kind."""
    if "obs" in group and "var" in group and "mod" not in group:
        return
    if "mod" in group:
        what, remedy = (
            "is a MuData file",
            f"name one of its modalities ({listed(group['mod'])}), such as {file}:rna",
        )
        if file.suffix != ".h5mu":
            remedy = f"rename it to end in .h5mu, then {remedy}"
    elif "matrix" in group and ("shape" in group["matrix"] or "barcodes" in group["matrix"]):
        what, remedy = "is a Cell Ranger file", "read it with scanpy.read_10x_h5 and save it with .write_h5ad"
    elif "row_attrs" in group:
        what, remedy = "is a Loom file", "read it with scanpy.read_loom and save it with .write_h5ad"
    else:
        what, remedy = f"is an HDF5 file without obs and var (it holds: {listed(group)})", _TO_H5AD
    raise InputError(f"{what}, not an .h5ad file", where=_where(file, name), remedy=remedy)


def _opened(file: Path) -> Any:
    """Open an HDF5 file or a zarr store, which stays open as long as something of it is held."""
    if not file.is_dir():
        return h5py.File(file, "r")
    import zarr

    return zarr.open_group(file, mode="r")


def _read(group: Any, whole: Path | None) -> AnnData:
    """Read an AnnData from a group, or an HDF5 file as a whole, of which older forms are known too."""
    from anndata import read_h5ad
    from anndata.io import read_elem

    if whole is not None and whole.is_file():
        return read_h5ad(whole)
    adata: AnnData = read_elem(group)
    return adata


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep AnnData from warning of old formats and repeated names; names are checked later, with a remedy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _explained(file: Path, name: str) -> Iterator[None]:
    """Turn whatever HDF5 and AnnData raise on a file into one error; no other error is expected there."""
    try:
        yield
    except InputError:
        raise
    except MemoryError as error:
        raise InputError(
            "does not fit into memory",
            where=_where(file, name),
            remedy="use a machine with more, or fewer cells",
        ) from error
    except Exception as error:
        raise _unreadable(error, file, name) from error


def _unreadable(error: Exception, file: Path, name: str) -> InputError:
    text = " ".join(_chain(error)).lower()
    where = _where(file, name)
    if "truncated file" in text:
        return InputError(
            "is truncated: its end is missing",
            where=where,
            remedy="copy or download the file again, and compare its size with the original",
        )
    if "unable to lock file" in text:
        return InputError(
            "is in use by another program",
            where=where,
            remedy="close the program that has it open for writing",
        )
    if "no read method registered" in text or "unknown encoding" in text:
        return InputError(
            "was written by a newer version of AnnData than the one installed here",
            where=where,
            remedy="update it with: pip install --upgrade anndata",
        )
    reason = next(iter(str(error).strip().splitlines()), "no reason given")
    return InputError(
        f"cannot be read, it seems to be damaged ({type(error).__name__}: {reason})",
        where=where,
        remedy="copy the file again, or open it with anndata.read_h5ad where it was made and save it anew",
    )


def _chain(error: BaseException | None) -> Iterator[str]:
    while error is not None:
        yield f"{type(error).__name__} {error}"
        error = error.__cause__ or error.__context__
