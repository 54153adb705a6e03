"""Modules of coexpressed genes, and what is left of them where the transcription factor (TF) binds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse
from scipy.stats import rankdata

from omicsglue.tl.coexpression import Coexpression
from omicsglue.tl.rankings import leading_edge, recovery

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Modules:
    """Genes that are coexpressed with a TF in one direction.

    Attributes
    ----------
    factor
        Row of the TF in the coexpression, int64, shape (n_modules,).
    sign
        +1 for genes that rise with the TF, -1 for those that fall, int8, shape (n_modules,).
    members
        Which gene is in which module, bool, shape (n_modules, n_genes).
    """

    factor: Integers
    sign: npt.NDArray[np.int8]
    members: sparse.csr_array


@dataclass(frozen=True)
class Pruned:
    """Modules held against one kind of ranking.

    Attributes
    ----------
    nes
        Normalised enrichment score of the own TF's ranking, float64, shape (n_modules,).
    kept
        Genes of each module that the ranking supports, bool, shape (n_modules, n_genes).
    """

    nes: Floats
    kept: npt.NDArray[np.bool_]


def coexpressed(found: Coexpression, share: float, min_targets: int) -> Modules:
    """Gather for each TF the genes that it predicts best, those of either direction apart.

    Parameters
    ----------
    found
        Importances and correlations, shape (n_tfs, n_genes).
    share
        Share of all genes that are taken for each TF, of both directions together.
    min_targets
        Smaller modules are left out.

    Returns
    -------
    Modules
        Ordered by TF, the rising genes first.
    """
    n_factors, n_genes = found.importance.shape
    place = rankdata(-found.importance, axis=1, method="min")
    best = (place <= np.ceil(share * n_genes)) & (found.importance > 0)
    both = np.stack([best & (found.correlation > 0), best & (found.correlation < 0)], axis=1)
    members = both.reshape(2 * n_factors, n_genes)
    large = np.flatnonzero(members.sum(axis=1) >= min_targets)
    sign = np.where(large % 2 == 0, 1, -1).astype(np.int8)
    return Modules(large // 2, sign, sparse.csr_array(members[large]))


def prune(modules: Modules, ranks: Floats, own: Integers, top: int, nes: float) -> Pruned:
    """Keep the genes of each module that make its TF's ranking recover it better than other rankings do.

    Parameters
    ----------
    modules
        Coexpressed genes.
    ranks
        Ranks of the genes for each TF, shape (n_genes, n_tfs); see `omicsglue.tl.rankings.rank_genes`.
    own
        Column of each module's TF in `ranks`, shape (n_modules,).
    top
        Ranks that count.
    nes
        Score from which a ranking is said to recover a module.

    Returns
    -------
    Pruned
        Scores, and the genes that are kept.
    """
    n_modules = len(own)
    score = recovery(ranks, modules.members, top).score[np.arange(n_modules), own]
    kept = np.zeros((n_modules, len(ranks)), dtype=bool)
    members = modules.members.toarray()
    for i in np.flatnonzero(score >= nes):
        kept[i, leading_edge(ranks, np.flatnonzero(members[i]), int(own[i]), top)] = True
    return Pruned(score, kept)


def edge_table(modules: Modules, by_links: Pruned, by_promoter: Pruned, found: Coexpression) -> pd.DataFrame:
    """Join the genes that either ranking supports.

    Parameters
    ----------
    modules
        Coexpressed genes.
    by_links, by_promoter
        The modules held against the two rankings.
    found
        Importances and correlations.

    Returns
    -------
    pandas.DataFrame
        `factor` and `gene` (rows and columns of the coexpression), `weight`, `sign`, `nes` and `support`,
        sorted by TF, strongest first.
    """
    module, gene = np.nonzero(by_links.kept | by_promoter.kept)
    support = by_links.kept[module, gene] + 2 * by_promoter.kept[module, gene].astype(np.int64)
    scores = np.stack([by_links.nes[module], by_promoter.nes[module]])
    scores[0, support == 2] = -np.inf
    scores[1, support == 1] = -np.inf
    factor, sign = modules.factor[module], modules.sign[module]
    weight = found.importance[factor, gene]
    table = pd.DataFrame(
        {
            "factor": factor,
            "gene": gene,
            "weight": weight * sign,
            "sign": sign,
            "nes": scores.max(axis=0, initial=-np.inf),
            "support": np.array(["", "links", "promoter", "both"], dtype=object)[support],
        }
    )
    return table.iloc[np.lexsort((-weight, factor))].reset_index(drop=True)
