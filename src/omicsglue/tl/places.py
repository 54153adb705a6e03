"""Where the genes, promoters and elements of candidate pairs lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, examples
from omicsglue.genome.names import chrom_keys, unversioned
from omicsglue.graph.rules import gene_regions
from omicsglue.keys import CHROM, END, SOURCE, START, STRAND


@dataclass(frozen=True)
class Places:
    """Genes, their promoters and elements, one row each, indexed by name."""

    genes: pd.DataFrame
    promoters: pd.DataFrame
    elements: pd.DataFrame
    gene_ids: npt.NDArray[np.object_]


def found_places(
    genes: pd.DataFrame, elements: pd.DataFrame, promoter: int, gene_ids: Mapping[str, str] | None
) -> Places:
    """Return genes, promoters and elements with chromosomes spelled alike.

    Parameters
    ----------
    genes, elements
        `chrom`, `start`, `end`, `strand`, indexed by name.
    promoter
        Bases; see :func:`promoters_of`.
    gene_ids
        Ensembl id of each gene by its name.

    Returns
    -------
    Places
    """
    genes, elements = (
        table.assign(**{CHROM: chrom_keys(table[CHROM].astype(object))}) for table in (genes, elements)
    )
    names = genes.index.astype(str)
    known = {} if gene_ids is None else dict(gene_ids)
    ids = unversioned([str(known.get(name, name)) for name in names])
    return Places(genes, promoters_of(genes, promoter), elements, ids)


def places_of(links: pd.DataFrame, end: str) -> pd.DataFrame:
    """Return the coordinates of the genes (`source`) or elements (`target`) of a table of links.

    Parameters
    ----------
    links
        A table of links.
    end
        'source' or 'target'.

    Returns
    -------
    pandas.DataFrame
        One row a feature, in the order in which they are met, indexed by name: `chrom`, `start`, `end`,
        `strand` ('.' for elements).

    Raises
    ------
    InputError
        If a column is missing.
    """
    parts = [CHROM, START, END, *([STRAND] if end == SOURCE else [])]
    columns = [end, *(f"{end}_{part}" for part in parts)]
    missing = [column for column in columns if column not in links]
    if missing:
        raise InputError(
            f"no column {examples(missing)}",
            where="links",
            remedy="Give the table of links as omicsglue writes it (links.parquet).",
        )
    if links.empty:
        raise InputError("there are no pairs", where="links", remedy="Give a table of links with rows.")
    places = links[columns].drop_duplicates(end).set_index(end)
    places.columns = pd.Index(parts)
    return places if STRAND in places else places.assign(**{STRAND: "."})


def promoters_of(genes: pd.DataFrame, promoter: int = 2_000) -> pd.DataFrame:
    """Return promoters, from `promoter` bases upstream to the transcription start.

    Parameters
    ----------
    genes
        `chrom`, `start`, `end`, `strand`, indexed by name.
    promoter
        Bases. Of genes without strand, the body and a promoter at both ends count as one.

    Returns
    -------
    pandas.DataFrame
        `chrom`, `start`, `end`, one row a gene.
    """
    stranded = genes[STRAND].isin(["+", "-"]).to_numpy()
    regions = gene_regions(genes, promoter)
    if stranded.any():
        regions[stranded] = gene_regions(genes[stranded], promoter, "promoter").to_numpy()
    return regions.astype({START: np.int64, END: np.int64})


def gaps(left: pd.DataFrame, right: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Return bases between the intervals of two tables, row by row.

    Parameters
    ----------
    left, right
        `chrom`, `start`, `end`, as many rows each.

    Returns
    -------
    numpy.ndarray
        float64, shape ``(rows,)``; 0 where they overlap, NaN on different chromosomes.
    """
    starts, ends = ([table[part].to_numpy() for table in (left, right)] for part in (START, END))
    gap = np.maximum(np.maximum(starts[0] - ends[1], starts[1] - ends[0]), 0)
    return np.where(left[CHROM].to_numpy() == right[CHROM].to_numpy(), gap, np.nan)
