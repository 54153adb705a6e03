"""Baselines in one call."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from omicsglue.errors import InputError, OmicsGlueWarning, OptionError, examples
from omicsglue.keys import DISTANCE, EMBEDDING, END, SOURCE, START, TARGET
from omicsglue.suggest import did_you_mean, listed
from omicsglue.tl.baselines.cicero import coaccessibility, is_installed
from omicsglue.tl.baselines.correlation import spearman
from omicsglue.tl.baselines.regression import lasso
from omicsglue.tl.metacells import Counts, aggregate, joint_metacells, log_normalised, log_rates
from omicsglue.tl.places import places_of, promoters_of

if TYPE_CHECKING:
    from anndata import AnnData

Ints = npt.NDArray[np.int64]

METHODS = ("distance", "spearman", "lasso", "coaccessibility")
FEWEST_METACELLS = 10


@dataclass(frozen=True)
class _Problem:
    """Values over metacells of both modalities, and the columns of the pairs."""

    genes: sp.csr_matrix
    elements: sp.csr_matrix
    gene: Ints
    element: Ints
    in_rna: Ints  # cells of each metacell
    in_atac: Ints


def baseline_scores(
    links: pd.DataFrame,
    rna: AnnData,
    atac: AnnData,
    *,
    embedding: str = EMBEDDING,
    metacells: int = 200,
    methods: Sequence[str] | None = None,
    layers: tuple[str | None, str | None] = (None, None),
    coverage: str | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Score candidate pairs by methods that know neither model nor guidance graph.

    Metacells are groups of cells of both modalities that lie together in the joint embedding; their counts
    are added up and log-normalised. Correlation and LASSO use metacells that hold cells of both modalities.

    Parameters
    ----------
    links
        Candidate pairs, as omicsglue writes them.
    rna, atac
        Counts of the genes and of the elements, cells x features; with the embedding in ``obsm``. Cells need
        not be paired.
    embedding
        Key of the joint embedding in ``obsm``.
    metacells
        Metacells wanted.
    methods
        Among 'distance' (the nearer the better), 'spearman', 'lasso' and 'coaccessibility' (with the element
        on the gene's promoter, as Cicero; needs the package circe-py, see
        :func:`coaccessibility`). By default all that can run here.
    layers
        Layers that hold the counts of `rna` and `atac`; ``None`` is ``X``.
    coverage
        Layer with the covered reads of elements that are methylated ones; their rates are taken then.
    seed
        Seed of metacells, folds and windows.

    Returns
    -------
    pandas.DataFrame
        Index of `links`, one column a method, float64; high where a link is likely, signed but for distance.
        NaN where a method cannot tell.

    Raises
    ------
    OptionError
        If there is no such method, circe-py is asked for and not installed, or `metacells` is not positive.
    InputError
        If features of the pairs or the embedding are missing, or too few metacells hold both modalities.

    Warns
    -----
    OmicsGlueWarning
        If fewer than half of the metacells hold cells of both modalities.
    """
    chosen = _methods(methods)
    columns = {"distance": _nearness(links)} if "distance" in chosen else {}
    if set(chosen) - {"distance"}:
        problem = _problem(links, rna, atac, embedding, metacells, (*layers, coverage), seed)
        if {"spearman", "lasso"} & set(chosen):
            both = _in_both(problem)
            pairs = (problem.gene, problem.element)
            values = (problem.genes[both], problem.elements[both])
            if "spearman" in chosen:
                columns["spearman"] = spearman(*values, *pairs)
            if "lasso" in chosen:
                columns["lasso"] = lasso(*values, *pairs, seed=seed)
        if "coaccessibility" in chosen:
            columns["coaccessibility"] = _coaccessibility(links, atac, problem, seed)
    return pd.DataFrame({method: columns[method] for method in chosen}, index=links.index)


def _methods(methods: Sequence[str] | None) -> tuple[str, ...]:
    if methods is None:
        return METHODS if is_installed() else METHODS[:-1]
    chosen = (methods,) if isinstance(methods, str) else tuple(dict.fromkeys(methods))
    unknown = [method for method in chosen if method not in METHODS]
    if unknown or not chosen:
        raise OptionError(
            f"there is no baseline {unknown[0]!r}{did_you_mean(unknown[0], METHODS)}"
            if unknown
            else "no baseline is named",
            where="methods",
            remedy=f"Choose among: {', '.join(METHODS)}.",
        )
    return chosen


