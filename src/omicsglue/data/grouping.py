"""Groups of like cells (metacells): k-means on a representation, kept to about one size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]
Values = npt.NDArray[np.floating]

COARSE: Final = 1000  # metacells of one k-means: for more, cells are parted coarsely first
_BATCH: Final = 4096  # cells of a step of mini-batch k-means
_SMALL, _LARGE = 0.25, 3.0  # of the mean size: smaller groups are dissolved, larger ones halved
_ROUNDS: Final = 20
_BLOCK: Final = 2**22  # distances computed at a time
_AXIS_CELLS: Final = 5000  # by which the axis is found along which a group is halved


def grouped_cells(x: Values, strata: Codes, number: int, *, seed: int = 0) -> Codes:
    """Group cells that lie together, never cells of two strata.

    Every stratum gets its share of the groups, one at least. Within it, mini-batch k-means; of more than
    1,000 groups, of coarse groups first and of each of these then. Groups of less than a quarter of the mean
    size are dissolved, their cells joining the nearest others, and as many of the largest are halved along
    their main axis, so that no group is empty and few are small or large.

    Parameters
    ----------
    x
        Representation of the cells, ``(n, d)``.
    strata
        Code of each cell's stratum from 0, each of which occurs, ``(n,)``.
    number
        Groups wanted: there are as many, unless there are more strata or fewer cells than that.
    seed
        Seed of the k-means; the number of threads does not matter.

    Returns
    -------
    Codes from 0, each of which occurs, ordered by stratum, int64, ``(n,)``.
    """
    from threadpoolctl import threadpool_limits

    order = np.argsort(strata, kind="stable")
    cuts = np.cumsum(np.bincount(strata))[:-1]
    parts = np.split(order, cuts)
    wanted = shared_out(number, np.array([len(part) for part in parts]))
    code: Codes = np.empty(len(x), dtype=np.int64)
    first = 0
    with threadpool_limits(1):  # sums over several threads would differ in their last bits
        for place, (rows, groups) in enumerate(zip(parts, wanted, strict=True)):
            found = _of_stratum(np.asarray(x[rows], dtype=np.float32), int(groups), [seed, place])
            code[rows] = first + found
            first += int(found.max()) + 1
    return code


def shared_out(number: int, sizes: Codes) -> Codes:
    """Share groups out in proportion to sizes, one at least to each and never more than it has cells.

    Parameters
    ----------
    number
        Groups in all.
    sizes
        Cells of each stratum, positive, ``(strata,)``.

    Examples
    --------
    >>> shared_out(10, np.array([90, 9, 1])).tolist()
    [8, 1, 1]
    """
    number = int(np.clip(number, len(sizes), sizes.sum()))
    wanted = number * sizes / sizes.sum()
    given: Codes = np.clip(np.floor(wanted).astype(np.int64), 1, sizes)
    while given.sum() != number:
        if given.sum() < number:
            given[np.argmax(np.where(given < sizes, wanted - given, -np.inf))] += 1
        else:
            given[np.argmin(np.where(given > 1, wanted - given, np.inf))] -= 1
    return given


def _of_stratum(x: npt.NDArray[np.float32], groups: int, seed: list[int]) -> Codes:
    """Return the groups of the cells of one stratum."""
    if groups >= len(x):
        return np.arange(len(x))
    if groups <= COARSE:
        return _even(x, _k_means(x, groups, seed), groups)
    coarse_number = int(np.ceil(np.sqrt(groups)))
    coarse = _even(x, _k_means(x, coarse_number, seed), coarse_number)
    code: Codes = np.empty(len(x), dtype=np.int64)
    first = 0
    for place, wanted in enumerate(shared_out(groups, np.bincount(coarse))):
        rows = np.flatnonzero(coarse == place)
        found = _of_stratum(x[rows], int(wanted), [*seed, place])
        code[rows] = first + found
        first += int(found.max()) + 1
    return code


def _k_means(x: npt.NDArray[np.float32], groups: int, seed: list[int]) -> Codes:
    """Return groups by mini-batch k-means; some may be empty."""
    if groups == 1:
        return np.zeros(len(x), dtype=np.int64)
    from sklearn.cluster import MiniBatchKMeans

    state = int(np.random.default_rng(seed).integers(2**31))
    # without reassignment of small groups, which are dealt with here
    means = MiniBatchKMeans(
        groups, batch_size=_BATCH, n_init=1, max_iter=20, reassignment_ratio=0, random_state=state
    )
    return np.asarray(means.fit_predict(x), dtype=np.int64)


def _even(x: npt.NDArray[np.float32], code: Codes, groups: int) -> Codes:
    """Return groups of which none is empty and few are small or large."""
    mean = len(x) / groups
    for _ in range(_ROUNDS):
        code, sizes = _renumbered(code)
        small = np.flatnonzero(sizes < _SMALL * mean)
        small = small[np.argsort(sizes[small], kind="stable")][: len(sizes) - 1]
        over = int((sizes > _LARGE * mean).sum())
        if not len(small) and over and len(sizes) == groups:
            small = np.argsort(sizes, kind="stable")[: min(over, len(sizes) - 1)]
        if not len(small) and len(sizes) == groups:
            break
        code = _dissolved(x, code, small)
        code = _halved(x, code, groups)
    return _renumbered(code)[0]


def _renumbered(code: Codes) -> tuple[Codes, Codes]:
    """Return codes of the groups that have cells, and their sizes."""
    _, inside, sizes = np.unique(code, return_inverse=True, return_counts=True)
    return inside.astype(np.int64), sizes.astype(np.int64)


def _dissolved(x: npt.NDArray[np.float32], code: Codes, small: Codes) -> Codes:
    """Return groups without some, whose cells join the nearest mean of those that stay."""
    if not len(small):
        return code
    stays = np.setdiff1d(np.arange(code.max() + 1), small)
    means = group_means(lambda rows: x[rows], code, int(code.max()) + 1)[stays]
    homeless = np.flatnonzero(np.isin(code, small))
    norms, step = np.square(means).sum(axis=1), max(_BLOCK // len(stays), 1)
    code = code.copy()
    for start in range(0, len(homeless), step):
        rows = homeless[start : start + step]
        code[rows] = stays[(norms - 2 * x[rows].astype(np.float64) @ means.T).argmin(axis=1)]
    return _renumbered(code)[0]


def _halved(x: npt.NDArray[np.float32], code: Codes, groups: int) -> Codes:
    """Return groups of which the largest have been halved until there are enough."""
    import heapq

    order = np.argsort(code, kind="stable")
    sizes = np.bincount(code)
    members = np.split(order, np.cumsum(sizes)[:-1])
    heap = [(-len(rows), place) for place, rows in enumerate(members)]
    heapq.heapify(heap)
    while len(members) < groups:
        _, place = heapq.heappop(heap)
        one, other = _halves(x, members[place])
        members[place] = one
        members.append(other)
        heapq.heappush(heap, (-len(one), place))
        heapq.heappush(heap, (-len(other), len(members) - 1))
    found = np.empty(len(x), dtype=np.int64)
    for place, rows in enumerate(members):
        found[rows] = place
    return found


def _halves(x: npt.NDArray[np.float32], rows: Codes) -> tuple[Codes, Codes]:
    """Cut a group in two at the median along the axis of its largest variance."""
    some = x[rows[:: max(len(rows) // _AXIS_CELLS, 1)]].astype(np.float64)
    centred = some - some.mean(axis=0)
    axis = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    order = rows[np.argsort(x[rows] @ axis, kind="stable")]
    half = len(order) // 2
    return np.sort(order[:half]), np.sort(order[half:])


def group_means(
    take: Callable[[Codes], Values], code: Codes, groups: int, *, block: int = 65_536
) -> npt.NDArray[np.float64]:
    """Return the mean of each group.

    Parameters
    ----------
    take
        Returns the values of some cells by their rows, ``(rows, d)``, dense.
    code
        Group of each cell, ``(n,)``; cells of -1 are in none.
    groups
        Number of groups, each with a cell at least.
    block
        Cells taken at a time.

    Returns
    -------
    float64, ``(groups, d)``.
    """
    import scipy.sparse as sp

    total: npt.NDArray[np.float64] | float = 0.0
    for start in range(0, len(code), block):
        rows = np.arange(start, min(start + block, len(code)))
        rows = rows[code[rows] >= 0]
        if len(rows):
            ones = np.ones(len(rows))
            adds = sp.csr_matrix((ones, (code[rows], np.arange(len(rows)))), shape=(groups, len(rows)))
            total = total + adds @ np.asarray(take(rows), dtype=np.float64)
    sizes = np.bincount(code[code >= 0], minlength=groups)
    return np.asarray(total / sizes[:, None])


def strata_of(columns: list[Codes]) -> Codes:
    """Return one code for each combination of codes that occurs, in their order, ``(n,)``.

    Parameters
    ----------
    columns
        Codes of each cell, int64, ``(n,)`` each; one at least.
    """
    _, code = np.unique(np.column_stack(columns), axis=0, return_inverse=True)
    return np.asarray(code, dtype=np.int64).ravel()
