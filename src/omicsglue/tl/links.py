"""Regulatory links: which elements regulate which genes, and how far to trust each pair."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, OptionError, examples
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.graph.rules import WINDOW, coordinates
from omicsglue.keys import CHROM, EMBEDDING, END, KIND, SOURCE, START, STRAND, TARGET, batch_columns
from omicsglue.tl.candidates import Candidates, candidate_pairs, rotations, strata
from omicsglue.tl.profiles import fit_profiles, joint_axes
from omicsglue.tl.selection import Prior, Problem, learn_prior, posterior
from omicsglue.tl.statistics import (
    UPPER_LIMIT,
    Null,
    benjamini_hochberg,
    empirical_p,
    null_share,
    storey,
    stratified_q,
)

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CORRECTIONS = ("strata", "bh", "storey")
ENOUGH_DECOYS = 400_000
_MOST_ROTATIONS = 5


@dataclass(frozen=True)
class _Cells:
    """The two modalities as arrays."""

    genes: AnnData
    elements: AnnData
    names: tuple[str, str]
    layers: tuple[str | None, str | None]
    batches: tuple[str | None, str | None]
    coverage: str | None = None  # layer of the elements

    @property
    def both(self) -> list[tuple[AnnData, str, str | None, str | None]]:
        modalities = (self.genes, self.elements)
        return list(zip(modalities, self.names, self.layers, self.batches, strict=True))


def regulatory_links(
    genes: AnnData,
    elements: AnnData,
    graph: GuidanceGraph | None = None,
    guides: pd.DataFrame | None = None,
    *,
    window: int = 150_000,
    promoter: int = 2_000,
    sign: int = 1,
    embeddings: Sequence[str] = (EMBEDDING,),
    layers: tuple[str | None, str | None] = (None, None),
    batch_keys: tuple[str | None, str | None] = (None, None),
    names: tuple[str, str] = ("rna", "atac"),
    coverage: str | None = None,
    correction: str = "strata",
    seed: int = 0,
    threads: int | None = None,
) -> pd.DataFrame:
    """Infer which elements regulate which genes, from counts and a joint embedding of cells.

    The embedding may be of any method: it is read from ``obsm``. For every gene, the elements within a window
    of its promoter are candidates. A gene's profile over the embedding is explained by the profiles of its
    candidates in a sparse regression, which gives each the probability of being a link; how probable links
    are at each distance, and where the guidance graph has an edge, is learned from the data. The same is done
    with decoys, genes that were moved to other places in the genome, and what they score tells chance.

    Parameters
    ----------
    genes, elements
        Counts of genes and of elements (peaks, bins, methylation), with coordinates in ``var`` and embeddings
        in ``obsm``. Cells need not be the same.
    graph
        Guidance graph. Its edges, but for those by distance alone, form strata of their own.
    guides
        Further pairs for which something speaks beforehand (contacts, eQTL), as a table of `source`, `target`
        and `kind`; they form strata of their own. Do not evaluate links by what has guided them.
    window
        Bases between element and promoter, at most.
    promoter
        Bases upstream of the transcription start.
    sign
        +1 where elements are expected to act as the gene rises, -1 where they act as it falls (methylation).
    embeddings
        Keys of ``obsm``, one for each member of an ensemble; of ``varm`` too, where feature embeddings are.
    layers
        Layers with the counts of genes and elements; ``X`` by default.
    batch_keys
        ``obs`` columns of experimental batches of the two modalities; several with commas between them.
    names
        Names of the two modalities, for messages and the column `modality`.
    coverage
        Layer with the covered reads of elements that are methylated ones, whose rates are then taken.
    correction
        ``"strata"`` (false discovery rate over strata, each with its own share of nulls), ``"storey"`` or
        ``"bh"`` (Benjamini-Hochberg on the p-values).
    seed
        Seed of everything random.
    threads
        CPU threads; all by default. The result does not depend on their number.

    Returns
    -------
    One row a pair: `source` and `target` with their coordinates; `distance` in bases; `modality`; `cosine` of
    the feature embeddings, averaged over the ensemble (NaN without them); `score`, the probability of a link,
    averaged over the ensemble, and its deviation `score_sd`; `effect` (change of the gene's profile, in units
    of its length, with the element) and `sign`; `p_value`, of the score among decoys of the same stratum, and
    `q_value`. ``attrs["strata"]`` tells what was learned of each stratum: `guidance`, `nearest` and
    `farthest` distance, `pairs`, the `prior` probability of a link (mean over pairs and the ensemble) and an
    upper limit of the share of true nulls (`null_share`).

    Raises
    ------
    InputError, GraphError
        If an embedding or coordinates are missing, or there is no candidate.
    OptionError
        If an option has an impossible value.

    Notes
    -----
    Sources: Cao & Gao 2022 for candidates and cosine; George & McCulloch 1993 for the regression; Storey 2002
    and Sun et al. 2006 for the rates.

    Examples
    --------
    >>> links = regulatory_links(rna, atac, graph)  # doctest: +SKIP
    >>> links[links["q_value"] < 0.1]  # doctest: +SKIP
    """
    _check_options(sign, correction, embeddings)
    cells = _Cells(genes, elements, names, layers, batch_keys, coverage)
    _check_keys(cells, embeddings)
    candidates = candidate_pairs(
        coordinates(genes, names[0]),
        coordinates(elements, names[1]),
        window=window,
        promoter=promoter,
        guided=_guiding(graph, guides),
    )
    stratum, table = strata(candidates)
    turns = int(np.clip(ENOUGH_DECOYS // len(candidates), 1, _MOST_ROTATIONS))
    decoys = list(rotations(candidates, turns, window))
    threads = threads or os.cpu_count() or 1
    members = [
        _score_member(cells, candidates, sign, key, decoys, seed + number, threads)
        for number, key in enumerate(embeddings)
    ]
    score = np.mean([member.score for member in members], axis=0)
    null = Null(
        np.mean([member.decoy for member in members], axis=0),
        np.concatenate([stratum[far] for _, far in decoys]),
    )
    p = empirical_p(score, stratum, null)
    table["null_share"] = [null_share(p[stratum == code], errors=UPPER_LIMIT) for code in table.index]
    before = np.mean([member.prior.log_odds(candidates.known()) for member in members], axis=0)
    table["prior"] = pd.Series(1 / (1 + np.exp(-before))).groupby(stratum).mean()
    effect = np.mean([member.effect for member in members], axis=0)
    found = _table(cells, candidates)
    found["cosine"] = _cosine(cells, candidates, embeddings)
    found["score"], found["score_sd"] = score, _deviation([member.score for member in members])
    found["effect"], found["sign"] = effect, np.where(effect < 0, -1, 1).astype(np.int8)
    found["p_value"] = p
    found["q_value"] = _false_discovery_rate(correction, score, p, stratum, null, table["null_share"])
    found.attrs["strata"] = table.to_dict("records")
    return found


def _false_discovery_rate(
    correction: str, score: Floats, p: Floats, stratum: Ints, null: Null, shares: pd.Series
) -> Floats:
    if correction == "strata":
        return stratified_q(score, stratum, null, shares.to_numpy())
    return benjamini_hochberg(p) if correction == "bh" else storey(p)


@dataclass(frozen=True)
class _Member:
    """Scores by one member of the ensemble: of pairs, their effects, and of decoys, turn after turn."""

    score: Floats
    effect: Floats
    decoy: Floats
    prior: Prior


def _score_member(
    cells: _Cells,
    candidates: Candidates,
    sign: int,
    key: str,
    decoys: Sequence[tuple[Ints, npt.NDArray[np.bool_]]],
    seed: int,
    threads: int,
) -> _Member:
    problem = _problem(cells, candidates, sign, key, seed)
    prior = learn_prior(problem, seed, threads)
    found = posterior(problem, prior, seed, threads)
    chance = [
        posterior(problem.moved(place), prior, seed + 1 + turn, threads).probability[far]
        for turn, (place, far) in enumerate(decoys)
    ]
    return _Member(found.probability, found.effect, np.concatenate(chance), prior)


def _problem(cells: _Cells, candidates: Candidates, sign: int, key: str, seed: int) -> Problem:
    """Return the regression of every gene on its candidates, in one member's embedding."""
    axes = joint_axes({name: adata.obsm[key] for adata, name, _, _ in cells.both})
    of_genes, of_elements = (
        fit_profiles(
            _counts(adata, layer, table.index),
            axes[name],
            _batch_codes(adata, batch),
            coverage=None if coverage is None else _counts(adata, coverage, table.index),
            seed=seed,
        )
        for (adata, name, layer, batch), table, coverage in zip(
            cells.both, (candidates.genes, candidates.elements), (None, cells.coverage), strict=True
        )
    )
    length = np.sqrt(axes[cells.names[0]].shape[1])
    return Problem(
        of_genes.unit * length,
        of_elements.direction * length,
        candidates.first,
        candidates.element,
        candidates.known(),
        sign,
    )


