"""Warnings of a run: named after the modality they speak of, and kept for the record."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from omicsglue.errors import OmicsGlueWarning


@contextmanager
def heard() -> Iterator[list[str]]:
    """Keep the package's warnings for the record, whatever the user's filters do with them.

    Each is passed on once, through those filters; warnings of others are passed on as they are.

    Yields
    ------
    The warnings so far; the list grows while the block runs.
    """
    said: list[str] = []
    filters, pass_on = list(warnings.filters), warnings.showwarning

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if not issubclass(category, OmicsGlueWarning):
            pass_on(message, category, filename, lineno, file, line)
        elif str(message) not in said:
            said.append(str(message))
            with warnings.catch_warnings():
                warnings.showwarning = pass_on
                warnings.filters[:] = filters  # type: ignore[index]  # a list; typed as any sequence
                warnings.warn_explicit(message, category, filename, lineno)

    with warnings.catch_warnings():
        warnings.simplefilter("always", OmicsGlueWarning)
        warnings.showwarning = show
        yield said


@contextmanager
def named(name: str) -> Iterator[None]:
    """Put the name of a modality before the package's warnings in the block, unless they begin with it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", OmicsGlueWarning)
        try:
            yield
        finally:
            kept = list(caught)
    for each in kept:
        if issubclass(each.category, OmicsGlueWarning):
            text = str(each.message)
            shown = text if text.startswith((f"{name}:", f"{name}.")) else f"{name}: {text}"
            warnings.warn(shown, OmicsGlueWarning, stacklevel=3)
        else:
            warnings.warn_explicit(each.message, each.category, each.filename, each.lineno)


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out the package's warnings of things that were said already."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", OmicsGlueWarning)
        yield
