"""Numbers of a run in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_SHOWN: Final = (("loss", "vae_loss"), ("validation", "val_vae_loss"), ("alignment", "align"))

Row = Mapping[str, float | int | str]


def losses_in_words(row: Row) -> str:
    """Return the losses that matter."""
    return "  ".join(f"{label} {float(row[key]):.4f}" for label, key in _SHOWN if key in row)


def pace_in_words(numbers: Row) -> str:
    """Return rate, memory and time left, as far as they are known."""
    parts = []
    if "cells_per_second" in numbers:
        steps = float(numbers["steps_per_second"])
        parts.append(f"{float(numbers['cells_per_second']):,.0f} cells/s ({steps:.3g} steps/s)")
    if "memory_bytes" in numbers:
        parts.append(bytes_in_words(int(numbers["memory_bytes"])))
    if "seconds_left" in numbers:
        parts.append(f"{duration(float(numbers['seconds_left']))} left")
    return "  ".join(parts)


def duration(seconds: float) -> str:
    """Return a time in hours, minutes and seconds, the largest two that count.

    Examples
    --------
    >>> [duration(seconds) for seconds in (4.4, 90, 8000)]
    ['4 s', '1 min 30 s', '2 h 13 min']
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def bytes_in_words(count: int) -> str:
    """Return a size in MiB, or in GiB from 1 GiB on.

    Examples
    --------
    >>> bytes_in_words(300 * 2**20), bytes_in_words(3 * 2**29)
    ('300 MiB', '1.5 GiB')
    """
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"