def _counts(adata: AnnData, layer: str | None, features: pd.Index) -> npt.NDArray[np.floating]:
    counts: npt.NDArray[np.floating] = (
        adata[:, features].X if layer is None else adata[:, features].layers[layer]
    )
    return counts


def _batch_codes(adata: AnnData, key: str | None) -> Ints | None:
    if key is None:
        return None
    columns = batch_columns(key, adata.obs)
    one = adata.obs[columns[0]].astype("category").cat.codes if len(columns) == 1 else None
    codes = adata.obs.groupby(columns, observed=True).ngroup() if one is None else one
    return np.asarray(codes, dtype=np.int64)


def _guiding(graph: GuidanceGraph | None, guides: pd.DataFrame | None) -> pd.DataFrame | None:
    """Return the edges that say more than that two features are near each other."""
    parts = [] if guides is None else [guides[[SOURCE, TARGET, KIND]]]
    if graph is not None:
        edges = graph.to_frame().astype({KIND: str})
        parts.insert(0, edges.loc[edges[KIND] != WINDOW, [SOURCE, TARGET, KIND]])
    return pd.concat(parts, ignore_index=True) if parts else None


def _table(cells: _Cells, candidates: Candidates) -> pd.DataFrame:
    gene = candidates.genes.iloc[candidates.gene]
    element = candidates.elements.iloc[candidates.element]
    return pd.DataFrame(
        {
            SOURCE: gene.index.to_numpy(dtype=object),
            TARGET: element.index.to_numpy(dtype=object),
            **{f"{SOURCE}_{column}": gene[column].to_numpy() for column in (CHROM, START, END, STRAND)},
            **{f"{TARGET}_{column}": element[column].to_numpy() for column in (CHROM, START, END)},
            "distance": candidates.distance,
            "modality": cells.names[1],
        }
    )


