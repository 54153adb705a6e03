"""Whether the files that a run reads stay as they were while it is at work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omicsglue.errors import InputError
from omicsglue.io import sha256_of
from omicsglue.pipeline.files import paths_of


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
        By name a file or folder, or several in a tuple; what is neither is left out.
    """

    def __init__(self, given: Mapping[str, object]) -> None:
        self._paths = {
            (name, number): path
            for name, source in given.items()
            for number, path in enumerate(paths_of(source))
            if path.exists()
        }
        self._looks = {key: _look(path) for key, path in self._paths.items()}
        self._digests: dict[tuple[str, int], str] = {}

    def were_read(self, inputs: Mapping[str, Mapping[str, Any]]) -> None:
        """Take the digests of the record of a run for those of what was read.

        Parameters
        ----------
        inputs
            By name, with ``sha256``; of several files, with ``files`` that have one each.

        Raises
        ------
        InputError
            If a file has changed since the run began to read, so that nobody knows what was read.
        """
        for (name, number), look in self._looks.items():
            path = self._paths[name, number]
            if name in inputs and _look(path) != look:
                raise InputError(
                    f"the input {name} changed while it was read",
                    where=str(path),
                    remedy="wait until the file is complete, then run again",
                )
        self._digests = {
            (name, number): str(file["sha256"])
            for name, entry in inputs.items()
            for number, file in enumerate(entry.get("files", [entry]))
        }

    def check(self) -> None:
        """Check that all files still have the content that was read.

        Size, time of the last change and inode are compared; where they differ, the digest.

        Raises
        ------
        InputError
            If a file has another content, or is gone.
        """
        for key, digest in self._digests.items():
            if key not in self._paths:
                continue
            name, path = key[0], self._paths[key]
            if not path.exists():
                raise _changed(name, path, "is gone")
            now = _look(path)
            if now == self._looks[key]:
                continue
            if sha256_of(path) != digest:
                raise _changed(name, path, "has changed")
            self._looks[key] = now  # touched, or put back


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
