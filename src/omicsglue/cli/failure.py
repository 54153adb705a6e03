"""What the command line says when something goes wrong, and the exit code that goes with it."""

from __future__ import annotations

import functools
import json
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TextIO

import typer

from omicsglue.cli.stopping import INTERRUPTED, ending_in_time
from omicsglue.errors import OmicsGlueError, OmicsGlueWarning

WRONG, FAILED = 2, 3
_PREFIX: Final = "\n  "


@dataclass(frozen=True)
class Speaker:
    """Errors and warnings on stderr: text, or one JSON object a line.

    Parameters
    ----------
    json_logs
        Write JSON.
    quiet
        Leave out warnings.
    """

    json_logs: bool = False
    quiet: bool = False

    def warn(self, text: str) -> None:
        """Say a warning."""
        if not self.quiet:
            self._say(f"warning: {text}", {"event": "warning", "text": text})

    def fail(self, event: str, code: int, notes: list[str], **parts: str | None) -> int:
        """Say an error (``what``, ``where``, ``remedy``), then return its exit code."""
        where = f"{parts['where']}: " if parts.get("where") else ""
        remedy = [f"-> {parts['remedy']}"] if parts.get("remedy") else []
        text = _PREFIX.join([f"{event}: {where}{parts['what']}", *remedy, *notes])
        self._say(text, {"event": event, **parts, "notes": notes, "exit_code": code})
        return code

    def stopped(self, what: str) -> int:
        """Say that the command was stopped, then return its exit code."""
        return self.fail("interrupted", INTERRUPTED, [], what=what)

    def _say(self, text: str, values: dict[str, Any]) -> None:
        if self.json_logs:
            text = json.dumps({**values, "time": round(time.time(), 3)}, ensure_ascii=False)
        print(text, file=sys.stderr, flush=True)


class Stopped(Exception):  # noqa: N818 (not an error)
    """A command was interrupted; in place of KeyboardInterrupt, which typer would answer by itself."""

    def __init__(self, cause: KeyboardInterrupt) -> None:
        super().__init__()
        self.notes: list[str] = getattr(cause, "__notes__", [])


def interruptible(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command whose interruption is told by :func:`run_guarded`."""

    @functools.wraps(command)
    def guarded(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except KeyboardInterrupt as interrupt:
            raise Stopped(interrupt) from None

    return guarded


def run_guarded(work: Callable[[], object], speaker: Speaker) -> int:
    """Do the work of a command line, and turn what it raises into a message and an exit code.

    Parameters
    ----------
    work
        Returns ``None`` or an exit code.
    speaker
        Says what went wrong.
    """
    try:
        with ending_in_time(speaker.stopped), _told(speaker):
            code = work()
        return code if isinstance(code, int) else 0
    except OmicsGlueError as error:
        notes = getattr(error, "__notes__", [])
        parts = {"what": error.what, "where": error.where, "remedy": error.remedy}
        return speaker.fail("error", error.exit_code, notes, **parts)
    except (Stopped, KeyboardInterrupt, typer.Abort) as stop:
        notes = getattr(stop, "notes", []) or ["the command was stopped"]
        return speaker.stopped("; ".join(notes))
    except OSError as error:
        what = f"{error.strerror or error}"
        remedy = "check the path, its permissions and the space on its disk"
        return speaker.fail("error", WRONG, [], what=what, where=error.filename, remedy=remedy)
    except Exception as error:
        return _unforeseen(error, speaker)


def _unforeseen(error: Exception, speaker: Speaker) -> int:
    """Tell a wrong option in typer's words, or a defect of the package with its traceback."""
    tell = getattr(error, "format_message", None)
    if tell is not None:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "omicsglue"
        return speaker.fail(
            "error", WRONG, [], what=str(tell()), where=command, remedy=f"see {command} --help"
        )
    notes = [*getattr(error, "__notes__", []), *"".join(traceback.format_exception(error)).splitlines()]
    remedy = "this is a defect of omicsglue: please report it with the lines below"
    what = f"{type(error).__name__}: {error}"
    return speaker.fail("error", FAILED, notes, what=what, where=None, remedy=remedy)


@contextmanager
def _told(speaker: Speaker) -> Iterator[None]:
    """Say the package's warnings; those of libraries are not for users."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, OmicsGlueWarning):
            speaker.warn(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("always", OmicsGlueWarning)
        warnings.showwarning = show
        yield
