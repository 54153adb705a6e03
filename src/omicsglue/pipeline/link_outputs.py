"""What ``links`` leaves: the table, and the files beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from omicsglue.errors import OptionError
from omicsglue.io import atomic_path, write_json, write_parquet
from omicsglue.keys import SOURCE, TARGET
from omicsglue.runs.link_files import check_ending, gene_table, write_bedpe, write_interact, write_links
from omicsglue.runs.link_table import SCORE
from omicsglue.tl.tf_network import TFNetwork

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.figure import Figure

RECORD_FORMAT: Final = 1  # of links.json
_DPI: Final = 150
_LEAST_DRAWN: Final = 0.1


@dataclass(frozen=True)
class LinkResults:
    """What ``links`` found and wrote.

    Attributes
    ----------
    table
        The links; see :func:`omicsglue.tl.regulatory_links`.
    strata
        What was learned at each distance; see :func:`omicsglue.tl.regulatory_links`.
    evaluation
        Agreement with each evidence, beside the baselines; ``None`` without evidence.
    activity
        Activity of significant links in each cell type; ``None`` without a column of labels.
    network
        Transcription factors and their targets; ``None`` without binding sites or significant links.
    files
        What was written, the table of links first.
    """

    table: pd.DataFrame
    strata: pd.DataFrame
    evaluation: pd.DataFrame | None = None
    activity: pd.DataFrame | None = None
    network: TFNetwork | None = None
    files: tuple[Path, ...] = ()


def check_place(place: Path) -> None:
    """Check that links can be written to a file, before anything is computed.

    Raises
    ------
    OptionError
        If its ending tells no format, its folder is missing or read-only, or it is a folder itself.
    """
    check_ending(place)
    folder = place.absolute().parent
    if place.is_dir():
        raise OptionError("it is a folder", where=f"--out {place}", remedy="give the path of a file")
    if not folder.is_dir():
        raise OptionError(
            f"there is no folder {place.parent}", where=f"--out {place}", remedy="make it, or choose another"
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OptionError(
            f"you may not write to {place.parent}",
            where=f"--out {place}",
            remedy="choose a folder in which you may write",
        )


def write_results(
    results: LinkResults,
    place: Path,
    record: Mapping[str, Any],
    *,
    q_value: float,
    loci: Sequence[str],
    elements: tuple[AnnData, str | None],
) -> tuple[Path, ...]:
    """Write the table of links and the files beside it, each whole or not at all, the record last.

    Parameters
    ----------
    results
        What was found.
    place
        File of the table; the others begin with its name.
    record
        How it was found.
    q_value
        Links below it go to the genome browser's files.
    loci
        Genes to draw.
    elements
        Modality of elements and its column of cell types, to draw beneath them.

    Returns
    -------
    The files.
    """
    stem = place.name[: -len(check_ending(place))]

    def beside(ending: str) -> Path:
        return place.with_name(f"{stem}.{ending}")

    links = results.table
    figures = {gene: _drawn(results, gene, elements) for gene in loci}  # what may fail comes before writing
    significant = links[links["q_value"] < q_value]
    write_links(links, place)
    files = [place]

    def add(ending: str) -> Path:
        files.append(beside(ending))
        return files[-1]

    _write_tsv(gene_table(links, q_value), add("genes.tsv"))
    write_bedpe(significant, add("significant.bedpe.gz"))
    write_interact(significant, add("significant.interact.gz"))
    if results.evaluation is not None:
        _write_tsv(results.evaluation, add("evaluation.tsv"))
    if results.activity is not None:
        write_parquet(add("activity.parquet"), results.activity)
    if results.network is not None:
        results.network.to_parquet(add("network.parquet"))
        results.network.to_graphml(add("network.graphml"))
        _write_tsv(results.network.to_decoupler(), add("network.tsv"))
    for gene, figure in figures.items():
        with atomic_path(add(f"{gene.replace('/', '_')}.png")) as temporary:
            figure.savefig(temporary, format="png", dpi=_DPI)
    write_json(add("json"), {"format": RECORD_FORMAT, **record})
    return tuple(files)


def _drawn(results: LinkResults, gene: str, elements: tuple[AnnData, str | None]) -> Figure:
    from omicsglue.pl import links as draw

    adata, groupby = elements
    links = results.table
    drawn = links[(links[SOURCE] == gene) & (links[SCORE] >= _LEAST_DRAWN)]
    shown = groupby is not None and drawn[TARGET].isin(adata.var_names).any()  # not all of other modalities
    names = [str(column) for column in results.table if str(column).startswith("evidence_")]
    return draw(
        links,
        gene,
        accessibility=adata if shown else None,
        groupby=groupby if shown else None,
        evidence=names or None,
        min_score=_LEAST_DRAWN,
    )


def _write_tsv(table: pd.DataFrame, path: Path) -> None:
    with atomic_path(path) as temporary:
        table.to_csv(temporary, sep="\t", index=False)
