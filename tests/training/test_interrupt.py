"""Signals, and when checkpoints are saved."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from omicsglue.training.checkpoint import Checkpoint
from omicsglue.training.interrupt import CheckpointKeeper, Interrupted, Signals, listening
from omicsglue.training.state import StageState


@dataclass
class FakeStage:
    state: StageState = field(default_factory=StageState)

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(0, "pretrain", self.state.step, {"x": torch.zeros(1)}, {})


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_request_and_handlers_are_put_back(number: signal.Signals) -> None:
    before = handlers()
    with listening() as heard:
        assert not heard.asked
        assert handlers() != before
        signal.raise_signal(number)
        assert heard.asked
    assert handlers() == before


def test_handlers_are_put_back_after_an_error() -> None:
    before = handlers()
    with pytest.raises(ZeroDivisionError), listening():
        raise ZeroDivisionError
    assert handlers() == before


def test_a_second_ctrl_c_does_not_wait() -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    before = handlers()
    with pytest.raises(KeyboardInterrupt), listening():
        twice()
    assert handlers() == before


def test_a_second_sigterm_changes_nothing() -> None:
    with listening() as heard:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert heard.asked


def test_outside_the_main_thread_nothing_changes() -> None:
    before, seen = handlers(), []

    def work() -> None:
        with listening() as heard:
            seen.append((handlers(), heard.asked))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, False)]


def saved_at(folder: Path, keeper: CheckpointKeeper, *, length: int = 3, steps: int = 9) -> list[int]:
    """Return the steps after which a checkpoint appeared; epochs have so many steps."""
    found, stage = [], FakeStage()
    for step in range(1, steps + 1):
        stage.state.step, stage.state.epoch_steps = step, step % length
        stage.state.finished = step == steps
        keeper(stage)
        if (folder / f"0-pretrain-{step:07d}.safetensors").exists():
            found.append(step)
    return found


def test_without_minutes_every_epoch_is_saved(tmp_path: Path) -> None:
    assert saved_at(tmp_path, CheckpointKeeper(tmp_path, Signals(), minutes=0)) == [3, 6, 9]


def test_within_the_minutes_only_the_end_is_saved(tmp_path: Path) -> None:
    assert saved_at(tmp_path, CheckpointKeeper(tmp_path, Signals(), minutes=10)) == [9]


def test_a_long_epoch_is_saved_in_its_middle(tmp_path: Path) -> None:
    keeper = CheckpointKeeper(tmp_path, Signals(), minutes=1e-9)
    assert saved_at(tmp_path, keeper) == list(range(1, 10))


def test_a_request_saves_and_stops_at_once(tmp_path: Path) -> None:
    signals = Signals()
    keeper = CheckpointKeeper(tmp_path, signals, minutes=10)
    stage = FakeStage(StageState(step=4, epoch_steps=1))
    keeper(stage)
    assert not list(tmp_path.iterdir())
    signals.asked = True
    with pytest.raises(Interrupted):
        keeper(stage)
    assert [path.name for path in tmp_path.iterdir()] == ["0-pretrain-0000004.safetensors"]


def test_without_a_folder_a_request_stops_all_the_same(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        CheckpointKeeper(None, Signals(asked=True))(FakeStage())
    CheckpointKeeper(None, Signals(), minutes=0)(FakeStage())
