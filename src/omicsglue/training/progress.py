"""What a run says while it works: a live bar, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import json
import math
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol, TextIO

from omicsglue.training.rate import resident_memory
from omicsglue.training.words import bytes_in_words, duration, losses_in_words, pace_in_words

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Row = Mapping[str, float | int | str]
Losses = Callable[[], Mapping[str, float]]

LINES: Final = 10  # of a stage, where output is not a terminal
QUIET_SECONDS: Final = 30.0  # after which JSON lines say that the run is alive
PLAIN_SECONDS: Final = 60.0  # and plain lines
TOLD_SECONDS: Final = 1.0  # stages that take less are not worth a plain line


class Reporter(Protocol):
    """Listens to the course of a run."""

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Hear that a stage begins, of so many epochs (``None`` where it has none), some done already."""

    def step(self, numbers: Row, losses: Losses) -> None:
        """Hear, twice a second at most, where a stage with epochs stands, and ask for its losses if wanted.

        ``numbers`` are those of :meth:`omicsglue.training.rate.Pace.measured`, with ``stage``, ``epoch`` (the
        one that is open), ``epochs``, ``epoch_share`` (how much of it is done) and ``seconds``.
        """

    def epoch(self, row: Row) -> None:
        """Hear one row of the history, with the numbers of ``Pace.measured``."""

    def done(self, name: str, seconds: float) -> None:
        """Hear that a stage has ended, and how long it took."""

    def message(self, text: str) -> None:
        """Hear something worth telling."""

    def close(self) -> None:
        """Hear that the run has ended, well or badly."""


class Silent:
    """Says nothing."""

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Say nothing."""

    def step(self, numbers: Row, losses: Losses) -> None:
        """Say nothing."""

    def epoch(self, row: Row) -> None:
        """Say nothing."""

    def done(self, name: str, seconds: float) -> None:
        """Say nothing."""

    def message(self, text: str) -> None:
        """Say nothing."""

    def close(self) -> None:
        """Do nothing."""


class Heartbeat:
    """Says every so often, from a thread of its own, for how long a stage without epochs has been at work."""

    def __init__(self, every: float, beat: Callable[[float], None]) -> None:
        self.every, self.beat = every, beat
        self._over: threading.Event | None = None

    def start(self) -> None:
        """Begin to count, in place of what was counted before."""
        self.stop()
        self._over = threading.Event()
        threading.Thread(target=self._work, args=(self._over,), daemon=True, name="heartbeat").start()

    def stop(self) -> None:
        """Say no more."""
        if self._over is not None:
            self._over.set()
        self._over = None

    def _work(self, over: threading.Event) -> None:
        began = time.monotonic()
        while not over.wait(self.every):
            self.beat(time.monotonic() - began)


@dataclass
class JsonLines:
    """One JSON object a line, for schedulers and log collectors.

    Every object has ``event`` (``stage``, ``progress``, ``epoch``, ``done`` or ``message``) and ``time``
    (seconds since 1970). ``progress`` comes where half a minute would pass in silence.

    Parameters
    ----------
    stream
        Where to write; stderr by default.
    every
        Seconds after which silence is broken.
    """

    stream: TextIO = field(default_factory=lambda: sys.stderr)
    every: float = QUIET_SECONDS
    _last: float = field(default_factory=time.monotonic, init=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _name: str = field(default="", init=False)

    def __post_init__(self) -> None:
        """Prepare to say that a stage without epochs is still at work."""
        self._heart = Heartbeat(self.every, self._alive)

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Write that a stage begins."""
        self._heart.stop()
        self._name = name
        self.write("stage", {"stage": name, "epochs": epochs, "done": done})
        if epochs is None:
            self._heart.start()

    def step(self, numbers: Row, losses: Losses) -> None:
        """Write where the stage stands, if nothing was written for a while."""
        if time.monotonic() - self._last >= self.every:
            self.write("progress", {**numbers, **losses()})

    def epoch(self, row: Row) -> None:
        """Write a row of the history."""
        self.write("epoch", row)

    def done(self, name: str, seconds: float) -> None:
        """Write how long a stage took."""
        self._heart.stop()
        self.write("done", {"stage": name, "seconds": seconds, "memory_bytes": resident_memory()})

    def message(self, text: str) -> None:
        """Write a message."""
        self.write("message", {"text": text})

    def close(self) -> None:
        """Break no further silence; every line is complete by itself."""
        self._heart.stop()

    def write(self, event: str, values: Mapping[str, Any]) -> None:
        """Write one object, with six digits; numbers that are not finite become ``null``."""
        plain = {name: _json_number(value) for name, value in values.items()}
        line = {"event": event, "time": round(time.time(), 3), **plain}
        text = json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n"
        with self._lock:
            self._last = time.monotonic()
            self.stream.write(text)
            self.stream.flush()

    def _alive(self, seconds: float) -> None:
        memory = resident_memory()
        self.write("progress", {"stage": self._name, "seconds": seconds, "memory_bytes": memory})


