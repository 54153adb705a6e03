"""Experimental batches across modalities: which are shared, and which modalities have some to align."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from omicsglue.data.columns import ONE_BATCH
from omicsglue.errors import InputError, OmicsGlueWarning, OptionError, examples
from omicsglue.suggest import did_you_mean

ALL = "all"

Batches = Mapping[str, Sequence[str]]
"""Names of the batches of each modality."""


def shared_batches(batches: Batches) -> tuple[str, ...]:
    """Return the names of the batches that two modalities or more have, in order of appearance."""
    found = [batch for names in batches.values() if tuple(names) != ONE_BATCH for batch in names]
    return tuple(batch for batch in dict.fromkeys(found) if found.count(batch) > 1)


def membership(batches: Sequence[str], shared: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return which shared batch each batch of a modality is.

    Parameters
    ----------
    batches
        Names of the modality's batches, in the order of their codes.
    shared
        Names of the S shared batches.

    Returns
    -------
    float32, ``(batches, S)``: 1 where the names are equal; a row of zeros for a batch that is not shared.
    """
    rows = [[float(batch == other) for other in shared] for batch in batches]
    return np.array(rows, dtype=np.float32).reshape(len(batches), len(shared))


def aligned_modalities(batches: Batches, asked: Sequence[str]) -> tuple[str, ...]:
    """Return the modalities whose batches are to be aligned: those asked for, or all that have several.

    Raises
    ------
    OptionError
        If one is unknown.
    InputError
        If one has a single batch, or none has several.
    """
    several = tuple(name for name, found in batches.items() if len(found) > 1)
    if tuple(asked) == (ALL,) and ALL not in batches:
        if not several:
            raise InputError(
                "no modality has two batches or more",
                where="align_batches",
                remedy="name the column of batches with batch_key, or leave the option out",
            )
        return several
    for name in asked:
        if name not in batches:
            raise OptionError(
                f"it names the modality {name!r}, which is not given{did_you_mean(name, list(batches))}",
                where="align_batches",
                remedy=f"name some of: {', '.join(batches)}, or {ALL}",
            )
        if name not in several:
            raise InputError(
                f"all cells of {name} are of one batch, so there is nothing to align",
                where="align_batches",
                remedy="name the column of batches with batch_key, or leave this modality out",
            )
    return tuple(name for name in batches if name in asked)


def check_batch_options(batches: Batches, *, shared: bool, align: Sequence[str]) -> None:
    """Check that batches are as the options suppose.

    Parameters
    ----------
    batches
        Names of the batches of each modality.
    shared
        Whether modalities are compared within the batches that they share.
    align
        Modalities whose batches are to be aligned.

    Raises
    ------
    InputError, OptionError
        As :func:`aligned_modalities`; and if batches shall be shared, but none is.

    Warns
    -----
    OmicsGlueWarning
        If batches shall be shared, and some are not.
    """
    aligned_modalities(batches, align)
    if not shared:
        return
    common = shared_batches(batches)
    if not common:
        own = "; ".join(f"{name} has {examples(found, 3)}" for name, found in batches.items())
        raise InputError(
            f"no batch is in two modalities ({own})",
            where="shared_batches",
            remedy="give each modality a batch_key, with the same names for the same batches, or leave the "
            "option out",
        )
    for name, found in batches.items():
        alone = [batch for batch in found if batch not in common]
        if alone:
            warnings.warn(
                f"{name}: no other modality has the batches {examples(alone, 3)}; the discriminator has "
                "nothing to compare their cells with\n  -> nothing need be done if they were measured in one "
                "modality; otherwise give the same batches the same names",
                OmicsGlueWarning,
                stacklevel=2,
            )
