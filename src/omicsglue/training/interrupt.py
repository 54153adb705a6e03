"""When checkpoints are saved: every so often, and where a signal asks to stop, so that nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from omicsglue.training.checkpoint import save_checkpoint
from omicsglue.training.signals import Interrupted, Signals

if TYPE_CHECKING:
    from omicsglue.training.loop import Stage


WORK_PER_SAVING = 49  # so that saving takes at most a fiftieth of the time


@dataclass
class CheckpointKeeper:
    """Saves checkpoints between steps: at the end of a stage, every so often, and when asked to stop.

    While a stage is at work signals wait for the end of a step; before its first step and after its last
    they do not.

    Parameters
    ----------
    folder
        Where checkpoints go; ``None`` saves none.
    signals
        Whether the run has been asked to stop.
    run
        Digest of the run, by which its checkpoints are known again.
    minutes
        Time between checkpoints; more where saving them would take over a fiftieth of the time. 0 saves one
        after every epoch, however long that takes.
    guard
        Called before each is saved; raises where it must not be, such as when an input file has changed.
    """

    folder: Path | None
    signals: Signals
    run: str = ""
    minutes: float = 1.0
    guard: Callable[[], None] | None = None
    last: float = field(default_factory=time.monotonic)
    took: float = 0.0

    def answers(self) -> tuple[bool, bool, bool]:
        """Return whether a checkpoint is due by the clock, whether to stop, and whether checkpoints are kept.

        Of processes that train together the first one keeps them, and all do the same after the same step.
        """
        keeps = self.folder is not None
        wait = max(60 * self.minutes, self.took * WORK_PER_SAVING)
        late = keeps and time.monotonic() - self.last >= wait
        return late, self.signals.asked, keeps

    def __call__(self, stage: Stage) -> None:
        """Do what is due after a step.

        Raises
        ------
        Interrupted
            If the run has been asked to stop; its state has been saved then.
        """
        team = getattr(stage, "team", None)
        self.signals.patient = True
        late, asked, keeps = self.answers() if team is None else team.agreed
        due = late if self.minutes else stage.state.epoch_steps == 0
        if keeps and (due or stage.state.finished or asked):
            self._save(stage)
            if team is not None:
                team.wait()
        self.signals.patient = not stage.state.finished
        if asked:
            raise Interrupted

    def stopping(self) -> bool:
        """Whether the run has been asked to stop, so that long work had better be left for later."""
        return self.signals.asked

    def _save(self, stage: Stage) -> None:
        if self.folder is not None and self.guard is not None:
            self.guard()
        began = time.monotonic()
        checkpoint = stage.checkpoint()
        if self.folder is not None:
            save_checkpoint(self.folder, replace(checkpoint, run=self.run))
        self.last = time.monotonic()
        self.took = self.last - began
