"""What the workers of ``speed.py`` share: commands on stdin, answers on stdout, and blocks of timed steps.

Needs nothing but the standard library, because it runs in scglue's environment too. A command is one line of
JSON, ``{"do": name, ...}``; so is the answer, which holds ``error`` where something went wrong.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
Handler = Callable[..., Answer]


class Ended(Exception):  # noqa: N818 - not an error: the driver has seen enough
    """Raised out of a training loop when the last block has been timed."""


class Port:
    """Commands in, answers out; whatever a library prints goes to stderr instead."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def read(self) -> dict[str, Any] | None:
        """Return the next command, or nothing at the end of the input."""
        line = sys.stdin.readline()
        return json.loads(line) if line else None

    def answer(self, answer: Mapping[str, Any]) -> None:
        """Write one answer."""
        self._out.write(json.dumps(answer) + "\n")
        self._out.flush()

    def serve(self, handlers: Mapping[str, Handler]) -> None:
        """Carry out commands until the input ends; an exception becomes the answer."""
        while (command := self.read()) is not None:
            try:
                answer = handlers[command.pop("do")](**command)
            except Exception as error:
                traceback.print_exc()
                answer = {"error": f"{type(error).__name__}: {error}"}
            self.answer(answer)


class Blocks:
    """Times the steps of a training loop in blocks; between two blocks the loop stands still.

    Parameters
    ----------
    port
        Where commands come from: ``block`` (with ``steps``), ``end``, and those of ``others``.
    warmup
        Steps of the first block, which answers the command that began the training.
    others
        Further commands that may come between blocks.
    settle
        Called at the end of a block; waits for whatever still works in the background.
    """

    def __init__(
        self,
        port: Port,
        warmup: int,
        others: Mapping[str, Handler] | None = None,
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self.port, self.left, self.others, self.settle = port, warmup, others or {}, settle
        self.facts: Answer = {}
        self.times: list[float] = []
        self.last: float | None = None

    def step(self, *, counted: bool = True) -> None:
        """Take note of the end of a step; one with a validation pass around it is not counted."""
        now = time.perf_counter()
        if counted and self.last is not None:
            self.times.append(now - self.last)
            self.left -= 1
        while self.left <= 0:
            self.settle()
            self.port.answer({"times": self.times, "peak_bytes": peak_memory(), **self.facts})
            self._await_block()
        self.last = time.perf_counter()

    def _await_block(self) -> None:
        while True:
            command = self.port.read()
            name = "end" if command is None else command.pop("do")
            if command is None or name == "end":
                raise Ended
            if name == "block":
                self.times, self.left = [], int(command["steps"])
                return
            self.port.answer(self.others[name](**command))


def peak_memory() -> int:
    """Return the largest resident size of this process so far, in bytes.

    Linux's own record is preferred to ``ru_maxrss``, which a process inherits from the one that started it.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def versions(*packages: str) -> dict[str, str]:
    """Return the installed versions of packages, and Python's."""
    from importlib.metadata import version

    return {"python": sys.version.split()[0]} | {name: version(name) for name in packages}
