"""Rate, time left and memory of a stage at work."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from omicsglue import GLUE
from omicsglue.training import rate
from omicsglue.training.progress import Silent
from omicsglue.training.rate import Pace, resident_memory
from small import quick_recipe, small_graph


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(rate.time, "monotonic", lambda: now[0])
    return now


def test_rate_and_time_left_are_those_of_the_steps(clock: list[float]) -> None:
    pace = Pace(step=40, steps=1000, cells=256)
    clock[0] += 10
    found = pace.measured(60)
    assert (found["step"], found["of"]) == (60, 1000)
    assert found["steps_per_second"] == pytest.approx(2)
    assert found["cells_per_second"] == pytest.approx(512)
    assert found["seconds_left"] == pytest.approx(940 / 2)
    assert found["memory_bytes"] > 10 * 2**20


def test_without_a_step_there_is_no_rate(clock: list[float]) -> None:
    found = Pace(step=0, steps=10, cells=4).measured(0)
    assert set(found) == {"step", "of", "memory_bytes"}


def test_the_rate_is_that_of_the_last_minute_or_so(clock: list[float]) -> None:
    pace = Pace(step=0, steps=10_000, cells=1)
    step = 0
    for _ in range(300):  # slow at first
        clock[0], step = clock[0] + 1, step + 1
        pace.measured(step)
    for _ in range(300):
        clock[0], step = clock[0] + 1, step + 10
        pace.measured(step)
    assert pace.measured(step)["steps_per_second"] == pytest.approx(10)


def test_after_going_back_the_rate_is_measured_anew(clock: list[float]) -> None:
    pace = Pace(step=0, steps=1000, cells=1)
    clock[0] += 10
    pace.measured(100)
    clock[0] += 1
    assert "steps_per_second" not in pace.measured(50)
    clock[0] += 10
    assert pace.measured(150)["steps_per_second"] == pytest.approx(10)


def test_memory_is_that_of_now() -> None:
    before = resident_memory()
    held = np.ones(20_000_000)
    assert resident_memory() - before > 0.8 * held.nbytes
    del held
    assert resident_memory() - before < 80_000_000


class Listener(Silent):
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.rows: list[dict[str, Any]] = []
        self.ended: list[str] = []

    def step(self, numbers: Mapping[str, Any], losses: Callable[[], Mapping[str, float]]) -> None:
        self.steps.append({**numbers, **losses()})

    def epoch(self, row: Mapping[str, Any]) -> None:
        self.rows.append(dict(row))

    def done(self, name: str, seconds: float) -> None:
        self.ended.append(name)


def test_a_stage_tells_of_itself_within_its_epochs(
    small_pair: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate, "TICK", 0.0)
    heard = Listener()
    model = GLUE(small_pair, small_graph(small_pair), quick_recipe(2))
    model.train(device="cpu", reporter=heard)
    inside = [each for each in heard.steps if each["stage"] == "train" and 0 < each["epoch_share"] < 1]
    assert {each["step"] for each in inside} == {1, 2, 3, 4, 6, 7, 8, 9}
    assert {(each["step"], each["epoch"], each["epoch_share"]) for each in inside} >= {
        (2, 1, 0.4),
        (8, 2, 0.6),
    }
    assert all(each["of"] == 10 and each["cells_per_second"] > 0 for each in inside)
    assert all(each["vae_loss"] > 0 for each in inside)
    assert all(each["seconds_left"] > 0 for each in inside)
    assert [row["step"] for row in heard.rows] == [5, 10, 5, 10]
    assert all(row["memory_bytes"] > 0 for row in heard.rows)
    assert heard.ended == ["pretrain", "balance", "train"]
    assert "memory_bytes" not in model.history


def test_the_reporter_is_told_twice_a_second_at_most(
    small_pair: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate, "TICK", 1e9)
    heard = Listener()
    model = GLUE(small_pair, small_graph(small_pair), quick_recipe(2))
    model.train(device="cpu", reporter=heard)
    assert heard.steps == []
