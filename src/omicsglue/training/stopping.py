"""When to cut the learning rate and when to stop, judged by the validation loss."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class PlateauConfig:
    """Rules in steps, so that they mean the same for small and large data.

    Attributes
    ----------
    grace
        Steps before the rules apply (burn-in).
    plateau
        Steps without improvement after which the learning rate is cut.
    factor
        Factor of the cut.
    patience
        Steps without improvement after which training stops.
    tolerance
        Relative improvement that counts.
    """

    grace: int = 1000
    plateau: int = 500
    factor: float = 0.1
    patience: int = 1000
    tolerance: float = 1e-4


@dataclass
class Plateau:
    """State of the rules; feed it one loss an epoch."""

    config: PlateauConfig
    best: float = math.inf
    best_step: int = 0
    cut_step: int = 0
    rate: float = 1.0
    stop: bool = False

    def update(self, loss: float, step: int) -> None:
        """Take note of the validation loss after ``step`` steps."""
        if step <= self.config.grace:
            return
        if loss < self.best - self.config.tolerance * abs(self.best) or math.isinf(self.best):
            self.best, self.best_step = loss, step
            return
        if step - max(self.best_step, self.cut_step) >= self.config.plateau:
            self.rate, self.cut_step = self.rate * self.config.factor, step
        self.stop = step - self.best_step >= self.config.patience

    def state(self) -> dict[str, float]:
        """Return the state for a checkpoint."""
        values = asdict(self)
        del values["config"]
        return values

    def restore(self, state: dict[str, float]) -> None:
        """Continue from a saved :meth:`state`."""
        for key, value in state.items():
            setattr(self, key, value)