def _cosine(cells: _Cells, candidates: Candidates, keys: Sequence[str]) -> Floats:
    """Return the cosine of the feature embeddings of every pair, averaged over the ensemble."""
    if any(key not in adata.varm for key in keys for adata, *_ in cells.both):
        return np.full(len(candidates), np.nan)
    total = np.zeros(len(candidates))
    for key in keys:
        source, target = (
            _unit_rows(adata, key, table.index)
            for (adata, *_), table in zip(cells.both, (candidates.genes, candidates.elements), strict=True)
        )
        total += np.einsum("ij,ij->i", source[candidates.gene], target[candidates.element])
    return total / len(keys)


def _unit_rows(adata: AnnData, key: str, features: pd.Index) -> npt.NDArray[np.float32]:
    rows = np.asarray(adata.varm[key], dtype=np.float32)[adata.var_names.get_indexer(features)]
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.where(length > 0, length, 1), dtype=np.float32)


def _deviation(scores: Sequence[Floats]) -> Floats:
    if len(scores) == 1:
        return np.full(len(scores[0]), np.nan)
    return np.asarray(np.std(scores, axis=0, ddof=1), dtype=np.float64)


def _check_options(sign: int, correction: str, embeddings: Sequence[str]) -> None:
    if sign not in (-1, 1):
        raise OptionError(f"sign is {sign!r}", where="sign", remedy="give 1 or -1")
    if correction not in CORRECTIONS:
        raise OptionError(
            f"there is no correction {correction!r}",
            where="correction",
            remedy=f"choose one of: {', '.join(CORRECTIONS)}",
        )
    if not embeddings:
        raise OptionError("no embedding is named", where="embeddings", remedy="name keys of obsm")


def _check_keys(cells: _Cells, embeddings: Sequence[str]) -> None:
    for adata, name, layer, batch in cells.both:
        missing = [key for key in embeddings if key not in adata.obsm]
        if missing:
            raise InputError(
                f"obsm has no {examples(missing)}",
                where=name,
                remedy="integrate the modalities first; their embedding is obsm['X_glue']",
            )
        if layer is not None and layer not in adata.layers:
            raise InputError(
                f"there is no layer {layer!r}", where=name, remedy=f"choose among: {examples(adata.layers)}"
            )
        lacking = [] if batch is None else [c for c in batch_columns(batch, adata.obs) if c not in adata.obs]
        if lacking:
            raise InputError(
                f"obs has no column {lacking[0]!r}", where=name, remedy=f"choose among: {examples(adata.obs)}"
            )
    if cells.coverage is not None and cells.coverage not in cells.elements.layers:
        raise InputError(
            f"there is no layer {cells.coverage!r} of covered reads",
            where=cells.names[1],
            remedy=f"choose among: {examples(cells.elements.layers)}",
        )
