"""Layers over genes: what other modalities say of each gene, added up through the guidance graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from omicsglue.errors import GraphError, InputError, OptionError, examples
from omicsglue.keys import SIGN, SOURCE, TARGET, WEIGHT
from omicsglue.suggest import did_you_mean
from omicsglue.tl.metacells import aggregate

if TYPE_CHECKING:
    from anndata import AnnData

Floats = npt.NDArray[np.float64]
COVERAGE: Final = "coverage"  # layer of covered sites; a modality that has it holds methylated ones
CONTEXT: Final = "context"  # column of var by which features of one modality are told apart
_SCALE: Final = 1e4


@dataclass(frozen=True)
class Layer:
    """One layer: some or all features of a modality.

    Attributes
    ----------
    name
        As it was asked for: ``atac``, or ``methylation:CH``.
    modality
        Modality that holds it.
    features
        Positions of its features, int64.
    """

    name: str
    modality: str
    features: npt.NDArray[np.int64]


def find_layers(modalities: Mapping[str, AnnData], asked: Sequence[str], expression: str) -> list[Layer]:
    """Return the layers that were asked for, all modalities but that of expression by default.

    Parameters
    ----------
    modalities
        By name.
    asked
        ``NAME``, or ``NAME:CONTEXT`` for the features whose ``var["context"]`` is ``CONTEXT``.
    expression
        Modality of expression.

    Raises
    ------
    OptionError
        If there is no such modality or context, or one is asked for twice.
    """
    if expression not in modalities:
        raise _unknown(expression, modalities, "expression")
    others = [name for name in modalities if name != expression]
    names = list(asked) or others
    if len(set(names)) < len(names) or not names:
        raise OptionError(
            f"the layers are {examples(names) if names else 'none'}",
            where="layers",
            remedy=f"name each layer once, out of {examples(others)}",
        )
    return [_layer(modalities, name, others) for name in names]


def _layer(modalities: Mapping[str, AnnData], name: str, others: Sequence[str]) -> Layer:
    modality, _, context = (name, "", "") if name in others else name.rpartition(":")
    modality = modality or name
    if modality not in others:
        raise _unknown(modality if context else name, others, "layers")
    var = modalities[modality].var
    chosen = np.ones(len(var), dtype=bool)
    if context:
        known = sorted(set(var[CONTEXT].astype(str))) if CONTEXT in var else []
        if context not in known:
            raise OptionError(
                f"{modality} has no features of the context {context!r}",
                where="layers",
                remedy=f"choose among: {examples(known)}"
                if known
                else f"ask for {modality} as a whole, or "
                f"name the context of each feature in var[{CONTEXT!r}]",
            )
        chosen = (var[CONTEXT].astype(str) == context).to_numpy()
    return Layer(name, modality, np.flatnonzero(chosen).astype(np.int64))


def _unknown(name: str, known: Sequence[str] | Mapping[str, Any], where: str) -> OptionError:
    return OptionError(
        f"there is no modality {name!r}{did_you_mean(name, list(known))}",
        where=where,
        remedy=f"choose among: {examples(known)}",
    )


def gene_features(
    edges: pd.DataFrame, genes: pd.Index, features: pd.Index, layer: str
) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Return the weights with which features add up to genes.

    Parameters
    ----------
    edges
        Edges of the guidance graph: ``source``, ``target``, ``weight``, ``sign``; either end may be the gene.
    genes, features
        Names.
    layer
        Name, for messages.

    Returns
    -------
    Two matrices, features x genes: of positive edges and of negative ones.

    Raises
    ------
    GraphError
        If no edge joins a gene to a feature.
    """
    flipped = edges.rename(columns={SOURCE: TARGET, TARGET: SOURCE})
    both = pd.concat([edges, flipped], ignore_index=True)
    row = features.get_indexer(pd.Index(both[TARGET]))
    column = genes.get_indexer(pd.Index(both[SOURCE]))
    found = (row >= 0) & (column >= 0)
    if not found.any():
        raise GraphError(
            f"no edge joins a gene ({examples(genes, 3)}) to a feature of it ({examples(features, 3)})",
            where=layer,
            remedy="give the guidance graph with which these modalities were integrated",
        )
    weight = both[WEIGHT].to_numpy(dtype=np.float64) if WEIGHT in both else np.ones(len(both))
    sign = both[SIGN].to_numpy() if SIGN in both else np.ones(len(both))
    shape = (len(features), len(genes))
    return tuple(  # type: ignore[return-value]  # two of them
        sp.csr_matrix((weight[keep], (row[keep], column[keep])), shape=shape)
        for keep in (found & (sign > 0), found & (sign < 0))
    )


