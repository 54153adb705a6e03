"""Every bad input from the command line: exit code 2, one message with place and remedy, nothing written."""

from __future__ import annotations

from pathlib import Path

import pytest

from command_line_cases import (
    CASES,
    CommandCase,
    as_json,
    command,
    contents,
    made,
    spoken,
    unfinished,
    with_value,
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_bad_command_line_is_refused_in_one_message_and_writes_nothing(case: CommandCase) -> None:
    with made():
        arguments = case.make()
        before = contents(Path())
        code, out, told = spoken(arguments)
        after = contents(Path())
    assert code == 2, told
    assert out == ""
    errors = [line for line in told.splitlines() if line.startswith("error: ")]
    remedies = [line for line in told.splitlines() if line.startswith("  -> ") and len(line) > 10]
    assert len(errors) == 1
    assert remedies
    assert "Traceback" not in told
    for word in case.words:
        assert word in told
    assert after == before


@pytest.mark.parametrize("case", CASES[:60:6], ids=lambda case: case.title)
def test_with_json_logs_every_line_is_an_object(case: CommandCase) -> None:
    *_, last = as_json(case)
    assert last["event"] == "error"
    assert last["exit_code"] == 2
    assert last["what"]
    assert last["remedy"]
    assert "where" in last


def test_quiet_and_json_logs_exclude_each_other() -> None:
    with made():
        code, _, told = spoken(command("--quiet", "--json-logs"))
    assert code == 2
    assert "--quiet and --json-logs exclude each other" in told


def test_a_bad_input_leaves_the_run_that_was_to_be_replaced() -> None:
    with made():
        unfinished()
        Path("RUN/report.html").write_text("of the earlier run", encoding="utf-8")
        arguments = with_value(-2)
        before = contents(Path())
        for more in (["--overwrite"], ["--overwrite", "--seed=-1"], ["--overwrite", "--device=gpu"]):
            assert spoken([*arguments, *more])[0] == 2
        assert contents(Path()) == before
