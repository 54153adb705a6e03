"""Files that appear whole or not at all.

Everything the package writes goes through :func:`atomic_path` or :func:`atomic_directory`: the content
is written under a hidden name beside its destination, flushed to the disk, and renamed when it is
complete. A reader never meets half a file, and a failure leaves what was there before.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from omicsglue.errors import InputError, RunFolderError

if TYPE_CHECKING:
    import pandas as pd

PathLike = str | os.PathLike[str]

PARTIAL_PREFIX: Final = ".partial-"
"""Beginning of the names of files that are being written; see :func:`remove_partial`."""

_REMEDIES: Final[Mapping[int, tuple[str, str]]] = {
    errno.ENOSPC: ("the disk is full", "free some space or choose an output on another disk, then run again"),
    errno.EDQUOT: (
        "your disk quota is used up",
        "free some space or choose an output on another disk, then run again",
    ),
    errno.EFBIG: (
        "the file would be larger than allowed",
        "raise the limit on file size (ulimit -f) or choose another disk",
    ),
    errno.EROFS: ("the file system is read-only", "choose an output folder that you may write to"),
    errno.EACCES: (
        "permission denied",
        "choose an output folder that you may write to, or change its permissions",
    ),
    errno.EPERM: (
        "permission denied",
        "choose an output folder that you may write to, or change its permissions",
    ),
    errno.ENAMETOOLONG: ("the name is too long", "choose a shorter name"),
    errno.ENOTDIR: ("a part of the path is a file, not a folder", "choose another output folder"),
    errno.EISDIR: ("it is a folder", "choose another name, or move the folder away"),
    errno.EIO: (
        "the disk reports an input/output error",
        "check the disk, or choose an output on another one",
    ),
}

# Libraries that write in their own way (HDF5, Arrow, safetensors) hide the error number in their text.
_PHRASES: Final = (
    ("no space left on device", errno.ENOSPC),
    ("disk quota exceeded", errno.EDQUOT),
    ("file too large", errno.EFBIG),
    ("read-only file system", errno.EROFS),
    ("permission denied", errno.EACCES),
)


@contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Give a temporary path to write to, and put the file in its place once it is complete.

    Parameters
    ----------
    path
        Where the file shall appear. A file already there is replaced, never written into.

    Yields
    ------
    pathlib.Path
        A path in the same folder with the same suffixes. The caller must create a file there.

    Raises
    ------
    RunFolderError
        If the folder is missing, cannot be written to, or the disk is full. As with any other exception
        inside the block, nothing is left behind and an older file at `path` is kept.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with atomic_path(folder / "a.txt") as temporary:
    ...     _ = temporary.write_text("whole")
    >>> (folder / "a.txt").read_text()
    'whole'
    """
    target = _destination(path)
    if target.is_dir():
        raise _refusal(target, errno.EISDIR)
    temporary = _partial_name(target)
    try:
        with _explained(target):
            _check_folder(target)
            yield temporary
            if not temporary.is_file():
                raise FileNotFoundError(
                    errno.ENOENT, "no file was written to the temporary path", str(temporary)
                )
            _flush(temporary)
            temporary.replace(target)
            _flush_folder(target.parent)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_directory(path: PathLike) -> Iterator[Path]:
    """Give a temporary folder to fill, and put it in its place once it is complete.

    Parameters
    ----------
    path
        Where the folder shall appear. A folder already there is replaced as a whole.

    Yields
    ------
    pathlib.Path
        An empty folder beside `path`.

    Raises
    ------
    RunFolderError
        As for :func:`atomic_path`.
    """
    target = _destination(path)
    if target.exists() and not target.is_dir():
        raise _refusal(target, errno.ENOTDIR)
    temporary = _partial_name(target)
    try:
        with _explained(target):
            _check_folder(target)
            temporary.mkdir()
            yield temporary
            for folder, _, files in os.walk(temporary):
                for name in files:
                    _flush(Path(folder, name))
                _flush_folder(Path(folder))
            _swap(temporary, target)
            _flush_folder(target.parent)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def remove_partial(folder: PathLike) -> int:
    """Remove what an interrupted process was writing in a folder (not in the folders below it).

    Parameters
    ----------
    folder
        A folder to which no other process is writing.

    Returns
    -------
    int
        How many files and folders were removed.
    """
    removed = 0
    for entry in sorted(Path(folder).glob(f"{PARTIAL_PREFIX}*")):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
        removed += 1
    return removed


