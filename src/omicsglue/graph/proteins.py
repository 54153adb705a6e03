"""Edges from genes to the surface proteins that they make."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from omicsglue.errors import GraphError, examples
from omicsglue.genome.proteins import ProteinReport, Table, protein_genes
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.graph.rules import by_name

PROTEIN_KIND = "protein"


def from_proteins(
    genes: Iterable[str],
    proteins: Iterable[str],
    table: Table | None = None,
    *,
    columns: pd.DataFrame | None = None,
    sign: int = 1,
) -> GuidanceGraph:
    """Link surface proteins to the genes that make them.

    Parameters
    ----------
    genes
        Names of the genes; all of them become vertices.
    proteins
        Names of the proteins, none of them that of a gene.
    table
        Proteins and genes that extend and override the table of common markers, see
        `omicsglue.genome.protein_genes`, which also reports what was matched and what was not.
    columns
        For each protein, columns with names of genes, which come before the table of markers.
    sign
        +1 or -1 for all edges.

    Returns
    -------
    GuidanceGraph
        Edges of weight 1 and kind 'protein', from gene to protein; a complex has several. Isotype controls
        and proteins without a gene in the data are no vertices.

    Raises
    ------
    GraphError
        No protein has a gene in the data, or a name is in both.
    InputError, OptionError
        As `omicsglue.genome.protein_genes`.

    Examples
    --------
    >>> graph = from_proteins(["CD3E", "CD3D", "NCAM1"], ["CD3", "CD56", "IgG1 isotype"])
    >>> graph.n_edges, graph.vertices.tolist()
    (3, ['CD3E', 'CD3D', 'NCAM1', 'CD3', 'CD56'])
    """
    known = [str(gene) for gene in genes]
    report = protein_genes(proteins, known, table, columns=columns)
    return protein_graph(known, report, sign=sign)


def protein_graph(
    genes: Iterable[str],
    report: ProteinReport,
    *,
    sign: int = 1,
    where: str = "guidance graph",
) -> GuidanceGraph:
    """Return the graph of a report of `omicsglue.genome.protein_genes`.

    Parameters
    ----------
    genes
        Names of the genes that may be linked; all of them become vertices.
    report
        Which genes make which protein.
    sign
        +1 or -1 for all edges.
    where
        What to call the graph in messages.

    Raises
    ------
    GraphError
        No protein has one of these genes.
    """
    known = [str(gene) for gene in genes]
    among = set(known)
    partners = {
        protein: kept
        for protein, made_by in report.genes.items()
        if (kept := [g for g in made_by if g in among])
    }
    if not partners:
        proteins = [*report.genes, *report.unmatched]
        raise GraphError(
            f"none of the {report.n_features:,} proteins ({examples(proteins or report.isotypes, 3)}) has "
            f"its gene among the {len(known):,} genes ({examples(known, 3)})",
            where=where,
            remedy="say which gene makes which protein with --protein-genes table.tsv (columns protein and "
            "gene), and check that genes have names, not ids",
        )
    return by_name(known, partners, sign=sign, kind=PROTEIN_KIND)
