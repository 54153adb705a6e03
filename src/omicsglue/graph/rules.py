"""Rules that turn genome coordinates and names into edges."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import GraphError, OmicsGlueWarning, OptionError, examples
from omicsglue.genome.build import build_agreement
from omicsglue.genome.intervals import IntervalPairs, has_coordinates, window_pairs
from omicsglue.genome.names import chrom_keys
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.keys import CHROM, END, START, STRAND

if TYPE_CHECKING:
    from anndata import AnnData

Anchor = Literal["gene", "promoter"]
OVERLAP, WINDOW, NAME = "overlap", "window", "name"


def distance_weight(distance: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Weight of an edge by distance: ((d + 1000) / 1000) ** -0.75.

    Parameters
    ----------
    distance
        Bases between the two features, >= 0.

    Returns
    -------
    numpy.ndarray
        float64 in (0, 1], 1 at distance 0.

    Notes
    -----
    Source: Cao and Gao 2022, a power law of chromatin contact.
    """
    return np.asarray(((distance + 1000.0) / 1000.0) ** -0.75, dtype=np.float64)


def from_genome(
    rna: AnnData | pd.DataFrame,
    *others: AnnData | pd.DataFrame,
    promoter: int = 2000,
    window: int = 0,
    anchor: Anchor = "gene",
    signs: Sequence[int] | Mapping[str, int] | None = None,
    names: Sequence[str] | None = None,
    keep_isolated: bool = False,
    check_build: bool = True,
) -> GuidanceGraph:
    """Link genes to the features of other modalities that lie on or near them.

    A gene's region is its body and its promoter (`promoter` bases upstream of the transcription start). With
    `window=0` features that overlap the region are linked with weight 1 (kind 'overlap'). With a window,
    features that overlap the region widened by `window` bases on both sides are linked, those beyond the
    region itself with `distance_weight` of the bases between (kind 'window').

    Parameters
    ----------
    rna
        Genes: AnnData with `chrom`, `start`, `end`, `strand` in `var` (see `omicsglue.pp.annotate_genes`), or
        such a table with the names as index.
    *others
        Peaks or other features with coordinates, one modality each, in the same form; no strand needed.
    promoter
        Bases upstream of the transcription start. Of a gene without strand ('.') both ends are extended.
    window
        Bases; 0 for overlap alone. 150,000 is usual for regulatory inference.
    anchor
        Region that counts: 'gene' for body and promoter, 'promoter' for the promoter alone (from
        `promoter` bases upstream to the transcription start), as in the published regulatory inference.
    signs
        +1 or -1 for each of `others`, in order, or by name (needs `names`); +1 if not given. -1 suits
        methylation of gene bodies.
    names
        Names of all modalities, `rna` first, for messages and `signs`.
    keep_isolated
        Keep features of `others` with coordinates but without an edge as vertices too. Genes with coordinates
        are always kept.
    check_build
        Warn if peaks lie no nearer to transcription starts than by chance (see `build_agreement`).

    Returns
    -------
    GuidanceGraph
        Edges run from gene to feature and are ordered by gene; vertices are the genes, then the features of
        each of `others`, in the order of the data.

    Raises
    ------
    GraphError
        Coordinates are missing, the modalities share no chromosome, or a name is in two modalities.
    OptionError
        An option has an impossible value.

    Warns
    -----
    OmicsGlueWarning
        Genes and features seem to be of different genome builds.

    Notes
    -----
    Source: Cao and Gao, Nature Biotechnology 2022, doi 10.1038/s41587-022-01284-4.
    """
    titles = _titles(names, 1 + len(others))
    _check_options(promoter, window, anchor, len(others))
    sign_of = _signs(signs, titles)
    genes = coordinates(rna, titles[0])
    regions = gene_regions(genes, promoter, anchor)
    vertices = [genes.index.to_numpy(dtype=object)]
    edges: list[dict[str, npt.NDArray[Any]]] = []
    offset = len(genes)
    for title, modality, sign in zip(titles[1:], others, sign_of, strict=True):
        features = coordinates(modality, title)
        _check_chroms(genes, features, titles[0], title)
        if check_build:
            _warn_of_build(genes, features, titles[0], title)
        pairs = window_pairs(regions, features, window)
        linked = np.sort(pd.unique(pairs.right)) if not keep_isolated else np.arange(len(features))
        vertices.append(features.index.to_numpy(dtype=object)[linked])
        edges.append(_edges(pairs, offset + np.searchsorted(linked, pairs.right), sign))
        offset += len(linked)
    joined = {key: np.concatenate([part[key] for part in edges]) for key in edges[0]}
    return GuidanceGraph(np.concatenate(vertices), **joined, kind_names=(OVERLAP, WINDOW))