def write_json(path: PathLike, content: object) -> None:
    """Write a JSON file atomically (UTF-8, indented, keys in the order given).

    Parameters
    ----------
    path
        Where to write.
    content
        Mappings, sequences, dataclasses, paths, NumPy scalars and arrays and plain values.
        Numbers that are not finite become ``null``, because JSON has no other way to say so.

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    TypeError
        If `content` holds something that has no JSON form.
    """
    text = json.dumps(_plain(content), indent=2, ensure_ascii=False, allow_nan=False)
    with atomic_path(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: PathLike) -> Any:
    """Read a JSON file.

    Raises
    ------
    RunFolderError
        If the file is missing, cannot be read or is damaged.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunFolderError(
            "no such file", where=str(path), remedy="check the path to the run folder"
        ) from error
    except OSError as error:
        raise RunFolderError(
            f"cannot be read ({error.strerror})", where=str(path), remedy="check the path and its permissions"
        ) from error
    except ValueError as error:
        raise RunFolderError(
            f"is not valid JSON ({error})",
            where=str(path),
            remedy="restore the file, or run again with --overwrite",
        ) from error


def write_parquet(path: PathLike, frame: pd.DataFrame, *, metadata: Mapping[str, str] | None = None) -> None:
    """Write a table as a Parquet file atomically; the index is not kept.

    Parameters
    ----------
    path
        Where to write.
    frame
        The table.
    metadata
        Further key-value pairs for the file's schema.

    Raises
    ------
    RunFolderError
        If the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame, preserve_index=False)
    if metadata:
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), **metadata})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_parquet(path: PathLike, *, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Read a Parquet file into a table.

    Parameters
    ----------
    path
        The file.
    columns
        The columns wanted; all of them by default.

    Raises
    ------
    RunFolderError
        If the file is missing, damaged, or lacks a column.
    """
    import pandas as pd
    import pyarrow as pa

    if not Path(path).is_file():
        raise RunFolderError("no such file", where=str(path), remedy="check the path to the run folder")
    try:
        frame = pd.read_parquet(path, columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowException) as error:
        reason = str(error).splitlines()[0]
        raise RunFolderError(
            f"is not a readable Parquet file ({reason})",
            where=str(path),
            remedy="restore the file, or write it again",
        ) from error
    missing = [column for column in columns or () if column not in frame.columns]
    if missing:
        raise RunFolderError(
            f"lacks the column {', '.join(missing)}",
            where=str(path),
            remedy="write the table again with its column names",
        )
    return frame


def sha256_of(path: PathLike) -> str:
    """Return the SHA-256 digest of a file as 64 hexadecimal digits, reading it in pieces.

    That of a folder is made of the names and digests of the files in it.

    Raises
    ------
    InputError
        If the file is missing or cannot be read.
    """
    if Path(path).is_dir():
        files = sorted(each for each in Path(path).rglob("*") if each.is_file())
        lines = [f"{each.relative_to(path).as_posix()} {sha256_of(each)}" for each in files]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"cannot be read ({error.strerror})", where=str(path), remedy="check the path and its permissions"
        ) from error


def _destination(path: PathLike) -> Path:
    """Return the path to replace: links are followed, so that a link stays a link."""
    target = Path(path)
    return target.resolve() if target.is_symlink() else target


def _partial_name(target: Path) -> Path:
    return target.with_name(f"{PARTIAL_PREFIX}{secrets.token_hex(4)}-{target.name}")


def _check_folder(target: Path) -> None:
    folder = target.parent
    if not folder.exists():
        raise RunFolderError(
            f"the folder {folder} does not exist",
            where=str(target),
            remedy="create the folder first, or correct the path",
        )
    if not folder.is_dir():
        raise _refusal(target, errno.ENOTDIR)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _refusal(target, errno.EACCES)


@contextmanager
def _explained(target: Path) -> Iterator[None]:
    """Turn the system's refusal to write `target` into an error that says so; let everything else pass."""
    try:
        yield
    except RunFolderError:
        raise
    except Exception as error:
        number = _refusal_number(error, target.parent)
        if number is None:
            raise
        raise _refusal(target, number) from error


def _refusal_number(error: BaseException | None, folder: Path) -> int | None:
    """Return the error number behind an exception if it speaks of writing in `folder`."""
    while error is not None:
        named = error.filename if isinstance(error, OSError) else None
        elsewhere = isinstance(named, str) and folder.resolve() not in Path(named).resolve().parents
        if not elsewhere:
            if isinstance(error, OSError) and error.errno in _REMEDIES:
                return error.errno
            text = str(error).lower()
            for phrase, number in _PHRASES:
                if phrase in text:
                    return number
        error = error.__cause__ or error.__context__
    return None


def _refusal(target: Path, number: int) -> RunFolderError:
    reason, remedy = _REMEDIES[number]
    return RunFolderError(
        f"cannot be written: {reason}{_space_left(target.parent)}", where=str(target), remedy=remedy
    )


def _space_left(folder: Path) -> str:
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return ""
    return f" ({free / 2**20:,.0f} MiB left on that disk)"


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Make a rename last; not every file system can, and then the rename is still atomic."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _swap(temporary: Path, target: Path) -> None:
    """Put a finished folder in its place; the older one goes only when the new one stands."""
    if not target.exists():
        temporary.rename(target)
        return
    older = _partial_name(target)
    target.rename(older)
    try:
        temporary.rename(target)
    except BaseException:
        older.rename(target)
        raise
    shutil.rmtree(older, ignore_errors=True)


def _plain(value: object) -> object:
    """Return a value made of the types that JSON knows."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        ordered = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return [_plain(item) for item in ordered]
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # NumPy scalars and arrays, pandas columns and indices
        return _plain(value.tolist())
    raise TypeError(f"{type(value).__name__} has no JSON form")
