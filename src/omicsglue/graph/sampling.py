"""Sampling of guidance-graph edges and non-edges, without a loop over edges.

Edges are drawn in proportion to weight; the far end of each is replaced by vertices drawn by degree to make
negatives. A drawn negative that is an edge after all, found by a binary search in sorted integer keys, is
drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omicsglue.graph.guidance import GuidanceGraph

PARTS = 1 << 18  # of the unit interval at most
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SampledEdges:
    """Positive edges followed by negatives.

    Attributes
    ----------
    source, target
        Vertex indices, int64, shape ``(n,)``.
    sign
        +1 or -1, float32, shape ``(n,)``; a negative has the sign of the edge that it was made of.
    present
        1 for an edge and 0 for a negative, float32, shape ``(n,)``.
    """

    source: Ints
    target: Ints
    sign: Floats
    present: Floats


class EdgeSampler:
    """Draws edges in both directions, self-loops among them.

    Parameters
    ----------
    graph
        The guidance graph.
    negatives
        Negatives for each positive edge.
    """

    def __init__(self, graph: GuidanceGraph, *, negatives: int = 10) -> None:
        loops = np.arange(graph.n_vertices)
        self.source = np.concatenate([graph.source, graph.target, loops]).astype(np.int64)
        self.target = np.concatenate([graph.target, graph.source, loops]).astype(np.int64)
        self.sign = np.concatenate([graph.sign, graph.sign, np.ones(len(loops))]).astype(np.float32)
        weight = np.concatenate([graph.weight, graph.weight, np.ones(len(loops))])
        degree = graph.degree(weighted=True)
        self.vertices, self.negatives = graph.n_vertices, negatives
        self._edges = _Quantiles(weight)
        self._ends = _Quantiles(degree if degree.any() else np.ones(graph.n_vertices))
        self._keys = np.sort(self.source * self.vertices + self.target)

    def __len__(self) -> int:
        """Return the number of edges from which positives are drawn (both directions and self-loops)."""
        return len(self.source)

    def draw(self, positives: int, rng: np.random.Generator, *, attempts: int = 5) -> SampledEdges:
        """Draw edges and negatives.

        Parameters
        ----------
        positives
            Number of positive edges. The result holds ``positives * (1 + negatives)`` entries, fewer where a
            vertex is linked to most others.
        rng
            Source of randomness.
        attempts
            How often a negative that is an edge is drawn again, before it is left out.
        """
        edge = self._edges(rng.random(positives))
        source = np.repeat(self.source[edge], self.negatives)
        target = self._ends(rng.random(len(source)))
        wrong = np.flatnonzero(self._is_edge(source, target))
        for _ in range(attempts):
            if not len(wrong):
                break
            target[wrong] = self._ends(rng.random(len(wrong)))
            wrong = wrong[self._is_edge(source[wrong], target[wrong])]
        sign = np.repeat(self.sign[edge], self.negatives)
        if len(wrong):
            source, target, sign = np.delete(source, wrong), np.delete(target, wrong), np.delete(sign, wrong)
        present = np.zeros(positives + len(source), dtype=np.float32)
        present[:positives] = 1
        return SampledEdges(
            np.concatenate([self.source[edge], source]),
            np.concatenate([self.target[edge], target]),
            np.concatenate([self.sign[edge], sign]),
            present,
        )

    def _is_edge(self, source: Ints, target: Ints) -> npt.NDArray[np.bool_]:
        key = source * self.vertices + target
        at = np.searchsorted(self._keys, key)
        at[at == len(self._keys)] = 0
        return np.asarray(self._keys[at] == key)


class _Quantiles:
    """Finds which of many things a uniform random number stands for, each as likely as its weight.

    A table over equal parts of the unit interval says which it may be. Where only one thing lies in a part,
    as in most, nothing has to be searched for.
    """

    def __init__(self, weight: npt.NDArray[np.floating]) -> None:
        cumulative = np.cumsum(weight, dtype=np.float64)
        cumulative /= cumulative[-1]
        cumulative[-1] = np.inf  # a draw never falls behind the last entry
        self.cumulative = cumulative
        self.parts = min(1 << (8 * len(weight)).bit_length(), PARTS)  # a power of two: bounds are exact
        self.first = self._searched(np.arange(self.parts + 1) / self.parts)

    def __call__(self, uniform: npt.NDArray[np.float64]) -> Ints:
        """Return what each number between 0 and 1 stands for."""
        part = (uniform * self.parts).astype(np.int64)
        found: Ints = self.first[part]
        several = np.flatnonzero(found != self.first[part + 1])
        found[several] = self._searched(uniform[several])
        return found

    def _searched(self, uniform: npt.NDArray[np.float64]) -> Ints:
        return np.searchsorted(self.cumulative, uniform, side="right")
