"""Cell states: a tree whose leaves are the cell types, their shares, and a continuum between two of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

_SHRINK = 0.8  # effect of a branch relative to the branch above it
_TRIPLE = 0.2  # chance that a split has three children


@dataclass(frozen=True)
class StateTree:
    """Tree of cell states.

    Attributes
    ----------
    parents
        Parent of each node; the root is node 0 and has parent -1 (int64, nodes).
    strength
        Scale of the effects of the branch that ends in each node; 0 at the root (float64, nodes).
    leaves
        Node of each cell type (int64, types).
    shares
        Share of each cell type among the cells, falling, summing to 1 (float64, types).
    continuum
        The two sibling types that are joined by a continuum.
    """

    parents: NDArray[np.int64]
    strength: NDArray[np.float64]
    leaves: NDArray[np.int64]
    shares: NDArray[np.float64]
    continuum: tuple[int, int]

    def paths(self) -> NDArray[np.float64]:
        """Return which branches lead from the root to each type (types x nodes, 0 or 1)."""
        table = np.zeros((len(self.leaves), len(self.parents)))
        for row, node in enumerate(self.leaves):
            while node > 0:
                table[row, node] = 1.0
                node = self.parents[node]
        return table


def falling_shares(types: int, rarest: float) -> NDArray[np.float64]:
    """Return shares that fall geometrically to `rarest` (or equal shares if that is not below 1 / types).

    Parameters
    ----------
    types
        Number of cell types.
    rarest
        Share of the last one.

    Returns
    -------
    Shares that sum to 1 (types).

    Examples
    --------
    >>> falling_shares(4, 0.01).round(3)
    array([0.767, 0.181, 0.042, 0.01 ])
    """
    if rarest >= 1.0 / types:
        return np.full(types, 1.0 / types)
    steps = np.linspace(0.0, 1.0, types)

    def excess(slope: float) -> float:
        weights = np.exp(-slope * steps)
        return float(np.log(weights[-1] / weights.sum()) - np.log(rarest))

    weights = np.exp(-brentq(excess, 0.0, 50.0) * steps)
    shares: NDArray[np.float64] = weights / weights.sum()
    return shares


def grow_tree(types: int, rarest: float, rng: np.random.Generator) -> StateTree:
    """Grow a tree by splitting leaves at random, shallow ones first, until it has `types` leaves."""
    parents, depth, leaves = [-1], [0], [0]
    while len(leaves) < types:
        odds = np.array([0.5 ** depth[node] for node in leaves])
        node = leaves.pop(int(rng.choice(len(leaves), p=odds / odds.sum())))
        children = 3 if rng.random() < _TRIPLE and len(leaves) + 3 <= types else 2
        for _ in range(children):
            leaves.append(len(parents))
            parents.append(node)
            depth.append(depth[node] + 1)
    level = np.array(depth)
    order = rng.permutation(np.array(leaves))
    shares = falling_shares(types, rarest)
    return StateTree(
        parents=np.array(parents),
        strength=np.where(level > 0, _SHRINK ** (level - 1.0), 0.0),
        leaves=order,
        shares=shares,
        continuum=_commonest_siblings(np.array(parents)[order], shares),
    )


def _commonest_siblings(parents: NDArray[np.int64], shares: NDArray[np.float64]) -> tuple[int, int]:
    pairs = [
        (shares[i] + shares[j], i, j)
        for i in range(len(parents))
        for j in range(i + 1, len(parents))
        if parents[i] == parents[j]
    ]
    _, first, second = max(pairs)
    return first, second
