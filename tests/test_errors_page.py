"""The page of bad inputs says what the package says."""

from __future__ import annotations

import pytest

from errors_page import CASES, PAGE, Case, answers, render

EVERY_CASE = [case for cases in CASES.values() for case in cases]


@pytest.mark.parametrize("case", EVERY_CASE, ids=lambda case: case.title)
def test_every_bad_input_has_an_answer_of_one_line(case: Case) -> None:
    found = list(answers(case))
    assert found
    for kind, message, _remedy in found:
        assert kind.endswith(("Error", "Warning"))
        assert kind != "OmicsGlueError"
        assert "Traceback" not in message


@pytest.mark.parametrize("case", EVERY_CASE, ids=lambda case: case.title)
def test_every_refusal_has_a_remedy(case: Case) -> None:
    for kind, _message, remedy in answers(case):
        assert remedy or kind.endswith("Warning")


def test_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == render(), "write the page anew with: make errors"
