"""What an error message says about names: those there are, and those that were perhaps meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def listed(names: Iterable[object], limit: int = 12) -> str:
    """Return the names there are, sorted, or ``none``.

    Parameters
    ----------
    names
        Keys, columns or options.
    limit
        How many to spell out.

    Examples
    --------
    >>> listed(["b", "a"])
    'a, b'
    >>> listed([])
    'none'
    """
    found = sorted(str(name) for name in names)
    if not found:
        return "none"
    rest = f", … ({len(found):,} in all)" if len(found) > limit else ""
    return ", ".join(found[:limit]) + rest


def near(name: str, known: Iterable[object], limit: int = 3) -> list[str]:
    """Return the known names most like a given one, best first, whatever their case.

    Parameters
    ----------
    name
        The name that is not known.
    known
        The names that are.
    limit
        How many to return at most.

    Examples
    --------
    >>> near("celltype", ["batch", "Cell_Type"])
    ['Cell_Type']
    """
    by_lower: dict[str, str] = {}
    for candidate in known:
        by_lower.setdefault(str(candidate).lower(), str(candidate))
    found = difflib.get_close_matches(name.lower(), by_lower, n=limit, cutoff=0.6)
    return [by_lower[lower] for lower in found]


def did_you_mean(name: str, known: Iterable[object]) -> str:
    """Return ``; did you mean 'x'?`` when a known name is like the given one, else nothing.

    Examples
    --------
    >>> did_you_mean("X_pac", ["X_pca"])
    "; did you mean 'X_pca'?"
    >>> did_you_mean("X_pac", [])
    ''
    """
    found = near(name, known, limit=2)
    return f"; did you mean {' or '.join(repr(each) for each in found)}?" if found else ""
