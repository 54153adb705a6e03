"""How fast a stage goes, how long it will take, and how much memory the process holds."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING, Final

import psutil

if TYPE_CHECKING:
    from omicsglue.training.loop import Stage
    from omicsglue.training.progress import Reporter

TICK: Final = 0.5  # seconds between two words to the reporter
WINDOW: Final = 120  # ticks over which the rate is taken: the last minute, or more where steps are long

Numbers = dict[str, float | int | str]


def resident_memory() -> int:
    """Return how many bytes of memory this process holds at present."""
    return int(psutil.Process().memory_info().rss)


class Pace:
    """Measures a stage at work, and tells a reporter of it twice a second at most.

    Parameters
    ----------
    step
        Steps done before.
    steps
        Steps after which the stage ends at the latest.
    cells
        Cells of all modalities in a step.
    """

    def __init__(self, step: int, steps: int, cells: int) -> None:
        self.steps, self.cells = steps, cells
        self._told = time.monotonic()
        self._marks: deque[tuple[float, int]] = deque([(self._told, step)], maxlen=WINDOW)

    @classmethod
    def of(cls, stage: Stage) -> Pace:
        """Begin to measure a stage from where it stands."""
        size = stage.config.batch_size
        cells = sum(min(size, len(split.train)) for split in stage.data.splits.values())
        return cls(stage.state.step, stage.epochs * stage.epoch_length, cells)

    def tick(self, stage: Stage, reporter: Reporter) -> None:
        """Tell the reporter where the stage stands, unless that was done just now."""
        now = time.monotonic()
        if now - self._told < TICK:
            return
        self._told = now
        state = stage.state
        numbers: Numbers = {"stage": stage.name, "epoch": state.epoch + 1, "epochs": stage.epochs}
        numbers |= {"epoch_share": min(state.epoch_steps / stage.epoch_length, 1.0)}
        numbers |= {"seconds": state.elapsed.get(stage.name, 0.0), **self.measured(state.step)}
        reporter.step(numbers, stage.means)

    def measured(self, step: int) -> Numbers:
        """Return where a stage stands after so many steps.

        Returns
        -------
        ``step``, ``of`` (steps at most), ``steps_per_second`` and ``cells_per_second`` (over the last minute
        or so, validation included), ``seconds_left`` (at most; left out where there is no rate yet) and
        ``memory_bytes`` (held by the process).
        """
        now = time.monotonic()
        if step < self._marks[-1][1]:  # training went back
            self._marks.clear()
        if not self._marks or now - self._marks[-1][0] >= TICK:
            self._marks.append((now, step))
        began, first = self._marks[0]
        found: Numbers = {"step": step, "of": self.steps}
        if step > first and now > began:
            rate = (step - first) / (now - began)
            found |= {"steps_per_second": rate, "cells_per_second": rate * self.cells}
            found |= {"seconds_left": max(self.steps - step, 0) / rate}
        return found | {"memory_bytes": resident_memory()}