def _nearness(links: pd.DataFrame) -> npt.NDArray[np.float64]:
    if DISTANCE not in links:
        raise InputError(
            "no column distance", where="links", remedy="Give the table of links as omicsglue writes it."
        )
    return -links[DISTANCE].to_numpy(dtype=np.float64)


def _problem(
    links: pd.DataFrame,
    rna: AnnData,
    atac: AnnData,
    embedding: str,
    metacells: int,
    layers: tuple[str | None, str | None, str | None],
    seed: int,
) -> _Problem:
    gene = _columns_of(links, SOURCE, rna)
    element = _columns_of(links, TARGET, atac)
    group = joint_metacells(
        {"rna": _embedding(rna, embedding, "rna"), "atac": _embedding(atac, embedding, "atac")},
        metacells,
        seed=seed,
    )
    number = max(int(each.max()) for each in group.values()) + 1
    totals = [
        aggregate(_counts(data, layer, name), group[name], number)
        for data, layer, name in zip((rna, atac), layers[:2], group, strict=True)
    ]
    values = [log_normalised(totals[0])]
    if layers[2] is None:
        values.append(log_normalised(totals[1]))
    else:
        values.append(
            log_rates(totals[1], aggregate(_counts(atac, layers[2], "atac"), group["atac"], number))
        )
    cells = [np.bincount(each, minlength=number) for each in group.values()]
    return _Problem(values[0], values[1], gene, element, cells[0], cells[1])


def _columns_of(links: pd.DataFrame, end: str, data: AnnData) -> Ints:
    """Return the column of each pair's feature in the data."""
    codes, names = pd.factorize(links[end])
    at = data.var_names.get_indexer(pd.Index(names))
    if (at < 0).any():
        raise InputError(
            f"features of the pairs are not in the data: {examples(names[at < 0])}",
            where=f"links, {end}",
            remedy="Give the data from which these links were inferred, genes first.",
        )
    return np.asarray(at[codes], dtype=np.int64)


def _embedding(data: AnnData, key: str, name: str) -> npt.NDArray[np.float32]:
    if key not in data.obsm:
        raise InputError(
            f"there is no obsm[{key!r}]{did_you_mean(key, data.obsm)}; there are: {listed(data.obsm)}",
            where=name,
            remedy="Integrate the modalities first, or name the key of the joint embedding.",
        )
    return np.asarray(data.obsm[key], dtype=np.float32)


def _counts(data: AnnData, layer: str | None, name: str) -> Counts:
    if layer is not None and layer not in data.layers:
        raise InputError(
            f"there is no layer {layer!r}; there are: {listed(data.layers)}",
            where=name,
            remedy="Name the layer that holds the counts, or leave it out to use X.",
        )
    counts: Counts = data.X if layer is None else data.layers[layer]
    return counts


def _in_both(problem: _Problem) -> npt.NDArray[np.bool_]:
    """Tell which metacells hold cells of both modalities."""
    both = (problem.in_rna > 0) & (problem.in_atac > 0)
    if both.sum() < FEWEST_METACELLS:
        raise InputError(
            f"{both.sum()} of {len(both)} metacells hold cells of both modalities",
            where="metacells",
            remedy="Ask for fewer metacells, or check that the embedding mixes the modalities.",
        )
    if both.mean() < 0.5:
        warnings.warn(
            f"only {both.sum()} of {len(both)} metacells hold cells of both modalities; correlation and "
            "LASSO rest on these. Ask for fewer metacells, or check that the embedding mixes the modalities.",
            OmicsGlueWarning,
            stacklevel=3,
        )
    return np.asarray(both, dtype=np.bool_)


def _coaccessibility(
    links: pd.DataFrame, atac: AnnData, problem: _Problem, seed: int
) -> npt.NDArray[np.float64]:
    # Elements that are no candidate of any gene have no say
    elements = places_of(links, TARGET).reindex(atac.var_names)
    elements = elements.fillna({START: -1, END: -1}).astype({START: np.int64, END: np.int64})
    promoters = promoters_of(places_of(links, SOURCE))
    gene = pd.factorize(links[SOURCE])[0].astype(np.int64)
    return coaccessibility(
        problem.elements[problem.in_atac > 0], elements, promoters, gene, problem.element, seed=seed
    )
