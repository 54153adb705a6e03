"""Ctrl-C and a scheduler's SIGTERM, heard between steps so that nothing is lost."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from omicsglue.training.checkpoint import save_checkpoint

if TYPE_CHECKING:
    from omicsglue.training.loop import Stage


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop, and did so between two steps; its state is saved where it has a folder."""


@dataclass
class Signals:
    """Whether somebody has asked the run to stop."""

    asked: bool = False


@contextmanager
def listening() -> Iterator[Signals]:
    """Turn SIGINT and SIGTERM into a request that is heard between steps; handlers are put back afterwards.

    A second SIGINT does not wait for the step to end. Signals can be handled in the main thread alone;
    elsewhere nothing changes.
    """
    heard = Signals()
    if threading.current_thread() is not threading.main_thread():
        yield heard
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if heard.asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        heard.asked = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield heard
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@dataclass
class CheckpointKeeper:
    """Saves checkpoints between steps: at the end of a stage, every so often, and when asked to stop.

    Parameters
    ----------
    folder
        Where checkpoints go; ``None`` saves none.
    signals
        Whether the run has been asked to stop.
    run
        Digest of the run, by which its checkpoints are known again.
    minutes
        Time between checkpoints; 0 saves one after every epoch.
    """

    folder: Path | None
    signals: Signals
    run: str = ""
    minutes: float = 1.0
    last: float = field(default_factory=time.monotonic)

    def __call__(self, stage: Stage) -> None:
        """Do what is due after a step.

        Raises
        ------
        Interrupted
            If the run has been asked to stop; its state has been saved then.
        """
        open_epoch = stage.state.epoch_steps > 0
        due = time.monotonic() - self.last >= 60 * self.minutes if self.minutes else not open_epoch
        due, asked = self.folder is not None and due, self.signals.asked
        keeps, team = self.folder is not None, getattr(stage, "team", None)
        if team is not None:  # all processes do the same after the same step
            due, asked, keeps = team.ranks.any(due, asked, keeps)
        if keeps and (due or stage.state.finished or asked):
            checkpoint = stage.checkpoint()
            if self.folder is not None:
                save_checkpoint(self.folder, replace(checkpoint, run=self.run))
            if team is not None:
                team.wait()
            self.last = time.monotonic()
        if asked:
            raise Interrupted
