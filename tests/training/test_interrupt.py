"""Signals, and when checkpoints are saved."""

from __future__ import annotations

import itertools
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch

from omicsglue.errors import InputError
from omicsglue.training.checkpoint import Checkpoint
from omicsglue.training.interrupt import CheckpointKeeper
from omicsglue.training.signals import Interrupted, Signals, listening
from omicsglue.training.state import StageState


@dataclass
class FakeStage:
    state: StageState = field(default_factory=StageState)

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(0, "pretrain", self.state.step, {"x": torch.zeros(1)}, {})


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_a_request_where_it_has_to_wait(number: signal.Signals) -> None:
    before = handlers()
    with listening() as heard:
        heard.patient = True
        assert not heard.asked
        assert handlers() != before
        signal.raise_signal(number)
        assert heard.asked
    assert handlers() == before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_at_once_where_nothing_has_to_wait(number: signal.Signals) -> None:
    before = handlers()
    with pytest.raises(Interrupted), listening():
        signal.raise_signal(number)
    assert handlers() == before


def test_handlers_are_put_back_after_an_error() -> None:
    before = handlers()
    with pytest.raises(ZeroDivisionError), listening():
        raise ZeroDivisionError
    assert handlers() == before


def test_a_second_ctrl_c_does_not_wait() -> None:
    def twice() -> None:
        with listening() as heard:
            heard.patient = True
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    before = handlers()
    with pytest.raises(KeyboardInterrupt) as stop:
        twice()
    assert not isinstance(stop.value, Interrupted)
    assert handlers() == before


@pytest.mark.parametrize("patient", [True, False])
def test_a_second_sigterm_changes_nothing(patient: bool) -> None:
    with listening() as heard:
        heard.patient = True
        signal.raise_signal(signal.SIGTERM)
        heard.patient = patient
        signal.raise_signal(signal.SIGTERM)
        assert heard.asked


def test_what_a_library_swallows_is_heeded_later() -> None:
    with listening() as heard:
        heard.heed()
        with suppress(KeyboardInterrupt):  # such as in a callback from C
            signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted):
            heard.heed()


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


def test_a_long_epoch_is_saved_in_its_middle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omicsglue.training.interrupt.WORK_PER_SAVING", 0)
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


def test_while_a_stage_is_at_work_signals_wait_and_else_they_do_not(tmp_path: Path) -> None:
    signals = Signals()
    keeper = CheckpointKeeper(tmp_path, signals)
    keeper(FakeStage(StageState(step=1, epoch_steps=1)))
    assert signals.patient
    keeper(FakeStage(StageState(step=2, finished=True)))
    assert not signals.patient
    assert not keeper.stopping()
    signals.asked = True
    assert keeper.stopping()


def test_what_must_not_be_saved_is_not_saved(tmp_path: Path) -> None:
    def refuse() -> None:
        raise InputError("it has changed", where="rna", remedy="restore it")

    keeper = CheckpointKeeper(tmp_path, Signals(asked=True), guard=refuse)
    with pytest.raises(InputError):
        keeper(FakeStage(StageState(step=1, epoch_steps=1)))
    assert not list(tmp_path.iterdir())


def test_saving_never_takes_over_a_fiftieth_of_the_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    saving, step = 3.0, 0.5

    def slow(folder: Path, checkpoint: Checkpoint) -> None:
        clock[0] += saving
        saved.append(clock[0])

    saved: list[float] = []
    monkeypatch.setattr("omicsglue.training.interrupt.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("omicsglue.training.interrupt.save_checkpoint", slow)
    keeper = CheckpointKeeper(tmp_path, Signals(), minutes=0.5, last=0.0)
    stage = FakeStage()
    for _ in range(4000):
        clock[0] += step
        stage.state.step += 1
        stage.state.epoch_steps = 1
        keeper(stage)
    assert saved[0] == pytest.approx(30 + saving)  # nothing is known of the cost yet
    between = [later - earlier for earlier, later in itertools.pairwise(saved)]
    assert len(between) > 5
    assert all(saving / each <= 0.02 for each in between)
    assert max(between) < saving * 51  # and no longer than that takes