def of_counts(counts: Any, group: npt.NDArray[np.int64], number: int, by: Sequence[sp.csr_matrix]) -> Floats:
    """Return the log activity of genes in metacells, metacells x genes; NaN where a gene has no feature.

    The counts of a gene's features are added up, and brought to 10,000 counts a metacell; what negative edges
    join to the gene counts against it: ``log(1 + positive) - log(1 + negative)``.

    Parameters
    ----------
    counts
        Cells x features.
    group
        Metacell of each cell, -1 for none.
    number
        Metacells.
    by
        As :func:`gene_features` returns it.
    """
    totals = aggregate(counts, group, number)
    depth = np.asarray(totals.sum(axis=1)).ravel()
    scaled = sp.diags(_SCALE / np.where(depth > 0, depth, np.inf)) @ totals
    positive, negative = ((scaled @ each).toarray() for each in by)
    value = np.log1p(positive) - np.log1p(negative)
    return np.where(_linked(by), value, np.nan)


def of_rates(
    methylated: Any,
    covered: Any,
    group: npt.NDArray[np.int64],
    number: int,
    by: Sequence[sp.csr_matrix],
    *,
    least: float,
    log: bool = True,
) -> Floats:
    """Return the methylation of genes in metacells, metacells x genes; NaN where too few sites are covered.

    With m methylated of n covered sites, added up over the features and cells, and the rate r of all features
    in the metacell, the level is ``log((m + r) / (n + 1) / r)``: relative to the metacell's own global level,
    with one site's worth of shrinkage towards it; or, without `log`, m / n.

    Parameters
    ----------
    methylated, covered
        Cells x features.
    group
        Metacell of each cell, -1 for none.
    number
        Metacells.
    by
        As :func:`gene_features` returns it.
    least
        Sites that must be covered in a metacell.
    log
        Whether to take the logarithm.
    """
    met, cov = aggregate(methylated, group, number), aggregate(covered, group, number)
    sites = np.asarray(cov.sum(axis=1))
    level = np.asarray(met.sum(axis=1)) / np.where(sites > 0, sites, np.nan)
    value = np.zeros((number, by[0].shape[1]))
    seen = _linked(by) & np.ones((number, 1), dtype=bool)
    for weights, sign in zip(by, (1, -1), strict=True):
        pattern = (weights > 0).astype(np.float64)  # sites are whole: a weight would change their number
        linked = np.diff(sp.csc_matrix(pattern).indptr) > 0
        m, n = (met @ pattern).toarray(), (cov @ pattern).toarray()
        with np.errstate(invalid="ignore", divide="ignore"):
            part = np.log((m + level) / (n + 1) / level) if log else m / n
        value += np.where(linked, sign * part, 0.0)
        seen &= ~linked | (n >= least)
    return np.where(seen & np.isfinite(value), value, np.nan)


def _linked(by: Sequence[sp.csr_matrix]) -> npt.NDArray[np.bool_]:
    return np.asarray(sum(np.diff(sp.csc_matrix(each).indptr) for each in by) > 0)


def matrix_of(adata: AnnData, name: str | None, columns: npt.NDArray[np.int64], modality: str) -> Any:
    """Return some columns of ``X`` or of a layer.

    Raises
    ------
    InputError
        If there is no such layer.
    """
    if name is not None and name not in adata.layers:
        raise InputError(
            f"it has no layer {name!r}{did_you_mean(name, list(adata.layers))}",
            where=modality,
            remedy=f"choose among: {examples(adata.layers)}" if len(adata.layers) else "leave it out, for X",
        )
    whole = adata.X if name is None else adata.layers[name]
    return sp.csc_matrix(whole)[:, columns]
