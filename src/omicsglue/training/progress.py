"""What a run says while it works: a live bar, JSON lines, or nothing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress


class Reporter(Protocol):
    """Listens to the course of a run."""

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Hear that a stage begins, of so many epochs (``None`` where it has none), some done already."""

    def epoch(self, row: Mapping[str, float | int | str]) -> None:
        """Hear one row of the history."""

    def message(self, text: str) -> None:
        """Hear something worth telling."""

    def close(self) -> None:
        """Hear that the run has ended, well or badly."""


class Silent:
    """Says nothing."""

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Say nothing."""

    def epoch(self, row: Mapping[str, float | int | str]) -> None:
        """Say nothing."""

    def message(self, text: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Do nothing."""


@dataclass
class JsonLines:
    """One JSON object a line, for schedulers and log collectors."""

    stream: TextIO = field(default_factory=lambda: sys.stderr)

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Write that a stage begins."""
        self._write("stage", {"stage": name, "epochs": epochs, "done": done})

    def epoch(self, row: Mapping[str, float | int | str]) -> None:
        """Write a row of the history."""
        self._write("epoch", row)

    def message(self, text: str) -> None:
        """Write a message."""
        self._write("message", {"text": text})

    def close(self) -> None:
        """Write that the run has ended."""
        self._write("end", {})

    def _write(self, event: str, values: Mapping[str, Any]) -> None:
        self.stream.write(json.dumps({"event": event, "time": round(time.time(), 3), **values}) + "\n")
        self.stream.flush()


class LiveBar:
    """A live bar on a terminal with epoch, losses and time left; plain lines where output is not a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self.task: Any = None

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Open a bar for a stage with epochs, or write its name."""
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._stop()
        if epochs is None or not self.console.is_terminal:
            self.console.print(f"{name} ...", highlight=False)
            return
        columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()]
        self.bar = Progress(
            *columns, TextColumn("{task.fields[losses]}"), TimeRemainingColumn(), console=self.console
        )
        self.bar.start()
        self.task = self.bar.add_task(name, total=epochs, completed=done, losses="")

    def epoch(self, row: Mapping[str, float | int | str]) -> None:
        """Move the bar and show the losses that matter."""
        if self.bar is None:
            return
        shown = [("loss", "vae_loss"), ("validation", "val_vae_loss"), ("alignment", "align")]
        losses = "  ".join(f"{label} {float(row[key]):.4f}" for label, key in shown if key in row)
        self.bar.update(self.task, advance=1, losses=losses)

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self.console.print(text, highlight=False, markup=False)

    def close(self) -> None:
        """Take the bar down."""
        self._stop()

    def _stop(self) -> None:
        if self.bar is not None:
            self.bar.stop()
            self.bar = None
