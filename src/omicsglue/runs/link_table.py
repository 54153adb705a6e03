"""What a table of regulatory links is: its columns, where its genes begin, and its summary by gene."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, examples
from omicsglue.keys import DISTANCE, SIGN, SOURCE, TARGET
from omicsglue.suggest import listed

PLACES: Final = (
    "source_chrom",
    "source_start",
    "source_end",
    "source_strand",
    "target_chrom",
    "target_start",
    "target_end",
)
SCORE: Final = "score"
Q_VALUE: Final = "q_value"
EVIDENCE: Final = "evidence_"  # beginning of the names of evidence columns
REQUIRED: Final = (SOURCE, TARGET, *PLACES, DISTANCE, SCORE, SIGN, Q_VALUE)


def check_links(links: pd.DataFrame, columns: Sequence[str] = REQUIRED, *, where: str = "links") -> None:
    """Check that a table of links has the columns that are needed.

    Parameters
    ----------
    links
        The table.
    columns
        Those needed.
    where
        What to call the table.

    Raises
    ------
    InputError
        A column is missing.
    """
    missing = [column for column in columns if column not in links]
    if missing:
        raise InputError(
            f"no column {examples(missing)}; there are {listed(links.columns)}",
            where=where,
            remedy="give the table of links as `omicsglue links` writes it",
        )


def promoters(
    links: pd.DataFrame, upstream: int = 2000
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return start and end of the promoter of each row's gene.

    Parameters
    ----------
    links
        Table of links.
    upstream
        Bases before the transcription start that belong to it; with 0 it is the base of the start itself.

    Returns
    -------
    tuple of numpy.ndarray
        int64, shape (pairs,) each; 0-based, half-open. Of a gene without strand it is the body.
    """
    start, end = (links[f"source_{side}"].to_numpy(dtype=np.int64) for side in ("start", "end"))
    strand = links["source_strand"].to_numpy(dtype=object)
    forward, backward = strand == "+", strand == "-"
    low = np.where(forward, start - upstream, np.where(backward, end - 1, start))
    high = np.where(forward, start + 1, np.where(backward, end + upstream, end))
    return np.asarray(np.maximum(low, 0), dtype=np.int64), np.asarray(high, dtype=np.int64)


def gene_table(links: pd.DataFrame, q_value: float = 0.1) -> pd.DataFrame:
    """Summarise links by gene.

    Parameters
    ----------
    links
        Table of links.
    q_value
        Links below it are counted.

    Returns
    -------
    pandas.DataFrame
        One row a gene, in the order in which they are met: `gene`, `candidates` (number of pairs), `links`
        (pairs below `q_value`), `element`, `element_distance` (bases), `element_score`, `element_sign` and
        `element_q_value` of the best pair (highest score, then nearest), and `expected_regulators`, the sum
        of the scores: scores are probabilities, so it is the number of regulating elements to expect.

    Raises
    ------
    InputError
        A column is missing.
    """
    check_links(links, (SOURCE, TARGET, DISTANCE, SCORE, SIGN, Q_VALUE))
    significant = (links[Q_VALUE] < q_value).to_numpy()
    by_gene = links.assign(links=significant).groupby(SOURCE, sort=False, observed=True)
    table = by_gene.agg(
        candidates=(TARGET, "size"), links=("links", "sum"), expected_regulators=(SCORE, "sum")
    )
    ranked = links.sort_values([SCORE, DISTANCE], ascending=[False, True], kind="stable")
    best = ranked.drop_duplicates(SOURCE).set_index(SOURCE).reindex(table.index)
    columns = {TARGET: "element", **{name: f"element_{name}" for name in (DISTANCE, SCORE, SIGN, Q_VALUE)}}
    joined = table.join(best[list(columns)].rename(columns=columns)).rename_axis("gene").reset_index()
    order = ["gene", "candidates", "links", *columns.values(), "expected_regulators"]
    return joined[order]