class LiveBar:
    """On a terminal a live bar with epoch, losses, rate, memory and time left; elsewhere plain lines."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(stderr=True)
        self.bar: Progress | None = None
        self.task: TaskID | None = None
        self.course: _Course | None = None
        self._name = ""
        self._heart = Heartbeat(PLAIN_SECONDS, self._alive)

    def stage(self, name: str, epochs: int | None = None, done: int = 0) -> None:
        """Open a bar for a stage, or write its name."""
        self.close()
        self._name = name
        if self.console.is_interactive:
            self._open_bar(name, epochs, done)
            return
        self.course = None if epochs is None else _Course(name, epochs, done)
        length = "" if epochs is None else f", at most {epochs} epochs"
        self._say(f"{name}{length} ...")
        if epochs is None:
            self._heart.start()

    def step(self, numbers: Row, losses: Losses) -> None:
        """Move the bar within the epoch; off a terminal, write a line after a minute of silence."""
        if self.bar is not None and self.task is not None:
            completed = int(numbers["epoch"]) - 1 + float(numbers["epoch_share"])
            self.bar.update(self.task, completed=completed, pace=pace_in_words(numbers))
        elif self.course is not None and self.course.is_silent():
            self._say(self.course.line(numbers, losses()))

    def epoch(self, row: Row) -> None:
        """Move the bar and show the losses that matter; off a terminal, write a line now and then."""
        if self.bar is not None and self.task is not None:
            losses, pace = losses_in_words(row), pace_in_words(row)
            self.bar.update(self.task, completed=int(row["epoch"]), losses=losses, pace=pace)
        elif self.course is not None and self.course.is_due(int(row["epoch"])):
            self._say(self.course.line(row, row))

    def done(self, name: str, seconds: float) -> None:
        """Write how long a stage took, unless it was hardly worth the word."""
        self.close()
        if seconds >= TOLD_SECONDS:
            self._say(f"{name} took {duration(seconds)}, memory {bytes_in_words(resident_memory())}")

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self._say(text)

    def close(self) -> None:
        """Take the bar down."""
        self._heart.stop()
        if self.bar is not None:
            self.bar.stop()
        self.bar, self.task, self.course = None, None, None

    def _open_bar(self, name: str, epochs: int | None, done: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        if epochs is None:  # nothing to count: the bar pulses, and the time runs
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                TimeElapsedColumn(),
                console=self.console,
                transient=True,
            )
            self.task = self.bar.add_task(name, total=None)
        else:
            texts = [TextColumn(f"{{task.fields[{key}]}}") for key in ("losses", "pace")]
            self.bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                *texts,
                console=self.console,
            )
            self.task = self.bar.add_task(name, total=epochs, completed=done, losses="", pace="")
        self.bar.start()

    def _alive(self, seconds: float) -> None:
        memory = bytes_in_words(resident_memory())
        self._say(f"{self._name}  {duration(seconds)} so far, memory {memory}")

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
    said: float = field(default_factory=time.monotonic)

    def is_due(self, epoch: int) -> bool:
        """Whether a tenth of the stage ends with this epoch."""
        return epoch * LINES // self.epochs > (epoch - 1) * LINES // self.epochs

    def is_silent(self) -> bool:
        """Whether nothing was said for long."""
        return time.monotonic() - self.said >= PLAIN_SECONDS

    def line(self, numbers: Row, losses: Mapping[str, float | int | str]) -> str:
        """Return epoch, losses, rate, memory and the time that the rest takes at most."""
        self.said = time.monotonic()
        epoch = int(numbers["epoch"])
        if "seconds_left" not in numbers:
            done = epoch - 1 + float(numbers.get("epoch_share", 1))
            each = (time.monotonic() - self.began) / max(done - self.done, 1)
            numbers = {**numbers, "seconds_left": each * (self.epochs - done)}
        parts = [f"epoch {epoch}/{self.epochs}", losses_in_words(losses), pace_in_words(numbers)]
        return "  ".join([self.name, *parts])


def _json_number(value: object) -> object:
    if not isinstance(value, float):
        return value
    return float(f"{value:.6g}") if math.isfinite(value) else None
