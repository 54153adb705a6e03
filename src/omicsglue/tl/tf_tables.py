"""What a network of transcription factors (TFs) is made of, checked: genes, elements, links and binding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

from omicsglue.errors import InputError, OptionError, examples
from omicsglue.genome.binding import BindingSites, binding_matrix, match_factors
from omicsglue.keys import CHROM, END, SOURCE, START, STRAND, TARGET
from omicsglue.suggest import listed
from omicsglue.tl.coexpression import metacell_expression

if TYPE_CHECKING:
    from anndata import AnnData

Integers = npt.NDArray[np.int64]

_NEEDED: Final = (
    SOURCE,
    TARGET,
    *(f"{end}_{key}" for end in (SOURCE, TARGET) for key in (CHROM, START, END)),
    f"{SOURCE}_{STRAND}",
)


def check_links(links: pd.DataFrame, ranked_by: str) -> None:
    """Check that a table of links has the columns that are needed.

    Parameters
    ----------
    links
        The table.
    ranked_by
        The column by which links are chosen.

    Raises
    ------
    InputError
        A column is missing.
    """
    missing = [name for name in (*_NEEDED, ranked_by) if name not in links]
    if missing:
        raise InputError(
            f"no column {examples(missing)}",
            where="links",
            remedy="Give the table that omicsglue.tl.regulatory_links returns, or links.parquet.",
        )


def metacell_table(expression: pd.DataFrame | AnnData, labels: str | Sequence[object] | None) -> pd.DataFrame:
    """Return expression as a table with metacells as rows and genes as columns.

    Parameters
    ----------
    expression
        Such a table, or counts of cells.
    labels
        Metacell of each cell, or the column of `obs` that holds it.

    Raises
    ------
    InputError
        Genes are there twice, or labels do not fit the cells.
    OptionError
        There are cells, but no labels.
    """
    if not isinstance(expression, pd.DataFrame):
        if labels is None:
            raise OptionError(
                "cells must be gathered to metacells",
                where="labels",
                remedy="Give the metacell of each cell, or a table with metacells as rows.",
            )
        expression = metacell_expression(expression, labels)
    names = expression.columns.astype(str)
    if names.has_duplicates:
        raise InputError(
            f"genes that are there twice: {examples(names[names.duplicated()].unique())}",
            where="expression",
            remedy="Make names unique, or add up their columns.",
        )
    return expression.set_axis(names, axis=1)


def gene_table(links: pd.DataFrame, known: pd.Index) -> pd.DataFrame:
    """Return the genes of the links that have expression.

    Parameters
    ----------
    links
        Candidate pairs.
    known
        Names of the genes that have expression.

    Returns
    -------
    pandas.DataFrame
        `chrom`, `start`, `end`, `strand`, names as index, in the order of the links.

    Raises
    ------
    InputError
        There is no such gene.
    """
    columns = {f"{SOURCE}_{key}": key for key in (CHROM, START, END, STRAND)}
    genes = links.drop_duplicates(SOURCE).set_index(SOURCE)[list(columns)].rename(columns=columns)
    kept = genes[genes.index.isin(known)]
    if kept.empty:
        raise InputError(
            f"none of the {len(genes):,} genes of the links is among the {len(known):,} of the expression. "
            f"Links: {examples(genes.index, 3)}; expression: {examples(known, 3)}",
            where="expression",
            remedy="Use the data that the links were made of; genes are the columns of the table.",
        )
    return kept


def element_table(
    links: pd.DataFrame, elements: pd.DataFrame | None, matching: Sequence[str]
) -> pd.DataFrame:
    """Return the elements from which random ones are drawn.

    Parameters
    ----------
    links
        Candidate pairs.
    elements
        `chrom`, `start`, `end`, names as index; those of the links if not given.
    matching
        Further columns that must be there.

    Raises
    ------
    InputError
        A column is missing or not numeric, or elements of the links are not in the table.
    """
    if elements is None:
        columns = {f"{TARGET}_{key}": key for key in (CHROM, START, END)}
        elements = links.drop_duplicates(TARGET).set_index(TARGET)[list(columns)].rename(columns=columns)
    missing = [name for name in (CHROM, START, END, *matching) if name not in elements]
    if missing:
        raise InputError(
            f"no column {examples(missing)}; there are {listed(elements.columns)}",
            where="elements",
            remedy="Give a table of elements with chrom, start, end and the columns named in matching.",
        )
    words = [name for name in matching if not pd.api.types.is_numeric_dtype(elements[name])]
    if words:
        raise InputError(
            f"columns that are not numbers: {examples(words)}",
            where="elements",
            remedy="Name numeric columns in matching.",
        )
    absent = pd.Index(links[TARGET].unique()).difference(elements.index, sort=False)
    if len(absent):
        raise InputError(
            f"elements of the links that are not in the table: {examples(absent)}",
            where="elements",
            remedy="Use the table of the data that the links were made of, with names as index.",
        )
    return elements


def linked_elements(
    links: pd.DataFrame, genes: pd.DataFrame, elements: pd.DataFrame, q_value: float, top_links: int | None
) -> sparse.csr_array:
    """Tell which element is linked to which gene.

    Parameters
    ----------
    links
        Candidate pairs.
    genes, elements
        Tables with names as index.
    q_value
        Links with a q-value below this count, unless
    top_links
        is given: then each gene's links of highest score count, so many.

    Returns
    -------
    scipy.sparse.csr_array
        bool, shape (n_genes, n_elements).

    Raises
    ------
    InputError
        There is no such link.
    """
    if top_links is None:
        kept = links[links["q_value"] < q_value]
    else:
        kept = links[links.groupby(SOURCE)["score"].rank(ascending=False, method="first") <= top_links]
    row, column = (
        genes.index.get_indexer(pd.Index(kept[SOURCE])),
        elements.index.get_indexer(pd.Index(kept[TARGET])),
    )
    row, column = row[row >= 0], column[row >= 0]
    if not len(row):
        raise InputError(
            f"no link of a gene of the expression has a q-value below {q_value:g}",
            where="links",
            remedy="Raise q_value, or take each gene's best links with top_links=5.",
        )
    return sparse.csr_array((np.ones(len(row), dtype=bool), (row, column)), shape=(len(genes), len(elements)))


class Bound(NamedTuple):
    """Where TFs bind.

    Attributes
    ----------
    elements
        Which TF binds in which element, bool, shape (n_elements, n_tfs).
    promoters
        Sites of each TF at the promoter of each gene, int64, shape (n_genes, n_tfs).
    factors
        Names of the TFs, as the data spell them where they are in the data, object, shape (n_tfs,).
    """

    elements: sparse.csr_array
    promoters: Integers
    factors: npt.NDArray[np.object_]


def bound_elements(
    binding: BindingSites | str | Path,
    elements: pd.DataFrame,
    genes: pd.DataFrame,
    known: pd.Index,
    promoter: int,
    name_pattern: str | None,
) -> Bound:
    """Find the TFs that bind in elements and at promoters, reading the sites once.

    Parameters
    ----------
    binding
        Sites, or the BED file that holds them.
    elements, genes
        Tables with coordinates; of genes with `strand`.
    known
        Names of the genes that have expression.
    promoter
        Bases on both sides of the transcription start.
    name_pattern
        How to find TFs in the names of sites.

    Raises
    ------
    InputError
        No TF is among the genes, no site is in an element or promoter, or the file cannot be read.
    OptionError
        `name_pattern` cannot be used.

    Warns
    -----
    OmicsGlueWarning
        TFs are not among the genes.
    """
    tss = np.where(genes[STRAND].to_numpy() == "-", genes[END].to_numpy() - 1, genes[START].to_numpy())
    promoters = {CHROM: genes[CHROM], START: np.maximum(tss - promoter, 0), END: tss + promoter + 1}
    places = pd.concat([elements[[CHROM, START, END]], pd.DataFrame(promoters)], ignore_index=True)
    found = binding_matrix(binding, places, name_pattern=name_pattern)
    found_in = binding.where if isinstance(binding, BindingSites) else str(binding)
    at = match_factors(found.factors, known, where=found_in)
    names = np.where(at >= 0, known.to_numpy(dtype=object)[at], found.factors)
    codes, factors = pd.factorize(names)  # motifs of one TF are one
    joined = sparse.csr_array(
        (np.ones(len(codes), dtype=np.int32), (np.arange(len(codes)), codes)),
        shape=(len(codes), len(factors)),
    )
    counts = sparse.csr_array(found.counts @ joined)
    at_promoter = counts[len(elements) :].toarray().astype(np.int64)
    return Bound(counts[: len(elements)] > 0, at_promoter, np.asarray(factors, dtype=object))
