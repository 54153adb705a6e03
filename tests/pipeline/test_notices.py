"""Warnings are kept whatever the user's filters say, passed on once, and named after their modality."""

from __future__ import annotations

import warnings

import pytest

from omicsglue.errors import OmicsGlueWarning
from omicsglue.pipeline.notices import heard, named, quiet


def warn_thrice() -> list[str]:
    with heard() as said:
        for text in ("one", "two", "one"):
            warnings.warn(text, OmicsGlueWarning, stacklevel=1)
    return said


def test_warnings_are_kept_and_passed_on_once() -> None:
    with pytest.warns(OmicsGlueWarning) as caught:
        said = warn_thrice()
    assert said == ["one", "two"]
    assert [str(each.message) for each in caught] == ["one", "two"]


def test_the_users_filters_are_heeded() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore", OmicsGlueWarning)
        assert warn_thrice() == ["one", "two"]
    assert caught == []
    with warnings.catch_warnings():
        warnings.simplefilter("error", OmicsGlueWarning)
        with pytest.raises(OmicsGlueWarning, match="one"):
            warn_thrice()


def test_warnings_of_others_are_left_alone() -> None:
    with pytest.warns(DeprecationWarning, match="old"), heard() as said:
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    assert said == []
    with pytest.raises(DeprecationWarning), heard():  # an error, as in all tests
        warnings.warn("old", DeprecationWarning, stacklevel=1)


def warn_in_named_blocks() -> list[str]:
    with heard() as said:
        with named("rna"):
            for text in ("few genes", "rna: few cells", "rna.X: odd"):
                warnings.warn(text, OmicsGlueWarning, stacklevel=1)
        with quiet():
            warnings.warn("said before", OmicsGlueWarning, stacklevel=1)
    return said


def test_warnings_are_named_once() -> None:
    with pytest.warns(OmicsGlueWarning):
        said = warn_in_named_blocks()
    assert said == ["rna: few genes", "rna: few cells", "rna.X: odd"]
