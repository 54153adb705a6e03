"""SIGTERM at any moment: a command ends with exit code 130, in time, and goes on where it was."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from omicsglue import cli
from omicsglue.cli import app, stopping
from omicsglue.cli.failure import Speaker, run_guarded
from omicsglue.cli.stopping import ending_in_time, last_words

DEAF = """
import signal, sys, time
from omicsglue.cli import stopping
from omicsglue.cli.failure import Speaker, run_guarded
stopping.GRACE = 1.0

def work():
    for number in (signal.SIGINT, signal.SIGTERM):  # as deaf as a library that computes, or swallows it
        signal.signal(number, lambda *_: None)
    with stopping.last_words(lambda: "saved: much"):
        print("ready", flush=True)
        time.sleep(60)

sys.exit(run_guarded(work, Speaker(json_logs=True)))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_does_not_hear_is_ended_in_time(number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", DEAF], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    process.send_signal(number)
    _, told = process.communicate(timeout=60)
    assert time.monotonic() - began >= 0.9
    assert process.returncode == 130
    said = json.loads(told)
    assert (said["event"], said["what"], said["exit_code"]) == ("interrupted", "saved: much", 130)


def test_schedulers_that_kill_after_thirty_seconds_need_not() -> None:
    assert stopping.GRACE <= 27


@pytest.fixture
def foreground() -> Iterator[None]:
    """Hear Ctrl-C, which shells let their background jobs ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("foreground")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_hears_ends_at_once(
    number: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)]
    assert run_guarded(lambda: signal.raise_signal(number), Speaker()) == 130
    assert capsys.readouterr().err == "interrupted: the command was stopped\n"
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)] == before


def test_nothing_is_left_behind() -> None:
    wakeup = signal.set_wakeup_fd(-1)
    assert wakeup == -1
    with ending_in_time(print), last_words(str):
        (watching,) = [each for each in threading.enumerate() if each.name == "stopping"]
        assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
    watching.join(timeout=20)
    assert not watching.is_alive()
    assert signal.set_wakeup_fd(-1) == -1
    assert stopping._words == []


def test_a_signal_while_the_command_line_is_loaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(app, "run", lambda _: signal.raise_signal(signal.SIGTERM))
    try:
        with pytest.raises(SystemExit) as end:
            cli.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert end.value.code == 130
    assert capsys.readouterr().err.startswith("interrupted: ")


@pytest.mark.slow
def test_a_process_terminated_in_stage_after_stage_goes_on(arguments: list[str], tmp_path: Path) -> None:
    program = "from omicsglue.cli import main; main()"
    stages = {"read": "before", "prepare": "before", "train": "saved: ", "report": "saved: "}
    for stage, words in stages.items():
        process = subprocess.Popen(
            [sys.executable, "-c", program, *arguments, "--max-epochs", "30", "--json-logs", "--resume"],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        for line in process.stderr:
            said = json.loads(line)
            if said["event"] == "stage" and said["stage"] == stage:
                break
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=60)
        assert time.monotonic() - began < 30
        assert process.returncode == 130, (stage, rest)
        last = json.loads(rest.splitlines()[-1])
        assert last["event"] == "interrupted"
        assert words in last["what"], stage
        assert not list(tmp_path.rglob(".partial-*"))
