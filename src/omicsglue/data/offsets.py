"""Alignment of batches: how far each lies from the others in what the encoder sees, by mutual neighbours.

Two cells of different batches that are each among the other's nearest are held to be of one kind. What lies
between them in the mean over all such pairs is the offset between their batches. It is taken off every cell
of a batch alike, so that a batch moves as a whole: nothing within it changes, and a type that it has alone
stays as far from its other types as it was. Source of mutual nearest neighbours: Haghverdi et al. 2018, who
move each cell by itself (``docs/decisions/0020-batches-move-as-a-whole.md``).
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from omicsglue.data.encoder_input import EncoderInput
from omicsglue.data.groups import aligned_modalities
from omicsglue.data.modality import ModalityData
from omicsglue.errors import InputError, OmicsGlueWarning

Floats = npt.NDArray[np.float32]
Floats64 = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
NEIGHBOURS = 10  # of a cell in another batch, but at most a tenth of its cells
MOST_CELLS = 6000  # of all batches: more would not make a mean much more certain
TURNS = 8  # of finding neighbours and offsets, at most
SETTLED = 0.01  # change of the offsets, in relation to their size, at which they are found
DIVISIONS = 3  # random divisions of the cells, whose offsets are chance
CHANCE = 2.0  # times the mean square of such offsets, up to which a batch effect may be chance


def without_offsets(modalities: Mapping[str, ModalityData], asked: Sequence[str]) -> dict[str, ModalityData]:
    """Return modalities whose batches are aligned: the encoder's input less the offset of each batch.

    Parameters
    ----------
    modalities
        The data.
    asked
        Modalities whose batches are to be aligned, as for
        :func:`~omicsglue.data.groups.aligned_modalities`.

    Raises
    ------
    OptionError, InputError
        As :func:`~omicsglue.data.groups.aligned_modalities`, and if the encoder sees sparse data.

    Warns
    -----
    OmicsGlueWarning
        If batches of a modality differ by no more than chance; they are left as they are.
    """
    names = aligned_modalities({name: data.batches for name, data in modalities.items()}, asked)
    return {name: _aligned(data) if name in names else data for name, data in modalities.items()}


def dense(inputs: EncoderInput, where: str) -> Floats:
    """Return what the encoder sees, which must be an array for offsets to be taken off.

    Raises
    ------
    InputError
        If it sees sparse data.
    """
    if sp.issparse(inputs):
        raise InputError(
            "batches are aligned in a representation, and the encoder sees log-normalised counts",
            where=where,
            remedy="compute one, such as og.pp.pca or og.pp.lsi, and name it in the setup",
        )
    return np.asarray(inputs)


def _aligned(data: ModalityData) -> ModalityData:
    offsets = batch_offsets(dense(data.inputs, data.name), data.batch, len(data.batches))
    if not offsets.any():
        warnings.warn(
            f"{data.name}: its batches differ by no more than chance, so they are not aligned\n  -> nothing "
            "need be done; align_batches may be left out for this modality",
            OmicsGlueWarning,
            stacklevel=2,
        )
    return data.less(offsets)


def batch_offsets(x: Floats, batch: Ints, batches: int) -> Floats:
    """Return how far each batch lies from the others, by cells that are mutual nearest neighbours.

    Neighbours are sought by the cosine seen from the mean of all cells, between each two batches, after the
    offsets found so far have been taken off; offsets are the least squares solution of the mean differences
    of all pairs of batches, each counted by its pairs of cells. The two are found in turn. Of more than 6,000
    cells, as many are drawn from each batch.

    Parameters
    ----------
    x
        Representation, ``(n, d)``.
    batch
        Code of each cell's batch, ``(n,)``.
    batches
        Number of batches.

    Returns
    -------
    float32, ``(batches, d)``; mean 0 over all cells. All are 0 where they are no larger than between random
    divisions of the cells into such batches.
    """
    rng = np.random.default_rng(0)
    rows = _drawn(batch, batches, rng)
    some, codes = x[rows].astype(np.float64), batch[rows]
    offsets = _offsets(some, codes, batches)
    rest = some - offsets[codes]
    chance = [_size(_offsets(rest, mixed, batches), mixed) for mixed in _divisions(codes, rng)]
    if _size(offsets, codes) <= CHANCE * np.mean(chance):
        offsets[:] = 0
    centre = np.bincount(batch, minlength=batches) @ offsets / len(batch)
    return (offsets - centre).astype(np.float32)


def _divisions(codes: Ints, rng: np.random.Generator) -> list[Ints]:
    return [rng.permutation(codes) for _ in range(DIVISIONS)]


def _size(offsets: Floats64, codes: Ints) -> float:
    """Return the mean square of the offsets over all cells."""
    return float(np.square(offsets[codes] - offsets[codes].mean(axis=0)).sum(axis=1).mean())


def _drawn(batch: Ints, batches: int, rng: np.random.Generator) -> Ints:
    """Return the rows of at most so many cells of each batch that all are not too many."""
    most = max(MOST_CELLS // batches, NEIGHBOURS)
    found = []
    for code in range(batches):
        rows = np.flatnonzero(batch == code)
        found.append(rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False)))
    return np.concatenate(found)


def _offsets(x: Floats64, codes: Ints, batches: int) -> Floats64:
    offsets = np.zeros((batches, x.shape[1]))
    rows = [np.flatnonzero(codes == code) for code in range(batches)]
    for _ in range(TURNS):
        found = _from_neighbours(x, x - offsets[codes], rows)
        change = _size(found - offsets, codes)
        offsets = found
        if change <= SETTLED**2 * _size(offsets, codes):
            break
    return offsets


def _from_neighbours(x: Floats64, moved: Floats64, rows: Sequence[Ints]) -> Floats64:
    """Return the offsets of which the differences of mutual neighbours, sought in ``moved``, tell."""
    centred = moved - moved.mean(axis=0)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = centred / np.where(length > 0, length, 1)
    ties, sums = np.zeros((len(rows), len(rows))), np.zeros((len(rows), x.shape[1]))
    for a, b in combinations(range(len(rows)), 2):
        first, second = mutual_neighbours(unit[rows[a]], unit[rows[b]])
        difference = (x[rows[a][first]] - x[rows[b][second]]).sum(axis=0)
        ties[a, b] = ties[b, a] = len(first)
        sums[a] += difference
        sums[b] -= difference
    return np.asarray(np.linalg.pinv(np.diag(ties.sum(axis=1)) - ties) @ sums)


def mutual_neighbours(one: Floats64, other: Floats64) -> tuple[Ints, Ints]:
    """Return the pairs of cells of two batches that are each among the nearest of the other.

    Parameters
    ----------
    one, other
        Cells of each, rows of length 1, ``(n, d)`` and ``(m, d)``.

    Returns
    -------
    Rows of the first and of the second, ``(pairs,)`` each.
    """
    cosine = one @ other.T
    first, second = np.nonzero(_highest(cosine, axis=1) & _highest(cosine, axis=0))
    return first, second


def _highest(values: Floats64, axis: int) -> npt.NDArray[np.bool_]:
    """Return which entries are among the highest along an axis: ten, but at most a tenth of its length."""
    length = values.shape[axis]
    marked = np.zeros(values.shape, dtype=bool)
    if values.size:
        number = min(NEIGHBOURS, max(length // 10, 1))
        order = np.argpartition(values, length - number, axis=axis)
        best = order.take(range(length - number, length), axis=axis)
        np.put_along_axis(marked, best, values=True, axis=axis)
    return marked
