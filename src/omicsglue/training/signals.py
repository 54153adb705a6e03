"""Ctrl-C and a scheduler's SIGTERM: stop at once, or a request that waits for the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop; if it was training, its state is saved where it has a folder."""


@dataclass
class Signals:
    """Whether somebody has asked the run to stop, and whether that has to wait for the end of a step.

    Attributes
    ----------
    asked
        Whether a signal has come.
    patient
        Let the work at hand come to its end, and leave it to whoever asks to stop; otherwise a signal stops
        it at once.
    """

    asked: bool = False
    patient: bool = False

    def heed(self) -> None:
        """Stop if that was asked: some libraries swallow what a signal raises inside them.

        Raises
        ------
        Interrupted
            If the run has been asked to stop.
        """
        if self.asked:
            raise Interrupted


@contextmanager
def listening() -> Iterator[Signals]:
    """Turn SIGINT and SIGTERM into :class:`Interrupted`, or a request; handlers are put back afterwards.

    A second SIGTERM changes nothing, so that what is being tidied up can be finished; a second SIGINT waits
    for nothing. Signals can be handled in the main thread alone; elsewhere nothing changes.
    """
    heard = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def ask(number: int, frame: FrameType | None) -> None:
        again, heard.asked = heard.asked, True
        if again and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not again and not heard.patient:
            raise Interrupted

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
