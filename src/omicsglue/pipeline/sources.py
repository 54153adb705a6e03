"""Whether the files that a run reads stay as they were while it is at work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omicsglue.data.inputs import split_mudata
from omicsglue.errors import InputError
from omicsglue.io import sha256_of


class _Look(NamedTuple):
    """What tells at almost no cost that a file, or a folder of files, is the same as before."""

    files: int
    size: int
    modified: int
    inode: int


class Sources:
    """The files that a run reads, as they were when it began to read them.

    Parameters
    ----------
    given
        By name; what is no path of a file or folder is left out.
    """

    def __init__(self, given: Mapping[str, object]) -> None:
        paths = {name: split_mudata(each)[0] for name, each in given.items() if isinstance(each, str | Path)}
        self._paths = {name: path for name, path in paths.items() if path.exists()}
        self._looks = {name: _look(path) for name, path in self._paths.items()}
        self._digests: dict[str, str] = {}

    def were_read(self, inputs: Mapping[str, Mapping[str, Any]]) -> None:
        """Take the digests of the record of a run for those of what was read.

        Parameters
        ----------
        inputs
            By name, with ``sha256``.

        Raises
        ------
        InputError
            If a file has changed since the run began to read, so that nobody knows what was read.
        """
        for name, look in self._looks.items():
            if name in inputs and _look(self._paths[name]) != look:
                raise InputError(
                    f"the input {name} changed while it was read",
                    where=str(self._paths[name]),
                    remedy="wait until the file is complete, then run again",
                )
        self._digests = {name: str(entry["sha256"]) for name, entry in inputs.items()}

    def check(self) -> None:
        """Check that all files still have the content that was read.

        Size, time of the last change and inode are compared; where they differ, the digest.

        Raises
        ------
        InputError
            If a file has another content, or is gone.
        """
        for name, digest in self._digests.items():
            if name not in self._paths:
                continue
            path = self._paths[name]
            if not path.exists():
                raise _changed(name, path, "is gone")
            now = _look(path)
            if now == self._looks[name]:
                continue
            if sha256_of(path) != digest:
                raise _changed(name, path, "has changed")
            self._looks[name] = now  # touched, or put back


def _look(path: Path) -> _Look:
    status = path.stat()
    if not path.is_dir():
        return _Look(1, status.st_size, status.st_mtime_ns, status.st_ino)
    within = [each.stat() for each in path.rglob("*") if each.is_file()]
    latest = max((each.st_mtime_ns for each in within), default=0)
    return _Look(len(within), sum(each.st_size for each in within), latest, status.st_ino)


def _changed(name: str, path: Path, what: str) -> InputError:
    return InputError(
        f"the input {name} {what} since the run read it, so the run has stopped",
        where=str(path),
        remedy="put the file back as it was and resume, or start again with --overwrite",
    )
