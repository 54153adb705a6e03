"""Everything the package raises on purpose: what is wrong, where, and how to mend it.

Every message is written for the person who holds the data, not for the person who wrote the package.
"""

from __future__ import annotations

from collections.abc import Iterable


class OmicsGlueError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    what
        What is wrong, with the offending values.
    where
        The object, file, key or option at fault.
    remedy
        What the user can do about it.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str | None = None, remedy: str) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        lead = f"{where}: " if where else ""
        super().__init__(f"{lead}{what}\n  -> {remedy}")


class InputError(OmicsGlueError):
    """A file or an object given by the user cannot be used as it is."""


class OptionError(OmicsGlueError):
    """An option has a value that cannot be used."""


class AnnotationError(OmicsGlueError):
    """Features and the genome annotation do not fit together."""


class GraphError(OmicsGlueError):
    """The guidance graph is malformed or does not fit the data."""


class RunFolderError(OmicsGlueError):
    """A run folder cannot be written, read or resumed."""


class ModelFileError(OmicsGlueError):
    """A saved model or checkpoint is damaged or of another version."""


class NotTrainedError(OmicsGlueError):
    """A result was asked of a model that has not been trained."""


class TrainingError(OmicsGlueError):
    """Training failed after it had started."""

    exit_code = 3


class OmicsGlueWarning(UserWarning):
    """Something that does not stop the work but that its owner should know."""


def examples(values: Iterable[object], limit: int = 5) -> str:
    """Return the first few values and how many there are in all.

    Parameters
    ----------
    values
        Offending values, in the order in which they were met.
    limit
        How many to spell out.

    Examples
    --------
    >>> examples(["a", "b", "c"], limit=2)
    'a, b, … (3 in all)'
    >>> examples(["a"])
    'a'
    """
    found = [str(value) for value in values]
    if len(found) <= limit:
        return ", ".join(found)
    return f"{', '.join(found[:limit])}, … ({len(found):,} in all)"