def coordinates(modality: AnnData | pd.DataFrame, title: str) -> pd.DataFrame:
    """Return the features of a modality that have coordinates.

    Parameters
    ----------
    modality
        AnnData, or its `var`.
    title
        What to call it in messages.

    Returns
    -------
    pandas.DataFrame
        Index: names. Columns: `chrom` (spelled for comparison, see `chrom_keys`), `start`, `end`
        (int64), `strand`.

    Raises
    ------
    GraphError
        A column is missing, or no feature has coordinates.
    """
    var = modality if isinstance(modality, pd.DataFrame) else modality.var
    missing = [column for column in (CHROM, START, END) if column not in var]
    if missing:
        raise GraphError(
            f"no coordinates: var lacks {examples(missing)}",
            where=title,
            remedy="Run omicsglue.pp.annotate_genes on genes and omicsglue.pp.annotate_peaks on peaks first.",
        )
    good = has_coordinates(var)
    if not good.any():
        raise GraphError(
            f"none of the {len(var):,} features has coordinates",
            where=title,
            remedy="Check the annotation and the features' names; coordinates are 0-based with start < end.",
        )
    kept = var[good]
    strand = kept[STRAND].astype(object) if STRAND in kept else pd.Series(".", index=kept.index, dtype=object)
    columns = {
        CHROM: chrom_keys(kept[CHROM].astype(object)),
        START: kept[START].to_numpy(dtype=np.int64),
        END: kept[END].to_numpy(dtype=np.int64),
        STRAND: strand.where(strand.isin(["+", "-"]), ".").to_numpy(dtype=object),
    }
    return pd.DataFrame(columns, index=kept.index.astype(str))


def gene_regions(genes: pd.DataFrame, promoter: int = 2000, anchor: Anchor = "gene") -> pd.DataFrame:
    """Return the stretch of genome in which, or near which, a feature is linked to a gene.

    Parameters
    ----------
    genes
        Columns `chrom`, `start`, `end`, `strand`.
    promoter
        Bases upstream of the transcription start.
    anchor
        'gene' or 'promoter'; see `from_genome`.

    Returns
    -------
    pandas.DataFrame
        Columns `chrom`, `start`, `end`, one row a gene.

    Raises
    ------
    GraphError
        `anchor` is 'promoter' and a gene has no strand.
    """
    start, end = genes[START].to_numpy(), genes[END].to_numpy()
    strand = genes[STRAND].to_numpy(dtype=object)
    before = np.where(strand == "-", 0, promoter)
    after = np.where(strand == "+", 0, promoter)
    if anchor == "gene":
        low, high = start - before, end + after
    else:
        unknown = (strand != "+") & (strand != "-")
        if unknown.any():
            raise GraphError(
                f"genes without a strand have no promoter: {examples(genes.index[unknown])}",
                where="anchor='promoter'",
                remedy="Use an annotation with strands, or anchor='gene' (--rule gene_body).",
            )
        low = np.where(strand == "-", end - 1, start - promoter)
        high = np.where(strand == "-", end + promoter, start + 1)
    return pd.DataFrame({CHROM: genes[CHROM].to_numpy(), START: np.maximum(low, 0), END: high})


