"""Shares of the cells: those held out, and those of processes that train together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from omicsglue.data.pairing import Pairing
from omicsglue.errors import OptionError

Rows = npt.NDArray[np.int64]
FEWEST = 2  # cells of a modality in a minibatch: batch normalisation can make nothing of one
MOST_HELD_OUT = 8192  # cells of a modality: more would tell no more


def number_held_out(cells: int, fraction: float) -> int:
    """Return how many cells of a modality are held out: a fraction, rounded up, within limits.

    Parameters
    ----------
    cells, fraction
        Number of cells, and the share to hold out.
    """
    return max(min(int(np.ceil(cells * fraction)), MOST_HELD_OUT, cells - 2), 0)


def shards(rows: Mapping[str, Rows], number: int, pairing: Pairing | None = None) -> list[dict[str, Rows]]:
    """Share out the rows of each modality, in runs, so that data on disk are read in runs too.

    Every minibatch takes equally many cells of each share, so that runs of one kind of cells do no harm.
    Shares differ by a cell at most; with joint cells, which go together, they may differ by more.

    Parameters
    ----------
    rows
        Rows of each modality, sorted.
    number
        How many shares.
    pairing
        Joint cells: a cell's partners go to one share.

    Raises
    ------
    OptionError
        If a share would have fewer than two cells of a modality.
    """
    if pairing is None:
        parts = {name: np.array_split(each, number) for name, each in rows.items()}
    else:
        parts = _together(rows, number, pairing)
    for name, each in parts.items():
        if min(map(len, each)) < FEWEST:
            raise OptionError(
                f"{len(rows[name]):,} cells of {name} are too few to train {number} processes: each needs at "
                f"least {FEWEST} of its own",
                where="--devices",
                remedy="use fewer devices",
            )
    return [{name: each[rank] for name, each in parts.items()} for rank in range(number)]


def _together(rows: Mapping[str, Rows], number: int, pairing: Pairing) -> dict[str, list[Rows]]:
    """Share out the largest modality in runs; the others follow their partners, and fill up."""
    owner = np.full(pairing.count + 1, -1, dtype=np.int64)  # of each joint cell; open as the last
    parts = {}
    for name in sorted(rows, key=lambda name: -len(rows[name])):
        joint = pairing.joint[name][rows[name]]
        share = owner[joint]
        room = np.array([len(part) for part in np.array_split(share, number)])
        room -= np.bincount(share[share >= 0], minlength=number)
        free = np.flatnonzero(share < 0)
        share[free] = np.repeat(np.arange(number), room.clip(0))[: len(free)]
        owner[joint[joint >= 0]] = share[joint >= 0]
        parts[name] = [rows[name][share == rank] for rank in range(number)]
    return {name: parts[name] for name in rows}
