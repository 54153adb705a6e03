"""How much of each gene's expression other layers explain, alone and together."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from omicsglue.errors import InputError, OmicsGlueWarning, OptionError
from omicsglue.graph.guidance import GuidanceGraph
from omicsglue.keys import EMBEDDING
from omicsglue.suggest import did_you_mean
from omicsglue.tl.crossvalidation import Floats, cross_validated_r2, draw_folds
from omicsglue.tl.embeddings import REMEDY
from omicsglue.tl.layers import (
    COVERAGE,
    find_layers,
    gene_features,
    matrix_of,
    of_counts,
    of_rates,
)
from omicsglue.tl.metacells import aggregate, joint_metacells, log_normalised

if TYPE_CHECKING:
    from anndata import AnnData

_MOST_METACELLS: Final = 200
_CELLS_EACH: Final = 10  # of the smallest modality, on average
_FEWEST: Final = 20  # metacells
_LOST: Final = 0.1  # share of metacells whose loss is worth a warning
_KNOWN: Final = 0.8  # share of metacells in which a gene must be covered
_QUANTILE: Final = 0.95


@dataclass(frozen=True)
class ExpressionExplained:
    """How much of the expression of genes is explained.

    Attributes
    ----------
    genes
        Cross-validated R2, genes x combinations of layers (``atac``, ``atac + methylation``, ...); NaN where
        a gene cannot be fitted.
    summary
        One row a combination: ``genes`` (fitted), ``mean_r2``, ``median_r2``; ``permuted_mean``, with
        ``permuted_low`` and ``permuted_high``, between which the mean lies in 95 % of the permutations of
        metacells; ``permuted_95``, the 95 % quantile of single genes over all permutations, and
        ``above_permuted``, the share of genes beyond it; ``other_gene_mean``, the mean where each gene gets
        the layers of another gene.
    baseline
        R2 of permuted metacells, (permutations x genes) x combinations, for pictures.
    filters
        Genes left after each filter, in order.
    metacells
        Metacell of each cell by modality, -1 where it was dropped.
    dropped
        Metacells dropped, since a modality had no cell in them.
    """

    genes: pd.DataFrame
    summary: pd.DataFrame
    baseline: pd.DataFrame
    filters: pd.Series[int]
    metacells: dict[str, npt.NDArray[np.int64]]
    dropped: int


def expression_explained(
    modalities: Mapping[str, AnnData],
    graph: GuidanceGraph | pd.DataFrame,
    *,
    expression: str = "rna",
    layers: Sequence[str] = (),
    metacells: int | None = None,
    embedding: str = EMBEDDING,
    counts: Mapping[str, str | None] | None = None,
    coverage: Mapping[str, str | None] | None = None,
    log_rates: bool = True,
    least_mean: float = 0.1,
    least_covered: float = 10.0,
    drop_calm: float = 0.25,
    folds: int = 5,
    penalty: float = 1e-3,
    permutations: int = 20,
    seed: int = 0,
) -> ExpressionExplained:
    """Tell how much of each gene's expression accessibility, methylation and other layers explain.

    Cells of all modalities are grouped to common metacells in the joint embedding. In these, a gene's
    expression is predicted linearly from what each layer, each pair of layers and all layers say of the same
    gene. R2 is cross-validated over metacells: one that is measured where it was fitted grows with every
    further layer, informative or not.

    Parameters
    ----------
    modalities
        By name, with embeddings in ``obsm``; cells need not be paired.
    graph
        Guidance graph, or its edges: which features of a layer belong to which gene. Features of negative
        edges count against the gene.
    expression
        Modality of expression, whose features are genes.
    layers
        Modalities that explain, all others by default. ``NAME:CONTEXT`` takes the features whose
        ``var["context"]`` is ``CONTEXT``, where one modality holds methylation of two contexts.
    metacells
        Metacells wanted; by default ten cells each of the smallest modality, 200 at most.
    embedding
        Key of ``obsm``.
    counts
        Layer with the counts by modality; ``X`` by default. Of methylation, these are methylated sites.
    coverage
        Layer with covered sites by modality: its features are rates. By default ``coverage``, where a
        modality has such a layer; name a modality with ``None`` to take it for counts all the same.
    log_rates
        Take the logarithm of rates, relative to the global rate of the metacell; else rates as they are.
    least_mean
        Genes below this mean log expression (of 10,000 counts a metacell) are left out.
    least_covered
        Sites of a gene that must be covered in a metacell; genes that are not covered so in four of five
        metacells are left out.
    drop_calm
        In expression and each layer, the share of genes with the least spread over the trend of spread by
        mean that is left out.
    folds
        Of the cross-validation, the same for all genes.
    penalty
        Of the ridge regression; 0 is ordinary least squares.
    permutations
        How often metacells are permuted for the baseline.
    seed
        Of metacells, folds and permutations.

    Returns
    -------
    ExpressionExplained

    Raises
    ------
    OptionError
        If an option is out of its range, or names what is not there.
    InputError
        If there is no embedding, there are fewer than 20 metacells with cells of all modalities, or no gene
        passes the filters.
    GraphError
        If no edge joins a gene to a feature of a layer.

    Warns
    -----
    OmicsGlueWarning
        If more than a tenth of the metacells is dropped.

    Notes
    -----
    Source: Cao and Gao, Nature Biotechnology 2022, doi 10.1038/s41587-022-01284-4, who measured R2 in-sample;
    cross-validation and baselines are ours.
    """
    _check_options(folds, penalty, permutations, drop_calm)
    asked = find_layers(modalities, layers, expression)
    used = dict.fromkeys([expression, *(layer.modality for layer in asked)])
    chosen = {name: modalities[name] for name in used}
    group, number, dropped = _metacells(chosen, embedding, metacells, seed)
    edges = graph.to_frame() if isinstance(graph, GuidanceGraph) else graph
    counts, coverage = counts or {}, coverage or {}
    rna = chosen[expression]
    everything = np.arange(rna.n_vars, dtype=np.int64)
    totals = aggregate(
        matrix_of(rna, counts.get(expression), everything, expression), group[expression], number
    )
    y = log_normalised(totals).toarray()
    values = []
    for layer in asked:
        adata = chosen[layer.modality]
        by = gene_features(edges, rna.var_names, adata.var_names[layer.features], layer.name)
        matrix = matrix_of(adata, counts.get(layer.modality), layer.features, layer.modality)
        held = COVERAGE if COVERAGE in adata.layers else None
        sites = coverage.get(layer.modality, held)
        cells = group[layer.modality]
        if sites is None:
            values.append(of_counts(matrix, cells, number, by))
            continue
        covered = matrix_of(adata, sites, layer.features, layer.modality)
        values.append(of_rates(matrix, covered, cells, number, by, least=least_covered, log=log_rates))
    x = np.stack(values)
    kept, filters = _filtered(y, x, [layer.name for layer in asked], least_mean, drop_calm)
    rng = np.random.default_rng(seed)
    names = [layer.name for layer in asked]
    fold = draw_folds(number, folds, rng)
    genes, summary, baseline = _regressions(
        y[:, kept], x[:, :, kept], names, fold, penalty, permutations, rng
    )
    genes.index = rna.var_names[kept]
    return ExpressionExplained(genes, summary, baseline, filters, group, dropped)


def _check_options(folds: int, penalty: float, permutations: int, drop_calm: float) -> None:
    for name, value, least, most in (
        ("folds", folds, 2, _FEWEST),
        ("penalty", penalty, 0, np.inf),
        ("permutations", permutations, 1, np.inf),
        ("drop_calm", drop_calm, 0, 0.99),
    ):
        if not least <= value <= most:
            upper = "" if most == np.inf else f" and at most {most}"
            raise OptionError(f"it is {value}", where=name, remedy=f"give at least {least}{upper}")


def _metacells(
    modalities: Mapping[str, AnnData], embedding: str, asked: int | None, seed: int
) -> tuple[dict[str, npt.NDArray[np.int64]], int, int]:
    """Return the metacell of each cell, -1 where one lacks a modality; how many are left, and dropped."""
    for name, adata in modalities.items():
        if embedding not in adata.obsm:
            raise InputError(
                f"it has no embedding {embedding!r}{did_you_mean(embedding, list(adata.obsm))}",
                where=name,
                remedy=REMEDY,
            )
    smallest = min(adata.n_obs for adata in modalities.values())
    wanted = asked or min(_MOST_METACELLS, max(smallest // _CELLS_EACH, _FEWEST))
    codes = joint_metacells({k: each.obsm[embedding] for k, each in modalities.items()}, wanted, seed=seed)
    found = 1 + max(int(code.max(initial=-1)) for code in codes.values())
    full = np.all([np.bincount(code, minlength=found) > 0 for code in codes.values()], axis=0)
    left, dropped = int(full.sum()), found - int(full.sum())
    if left < _FEWEST:
        raise InputError(
            f"{left} of {found} metacells hold cells of every modality, at least {_FEWEST} are needed",
            where=", ".join(modalities),
            remedy="check in the report that the modalities mix; give more cells, or other metacells",
        )
    if dropped > _LOST * found:
        text = f"{dropped} of {found} metacells lack cells of a modality and are dropped: do modalities mix?"
        warnings.warn(text, OmicsGlueWarning, stacklevel=3)
    place = np.where(full, np.cumsum(full) - 1, -1)
    return {name: place[code] for name, code in codes.items()}, left, dropped


def _filtered(
    y: Floats, x: Floats, names: Sequence[str], least_mean: float, drop_calm: float
) -> tuple[npt.NDArray[np.int64], pd.Series[int]]:
    """Return the genes that are expressed, known in every layer, and lively; and how many passed what."""
    kept = np.ones(y.shape[1], dtype=bool)
    left = {"genes": int(kept.sum())}
    for name, passed in (
        ("expressed", y.mean(axis=0) >= least_mean),
        *(
            (f"known in {name}", np.isfinite(each).mean(axis=0) >= _KNOWN)
            for name, each in zip(names, x, strict=True)
        ),
    ):
        kept &= passed
        left[name] = int(kept.sum())
    at = np.flatnonzero(kept)
    lively = np.ones(len(at), dtype=bool)
    for name, values in (("expression", y), *zip(names, x, strict=True)):
        lively &= _above_trend(values[:, at], drop_calm)
        left[f"varies in {name}"] = int(lively.sum())
    if not lively.any():
        raise InputError(
            f"no gene is left: {', '.join(f'{number} {name}' for name, number in left.items())}",
            where="genes",
            remedy="lower least_mean, least_covered or drop_calm, or integrate with more genes",
        )
    return at[lively], pd.Series(left, name="genes")


def _above_trend(values: Floats, share: float) -> npt.NDArray[np.bool_]:
    """Tell which genes are not among those of least spread, given their mean; the trend is a parabola."""
    if share == 0 or values.shape[1] < 10:
        return np.ones(values.shape[1], dtype=bool)
    mean, spread = np.nanmean(values, axis=0), np.nanstd(values, axis=0)
    log = np.log(np.maximum(spread, 1e-12))
    centre = (mean - mean.mean()) / max(float(mean.std()), 1e-12)
    moving = spread > 1e-12
    trend = np.polynomial.Polynomial.fit(centre[moving], log[moving], 2) if moving.sum() > 3 else None
    above = log - trend(centre) if trend is not None else log
    return np.asarray(moving & (above >= np.quantile(above, share)))


def _combinations(number: int) -> list[tuple[int, ...]]:
    """Return each layer, each pair, and all."""
    sizes = dict.fromkeys(size for size in (1, 2, number) if size <= number)
    return [each for size in sizes for each in combinations(range(number), size)]


def _regressions(
    y: Floats,
    x: Floats,
    names: Sequence[str],
    fold: npt.NDArray[np.int64],
    penalty: float,
    permutations: int,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return R2 by gene, the summary, and R2 of permuted metacells."""
    orders = [rng.permutation(len(y)) for _ in range(permutations)]
    strangers = [_shifted(y.shape[1], rng) for _ in range(permutations)]
    found, rows, permuted = {}, [], {}
    for which in _combinations(len(names)):
        name = " + ".join(names[each] for each in which)
        layers = x[list(which)]
        real = cross_validated_r2(y, layers, fold, penalty=penalty)
        null = np.stack([cross_validated_r2(y[order], layers, fold, penalty=penalty) for order in orders])
        other = [cross_validated_r2(y, layers[:, :, of], fold, penalty=penalty) for of in strangers]
        found[name], permuted[name] = real, null.ravel()
        rows.append({"layers": name, **_summary(real, null, np.stack(other))})
    return pd.DataFrame(found), pd.DataFrame(rows).set_index("layers"), pd.DataFrame(permuted)


def _summary(real: Floats, null: Floats, other: Floats) -> dict[str, float]:
    means = np.nanmean(null, axis=1)
    low, high = np.quantile(means, [(1 - _QUANTILE) / 2, (1 + _QUANTILE) / 2])
    edge = float(np.nanquantile(null, _QUANTILE))
    fitted = real[np.isfinite(real)]
    return {
        "genes": len(fitted),
        "mean_r2": float(fitted.mean()),
        "median_r2": float(np.median(fitted)),
        "permuted_mean": float(means.mean()),
        "permuted_low": float(low),
        "permuted_high": float(high),
        "permuted_95": edge,
        "above_permuted": float((fitted > edge).mean()),
        "other_gene_mean": float(np.nanmean(other)),
    }


def _shifted(genes: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return another gene for each gene: a random circle through all of them."""
    circle = rng.permutation(genes)
    other = np.empty(genes, dtype=np.int64)
    other[circle] = np.roll(circle, 1)
    return other