def by_name(
    left_names: Sequence[str],
    right: Sequence[str] | Mapping[str, str | Sequence[str]],
    *,
    sign: int = 1,
    prefix: str = "",
    kind: str = NAME,
    keep_isolated: bool = False,
) -> GuidanceGraph:
    """Link features by name: proteins to their genes, methylation of a gene to its expression.

    Parameters
    ----------
    left_names
        Features of the first modality, usually genes.
    right
        Features of the second, linked to the left feature of the same name once `prefix` is taken off; or a
        mapping from each feature to the name or names on the left (a protein complex has several genes).
    sign
        +1 or -1 for all edges.
    prefix
        What the right names have before the name (`prot:` in `prot:CD4`). Names must differ between
        modalities.
    kind
        Kind of the edges.
    keep_isolated
        Keep right features without a partner as vertices too. Left features are always kept.

    Returns
    -------
    GuidanceGraph
        Edges of weight 1 from left to right.

    Raises
    ------
    GraphError
        No name is on both sides, or a name is in both modalities as it stands.

    Examples
    --------
    >>> by_name(["CD4", "CD8A", "CD8B"], {"adt_CD4": "CD4", "adt_CD8": ["CD8A", "CD8B"]}).n_edges
    3
    """
    partners: dict[str, Sequence[str]] = {}
    if isinstance(right, Mapping):
        partners = {
            str(key): [value] if isinstance(value, str) else list(value) for key, value in right.items()
        }
    else:
        partners = {str(name): [str(name).removeprefix(prefix)] for name in right}
    left = pd.Index([str(name) for name in left_names], dtype=object)
    flat = pd.DataFrame(
        [(feature, partner) for feature, names in partners.items() for partner in dict.fromkeys(names)],
        columns=["feature", "partner"],
        dtype=object,
    )
    flat["source"] = left.get_indexer(pd.Index(flat["partner"], dtype=object)) if left.is_unique else 0
    linked = flat[flat["source"] >= 0]
    if linked.empty:
        raise GraphError(
            f"no name is on both sides: {examples(left[:3])} and {examples(flat['partner'].head(3))}",
            where="by_name",
            remedy="Give a mapping from each feature to its gene, or the prefix before the names.",
        )
    features = pd.Index(list(partners) if keep_isolated else linked["feature"].unique(), dtype=object)
    return GuidanceGraph(
        np.concatenate([left.to_numpy(), features.to_numpy()]),
        linked["source"].to_numpy(dtype=np.int64),
        len(left) + features.get_indexer(pd.Index(linked["feature"])).astype(np.int64),
        sign=np.full(len(linked), sign),
        kind_names=(kind,),
    )


def _edges(pairs: IntervalPairs, target: npt.NDArray[np.int64], sign: int) -> dict[str, npt.NDArray[Any]]:
    return {
        "source": pairs.left,
        "target": target,
        "weight": distance_weight(pairs.distance),
        "sign": np.full(len(target), sign, dtype=np.int8),
        "kind_codes": np.where(pairs.overlapping, 0, 1),
        "distance": pairs.distance.astype(np.float64),
    }


def _titles(names: Sequence[str] | None, n: int) -> list[str]:
    if names is None:
        return ["rna", *(f"modality {i}" for i in range(2, n + 1))]
    if len(names) != n:
        raise OptionError(
            f"{len(names)} names for {n} modalities", where="names", remedy="Give one name each, genes first."
        )
    return [str(name) for name in names]


def _signs(signs: Sequence[int] | Mapping[str, int] | None, titles: list[str]) -> list[int]:
    others = titles[1:]
    if signs is None:
        return [1] * len(others)
    if isinstance(signs, Mapping):
        unknown = [name for name in signs if name not in others]
        if unknown:
            raise OptionError(
                f"no such modality: {examples(unknown)}",
                where="signs",
                remedy=f"Use names among {examples(others)}.",
            )
        return [signs.get(name, 1) for name in others]
    if len(signs) != len(others):
        raise OptionError(
            f"{len(signs)} signs for {len(others)} modalities",
            where="signs",
            remedy="Give one for each but the genes.",
        )
    return list(signs)


def _check_options(promoter: int, window: int, anchor: str, n_others: int) -> None:
    if promoter < 0:
        raise OptionError(f"{promoter} bases", where="promoter", remedy="Give 0 or more.")
    if window < 0:
        raise OptionError(f"{window} bases", where="window", remedy="Give 0 or more.")
    if anchor not in ("gene", "promoter"):
        raise OptionError(f"{anchor!r} is unknown", where="anchor", remedy="Use 'gene' or 'promoter'.")
    if n_others == 0:
        raise OptionError(
            "there is nothing to link to the genes", where="others", remedy="Give a second modality."
        )


def _check_chroms(genes: pd.DataFrame, features: pd.DataFrame, first: str, second: str) -> None:
    left, right = genes[CHROM].unique(), features[CHROM].unique()
    if not len(np.intersect1d(left.astype(str), right.astype(str))):
        raise GraphError(
            f"no chromosome is in both: {first} has {examples(left, 3)}; {second} has {examples(right, 3)}",
            where=f"{first} and {second}",
            remedy="Spell chromosomes alike (chr1 or 1; translate other accessions) and use one genome.",
        )


def _warn_of_build(genes: pd.DataFrame, features: pd.DataFrame, first: str, second: str) -> None:
    agreement = build_agreement(genes, features)
    if agreement.suspicious:
        warnings.warn(
            f"{first} and {second} are probably of different genome builds: {agreement}. "
            f"Use the annotation of the build on which {second} was aligned (say mm10, not mm39), or lift "
            "its coordinates over.",
            OmicsGlueWarning,
            stacklevel=3,
        )
