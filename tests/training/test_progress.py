"""What a run says: bars on a terminal, plain lines elsewhere, JSON lines, or nothing."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from omicsglue.training.progress import JsonLines, LiveBar, Reporter, Silent


def tell(reporter: Reporter, epochs: int = 50) -> None:
    """Tell a reporter the course of a run."""
    reporter.stage("read")
    reporter.stage("train", epochs)
    for epoch in range(1, epochs + 1):
        row: dict[str, Any] = {"stage": "train", "epoch": epoch, "vae_loss": 1 / epoch, "align": 0.5}
        reporter.epoch(row | {"val_vae_loss": float("nan") if epoch == 1 else 2 / epoch})
    reporter.message("a long message " * 20 + "[bold]with brackets[/bold]")
    reporter.close()
    reporter.close()


@pytest.fixture
def terminal() -> Iterator[tuple[LiveBar, io.StringIO]]:
    shown = io.StringIO()
    bar = LiveBar()
    bar.console = Console(file=shown, force_terminal=True, width=100, force_interactive=True)
    yield bar, shown
    bar.close()


def test_plain_lines_are_few_and_never_cut(capsys: pytest.CaptureFixture[str]) -> None:
    tell(LiveBar())
    out, told = capsys.readouterr()
    assert out == ""
    lines = told.splitlines()
    assert lines[:2] == ["read ...", "train, at most 50 epochs ..."]
    assert len(lines) == 2 + 10 + 1
    assert lines[2].startswith("train  epoch 5/50  loss 0.2000  validation 0.4000  alignment 0.5000  ")
    assert lines[-2].endswith("  0 s left")
    assert lines[-1] == "a long message " * 20 + "[bold]with brackets[/bold]"


def test_a_short_stage_has_a_line_for_every_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    tell(LiveBar(), 3)
    assert capsys.readouterr().err.count("train  epoch") == 3


def test_a_stage_that_goes_on_counts_from_where_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    bar = LiveBar()
    bar.stage("train", 10, done=8)
    bar.epoch({"stage": "train", "epoch": 9})
    assert "train  epoch 9/10" in capsys.readouterr().err


def test_on_a_terminal_there_is_a_live_bar(terminal: tuple[LiveBar, io.StringIO]) -> None:
    bar, shown = terminal
    bar.stage("train", 20, done=4)
    assert bar.bar is not None
    for epoch in range(5, 21):
        bar.epoch({"stage": "train", "epoch": epoch, "vae_loss": 3.5, "val_vae_loss": 4.25, "align": 0.5})
    (task,) = bar.bar.tasks
    assert (task.completed, task.total) == (20, 20)
    bar.message("said above the bar")
    bar.close()
    assert bar.bar is None
    for word in ("train", "20/20", "loss 3.5000", "validation 4.2500", "alignment 0.5000", "said above"):
        assert word in shown.getvalue()


def test_json_lines_are_objects_with_six_digits() -> None:
    stream = io.StringIO()
    reporter = JsonLines(stream)
    tell(reporter, 2)
    reporter.write("epoch", {"loss": 1 / 3, "step": 123456789})
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [each["event"] for each in said] == ["stage", "stage", "epoch", "epoch", "message", "epoch"]
    assert all(each["time"] > 1.6e9 for each in said)
    assert said[1] == said[1] | {"stage": "train", "epochs": 2, "done": 0}
    assert said[2]["val_vae_loss"] is None
    assert said[-1]["loss"] == 0.333333
    assert said[-1]["step"] == 123456789


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    tell(Silent())
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("spent", "epoch", "left"), [(10, 1, "1 min 30 s left"), (3, 9, "0 s left"), (8000, 5, "2 h 13 min left")]
)
def test_time_left_is_told_in_words(
    spent: float, epoch: int, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = LiveBar()
    bar.stage("train", 10)
    assert bar.course is not None
    bar.course.began -= spent
    bar.epoch({"epoch": epoch})
    assert capsys.readouterr().err.splitlines()[-1].endswith(left)


def numbers(step: int = 30) -> dict[str, Any]:
    """Where a stage of 4 epochs of 100 steps stands."""
    found = {"stage": "train", "epoch": step // 100 + 1, "epochs": 4, "step": step}
    found["epoch_share"] = step % 100 / 100
    pace = {"of": 400, "steps_per_second": 2.0, "cells_per_second": 512.0, "seconds_left": (400 - step) / 2}
    return {**found, **pace, "seconds": step / 2, "memory_bytes": 3 * 2**30}


def test_a_bar_moves_within_an_epoch(terminal: tuple[LiveBar, io.StringIO]) -> None:
    bar, shown = terminal
    bar.stage("train", 4)
    assert bar.bar is not None
    bar.step(numbers(130), dict)
    (task,) = bar.bar.tasks
    assert task.completed == pytest.approx(1.3)
    bar.close()
    for words in ("512 cells/s", "2 steps/s", "3.0 GiB", "2 min 15 s left", "1/4"):
        assert words in shown.getvalue()


def test_a_bar_pulses_where_there_is_nothing_to_count(terminal: tuple[LiveBar, io.StringIO]) -> None:
    bar, shown = terminal
    bar.stage("prepare")
    assert bar.bar is not None
    assert bar.bar.tasks[0].total is None
    bar.done("prepare", 95)
    assert bar.bar is None
    assert "prepare took 1 min 35 s, memory " in shown.getvalue()


def test_plain_lines_break_a_silence_within_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    bar = LiveBar()
    bar.stage("train", 4)
    bar.step(numbers(), lambda: {"vae_loss": 1.5})
    assert bar.course is not None
    bar.course.said -= 61
    for _ in range(2):
        bar.step(numbers(), lambda: {"vae_loss": 1.5})
    bar.close()
    (line,) = capsys.readouterr().err.splitlines()[1:]
    expected = "train  epoch 1/4  loss 1.5000  512 cells/s (2 steps/s)  3.0 GiB  3 min 5 s left"
    assert line == expected


def test_short_stages_are_not_worth_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    bar = LiveBar()
    bar.done("balance", 0.2)
    bar.done("prepare", 2.2)
    assert capsys.readouterr().err.count("took") == 1


def test_json_lines_break_a_silence_within_an_epoch() -> None:
    stream = io.StringIO()
    reporter = JsonLines(stream, every=30)
    reporter.stage("train", 4)
    reporter.step(numbers(), lambda: {"vae_loss": 1.5})
    reporter._last -= 31
    for _ in range(2):
        reporter.step(numbers(), lambda: {"vae_loss": 1.5})
    said = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [each["event"] for each in said] == ["stage", "progress"]
    assert said[1] == said[1] | numbers() | {"vae_loss": 1.5}


def test_json_lines_say_that_a_long_stage_is_alive_and_how_long_it_took() -> None:
    stream = io.StringIO()
    reporter = JsonLines(stream, every=0.02)
    reporter.stage("prepare")
    until = time.monotonic() + 20
    while stream.getvalue().count("progress") < 2 and time.monotonic() < until:
        time.sleep(0.01)
    reporter.done("prepare", 12.5)
    told = stream.getvalue()
    time.sleep(0.1)
    assert stream.getvalue() == told  # no beat after the end
    said = [json.loads(line) for line in told.splitlines()]
    assert [each["event"] for each in said[:3]] == ["stage", "progress", "progress"]
    assert said[-1] == said[-1] | {"event": "done", "stage": "prepare", "seconds": 12.5}
    beats = [each for each in said if each["event"] == "progress"]
    assert all(each["stage"] == "prepare" and each["memory_bytes"] > 0 for each in beats)
    assert beats[1]["seconds"] > beats[0]["seconds"] > 0
    reporter.stage("train", 4)  # which is counted
    reporter.close()
    reporter.stage("embed")
    beating = [thread for thread in threading.enumerate() if thread.name == "heartbeat"]
    reporter.close()
    for thread in beating:
        thread.join(timeout=20)
        assert not thread.is_alive()


def test_a_heart_that_is_closed_beats_no_more() -> None:
    stream = io.StringIO()
    reporter = JsonLines(stream, every=0.01)
    reporter.stage("read")
    reporter.close()
    time.sleep(0.05)
    told = stream.getvalue()
    time.sleep(0.05)
    assert stream.getvalue() == told
