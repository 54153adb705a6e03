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

    def answers(self) -> tuple[bool, bool, bool]:
        """Return whether a checkpoint is due by the clock, whether to stop, and whether checkpoints are kept.

        Of processes that train together the first one keeps them, and all do the same after the same step.
        """
        keeps = self.folder is not None
        late = keeps and time.monotonic() - self.last >= 60 * self.minutes
        return late, self.signals.asked, keeps

    def __call__(self, stage: Stage) -> None:
        """Do what is due after a step.

        Raises
        ------
        Interrupted
            If the run has been asked to stop; its state has been saved then.
        """
        team = getattr(stage, "team", None)
        late, asked, keeps = self.answers() if team is None else team.agreed
        due = late if self.minutes else stage.state.epoch_steps == 0
        if keeps and (due or stage.state.finished or asked):
            checkpoint = stage.checkpoint()
            if self.folder is not None:
                save_checkpoint(self.folder, replace(checkpoint, run=self.run))
            if team is not None:
                team.wait()
            self.last = time.monotonic()
        if asked:
            raise Interrupted
