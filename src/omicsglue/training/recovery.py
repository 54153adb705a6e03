"""What training does about a loss that is no longer finite: it goes back, and on with half the learning rate.

The latest good state is kept in memory, and with checkpoints, so that a run that is resumed goes back to the
very state to which an uninterrupted one would have gone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from omicsglue.errors import OmicsGlueWarning, TrainingError
from omicsglue.training.checkpoint import Checkpoint, flatten, unflatten

if TYPE_CHECKING:
    from omicsglue.training.loop import Stage

APART: Final = 100  # steps at least between two states that are kept
ATTEMPTS: Final = 3
FACTOR: Final = 0.5
_KEPT: Final = "good"  # prefix of its tensors in a checkpoint, and key of its plain values
_CONSTANT: Final = "weight/"  # of the whole stage
_REPLACED: Final = ("order/", "sums", "generator")  # never changed in place, so that they need no copy


class NotFiniteError(TrainingError):
    """A loss, or a weight, is no longer a finite number.

    Parameters
    ----------
    names
        Of the losses.
    where
        Stage and step.
    """

    def __init__(self, names: Iterable[str], where: str, tried: str = "") -> None:
        self.names = tuple(names)
        super().__init__(
            f"the loss is no longer a finite number ({', '.join(self.names)}){tried}",
            where=where,
            remedy="lower the learning rate, or look for extreme values in the modality that is named",
        )


def place(stage: Stage) -> str:
    """Return where a stage stands, in words."""
    return f"stage {stage.name}, step {stage.state.step}"


class Recovery:
    """Keeps the latest good state of a stage, and goes back to it."""

    def __init__(self) -> None:
        self.kept: Checkpoint | None = None

    def begin(self, stage: Stage) -> None:
        """Keep the state in which a stage begins, and say again what befell an earlier part of the run."""
        for note in stage.state.notes:
            _say(note)
        if self.kept is None:
            self._keep(stage)

    def look(self, stage: Stage) -> None:
        """Keep a state whose losses have just been found finite, unless one was kept a moment ago.

        Raises
        ------
        NotFiniteError
            If its weights are not finite: the next losses would not be.
        """
        if self.kept is None or stage.state.step - self.kept.step < APART:
            return
        tensors = stage.snapshot().tensors
        if not all(_finite(value) for name, value in tensors.items() if not name.startswith(_CONSTANT)):
            raise NotFiniteError(["weights"], place(stage))
        self._keep(stage)

    def go_back(self, stage: Stage, trouble: NotFiniteError) -> None:
        """Put a stage back to its latest good state and halve its learning rate.

        Raises
        ------
        TrainingError
            If that has been done often enough.

        Warns
        -----
        OmicsGlueWarning
            That it was done; the words are kept in the state of the stage.
        """
        assert self.kept is not None
        done = stage.state.rollbacks
        if done >= ATTEMPTS:
            rate = stage.config.learning_rate * FACTOR**done
            tried = (
                f", also after going back {ATTEMPTS} times to the last good state and halving the learning "
                f"rate each time, to {rate:.3g}"
            )
            raise NotFiniteError(trouble.names, place(stage), tried) from trouble
        note = (
            f"{place(stage)}: the loss was no longer a finite number ({', '.join(trouble.names)}), so "
            f"training went back to step {self.kept.step} and goes on with half the learning rate "
            f"({done + 1} of {ATTEMPTS} times)"
        )
        notes = [*stage.state.notes, note]
        tensors = {name: value.clone() for name, value in self.kept.tensors.items()}
        stage.put_back(replace(self.kept, tensors=tensors))
        stage.state.rollbacks, stage.state.notes = done + 1, notes
        _say(note)

    def beside(self, now: Checkpoint) -> Checkpoint | None:
        """Return the good state to be saved with a state; ``None`` where it is that one."""
        return None if self.kept is None or self.kept.step == now.step else self.kept

    def restore(self, checkpoint: Checkpoint, own: Callable[[Checkpoint], Checkpoint]) -> None:
        """Take up the good state that a checkpoint holds, or take the checkpoint for it.

        Parameters
        ----------
        checkpoint
            Of the stage.
        own
            Returns this process's part of a checkpoint.
        """
        if _KEPT not in checkpoint.state:
            self.kept = _copied(own(checkpoint))
            return
        state = dict(checkpoint.state[_KEPT])
        counters = dict(state["counters"])
        counters["history"] = checkpoint.state["counters"]["history"][: counters["history"]]
        state["counters"] = counters
        tensors = unflatten(_KEPT, checkpoint.tensors)
        self.kept = own(replace(checkpoint, step=state.pop("step"), tensors=tensors, state=state))

    def _keep(self, stage: Stage) -> None:
        self.kept = _copied(stage.snapshot())


def with_good_state(now: Checkpoint, good: Checkpoint | None) -> Checkpoint:
    """Return a state as it is saved, with the latest good one where that is another."""
    if good is None:
        return now
    counters = good.state["counters"]
    rows = {"history": len(counters["history"])}  # the first so many of the rows that are there now
    state = {"step": good.step, **good.state, "counters": {**counters, **rows}}
    tensors = now.tensors | flatten(_KEPT, good.tensors)
    return replace(now, tensors=tensors, state={**now.state, _KEPT: state})


def _copied(checkpoint: Checkpoint) -> Checkpoint:
    """Return a copy that does not change with the stage, without what is the same in all of it."""
    tensors = {
        name: value if name.startswith(_REPLACED) else value.detach().clone()
        for name, value in checkpoint.tensors.items()
        if not name.startswith(_CONSTANT)
    }
    return replace(checkpoint, tensors=tensors, state=_plain_copy(checkpoint.state))


def _plain_copy(value: Any) -> Any:
    """Copy nested containers, whose rows are never changed once they are there."""
    if isinstance(value, Mapping):
        return {name: _plain_copy(each) for name, each in value.items()}
    return list(value) if isinstance(value, list) else value


def _finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(torch.isfinite(value).all())


def _say(note: str) -> None:
    """Warn in one place, so that Python shows the same words once."""
    warnings.warn(note, OmicsGlueWarning, stacklevel=1)
