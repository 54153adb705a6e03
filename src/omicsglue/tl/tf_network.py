"""Networks of transcription factors (TFs) and their targets, from links, binding and coexpression."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import OmicsGlueWarning, OptionError
from omicsglue.genome.binding import BindingSites
from omicsglue.io import PathLike, atomic_path, write_parquet
from omicsglue.keys import END, SIGN, SOURCE, START, TARGET, WEIGHT
from omicsglue.tl.coexpression import coexpression
from omicsglue.tl.rankings import Enrichment, enrichment, matching_bins, rank_genes
from omicsglue.tl.tf_modules import Modules, Pruned, coexpressed, edge_table, prune
from omicsglue.tl.tf_tables import (
    bound_elements,
    check_links,
    element_table,
    gene_table,
    linked_elements,
    metacell_table,
)

if TYPE_CHECKING:
    from anndata import AnnData

TF: Final = "tf"
EDGE_COLUMNS: Final = (TF, TARGET, WEIGHT, SIGN, "nes", "support", "n_bound", "p_value")


@dataclass(frozen=True)
class TFNetwork:
    """Targets of transcription factors.

    Attributes
    ----------
    edges
        One row a TF and a target, sorted by TF, strongest first: `tf`, `target`, `weight` (share of the
        target's variance over held-out metacells that its prediction owes to the TF, times the sign),
        `sign` (+1 or -1, int8, of Spearman's correlation), `nes` (normalised enrichment score of the
        ranking that supports the edge; the higher of two), `support` ('links', 'promoter' or 'both'),
        `n_bound` (linked elements in which the TF binds) and `p_value` (of so many among the gene's linked
        elements by chance; NaN for a gene without any).
    regulators
        One row a TF and direction that was tested: `tf`, `sign`, `n_coexpressed` (genes in the module),
        `nes_links`, `nes_promoter` and `n_targets`.
    genes
        Names of the genes that could be targets.
    """

    edges: pd.DataFrame
    regulators: pd.DataFrame
    genes: tuple[str, ...]

    def to_parquet(self, path: PathLike) -> None:
        """Write `edges` as a Parquet file.

        Raises
        ------
        RunFolderError
            The file cannot be written.
        """
        write_parquet(path, self.edges)

    def to_graphml(self, path: PathLike) -> None:
        """Write the network as GraphML, for Cytoscape or Gephi.

        Nodes have a `kind` ('tf' or 'gene'), edges the columns of `edges`; missing values are left out.

        Raises
        ------
        RunFolderError
            The file cannot be written.
        """
        import networkx as nx

        graph = nx.DiGraph()
        factors = set(self.edges[TF])
        for name in pd.unique(self.edges[[TF, TARGET]].to_numpy().ravel()):
            graph.add_node(name, kind="tf" if name in factors else "gene")
        for row in self.edges.to_dict("records"):
            attributes = {str(key): value for key, value in row.items() if key not in (TF, TARGET)}
            graph.add_edge(row[TF], row[TARGET], **{k: v for k, v in attributes.items() if v == v})
        with atomic_path(path) as temporary:
            nx.write_graphml_xml(graph, temporary)

    def to_decoupler(self) -> pd.DataFrame:
        """Return the network as decoupler takes it: `source`, `target` and `weight`, one row a pair."""
        return self.edges[[TF, TARGET, WEIGHT]].rename(columns={TF: SOURCE}).reset_index(drop=True)


def tf_target_network(
    links: pd.DataFrame,
    expression: pd.DataFrame | AnnData,
    binding: BindingSites | str | Path,
    *,
    labels: str | Sequence[object] | None = None,
    elements: pd.DataFrame | None = None,
    matching: Sequence[str] = (),
    name_pattern: str | None = None,
    q_value: float = 0.1,
    top_links: int | None = None,
    promoter: int = 500,
    share: float = 0.05,
    min_targets: int = 10,
    top_ranks: int = 500,
    nes: float = 3.0,
    seed: int = 0,
    n_jobs: int = 1,
) -> TFNetwork:
    """Find the targets of transcription factors.

    A target must be coexpressed with the TF, and must be where the TF binds. Coexpression: genes that the
    TF predicts best by gradient boosting over metacells, those that rise and those that fall with it apart.
    Binding: two rankings of all genes for each TF, by its enrichment in the gene's linked elements over
    random elements alike in length, and by its sites at the gene's promoter. Coexpressed genes are kept
    where a ranking recovers them better than the rankings of other TFs do; kept are the genes up to the
    rank at which it does so most.

    Parameters
    ----------
    links
        Candidate pairs of genes and elements, as `omicsglue.tl.regulatory_links` returns them.
    expression
        Logarithms of normalised expression with metacells as rows and genes as columns; or counts of cells
        (AnnData), which `labels` gather to metacells. Some hundred metacells are best, 30 are needed.
    binding
        Motif hits or ChIP peaks: a BED file with TFs in its fourth column (see
        `omicsglue.genome.read_binding`), or sites in memory. TFs are found among the genes by name,
        whatever its case. Give all the TFs there are, also those that do not matter here: each is judged
        against the others.
    labels
        Metacell of each cell, or the column of `obs` that holds it; for AnnData.
    elements
        Elements from which random ones are drawn: `chrom`, `start`, `end`, with names as index; those in
        `links` if not given.
    matching
        Numeric columns of `elements` in which random elements are alike too, say GC content or the number
        of cells.
    name_pattern
        Regular expression that finds the TF in the names of sites.
    q_value
        Links with a q-value below this count.
    top_links
        If given, each gene's links of highest score count instead, so many.
    promoter
        Bases on both sides of the transcription start that are the promoter.
    share
        Share of the genes that are taken to be coexpressed with a TF, in (0, 1].
    min_targets
        Coexpressed genes of one direction that are worth a test.
    top_ranks
        Ranks within which targets are to be recovered; at most a fifth of the genes.
    nes
        Normalised enrichment score from which a ranking is said to recover a TF's targets.
    seed
        Seed of the boosting.
    n_jobs
        Processes for the boosting; -1 for all cores. The result does not depend on it.

    Returns
    -------
    TFNetwork
        Edges, tested TFs and genes. There may be no edge.

    Raises
    ------
    InputError
        A table lacks columns; no link is below `q_value`; no gene of the links is in the expression; no TF is
        among the genes; no site is in an element or promoter; the BED file cannot be read.
    OptionError
        An option has an impossible value.

    Warns
    -----
    OmicsGlueWarning
        TFs are not among the genes, are too few to reach `nes`, or no edge was found.

    Notes
    -----
    After Cao and Gao, Nature Biotechnology 2022, doi 10.1038/s41587-022-01284-4, and Aibar et al., Nature
    Methods 2017, doi 10.1038/nmeth.4463. Links are used whatever their sign.
    """
    _check_options(q_value, top_links, promoter, share, min_targets, top_ranks, nes)
    check_links(links, "score" if top_links else "q_value")
    table = metacell_table(expression, labels)
    genes = gene_table(links, table.columns)
    elements = element_table(links, elements, matching)
    linked = linked_elements(links, genes, elements, q_value, top_links)
    bound = bound_elements(binding, elements, genes, table.columns, promoter, name_pattern)
    column = table.columns.get_indexer(pd.Index(bound.factors))
    own = np.flatnonzero(column >= 0)  # TFs of the data among all TFs
    found = coexpression(
        table.to_numpy(dtype=np.float64),
        column[own],
        table.columns.get_indexer(genes.index),
        seed=seed,
        n_jobs=n_jobs,
    )
    covariates = elements[list(matching)].assign(length=elements[END] - elements[START])
    enriched = enrichment(linked, bound.elements, matching_bins(covariates))
    rankings = (
        rank_genes(-enriched.p_value, enriched.n_bound > 0),
        rank_genes(bound.promoters, bound.promoters > 0),
    )
    modules = coexpressed(found, share, min_targets)
    top = min(top_ranks, max(len(genes) // 5, 1))
    by_links, by_promoter = (prune(modules, each, own[modules.factor], top, nes) for each in rankings)
    edges = edge_table(modules, by_links, by_promoter, found)
    _warn_of_scores(edges, by_links, by_promoter, len(bound.factors), nes)
    names = bound.factors[own]
    return TFNetwork(
        _named(edges, names, genes.index, own, enriched),
        _regulators(modules, names, by_links, by_promoter),
        tuple(genes.index),
    )


def _named(
    edges: pd.DataFrame,
    names: npt.NDArray[np.object_],
    genes: pd.Index,
    own: npt.NDArray[np.int64],
    enriched: Enrichment,
) -> pd.DataFrame:
    """Give edges their names and what the enrichment says of them."""
    factor, gene = (edges[key].to_numpy() for key in ("factor", "gene"))
    at = gene, own[factor]
    p_value = np.where(enriched.n_linked[gene] > 0, enriched.p_value[at], np.nan)
    named = {TF: names[factor], TARGET: genes[gene], "n_bound": enriched.n_bound[at], "p_value": p_value}
    return edges.assign(**named)[list(EDGE_COLUMNS)]


def _regulators(
    modules: Modules, names: npt.NDArray[np.object_], by_links: Pruned, by_promoter: Pruned
) -> pd.DataFrame:
    return pd.DataFrame(
        {
            TF: names[modules.factor],
            SIGN: modules.sign,
            "n_coexpressed": np.diff(modules.members.indptr).astype(np.int64),
            "nes_links": by_links.nes,
            "nes_promoter": by_promoter.nes,
            "n_targets": (by_links.kept | by_promoter.kept).sum(axis=1),
        }
    )


def _warn_of_scores(
    edges: pd.DataFrame, by_links: Pruned, by_promoter: Pruned, n_factors: int, nes: float
) -> None:
    """Say so where no target was found, or could be."""
    reach = math.sqrt(n_factors - 1)  # the score of one TF where all others are alike
    if reach < nes:
        text = (
            f"the score is measured against other TFs, and with {n_factors} of them none can be above "
            f"{reach:.2f}, short of nes={nes:g}: give binding of more TFs, better of all there are"
        )
    elif edges.empty:
        best = max(each.nes.max(initial=-np.inf) for each in (by_links, by_promoter))
        text = (
            f"no TF has targets: of {len(by_links.nes):,} modules of coexpressed genes the best scores "
            f"{best:.2f} where nes={nes:g} is asked. A lower nes or q-values that let more links in may help"
        )
    else:
        return
    warnings.warn(text, OmicsGlueWarning, stacklevel=3)


def _check_options(
    q_value: float,
    top_links: int | None,
    promoter: int,
    share: float,
    min_targets: int,
    top_ranks: int,
    nes: float,
) -> None:
    faults = {
        "q_value": (q_value, 0 < q_value <= 1, "Give a number above 0, at most 1."),
        "top_links": (top_links, top_links is None or top_links >= 1, "Give 1 or more."),
        "promoter": (promoter, promoter >= 0, "Give 0 or more bases."),
        "share": (share, 0 < share <= 1, "Give a number above 0, at most 1."),
        "min_targets": (min_targets, min_targets >= 1, "Give 1 or more."),
        "top_ranks": (top_ranks, top_ranks >= 1, "Give 1 or more."),
        "nes": (nes, nes > 0, "Give a number above 0; 3 is usual."),
    }
    for name, (value, good, remedy) in faults.items():
        if not good:
            raise OptionError(f"{value!r} cannot be used", where=name, remedy=remedy)
