"""Candidate pairs of genes and elements, their strata, and the decoys that are no links."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, OptionError, examples
from omicsglue.genome.intervals import window_pairs
from omicsglue.keys import CHROM, END, KIND, SOURCE, START, TARGET
from omicsglue.tl.places import promoters_of

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

DISTANCES = (
    0,
    1,
    1_000,
    2_000,
    5_000,
    10_000,
    20_000,
    35_000,
    50_000,
    75_000,
    100_000,
    125_000,
    150_000,
    300_000,
    1_000_000,
)
FEWEST_IN_STRATUM = 200
FEWEST_GENES = 20
UNGUIDED = "none"
FAR = 1_000_000  # bases beyond the window at which a decoy is certainly no link


@dataclass(frozen=True)
class Candidates:
    """Pairs of a gene and an element near its promoter, ordered by gene, then by element.

    Attributes
    ----------
    genes, elements
        Tables with `chrom`, `start`, `end` and `strand`, indexed by name.
    gene, element
        Rows of the pairs in the tables, int64, shape ``(pairs,)``.
    distance
        Bases between element and promoter, int64, shape ``(pairs,)``; 0 where they overlap.
    guidance
        What speaks for each pair beforehand, as a position in `kinds`, int64, shape ``(pairs,)``.
    kinds
        Kinds of guidance; the first is none.
    """

    genes: pd.DataFrame
    elements: pd.DataFrame
    gene: Ints
    element: Ints
    distance: Ints
    guidance: Ints
    kinds: tuple[str, ...] = (UNGUIDED,)

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.gene)

    @property
    def first(self) -> Ints:
        """Where the pairs of each gene begin, int64, shape ``(genes + 1,)``."""
        return np.searchsorted(self.gene, np.arange(len(self.genes) + 1)).astype(np.int64)

    def known(self) -> npt.NDArray[np.float64]:
        """Return what is known of pairs beforehand: the logarithm of the distance, and kinds of guidance.

        Returns
        -------
        float64, shape ``(pairs, len(kinds))``: log(1 + distance in kb), and 0 or 1 for each kind but none.
        """
        kinds = self.guidance[:, None] == np.arange(1, len(self.kinds))
        return np.column_stack([np.log1p(self.distance / 1_000), kinds]).astype(np.float64)


def candidate_pairs(
    genes: pd.DataFrame,
    elements: pd.DataFrame,
    *,
    window: int = 150_000,
    promoter: int = 2_000,
    guided: pd.DataFrame | None = None,
) -> Candidates:
    """Pair every gene with the elements within a window of its promoter.

    Parameters
    ----------
    genes, elements
        What :func:`omicsglue.graph.coordinates` returns.
    window
        Bases between element and promoter, at most.
    promoter
        Length of promoters: bases upstream of the transcription start. Of a gene without strand, body and
        promoters of both ends count as one.
    guided
        Edges that speak for a pair: `source`, `target`, `kind`. Of several kinds the last one counts.

    Returns
    -------
    Candidates

    Raises
    ------
    OptionError
        If window or promoter are negative.
    InputError
        If there is no pair.

    Notes
    -----
    Source: Cao & Gao 2022 (150 kb about the promoter).
    """
    for name, value in (("window", window), ("promoter", promoter)):
        if value < 0:
            raise OptionError(f"{name} is {value}", where=name, remedy="give 0 or more bases")
    pairs = window_pairs(promoters_of(genes, promoter), elements, window)
    if not len(pairs.left):
        raise InputError(
            f"no element lies within {window:,} bases of a promoter (genes on "
            f"{examples(genes[CHROM].unique(), 3)}; elements on {examples(elements[CHROM].unique(), 3)})",
            where="links",
            remedy="use an annotation of the genome build of the elements, or a wider window",
        )
    guidance, kinds = np.zeros(len(pairs.left), dtype=np.int64), [UNGUIDED]
    for kind, edges in [] if guided is None else guided.groupby(KIND, observed=True, sort=False):
        guidance[_among(pairs.left, pairs.right, genes, elements, edges)] = len(kinds)
        kinds.append(str(kind))
    return Candidates(genes, elements, pairs.left, pairs.right, pairs.distance, guidance, tuple(kinds))


def strata(candidates: Candidates, fewest: int = FEWEST_IN_STRATUM) -> tuple[Ints, pd.DataFrame]:
    """Divide candidates by distance and by what speaks for them beforehand.

    Parameters
    ----------
    candidates
        The pairs.
    fewest
        Pairs that a stratum holds at least. A smaller one is joined to the next nearer one; a kind of
        guidance that has fewer counts as none.

    Returns
    -------
    Codes, int64, shape ``(pairs,)``, and a table of the strata: `guidance`, `nearest` and `farthest` distance
    and the number of `pairs`.
    """
    bin_ = np.searchsorted(DISTANCES, candidates.distance, side="right") - 1
    enough = np.bincount(candidates.guidance, minlength=len(candidates.kinds)) >= fewest
    guidance = np.where(enough[candidates.guidance], candidates.guidance, 0)
    code = np.zeros(len(candidates), dtype=np.int64)
    number = 0
    for kind in np.unique(guidance):
        here = np.flatnonzero(guidance == kind)
        joined = _join_small(np.bincount(bin_[here], minlength=len(DISTANCES)), fewest)
        code[here] = number + joined[bin_[here]]
        number = int(code[here].max()) + 1
    pairs = pd.DataFrame(
        {"code": code, "kind": np.array(candidates.kinds)[guidance], "distance": candidates.distance}
    ).groupby("code")
    table = {
        "guidance": pairs["kind"].first(),
        "nearest": pairs["distance"].min(),
        "farthest": pairs["distance"].max(),
        "pairs": pairs.size(),
    }
    return code, pd.DataFrame(table)


def rotations(candidates: Candidates, number: int, window: int) -> Iterator[tuple[Ints, Bools]]:
    """Yield decoys: every gene takes the place of another one, far away, with all of its candidates.

    Genes are lined up as they lie on the genome and moved along by a part of the line. A decoy pair has the
    distance, the stratum and the neighbours of a real pair, every gene and every element occurs as often as
    before, and neighbouring genes stay neighbours; but no decoy is a link.

    Parameters
    ----------
    candidates
        The pairs.
    number
        How many times to rotate.
    window
        The window of the candidates.

    Yields
    ------
    The gene that takes each gene's place, int64, shape ``(genes,)``; and whether a pair is far enough away to
    serve, bool, shape ``(pairs,)``.

    Raises
    ------
    InputError
        If genes are too few, or all lie too close together.
    """
    genes, elements = candidates.genes, candidates.elements
    if len(genes) < FEWEST_GENES:
        raise InputError(
            f"{len(genes)} genes with coordinates are too few to tell links from chance",
            where="genes",
            remedy=f"use at least {FEWEST_GENES} genes, better some hundreds",
        )
    line = np.lexsort((genes[START].to_numpy(), genes[CHROM].to_numpy().astype(str)))
    found = False
    for turn in range(number):
        step = max(round(len(genes) * (turn + 1) / (number + 1)), 1)
        place = np.empty(len(genes), dtype=np.int64)
        place[line] = np.roll(line, step)
        other = genes.iloc[place[candidates.gene]]
        element = elements.iloc[candidates.element]
        gap = np.maximum(
            other[START].to_numpy() - element[END].to_numpy(),
            element[START].to_numpy() - other[END].to_numpy(),
        )
        far = (other[CHROM].to_numpy() != element[CHROM].to_numpy()) | (gap > window + FAR)
        found = found or bool(far.any())
        yield place, far
    if not found:
        raise InputError(
            f"all genes lie within {FAR:,} bases of one another, so that no pair is known to be no link",
            where="genes",
            remedy="use genes of several chromosomes",
        )


def _among(
    gene: Ints, element: Ints, genes: pd.DataFrame, elements: pd.DataFrame, edges: pd.DataFrame
) -> Bools:
    source = genes.index.get_indexer(pd.Index(edges[SOURCE]))
    target = elements.index.get_indexer(pd.Index(edges[TARGET]))
    known = (source >= 0) & (target >= 0)
    keys = source[known].astype(np.int64) * len(elements) + target[known]
    return np.isin(gene * len(elements) + element, keys)


def _join_small(sizes: Ints, fewest: int) -> Ints:
    """Return the stratum of each bin, so that all but perhaps the only one hold enough."""
    joined = np.zeros(len(sizes), dtype=np.int64)
    held, number = 0, 0
    for bin_, size in enumerate(sizes):
        if held >= fewest and size >= fewest:
            number, held = number + 1, 0
        joined[bin_] = number
        held += int(size)
    return joined
