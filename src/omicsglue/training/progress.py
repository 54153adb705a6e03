"""What a run says while it works: a live bar, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Row = Mapping[str, float | int | str]

LINES: Final = 10  # of a stage, where output is not a terminal
_SHOWN: Final = (("loss", "vae_loss"), ("validation", "val_vae_loss"), ("alignment", "align"))


class Reporter(Protocol):
    """Listens to the course of a run."""

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Hear that a stage begins, of so many epochs (``None`` where it has none), some done already."""

    def epoch(self, row: Row) -> None:
        """Hear one row of the history."""

    def message(self, text: str) -> None:
        """Hear something worth telling."""

    def close(self) -> None:
        """Hear that the run has ended, well or badly."""


class Silent:
    """Says nothing."""

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Say nothing."""

    def epoch(self, row: Row) -> None:
        """Say nothing."""

    def message(self, text: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass
class JsonLines:
    """One JSON object a line, for schedulers and log collectors.

    Every object has ``event`` (``stage``, ``epoch`` or ``message``) and ``time`` (seconds since 1970).

    Parameters
    ----------
    stream
        Where to write; stderr by default.
    """

    stream: TextIO = field(default_factory=lambda: sys.stderr)

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Write that a stage begins."""
        self.write("stage", {"stage": name, "epochs": epochs, "done": done})

    def epoch(self, row: Row) -> None:
        """Write a row of the history."""
        self.write("epoch", row)

    def message(self, text: str) -> None:
        """Write a message."""
        self.write("message", {"text": text})

    def close(self) -> None:
        """Do nothing: every line is complete by itself."""

    def write(self, event: str, values: Mapping[str, Any]) -> None:
        """Write one object, with six digits; numbers that are not finite become ``null``."""
        plain = {name: _json_number(value) for name, value in values.items()}
        line = {"event": event, "time": round(time.time(), 3), **plain}
        self.stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
        self.stream.flush()


class LiveBar:
    """On a terminal a live bar with epoch, losses and time left; elsewhere plain lines, some ten a stage."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.course: _Course | None = None

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Open a bar for a stage with epochs, or write its name."""
        self.close()
        if epochs is not None and self.console.is_interactive:
            self._open_bar(name, epochs, done)
            return
        self.course = None if epochs is None else _Course(name, epochs, done)
        length = "" if epochs is None else f", at most {epochs} epochs"
        self._say(f"{name}{length} ...")

    def epoch(self, row: Row) -> None:
        """Move the bar and show the losses that matter; off a terminal, write a line now and then."""
        if self.bar is not None and self.task is not None:
            self.bar.update(self.task, completed=int(row["epoch"]), losses=_losses(row))
        elif self.course is not None and self.course.is_due(int(row["epoch"])):
            self._say(self.course.line(row))

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self._say(text)

    def close(self) -> None:
        """Take the bar down."""
        if self.bar is not None:
            self.bar.stop()
        self.bar, self.task, self.course = None, None, None

    def _open_bar(self, name: str, epochs: int, done: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        losses = TextColumn("{task.fields[losses]}")
        self.bar = Progress(*columns, losses, TimeRemainingColumn(), console=self.console)
        self.bar.start()
        self.task = self.bar.add_task(name, total=epochs, completed=done, losses="")

    def _say(self, text: str) -> None:
        # Long lines are left to the terminal: a message that is cut in two cannot be searched for.
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)


@dataclass
class _Course:
    """Where a stage stands, for plain lines."""

    name: str
    epochs: int
    done: int
    began: float = field(default_factory=time.monotonic)

    def is_due(self, epoch: int) -> bool:
        """Whether a tenth of the stage ends with this epoch."""
        return epoch * LINES // self.epochs > (epoch - 1) * LINES // self.epochs

    def line(self, row: Row) -> str:
        """Return epoch, losses and the time that the rest takes at most."""
        epoch = int(row["epoch"])
        each = (time.monotonic() - self.began) / max(epoch - self.done, 1)
        left = _duration(each * (self.epochs - epoch))
        return f"{self.name}  epoch {epoch}/{self.epochs}  {_losses(row)}  {left} left"


def _losses(row: Row) -> str:
    return "  ".join(f"{label} {float(row[key]):.4f}" for label, key in _SHOWN if key in row)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _json_number(value: object) -> object:
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
